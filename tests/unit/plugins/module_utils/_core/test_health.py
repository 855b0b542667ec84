# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each threshold tells what is just good from what is just not, and nothing that could not be seen counts as good."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import (
    STATES,
    CriticalTable,
    NameHealth,
    Thresholds,
    Verdict,
    age_in_words,
    check_thresholds,
    combine,
    unknown,
    worst,
)
from ansible_collections.workon.postgresql_backup.tests.unit.health import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    backup,
    broken,
    judged,
    key,
    orphan,
    record_of,
    unfinished,
)

VERDICTS: list[Verdict] = ["ok", "warning", "critical", "unknown"]


def only(health: NameHealth, check: str) -> str:
    """Return the sentence of the only reason there is, which must be this check's."""
    (reason,) = health.reasons
    assert reason.check == check
    assert reason.verdict == health.verdict
    return reason.sentence


def test_a_certain_disaster_outranks_what_is_not_known_and_that_a_warning() -> None:
    assert sorted(VERDICTS, key=lambda verdict: [worst([verdict, other]) for other in VERDICTS].count(verdict)) == ["ok", "warning", "unknown", "critical"]


def test_of_nothing_nothing_is_known() -> None:
    assert worst([]) == "unknown"
    assert combine([], now=NOW, destination="d").verdict == "unknown"


@given(st.lists(st.sampled_from(VERDICTS), min_size=1))
def test_the_worst_is_one_of_them_and_its_order_is_nothing(verdicts: list[Verdict]) -> None:
    assert worst(verdicts) in verdicts
    assert worst(verdicts) == worst(reversed(verdicts))
    assert (worst(verdicts) == "ok") is (set(verdicts) == {"ok"})


def test_all_is_well() -> None:
    health = judged(backup(HOUR, rows=42), backup(DAY, rows=40))
    assert (health.verdict, health.reasons) == ("ok", ())
    assert health.summary == "app: the newest valid backup is 60 min old (1000 B, 42 rows), 2 valid in the store, no restore test is known."


# --- age


@pytest.mark.parametrize(
    ("age", "verdict"),
    [(25 * HOUR, "ok"), (25 * HOUR + SECOND, "warning"), (30 * HOUR, "warning"), (30 * HOUR + SECOND, "critical"), (400 * DAY, "critical")],
)
def test_the_age_of_the_newest(age: dt.timedelta, verdict: str) -> None:
    health = judged(backup(age), backup(500 * DAY))
    assert health.verdict == verdict
    if verdict != "ok":
        sentence = only(health, "age")
        assert f"{age_in_words(age.total_seconds())} ago" in sentence
        assert ("max_age_critical is 30h" in sentence) is (verdict == "critical")


def test_the_founding_24_hours_need_one_option() -> None:
    strict = Thresholds(max_age_critical=Duration("24h", hours=24))
    assert judged(backup(24 * HOUR), thresholds=strict).verdict == "ok"
    assert "max_age_critical is 24h" in only(judged(backup(24 * HOUR + SECOND), thresholds=strict), "age")


def test_the_age_is_that_of_the_data_and_not_of_the_upload() -> None:
    slow = backup(HOUR, snapshot_at="2026-01-06T10:30:00.000Z")
    health = judged(slow)
    assert health.verdict == "critical"
    assert "as it was at 2026-01-06T10:30:00.000Z, 48 h 0 min ago" in only(health, "age")


@pytest.mark.parametrize("reason", ["pre_restore", "incident"])
def test_a_safety_backup_is_no_backup_for_tonight(reason: str) -> None:
    assert "There is no valid backup of app (but 1 taken before a restore or of an incident" in only(judged(backup(HOUR, reason=reason)), "age")
    assert judged(backup(HOUR, reason=reason), backup(31 * HOUR)).verdict == "critical"


def test_the_age_points_to_what_was_left_of_later_attempts() -> None:
    sentence = only(judged(backup(26 * HOUR), orphans=[orphan(2 * HOUR), orphan(27 * HOUR)]), "age")
    assert f"Newer, but without a manifest, is the archive {key(2 * HOUR)}:" in sentence
    assert key(27 * HOUR) not in sentence


