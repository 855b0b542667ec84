# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands on the page of a report: every figure is that of the catalog, the worst comes first, and nothing is said that was not looked at."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog, UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import Thresholds, judge, unknown
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report import (
    Content,
    Look,
    Report,
    Section,
    When,
    Wishes,
    compose,
    compose_unknown,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report_page import described, is_report, settled
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Policy, decide
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest, restore_test, stored

NOW = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.timezone.utc)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
WISHES = Wishes("Backups", 30, dt.timezone.utc, None)
MONTHLY = Policy(keep_within=Duration("30d", days=30))
CONFIRMED = dataclasses.replace(MONTHLY, max_delete_percent=100)


def backup(age: dt.timedelta, *, size: int = 1000, seconds: float = 60, problems: tuple[str, ...] = (), name: str = "app", **changes: t.Any) -> Backup:
    started = NOW - age
    key = f"{name}_{started:%Y-%m-%d_%H%M%S}.dump"
    facts = manifest(
        **{
            "key": key,
            "name": name,
            "started_at": format_time(started),
            "snapshot_at": format_time(started),
            "finished_at": format_time(started + dt.timedelta(seconds=seconds)),
            "archive": {"format": "custom", "size": size, "sha256": "a" * 64},
            **changes,
        }
    )
    return Backup(key, name, started, facts, size, problems, started)


def trial(found: Backup, age: dt.timedelta, **changes: t.Any) -> tuple[str, RestoreTest]:
    assert found.manifest
    finished = NOW - age
    times = {"started_at": format_time(finished - HOUR), "finished_at": format_time(finished), "snapshot_at": found.manifest.snapshot_at}
    return found.key, restore_test(**{"key": found.key, "name": found.name, "backup_id": found.manifest.backup_id, **times, **changes})


def look(catalog: Catalog, *tests: tuple[str, RestoreTest], name: str = "app", policy: Policy | None = None) -> Look:
    by_archive: dict[str, list[RestoreTest]] = {}
    for key, test in tests:
        by_archive.setdefault(key, []).append(test)
    health = judge(name, catalog, by_archive, Thresholds(), NOW, prefix="", clock_skew=0.0)
    return Look(health, catalog, by_archive, decide(name, catalog, policy, NOW, prefix="", held={}) if policy else None)


def report(*looks: Look, **wishes: t.Any) -> Report:
    return compose(looks, dataclasses.replace(WISHES, **wishes), NOW, location="/backups/", prefix="")


def content(section: Section) -> Content:
    assert section.content
    return section.content


def only(catalog: Catalog, *tests: tuple[str, RestoreTest], **wishes: t.Any) -> Content:
    (section,) = report(look(catalog, *tests, policy=wishes.get("policy")), **wishes).sections
    return content(section)


def day(found: Content, month: str, number: int) -> tuple[int, str | None, str, str]:
    (chosen,) = [one for each in found.calendar if each.title == month for week in each.weeks for one in week if one and one.number == number]
    return chosen.count, chosen.state, chosen.mark, chosen.words


def test_a_store_with_nothing_in_it_is_not_called_good() -> None:
    empty = report()
    assert (empty.verdict, empty.headline) == ("unknown", "There are no backups in this store.")


def test_a_name_without_backups_has_a_section_that_says_so() -> None:
    found = report(look(Catalog()))
    assert found.verdict == "critical"
    nothing = content(found.sections[0])
    assert (nothing.calendar, nothing.charts, nothing.backups, nothing.tests) == ((), (), (), ())
    assert {title: figure for title, figure, _beside in nothing.facts} == {"Valid backups": "0", "Last restore proved": "never"}


def test_what_could_not_be_read_has_its_reason_and_no_figures() -> None:
    found = report(Look(unknown("app", "The store went away.")), look(Catalog(backups=(backup(HOUR),)), name="app"))
    assert (found.sections[0].verdict, found.sections[0].content) == ("unknown", None)
    assert [reason.sentence for reason in found.sections[0].reasons] == ["The store went away."]
    assert found.verdict == "unknown"
    whole = compose_unknown("No route.", WISHES, NOW, location="/backups/")
    assert (whole.verdict, whole.sections, whole.reasons[0].sentence) == ("unknown", (), "No route.")


