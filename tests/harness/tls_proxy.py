# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy that ends TLS, as many stores have one before them: the server behind it sees requests without TLS and is told nothing."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from typing import Self
from urllib.parse import urlsplit

from harness.certificates import Certificate

_CHUNK = 65536


class TlsProxy(socketserver.ThreadingTCPServer):
    """Listens with TLS on a port of its own, and hands the bytes on to a server that listens without."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, server_url: str, certificate: Certificate) -> None:
        behind = urlsplit(server_url)
        self.behind = (str(behind.hostname), int(behind.port or 80))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate.path, certificate.key)
        super().__init__(("127.0.0.1", 0), _Connection)

    @property
    def endpoint_url(self) -> str:
        """The address to give to a client."""
        return f"https://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: TlsProxy

    def handle(self) -> None:
        # Whichever side breaks off, the other one is told by its end.
        with (
            contextlib.suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as client,
            socket.create_connection(self.server.behind) as server,
        ):
            answers = threading.Thread(target=_hand_on, args=(server, client), daemon=True)
            answers.start()
            _hand_on(client, server)
            answers.join()


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
