# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Which backups of one name stay and which go: rules that keep, then protections that hold whatever the rules say.

Nothing is deleted that could be the last good copy. So a backup goes only if no rule and no protection speaks for it, invalid backups
neither fill a place nor go, and age counts from the newest valid backup: when backups stop, deleting stops too.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import REGULAR_REASONS, format_time, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import MAXIMUM_CLOCK_SKEW

ALL = -1
_TOLERANCE = dt.timedelta(seconds=MAXIMUM_CLOCK_SKEW)
# The times that key, manifest and store give of one event may differ by this: a key can have been written in a local time.
_AGREEMENT = dt.timedelta(hours=24)
_EVER = dt.datetime.min.replace(tzinfo=dt.timezone.utc)

Verdict = t.Literal["keep", "delete", "ignore"]


@dataclasses.dataclass(frozen=True)
class Policy:
    """How much to keep, in restic's words: a backup stays if any of the rules keeps it. Numbers count periods that have backups; -1 means all."""

    keep_within: Duration | None = None
    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    zone: dt.tzinfo = dt.timezone.utc
    min_keep: int = 3
    max_delete_percent: int = 50
    keep_safety: Duration = dataclasses.field(default_factory=lambda: Duration("90d", days=90))
    keep_incident: Duration | None = None
    pinned_labels: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    abort_uploads_after: Duration = dataclasses.field(default_factory=lambda: Duration("24h", hours=24))
    orphan_grace: Duration = dataclasses.field(default_factory=lambda: Duration("48h", hours=48))
    require_restore_test: Duration | None = None

    def counts(self) -> dict[str, int]:
        """Return the rules that count, by option."""
        return {option: getattr(self, option) for option in ("keep_last", *_PERIODS)}


