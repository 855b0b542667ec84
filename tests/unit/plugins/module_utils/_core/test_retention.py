# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention never deletes what could be the last good copy: invariants over random catalogs, and what each rule means.

The invariants are written down here a second time, by other means than in the code. They hold with the policy's rules, and with rules that let
everything go; and without any single protection a catalog is found in which they do not.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import typing as t
import zoneinfo

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming, retention
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration, parse_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Entry, Policy, check_policy, decide, share_refusal
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest

UTC = dt.timezone.utc
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
ZONES = (UTC, BERLIN, zoneinfo.ZoneInfo("Australia/Lord_Howe"), zoneinfo.ZoneInfo("America/St_Johns"))


def backup(started: dt.datetime, *, name: str = "app", problem: str | None = None, modified: dt.datetime | None = None, **changes: t.Any) -> Backup:
    key = naming.archive_key("", name, started)
    facts = {"key": key, "name": name, "started_at": format_time(started), "snapshot_at": format_time(started), "finished_at": format_time(started)}
    return Backup(key, name, started, manifest(**{**facts, **changes}), 1000, (problem,) if problem else (), modified or started)


def verdicts(
    backups: t.Iterable[Backup],
    policy: Policy,
    now: dt.datetime = NOW,
    held: dict[str, str] | None = None,
    tested: dict[str, dt.datetime] | None = None,
) -> list[Entry]:
    return decide("app", Catalog(backups=tuple(backups)), policy, now, prefix="", held=held or {}, tested=tested)


def deleted(backups: t.Iterable[Backup], policy: Policy, now: dt.datetime = NOW, held: dict[str, str] | None = None) -> set[str]:
    return {entry.key for entry in verdicts(backups, policy, now, held) if entry.verdict == "delete"}


def kept(backups: t.Iterable[Backup], policy: Policy, now: dt.datetime = NOW) -> list[dt.datetime]:
    return sorted((entry.dated for entry in verdicts(backups, policy, now) if entry.verdict == "keep" and entry.dated), reverse=True)


# Random catalogs


@dataclasses.dataclass(frozen=True)
class Case:
    """A catalog, a policy, what is held from outside, when backups passed a restore test, and how recently one must have."""

    backups: tuple[Backup, ...]
    policy: Policy
    held: dict[str, str]
    tested: dict[str, dt.datetime]
    required: Duration | None


_KINDS = ("scheduled",) * 6 + ("manual", "pre_restore", "pre_restore", "incident", "invalid", "invalid", "pinned", "label", "held", "stranger")
# What manifest (the first) and store say differs from the key by this.
_SHIFTS = ((0, 0),) * 8 + ((0, 40 * 24), (-40 * 24, 0), (100 * 24, 0), (0, -3), (2, 2), (0, 200 * 24))
_DURATIONS = tuple(parse_duration(text, "x") for text in ("1h", "1d", "7d", "1m", "1y"))


@functools.cache
def build(hour: int, kind: str, shift: tuple[int, int]) -> Backup:
    started = NOW - hour * HOUR
    in_manifest, in_store = (started + hours * HOUR for hours in shift)
    reason = kind if kind in ("manual", "pre_restore", "incident") else "scheduled"
    return backup(
        started,
        name="app_x" if kind == "stranger" else "app",
        problem="It is damaged." if kind == "invalid" else None,
        modified=in_store,
        started_at=format_time(in_manifest),
        finished_at=format_time(in_manifest),
        reason=reason,
        pinned=kind == "pinned",
        labels={"keep": "yes"} if kind == "label" else {"keep": "no"},
    )


