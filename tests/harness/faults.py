# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies that misbehave on command, in front of real servers.

``TcpProxy`` knows nothing of what it carries (PostgreSQL); ``FaultyProxy`` understands HTTP (S3), so that single requests can fail.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import http.server
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from harness.ports import free_port

_CHUNK = 65536


class _Proxy:
    """A listener on a loopback port that can vanish and come back on the same port."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self.come_back()
        return self

    def __exit__(self, *exception: object) -> None:
        self.vanish()

    def come_back(self) -> None:
        """Listen (again)."""
        listener = socket.create_server((self.host, self.port), backlog=128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def vanish(self) -> None:
        """Refuse new connections and cut the open ones."""
        self.refuse()
        self.cut()

    def refuse(self) -> None:
        """Refuse new connections; the open ones go on."""
        listener, self._listener = self._listener, None
        if listener:
            # close() alone would leave accept() waiting, and the port open.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def cut(self) -> None:
        """Reset all open connections, as a crash of the machine behind them would."""
        with self._guard:
            for each in self._open:
                _reset(each)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            with self._guard:
                self.connections += 1
                self._open.add(client)
            threading.Thread(target=self._serve_and_forget, args=(client,), daemon=True).start()

    def _serve_and_forget(self, client: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._serve(client)
        finally:
            with self._guard:
                self._open.discard(client)
            client.close()

    def _serve(self, client: socket.socket) -> None:
        raise NotImplementedError


class TcpProxy(_Proxy):
    """Carries bytes to ``host:port`` and back."""

    def __init__(self, upstream_host: str, upstream_port: int) -> None:
        super().__init__()
        self._upstream = (upstream_host, upstream_port)
        self._flowing = threading.Event()
        self._flowing.set()
        self.bytes_from_server = 0
        self._cut_at: int | None = None

    def freeze(self) -> None:
        """Carry nothing any more, without closing anything: a network that swallows packets."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Carry again."""
        self._flowing.set()

    def cut_after(self, received: int) -> None:
        """Cut the connection over which the server has sent this many bytes in total from now on."""
        self._cut_at = self.bytes_from_server + received

    def _serve(self, client: socket.socket) -> None:
        with socket.create_connection(self._upstream) as server:
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(_CHUNK)
                    self._flowing.wait()
                    if not data:
                        return
                    if source is server:
                        self.bytes_from_server += len(data)
                        if self._cut_at is not None and self.bytes_from_server >= self._cut_at:
                            self._cut_at = None
                            _reset(client)
                            return
                    (server if source is client else client).sendall(data)


@dataclass(frozen=True)
class Request:
    """What a client asked for. ``query`` is the raw query string."""

    method: str
    path: str
    query: str

    @property
    def operation(self) -> str:
        """The S3 operation, as far as method and query tell it: ``PUT uploadId partNumber``, ``POST uploads``, ``GET``, ..."""
        return " ".join([self.method, *sorted(set(parse_qs(self.query, keep_blank_values=True)) & _TELLING)])


_TELLING = {"uploads", "uploadId", "partNumber", "delete", "list-type"}


@dataclass
class _Rule:
    """What happens to the matching requests, after ``skip`` of them, ``times`` times (None: always)."""

    matches: Callable[[Request], bool]
    action: Callable[[_Exchange], None]
    skip: int
    times: int | None
    hits: int = 0

    def claims(self, request: Request) -> bool:
        if self.times == 0 or not self.matches(request):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True


