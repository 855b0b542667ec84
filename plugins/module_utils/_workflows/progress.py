# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""How a long step tells how far it is, and how it learns that its time is over."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import TimeLimitError

Progress = t.Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``; ``total`` is 0 where it is not known."""


_UNDONE = {"backup": "nothing was published", "restore": "the live database was not touched", "restore test": "its copy was dropped"}


def silent(step: str, done: int, total: int) -> None:
    """Show nothing."""


class TimeLimit:
    """One time limit over everything that a run starts: at its end all of it is stopped, and the run fails with one sentence about its ``work``."""

    def __init__(self, seconds: int | None, work: str = "backup") -> None:
        self._seconds, self._work = seconds, work
        self._lock = threading.Lock()
        self._stops: list[t.Callable[[], None]] = []
        self._timer = threading.Timer(seconds, self._expire) if seconds else None
        self.expired = False

    def __enter__(self) -> TimeLimit:
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._timer:
            self._timer.cancel()

    def on_expiry(self, stop: t.Callable[[], None]) -> None:
        """Have something stopped at the limit; at once when it has passed already."""
        with self._lock:
            self._stops.append(stop)
            expired = self.expired
        if expired:
            _quietly(stop)

    def check(self) -> None:
        """Raise when the limit has passed."""
        if self.expired:
            raise TimeLimitError(
                f"The {self._work} did not end within timeout ({self._seconds} seconds), so it was stopped and {_UNDONE[self._work]}. "
                "Set timeout to more seconds."
            )

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            stops = list(self._stops)
        # Side by side: one that waits for a host that is gone must not hold up the others.
        for stop in stops:
            threading.Thread(target=_quietly, args=(stop,), daemon=True).start()


def _quietly(stop: t.Callable[[], None]) -> None:
    with contextlib.suppress(Exception):
        stop()