# Mostly days apart, some hours, some ahead of the clock.
_hours = st.one_of(st.integers(-50, 60 * 24), st.integers(0, 72), st.integers(0, 40).map(lambda day: 24 * day))
_seeds = st.lists(st.tuples(_hours, st.sampled_from(_KINDS), st.sampled_from(_SHIFTS)), max_size=12, unique_by=lambda seed: seed[0])
_counts = st.tuples(*[st.sampled_from((0, 0, 0, 1, 2, 5, -1))] * 6)
_policies = st.builds(
    lambda within, counts, zone, minimum, safety, incident: Policy(
        within,
        *counts,
        zone=zone,
        min_keep=minimum,
        keep_safety=safety,
        keep_incident=incident,
        pinned_labels={"keep": "yes"},
    ),
    st.sampled_from((None, *_DURATIONS)),
    _counts,
    st.sampled_from(ZONES),
    st.integers(0, 4),
    st.sampled_from(_DURATIONS),
    st.sampled_from((None, *_DURATIONS)),
)
cases = st.builds(
    lambda seeds, policy, tests, required: Case(
        tuple(build(*seed) for seed in seeds),
        policy,
        {build(*seed).key: "A restore reads it." for seed in seeds if seed[1] == "held"},
        {build(*seed).key: NOW - hours * HOUR for seed, hours in zip(seeds, tests, strict=False) if hours is not None},
        required,
    ),
    _seeds,
    _policies,
    st.lists(st.sampled_from((None, None, 1, 30, 24 * 20, 24 * 50)), max_size=12),
    st.sampled_from((None, None, *_DURATIONS[2:])),
)


def fine(each: Backup) -> bool:
    """Say whether a backup is valid, of the past, and of one time by all accounts."""
    return each.valid and ahead(each) <= 5 * dt.timedelta(minutes=1) and spread(each) <= DAY


def times(each: Backup) -> list[dt.datetime]:
    assert each.manifest
    assert each.modified
    return [each.started, each.modified, moment(each.manifest.started_at), moment(each.manifest.finished_at)]


