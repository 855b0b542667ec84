# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal says what was reached when, in the order in which it happened, and tells whoever listens."""

from __future__ import annotations

import datetime as dt
import json

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.journal import STATES, Journal
from ansible_collections.workon.postgresql_backup.tests.unit.facts import STARTED


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = STARTED

    def __call__(self) -> dt.datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


def test_each_state_has_its_time_and_how_long_it_took() -> None:
    clock = Clock()
    journal = Journal("3f2a", clock, lambda state: None)
    clock.wait(0.5)
    journal.reach("locked", strategy="swap")
    clock.wait(90.0004)
    journal.reach("saved", key="k")
    assert journal.states() == [
        {"state": "locked", "at": "2026-01-08T10:30:00.500Z", "seconds": 0.5, "strategy": "swap"},
        {"state": "saved", "at": "2026-01-08T10:31:30.500Z", "seconds": 90.0, "key": "k"},
    ]
    assert journal.began == STARTED


def test_what_was_reached_is_known() -> None:
    journal = Journal("3f2a", Clock(), lambda state: None)
    assert not journal.reached("swapped")
    assert (journal.states(), journal.lines()) == ([], b"")
    journal.reach("swapped")
    journal.reach("swapped_back")
    assert journal.reached("swapped")
    assert not journal.reached("done")


def test_whoever_listens_is_told_when_it_is_recorded() -> None:
    told = []
    journal = Journal("3f2a", Clock(), lambda state: told.append((state, journal.reached(state))))
    for state in STATES:
        journal.reach(state)
    assert told == [(state, True) for state in STATES]


def test_its_lines_are_json_with_whose_they_are() -> None:
    journal = Journal("3f2a", Clock(), lambda state: None)
    journal.reach("created", database='Größe "x"\n')
    journal.reach("failed", problem="no room")
    lines = journal.lines().decode().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"ts": "2026-01-08T10:30:00.000Z", "restore_id": "3f2a", "state": "created", "database": 'Größe "x"\n'},
        {"ts": "2026-01-08T10:30:00.000Z", "restore_id": "3f2a", "state": "failed", "problem": "no room"},
    ]
    assert journal.lines().endswith(b"\n")
