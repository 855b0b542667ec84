# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports."""

from __future__ import annotations

import contextlib
import socket

_handed_out: set[int] = set()


def free_port(host: str = "127.0.0.1", *, companion: int = 0) -> int:
    """Return a port nobody listens on, and never the same one twice in this process.

    With ``companion`` the port that lies so much higher is free too. The kernel offers a port again as soon as the probe is closed,
    hence the memory.
    """
    with contextlib.ExitStack() as held:
        for dummy in range(1000):
            port = _bind(held, host, 0)
            if port and port not in _handed_out and port + companion <= 65535 and (not companion or _bind(held, host, port + companion)):
                _handed_out.update((port, port + companion))
                return port
    raise RuntimeError(f"No free port on {host}.")


def _bind(held: contextlib.ExitStack, host: str, port: int) -> int | None:
    probe = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM))
    try:
        probe.bind((host, port))
    except OSError:
        return None
    bound: int = probe.getsockname()[1]
    return bound