@functools.cache
def moment(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")


def ahead(each: Backup) -> dt.timedelta:
    return max(times(each)) - NOW


def spread(each: Backup) -> dt.timedelta:
    return max(times(each)) - min(times(each))


def violations(case: Case) -> set[str]:
    """Return the invariants that a decision breaks."""
    policy = dataclasses.replace(case.policy, require_restore_test=case.required)
    entries = {entry.key: entry for entry in verdicts(case.backups, policy, held=case.held, tested=case.tested)}
    by_key = {each.key: each for each in case.backups}
    gone = {key for key, entry in entries.items() if entry.verdict == "delete"}
    mine = [each for each in case.backups if each.name == "app"]
    valid = [each for each in mine if each.valid and ahead(each) <= 5 * dt.timedelta(minutes=1)]
    regular = [each for each in valid if each.manifest and each.manifest.reason in ("scheduled", "manual")]
    certain = [each for each in regular if fine(each)]
    left = [each for each in regular if each.key not in gone]
    broken = set()
    if set(entries) != set(by_key):
        broken.add("everything has a verdict")
    if valid and max(valid, key=lambda each: each.started).key in gone:
        broken.add("the newest valid backup stays")
    if certain and max(certain, key=lambda each: each.started).key in gone:
        broken.add("the newest valid regular backup stays")
    if len(left) < min(case.policy.min_keep, len(regular)):
        broken.add("min_keep valid regular backups stay")
    passed = [each for each in mine if each.valid and each.key in case.tested]
    if case.required and passed and max(passed, key=lambda each: each.started).key in gone:
        broken.add("the newest backup that passed a restore test stays")
    if case.required and gone and max((case.tested[each.key] for each in passed), default=NOW - 9999 * DAY) < case.required.before(NOW, policy.zone):
        broken.add("where nothing was tested lately, nothing goes")
    if gone and not certain:
        broken.add("without a sure regular backup nothing goes")
    for key in gone:
        each = by_key[key]
        assert each.manifest
        if not each.valid:
            broken.add("an invalid backup stays")
        if ahead(each) > 5 * dt.timedelta(minutes=1):
            broken.add("a future backup stays")
        if each.manifest.pinned or each.manifest.labels == {"keep": "yes"}:
            broken.add("a pinned backup stays")
        if key in case.held:
            broken.add("a held backup stays")
        if each.name != "app":
            broken.add("a backup of another name stays")
        if not certain:
            continue
        # Judged by the newest of its own times against the oldest of the newest backup's.
        anchor = max(min(times(one)) for one in certain)
        younger = {option: max(times(each)) >= duration.before(anchor, case.policy.zone) for option, duration in _limits(case.policy).items()}
        if each.manifest.reason == "pre_restore" and younger["keep_safety"]:
            broken.add("a young safety backup stays")
        if each.manifest.reason == "incident" and younger.get("keep_incident", True):
            broken.add("a young backup of an incident stays")
        if spread(each) > DAY and younger["keep_safety"]:
            broken.add("a backup of no sure time stays")
    return broken


def _limits(policy: Policy) -> dict[str, t.Any]:
    return {option: getattr(policy, option) for option in ("keep_safety", "keep_incident") if getattr(policy, option)}


many = settings(max_examples=2600, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(cases)
def test_every_invariant_holds_over_thousands_of_catalogs(case: Case) -> None:
    assert violations(case) == set()


@many
@given(cases)
def test_every_invariant_holds_when_the_rules_let_everything_go(case: Case) -> None:
    # Not a fixture: it would have to be undone between examples.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "RULES", ())
        assert violations(case) == set()


BROKEN_WITHOUT = {
    "_protect_invalid": "an invalid backup stays",
    "_protect_future": "a future backup stays",
    "_protect_doubtful": "a backup of no sure time stays",
    "_protect_strangers": "a backup of another name stays",
    "_protect_newest": "the newest valid regular backup stays",
    "_protect_minimum": "min_keep valid regular backups stay",
    "_protect_safety": "a young safety backup stays",
    "_protect_incident": "a young backup of an incident stays",
    "_protect_pinned": "a pinned backup stays",
    "_protect_tested": "the newest backup that passed a restore test stays",
    "_protect_untested": "where nothing was tested lately, nothing goes",
    "_protect_held": "a held backup stays",
}


@pytest.mark.parametrize("protection", [protection.__name__ for protection in retention.PROTECTIONS])
def test_without_any_protection_an_invariant_breaks(monkeypatch: pytest.MonkeyPatch, protection: str) -> None:
    monkeypatch.setattr(retention, "PROTECTIONS", tuple(each for each in retention.PROTECTIONS if each.__name__ != protection))
    # Some break only together with rules that keep nothing.
    monkeypatch.setattr(retention, "RULES", ())
    try:
        case = find(
            cases,
            lambda case: BROKEN_WITHOUT[protection] in violations(case),
            settings=settings(max_examples=3000, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)),
        )
    except NoSuchExample:
        pytest.fail(f"Without {protection} nothing was broken.")
    monkeypatch.undo()
    assert violations(case) == set()


some = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))


@some
@given(cases, st.integers(0, 5000))
def test_time_alone_deletes_nothing(case: Case, days: int) -> None:
    assume(all(ahead(each) <= dt.timedelta() for each in case.backups))
    assert deleted(case.backups, case.policy, NOW + days * DAY, case.held) == deleted(case.backups, case.policy, NOW, case.held)


@some
@given(cases)
def test_only_sure_regular_backups_take_places(case: Case) -> None:
    sure = [each for each in case.backups if fine(each) and each.name == "app" and each.manifest and each.manifest.reason in ("scheduled", "manual")]
    # A regular backup of no sure time takes one too once its doubt has ended.
    others = [each for each in case.backups if each not in sure and (not each.valid or spread(each) <= DAY)]
    gone = deleted([*sure, *others], case.policy, held=case.held)
    # Others can be let go too, but change nothing for these.
    assert gone & {each.key for each in sure} == deleted(sure, case.policy, held=case.held)


@some
@given(cases, st.sampled_from(["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"]))
def test_another_rule_only_keeps_more(case: Case, option: str) -> None:
    without = dataclasses.replace(case.policy, **{option: 0})
    assert deleted(case.backups, case.policy, held=case.held) <= deleted(case.backups, without, held=case.held)


@some
@given(cases)
def test_a_second_run_has_nothing_to_do(case: Case) -> None:
    gone = deleted(case.backups, case.policy, held=case.held)
    assert deleted([each for each in case.backups if each.key not in gone], case.policy, held=case.held) == set()


