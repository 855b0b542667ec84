# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Let go of old backups: look at the store, plan, and unless in check mode delete, then look again at what became of it.

A listing that is not complete, or a clock that is not right, deletes nothing.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming, preflight
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import (
    StoredObject,
    UnfinishedUpload,
    manifests_to_read,
    read_catalog,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, RefusedError, StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Entry, Policy, check_policy, decide, share_refusal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sweeps import decide_sweeps, old_orphans, records_beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.versions import HiddenVersion
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Pruner, Store, StoreFacts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.catalog import read_manifests, side_by_side
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_test_records import RestoreTests, load_restore_tests

# A restore that was begun this long ago has ended; until then what its journal names is not deleted.
_RESTORES_LAST = dt.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class RetentionRequest:
    """Whose backups to look at, how much to keep of each name, and whether what is hidden goes for good."""

    names: tuple[str, ...]
    policy: Policy
    purge_versions: bool


@dataclasses.dataclass(frozen=True)
class RetentionPlan:
    """What becomes of everything under the names. ``sizes`` are those of all objects listed; ``aborts`` and ``purges`` are what their entries mean."""

    request: RetentionRequest
    store: StoreFacts
    entries: tuple[Entry, ...]
    sizes: dict[str, int]
    foreign: dict[str, int]
    aborts: tuple[UnfinishedUpload, ...]
    purges: tuple[HiddenVersion, ...]

    @property
    def going(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.verdict == "delete"]


@dataclasses.dataclass(frozen=True)
class RetentionResult:
    """What became of it. ``failures`` has a sentence by key; ``still_present`` is what else the store still shows; sizes in bytes.

    ``permanently`` is False in a bucket that keeps versions, and None where that may not be asked.
    """

    deleted: list[str]
    failures: dict[str, str]
    still_present: list[str]
    aborted: list[str]
    purged: list[str]
    bytes_freed: int
    bytes_hidden: int
    permanently: bool | None

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class _OfName:
    """What one name has in the store, and what becomes of it."""

    objects: list[StoredObject]
    foreign: int
    entries: list[Entry]
    aborts: list[UnfinishedUpload]
    purges: list[HiddenVersion]


def plan_retention(request: RetentionRequest, store: Store, pruner: Pruner, now: dt.datetime) -> RetentionPlan:
    """Look at everything and decide; raise all refusals together, with the plan."""
    check_policy(request.policy)
    names = list(dict.fromkeys(naming.check_name(name) for name in request.names))
    if not names:
        raise BackupError("No name is given. Set name to the names of the backups that the policy is for.")
    facts = store.probe(store.prefix, write=False)
    _require_clock(facts)
    held = named_by_restores(store, now)
    found = {name: _plan_name(name, request, store, pruner, now, held) for name in names}
    plan = RetentionPlan(
        request=request,
        store=facts,
        entries=tuple(entry for each in found.values() for entry in each.entries),
        sizes={stored.key: stored.size for each in found.values() for stored in each.objects},
        foreign={name: each.foreign for name, each in found.items()},
        aborts=tuple(upload for each in found.values() for upload in each.aborts),
        purges=tuple(version for each in found.values() for version in each.purges),
    )
    refusals = [refusal for name, each in found.items() if (refusal := share_refusal(name, each.entries, request.policy))]
    if refusals:
        raise RefusedError(refusals, plan=[entry.as_dict() for entry in plan.entries])
    return plan


def carry_out(plan: RetentionPlan, store: Store, pruner: Pruner) -> RetentionResult:
    """Delete what the plan lets go: manifests first, so that an interrupted run leaves no manifest without its archive. Then look again."""
    manifests = [key for entry in plan.going for key in entry.keys if key.endswith(naming.MANIFEST_SUFFIX)]
    failures = pruner.delete(manifests)
    rest = [key for entry in plan.going if not any(each in failures for each in entry.keys) for key in entry.keys if not key.endswith(naming.MANIFEST_SUFFIX)]
    failures.update(pruner.delete(rest))
    for upload in plan.aborts:
        try:
            pruner.abort(upload)
        except StoreError as error:
            failures[upload.key] = error.message
    failures.update(pruner.purge(plan.purges))
    asked = [key for entry in plan.going for key in entry.keys]
    present, unfinished, hidden = _look_again(plan, store, pruner, asked)
    deleted = [key for key in asked if key not in present]
    # The answer that was lost may have been a good one.
    failures = {key: problem for key, problem in failures.items() if key not in deleted}
    still = [key for key in asked if key in present and key not in failures]
    aborted = [upload for upload in plan.aborts if upload.upload_id not in unfinished]
    purged = [version for version in plan.purges if version.version_id not in hidden]
    still += [upload.key for upload in plan.aborts if upload not in aborted and upload.key not in failures]
    still += [version.key for version in plan.purges if version not in purged and version.key not in failures]
    size = sum(plan.sizes[key] for key in deleted)
    return RetentionResult(
        deleted=deleted,
        failures=failures,
        still_present=list(dict.fromkeys(still)),
        aborted=[upload.key for upload in aborted],
        purged=list(dict.fromkeys(version.key for version in purged)),
        bytes_freed=sum(version.size for version in purged) + (size if pruner.versioned is False else 0),
        bytes_hidden=0 if pruner.versioned is False else size,
        permanently=None if pruner.versioned is None else not pruner.versioned,
    )


def require_complete(outcome: RetentionResult, result: dict[str, t.Any]) -> None:
    """Fail, with the whole result, if not everything has gone that was to go."""
    if not outcome.failures and not outcome.still_present:
        return
    problems = [f"{key}: {problem}" for key, problem in outcome.failures.items()]
    problems += [f"{key}: the store still shows it." for key in outcome.still_present]
    more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
    details = {name: value for name, value in result.items() if name not in ("msg", "warnings")}
    raise VerificationError(f"Not everything could be deleted. {' '.join(problems[:5])}{more}", **details)


def _require_clock(facts: StoreFacts) -> None:
    """Refuse to judge ages by a clock that is not right, or that a bucket's own time cannot be compared with."""
    refusal = preflight.clock_refusal(facts.clock_skew, "the store's")
    if facts.kind == "s3" and facts.clock_skew is None:
        refusal = f"The store {facts.location} does not say what time it is, so the ages of backups cannot be proved. Nothing was deleted."
    if refusal:
        raise RefusedError([refusal])


def named_by_restores(store: Store, now: dt.datetime) -> dict[str, str]:
    """Return the archives that the journal of a recent restore names, whatever that restore has come to."""
    held: dict[str, str] = {}
    for journal in store.list_objects(naming.RESTORES, deep=True):
        if now - journal.modified > _RESTORES_LAST:
            continue
        for content in read_manifests(store, [journal.key]).values():
            for base_name in naming.archives_named_in(content.decode("utf-8", "replace")):
                held[store.prefix + base_name] = f"A restore of the last {_RESTORES_LAST.days} days names it ({journal.key})."
    return held


def _plan_name(name: str, request: RetentionRequest, store: Store, pruner: Pruner, now: dt.datetime, held: t.Mapping[str, str]) -> _OfName:
    policy, prefix = request.policy, store.prefix
    starts_with = f"{name}_"
    objects = store.list_objects(starts_with, deep=True)
    manifests = read_manifests(store, manifests_to_read(objects, prefix, name))
    catalog = read_catalog(objects, manifests, store.list_unfinished(starts_with), prefix=prefix, name=name)
    records = records_beside(objects, prefix, name)
    tests = load_restore_tests(store, name, objects) if policy.require_restore_test else RestoreTests()
    tested = tests.passed(catalog.backups)
    backups = [
        dataclasses.replace(entry, keys=(*entry.keys, *(record.key for record in records.get(entry.key, ()))))
        for entry in decide(name, catalog, policy, now, prefix=prefix, held=held, tested=tested)
    ]
    orphans = [orphan.key for orphan in old_orphans(catalog, policy, now, prefix)]
    ours = {key for key, backup_id in zip(orphans, side_by_side(pruner.backup_id, orphans), strict=True) if backup_id}
    sweeps = decide_sweeps(name, catalog, records, policy, now, prefix=prefix, ours=ours, held=held)
    uploads = [entry for entry in sweeps if entry.kind == "unfinished"]
    hidden, purges = _plan_purges(name, request, store, pruner, now, held, tested, objects, manifests)
    return _OfName(
        objects=objects,
        foreign=len(catalog.foreign),
        entries=[*side_by_side(lambda entry: _around_locks(entry, pruner, now), [*backups, *sweeps]), *hidden],
        aborts=[upload for upload, entry in zip(catalog.unfinished, uploads, strict=True) if entry.verdict == "delete"],
        purges=purges,
    )


def _around_locks(entry: Entry, pruner: Pruner, now: dt.datetime) -> Entry:
    """Keep what the store would not really let go; a lock is asked for only where something is to be deleted."""
    if entry.verdict == "delete":
        for key in entry.keys:
            lock = pruner.lock(key)
            reason = lock.reason(now) if lock else None
            if reason:
                return dataclasses.replace(entry, verdict="keep", reasons=(reason,))
    return entry


def _plan_purges(
    name: str,
    request: RetentionRequest,
    store: Store,
    pruner: Pruner,
    now: dt.datetime,
    held: t.Mapping[str, str],
    tested: t.Mapping[str, dt.datetime],
    objects: t.Sequence[StoredObject],
    manifests: t.Mapping[str, bytes],
) -> tuple[list[Entry], list[HiddenVersion]]:
    """Decide which hidden backups go for good: those that the same policy lets go, judged as if nothing were hidden.

    So whoever deletes backups that the policy keeps, hides them and no more.
    """
    if not request.purge_versions or pruner.versioned is False:
        return [], []
    versions: dict[str, list[HiddenVersion]] = {}
    for version in pruner.list_hidden(f"{name}_"):
        versions.setdefault(version.key, []).append(version)
    content = {key: max(kept, key=lambda one: one.modified) for key, each in versions.items() if (kept := [one for one in each if not one.marker])}
    unhidden = [StoredObject(key, version.size, version.modified) for key, version in content.items()]
    keys = manifests_to_read(unhidden, store.prefix, name)
    read = dict(zip(keys, side_by_side(lambda key: pruner.read_hidden(content[key]), keys), strict=True))
    catalog = read_catalog([*objects, *unhidden], {**manifests, **read}, [], prefix=store.prefix, name=name)
    entries: list[Entry] = []
    purges: list[HiddenVersion] = []
    for decided in decide(name, catalog, request.policy, now, prefix=store.prefix, held=held, tested=tested):
        if decided.key in content and naming.manifest_key(decided.key) in content:
            entry, going = _plan_purge(decided, versions, pruner, now)
            entries.append(entry)
            purges += going
    return entries, purges


def _plan_purge(
    decided: Entry, versions: t.Mapping[str, t.Sequence[HiddenVersion]], pruner: Pruner, now: dt.datetime
) -> tuple[Entry, t.Sequence[HiddenVersion]]:
    if decided.verdict != "delete":
        reasons = ("It is hidden by a delete marker although the policy keeps it. Delete the marker to have it back.", *decided.reasons)
        return dataclasses.replace(decided, kind="hidden", verdict="keep", reasons=reasons, keys=(), alarm=True), []
    manifest = naming.manifest_key(decided.key)
    records = [key for key in versions if naming.archive_of_record(key) == decided.key]
    # The manifest last: without it, what an interrupted run leaves could not be judged any more.
    going = [version for key in (decided.key, *records, manifest) for version in versions[key]]
    for version in going:
        lock = None if version.marker else pruner.lock(version.key, version.version_id)
        reason = lock.reason(now) if lock else None
        if reason:
            return dataclasses.replace(decided, kind="hidden", verdict="keep", reasons=(reason,), keys=()), []
    return dataclasses.replace(decided, kind="hidden", reasons=("Hidden by a delete marker, and let go by the policy.",), keys=()), going


def _look_again(plan: RetentionPlan, store: Store, pruner: Pruner, asked: t.Sequence[str]) -> tuple[set[str], set[str], set[str]]:
    """Return the keys, the unfinished uploads and the hidden versions that are there now: an answer is no proof that something has gone."""
    present: set[str] = set()
    unfinished: set[str] = set()
    hidden: set[str] = set()
    try:
        for name in {entry.name for entry in plan.going}:
            if asked:
                present |= {stored.key for stored in store.list_objects(f"{name}_", deep=True)}
            if plan.aborts:
                unfinished |= {upload.upload_id for upload in store.list_unfinished(f"{name}_")}
            if plan.purges:
                hidden |= {version.version_id for version in pruner.list_hidden(f"{name}_")}
    except BackupError as error:
        raise VerificationError(
            f"{len(asked)} objects were to be deleted, but the store could not be listed afterwards, so what became of them is not known: {error.message}",
            changed=True,
            plan=[entry.as_dict() for entry in plan.entries],
        ) from error
    return present, unfinished, hidden