def test_the_worst_stand_first_and_the_headline_names_them() -> None:
    good = look(Catalog(backups=(backup(HOUR, name="a"),)), name="a")
    bad = look(Catalog(), name="z")
    doubtful = look(Catalog(backups=(backup(26 * HOUR, name="m"),)), name="m")
    found = report(good, doubtful, bad)
    assert [section.name for section in found.sections] == ["z", "m", "a"]
    assert len({section.anchor for section in found.sections}) == 3
    assert found.headline == "2 of 3 names need to be looked at: z, m."
    assert report(good).headline == "Every check of the backups found nothing wrong."


def test_headline_figures_are_those_of_the_newest_valid_backup() -> None:
    newest = backup(2 * HOUR, size=5 * 1024**2, seconds=83)
    invalid = backup(HOUR, problems=("It is short.",))
    oldest = backup(9 * DAY, size=3 * 1024**2)
    found = only(Catalog(backups=(invalid, newest, oldest)), trial(oldest, 3 * DAY, rto=75.0))
    facts = {title: (figure.text if isinstance(figure, When) else figure, beside) for title, figure, beside in found.facts}
    assert facts == {
        "Newest valid backup": ("2026-03-10 10:00", "42 rows"),
        "Valid backups": ("2", "8.0 MiB in all"),
        "Its size": ("5.0 MiB", "in 1 min 23 s"),
        "History since": ("2026-03-01 12:00", ""),
        "Last restore proved": ("2026-03-07 12:00", "in 1 min 15 s"),
    }
    assert found.counts == {"backups": 3, "valid": 2, "orphans": 0, "broken": 0, "foreign": 0, "unfinished": 0, "restore_tests": 1}


def test_each_day_shows_how_many_and_the_worst() -> None:
    found = only(
        Catalog(
            backups=(
                backup(-3 * DAY),
                backup(HOUR),
                backup(2 * HOUR),
                backup(DAY),
                backup(2 * DAY, problems=("It is short.",)),
                backup(2 * DAY + HOUR),
            ),
            broken=(backup(3 * DAY, problems=("It is missing.",)),),
            orphans=(stored(f"app_{NOW - 4 * DAY:%Y-%m-%d_%H%M%S}.dump"),),
        )
    )
    march = "March 2026"
    assert [each.title for each in found.calendar] == [march]
    assert day(found, march, 10) == (2, "valid", "2", "2 valid backups")
    assert day(found, march, 9) == (1, "valid", "", "1 valid backup")
    assert day(found, march, 8) == (2, "invalid", "2!", "1 valid backup, 1 backup that is not valid")
    assert day(found, march, 7) == (1, "invalid", "!", "1 backup that is not valid")
    assert day(found, march, 6) == (1, "orphan", "?", "1 archive without a manifest")
    assert day(found, march, 5) == (0, None, "", "no backup")
    assert day(found, march, 13) == (1, "future", "!", "1 backup dated in the future")
    assert found.calendar[0].words == "8 on 6 days"
    assert all(len(week) == 7 for week in found.calendar[0].weeks)
    # The first of March 2026 was a Sunday.
    assert [one and one.number for one in found.calendar[0].weeks[0]] == [None] * 6 + [1]


@pytest.mark.parametrize(("age", "months"), [(0, 1), (9, 1), (10, 2), (334, 12), (2000, 12)])
def test_a_calendar_has_twelve_months_at_most(age: int, months: int) -> None:
    found = only(Catalog(backups=(backup(age * DAY),)))
    assert (len(found.calendar), found.calendar[-1].title) == (months, "March 2026")


def test_days_and_times_are_those_of_the_zone() -> None:
    late = backup(dt.timedelta(hours=13))
    found = only(Catalog(backups=(late,)), zone=dt.timezone(dt.timedelta(hours=2)))
    assert day(found, "March 2026", 10)[0] == 1
    assert found.backups[0].when == When("2026-03-09T23:00:00.000Z", "2026-03-10 01:00")


def test_a_key_next_to_the_first_year_is_no_crash() -> None:
    strange = Backup("app_0001-01-01_000000.dump", "app", dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc), None, 10, ("It is not JSON.",))
    found = only(Catalog(backups=(backup(HOUR), strange)), zone=dt.timezone(dt.timedelta(hours=-2)))
    assert found.backups[1].when.text.endswith("01-01 00:00")


