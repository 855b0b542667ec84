# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The page that shows a store's backups to people: what stands on it, as plain data. How it looks is not decided here.

What is written is true whenever it is read: moments instead of ages. Only the sentences of the health verdicts say how old something is, at the time
that stands beside them.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog, StoredObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import SEVERITY, Health, NameHealth, Reason, Verdict, combine
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import REGULAR_REASONS, format_time, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import MAXIMUM_CLOCK_SKEW
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report_calendar import (
    MONTHS,
    Month,
    State,
    counted,
    local_time,
    make_calendar,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Entry, Policy, share_refusal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.safeguards import human_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size

# A line through fewer points says less than their numbers.
_POINTS_OF_A_CHART = 3
# What a person reads of what there should be none of; the rest is counted.
_TROUBLES_SHOWN = 20
_TESTS_SHOWN = 12

_OTHERS = ("orphans", "broken", "foreign", "unfinished", "restore_tests")
_REASONS = {"scheduled": "scheduled", "manual": "by hand", "pre_restore": "before a restore", "incident": "of an incident"}
_TESTED = {"passed": "passed", "failed": "failed", "could_not_verify": "could not verify"}


@dataclasses.dataclass(frozen=True)
class When:
    """A moment, for machines in UTC and for people in their zone."""

    iso: str
    text: str


@dataclasses.dataclass(frozen=True)
class Point:
    """One measured value."""

    moment: dt.datetime
    value: float


@dataclasses.dataclass(frozen=True)
class Chart:
    """Values over time, oldest first. ``points`` are good and make the line, ``marked`` are not. ``words`` say what there is to see."""

    title: str
    unit: t.Literal["bytes", "seconds"]
    points: tuple[Point, ...]
    marked: tuple[Point, ...]
    marked_are: str
    words: str


@dataclasses.dataclass(frozen=True)
class BackupRow:
    """One backup. ``notes`` are what is special about it, ``problems`` why it is not valid."""

    when: When
    key: str
    state: State
    size: str
    duration: str
    rows: str
    notes: tuple[str, ...]
    tested: str
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class MonthRow:
    """The backups of one month that are not listed one by one."""

    title: str
    count: int
    valid: int
    size: str


@dataclasses.dataclass(frozen=True)
class TestRow:
    """One restore test. ``rto`` is how long the restore took, ``rpo`` how old the data were."""

    when: When
    verdict: str
    passed: bool
    of: When
    rto: str
    rpo: str
    level: str
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class GoingRow:
    """One backup that retention lets go, and why."""

    when: When
    key: str
    size: str
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Outlook:
    """What retention would do next. ``more`` are those that go and are not in ``going``; ``refusals`` are why it would do nothing."""

    policy: str
    going: tuple[GoingRow, ...]
    more: int
    freed: str
    staying: int
    refusals: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Something that is no backup and lies where backups are. ``keys`` are the newest of them, ``words`` what to make of it."""

    title: str
    count: int
    keys: tuple[str, ...]
    words: str


@dataclasses.dataclass(frozen=True)
class Content:
    """What one name has in the store. ``facts`` are headline figures: what it is, the figure, and what belongs to it."""

    facts: tuple[tuple[str, str | When, str], ...]
    calendar: tuple[Month, ...]
    charts: tuple[Chart, ...]
    tests: tuple[TestRow, ...]
    more_tests: int
    backups: tuple[BackupRow, ...]
    rest: tuple[MonthRow, ...]
    rest_count: int
    outlook: Outlook | None
    troubles: tuple[Trouble, ...]
    counts: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Section:
    """Everything about one name; without content where it could not be read."""

    anchor: str
    name: str
    of: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    newest: When | None
    content: Content | None


@dataclasses.dataclass(frozen=True)
class Report:
    """The whole page. ``reasons`` are those of no single name."""

    title: str
    location: str
    zone: dt.tzinfo
    judged: When
    verdict: Verdict
    headline: str
    reasons: tuple[Reason, ...]
    sections: tuple[Section, ...]

    def summary(self) -> list[str]:
        """Return the page in a few lines, for the result and for diffs."""
        return [f"{self.title}: {self.verdict}. {self.headline}", *(f"{section.name}: {section.verdict}, {_in_words(section)}" for section in self.sections)]


@dataclasses.dataclass(frozen=True)
class Look:
    """What was found under one name, the catalog None where it could not be read.

    ``tests`` are by the archive's key; ``entries`` are retention's decisions, None without a policy.
    """

    health: NameHealth
    catalog: Catalog | None = None
    tests: t.Mapping[str, t.Sequence[RestoreTest]] = dataclasses.field(default_factory=dict)
    entries: t.Sequence[Entry] | None = None


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What the reader wants: the page's title, how many backups are listed one by one, the zone of days and times, and the policy if there is one."""

    title: str
    limit: int
    zone: dt.tzinfo
    policy: Policy | None


def compose(looks: t.Sequence[Look], wishes: Wishes, now: dt.datetime, *, location: str, prefix: str) -> Report:
    """Return the page on what was found, the worst first."""
    ordered = sorted(looks, key=lambda look: SEVERITY.index(look.health.verdict), reverse=True)
    health = combine([look.health for look in ordered], now=now, destination=location)
    return Report(
        title=wishes.title,
        location=location,
        zone=wishes.zone,
        judged=_when(now, wishes.zone),
        verdict=health.verdict,
        headline=_headline(health),
        reasons=(),
        sections=tuple(_section(number, look, wishes, now, prefix) for number, look in enumerate(ordered, 1)),
    )


def compose_unknown(sentence: str, wishes: Wishes, now: dt.datetime, *, location: str) -> Report:
    """Return the page on a store of which not even the names are known."""
    return Report(
        title=wishes.title,
        location=location,
        zone=wishes.zone,
        judged=_when(now, wishes.zone),
        verdict="unknown",
        headline="The store could not be read, so nothing is known of its backups.",
        reasons=(Reason("unknown", "store", sentence),),
        sections=(),
    )


def _headline(health: Health) -> str:
    if not health.names:
        return "There are no backups in this store."
    names = len(health.names)
    worse = [each for each in health.names if each.verdict != "ok"]
    if not worse:
        return "Every check of the backups found nothing wrong." if names == 1 else f"Every check of the backups of {names} names found nothing wrong."
    if names == 1:
        return f"{counted(len(health.reasons), 'reason', 'reasons')} to look at these backups."
    listed = ", ".join(each.name for each in worse[:5]) + (f" and {len(worse) - 5} more" if len(worse) > 5 else "")
    return f"{len(worse)} of {names} names need to be looked at: {listed}."


def _section(number: int, look: Look, wishes: Wishes, now: dt.datetime, prefix: str) -> Section:
    health = look.health
    newest = health.facts["newest"]
    return Section(
        anchor=f"name-{number}",
        name=health.name,
        of=_of(health),
        verdict=health.verdict,
        reasons=health.reasons,
        newest=_when_stated(newest["snapshot_at"], wishes.zone) if newest else None,
        content=_content(look, look.catalog, wishes, now, prefix) if look.catalog else None,
    )


def _in_words(section: Section) -> str:
    if not section.content:
        return "not read"
    counts = section.content.counts
    others = "".join(f", {kind.replace('_', ' ')}: {counts[kind]}" for kind in _OTHERS if counts[kind])
    return f"{counts['valid']} of {counted(counts['backups'], 'backup', 'backups')} valid{others}"


def _content(look: Look, catalog: Catalog, wishes: Wishes, now: dt.datetime, prefix: str) -> Content:
    rest = catalog.backups[wishes.limit :]
    tests = _test_rows(look, wishes.zone)
    return Content(
        facts=_facts(look, catalog, wishes.zone),
        calendar=make_calendar(_begun(catalog, now, wishes.zone, prefix), local_time(now, wishes.zone)),
        charts=_charts(look, catalog, now),
        tests=tests[:_TESTS_SHOWN],
        more_tests=len(tests[_TESTS_SHOWN:]),
        backups=tuple(_backup_row(backup, look, now, wishes.zone) for backup in catalog.backups[: wishes.limit]),
        rest=_by_month(rest, wishes.zone),
        rest_count=len(rest),
        outlook=_outlook(look, wishes.policy, look.entries, wishes) if wishes.policy and look.entries is not None else None,
        troubles=_troubles(catalog, wishes.limit),
        counts=_counts(look, catalog),
    )


def _of(health: NameHealth) -> str:
    database, environment = health.facts["database"], health.facts["environment"]
    what = f"Database {database}" if database else ""
    return f"{what}, {environment}" if what and environment else what or environment or ""


def _counts(look: Look, catalog: Catalog) -> dict[str, int]:
    return {
        "backups": len(catalog.backups),
        "valid": len(catalog.valid_backups()),
        "orphans": len(catalog.orphans),
        "broken": len(catalog.broken),
        "foreign": len(catalog.foreign),
        "unfinished": len(catalog.unfinished),
        "restore_tests": sum(map(len, look.tests.values())),
    }


def _facts(look: Look, catalog: Catalog, zone: dt.tzinfo) -> tuple[tuple[str, str | When, str], ...]:
    valid, facts = catalog.valid_backups(), look.health.facts
    newest, passed = facts["newest"], facts["last_passed_restore_test_at"]
    total = sum(backup.size or 0 for backup in valid)
    found: list[tuple[str, str | When, str]] = [("Valid backups", f"{len(valid):,}", f"{human_size(total)} in all" if valid else "")]
    if newest:
        rows = f"{newest['rows']:,} rows" if newest["rows"] is not None else "rows not counted"
        took = f"in {_length(newest['duration_seconds'])}" if newest["duration_seconds"] is not None else ""
        found.insert(0, ("Newest valid backup", _when_stated(newest["snapshot_at"], zone), rows))
        found.append(("Its size", human_size(newest["size"]), took))
    if facts["oldest_valid_at"]:
        found.append(("History since", _when_stated(facts["oldest_valid_at"], zone), ""))
    found.append(("Last restore proved", _when_stated(passed, zone) if passed else "never", _rto_of_last(look, passed)))
    return tuple(found)


def _rto_of_last(look: Look, passed: str | None) -> str:
    for tests in look.tests.values():
        for test in tests:
            if test.passed and test.finished_at == passed and test.rto is not None:
                return f"in {_length(test.rto)}"
    return ""


def _begun(catalog: Catalog, now: dt.datetime, zone: dt.tzinfo, prefix: str) -> t.Iterator[tuple[dt.datetime, State]]:
    for backup in (*catalog.backups, *catalog.broken):
        yield local_time(backup.started, zone), _state(backup, now)
    for orphan in catalog.orphans:
        yield local_time(_orphan_started(orphan, prefix), zone), "orphan"


def _orphan_started(orphan: StoredObject, prefix: str) -> dt.datetime:
    parsed = naming.parse_archive_key(orphan.key, prefix)
    return parsed.started if parsed else orphan.modified


def _state(backup: Backup, now: dt.datetime) -> State:
    if not backup.valid:
        return "invalid"
    return "future" if _is_future(backup.started, now) else "valid"


def _is_future(moment: dt.datetime, now: dt.datetime) -> bool:
    return moment - now > dt.timedelta(seconds=MAXIMUM_CLOCK_SKEW)


def _charts(look: Look, catalog: Catalog, now: dt.datetime) -> tuple[Chart, ...]:
    # What is dated in the future would pass for the newest.
    oldest_first = [backup for backup in reversed(catalog.backups) if not _is_future(backup.started, now)]
    regular = [backup for backup in oldest_first if backup.valid and backup.manifest and backup.manifest.reason in REGULAR_REASONS]
    invalid = [Point(backup.started, float(backup.size)) for backup in oldest_first if not backup.valid and backup.size is not None]
    sizes = [Point(backup.started, float(backup.size or 0)) for backup in regular]
    durations = [Point(backup.started, seconds) for backup in regular if (seconds := _duration(backup)) is not None]
    tests = sorted(
        (test for each in look.tests.values() for test in each if test.rto is not None and not _is_future(test.finished, now)), key=lambda test: test.finished
    )
    passed = [Point(test.finished, float(test.rto or 0)) for test in tests if test.passed]
    others = [Point(test.finished, float(test.rto or 0)) for test in tests if not test.passed]
    charts = (
        _chart("Size of the archive", "bytes", sizes, invalid, "not valid"),
        _chart("Duration of the backup", "seconds", durations, [], ""),
        _chart("Time to restore, in tests", "seconds", passed, others, "not passed"),
    )
    return tuple(chart for chart in charts if len(chart.points) + len(chart.marked) >= _POINTS_OF_A_CHART and chart.points)


def _chart(title: str, unit: t.Literal["bytes", "seconds"], points: t.Sequence[Point], marked: t.Sequence[Point], marked_are: str) -> Chart:
    words = ""
    if points:
        write = human_size if unit == "bytes" else _length
        values = [point.value for point in points]
        words = f"From {write(min(values))} to {write(max(values))}, the newest {write(values[-1])}."
        if marked:
            words += f" {len(marked):,} {marked_are}, marked with a cross."
    return Chart(title, unit, tuple(points), tuple(marked), marked_are, words)


def _duration(backup: Backup) -> float | None:
    manifest = backup.manifest
    # Of an archive that somebody else made it is not known.
    if not manifest or manifest.adopted:
        return None
    return (parse_time(manifest.finished_at, "finished_at") - parse_time(manifest.started_at, "started_at")).total_seconds()


def _test_rows(look: Look, zone: dt.tzinfo) -> tuple[TestRow, ...]:
    newest_first = sorted((test for each in look.tests.values() for test in each), key=lambda test: (test.finished, test.test_id), reverse=True)
    return tuple(
        TestRow(
            when=_when(test.finished, zone),
            verdict=_TESTED[test.verdict],
            passed=test.passed,
            of=_when_stated(test.snapshot_at, zone) if test.snapshot_at else When("", test.key),
            rto=_length(test.rto) if test.rto is not None else "",
            rpo=_length(test.rpo) if test.rpo is not None else "",
            level={"content": "rows and content", "counts": "rows", "none": "nothing"}.get(test.level or "", ""),
            reasons=tuple(map(str, test.reasons)),
        )
        for test in newest_first
    )


def _backup_row(backup: Backup, look: Look, now: dt.datetime, zone: dt.tzinfo) -> BackupRow:
    manifest, duration = backup.manifest, _duration(backup)
    tests = [test for test in look.tests.get(backup.key, ()) if test.is_of(manifest)]
    return BackupRow(
        when=_when(backup.started, zone),
        key=backup.key,
        state=_state(backup, now),
        size=human_size(backup.size) if backup.size is not None else "",
        duration=_length(duration) if duration is not None else "",
        rows=_rows(backup),
        notes=_notes(backup),
        tested=_TESTED[tests[0].verdict] if tests else "",
        problems=backup.problems,
    )


def _rows(backup: Backup) -> str:
    manifest = backup.manifest
    if not manifest or manifest.fingerprint.get("method") == "none":
        return ""
    return f"{sum(int(found['rows']) for found in manifest.tables.values()):,}"


def _notes(backup: Backup) -> tuple[str, ...]:
    manifest = backup.manifest
    if not manifest:
        return ()
    labels = manifest.labels if isinstance(manifest.labels, dict) else {}
    notes = [_REASONS.get(manifest.reason, manifest.reason)]
    notes += ["adopted"] if manifest.adopted else []
    notes += ["pinned"] if manifest.pinned else []
    return (*notes, *(f"{label}: {value}" for label, value in labels.items()))


def _by_month(backups: t.Iterable[Backup], zone: dt.tzinfo) -> tuple[MonthRow, ...]:
    months: dict[str, list[Backup]] = collections.defaultdict(list)
    for backup in backups:
        local = local_time(backup.started, zone)
        months[f"{MONTHS[local.month - 1]} {local.year}"].append(backup)
    return tuple(
        MonthRow(title, len(each), sum(backup.valid for backup in each), human_size(sum(backup.size or 0 for backup in each))) for title, each in months.items()
    )


def _outlook(look: Look, policy: Policy, entries: t.Sequence[Entry], wishes: Wishes) -> Outlook:
    # The oldest first: in the order in which people expect things to go.
    going = [entry for entry in reversed(entries) if entry.verdict == "delete"]
    shown = going[: wishes.limit]
    return Outlook(
        policy=_policy_in_words(policy),
        going=tuple(
            GoingRow(_when(entry.dated, wishes.zone) if entry.dated else When("", ""), entry.key, human_size(entry.size or 0), entry.reasons) for entry in shown
        ),
        more=len(going) - len(shown),
        freed=human_size(sum(entry.size or 0 for entry in going)),
        staying=len(entries) - len(going),
        refusals=tuple(filter(None, (share_refusal(look.health.name, entries, policy), _untested(entries)))),
    )


def _untested(entries: t.Sequence[Entry]) -> str | None:
    """Return the sentence of a policy that lets nothing go because no restore was tested: it stands beside every backup, and once says it."""
    return next((reason for entry in entries for reason in entry.reasons if reason.startswith("require_restore_test:")), None)


def _policy_in_words(policy: Policy) -> str:
    rules = [f"keep_within {policy.keep_within.text}"] if policy.keep_within else []
    rules += [f"{option} {count if count >= 0 else 'all'}" for option, count in policy.counts().items() if count]
    rules += [f"min_keep {policy.min_keep}", f"keep_safety {policy.keep_safety.text}"]
    rules += [f"require_restore_test {policy.require_restore_test.text}"] if policy.require_restore_test else []
    return ", ".join(rules)


def _troubles(catalog: Catalog, limit: int) -> tuple[Trouble, ...]:
    # Those of the list show their problems there.
    unlisted = [backup.key for backup in catalog.backups[limit:] if not backup.valid]
    troubles = (
        _trouble("Older backups that are not valid", unlisted, "No restore takes them. pg_backup_info says what is wrong with each."),
        _trouble("Manifests without an archive", [backup.key for backup in catalog.broken], "The archive was lost or deleted by something else."),
        _trouble(
            "Archives without a manifest",
            sorted((orphan.key for orphan in catalog.orphans), reverse=True),
            "A backup that runs, or one that failed, or a dump of somebody else's. None of them counts as a backup; pg_backup_adopt makes one of it.",
        ),
        _trouble("Unfinished uploads", [upload.key for upload in catalog.unfinished], "A backup that runs, or one that was cut off. Retention clears them up."),
        _trouble("Files of others", sorted(stored.key for stored in catalog.foreign), "Their names begin like this one's. Nothing here touches them."),
    )
    return tuple(trouble for trouble in troubles if trouble.count)


def _trouble(title: str, keys: t.Sequence[str], words: str) -> Trouble:
    return Trouble(title, len(keys), tuple(keys[:_TROUBLES_SHOWN]), words)


def _when(moment: dt.datetime, zone: dt.tzinfo) -> When:
    return When(format_time(moment), local_time(moment, zone).strftime("%Y-%m-%d %H:%M"))


def _when_stated(text: str, zone: dt.tzinfo) -> When:
    return _when(parse_time(text, "a time"), zone)


def _length(seconds: float) -> str:
    """Write a length of time; short ones to the tenth of a second, because most backups of small databases are that short."""
    return f"{max(seconds, 0):.1f} s" if seconds < 10 else human_duration(seconds)
