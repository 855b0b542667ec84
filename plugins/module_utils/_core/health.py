# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Whether the backups of a name would help tonight: a verdict, with a sentence for every reason.

Judged from what lies in the store and never from what a job says of itself, because the job may be dead. What could not be looked at is
``unknown``, which is never better than a warning.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import Found, find_table, read_table_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import REGULAR_REASONS, Manifest, format_time, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import MAXIMUM_CLOCK_SKEW, clock_deviation, some
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sweeps import orphan_time

Verdict = t.Literal["ok", "warning", "critical", "unknown"]
# From good to bad. What is not known may hide anything, so it outranks a warning; but a disaster that is certain has to be seen to, whatever else is
# not known. With nothing judged at all nothing is known.
SEVERITY: tuple[Verdict, ...] = ("ok", "warning", "unknown", "critical")

Check = t.Literal["store", "clock", "age", "size", "size_delta", "rows", "restore_test", "broken", "orphan", "unfinished", "future"]
CHECKS: tuple[Check, ...] = ("store", "clock", "age", "size", "size_delta", "rows", "restore_test", "broken", "orphan", "unfinished", "future")
STATES = ("valid", "invalid", "orphan", "broken", "future", "unfinished")

# Two bad ones in a row would hide behind the last one; they do not behind the median of five.
_COMPARED = 5
# For how long a restore test holds where somebody tests restores and has not said how often.
DEFAULT_RESTORE_TEST_AGE = Duration("35d", days=35)


def worst(verdicts: t.Iterable[Verdict]) -> Verdict:
    """Return the verdict that all of them together come to: critical before unknown before warning before ok, and unknown for none."""
    found = list(verdicts)
    return max(found, key=SEVERITY.index) if found else "unknown"


@dataclasses.dataclass(frozen=True)
class CriticalTable:
    """A table that must not lose rows unseen, named as in SQL. 0 is no limit."""

    table: str
    min_rows: int = 1
    max_row_delta: int = 50


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What is still good.

    ``min_size`` is in bytes and 0, which is no limit, by default: the archive of a small database is small, and what shrinks is found by
    ``max_size_delta`` (percent of the median of the five backups before it, 0 for no limit). Restore tests are judged where
    ``max_restore_test_age`` is set, and else where there is any (then by 35 days): who tests restores wants to know when that ends, who does not
    has asked for nothing. ``max_clock_skew`` is in seconds.
    """

    max_age_warning: Duration = dataclasses.field(default_factory=lambda: Duration("25h", hours=25))
    max_age_critical: Duration = dataclasses.field(default_factory=lambda: Duration("30h", hours=30))
    min_size: int = 0
    max_size_delta: int = 50
    critical_tables: tuple[CriticalTable, ...] = ()
    max_restore_test_age: Duration | None = None
    max_clock_skew: int = MAXIMUM_CLOCK_SKEW
    max_unfinished_age: Duration = dataclasses.field(default_factory=lambda: Duration("24h", hours=24))
    max_orphan_age: Duration = dataclasses.field(default_factory=lambda: Duration("48h", hours=48))


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a verdict is not ok: a sentence for whoever is called at night, and the check that found it."""

    verdict: Verdict
    check: Check
    sentence: str

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class NameHealth:
    """The verdict on one name. ``facts`` are plain JSON data, always of the same keys, with None for what is not known."""

    name: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    facts: dict[str, t.Any]

    @property
    def summary(self) -> str:
        """Say in one sentence what was found, good or bad."""
        return f"{self.name}: {_newest_in_words(self.facts['newest'])}, {_counts_in_words(self.facts['counts'])}, {_test_in_words(self.facts['restore_test'])}."

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "verdict": self.verdict,
            "summary": self.summary,
            "reasons": [reason.as_dict() for reason in self.reasons],
            "facts": self.facts,
        }


@dataclasses.dataclass(frozen=True)
class Health:
    """The verdict on a store. ``reasons`` are those of all names, the worst first, each once. ``destination`` is where the store is."""

    verdict: Verdict
    names: tuple[NameHealth, ...]
    reasons: tuple[Reason, ...]
    judged_at: str
    destination: str

    def names_of(self, reason: Reason) -> list[str]:
        """Return the names that a reason is about; what is wrong with the store is about all of them."""
        return [each.name for each in self.names if reason in each.reasons]

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "verdict": self.verdict,
            "judged_at": self.judged_at,
            "destination": self.destination,
            "names": [each.as_dict() for each in self.names],
            "reasons": [{**reason.as_dict(), "names": self.names_of(reason)} for reason in self.reasons],
        }


