# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A foreign archive's manifest holds what the archive says, null for what nobody knows, and says so."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.adoption import Adoption, adopted_manifest, content_time, name_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents, ArchiveEntry
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, dump_manifest, load_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.naming import ArchiveName
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY, STARTED

NOW = STARTED + dt.timedelta(days=10)
PARSED = ArchiveName("workon", STARTED)
SAID = Adoption(taken_at=None, environment="production", reason="manual", pinned=True, labels={"a": "b"})


def stored(hours: float = 0, key: str = KEY) -> StoredObject:
    return StoredObject(key, 1000, STARTED + dt.timedelta(hours=hours))


def adopted(**changes: t.Any) -> Manifest:
    facts: dict[str, t.Any] = {
        "archive_version": "1.14",
        "compression": "-1",
        "client_version": "15.18 (Debian 15.18-0+deb12u1)",
        "entries": (ArchiveEntry("TABLE DATA", "public users postgres", "1; 0 1 TABLE DATA public users postgres"),),
        "table_data": frozenset({1}),
        "sequence_lines": (),
        "large_objects": False,
        "database": "workon",
        "server_version": "14.2",
    }
    contents = ArchiveContents(**{**facts, **changes})
    values = {'public."A"': {"last_value": 3, "is_called": True}}
    return adopted_manifest(stored(1), PARSED, SAID, contents, values, backup_id="x", sha256="a" * 64, taken=STARTED, now=NOW)


def test_it_is_a_manifest_like_any_other() -> None:
    made = adopted()
    assert load_manifest(dump_manifest(made), KEY) == made
    assert (made.size, made.name, made.environment, made.pinned, made.labels) == (1000, "workon", "production", True, {"a": "b"})
    assert made.source["database"] == "workon"
    assert (made.source["server_version"], made.client) == ("14.2", {"version": "15.18"})
    assert made.sequences == {'public."A"': {"last_value": 3, "is_called": True}}
    assert made.adopted == {"at": "2026-01-18T10:30:00.000Z", "unknown": sorted(made.adopted["unknown"])} if made.adopted else False


def test_what_is_called_unknown_is_empty_and_nothing_else_is() -> None:
    data = json.loads(dump_manifest(adopted()))
    unknown = set(data["adopted"]["unknown"])
    for field in unknown:
        outer, _dot, inner = field.partition(".")
        value = data[outer][inner] if inner else data[outer]
        assert not value or not any(value.values()), field
    empty = {f"source.{inner}" for inner, value in data["source"].items() if value is None}
    empty |= {field for field in ("database", "extensions", "omitted", "prisma", "roles", "tables") if not data[field]}
    assert empty <= unknown
    assert data["fingerprint"]["method"] == "none"


@pytest.mark.parametrize(
    ("header", "compression"), [("-1", "gzip"), ("0", "none"), ("", "none"), ("5", "gzip:5"), ("gzip", "gzip"), ("zstd", "zstd"), ("lz4", "lz4")]
)
def test_compression_in_our_own_words(header: str, compression: str) -> None:
    assert adopted(compression=header).archive["compression"] == compression


def test_large_objects_that_are_there_are_not_counted() -> None:
    assert adopted(large_objects=True).large_objects == {"count": None, "content": None}
    assert adopted().large_objects["count"] == 0


@pytest.mark.parametrize(("hours", "later"), [(0, 0), (2, 2), (23.9, 23.9), (-5, 0)])
def test_the_content_is_not_younger_than_the_later_of_key_and_store(hours: float, later: float) -> None:
    assert content_time(stored(hours), PARSED, None, NOW) == STARTED + dt.timedelta(hours=later)


@pytest.mark.parametrize("hours", [24.1, -24.1, 100])
def test_times_that_disagree_are_asked_for(hours: float) -> None:
    with pytest.raises(BackupError, match=r"says 2026-01-08T10:30:00\.000Z and the store .*Set taken_at"):
        content_time(stored(hours), PARSED, None, NOW)
    assert content_time(stored(hours), PARSED, "2026-01-08T12:00:00+01:00", NOW) == STARTED + dt.timedelta(minutes=30)


def test_a_time_in_the_future_is_refused() -> None:
    with pytest.raises(BackupError, match=r"taken_at is .* in the future"):
        content_time(stored(), PARSED, "2026-02-01T00:00:00Z", NOW)


@pytest.mark.parametrize("key", ["workon.dump", "workon_2026-02-30_103000.dump", f"deep/{KEY}", f"{KEY}.gz"])
def test_a_key_by_which_nobody_would_find_it_is_refused(key: str) -> None:
    with pytest.raises(BackupError, match=r"not of the form <name>_YYYY-MM-DD_HHMMSS\.dump.*Copy the object"):
        name_of(stored(key=key), "")
    assert name_of(stored(key=f"p/{KEY}"), "p") == PARSED