@some
@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_a_listing_decides_nothing(case: Case, random: t.Any) -> None:
    shuffled = list(case.backups)
    random.shuffle(shuffled)
    assert verdicts(shuffled, case.policy, held=case.held) == verdicts(case.backups, case.policy, held=case.held)


@some
@given(cases)
def test_every_verdict_has_a_reason(case: Case) -> None:
    assert all(entry.reasons and all(entry.reasons) for entry in verdicts(case.backups, case.policy, held=case.held))


# The rules against another way to say what they mean


def reference(moments: t.Sequence[dt.datetime], option: str, count: int, zone: dt.tzinfo) -> set[dt.datetime]:
    """Return what a counting rule keeps: the newest of each of the newest periods, and the oldest of all while there are places left."""
    forms = {"keep_daily": "%Y-%m-%d", "keep_weekly": "%G-%V", "keep_monthly": "%Y-%m", "keep_yearly": "%Y", "keep_hourly": "%Y-%m-%d %H %z", "keep_last": "%s"}
    newest: dict[str, dt.datetime] = {}
    for moment in sorted(moments):
        newest[moment.isoformat() if option == "keep_last" else moment.astimezone(zone).strftime(forms[option])] = moment
    chosen = sorted(newest.values(), reverse=True)
    places = len(moments) if count < 0 else count
    return set(chosen[:places]) | ({min(moments)} if moments and places > len(chosen) else set())


@some
@given(
    st.lists(st.integers(0, 3 * 366 * 24 * 4), max_size=25, unique=True),
    st.sampled_from(["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"]),
    st.integers(-1, 8).filter(bool),
    st.sampled_from(ZONES),
)
def test_a_counting_rule_keeps_what_it_says(quarters: list[int], option: str, count: int, zone: dt.tzinfo) -> None:
    # Around the changes of the clock of 2024, which has a leap day.
    moments = [dt.datetime(2023, 12, 31, tzinfo=UTC) + quarter * dt.timedelta(minutes=15) for quarter in quarters]
    policy = Policy(zone=zone, min_keep=0, **{option: count})  # type: ignore[arg-type]
    newest = {max(moments)} if moments else set()
    assert set(kept([backup(moment) for moment in moments], policy, dt.datetime(2028, 1, 1, tzinfo=UTC))) == reference(moments, option, count, zone) | newest


def nightly(count: int, *, skip: int = 0, **changes: t.Any) -> list[Backup]:
    """Return a backup of each of the last nights, the newest ``skip`` days ago."""
    return [backup(NOW - (skip + day) * DAY, **changes) for day in range(count)]


def within(text: str, **changes: t.Any) -> Policy:
    return Policy(parse_duration(text, "keep_within"), **changes)


# What befell others with "older than 30 days": each of these deletes valid backups there, and none here


def test_backups_that_stopped_are_not_deleted() -> None:
    stopped = nightly(25, skip=35)
    assert all(NOW - each.started > 30 * DAY for each in stopped)
    assert deleted(stopped, within("30d")) == set()
    assert deleted(stopped, within("30d"), NOW + 3650 * DAY) == set()


def test_dumps_that_became_empty_do_not_push_out_the_good_ones() -> None:
    empty = nightly(31, problem="The archive has 0 bytes; its manifest records 1000.")
    good = nightly(14, skip=31)
    assert deleted([*empty, *good], within("30d")) == set()
    assert deleted([*empty, *good], Policy(keep_last=7)) == {each.key for each in good[7:]}


def test_one_date_in_the_future_deletes_nothing() -> None:
    ahead_of_time = backup(NOW + 365 * DAY)
    entries = verdicts([ahead_of_time, *nightly(20)], within("30d"))
    assert {entry.verdict for entry in entries} == {"keep"}
    assert [entry.key for entry in entries if entry.alarm] == [ahead_of_time.key]
    assert "in the future (2027-03-01T12:00:00.000Z)" in entries[0].reasons[0]


def test_a_bad_dump_after_each_good_one_takes_no_place() -> None:
    good = nightly(10)
    bad = [backup(each.started + dt.timedelta(minutes=1), problem="It is damaged.") for each in good]
    assert deleted([*good, *bad], Policy(keep_daily=7)) == {each.key for each in good[7:]}


