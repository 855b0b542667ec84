# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What lies around the backups of one name: what failed or killed runs left behind, and what only a person can judge."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Catalog, StoredObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Entry, Policy


def records_beside(objects: t.Iterable[StoredObject], prefix: str, name: str) -> dict[str, list[StoredObject]]:
    """Return the records of a listing by the archive they belong to."""
    found: dict[str, list[StoredObject]] = {}
    for stored in objects:
        archive = naming.archive_of_record(stored.key)
        parsed = naming.parse_archive_key(archive, prefix) if archive else None
        if archive and parsed and parsed.name == name:
            found.setdefault(archive, []).append(stored)
    return found


def old_orphans(catalog: Catalog, policy: Policy, now: dt.datetime, prefix: str) -> list[StoredObject]:
    """Return the archives without a manifest that no running backup can be about to commit."""
    return [orphan for orphan in catalog.orphans if _older(orphan_time(orphan, prefix), policy.orphan_grace, now)]


def decide_sweeps(
    name: str,
    catalog: Catalog,
    records: t.Mapping[str, t.Sequence[StoredObject]],
    policy: Policy,
    now: dt.datetime,
    *,
    prefix: str,
    ours: t.Collection[str],
    held: t.Mapping[str, str],
) -> list[Entry]:
    """Return everything that is not a backup, with its verdict. ``ours`` are the orphans that show that this software made them."""
    old = {orphan.key for orphan in old_orphans(catalog, policy, now, prefix)}
    entries = [_orphan(name, orphan, policy, old, ours, held, records, prefix) for orphan in catalog.orphans]
    entries += [
        Entry("broken", name, backup.key, "ignore", (*backup.problems, "Its manifest is never deleted by itself."), backup.started, None, alarm=True)
        for backup in catalog.broken
    ]
    claimed = {backup.key for backup in (*catalog.backups, *catalog.broken)} | {orphan.key for orphan in catalog.orphans}
    entries += [_stray(name, record, policy, now) for archive, beside in records.items() if archive not in claimed for record in beside if archive not in held]
    for upload in catalog.unfinished:
        limit = policy.abort_uploads_after
        gone = upload.started is not None and _older(upload.started, limit, now)
        reason = f"An unfinished upload {'older' if gone else 'not known to be older'} than abort_uploads_after ({limit.text})."
        entries.append(Entry("unfinished", name, upload.key, "delete" if gone else "keep", (reason,), upload.started, None))
    return entries


def _orphan(
    name: str,
    orphan: StoredObject,
    policy: Policy,
    old: t.Collection[str],
    ours: t.Collection[str],
    held: t.Mapping[str, str],
    records: t.Mapping[str, t.Sequence[StoredObject]],
    prefix: str,
) -> Entry:
    time = orphan_time(orphan, prefix)
    beside = tuple(record.key for record in records.get(orphan.key, ()))
    if orphan.key in held:
        return Entry("orphan", name, orphan.key, "keep", (held[orphan.key],), time, orphan.size)
    if orphan.key not in old:
        reason = f"An archive without a manifest, younger than orphan_grace ({policy.orphan_grace.text}): its backup may be running."
        return Entry("orphan", name, orphan.key, "keep", (reason,), time, orphan.size)
    if orphan.key not in ours:
        reason = (
            "An archive without a manifest that does not show that this software made it. Adopt it with pg_backup_adopt, or delete it by hand: "
            "retention never does."
        )
        return Entry("orphan", name, orphan.key, "ignore", (reason,), time, orphan.size)
    reason = f"An archive of ours without a manifest, older than orphan_grace ({policy.orphan_grace.text})."
    return Entry("orphan", name, orphan.key, "delete", (reason,), time, orphan.size, keys=(orphan.key, *beside))


def _stray(name: str, record: StoredObject, policy: Policy, now: dt.datetime) -> Entry:
    gone = _older(record.modified, policy.orphan_grace, now)
    reason = f"A record whose backup is gone, {'older' if gone else 'younger'} than orphan_grace ({policy.orphan_grace.text})."
    return Entry("record", name, record.key, "delete" if gone else "keep", (reason,), record.modified, record.size, keys=(record.key,))


def orphan_time(orphan: StoredObject, prefix: str) -> dt.datetime:
    """Return the later of what its key and the store say."""
    parsed = naming.parse_archive_key(orphan.key, prefix)
    return max(parsed.started, orphan.modified) if parsed else orphan.modified


def _older(time: dt.datetime, duration: Duration, now: dt.datetime) -> bool:
    return time < duration.before(now, dt.timezone.utc)