def combine(names: t.Sequence[NameHealth], *, now: dt.datetime, destination: str) -> Health:
    """Return the verdict on a store from those on its names."""
    reasons = dict.fromkeys(reason for each in names for reason in each.reasons)
    return Health(worst(each.verdict for each in names), tuple(names), _worst_first(reasons), format_time(now), destination)


def unknown(name: str, sentence: str) -> NameHealth:
    """Return the verdict on a name that could not be looked at, with the store's own sentence."""
    return NameHealth(name, "unknown", (Reason("unknown", "store", sentence),), dict(_NO_FACTS))


def check_thresholds(thresholds: Thresholds) -> Thresholds:
    """Return the thresholds, or raise a sentence where one of them can mean nothing."""
    numbers = {"min_size": "bytes", "max_size_delta": "percent", "max_clock_skew": "seconds"}
    for option, unit in numbers.items():
        if getattr(thresholds, option) < 0:
            raise BackupError(f"{option} is {getattr(thresholds, option)}. Set it to a number of {unit}, 0 or more.")
    for rule in thresholds.critical_tables:
        if read_table_name(rule.table) is None:
            raise BackupError(
                f"critical_tables names the table {rule.table!r}, which is no name of a table. Write TABLE or SCHEMA.TABLE, quoted where SQL needs it."
            )
        for field in ("min_rows", "max_row_delta"):
            if getattr(rule, field) < 0:
                raise BackupError(f"critical_tables has {field} {getattr(rule, field)} for the table {rule.table}. Set it to 0 (no limit) or more.")
    return thresholds


def judge(
    name: str,
    catalog: Catalog,
    tests: t.Mapping[str, t.Sequence[RestoreTest]],
    thresholds: Thresholds,
    now: dt.datetime,
    *,
    prefix: str,
    clock_skew: float | None,
    unreadable: t.Sequence[str] = (),
) -> NameHealth:
    """Judge the catalog of one name. ``tests`` are by the archive's key; ``unreadable`` are sentences about records of tests that say nothing."""
    scene = _look(name, catalog, tests, thresholds, now, prefix, clock_skew, unreadable)
    reasons = [reason for check in _CHECKS for reason in check(scene)]
    # The ok is that of all the checks that found nothing.
    return NameHealth(name, worst(["ok", *(reason.verdict for reason in reasons)]), _worst_first(reasons), _facts(scene))


@dataclasses.dataclass(frozen=True)
class _Taken:
    """A valid regular backup: the manifest, and the moment whose state it holds."""

    key: str
    manifest: Manifest
    moment: dt.datetime

    @property
    def rows(self) -> int | None:
        if self.manifest.fingerprint.get("method") == "none":
            return None
        return sum(int(found["rows"]) for found in self.manifest.tables.values())


@dataclasses.dataclass(frozen=True)
class _Scene:
    """Everything a verdict rests on. ``taken`` and ``tests`` are newest first; ``tests`` have the manifest of the backup that was tested."""

    name: str
    catalog: Catalog
    thresholds: Thresholds
    judged_at: dt.datetime
    prefix: str
    clock_skew: float | None
    unreadable: t.Sequence[str]
    taken: tuple[_Taken, ...]
    invalid: tuple[Backup, ...]
    future: tuple[str, ...]
    valid: int
    tests: tuple[RestoreTest, ...]
    future_tests: tuple[RestoreTest, ...]

    @property
    def newest(self) -> _Taken | None:
        return self.taken[0] if self.taken else None

    @property
    def before(self) -> tuple[_Taken, ...]:
        """Return the backups that the newest one is compared with."""
        return self.taken[1 : 1 + _COMPARED]

    @property
    def last_passed(self) -> RestoreTest | None:
        return next((test for test in self.tests if test.passed), None)

    def seconds(self, duration: Duration) -> float:
        return length_in_seconds(duration, self.judged_at)

    def is_newer_than_newest(self, started: dt.datetime) -> bool:
        return self.newest is None or started > parse_time(self.newest.manifest.started_at, "started_at")


def length_in_seconds(duration: Duration, now: dt.datetime) -> float:
    """Return how long a duration is that ends now."""
    return (now - duration.before(now, dt.timezone.utc)).total_seconds()


def age_limits(thresholds: Thresholds, now: dt.datetime) -> tuple[float, float]:
    """Return from which age in seconds on the newest backup is a warning, and critical.

    A critical age below that of the warning leaves no room for one; so the founding 24 hours need one option and not two.
    """
    critical = length_in_seconds(thresholds.max_age_critical, now)
    return min(critical, length_in_seconds(thresholds.max_age_warning, now)), critical