def test_without_any_backup_it_is_critical() -> None:
    health = judged()
    assert health.verdict == "critical"
    assert only(health, "age").startswith("There is no valid backup of app. Check name and prefix")
    assert health.facts["newest"] is None
    assert health.facts["counts"] == dict.fromkeys(STATES, 0)


def test_without_a_valid_one_it_says_what_there_is() -> None:
    health = judged(backup(problems=("Broken.",)), orphans=[orphan(HOUR)], lost=[broken(2 * HOUR)])
    age = next(reason.sentence for reason in health.reasons if reason.check == "age")
    assert "(but 2 that cannot be restored, 1 without a manifest)" in age


# --- size


@pytest.mark.parametrize(("size", "verdict"), [(1_000_000, "ok"), (999_999, "critical")])
def test_a_size_below_the_least(size: int, verdict: str) -> None:
    health = judged(backup(size=size), thresholds=Thresholds(min_size=1_000_000))
    assert health.verdict == verdict
    assert verdict == "ok" or f"has {size} bytes, less than min_size (1000000)" in only(health, "size")


def test_a_small_database_is_no_alarm_by_itself() -> None:
    assert judged(backup(size=0)).verdict == "ok"


@pytest.mark.parametrize(("size", "verdict"), [(500, "ok"), (499, "critical"), (1500, "ok"), (1501, "warning"), (0, "critical")])
def test_a_size_that_changes(size: int, verdict: str) -> None:
    health = judged(backup(size=size), *(backup(days * DAY) for days in range(1, 4)))
    assert health.verdict == verdict
    if verdict != "ok":
        words = "more than" if size > 1000 else "less than"
        assert words in only(health, "size_delta")
        assert "median of the last 3 before it (max_size_delta is 50 %)" in only(health, "size_delta")


def test_two_bad_ones_in_a_row_do_not_hide_each_other() -> None:
    halved = [backup(HOUR, size=400), backup(DAY, size=400)]
    assert judged(*halved, *(backup(days * DAY) for days in range(2, 6))).verdict == "critical"


def test_only_the_last_five_before_it_are_compared() -> None:
    small, large = [backup(days * DAY, size=100) for days in range(6, 30)], [backup(days * DAY) for days in range(1, 6)]
    health = judged(backup(size=1000), *large, *small)
    assert (health.verdict, health.facts["median_size"], health.facts["size_delta"]) == ("ok", 1000, 0)


def test_the_median_of_an_even_number_is_between_the_middle_two() -> None:
    assert judged(backup(), backup(DAY, size=1000), backup(2 * DAY, size=2000)).facts["median_size"] == 1500


def test_what_is_invalid_or_taken_before_a_restore_is_not_compared() -> None:
    others = [backup(DAY, size=9000, reason="pre_restore"), backup(2 * DAY, size=9000, problems=("Damaged.",))]
    assert judged(backup(), backup(3 * DAY), *others).facts["median_size"] == 1000


def test_the_first_backup_has_nothing_to_be_compared_with() -> None:
    assert judged(backup(size=1)).facts["size_delta"] is None
    assert judged(backup(size=1), backup(DAY, size=0)).facts["size_delta"] is None


def test_no_limit_of_size() -> None:
    assert judged(backup(size=1), backup(DAY), thresholds=Thresholds(max_size_delta=0)).verdict == "ok"


# --- rows


def rule(**limits: t.Any) -> Thresholds:
    return Thresholds(critical_tables=(CriticalTable(**{"table": "users", **limits}),))


@pytest.mark.parametrize(("rows", "verdict"), [(10, "ok"), (9, "critical")])
def test_the_least_rows_of_a_critical_table(rows: int, verdict: str) -> None:
    health = judged(backup(rows=rows), thresholds=rule(min_rows=10))
    assert health.verdict == verdict
    assert verdict == "ok" or "holds 9 rows of users, less than its min_rows (10)" in only(health, "rows")