def test_an_hour_that_comes_twice_is_two_hours() -> None:
    # 02:30 in summer time, 02:30 in winter time.
    twice = [backup(dt.datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1)]
    assert len({each.key for each in twice}) == 2
    now = dt.datetime(2026, 10, 25, 12, tzinfo=UTC)
    earlier = backup(dt.datetime(2026, 10, 24, 12, 30, tzinfo=UTC))
    assert deleted([*twice, earlier], Policy(keep_hourly=2, min_keep=0, zone=BERLIN), now) == {earlier.key}
    assert len(deleted(twice, Policy(keep_daily=1, min_keep=0, zone=BERLIN), now)) == 1


# The founding policy, day by day


def test_thirty_days_of_nightly_backups() -> None:
    gone = deleted(nightly(40), within("30d"))
    assert gone == {each.key for each in nightly(9, skip=31)}
    # A day is the calendar's: the night before the change of the clock is one day away, not 23 hours.
    changed = [backup(dt.datetime(2026, 3, day, 1, 0, tzinfo=BERLIN).astimezone(UTC)) for day in (28, 29, 30)]
    assert deleted(changed, within("2d", zone=BERLIN, min_keep=0), dt.datetime(2026, 3, 31, tzinfo=UTC)) == set()
    assert len(deleted(changed, within("47h", zone=BERLIN, min_keep=0), dt.datetime(2026, 3, 31, tzinfo=UTC))) == 0
    assert len(deleted(changed, within("46h", zone=BERLIN, min_keep=0), dt.datetime(2026, 3, 31, tzinfo=UTC))) == 1


def test_where_times_differ_more_is_kept() -> None:
    # An archive that was uploaded for 20 hours moves no limit; one that was still being uploaded at the limit is within it.
    newest = backup(NOW, modified=NOW + 20 * HOUR)
    just_within = backup(NOW - 30 * DAY + HOUR)
    just_uploaded = backup(NOW - 30 * DAY - 5 * HOUR, modified=NOW - 30 * DAY + HOUR)
    gone = deleted([newest, just_within, just_uploaded], within("30d", min_keep=0), NOW + DAY)
    assert gone == set()


def test_a_leap_day_has_its_backup() -> None:
    leap = [backup(dt.datetime(2024, month, day, 1, tzinfo=UTC)) for month, day in ((2, 28), (2, 29), (3, 1))]
    now = dt.datetime(2024, 3, 2, tzinfo=UTC)
    assert deleted(leap, Policy(keep_daily=3, min_keep=0), now) == set()
    assert kept(leap, Policy(keep_monthly=2, min_keep=0), now) == [leap[2].started, leap[1].started]
    assert deleted([*leap, backup(dt.datetime(2025, 2, 28, 1, tzinfo=UTC))], within("1y", min_keep=0), dt.datetime(2025, 3, 1, tzinfo=UTC)) == set()


def test_safety_backups_have_their_own_time() -> None:
    safety = [backup(NOW - day * DAY - HOUR, reason="pre_restore") for day in (1, 40, 89, 91)]
    gone = deleted([*nightly(30), *safety], within("7d"))
    assert {key for key in gone if key in {each.key for each in safety}} == {safety[3].key}


def test_backups_of_incidents_stay_unless_a_time_is_set() -> None:
    incident = backup(NOW - 1000 * DAY, reason="incident")
    assert incident.key not in deleted([*nightly(3), incident], within("7d"))
    assert incident.key in deleted([*nightly(3), incident], within("7d", keep_incident=parse_duration("1y", "x")))


def test_a_copied_bucket_is_kept_for_a_while_and_not_for_ever() -> None:
    copied = [dataclasses.replace(each, modified=NOW) for each in nightly(60, skip=30)]
    assert deleted([*nightly(5), *copied], within("30d")) == set()
    later = NOW + 91 * DAY
    fresh = [backup(later - day * DAY) for day in range(40)]
    assert deleted([*fresh, *copied], within("30d"), later) >= {each.key for each in copied}


