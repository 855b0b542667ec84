# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A listing is judged: every object is exactly one thing, and only proved things are backups."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import (
    Catalog,
    StoredObject,
    UnfinishedUpload,
    manifests_to_read,
    passed_over,
    read_catalog,
    resolve_restore_point,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import dump_manifest, format_time
from ansible_collections.workon.postgresql_backup.tests.unit.facts import STARTED, manifest, stored


def archive_key(name: str = "workon", hours: int = 0, prefix: str = "") -> str:
    return naming.archive_key(prefix, name, STARTED + dt.timedelta(hours=hours))


def proof(key: str, size: int = 1000) -> bytes:
    parsed = naming.parse_archive_name(key.rpartition("/")[2])
    # The content is always a little younger than the key says.
    moment = format_time((parsed.started if parsed else STARTED) + dt.timedelta(seconds=20))
    return dump_manifest(manifest(key=key, name=key.rpartition("_")[0], snapshot_at=moment, archive={"size": size, "sha256": "a" * 64}))


def catalog_of(
    *keys: str, name: str | None = None, prefix: str = "", sizes: dict[str, int] | None = None, manifests: dict[str, bytes] | None = None
) -> Catalog:
    """Return the catalog of a store in which each manifest listed says that its archive has 1000 bytes."""
    objects = [stored(key, (sizes or {}).get(key, 1000)) for key in keys]
    read = {key: proof(key.removesuffix(naming.MANIFEST_SUFFIX)) for key in manifests_to_read(objects, prefix, name)}
    return read_catalog(objects, {**read, **(manifests or {})}, [], prefix=prefix, name=name)


def with_manifest(key: str) -> tuple[str, str]:
    return key, naming.manifest_key(key)


NAMES = ["app", "app_x", "app.dump", "app_2026-01-08_103000", "app_2026-01-08_103000.dump.x"]
OWN_KEYS = [archive_key(name, hours) for name in NAMES for hours in (0, 1)]
ANY_KEYS = [
    *OWN_KEYS,
    *(key + suffix for key in OWN_KEYS for suffix in (naming.MANIFEST_SUFFIX, naming.GLOBALS_SUFFIX, ".tests/1.json", "x")),
    naming.PROBE_NAME,
    "restores/1.jsonl",
    "app.dump",
    "app_2026-02-30_103000.dump",
    "notes.txt",
    ".dump",
    "",
]


@given(st.lists(st.sampled_from(ANY_KEYS), unique=True), st.sampled_from([None, *NAMES]), st.sampled_from(["", "p/"]))
def test_every_object_is_exactly_one_thing(relative: list[str], name: str | None, prefix: str) -> None:
    keys = [prefix + key for key in relative]
    found = catalog_of(*keys, name=name, prefix=prefix)
    backups = [backup.key for backup in found.backups]
    broken = [backup.key for backup in found.broken]
    orphans = [one.key for one in found.orphans]
    foreign = [one.key for one in found.foreign]
    listed = [*backups, *broken, *orphans, *foreign]
    assert len(listed) == len(set(listed))
    archives = {key for key in keys if (parsed := naming.parse_archive_key(key, prefix)) and name in (None, parsed.name)}
    assert set(backups) | set(orphans) == archives
    assert set(backups) == {key for key in archives if naming.manifest_key(key) in keys}
    assert not set(broken) & set(keys)
    assert all(naming.manifest_key(key) in keys for key in broken)
    assert not {key for key in foreign if naming.parse_archive_key(key.removesuffix(naming.MANIFEST_SUFFIX), prefix)}


@given(st.lists(st.sampled_from(ANY_KEYS), unique=True), st.randoms())
def test_the_order_of_the_listing_does_not_matter(keys: list[str], random: object) -> None:
    shuffled = sorted(keys, key=lambda _key: random.random())  # type: ignore[attr-defined]
    one, other = catalog_of(*keys), catalog_of(*shuffled)
    assert [backup.key for backup in one.backups] == [backup.key for backup in other.backups]
    assert {item.key for item in one.foreign} == {item.key for item in other.foreign}


@pytest.mark.parametrize(
    ("key", "foreign"),
    [
        ("notes.txt", True),
        ("workon.dump", True),
        ("workon_2026-01-08_103000.dumpling", True),
        ("workon_2026-01-08_103000.dump.manifest.json", False),
        ("workon_2026-01-08_103000.dump.globals.sql", False),
        ("workon_2026-01-08_103000.dump.tests/2026.json", False),
        ("app.dump_2026-01-08_103000.dump", False),
        ("restores/1.jsonl", False),
        (naming.PROBE_NAME, False),
    ],
)
def test_what_belongs_to_us_is_not_foreign(key: str, foreign: bool) -> None:
    assert bool(catalog_of(key).foreign) is foreign


