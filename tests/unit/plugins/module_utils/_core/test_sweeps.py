# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies around backups: only what is old and beyond doubt our own goes."""

from __future__ import annotations

import datetime as dt

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject, UnfinishedUpload, read_catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import dump_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Entry, Policy
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sweeps import decide_sweeps, old_orphans, records_beside
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY, STARTED, manifest

NOW = STARTED + dt.timedelta(days=10)
HOUR = dt.timedelta(hours=1)
MANIFEST = naming.manifest_key(KEY)


def stored(key: str, age: dt.timedelta = dt.timedelta(days=9)) -> StoredObject:
    return StoredObject(key, 1000, NOW - age)


def swept(*objects: StoredObject, unfinished: tuple[UnfinishedUpload, ...] = (), ours: tuple[str, ...] = (), held: tuple[str, ...] = ()) -> dict[str, Entry]:
    catalog = read_catalog(objects, {MANIFEST: dump_manifest(manifest())}, unfinished, prefix="", name="workon")
    records = records_beside(objects, "", "workon")
    entries = decide_sweeps("workon", catalog, records, Policy(), NOW, prefix="", ours=ours, held=dict.fromkeys(held, "A restore names it."))
    return {entry.key: entry for entry in entries}


@pytest.mark.parametrize(
    ("age", "ours", "held", "verdict", "reason"),
    [
        (49, True, False, "delete", "An archive of ours without a manifest, older than orphan_grace (48h)."),
        (47, True, False, "keep", "its backup may be running"),
        (49, False, False, "ignore", "Adopt it with pg_backup_adopt"),
        (47, False, False, "keep", "its backup may be running"),
        (49, True, True, "keep", "A restore names it."),
    ],
)
def test_an_archive_without_a_manifest(age: int, ours: bool, held: bool, verdict: str, reason: str) -> None:
    entry = swept(stored(KEY, age * HOUR), stored(f"{KEY}.globals.sql"), ours=(KEY,) if ours else (), held=(KEY,) if held else ())[KEY]
    assert entry.verdict == verdict
    assert reason in entry.reasons[0]
    assert entry.keys == ((KEY, f"{KEY}.globals.sql") if verdict == "delete" else ())


def test_an_archive_is_as_young_as_the_younger_of_its_times() -> None:
    tomorrow = naming.archive_key("", "workon", NOW + dt.timedelta(days=1))
    objects = [stored(tomorrow)]
    catalog = read_catalog(objects, {}, [], prefix="", name="workon")
    assert old_orphans(catalog, Policy(), NOW, "") == []


def test_a_manifest_without_an_archive_is_an_alarm_and_stays() -> None:
    entry = swept(stored(MANIFEST))[KEY]
    assert (entry.kind, entry.verdict, entry.alarm, entry.keys) == ("broken", "ignore", True, ())
    assert "is missing" in entry.reasons[0]


@pytest.mark.parametrize(("age", "verdict"), [(49, "delete"), (47, "keep")])
@pytest.mark.parametrize("suffix", [".globals.sql", ".tests/2026.json"])
def test_a_record_without_its_backup(suffix: str, age: int, verdict: str) -> None:
    entry = swept(stored(KEY + suffix, age * HOUR))[KEY + suffix]
    assert (entry.kind, entry.verdict) == ("record", verdict)


@pytest.mark.parametrize("beside", [KEY, MANIFEST])
def test_a_record_stays_as_long_as_anything_of_its_backup(beside: str) -> None:
    assert f"{KEY}.globals.sql" not in swept(stored(beside), stored(f"{KEY}.globals.sql"))


@pytest.mark.parametrize(
    "key", [f"{KEY}.tests/notes.txt", f"{KEY}.tests/deep/1.json", f"{KEY}.globals.sql.gz", "workon.globals.sql", "x/" + KEY + ".globals.sql"]
)
def test_what_is_not_exactly_a_record_is_not_touched(key: str) -> None:
    assert swept(stored(key)) == {}


def test_nothing_of_another_name_is_touched() -> None:
    other = naming.archive_key("", "workon_x", STARTED)
    assert swept(stored(other), stored(f"{other}.globals.sql"), stored(naming.manifest_key(other)), ours=(other,)) == {}


@pytest.mark.parametrize(("age", "verdict"), [(25, "delete"), (23, "keep"), (None, "keep")])
def test_an_unfinished_upload(age: int | None, verdict: str) -> None:
    upload = UnfinishedUpload(KEY, "1", None if age is None else NOW - age * HOUR)
    entry = swept(unfinished=(upload,))[KEY]
    assert (entry.kind, entry.verdict, entry.keys) == ("unfinished", verdict, ())
    assert "abort_uploads_after (24h)" in entry.reasons[0]
