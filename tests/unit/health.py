# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogs of any age as plain data, and the verdict on them."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog, StoredObject, UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import NameHealth, Thresholds, judge
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest, restore_test

NOW = dt.datetime(2026, 1, 8, 10, 30, tzinfo=dt.timezone.utc)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


def key(age: dt.timedelta, prefix: str = "") -> str:
    return naming.archive_key(prefix, "app", NOW - age)


def backup(age: dt.timedelta = HOUR, *, size: int = 1000, problems: tuple[str, ...] = (), rows: int | None = None, **changes: t.Any) -> Backup:
    """Return a backup of this age; ``rows`` are those of its only table."""
    times = dict.fromkeys(("started_at", "snapshot_at", "finished_at"), format_time(NOW - age))
    tables = {} if rows is None else {"tables": {"public.users": {"rows": rows, "content": None}}}
    facts = manifest(**{"key": key(age), "name": "app", "backup_id": key(age), "archive": {"size": size, "sha256": "a" * 64}, **times, **tables, **changes})
    return Backup(key(age), "app", NOW - age, facts, size, problems)


def broken(age: dt.timedelta) -> Backup:
    return Backup(key(age), "app", NOW - age, None, None, (f"The archive {key(age)} is missing.",))


def orphan(age: dt.timedelta, modified: dt.timedelta | None = None) -> StoredObject:
    return StoredObject(key(age), 1000, NOW - (age if modified is None else modified))


def unfinished(age: dt.timedelta | None) -> UnfinishedUpload:
    return UnfinishedUpload(key(age or HOUR), "id", None if age is None else NOW - age)


def record_of(of: Backup, age: dt.timedelta, verdict: str = "passed", *reasons: str, **changes: t.Any) -> RestoreTest:
    """Return the record of a restore test of a backup that ended that long ago."""
    return restore_test(
        **{
            "test_id": f"{of.key}-{age}",
            "backup_id": of.key,
            "key": of.key,
            "name": "app",
            "verdict": verdict,
            "reasons": list(reasons),
            "finished_at": format_time(NOW - age),
            **changes,
        }
    )


def judged(
    *backups: Backup,
    tests: t.Sequence[RestoreTest] = (),
    skew: float | None = 0.0,
    unreadable: t.Sequence[str] = (),
    thresholds: Thresholds | None = None,
    orphans: t.Sequence[StoredObject] = (),
    lost: t.Sequence[Backup] = (),
    uploads: t.Sequence[UnfinishedUpload] = (),
) -> NameHealth:
    """Return the verdict on these backups."""
    newest_first = sorted(backups, key=lambda one: (one.started, one.key), reverse=True)
    catalog = Catalog(backups=tuple(newest_first), orphans=tuple(orphans), broken=tuple(lost), unfinished=tuple(uploads))
    by_archive: dict[str, list[RestoreTest]] = {}
    for test in tests:
        by_archive.setdefault(test.key, []).append(test)
    return judge("app", catalog, by_archive, thresholds or Thresholds(), NOW, prefix="", clock_skew=skew, unreadable=unreadable)