def test_a_backup_is_valid_when_its_archive_has_the_recorded_size() -> None:
    (backup,) = catalog_of(*with_manifest(archive_key())).backups
    assert backup.valid
    assert backup.as_dict()["stored_size"] == 1000
    assert backup.as_dict()["valid"] is True


@pytest.mark.parametrize("size", [999, 1001, 0])
def test_another_size_makes_it_invalid(size: int) -> None:
    key = archive_key()
    (backup,) = catalog_of(*with_manifest(key), sizes={key: size}).backups
    assert backup.problems == (f"The archive has {size} bytes; its manifest records 1000.",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is not JSON"),
        (proof(archive_key("other")), "belongs to other_2026-01-08_103000.dump"),
    ],
)
def test_a_manifest_that_is_not_one_makes_it_invalid(content: bytes, problem: str) -> None:
    key = archive_key()
    (backup,) = catalog_of(*with_manifest(key), manifests={naming.manifest_key(key): content}).backups
    assert not backup.valid
    assert problem in backup.problems[0]


def test_a_manifest_that_could_not_be_read_makes_it_invalid() -> None:
    key = archive_key()
    (backup,) = read_catalog([stored(one) for one in with_manifest(key)], {}, [], prefix="", name=None).backups
    assert backup.problems == (f"The manifest of {key} could not be read.",)
    assert backup.as_dict()["started_at"] == "2026-01-08T10:30:00.000Z"


def test_an_archive_without_a_manifest_is_an_orphan_and_a_manifest_without_an_archive_is_broken() -> None:
    found = catalog_of(archive_key(hours=1), naming.manifest_key(archive_key()))
    assert [orphan.key for orphan in found.orphans] == [archive_key(hours=1)]
    assert found.backups == ()
    (broken,) = found.broken
    assert broken.problems == (f"The archive {archive_key()} is missing.",)


def test_a_catalog_of_one_name_shows_nothing_of_another() -> None:
    found = catalog_of(*with_manifest(archive_key("app")), *with_manifest(archive_key("app_x")), archive_key("app_x", 1), name="app")
    assert [backup.key for backup in found.backups] == [archive_key("app")]
    assert (found.orphans, found.broken, found.foreign) == ((), (), ())


def test_only_manifests_of_the_name_are_read() -> None:
    objects = [stored(key) for key in (*with_manifest(archive_key("app")), *with_manifest(archive_key("app_x")))]
    assert manifests_to_read(objects, "", "app") == [naming.manifest_key(archive_key("app"))]
    assert len(manifests_to_read(objects, "", None)) == 2


def test_unfinished_uploads_of_the_name_are_listed() -> None:
    uploads = [UnfinishedUpload(key, "1", None) for key in (archive_key("app"), archive_key("app_x"), "strange.bin")]
    assert read_catalog([], {}, uploads, prefix="", name="app").unfinished == (uploads[0],)
    assert read_catalog([], {}, uploads, prefix="", name=None).unfinished == tuple(uploads[:2])


def test_plain_data_for_results() -> None:
    assert stored("k", 5).as_dict() == {"key": "k", "size": 5, "modified": "2026-01-08T10:30:00.000Z"}
    assert UnfinishedUpload("k", "1", STARTED).as_dict() == {"key": "k", "upload_id": "1", "started": "2026-01-08T10:30:00.000Z"}
    assert UnfinishedUpload("k", "1", None).as_dict()["started"] is None


def three_backups_the_newest_invalid(prefix: str = "") -> Catalog:
    keys = [archive_key(hours=hours, prefix=prefix) for hours in (1, 2, 0)]
    objects = [one for key in keys for one in with_manifest(key)]
    return catalog_of(*objects, prefix=prefix, sizes={archive_key(hours=2, prefix=prefix): 1})


def test_backups_are_listed_newest_first() -> None:
    assert [backup.key for backup in three_backups_the_newest_invalid().backups] == [archive_key(hours=hours) for hours in (2, 1, 0)]


@pytest.mark.parametrize(
    ("restore_point", "hours"),
    [
        ("latest", 1),
        ("before:2030-01-01T00:00:00Z", 1),
        ("before:2026-01-08T11:30:21Z", 1),
        # Its key is older than this time, its content is not.
        ("before:2026-01-08T11:30:20Z", 0),
        ("before:2026-01-08T12:30:20+01:00", 0),
        (archive_key(), 0),
    ],
)
@pytest.mark.parametrize("prefix", ["", "p/"])
def test_a_restore_point_is_one_valid_backup(restore_point: str, hours: int, prefix: str) -> None:
    assert resolve_restore_point(three_backups_the_newest_invalid(prefix), restore_point, prefix).key == archive_key(hours=hours, prefix=prefix)