class FaultyProxy(_Proxy):
    """An HTTP proxy in front of the server at ``upstream`` (``http://host:port``); give ``endpoint_url`` to the client.

    Faults choose requests by ``method``, by a part of the path, by a part of the query string; ``skip`` lets the first ones pass, ``times``
    ends the fault. Everything else goes to the real server unchanged, the Host header included, so that signatures stay valid.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__()
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self._rules: list[_Rule] = []
        self._seen: list[Request] = []
        self._news = threading.Condition()
        self.clock_shift = 0.0

    @property
    def endpoint_url(self) -> str:
        """The address to give to the client."""
        return f"http://{self.host}:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in order of arrival."""
        with self._news:
            return list(self._seen)

    def count(self, method: str = "", path: str = "", query: str = "") -> int:
        """Return how many requests matched so far."""
        return sum(map(_matcher(method, path, query), self.requests))

    def wait_for_request(self, method: str = "", path: str = "", query: str = "", *, number: int = 1, seconds: float = 30.0) -> None:
        """Return as soon as ``number`` matching requests have arrived."""
        matches = _matcher(method, path, query)
        with self._news:
            if not self._news.wait_for(lambda: sum(map(matches, self._seen)) >= number, seconds):
                raise TimeoutError(f"Not {number} request(s) {method} {path} {query} within {seconds:g} s; there were {self._seen}.")

    def answer(
        self,
        status: int = 500,
        code: str = "InternalError",
        message: str = "Injected by the test.",
        *,
        method: str = "",
        path: str = "",
        query: str = "",
        skip: int = 0,
        times: int | None = None,
    ) -> _Rule:
        """Answer with an S3 error instead of asking the server."""
        return self._add(lambda exchange: exchange.refuse(status, code, message), method, path, query, skip, times)

    def store_full(self, *, method: str = "PUT", path: str = "", query: str = "", skip: int = 0, times: int | None = None) -> _Rule:
        """Answer as a MinIO does whose disk is full."""
        reason = "Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed."
        return self.answer(507, "XMinioStorageFull", reason, method=method, path=path, query=query, skip=skip, times=times)

    def cut_before(self, *, method: str = "", path: str = "", query: str = "", skip: int = 0, times: int | None = 1) -> _Rule:
        """Reset the connection instead of asking the server."""
        return self._add(lambda exchange: exchange.cut(), method, path, query, skip, times)

    def lose_answer(self, *, method: str = "", path: str = "", query: str = "", skip: int = 0, times: int | None = 1) -> _Rule:
        """Let the server do its work, then reset the connection: the client cannot know."""
        return self._add(lambda exchange: exchange.perform_and_cut(), method, path, query, skip, times)

    def vanish_at(self, *, method: str = "", path: str = "", query: str = "", skip: int = 0) -> _Rule:
        """Be gone for everybody from the next matching request on, until come_back()."""
        return self._add(lambda exchange: self.vanish(), method, path, query, skip, 1)

    def vanish_within(self, passed: int, *, method: str = "", path: str = "", query: str = "", skip: int = 0) -> _Rule:
        """Be gone for everybody once this many bytes of the next matching request's answer were passed on, until come_back()."""

        def pass_some(exchange: _Exchange) -> None:
            exchange.pass_on(passed)
            self.vanish()

        return self._add(pass_some, method, path, query, skip, 1)

    def hold(self, until: threading.Event, *, method: str = "", path: str = "", query: str = "", skip: int = 0, times: int | None = 1) -> _Rule:
        """Pass the request on only when the event is set."""

        def wait_and_pass(exchange: _Exchange) -> None:
            until.wait()
            exchange.pass_on()

        return self._add(wait_and_pass, method, path, query, skip, times)

    def behave(self) -> None:
        """Forget every fault and set the clock right."""
        with self._news:
            self._rules.clear()
        self.clock_shift = 0.0

    def _add(self, action: Callable[[_Exchange], None], method: str, path: str, query: str, skip: int, times: int | None) -> _Rule:
        rule = _Rule(_matcher(method, path, query), action, skip, times)
        with self._news:
            self._rules.append(rule)
        return rule

    def _serve(self, client: socket.socket) -> None:
        proxy = self
        upstream = http.client.HTTPConnection(*self._upstream)

        class Bound(_Exchange):
            """An exchange of this proxy on this connection."""

        Bound.proxy, Bound.upstream = proxy, upstream
        try:
            Bound(client, client.getpeername(), None)  # type: ignore[arg-type]
        finally:
            upstream.close()

    def _action_for(self, request: Request) -> Callable[[_Exchange], None]:
        with self._news:
            self._seen.append(request)
            self._news.notify_all()
            for rule in self._rules:
                if rule.claims(request):
                    return rule.action
        return lambda exchange: exchange.pass_on()


class _Exchange(http.server.BaseHTTPRequestHandler):
    """One connection of a client: requests in, answers of the server (or faults) out."""

    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy
    upstream: http.client.HTTPConnection

    def parse_request(self) -> bool:
        # Every method goes the same way; the base class would look for do_GET, do_PUT, ...
        parsed = super().parse_request()
        if parsed:
            setattr(self, f"do_{self.command}", self._exchange)
        return parsed

    def log_message(self, *arguments: object) -> None:
        """Stay silent: the proxy counts instead."""

    def _exchange(self) -> None:
        self._unread = int(self.headers.get("Content-Length", 0))
        target = urlsplit(self.path)
        self.proxy._action_for(Request(self.command, unquote(target.path), target.query))(self)

    def refuse(self, status: int, code: str, message: str) -> None:
        for dummy in self._body():
            pass
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
        self.send_response_only(status)
        for name, value in (("Date", self._date()), ("Content-Type", "application/xml"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        self.close_connection = True
        _reset(self.connection)

    def perform_and_cut(self) -> None:
        self._ask().read()
        self.cut()

    def pass_on(self, at_most: int | None = None) -> None:
        """Pass the request on, and the server's answer back; of its body ``at_most`` so many bytes, after which the caller has to cut."""
        response = self._ask()
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("date", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Date", self._date(response.getheader("Date")))
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        chunked = response.getheader("Content-Length") is None and not bodiless
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for data in iter(lambda: response.read(_CHUNK), b""):
            piece = data[:at_most]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if at_most is not None:
                at_most -= len(piece)
                if at_most == 0:
                    return
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _ask(self) -> http.client.HTTPResponse:
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            # The base class has answered "100 Continue" already.
            if name.lower() not in ("expect", "connection"):
                self.upstream.putheader(name, value)
        self.upstream.endheaders()
        for data in self._body():
            self.upstream.send(data)
        return self.upstream.getresponse()

    def _body(self) -> Iterator[bytes]:
        while self._unread:
            data = self.rfile.read(min(_CHUNK, self._unread))
            if not data:
                raise ConnectionError("The client left in the middle of its request.")
            self._unread -= len(data)
            yield data

    def _date(self, of_server: str | None = None) -> str:
        moment = email.utils.parsedate_to_datetime(of_server).timestamp() if of_server else time.time()
        return email.utils.formatdate(moment + self.proxy.clock_shift, usegmt=True)


def _matcher(method: str, path: str, query: str) -> Callable[[Request], bool]:
    return lambda request: (not method or request.method == method) and path in request.path and query in request.query


def _reset(connection: socket.socket) -> None:
    # Lingering for zero seconds makes close send RST; shutdown wakes a thread that reads from it.
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
