# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A duration goes back in the calendar, and wherever the calendar leaves a choice, further back."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration, parse_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
UTC = dt.timezone.utc


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("30d", {"days": 30}),
        ("48h", {"hours": 48}),
        ("1y6m", {"years": 1, "months": 6}),
        ("2y5m1w7d3h", {"years": 2, "months": 5, "weeks": 1, "days": 7, "hours": 3}),
        (" 90d ", {"days": 90}),
        ("0y1d", {"days": 1}),
    ],
)
def test_a_duration_is_read(text: str, parts: dict[str, int]) -> None:
    read = parse_duration(text, "keep_within")
    assert {name: getattr(read, name) for name in ("years", "months", "weeks", "days", "hours") if getattr(read, name)} == parts
    assert read.text == text.strip()


@pytest.mark.parametrize("text", ["", "0d", "30", "30 days", "-1d", "1.5d", "d", "1d1y", "30D", "٣d", "1000000000d", "1d 2h", "30s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BackupError, match=r"^keep_within is .*no length of time.*30d"):
        parse_duration(text, "keep_within")


@pytest.mark.parametrize(
    ("moment", "text", "before"),
    [
        ("2026-01-31T10:30:00", "30d", "2026-01-01T10:30:00"),
        ("2026-01-31T10:30:00", "2w", "2026-01-17T10:30:00"),
        ("2026-01-31T10:30:00", "25h", "2026-01-30T09:30:00"),
        # Leap days, and months that are too short: the last day there is.
        ("2024-02-29T10:30:00", "1y", "2023-02-28T10:30:00"),
        ("2024-02-29T10:30:00", "4y", "2020-02-29T10:30:00"),
        ("2024-03-31T10:30:00", "1m", "2024-02-29T10:30:00"),
        ("2023-03-31T10:30:00", "1m", "2023-02-28T10:30:00"),
        ("2025-03-01T10:30:00", "1d", "2025-02-28T10:30:00"),
        ("2024-03-01T10:30:00", "1d", "2024-02-29T10:30:00"),
        ("2026-12-31T10:30:00", "10m", "2026-02-28T10:30:00"),
        ("2026-01-15T10:30:00", "13m", "2024-12-15T10:30:00"),
        ("2100-03-01T00:00:00", "1d", "2100-02-28T00:00:00"),
        # Before the calendar begins.
        ("2026-01-15T10:30:00", "9999y", "0001-01-01T00:00:00"),
        ("2026-01-15T10:30:00", "999999d", "0001-01-01T00:00:00"),
    ],
)
def test_the_calendar(moment: str, text: str, before: str) -> None:
    assert parse_duration(text, "x").before(at(moment), UTC) == at(before)


@pytest.mark.parametrize(
    ("moment", "text", "before"),
    [
        # A day back over the change is the same hour on the clock, so 23 or 25 hours.
        ("2026-03-29T12:00:00", "1d", "2026-03-28T13:00:00"),
        ("2026-10-25T12:00:00", "1d", "2026-10-24T11:00:00"),
        # 24 hours are 24 hours.
        ("2026-10-25T12:00:00", "24h", "2026-10-24T12:00:00"),
        # 02:30 on the day on which it is there twice: the first.
        ("2026-10-26T01:30:00", "1d", "2026-10-25T00:30:00"),
        # 02:30 on the day on which there is none: the earlier reading.
        ("2026-03-30T00:30:00", "1d", "2026-03-29T00:30:00"),
    ],
)
def test_the_clock_s_changes(moment: str, text: str, before: str) -> None:
    assert parse_duration(text, "x").before(at(moment), BERLIN) == at(before)


@given(
    st.integers(631_152_000, 3_786_912_000).map(lambda seconds: dt.datetime.fromtimestamp(seconds, UTC)),
    st.builds(lambda y, m, w, d, h: Duration("", y, m, w, d, h), *(st.integers(0, top) for top in (3, 40, 10, 400, 100))),
    st.sampled_from([UTC, BERLIN, zoneinfo.ZoneInfo("Australia/Lord_Howe"), zoneinfo.ZoneInfo("America/St_Johns")]),
)
def test_it_is_never_shorter_than_its_shortest_reading(moment: dt.datetime, duration: Duration, zone: dt.tzinfo) -> None:
    shortest = dt.timedelta(days=365 * duration.years + 28 * duration.months + 7 * duration.weeks + duration.days, hours=duration.hours)
    back = moment - duration.before(moment, zone)
    # An hour of summer time can go once, two can never.
    assert back >= shortest - dt.timedelta(hours=1)
    assert back <= dt.timedelta(days=366 * duration.years + 31 * duration.months + 7 * duration.weeks + duration.days + 3, hours=duration.hours + 2)