@pytest.mark.parametrize("restore_point", ["latest", "before:2030-01-01T00:00:00Z"])
def test_a_restore_point_is_never_chosen_among_several_databases(restore_point: str) -> None:
    keys = with_manifest(archive_key("app")) + with_manifest(archive_key("shop", 1))
    with pytest.raises(BackupError, match=r"2 names \(app, shop\).*Set name to one"):
        resolve_restore_point(catalog_of(*keys), restore_point, "")
    assert resolve_restore_point(catalog_of(*keys, name="app"), restore_point, "").name == "app"


@pytest.mark.parametrize("reason", ["pre_restore", "incident"])
@pytest.mark.parametrize("restore_point", ["latest", "before:2030-01-01T00:00:00Z"])
def test_repeating_a_restore_never_goes_back_to_what_was_saved_before_it(restore_point: str, reason: str) -> None:
    objects: list[StoredObject] = []
    manifests: dict[str, bytes] = {}
    for hours, why in ((0, "scheduled"), (5, reason)):
        key = archive_key(hours=hours)
        objects += [stored(key), stored(f"{key}.manifest.json")]
        manifests[f"{key}.manifest.json"] = dump_manifest(manifest(key=key, reason=why))
    catalog = read_catalog(objects, manifests, [], prefix="", name=None)
    assert catalog.backups[0].key == archive_key(hours=5)
    assert resolve_restore_point(catalog, restore_point, "").key == archive_key(hours=0)
    assert resolve_restore_point(catalog, archive_key(hours=5), "").key == archive_key(hours=5)


@pytest.mark.parametrize("prefix", ["", "p/"])
def test_what_a_restore_point_passes_over_is_named(prefix: str) -> None:
    catalog = three_backups_the_newest_invalid(prefix)
    chosen, newer = archive_key(hours=1, prefix=prefix), archive_key(hours=2, prefix=prefix)
    (note,) = passed_over(catalog, "latest", resolve_restore_point(catalog, "latest", prefix), prefix)
    assert note.startswith(f"latest is {chosen}. Newer, and passed over, is {newer}, which is not valid: The archive has 1 bytes")
    for restore_point in ("before:2026-01-08T11:30:21Z", chosen):
        assert passed_over(catalog, restore_point, resolve_restore_point(catalog, restore_point, prefix), prefix) == []
    later = "before:2030-01-01T00:00:00Z"
    assert len(passed_over(catalog, later, resolve_restore_point(catalog, later, prefix), prefix)) == 1


def test_newer_archives_without_a_manifest_and_the_reverse_are_passed_over_by_name() -> None:
    orphan, of_another_name = archive_key(hours=3), archive_key("shop", 3)
    lost = naming.manifest_key(archive_key(hours=2))
    catalog = catalog_of(*with_manifest(archive_key()), orphan, of_another_name, lost)
    notes = passed_over(catalog, "latest", resolve_restore_point(catalog, "latest", ""), "")
    assert [note.split("passed over, is ")[1].split(",")[0] for note in notes] == [orphan, archive_key(hours=2)]
    assert "an archive without a manifest" in notes[0]
    assert "is missing" in notes[1]


def test_a_restore_point_may_be_the_whole_key() -> None:
    catalog = three_backups_the_newest_invalid("p/")
    assert resolve_restore_point(catalog, archive_key(prefix="p"), "p/").key == archive_key(prefix="p")


@pytest.mark.parametrize(
    ("restore_point", "sentence"),
    [
        ("before:2026-01-08T10:30:00Z", r"no valid backup from before 2026-01-08T10:30:00\.000Z .*\(3 backups, 0 archives without"),
        ("before:yesterday", "restore_point is 'yesterday', which is not an RFC 3339 time"),
        ("before:", "restore_point is ''"),
        ("newest", "no backup with the key newest"),
        (archive_key(hours=2), r"is not valid: The archive has 1 bytes.*Set restore_point to another"),
    ],
)
def test_a_restore_point_that_is_none_is_refused(restore_point: str, sentence: str) -> None:
    with pytest.raises(BackupError, match=sentence):
        resolve_restore_point(three_backups_the_newest_invalid(), restore_point, "")


def test_a_broken_backup_is_refused_by_its_own_reason() -> None:
    catalog = catalog_of(naming.manifest_key(archive_key()))
    with pytest.raises(BackupError, match=r"The archive .* is missing"):
        resolve_restore_point(catalog, archive_key(), "")


def test_latest_of_nothing_says_what_was_found() -> None:
    with pytest.raises(BackupError, match=r"no valid backup .*\(0 backups, 1 archives without a manifest, 0 manifests.*Check bucket or directory"):
        resolve_restore_point(catalog_of(archive_key()), "latest", "")


def test_the_store_s_times_decide_nothing() -> None:
    old, new = with_manifest(archive_key()), with_manifest(archive_key(hours=1))
    touched = [StoredObject(key, 1000, STARTED + dt.timedelta(days=9)) for key in old]
    found = read_catalog([*touched, *(stored(key) for key in new)], {}, [], prefix="", name=None)
    assert [backup.key for backup in found.backups] == [new[0], old[0]]
