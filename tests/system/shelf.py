# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores filled with backups of any age in no time: what retention looks at is keys, sizes and manifests."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import dump_manifest, format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.naming import restore_test_key
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import dump_record
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Policy
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Pruner
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store as OpenStore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.retention import (
    RetentionPlan,
    RetentionRequest,
    RetentionResult,
    carry_out,
    plan_retention,
)
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest, restore_test
from system.scenes import Folder, Store, opened

ARCHIVE = b"x" * 1000
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


@dataclass
class Shelf:
    """Puts backups into a store, aged from one moment. Buckets date objects themselves, so there only hours agree with that; in directories days do too."""

    store: Store
    prefix: str = ""
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC).replace(microsecond=0))

    def key(self, age: dt.timedelta, name: str = "app") -> str:
        """Return the key of the archive of this age."""
        return f"{self.prefix}{name}_{self.now - age:%Y-%m-%d_%H%M%S}.dump"

    def put(self, age: dt.timedelta, name: str = "app", *, archive: bytes | None = ARCHIVE, with_manifest: bool = True, **changes: Any) -> str:
        """Put a backup (or only one part of it) and return its key."""
        key, moment = self.key(age, name), format_time(self.now - age)
        if archive is not None:
            self.write(key, archive, age)
        if with_manifest:
            times = dict.fromkeys(("started_at", "snapshot_at", "finished_at"), moment)
            facts = manifest(**{"key": key, "name": name, **times, **changes})
            self.write(f"{key}.manifest.json", dump_manifest(facts), age)
        return key

    def record(self, key: str, age: dt.timedelta = HOUR, **changes: Any) -> str:
        """Put the record of a restore test that passed at this age beside a backup, and return the record's key."""
        moment = format_time(self.now - age)
        facts = restore_test(**{"key": key, "started_at": moment, "finished_at": moment, **changes})
        record_key = restore_test_key(key, self.now - age)
        self.write(record_key, dump_record(facts), age)
        return record_key

    def write(self, key: str, content: bytes, age: dt.timedelta) -> None:
        """Put an object, in a directory with its age."""
        if isinstance(self.store, Folder):
            path = self.store.path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            moment = (self.now - age).timestamp()
            os.utime(path, (moment, moment))
        else:
            self.store.write(key, content)


def pair(*keys: str) -> list[str]:
    """Return the keys of what backups consist of."""
    return [each for key in keys for each in (key, f"{key}.manifest.json")]


def later(store: Store, age: dt.timedelta, *names: str, prefix: str = "", **policy: Any) -> RetentionResult:
    """Do as the module would after that time: buckets date objects themselves, and no test can wait for days."""
    return carry_out(*_look(store, age, names, prefix, policy))


def plan_later(store: Store, age: dt.timedelta, *names: str, prefix: str = "", **policy: Any) -> RetentionPlan:
    """Return what the module would plan after that time."""
    return _look(store, age, names, prefix, policy)[0]


def _look(store: Store, age: dt.timedelta, names: tuple[str, ...], prefix: str, policy: dict[str, Any]) -> tuple[RetentionPlan, OpenStore, Pruner]:
    open_store = opened(store, prefix=prefix)
    pruner = open_store.pruner()
    request = RetentionRequest(names or ("app",), Policy(**{"keep_last": 3, "max_delete_percent": 100, **policy}), purge_versions=False)
    return plan_retention(request, open_store, pruner, dt.datetime.now(dt.UTC) + age), open_store, pruner
