# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data that several tests start from: each function returns one valid thing, with what a test changes."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation, ServerFacts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest

STARTED = dt.datetime(2026, 1, 8, 10, 30, tzinfo=dt.timezone.utc)
KEY = "workon_2026-01-08_103000.dump"


def manifest(**changes: t.Any) -> Manifest:
    facts: dict[str, t.Any] = {
        "backup_id": "4f9d7b9e-6a0e-4a53-8f0b-5a2f7f1f9f11",
        "key": KEY,
        "name": "workon",
        "reason": "manual",
        "pinned": False,
        "labels": {},
        "environment": None,
        "started_at": "2026-01-08T10:30:00.000Z",
        "snapshot_at": "2026-01-08T10:30:00.500Z",
        "finished_at": "2026-01-08T10:31:00.000Z",
        "source": {"database": "workon", "database_size": 8000, "server_version": "16.4"},
        "client": {"version": "16.4"},
        "archive": {"format": "custom", "size": 1000, "sha256": "a" * 64},
        "selection": {},
        "fingerprint": {"method": "record"},
        "tables": {"public.users": {"rows": 40, "content": "7"}, "public.missions": {"rows": 2, "content": "9"}},
        "sequences": {},
        "large_objects": {"count": 0, "content": None},
        "extensions": {},
        "roles": [],
        "database": {},
        "prisma": None,
        "globals": None,
        "omitted": [],
        "warnings": [],
        "encryption": {},
        "verification": {"level": "decode", "at": "2026-01-08T10:31:00.000Z"},
    }
    return Manifest(**{**facts, **changes})


def restore_test(**changes: t.Any) -> RestoreTest:
    facts: dict[str, t.Any] = {
        "test_id": "0d4b6a2e-0f0e-4c7e-9a53-2b8f5a2f7f1f",
        "backup_id": manifest().backup_id,
        "key": KEY,
        "name": "workon",
        "verdict": "passed",
        "reasons": [],
        "started_at": "2026-01-08T11:00:00.000Z",
        "finished_at": "2026-01-08T11:00:30.000Z",
        "snapshot_at": manifest().snapshot_at,
        "rto": 25.5,
        "rpo": 1799.5,
        "level": "content",
        "tables": 1,
        "rows": 4,
        "archive_size": manifest().size,
        "database_size": 8_000_000,
        "checks": [],
        "server": {"version": "17.2", "address": "", "private": True},
        **changes,
    }
    return RestoreTest(**facts)


def stored(key: str, size: int = 1000) -> StoredObject:
    return StoredObject(key, size, STARTED)


def server(**changes: t.Any) -> ServerFacts:
    facts: dict[str, t.Any] = {
        "version_num": 160004,
        "version": "16.4",
        "database": "workon",
        "database_oid": 16384,
        "user": "backup",
        "superuser": False,
        "in_recovery": False,
        "system_identifier": None,
        "size": 8000,
        "lock_slots": 6400,
        "clock_skew": 0.0,
        "pooled": False,
        "address": "db.example.com",
        "port": 5432,
        "ssl": True,
    }
    return ServerFacts(**{**facts, **changes})


def relation(name: str = "users", **changes: t.Any) -> Relation:
    facts: dict[str, t.Any] = {
        "oid": 16400,
        "schema": "public",
        "name": name,
        "kind": "r",
        "persistence": "p",
        "extension": None,
        "excluded_by": None,
        "readable": True,
        "schema_usable": True,
        "row_security": False,
    }
    return Relation(**{**facts, **changes})
