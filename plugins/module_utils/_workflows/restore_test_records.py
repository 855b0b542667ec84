# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Read and write the records of restore tests that lie beside their backups."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, StoredObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RecordError, RestoreTest, dump_record, load_record
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sweeps import records_beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.catalog import read_manifests


@dataclasses.dataclass(frozen=True)
class RestoreTests:
    """The restore tests by the key of the archive that was tested, newest first, and a sentence for each record that could not be read."""

    by_archive: t.Mapping[str, t.Sequence[RestoreTest]] = dataclasses.field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def passed(self, backups: t.Iterable[Backup]) -> dict[str, dt.datetime]:
        """Return when each of these very backups last passed a test, by key."""
        found = {}
        for backup in backups:
            moments = [test.finished for test in self.by_archive.get(backup.key, ()) if test.passed and test.is_of(backup.manifest)]
            if moments:
                found[backup.key] = max(moments)
        return found


def load_restore_tests(store: Store, name: str, objects: t.Iterable[StoredObject] | None = None) -> RestoreTests:
    """Return the restore tests of a name's backups. ``objects`` is a complete deep listing of the name where there is one already."""
    listed = store.list_objects(f"{name}_", deep=True) if objects is None else objects
    keys = [stored.key for beside in records_beside(listed, store.prefix, name).values() for stored in beside if naming.is_restore_test_key(stored.key)]
    found: dict[str, list[RestoreTest]] = {}
    problems: list[str] = []
    for key, content in read_manifests(store, keys).items():
        try:
            record = load_record(content, key)
        except RecordError as error:
            problems.append(error.message)
            continue
        found.setdefault(t.cast(str, naming.archive_of_record(key)), []).append(record)
    for records in found.values():
        records.sort(key=lambda record: record.finished, reverse=True)
    return RestoreTests(found, tuple(problems))


def keep_record(store: Store, record: RestoreTest) -> str:
    """Put a record beside the backup that was tested and return its key."""
    key = naming.restore_test_key(record.key, parse_time(record.started_at, "started_at"))
    store.put(key, dump_record(record), "application/json")
    return key
