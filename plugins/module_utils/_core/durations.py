# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Lengths of time as restic writes them: ``1y6m``, ``30d``, ``48h``."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import re

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

_PARTS = re.compile(r"(?:(?P<years>[0-9]{1,6})y)?(?:(?P<months>[0-9]{1,6})m)?(?:(?P<weeks>[0-9]{1,6})w)?(?:(?P<days>[0-9]{1,6})d)?(?:(?P<hours>[0-9]{1,6})h)?")
_BEGINNING = dt.datetime.min.replace(tzinfo=dt.timezone.utc)


@dataclasses.dataclass(frozen=True)
class Duration:
    """Years, months and days are those of a calendar, hours are hours."""

    text: str
    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0
    hours: int = 0

    def before(self, moment: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
        """Return the moment this long before another one, in the zone's calendar.

        Wherever the calendar leaves a choice it is the earlier moment, with which more is kept: the last day of a shorter month,
        the first of two equal hours in autumn.
        """
        local = moment.astimezone(zone)
        year, month = divmod(local.year * 12 + local.month - 1 - self.years * 12 - self.months, 12)
        with contextlib.suppress(OverflowError, ValueError):
            first = local.replace(year=year, month=month + 1, day=min(local.day, _days_in(year, month + 1)))
            wall = first - dt.timedelta(days=self.days + 7 * self.weeks)
            return min(wall.replace(fold=fold).astimezone(dt.timezone.utc) for fold in (0, 1)) - dt.timedelta(hours=self.hours)
        # Before the first year of the calendar.
        return _BEGINNING


def parse_duration(text: str, option: str) -> Duration:
    """Read a duration, or raise a sentence that names the option; nothing at all is no duration."""
    found = _PARTS.fullmatch(text.strip())
    parts = {name: int(number) for name, number in found.groupdict().items() if number} if found else {}
    if not any(parts.values()):
        raise BackupError(
            f"{option} is {text!r}, which is no length of time. Write it as years, months, weeks, days and hours in this order, for example 30d, 1y6m or 48h."
        )
    return Duration(text.strip(), **parts)


def _days_in(year: int, month: int) -> int:
    following = dt.date(year + month // 12, month % 12 + 1, 1)
    return (following - dt.timedelta(days=1)).day
