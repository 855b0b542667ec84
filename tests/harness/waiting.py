# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a condition by asking again until a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


class NotYet(Exception):
    """Raised by a probe whose condition does not hold yet; its text says why."""


def wait_for(probe: Callable[[], Answer], what: str, *, seconds: float = 30.0, interval: float = 0.02) -> Answer:
    """Return the first answer of ``probe`` that is not a NotYet; TimeoutError names ``what`` and the last reason."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        try:
            return probe()
        except NotYet as reason:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{what}: not within {seconds:g} s. {reason}") from reason
        pause.wait(interval)
        interval = min(interval * 1.3, 0.25)