@pytest.mark.parametrize(("rows", "verdict"), [(70, "ok"), (69, "critical"), (130, "ok"), (131, "warning")])
def test_the_rows_of_a_critical_table_that_change(rows: int, verdict: str) -> None:
    health = judged(backup(rows=rows), backup(DAY, rows=100), backup(2 * DAY, rows=100), thresholds=rule(max_row_delta=30))
    assert health.verdict == verdict
    assert verdict == "ok" or "the 100 that are the median of the last 2 before it (its max_row_delta is 30 %)" in only(health, "rows")


def test_no_limit_of_rows() -> None:
    assert judged(backup(rows=0), backup(DAY, rows=0), thresholds=rule(min_rows=0, max_row_delta=0)).verdict == "ok"


def test_a_critical_table_that_is_gone() -> None:
    health = judged(backup(rows=5), thresholds=rule(table="Missions"))
    assert health.verdict == "critical"
    assert "does not hold the critical table Missions: There is no table missions." in only(health, "rows")


@pytest.mark.parametrize(
    ("table", "spelled"),
    [("users", "public.users"), ("Public.USERS", "public.users"), ('"User"', 'public."User"'), ('"a.b"."c""d"', '"a.b"."c""d"'), ("shop.users", "shop.users")],
)
def test_a_critical_table_is_named_as_in_sql(table: str, spelled: str) -> None:
    tables = {spelled: {"rows": 5, "content": None}, "public.another": {"rows": 1, "content": None}}
    assert judged(backup(tables=tables), thresholds=rule(table=table)).verdict == "ok"


def test_of_two_tables_that_are_called_so_it_must_be_clear_which() -> None:
    tables = {name: {"rows": 5, "content": None} for name in ("a.users", "b.users")}
    assert "There are several tables users" in only(judged(backup(tables=tables), thresholds=rule()), "rows")


def test_rows_that_were_never_counted_are_not_known() -> None:
    uncounted = backup(tables={}, fingerprint={"method": "none"})
    assert judged(uncounted, thresholds=rule()).verdict == "unknown"
    assert "never counted" in only(judged(uncounted, thresholds=rule()), "rows")
    assert judged(uncounted).facts["newest"]["rows"] is None
    assert judged(backup(rows=100), uncounted, thresholds=rule()).verdict == "ok"


@pytest.mark.parametrize(("before", "verdict"), [(3, "critical"), (0, "ok")])
def test_a_database_that_was_emptied_is_seen_without_being_told(before: int, verdict: str) -> None:
    assert judged(backup(rows=0), backup(DAY, rows=before)).verdict == verdict


# --- restore tests


@pytest.mark.parametrize(("age", "verdict"), [(35 * DAY, "ok"), (35 * DAY + SECOND, "warning")])
@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "only there"])
def test_a_restore_test_that_is_long_ago(asked: bool, age: dt.timedelta, verdict: str) -> None:
    thresholds = Thresholds(max_restore_test_age=Duration("35d", days=35) if asked else None)
    old = backup(40 * DAY)
    health = judged(backup(), old, tests=[record_of(old, age)], thresholds=thresholds)
    assert health.verdict == verdict
    assert verdict == "ok" or "max_restore_test_age is 35d" in only(health, "restore_test")


def test_no_restore_test_at_all_is_a_warning_only_for_who_asked() -> None:
    assert judged(backup()).verdict == "ok"
    health = judged(backup(), thresholds=Thresholds(max_restore_test_age=Duration("7d", days=7)))
    assert health.verdict == "warning"
    assert "No backup of app that is in the store has passed a restore test (max_restore_test_age is 7d)" in only(health, "restore_test")


@pytest.mark.parametrize(("verdict", "words"), [("failed", "failed: Table public.users differs."), ("could_not_verify", "could not verify")])
def test_the_newest_restore_test_must_have_passed(verdict: str, words: str) -> None:
    newest = backup()
    tests = [record_of(newest, 30 * SECOND, verdict, "Table public.users differs."), record_of(newest, 60 * SECOND)]
    health = judged(newest, tests=tests)
    assert health.verdict == "critical"
    assert words in only(health, "restore_test")
    assert "of the newest valid backup" in only(health, "restore_test")
    assert health.facts["restore_test"]["verdict"] == verdict
    assert health.facts["last_passed_restore_test_at"] == tests[1].finished_at