def test_charts_have_the_regular_backups_and_mark_what_is_not_valid() -> None:
    days = [backup(number * DAY, size=1000 + number, seconds=10 + number) for number in range(1, 6)]
    adopted = backup(6 * DAY, size=9000, adopted={"at": "", "unknown": []})
    others = (
        backup(-DAY, size=77),
        *days,
        adopted,
        backup(7 * DAY, size=5, reason="pre_restore"),
        backup(8 * DAY, size=6, problems=("It is short.",)),
    )
    sizes, durations = only(Catalog(backups=others)).charts
    assert [point.value for point in sizes.points] == [9000, 1005, 1004, 1003, 1002, 1001]
    assert [point.value for point in sizes.marked] == [6]
    assert [point.value for point in durations.points] == [15, 14, 13, 12, 11]
    assert sizes.words == "From 1001 B to 8.8 KiB, the newest 1001 B. 1 not valid, marked with a cross."
    assert [point.moment for point in sizes.points] == sorted(point.moment for point in sizes.points)


@pytest.mark.parametrize(("count", "charts"), [(0, 0), (2, 0), (3, 2), (40, 2)])
def test_few_backups_make_no_chart(count: int, charts: int) -> None:
    assert len(only(Catalog(backups=tuple(backup(number * DAY) for number in range(count)))).charts) == charts


def test_restore_tests_are_listed_newest_first_with_their_verdict_and_times() -> None:
    one, two = backup(DAY), backup(2 * DAY)
    failed = trial(one, HOUR, verdict="failed", reasons=["A table is empty."], rto=None, rpo=None, level=None)
    found = only(Catalog(backups=(one, two)), trial(two, 30 * HOUR, rto=61.0, rpo=3600.0), failed)
    assert [(row.verdict, row.passed, row.rto, row.rpo, row.level, row.reasons) for row in found.tests] == [
        ("failed", False, "", "", "", ("A table is empty.",)),
        ("passed", True, "1 min 1 s", "1 h 0 min", "rows and content", ()),
    ]
    assert [row.tested for row in found.backups] == ["failed", "passed"]
    many = only(Catalog(backups=(one,)), *(trial(one, number * HOUR, test_id=str(number)) for number in range(1, 21)))
    assert (len(many.tests), many.more_tests) == (12, 8)


def test_only_the_newest_are_listed_and_the_rest_is_counted_by_month() -> None:
    many = tuple(backup(number * DAY, problems=("It is short.",) if number in (3, 60) else ()) for number in range(100))
    found = only(Catalog(backups=many), limit=7)
    assert [row.key for row in found.backups] == [each.key for each in many[:7]]
    assert [row.state for row in found.backups].count("invalid") == 1
    assert found.rest_count == 93 == sum(month.count for month in found.rest)
    assert found.rest[0].title == "March 2026"
    assert [(month.title, month.count, month.valid) for month in found.rest] == [
        ("March 2026", 3, 3),
        ("February 2026", 28, 28),
        ("January 2026", 31, 30),
        ("December 2025", 31, 31),
    ]
    # One that cannot be restored is named however old it is.
    (trouble,) = found.troubles
    assert (trouble.count, trouble.keys) == (1, (many[60].key,))


def test_notes_say_what_is_special() -> None:
    found = only(Catalog(backups=(backup(HOUR, reason="pre_restore", pinned=True, labels={"ticket": "7"}),)))
    assert found.backups[0].notes == ("before a restore", "pinned", "ticket: 7")


def test_without_a_policy_nothing_is_said_of_retention() -> None:
    assert only(Catalog(backups=(backup(HOUR),))).outlook is None


def test_what_goes_next_is_what_retention_decides() -> None:
    many = tuple(backup(number * 10 * DAY, size=1024) for number in range(8))
    outlook = only(Catalog(backups=many), policy=CONFIRMED, limit=3).outlook
    assert outlook
    assert [row.key for row in outlook.going] == [each.key for each in reversed(many[5:])]
    assert (outlook.staying, outlook.more, outlook.freed, outlook.refusals) == (4, 1, "4.0 KiB", ())
    assert outlook.going[0].reasons == ("No rule of the policy keeps it.",)
    assert outlook.policy == "keep_within 30d, min_keep 3, keep_safety 90d"