def test_a_backup_that_took_two_days_has_no_doubtful_time() -> None:
    started = NOW - 3 * DAY
    slow = backup(started, modified=started + 2 * DAY, finished_at=format_time(started + 2 * DAY))
    (entry,) = verdicts([slow], within("30d"))
    assert not entry.alarm


def test_what_goes_names_manifest_then_archive() -> None:
    entry = verdicts(nightly(5), Policy(keep_last=1, min_keep=1))[-1]
    assert entry.verdict == "delete"
    assert entry.keys == (f"{entry.key}.manifest.json", entry.key)
    assert entry.as_dict() == {
        "kind": "backup",
        "name": "app",
        "key": entry.key,
        "verdict": "delete",
        "reasons": ["No rule of the policy keeps it."],
        "time": "2026-02-25T12:00:00.000Z",
        "size": 1000,
    }


def test_reasons_say_the_rule_and_the_period() -> None:
    entries = verdicts(nightly(3), Policy(keep_daily=1, keep_weekly=2, keep_last=1, min_keep=0))
    assert entries[0].reasons == (
        "keep_last: one of the newest",
        "keep_daily: the newest of 2026-03-01",
        "keep_weekly: the newest of 2026-W09",
        "It is the newest valid regular backup.",
    )
    assert entries[2].reasons == ("keep_weekly: the oldest of all",)


# The share


@pytest.mark.parametrize(("count", "percent", "refused"), [(6, 50, False), (7, 50, True), (7, 57, True), (7, 100, False), (3, 0, False), (4, 0, True)])
def test_too_large_a_share_is_refused(count: int, percent: int, refused: bool) -> None:
    policy = Policy(keep_last=3, max_delete_percent=percent)
    invalid = [backup(NOW - 100 * DAY - day * DAY, problem="It is damaged.") for day in range(20)]
    sentence = share_refusal("app", verdicts([*nightly(count), *invalid], policy), policy)
    assert bool(sentence) is refused
    if sentence and count == 7:
        assert f"4 of the 7 valid backups of app, more than max_delete_percent ({percent})" in sentence
        assert "set max_delete_percent to 58" in sentence


# Policies that mean nothing


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "The retention policy is empty.*Set keep_within"),
        ({"keep_last": -2}, "keep_last is -2"),
        ({"keep_yearly": -5}, "keep_yearly is -5"),
        ({"keep_last": 1, "min_keep": -1}, "min_keep is -1"),
        ({"keep_last": 1, "max_delete_percent": 101}, "max_delete_percent is 101"),
        ({"keep_last": 1, "max_delete_percent": -1}, "max_delete_percent is -1"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(changes: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(BackupError, match=sentence):
        check_policy(Policy(**changes))


def test_a_policy_may_have_one_rule() -> None:
    for policy in (within("30d"), Policy(keep_last=1), Policy(keep_yearly=-1), Policy(keep_hourly=1, min_keep=0, max_delete_percent=0)):
        assert check_policy(policy) is policy


def test_a_restore_test_that_is_required_and_old_keeps_everything_and_is_an_alarm() -> None:
    backups = [backup(NOW - day * DAY) for day in range(10)]
    policy = Policy(keep_last=2, min_keep=1, require_restore_test=parse_duration("35d", "require_restore_test"))
    tested = {backups[8].key: NOW - 34 * DAY}
    entries = {entry.key: entry for entry in verdicts(backups, policy, tested=tested)}
    assert [key for key, entry in entries.items() if entry.verdict == "keep"] == [backups[0].key, backups[1].key, backups[8].key]
    assert "the newest that has passed a restore test" in " ".join(entries[backups[8].key].reasons)
    assert not any(entry.alarm for entry in entries.values())

    stale = verdicts(backups, policy, tested={backups[8].key: NOW - 36 * DAY})
    assert {entry.verdict for entry in stale} == {"keep"}
    assert [entry.key for entry in stale if entry.alarm] == [backups[0].key]
    assert "no backup has passed a restore test in the last 35d" in " ".join(stale[0].reasons)
