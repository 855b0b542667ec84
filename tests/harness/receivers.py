# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that take what is sent to them and remember it: one for HTTP, one for mail, both on loopback ports."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Literal, Self

from harness.certificates import Certificate
from harness.ports import free_port


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpReceiver(http.server.ThreadingHTTPServer):
    """Answers each request with the next of ``answers`` (status and body), with the last one for ever, and remembers what it was sent."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.received: list[Received] = []
        self.over = threading.Event()
        self._answers = list(answers) or [(200, b"OK")]
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def next_answer(self) -> tuple[int, bytes]:
        """Return what to answer; status 0 is to say nothing until the end."""
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HttpReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.received.append(Received(self.command, self.path, dict(self.headers), body))
        status, answer = self.server.next_answer()
        if not status:
            self.server.over.wait()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if 300 <= status < 400:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.end_headers()
        self.wfile.write(answer)

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class MailReceiver:
    """A mail server that takes every mail, unless ``refused`` has an answer for a recipient, or ``answers`` one for the next mails."""

    def __init__(
        self,
        tls: Literal["none", "starttls", "tls"] = "none",
        certificate: Certificate | None = None,
        *,
        users: Mapping[str, str] | None = None,
        refused: Mapping[str, str] | None = None,
        answers: Iterable[str] = (),
    ) -> None:
        # Only the environments that run tests have it.
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult, LoginPassword

        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.attempts = 0
        self._refused, self._answers = dict(refused or {}), list(answers)
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.path, certificate.key)

        def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword) -> AuthResult:
            return AuthResult(success=(users or {}).get(data.login.decode()) == data.password.decode(), handled=False)

        if users and tls == "none":
            raise ValueError("No test sends a password without encryption.")
        settings: dict[str, Any] = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": tls == "starttls"} if users else {}
        if tls == "starttls":
            settings |= {"tls_context": context, "require_starttls": True}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ssl_context=context if tls == "tls" else None, **settings)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._controller.stop()

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 (the library calls it so)
        """Answer for one recipient."""
        if address in self._refused:
            return self._refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (the library calls it so)
        """Take a mail, or answer what was prepared for it."""
        self.attempts += 1
        if self._answers:
            return self._answers.pop(0)
        self.mails.append(message_from_bytes(envelope.original_content.replace(b"\r\n", b"\n"), EmailMessage, policy=default))
        return "250 OK"