def test_what_retention_would_refuse_is_said() -> None:
    many = tuple(backup(number * 20 * DAY) for number in range(20))
    outlook = only(Catalog(backups=many), policy=MONTHLY).outlook
    assert outlook
    assert "max_delete_percent (50)" in outlook.refusals[0]
    held = only(Catalog(backups=many), policy=dataclasses.replace(CONFIRMED, require_restore_test=Duration("35d", days=35))).outlook
    assert held
    assert (len(held.going), len(held.refusals)) == (0, 1)
    assert "no backup has passed a restore test" in held.refusals[0]


def test_what_is_no_backup_is_counted_and_named() -> None:
    found = only(
        Catalog(
            backups=(backup(HOUR),),
            broken=(backup(2 * DAY, problems=("It is missing.",)),),
            orphans=tuple(stored(f"app_2026-02-{number:02d}_000000.dump") for number in range(1, 26)),
            foreign=(stored("app_notes.txt"),),
            unfinished=(UnfinishedUpload("app_2026-03-10_110000.dump", "1", NOW),),
        )
    )
    assert [(trouble.count, len(trouble.keys)) for trouble in found.troubles] == [(1, 1), (25, 20), (1, 1), (1, 1)]
    # The newest of those that do not fit.
    assert found.troubles[1].keys[0] == "app_2026-02-25_000000.dump"


def test_the_summary_has_a_line_for_each_name() -> None:
    gone = Look(unknown("y", "It went away."))
    found = report(look(Catalog(backups=(backup(HOUR), backup(DAY)), foreign=(stored("app_x"),))), look(Catalog(), name="z"), gone)
    assert found.summary() == [
        "Backups: critical. 2 of 3 names need to be looked at: z, y.",
        "z: critical, 0 of 0 backups valid",
        "y: unknown, not read",
        "app: ok, 2 of 2 backups valid, foreign: 1",
    ]


AGES = st.integers(0, 800).map(lambda days: days * DAY)
BACKUPS = st.lists(st.tuples(AGES, st.booleans()), max_size=60, unique_by=lambda each: each[0])


@given(BACKUPS, st.integers(1, 40))
def test_every_backup_is_counted_once(found: list[tuple[dt.timedelta, bool]], limit: int) -> None:
    newest_first = tuple(backup(age, problems=() if good else ("It is short.",)) for age, good in sorted(found))
    shown = only(Catalog(backups=newest_first), limit=limit, policy=CONFIRMED)
    assert len(shown.backups) + sum(month.count for month in shown.rest) == len(newest_first)
    assert sum(row.state == "valid" for row in shown.backups) + sum(month.valid for month in shown.rest) == shown.counts["valid"]
    in_calendar = [each for each in newest_first if shown.calendar and each.started >= dt.datetime(2025, 4, 1, tzinfo=dt.timezone.utc)]
    assert sum(one.count for month in shown.calendar for week in month.weeks for one in week if one) == len(in_calendar)
    assert shown.outlook
    assert len(shown.outlook.going) + shown.outlook.more + shown.outlook.staying == len(newest_first)


PAGE = (
    '<meta name="generator" content="workon.postgresql_backup.pg_backup_report"><meta name="description" content="a &amp;\nb">'
    'As of <time id="judged" datetime="{0}">{0}</time>. <span class="sentence">The newest is {1} old (max_age_warning is 25h).</span><td>{2}</td>'
)


def test_the_passing_of_time_alone_is_no_change() -> None:
    page = PAGE.format("10:00", "26 h 3 min", "5 min")
    assert settled(page) == settled(PAGE.format("11:00", "27 h 4 min", "5 min"))
    assert settled(page) == settled(PAGE.format("11:00", "4 days 3 h", "5 min"))
    # What a table says is no age, and a threshold is not one either.
    assert settled(page) != settled(PAGE.format("10:00", "26 h 3 min", "6 min"))
    assert settled(page) != settled(page.replace("25h", "26h"))


def test_a_report_is_known_by_its_generator() -> None:
    assert is_report(PAGE)
    assert not is_report("<html><p>workon.postgresql_backup.pg_backup_report</p></html>")
    assert described(PAGE) == "a &amp;\nb"
    assert described("<html>") == ""