def test_a_newest_backup_that_failed_its_test_is_not_saved_by_an_older_one() -> None:
    newest, older = backup(), backup(DAY)
    health = judged(newest, older, tests=[record_of(newest, 60 * SECOND, "failed"), record_of(older, 30 * SECOND)])
    assert health.verdict == "critical"
    assert f"of the newest valid backup {newest.key}" in only(health, "restore_test")


def test_a_newest_test_that_failed_on_an_older_backup() -> None:
    newest, older = backup(), backup(DAY)
    assert judged(newest, older, tests=[record_of(older, 30 * SECOND, "failed"), record_of(newest, 60 * SECOND)]).verdict == "critical"
    # Both have another one since that passed.
    passed = [record_of(older, 20 * SECOND), record_of(newest, 10 * SECOND)]
    assert judged(newest, older, tests=[record_of(older, 30 * SECOND, "failed"), *passed]).verdict == "ok"


def test_a_test_of_another_backup_that_had_the_key_says_nothing() -> None:
    newest = backup()
    health = judged(newest, tests=[record_of(newest, 30 * SECOND, "failed", backup_id="another")])
    assert (health.verdict, health.facts["restore_test"]) == ("ok", None)


def test_a_record_that_cannot_be_read_may_have_said_failed() -> None:
    health = judged(backup(), unreadable=["The record k of a restore test is not JSON."])
    assert health.verdict == "unknown"
    assert only(health, "restore_test") == "The record k of a restore test is not JSON."


def test_a_test_of_the_future_neither_passes_nor_lasts_for_ever() -> None:
    newest = backup()
    health = judged(newest, tests=[record_of(newest, -DAY)], thresholds=Thresholds(max_restore_test_age=Duration("35d", days=35)))
    assert [(reason.check, reason.verdict) for reason in health.reasons] == [("future", "critical"), ("restore_test", "warning")]
    assert health.facts["last_passed_restore_test_at"] is None


# --- what is broken, left over or misdated


@pytest.mark.parametrize(("age", "verdict"), [(30 * SECOND, "critical"), (2 * HOUR, "warning")], ids=["newest", "older"])
@pytest.mark.parametrize("lost", [True, False], ids=["archive lost", "damaged"])
def test_what_cannot_be_restored(lost: bool, age: dt.timedelta, verdict: str) -> None:
    bad = broken(age) if lost else backup(age, problems=("The archive has 1 bytes; its manifest records 1000.",))
    health = judged(backup(HOUR), *(() if lost else (bad,)), lost=[bad] if lost else [])
    assert health.verdict == verdict
    assert bad.key in only(health, "broken")
    assert bad.problems[0] in only(health, "broken")
    assert health.facts["counts"]["broken" if lost else "invalid"] == 1


def test_a_manifest_that_cannot_be_read_has_no_reason_that_could_excuse_it() -> None:
    unreadable = Backup(key(SECOND), "app", NOW - SECOND, None, 1000, ("The manifest is not JSON.",))
    assert "cannot be restored, newer than the newest valid backup of app: The manifest is not JSON." in only(judged(backup(), unreadable), "broken")


def test_many_old_ones_are_one_reason() -> None:
    health = judged(backup(), *(backup(days * DAY, problems=(f"Problem {days}.",)) for days in range(1, 30)))
    assert "the 29 backups: " in only(health, "broken")
    assert "and 19 more. pg_backup_info says what is wrong with each" in only(health, "broken")


@pytest.mark.parametrize(("age", "verdict"), [(48 * HOUR, "ok"), (48 * HOUR + SECOND, "warning")])
def test_an_orphan(age: dt.timedelta, verdict: str) -> None:
    health = judged(backup(), orphans=[orphan(age), orphan(SECOND)])
    assert health.verdict == verdict
    assert verdict == "ok" or f"the archive {key(age)}." in only(health, "orphan")
    assert health.facts["counts"]["orphan"] == 2


