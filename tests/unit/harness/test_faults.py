# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxies misbehave exactly as told and otherwise change nothing, or the system tests would prove nothing."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from harness.faults import FaultyProxy, TcpProxy


class _Store(http.server.BaseHTTPRequestHandler):
    """A server that keeps what it is given."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self.headers["Host"].encode())

    def do_GET(self) -> None:
        self._answer(self.kept.get(self.path, b"nothing"))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


@pytest.fixture
def upstream() -> Iterator[tuple[str, int]]:
    _Store.kept.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Store)
    server.handle_error = lambda *dummies: None  # type: ignore[method-assign]  # a cut line is what the tests are about
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield "127.0.0.1", server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(upstream: tuple[str, int]) -> Iterator[FaultyProxy]:
    with FaultyProxy(f"http://{upstream[0]}:{upstream[1]}") as running:
        yield running


def _ask(proxy: FaultyProxy | TcpProxy, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
    connection.request(method, path, body, {"Expect": "100-continue"} if body else {})
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


def test_what_is_not_disturbed_arrives_unchanged(proxy: FaultyProxy) -> None:
    body = bytes(range(256)) * 4096
    put = _ask(proxy, "PUT", "/a%20b?x=1", body)
    assert _Store.kept == {"/a%20b?x=1": body}
    assert put.body == f"{proxy.host}:{proxy.port}".encode(), "the Host header is part of a signature"
    assert _ask(proxy, "GET", "/a%20b?x=1").body == body
    assert [(each.method, each.path, each.query) for each in proxy.requests] == [("PUT", "/a b", "x=1"), ("GET", "/a b", "x=1")]


def test_an_answer_is_injected_for_the_chosen_requests_only(proxy: FaultyProxy) -> None:
    rule = proxy.store_full(query="partNumber", skip=1, times=2)
    statuses = [_ask(proxy, "PUT", f"/k?partNumber={number}", b"x").status for number in range(5)]
    assert statuses == [200, 507, 507, 200, 200]
    assert _ask(proxy, "GET", "/k?partNumber=1").body == b"nothing"
    assert rule.hits == 2


def test_a_lost_answer_leaves_the_work_done_and_a_cut_leaves_it_undone(proxy: FaultyProxy) -> None:
    proxy.lose_answer(path="/done")
    proxy.cut_before(path="/undone")
    for path in ("/done", "/undone"):
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            _ask(proxy, "PUT", path, b"x")
    assert set(_Store.kept) == {"/done"}


def test_vanished_means_refused_until_it_comes_back(proxy: FaultyProxy) -> None:
    proxy.vanish_at(method="GET", skip=1)
    assert _ask(proxy, "GET", "/").status == 200
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        _ask(proxy, "GET", "/")
    with pytest.raises(ConnectionRefusedError):
        _ask(proxy, "GET", "/")
    proxy.come_back()
    assert _ask(proxy, "GET", "/").status == 200


def test_a_held_request_waits_for_its_event(proxy: FaultyProxy) -> None:
    go_on = threading.Event()
    proxy.hold(go_on, path="/held")
    client = threading.Thread(target=_ask, args=(proxy, "PUT", "/held", b"x"))
    client.start()
    proxy.wait_for_request("PUT", "/held")
    assert _ask(proxy, "GET", "/held2").status == 200, "others pass"
    assert "/held" not in _Store.kept
    go_on.set()
    client.join()
    assert "/held" in _Store.kept


def test_the_clock_is_shifted_by_so_many_seconds(proxy: FaultyProxy) -> None:
    def clock() -> float:
        return http.server.email.utils.parsedate_to_datetime(_ask(proxy, "GET", "/").headers["Date"]).timestamp()  # type: ignore[attr-defined]

    right = clock()
    proxy.clock_shift = -3600
    assert -3600 <= clock() - right <= -3595


def test_a_frozen_line_carries_nothing_and_a_cut_one_is_reset(upstream: tuple[str, int]) -> None:
    with TcpProxy(*upstream) as proxy:
        _ask(proxy, "PUT", "/big", bytes(3_000_000))
        proxy.cut_after(1_000_000)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            _ask(proxy, "GET", "/big")
        proxy.freeze()
        line = socket.create_connection((proxy.host, proxy.port), timeout=0.2)
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            line.recv(1)
        proxy.thaw()
        line.settimeout(10)
        assert line.recv(5) == b"HTTP/"
        proxy.cut()
        with pytest.raises(ConnectionError):
            while line.recv(65536):
                pass
            raise ConnectionResetError("closed in order")