def age_in_words(seconds: float) -> str:
    """Write an age for people, to the minute where minutes matter."""
    minutes = int(max(seconds, 0)) // 60
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 72 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} days {minutes // 60 % 24} h"


def _look(
    name: str,
    catalog: Catalog,
    tests: t.Mapping[str, t.Sequence[RestoreTest]],
    thresholds: Thresholds,
    now: dt.datetime,
    prefix: str,
    clock_skew: float | None,
    unreadable: t.Sequence[str],
) -> _Scene:
    limit = now + dt.timedelta(seconds=thresholds.max_clock_skew)
    future = [backup.key for backup in catalog.backups if _latest_time(backup) > limit]
    past = [backup for backup in catalog.backups if _latest_time(backup) <= limit]
    valid = [(backup, backup.manifest) for backup in past if backup.valid and backup.manifest]
    taken = [_Taken(backup.key, manifest, parse_time(manifest.snapshot_at, "snapshot_at")) for backup, manifest in valid if manifest.reason in REGULAR_REASONS]
    future += [backup.key for backup in catalog.broken if _latest_time(backup) > limit]
    future += [orphan.key for orphan in catalog.orphans if (parsed := naming.parse_archive_key(orphan.key, prefix)) and parsed.started > limit]
    manifests = {backup.key: backup.manifest for backup in (*catalog.backups, *catalog.broken)}
    of_backups = [test for key, each in tests.items() for test in each if test.is_of(manifests.get(key))]
    newest_first = sorted(of_backups, key=lambda test: (test.finished, test.test_id), reverse=True)
    return _Scene(
        name=name,
        catalog=catalog,
        thresholds=thresholds,
        judged_at=now,
        prefix=prefix,
        clock_skew=clock_skew,
        unreadable=unreadable,
        taken=tuple(sorted(taken, key=lambda each: (each.moment, each.key), reverse=True)),
        invalid=tuple(backup for backup in past if not backup.valid),
        future=tuple(future),
        valid=len(valid),
        # One that is dated in the future would stay the newest for ever.
        tests=tuple(test for test in newest_first if test.finished <= limit),
        future_tests=tuple(test for test in newest_first if test.finished > limit),
    )


def _latest_time(backup: Backup) -> dt.datetime:
    """Return the latest time that key and manifest say; the store's own is not one of them, because copying a store changes it."""
    manifest = backup.manifest
    stated = [parse_time(text, "a time") for text in (manifest.started_at, manifest.snapshot_at, manifest.finished_at)] if manifest else []
    return max(backup.started, *stated) if stated else backup.started


# The checks: each yields what it finds wrong


def _clock(scene: _Scene) -> t.Iterator[Reason]:
    limit = scene.thresholds.max_clock_skew
    deviation = clock_deviation(scene.clock_skew, "the store's", limit)
    if deviation:
        sentence = f"{deviation}, more than max_clock_skew ({limit} s) permits, so no age can be trusted. Correct the clock (NTP), then look again."
        yield Reason("unknown", "clock", sentence)


def _age(scene: _Scene) -> t.Iterator[Reason]:
    newest = scene.newest
    if newest is None:
        yield Reason(
            "critical", "age", f"There is no valid backup of {scene.name}{_what_there_is(scene)}. Check name and prefix, and the job that makes backups."
        )
        return
    age = (scene.judged_at - newest.moment).total_seconds()
    warning, critical = age_limits(scene.thresholds, scene.judged_at)
    if age <= warning:
        return
    verdict: Verdict = "critical" if age > critical else "warning"
    option = "max_age_critical" if age > critical else "max_age_warning"
    yield Reason(
        verdict,
        "age",
        f"The newest valid backup of {scene.name} holds the database as it was at {format_time(newest.moment)}, {age_in_words(age)} ago "
        f"({option} is {getattr(scene.thresholds, option).text}). Look at the job that makes backups.{_newer_than_newest(scene)}",
    )


def _size(scene: _Scene) -> t.Iterator[Reason]:
    newest = scene.newest
    if newest and newest.manifest.size < scene.thresholds.min_size:
        yield Reason(
            "critical",
            "size",
            f"The newest valid backup {newest.key} has {newest.manifest.size} bytes, less than min_size ({scene.thresholds.min_size}).",
        )


def _size_delta(scene: _Scene) -> t.Iterator[Reason]:
    newest, median = scene.newest, _median_size(scene)
    delta, limit = _delta(newest.manifest.size if newest else None, median), scene.thresholds.max_size_delta
    if newest is None or median is None or delta is None or not _differs(newest.manifest.size, median, limit):
        return
    yield Reason(
        _verdict_of(delta),
        "size_delta",
        f"The newest valid backup {newest.key} has {human_size(newest.manifest.size)}, "
        f"{_beside_median(delta, human_size(median), len(scene.before))} (max_size_delta is {limit} %).",
    )


def _rows(scene: _Scene) -> t.Iterator[Reason]:
    newest = scene.newest
    if newest is None:
        return
    median = _median([rows for each in scene.before if (rows := each.rows) is not None])
    if newest.rows == 0 and median:
        sentence = f"The newest valid backup {newest.key} holds not one row; {median:.0f} are the median of the {_how_many(len(scene.before))} before it."
        yield Reason("critical", "rows", sentence)
    for rule in scene.thresholds.critical_tables:
        yield from _rows_of(rule, newest, scene.before)


def _rows_of(rule: CriticalTable, newest: _Taken, before: t.Sequence[_Taken]) -> t.Iterator[Reason]:
    if newest.rows is None:
        sentence = f"The rows of {rule.table} in the newest valid backup {newest.key} were never counted, so nobody knows whether they are all there."
        yield Reason("unknown", "rows", sentence)
        return
    try:
        rows = _rows_in(rule.table, newest)
    except VerificationError as error:
        yield Reason("critical", "rows", f"The newest valid backup {newest.key} does not hold the critical table {rule.table}: {error.message}")
        return
    if rows < rule.min_rows:
        yield Reason("critical", "rows", f"The newest valid backup {newest.key} holds {rows} rows of {rule.table}, less than its min_rows ({rule.min_rows}).")
        return
    counted = [found for each in before if (found := _rows_or_none(rule.table, each)) is not None]
    median = _median(counted)
    delta = _delta(rows, median)
    if median is not None and delta is not None and _differs(rows, median, rule.max_row_delta):
        yield Reason(
            _verdict_of(delta),
            "rows",
            f"The newest valid backup {newest.key} holds {rows} rows of {rule.table}, "
            f"{_beside_median(delta, f'{median:.0f}', len(counted))} (its max_row_delta is {rule.max_row_delta} %).",
        )


def _restore_test(scene: _Scene) -> t.Iterator[Reason]:
    for sentence in scene.unreadable:
        # It may have said that a restore failed.
        yield Reason("unknown", "restore_test", sentence)
    bad = [scene.tests[0]] if scene.tests else []
    bad += [test for test in scene.tests if scene.newest and test.key == scene.newest.key][:1]
    for test in {test.test_id: test for test in bad if not test.passed}.values():
        yield _bad_test(test, scene)
    yield from _test_age(scene)


def _bad_test(test: RestoreTest, scene: _Scene) -> Reason:
    came = "failed" if test.verdict == "failed" else "could not verify what was restored"
    tested = "the newest valid backup" if scene.newest and test.key == scene.newest.key else "the backup"
    why = " ".join(test.reasons) or "Its record gives no reason."
    return Reason("critical", "restore_test", f"The restore test of {tested} {test.key} at {test.finished_at} {came}: {why}")


def _test_age(scene: _Scene) -> t.Iterator[Reason]:
    wanted = scene.thresholds.max_restore_test_age
    if wanted is None and not scene.tests:
        return
    limit = wanted or DEFAULT_RESTORE_TEST_AGE
    passed = scene.last_passed
    if passed is None:
        yield Reason(
            "warning", "restore_test", f"No backup of {scene.name} that is in the store has passed a restore test (max_restore_test_age is {limit.text})."
        )
        return
    age = (scene.judged_at - passed.finished).total_seconds()
    if age > scene.seconds(limit):
        yield Reason(
            "warning",
            "restore_test",
            f"The last restore test of {scene.name} that passed was at {passed.finished_at}, {age_in_words(age)} ago (max_restore_test_age is {limit.text}).",
        )


def _broken(scene: _Scene) -> t.Iterator[Reason]:
    unusable = [*scene.invalid, *(backup for backup in scene.catalog.broken if backup.key not in scene.future)]
    older = [backup.key for backup in unusable if not scene.is_newer_than_newest(backup.started)]
    for backup in unusable:
        if backup.key not in older:
            newer = f"newer than the newest valid backup of {scene.name}" if scene.newest else f"and no backup of {scene.name} is valid"
            yield Reason("critical", "broken", f"The backup {backup.key} cannot be restored, {newer}: {' '.join(backup.problems)}")
    if older:
        problems = " ".join(dict.fromkeys(problem for backup in unusable if backup.key in older for problem in backup.problems))
        # Many of them make no sentence any more.
        shown = problems if len(older) == 1 else "pg_backup_info says what is wrong with each."
        yield Reason("warning", "broken", f"Not to be restored, though newer valid ones are there: the {some('backup', sorted(older))}. {shown}")


def _orphan(scene: _Scene) -> t.Iterator[Reason]:
    limit = scene.thresholds.max_orphan_age
    old = [orphan.key for orphan in scene.catalog.orphans if _since(orphan_time(orphan, scene.prefix), scene) > scene.seconds(limit)]
    if old:
        yield Reason(
            "warning",
            "orphan",
            f"Without a manifest for longer than max_orphan_age ({limit.text}), so none of the backups: the {some('archive', sorted(old))}. "
            "Either their backup failed, or somebody else put them there, or their manifests were lost. Retention or pg_backup_adopt clears them up.",
        )


def _unfinished(scene: _Scene) -> t.Iterator[Reason]:
    limit = scene.thresholds.max_unfinished_age
    old = [upload.key for upload in scene.catalog.unfinished if upload.started and _since(upload.started, scene) > scene.seconds(limit)]
    if old:
        yield Reason(
            "warning",
            "unfinished",
            f"Unfinished for longer than max_unfinished_age ({limit.text}), and paid for: the {some('upload', sorted(old))}. "
            "The backups were killed or cut off. Retention clears them up.",
        )


def _future(scene: _Scene) -> t.Iterator[Reason]:
    if scene.future:
        yield Reason(
            "critical",
            "future",
            f"Dated in the future, and not counted: the {some('backup', sorted(scene.future))}. "
            "The clock of the host that made them was wrong, and other backups may be misdated too.",
        )
    if scene.future_tests:
        dated = sorted({f"{test.key} ({test.finished_at})" for test in scene.future_tests})
        yield Reason(
            "critical", "future", f"Dated in the future, and not counted: the {some('restore test', dated)}. The clock of the host that made it was wrong."
        )


_CHECKS: tuple[t.Callable[[_Scene], t.Iterator[Reason]], ...] = (
    _clock,
    _age,
    _size,
    _size_delta,
    _rows,
    _restore_test,
    _broken,
    _orphan,
    _unfinished,
    _future,
)


def _worst_first(reasons: t.Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(reasons, key=lambda reason: -SEVERITY.index(reason.verdict)))


def _verdict_of(delta: float) -> Verdict:
    """Judge a change that is too large: what is gone may be lost, what has come is only strange."""
    return "critical" if delta < 0 else "warning"


def _since(moment: dt.datetime, scene: _Scene) -> float:
    return (scene.judged_at - moment).total_seconds()


def _what_there_is(scene: _Scene) -> str:
    """Say what there is instead of a valid regular backup."""
    counts = {
        "that cannot be restored": len(scene.invalid) + len(scene.catalog.broken),
        "without a manifest": len(scene.catalog.orphans),
        "taken before a restore or of an incident, which do not count": scene.valid,
        "dated in the future": len(scene.future),
    }
    there = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f" (but {there})" if there else ""


def _newer_than_newest(scene: _Scene) -> str:
    """Point to what is left of the attempts since the newest valid backup."""
    newer = [
        orphan.key
        for orphan in scene.catalog.orphans
        if (parsed := naming.parse_archive_key(orphan.key, scene.prefix)) and scene.is_newer_than_newest(parsed.started)
    ]
    return (
        f" Newer, but without a manifest, is the {some('archive', sorted(newer))}: a backup is running, has failed, or its manifest was lost." if newer else ""
    )


def _beside_median(delta: float, median: str, count: int) -> str:
    return f"{abs(delta):.0%} {'less' if delta < 0 else 'more'} than the {median} that are the median of the {_how_many(count)} before it"


def _how_many(count: int) -> str:
    return "one" if count == 1 else f"last {count}"


def _median(numbers: t.Iterable[int]) -> float | None:
    ordered = sorted(numbers)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _median_size(scene: _Scene) -> float | None:
    return _median(each.manifest.size for each in scene.before)


def _delta(number: int | None, median: float | None) -> float | None:
    """Return by which part of the median a number differs from it."""
    return None if number is None or not median else number / median - 1


def _differs(number: int, median: float, percent: int) -> bool:
    """Say whether a number differs from the median by more than so many percent (0: no limit). Without dividing, so that just 30 % are not more."""
    return bool(percent) and abs(number - median) * 100 > percent * median


def _rows_in(table: str, taken: _Taken) -> int:
    """Return how many rows of a table a backup holds; raise a sentence where it is not exactly one table."""
    wanted = read_table_name(table)
    found = {}
    for spelled in taken.manifest.tables:
        name = read_table_name(spelled)
        if name and wanted and name.name == wanted.name:
            found[spelled] = Found(str(name.schema), name.name, "r")
    if wanted is None:
        raise VerificationError(f"{table!r} is no name of a table.")
    chosen = find_table(wanted, list(found.values()), None)
    return int(next(taken.manifest.tables[spelled]["rows"] for spelled, each in found.items() if each == chosen))


def _rows_or_none(table: str, taken: _Taken) -> int | None:
    if taken.rows is None:
        return None
    try:
        return _rows_in(table, taken)
    except VerificationError:
        return None


# The facts: what was found, for metrics and reports


_NO_FACTS: dict[str, t.Any] = {
    "newest": None,
    "oldest_valid_at": None,
    "median_size": None,
    "size_delta": None,
    "counts": None,
    "restore_test": None,
    "last_passed_restore_test_at": None,
    "database": None,
    "environment": None,
    "clock_skew": None,
}


def _facts(scene: _Scene) -> dict[str, t.Any]:
    newest, median = scene.newest, _median_size(scene)
    passed = scene.last_passed
    return {
        **_NO_FACTS,
        "newest": _newest_facts(newest, scene.judged_at) if newest else None,
        "oldest_valid_at": format_time(scene.taken[-1].moment) if scene.taken else None,
        "median_size": median,
        "size_delta": _delta(newest.manifest.size if newest else None, median),
        "counts": {
            "valid": scene.valid,
            "invalid": len(scene.invalid),
            "orphan": sum(orphan.key not in scene.future for orphan in scene.catalog.orphans),
            "broken": sum(backup.key not in scene.future for backup in scene.catalog.broken),
            "future": len(scene.future),
            "unfinished": len(scene.catalog.unfinished),
        },
        "restore_test": _test_facts(scene.tests[0], scene.judged_at) if scene.tests else None,
        "last_passed_restore_test_at": passed.finished_at if passed else None,
        "database": newest.manifest.source.get("database") if newest else None,
        "environment": newest.manifest.environment if newest else None,
        "clock_skew": scene.clock_skew,
    }


def _newest_facts(newest: _Taken, now: dt.datetime) -> dict[str, t.Any]:
    manifest = newest.manifest
    began, ended = parse_time(manifest.started_at, "started_at"), parse_time(manifest.finished_at, "finished_at")
    return {
        "key": newest.key,
        "backup_id": manifest.backup_id,
        "started_at": manifest.started_at,
        "snapshot_at": manifest.snapshot_at,
        "age_seconds": max((now - newest.moment).total_seconds(), 0.0),
        "size": manifest.size,
        # Of an archive that somebody else made it is not known.
        "duration_seconds": None if manifest.adopted else (ended - began).total_seconds(),
        "rows": newest.rows,
    }


def _test_facts(test: RestoreTest, now: dt.datetime) -> dict[str, t.Any]:
    return {
        "verdict": test.verdict,
        "at": test.finished_at,
        "age_seconds": max((now - test.finished).total_seconds(), 0.0),
        "rto": test.rto,
        "key": test.key,
    }


def _newest_in_words(newest: t.Mapping[str, t.Any] | None) -> str:
    if newest is None:
        return "no valid backup is known"
    rows = f", {newest['rows']} rows" if newest["rows"] is not None else ""
    return f"the newest valid backup is {age_in_words(newest['age_seconds'])} old ({human_size(newest['size'])}{rows})"


def _counts_in_words(counts: t.Mapping[str, int] | None) -> str:
    if counts is None:
        return "the store was not read"
    others = "".join(f", {counts[state]} {state}" for state in STATES[1:] if counts[state])
    return f"{counts['valid']} valid in the store{others}"


def _test_in_words(test: t.Mapping[str, t.Any] | None) -> str:
    if test is None:
        return "no restore test is known"
    came = {"passed": "passed", "failed": "failed", "could_not_verify": "could not verify"}[test["verdict"]]
    return f"the last restore test {came} {age_in_words(test['age_seconds'])} ago"
