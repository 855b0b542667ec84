# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A calendar of backups: for each day how many there are and the worst of them, in words as well as in a mark."""

from __future__ import annotations

import calendar
import collections
import contextlib
import dataclasses
import datetime as dt
import typing as t

State = t.Literal["valid", "orphan", "invalid", "future"]
# From good to bad. An archive without a manifest may be that of a backup that runs; what is dated in the future is not to be trusted at all.
STATES: tuple[State, ...] = ("valid", "orphan", "invalid", "future")
# What a day shows beside its number, so that nothing is said by colour alone.
MARKS: dict[State, str] = {"valid": "", "orphan": "?", "invalid": "!", "future": "!"}

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NOUNS: dict[State, tuple[str, str]] = {
    "valid": ("valid backup", "valid backups"),
    "orphan": ("archive without a manifest", "archives without a manifest"),
    "invalid": ("backup that is not valid", "backups that are not valid"),
    "future": ("backup dated in the future", "backups dated in the future"),
}


@dataclasses.dataclass(frozen=True)
class Day:
    """One day. ``state`` is the worst of what was begun on it, None where nothing was; ``words`` say all of it to whoever sees no colours."""

    number: int
    count: int
    state: State | None
    words: str

    @property
    def mark(self) -> str:
        """Return what stands below the number: how many where it is not one, and a sign where one is not good."""
        many = f"{self.count}" if self.count > 1 else ""
        return many + (MARKS[self.state] if self.state else "")


@dataclasses.dataclass(frozen=True)
class Month:
    """One month, in weeks from Monday; None where a week's day belongs to another month."""

    title: str
    words: str
    weeks: tuple[tuple[Day | None, ...], ...]


def counted(count: int, singular: str, plural: str) -> str:
    """Write a number with its noun."""
    return f"{count:,} {singular if count == 1 else plural}"


def local_time(moment: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return the moment as clocks in the zone show it; next to year 1 and 9999, which keys can name, as it is."""
    with contextlib.suppress(OverflowError):
        return moment.astimezone(zone)
    return moment


def make_calendar(found: t.Iterable[tuple[dt.datetime, State]], today: dt.datetime, *, months: int = 12) -> tuple[Month, ...]:
    """Return the months from the first in which something was begun to today's, the newest ``months`` at most, oldest first.

    All moments are local ones already; with nothing at all there is no calendar.
    """
    days: dict[dt.date, collections.Counter[State]] = {}
    for moment, state in found:
        days.setdefault(moment.date(), collections.Counter())[state] += 1
    if not days:
        return ()
    last = _month_number(today.date())
    first = max(min(_month_number(day) for day in days), last - months + 1)
    return tuple(_month(number, days) for number in range(first, last + 1)) or (_month(last, days),)


def _month_number(day: dt.date) -> int:
    return day.year * 12 + day.month - 1


def _month(number: int, days: t.Mapping[dt.date, collections.Counter[State]]) -> Month:
    year, month = number // 12, number % 12 + 1
    weeks = tuple(
        tuple(_day(day, days.get(day)) if day.month == month else None for day in week) for week in calendar.Calendar().monthdatescalendar(year, month)
    )
    mine = [counts for day, counts in days.items() if (day.year, day.month) == (year, month)]
    total = sum(sum(counts.values()) for counts in mine)
    return Month(f"{MONTHS[month - 1]} {year}", f"{total:,} on {counted(len(mine), 'day', 'days')}" if total else "none", weeks)


def _day(day: dt.date, counts: collections.Counter[State] | None) -> Day:
    if not counts:
        return Day(day.day, 0, None, "no backup")
    what = ", ".join(counted(counts[state], *_NOUNS[state]) for state in STATES if counts[state])
    return Day(day.day, sum(counts.values()), max(counts, key=STATES.index), what)
