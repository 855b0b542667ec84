# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One GET to a real server on this host: what it answers is returned, what goes wrong is a sentence without secrets."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import socket
import ssl
import threading
import time
import typing as t
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import http_request

CANARY = "s3cret-Canary"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path in its own way."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        what = self.path.partition("?")[0].rpartition("/")[2]
        if what == "garbage":
            self.wfile.write(f"{CANARY}, not HTTP\r\n\r\n".encode())
            self.close_connection = True
        elif what == "drip":
            self.answer(200, length="1000000")
            for _beat in range(200):
                if self.server.over.wait(0.02):
                    break
                self.wfile.write(b"x")
        elif what == "silence":
            self.server.over.wait()
        elif what == "redirect":
            self.answer(302, b"gone", Location=f"{self.server.url}/healthz")
        elif what.isdecimal():
            self.answer(200, b"x" * int(what))
        elif what == "chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n')
        else:
            self.answer(503 if what == "down" else 200, b'{"status": "ok"}')

    def answer(self, status: int, body: bytes = b"", length: str = "", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": length or str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: t.Any) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A server that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    def handle_error(self, *_arguments: t.Any) -> None:
        """Say nothing of clients that hang up."""


@pytest.fixture
def server() -> t.Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def refusal(url: str, timeout: float = 5, **headers: str) -> str:
    with pytest.raises(BackupError) as caught:
        http_request.get(url, headers.items(), timeout)
    assert CANARY not in caught.value.message
    return caught.value.message


def test_an_answer_and_what_was_asked(server: Server) -> None:
    found = http_request.get(f"{server.url}/healthz?deep=1", [("Authorization", "Bearer x"), ("X-Two", "2")], 5)
    assert (found.status, found.body, found.location) == (200, b'{"status": "ok"}', None)
    ((path, headers),) = server.asked
    assert path == "/healthz?deep=1"
    assert headers["Authorization"] == "Bearer x"
    assert headers["X-Two"] == "2"


def test_an_answer_in_chunks(server: Server) -> None:
    assert http_request.get(f"{server.url}/chunked", [], 5).body == b'{"a":1}'


def test_an_error_of_the_server_is_an_answer(server: Server) -> None:
    assert http_request.get(f"{server.url}/down", [], 5).status == 503


def test_a_redirect_is_an_answer_and_not_followed(server: Server) -> None:
    found = http_request.get(f"{server.url}/redirect", [("Authorization", "Bearer x")], 5)
    assert (found.status, found.location) == (302, f"{server.url}/healthz")
    assert len(server.asked) == 1


@pytest.mark.parametrize(("size", "read"), [(0, 0), (http_request.MAXIMUM_BODY, http_request.MAXIMUM_BODY), (http_request.MAXIMUM_BODY + 1, None)])
def test_no_more_than_a_mebibyte_is_read(server: Server, size: int, read: int | None) -> None:
    body = http_request.get(f"{server.url}/{size}", [], 5).body
    assert (None if body is None else len(body)) == read


@pytest.mark.parametrize("what", ["silence", "drip"])
def test_who_does_not_answer_in_time(server: Server, what: str) -> None:
    before = time.monotonic()
    assert refusal(f"{server.url}/{what}?token={CANARY}", 0.5) == f"{server.url}/{what} did not answer within 0.5 seconds."
    assert time.monotonic() - before < 4


def test_nobody_listens() -> None:
    # Bound without listening, so that nobody else can.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/healthz"
        message = refusal(f"{url}?token={CANARY}")
    assert message == f"{url} could not be reached: Connection refused."


def test_what_is_not_http(server: Server) -> None:
    assert refusal(f"{server.url}/garbage") == f"{server.url}/garbage did not answer in HTTP."


def test_no_tls_where_it_is_expected(server: Server) -> None:
    message = refusal(server.url.replace("http:", "https:"))
    assert "could not be reached: " in message
    assert "SSL" in message.upper()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("ftp://127.0.0.1/x", "ftp://127.0.0.1/x"),
        (f"http://user:{CANARY}@127.0.0.1/x", "http://127.0.0.1/x"),
        (f"http://127.0.0.1/x y?{CANARY}", "http://127.0.0.1/x y"),
    ],
)
def test_what_cannot_be_asked(url: str, shown: str) -> None:
    assert refusal(url).startswith(f"{shown} could not be asked: ")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - dt.timedelta(hours=1), now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_must_be_one_that_is_trusted(server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"{server.url.replace('http:', 'https:')}/healthz"
    assert refusal(url).startswith(f"{url} showed a certificate that could not be verified: self")
    assert server.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert http_request.get(url, [], 5).status == 200


def test_a_header_that_is_none(server: Server) -> None:
    assert "could not be asked: the URL, a header" in refusal(f"{server.url}/healthz", Authorization=f"{CANARY}\r\nX: y")
    assert server.asked == []


def test_the_environment_s_proxy_is_asked_instead(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    assert http_request.get("http://app.example.com/healthz", [], 5).status == 200
    assert [path for path, _headers in server.asked] == ["http://app.example.com/healthz"]


def test_no_proxy_is_heeded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert http_request.get(f"{server.url}/healthz", [], 5).status == 200