@dataclasses.dataclass(frozen=True)
class Entry:
    """What becomes of one thing in the store, and why. ``keys`` are the objects to delete, in this order; an ``alarm`` needs a person."""

    kind: t.Literal["backup", "orphan", "record", "broken", "unfinished", "hidden"]
    name: str
    key: str
    verdict: Verdict
    reasons: tuple[str, ...]
    dated: dt.datetime | None
    size: int | None
    keys: tuple[str, ...] = ()
    alarm: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "key": self.key,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "time": format_time(self.dated) if self.dated else None,
            "size": self.size,
        }


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A backup with what its place among the others is. ``oldest`` and ``newest`` are the extremes of what key, manifest and store say of its time."""

    backup: Backup
    place: t.Literal["regular", "safety", "incident", "doubtful", "future", "invalid", "stranger"]
    oldest: dt.datetime
    newest: dt.datetime

    @property
    def key(self) -> str:
        return self.backup.key


@dataclasses.dataclass(frozen=True)
class Scene:
    """Everything a decision rests on. ``candidates`` are newest first; ``anchor`` is the moment from which age counts (None: there is none).

    ``tested`` is when each key last passed a restore test; ``untested`` says that none has passed one as recently as the policy requires.
    """

    name: str
    policy: Policy
    candidates: tuple[Candidate, ...]
    anchor: dt.datetime | None
    held: t.Mapping[str, str]
    tested: t.Mapping[str, dt.datetime]
    untested: bool

    def of(self, place: str) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.place == place]

    def limit(self, duration: Duration | None) -> dt.datetime:
        """Return the moment since which backups are younger than that. Without a duration all of them are, and so they are where no age is known."""
        if duration is None or self.anchor is None:
            return _EVER
        return duration.before(self.anchor, self.policy.zone)


_Reasons = t.Iterator["tuple[str, str]"]


def check_policy(policy: Policy) -> Policy:
    """Return the policy, or raise a sentence when it is empty or holds what can mean nothing."""
    for option, count in policy.counts().items():
        if count < ALL:
            raise BackupError(f"{option} is {count}. Set it to the number to keep, to -1 for all of them, or leave it out.")
    if policy.keep_within is None and not any(policy.counts().values()):
        raise BackupError(
            "The retention policy is empty, so every backup but the last few would be deleted. "
            "Set keep_within (for example to 30d), or at least one of keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly and keep_yearly."
        )
    if policy.min_keep < 0:
        raise BackupError(f"min_keep is {policy.min_keep}; it is how many valid backups always stay. Set it to 0 or more; the newest stays in any case.")
    if not 0 <= policy.max_delete_percent <= 100:
        raise BackupError(f"max_delete_percent is {policy.max_delete_percent}. Set it to a number from 0 to 100.")
    return policy


def decide(
    name: str,
    catalog: Catalog,
    policy: Policy,
    now: dt.datetime,
    *,
    prefix: str,
    held: t.Mapping[str, str],
    tested: t.Mapping[str, dt.datetime] | None = None,
) -> list[Entry]:
    """Return every backup of the catalog with its verdict, newest first.

    ``held`` has reasons from outside why a key must stay, ``tested`` the moment at which each key last passed a restore test.
    """
    scene = look(name, catalog.backups, policy, now, prefix=prefix, held=held, tested=tested or {})
    reasons: dict[str, list[str]] = {}
    for speak in (*RULES, *PROTECTIONS):
        for key, reason in speak(scene):
            reasons.setdefault(key, []).append(reason)
    return [_entry(candidate, reasons.get(candidate.key, []), scene) for candidate in scene.candidates]


def share_refusal(name: str, entries: t.Sequence[Entry], policy: Policy) -> str | None:
    """Refuse to delete a larger share of a name's valid backups than the policy permits: more often than not it is a mistake."""
    valid = [entry for entry in entries if entry.kind == "backup" and entry.verdict != "ignore"]
    going = sum(entry.verdict == "delete" for entry in valid)
    if going * 100 <= policy.max_delete_percent * len(valid):
        return None
    needed = -(-going * 100 // len(valid))
    return (
        f"Retention would delete {going} of the {len(valid)} valid backups of {name}, more than max_delete_percent ({policy.max_delete_percent}) "
        f"permits, so nothing was deleted. Look at the plan; if it is what you want, set max_delete_percent to {needed} for one run."
    )


def look(
    name: str,
    backups: t.Iterable[Backup],
    policy: Policy,
    now: dt.datetime,
    *,
    prefix: str,
    held: t.Mapping[str, str],
    tested: t.Mapping[str, dt.datetime],
) -> Scene:
    """Give every backup its place, and find the moment from which age counts."""
    newest_first = sorted(backups, key=lambda backup: (backup.started, backup.key), reverse=True)
    placed = [_place(backup, now, name, prefix) for backup in newest_first]
    # The oldest of a backup's times here, the newest where its age is judged: whichever of them is wrong, more is kept.
    anchor = max((min(candidate.oldest, now) for candidate in placed if candidate.place == "regular"), default=None)
    valid = {candidate.key for candidate in placed if candidate.place not in ("invalid", "stranger")}
    passed = {key: moment for key, moment in tested.items() if key in valid}
    required = policy.require_restore_test
    untested = required is not None and max(passed.values(), default=_EVER) < required.before(now, policy.zone)
    scene = Scene(name, policy, (), anchor, held, passed, untested)
    limit = scene.limit(policy.keep_safety)
    return dataclasses.replace(scene, candidates=tuple(_settled(candidate, limit) for candidate in placed))


def _place(backup: Backup, now: dt.datetime, name: str, prefix: str) -> Candidate:
    manifest = backup.manifest
    parsed = naming.parse_archive_key(backup.key, prefix)
    started, finished = backup.started, backup.modified or backup.started
    pairs = [(backup.started, started)]
    if manifest:
        pairs = [(started, parse_time(manifest.started_at, "started_at")), (finished, parse_time(manifest.finished_at, "finished_at"))]
    times = [finished, *(moment for pair in pairs for moment in pair)]
    oldest, newest = min(times), max(times)
    if not parsed or parsed.name != name:
        return Candidate(backup, "stranger", oldest, newest)
    if not backup.valid or not manifest:
        return Candidate(backup, "invalid", oldest, newest)
    if newest > now + _TOLERANCE:
        return Candidate(backup, "future", oldest, newest)
    if any(abs(one - other) > _AGREEMENT for one, other in pairs):
        return Candidate(backup, "doubtful", oldest, newest)
    return Candidate(backup, _ordinary_place(manifest.reason), oldest, newest)


def _ordinary_place(reason: str) -> t.Literal["regular", "safety", "incident"]:
    return "regular" if reason in REGULAR_REASONS else "incident" if reason == "incident" else "safety"


def _settled(candidate: Candidate, limit: dt.datetime) -> Candidate:
    """Let doubt end with keep_safety: a bucket that was copied has new times for everything, and must not keep it for ever."""
    if candidate.place != "doubtful" or not candidate.backup.manifest or candidate.newest >= limit:
        return candidate
    return dataclasses.replace(candidate, place=_ordinary_place(candidate.backup.manifest.reason))


# The rules: what the policy keeps of the regular backups


def _keep_within(scene: Scene) -> _Reasons:
    duration = scene.policy.keep_within
    if duration:
        limit = scene.limit(duration)
        for candidate in scene.of("regular"):
            if candidate.newest >= limit:
                yield candidate.key, f"keep_within: of the {duration.text} before the newest valid backup"


def _keep_counted(scene: Scene) -> _Reasons:
    for option, count in scene.policy.counts().items():
        yield from _newest_of_periods(scene, option, count)


def _newest_of_periods(scene: Scene, option: str, count: int) -> _Reasons:
    regular = scene.of("regular")
    kept, last = 0, None
    for candidate in regular:
        if kept == count:
            return
        period = candidate.key if option == "keep_last" else _PERIODS[option](candidate.backup.started.astimezone(scene.policy.zone))
        new = period != last
        # As restic does: while places are left the oldest backup stays too, so that the history is as long as it can be.
        if new or candidate is regular[-1]:
            yield candidate.key, _counted_reason(option, period, new)
            kept, last = kept + 1, period


def _counted_reason(option: str, period: str, new: bool) -> str:
    if option == "keep_last":
        return "keep_last: one of the newest"
    return f"{option}: the newest of {period}" if new else f"{option}: the oldest of all"


def _hour(local: dt.datetime) -> str:
    # With the offset, so that the hour that autumn brings twice is two hours.
    return local.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")


def _week(local: dt.datetime) -> str:
    year, week, _day = local.isocalendar()
    return f"{year:04d}-W{week:02d}"


_PERIODS: dict[str, t.Callable[[dt.datetime], str]] = {
    "keep_hourly": _hour,
    "keep_daily": lambda local: local.date().isoformat(),
    "keep_weekly": _week,
    "keep_monthly": lambda local: f"{local.year:04d}-{local.month:02d}",
    "keep_yearly": lambda local: f"{local.year:04d}",
}

RULES: tuple[t.Callable[[Scene], _Reasons], ...] = (_keep_within, _keep_counted)


# The protections: what stays whatever the rules say


def _protect_invalid(scene: Scene) -> _Reasons:
    for candidate in scene.of("invalid"):
        for problem in candidate.backup.problems:
            yield candidate.key, problem


def _protect_future(scene: Scene) -> _Reasons:
    for candidate in scene.of("future"):
        yield candidate.key, f"Its time is in the future ({format_time(candidate.newest)}), so its age is not known."


def _protect_doubtful(scene: Scene) -> _Reasons:
    for candidate in scene.of("doubtful"):
        times = f"{format_time(candidate.oldest)} to {format_time(candidate.newest)}"
        kept = f"it stays for keep_safety ({scene.policy.keep_safety.text})"
        yield candidate.key, f"Its key, its manifest and the store disagree about its time by more than a day ({times}), so {kept}."


def _protect_strangers(scene: Scene) -> _Reasons:
    for candidate in scene.of("stranger"):
        yield candidate.key, f"It is not a backup of {scene.name} under this prefix."


def _protect_newest(scene: Scene) -> _Reasons:
    for candidate in scene.of("regular")[:1]:
        yield candidate.key, "It is the newest valid regular backup."


def _protect_minimum(scene: Scene) -> _Reasons:
    for candidate in scene.of("regular")[: scene.policy.min_keep]:
        yield candidate.key, f"min_keep: one of the {scene.policy.min_keep} newest valid regular backups"


def _protect_safety(scene: Scene) -> _Reasons:
    limit = scene.limit(scene.policy.keep_safety)
    for candidate in scene.of("safety"):
        if candidate.newest >= limit:
            yield candidate.key, f"keep_safety: a safety backup of the {scene.policy.keep_safety.text} before the newest valid backup"


def _protect_incident(scene: Scene) -> _Reasons:
    duration = scene.policy.keep_incident
    limit = scene.limit(duration)
    for candidate in scene.of("incident"):
        if candidate.newest >= limit:
            yield candidate.key, f"keep_incident: a backup of an incident, kept {f'for {duration.text}' if duration else 'for ever'}"


def _protect_pinned(scene: Scene) -> _Reasons:
    for candidate in scene.candidates:
        manifest = candidate.backup.manifest
        if manifest and manifest.pinned:
            yield candidate.key, "It is pinned."
        if manifest and isinstance(manifest.labels, dict):
            for label, value in scene.policy.pinned_labels.items():
                if manifest.labels.get(label) == value:
                    yield candidate.key, f"It is pinned by its label {label}: {value}."


def _protect_tested(scene: Scene) -> _Reasons:
    if scene.policy.require_restore_test:
        for candidate in [found for found in scene.candidates if found.key in scene.tested][:1]:
            yield candidate.key, f"It is the newest that has passed a restore test ({format_time(scene.tested[candidate.key])})."


def _protect_untested(scene: Scene) -> _Reasons:
    duration = scene.policy.require_restore_test
    if duration and scene.untested:
        for candidate in scene.candidates:
            yield candidate.key, f"require_restore_test: no backup has passed a restore test in the last {duration.text}, so none goes. Run pg_restore_test."


def _protect_held(scene: Scene) -> _Reasons:
    for candidate in scene.candidates:
        if candidate.key in scene.held:
            yield candidate.key, scene.held[candidate.key]


PROTECTIONS: tuple[t.Callable[[Scene], _Reasons], ...] = (
    _protect_invalid,
    _protect_future,
    _protect_doubtful,
    _protect_strangers,
    _protect_newest,
    _protect_minimum,
    _protect_safety,
    _protect_incident,
    _protect_pinned,
    _protect_tested,
    _protect_untested,
    _protect_held,
)


def _entry(candidate: Candidate, reasons: list[str], scene: Scene) -> Entry:
    backup = candidate.backup
    newest = scene.of("regular")[:1]
    verdict: Verdict = "delete" if not reasons else "ignore" if candidate.place in ("invalid", "stranger") else "keep"
    return Entry(
        kind="backup",
        name=backup.name,
        key=backup.key,
        verdict=verdict,
        reasons=tuple(reasons) or (_why_not_kept(candidate, scene.policy),),
        dated=backup.started,
        size=backup.size,
        keys=(naming.manifest_key(backup.key), backup.key),
        # Once is enough to say that nothing was tested.
        alarm=candidate.place in ("invalid", "future", "doubtful") or (scene.untested and candidate in newest),
    )


def _why_not_kept(candidate: Candidate, policy: Policy) -> str:
    if candidate.place == "safety":
        return f"A safety backup older than keep_safety ({policy.keep_safety.text})."
    if candidate.place == "incident" and policy.keep_incident:
        return f"A backup of an incident older than keep_incident ({policy.keep_incident.text})."
    return "No rule of the policy keeps it."