def test_an_orphan_is_as_young_as_the_store_says() -> None:
    assert judged(backup(), orphans=[orphan(90 * DAY, modified=HOUR)]).verdict == "ok"


@pytest.mark.parametrize(("age", "verdict"), [(24 * HOUR, "ok"), (24 * HOUR + SECOND, "warning"), (None, "ok")])
def test_an_unfinished_upload(age: dt.timedelta | None, verdict: str) -> None:
    health = judged(backup(), uploads=[unfinished(age)])
    assert health.verdict == verdict
    assert verdict == "ok" or "Unfinished for longer than max_unfinished_age (24h)" in only(health, "unfinished")
    assert health.facts["counts"]["unfinished"] == 1


@pytest.mark.parametrize(("ahead", "verdict"), [(300 * SECOND, "ok"), (301 * SECOND, "critical")])
def test_a_backup_of_the_future(ahead: dt.timedelta, verdict: str) -> None:
    health = judged(backup(HOUR), backup(-ahead))
    assert health.verdict == verdict
    assert health.facts["counts"]["future"] == (verdict == "critical")
    if verdict == "critical":
        assert key(-ahead) in only(health, "future")
        assert health.facts["newest"]["key"] == key(HOUR)
        assert health.facts["counts"]["valid"] == 1


def test_a_backup_of_the_future_hides_no_stopped_schedule() -> None:
    health = judged(backup(31 * HOUR), backup(-DAY))
    assert {reason.check for reason in health.reasons} == {"age", "future"}


@pytest.mark.parametrize("field", ["started_at", "snapshot_at", "finished_at"])
def test_the_future_may_be_in_the_manifest_alone(field: str) -> None:
    assert "future" in {reason.check for reason in judged(backup(HOUR), backup(2 * HOUR, **{field: "2026-02-01T00:00:00Z"})).reasons}


def test_orphans_and_lost_archives_of_the_future_are_seen_and_counted_once() -> None:
    health = judged(backup(), orphans=[orphan(-DAY)], lost=[broken(-2 * DAY)])
    assert "the 2 backups: " in only(health, "future")
    assert health.facts["counts"] == {**dict.fromkeys(STATES, 0), "valid": 1, "future": 2}


@pytest.mark.parametrize(("skew", "verdict"), [(300.0, "ok"), (-300.0, "ok"), (None, "ok"), (301.0, "unknown"), (-301.0, "unknown")])
def test_a_clock_that_is_off_makes_ages_unknown(skew: float | None, verdict: str) -> None:
    health = judged(backup(), skew=skew)
    assert health.verdict == verdict
    assert verdict == "ok" or f"301 seconds {'behind' if skew == 301 else 'ahead of'} the store's, more than max_clock_skew (300 s)" in only(health, "clock")
    assert health.facts["clock_skew"] == skew


# --- what must hold whatever there is


AGES = st.integers(-100, 2000).map(lambda hours: hours * HOUR)
BACKUPS = st.builds(
    backup,
    AGES,
    size=st.sampled_from([0, 400, 1000, 3000]),
    rows=st.sampled_from([0, 5, 100]),
    problems=st.sampled_from([(), ("Damaged.",)]),
    reason=st.sampled_from(["scheduled", "manual", "pre_restore", "incident"]),
)
CATALOGS = st.lists(BACKUPS, max_size=8, unique_by=lambda one: one.key)


@given(CATALOGS, st.lists(AGES.map(orphan), max_size=2), st.lists(AGES.map(broken), max_size=2), st.booleans())
def test_ok_means_a_young_valid_regular_backup(backups: list[Backup], orphans: list[t.Any], lost: list[Backup], tests: bool) -> None:
    good = [
        one
        for one in backups
        if one.valid and one.manifest and one.manifest.reason in ("scheduled", "manual") and dt.timedelta(0) <= NOW - one.started <= 25 * HOUR
    ]
    health = judged(*backups, orphans=orphans, lost=lost, tests=[record_of(backups[0], HOUR)] if tests and backups else [])
    assert good or health.verdict == "critical" or health.facts["newest"]
    assert health.verdict != "ok" or good
    assert (health.verdict == "ok") is (health.reasons == ())
    assert all(reason.verdict != "ok" and reason.sentence.endswith((".", "ago)", ")")) for reason in health.reasons)
    assert not health.reasons or health.verdict == health.reasons[0].verdict == worst(reason.verdict for reason in health.reasons)
    json.dumps(combine([health], now=NOW, destination="d").as_dict(), allow_nan=False)


