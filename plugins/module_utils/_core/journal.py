# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The journal of a restore: which state it reached when, as data for the result and as lines for the store."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time

STATES = ("planned", "locked", "saved", "created", "loaded", "proved", "swapped", "checked", "done")
"""The states of a restore in their order. Until ``swapped`` the live database is as it was."""


@dataclasses.dataclass(frozen=True)
class Event:
    """One line: a state that was reached, or something that happened on the way."""

    at: dt.datetime
    state: str
    detail: dict[str, t.Any]


class Journal:
    """Events in their order. ``clock`` tells the time in UTC; ``listener`` is called with each state once what it means has happened."""

    def __init__(self, restore_id: str, clock: t.Callable[[], dt.datetime], listener: t.Callable[[str], None]) -> None:
        self.restore_id = restore_id
        self._clock, self._listener = clock, listener
        self.began = clock()
        self._events: list[Event] = []

    def reach(self, state: str, **detail: t.Any) -> None:
        """Record a state, or an event that is none of them."""
        self._events.append(Event(self._clock(), state, detail))
        self._listener(state)

    def reached(self, state: str) -> bool:
        """Say whether a state was reached."""
        return any(event.state == state for event in self._events)

    def states(self) -> list[dict[str, t.Any]]:
        """Return the states with their time and how many seconds each took."""
        found = []
        before = self.began
        for event in self._events:
            seconds = (event.at - before).total_seconds()
            found.append({"state": event.state, "at": format_time(event.at), "seconds": round(seconds, 3), **event.detail})
            before = event.at
        return found

    def lines(self) -> bytes:
        """Return the journal as JSON lines."""
        return "".join(
            json.dumps({"ts": format_time(event.at), "restore_id": self.restore_id, "state": event.state, **event.detail}, ensure_ascii=False) + "\n"
            for event in self._events
        ).encode()