@given(CATALOGS.filter(lambda backups: not any(one.valid for one in backups)))
def test_never_ok_without_a_valid_backup(backups: list[Backup]) -> None:
    assert judged(*backups).verdict == "critical"


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1), st.text(min_size=1))
def test_never_ok_where_the_store_said_no(names: list[str], sentence: str) -> None:
    health = combine([unknown(name, sentence) for name in names], now=NOW, destination="d")
    assert health.verdict == "unknown"
    assert all(each.facts.keys() == judged(backup()).facts.keys() for each in health.names)
    (reason,) = health.reasons
    assert reason.sentence == sentence


def test_one_name_that_could_not_be_read_does_not_hide_another_s_disaster() -> None:
    health = combine([unknown("shop", "No."), judged(), judged(backup())], now=NOW, destination="d")
    assert health.verdict == "critical"
    assert [(reason["verdict"], reason["names"]) for reason in health.as_dict()["reasons"]] == [("critical", ["app"]), ("unknown", ["shop"])]


def test_the_facts() -> None:
    newest = backup(HOUR, size=1200, rows=42, environment="production", started_at="2026-01-08T09:29:00.000Z", finished_at="2026-01-08T09:31:30.000Z")
    oldest = backup(30 * DAY, rows=40)
    health = judged(newest, oldest, tests=[record_of(oldest, 2 * DAY, rto=12.5)], skew=0.4)
    assert health.facts == {
        "newest": {
            "key": newest.key,
            "backup_id": newest.key,
            "started_at": "2026-01-08T09:29:00.000Z",
            "snapshot_at": "2026-01-08T09:30:00.000Z",
            "age_seconds": 3600.0,
            "size": 1200,
            "duration_seconds": 150.0,
            "rows": 42,
        },
        "oldest_valid_at": "2025-12-09T10:30:00.000Z",
        "median_size": 1000.0,
        "size_delta": pytest.approx(0.2),
        "counts": {**dict.fromkeys(STATES, 0), "valid": 2},
        "restore_test": {"verdict": "passed", "at": "2026-01-06T10:30:00.000Z", "age_seconds": 172800.0, "rto": 12.5, "key": oldest.key},
        "last_passed_restore_test_at": "2026-01-06T10:30:00.000Z",
        "database": "workon",
        "environment": "production",
        "clock_skew": 0.4,
    }


def test_how_long_an_adopted_archive_took_is_not_known() -> None:
    assert judged(backup(adopted={"at": "x", "unknown": []})).facts["newest"]["duration_seconds"] is None


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        (Thresholds(min_size=-1), "min_size is -1"),
        (Thresholds(max_size_delta=-1), "max_size_delta is -1"),
        (Thresholds(max_clock_skew=-1), "max_clock_skew is -1"),
        (rule(table="a.b.c"), "names the table 'a.b.c', which is no name of a table"),
        (rule(table=""), "names the table ''"),
        (rule(min_rows=-1), "critical_tables has min_rows -1 for the table users"),
        (rule(max_row_delta=-1), "critical_tables has max_row_delta -1"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(thresholds: Thresholds, sentence: str) -> None:
    with pytest.raises(BackupError, match=r"Set it|Write") as caught:
        check_thresholds(thresholds)
    assert sentence in caught.value.message


def test_the_defaults_are_sound() -> None:
    assert check_thresholds(Thresholds()) == Thresholds()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 min"),
        (59, "0 min"),
        (7199, "119 min"),
        (7200, "2 h 0 min"),
        (3 * 86400 - 1, "71 h 59 min"),
        (3 * 86400, "3 days 0 h"),
        (90000000, "1041 days 16 h"),
    ],
)
def test_an_age_in_words(seconds: float, words: str) -> None:
    assert age_in_words(seconds) == words
