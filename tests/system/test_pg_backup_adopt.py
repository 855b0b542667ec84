# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup_adopt: what a bare pg_dump left in a store becomes a backup, if all of it can be read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner, Outcome
from harness.postgres import PostgresServer
from system.scenes import Bucket, Database, Folder, Store, read_catalog
from system.shelf import DAY, HOUR, Shelf


@pytest.fixture
def dump(database: Database) -> Callable[..., bytes]:
    """Dump a small database as anybody would."""
    database.execute("CREATE TABLE users (id serial PRIMARY KEY, name text)", "INSERT INTO users (name) SELECT 'user' || g FROM generate_series(1, 500) AS g")

    def pg_dump(*arguments: str) -> bytes:
        program = str(database.server.installation.bin_dir / "pg_dump")
        command = [program, *(arguments or ("--format=custom",)), f"--dbname={database.server.url(database.name)}"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    return pg_dump


@pytest.fixture(params=["bucket", "folder"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def adopt(ansible: AnsibleRunner, pg: PostgresServer) -> Callable[..., Outcome]:
    def run(store: Store, key: str, **options: Any) -> Outcome:
        return ansible.run("pg_backup_adopt", key=key, pg_bin_dir=str(pg.installation.bin_dir), **store.options, **options)

    return run


def test_a_founding_dump_becomes_a_backup(
    adopt: Callable[..., Outcome], ansible: AnsibleRunner, dump: Callable[..., bytes], database: Database, store: Store
) -> None:
    shelf, content = Shelf(store), dump()
    key = shelf.key(2 * HOUR, "workon")
    shelf.write(key, content, HOUR)
    result = adopt(store, key, environment="production", pinned=True, labels={"from": "backup.sh"}).require_success()
    assert result["changed"] is True
    assert "was adopted" in result["msg"]
    assert store.listing() == [key, f"{key}.manifest.json"]
    assert store.read(key) == content
    (backup,) = read_catalog(store).backups
    assert backup.valid
    manifest = json.loads(store.read(f"{key}.manifest.json"))
    assert (manifest["name"], manifest["reason"], manifest["environment"], manifest["pinned"]) == ("workon", "manual", "production", True)
    assert (manifest["fingerprint"]["method"], manifest["tables"], manifest["source"]["host"]) == ("none", {}, None)
    assert manifest["source"]["database"] == database.name
    assert manifest["source"]["server_version"].startswith(str(database.server.installation.major))
    assert manifest["sequences"] == {"public.users_id_seq": {"last_value": 500, "is_called": True}}
    assert {"tables", "roles", "source.host"} <= set(manifest["adopted"]["unknown"])
    assert "Somebody else made this archive." in manifest["warnings"][0]
    # All that looks at backups takes it for one.
    found = ansible.run(
        "pg_backup_info", name="workon", restore_point="latest", verify="decode", pg_bin_dir=str(database.server.installation.bin_dir), **store.options
    )
    assert found.require_success()["backups"][0]["valid"] is True
    again = adopt(store, key).require_success()
    assert again["changed"] is False
    assert "is a backup already" in again["msg"]
    assert json.loads(store.read(f"{key}.manifest.json")) == manifest


def test_an_adopted_backup_lives_by_the_rules(adopt: Callable[..., Outcome], ansible: AnsibleRunner, dump: Callable[..., bytes], folder: Folder) -> None:
    shelf, content = Shelf(folder), dump()
    for day in range(40, 44):
        shelf.write(shelf.key(day * DAY), content, day * DAY)
    for day in range(3):
        shelf.put(day * DAY)
    old, kept = shelf.key(42 * DAY), shelf.key(40 * DAY)
    options = {"name": "app", "keep_within": "30d", "keep_last": 4, **folder.options}
    assert ansible.run("s3_retention", **options).require_success()["changed"] is False
    for key in (old, kept):
        adopt(folder, key).require_success()
    result = ansible.run("s3_retention", **options).require_success()
    assert result["deleted"] == [f"{old}.manifest.json", old]
    assert kept in folder.listing()


def test_check_mode_writes_nothing(ansible: AnsibleRunner, dump: Callable[..., bytes], pg: PostgresServer, store: Store) -> None:
    shelf = Shelf(store)
    key = shelf.key(HOUR)
    shelf.write(key, dump(), HOUR)
    outcome = ansible.run("pg_backup_adopt", check=True, key=key, pg_bin_dir=str(pg.installation.bin_dir), **store.options)
    assert "would be adopted" in outcome.require_success()["msg"]
    assert store.listing() == [key]


def test_a_prefix_may_be_in_the_key(adopt: Callable[..., Outcome], dump: Callable[..., bytes], bucket: Bucket) -> None:
    shelf, content = Shelf(bucket, prefix="nightly/"), dump()
    one, two = shelf.key(HOUR), shelf.key(2 * HOUR)
    for key in (one, two):
        shelf.write(key, content, HOUR)
    adopt(bucket, one, prefix="nightly").require_success()
    adopt(bucket, two.removeprefix("nightly/"), prefix="nightly").require_success()
    assert len([key for key in bucket.listing() if key.endswith(".manifest.json")]) == 2


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda archive: b"",
    "cut off": lambda archive: archive[:-100],
    "cut in the table of contents": lambda archive: archive[:300],
    "a flipped bit": lambda archive: archive[:-200] + bytes([archive[-200] ^ 1]) + archive[-199:],
    "no archive": lambda archive: b"-- PostgreSQL database dump\n" + archive,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_is_not_adopted(adopt: Callable[..., Outcome], dump: Callable[..., bytes], folder: Folder, damage: str) -> None:
    shelf = Shelf(folder)
    key = shelf.key(HOUR)
    shelf.write(key, DAMAGES[damage](dump("--format=custom", "--compress=gzip:6")), HOUR)
    outcome = adopt(folder, key)
    assert outcome.failed
    assert "was not adopted" in outcome.message
    assert "did not expect" not in outcome.message
    assert folder.listing() == [key]


@pytest.mark.parametrize("arguments", [("--format=plain",), ("--format=tar",)])
def test_another_format_is_not_adopted(adopt: Callable[..., Outcome], dump: Callable[..., bytes], folder: Folder, arguments: tuple[str]) -> None:
    shelf = Shelf(folder)
    key = shelf.key(HOUR)
    shelf.write(key, dump(*arguments), HOUR)
    assert "custom format" in adopt(folder, key).message
    assert folder.listing() == [key]


def test_what_cannot_be_known_is_asked_for(adopt: Callable[..., Outcome], dump: Callable[..., bytes], folder: Folder) -> None:
    """A key that says another day than the store: a copied directory, a host with a wrong clock."""
    shelf = Shelf(folder)
    key = shelf.key(40 * DAY)
    shelf.write(key, dump(), HOUR)
    assert "Set taken_at" in adopt(folder, key).message
    assert "in the future" in adopt(folder, key, taken_at="2999-01-01T00:00:00Z").message
    assert "RFC 3339" in adopt(folder, key, taken_at="yesterday").message
    assert folder.listing() == [key]
    adopt(folder, key, taken_at="2026-01-08T10:30:00+01:00").require_success()
    assert json.loads(folder.read(f"{key}.manifest.json"))["snapshot_at"] == "2026-01-08T09:30:00.000Z"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("workon.dump", "not of the form"),
        ("deep/workon_2026-01-08_103000.dump", "not of the form"),
        ("workon_2026-01-08_103000.dump", "There is no"),
        ("", "There is no"),
    ],
)
def test_what_is_no_key_of_an_archive(adopt: Callable[..., Outcome], folder: Folder, key: str, says: str) -> None:
    folder.write("workon.dump", b"PGDMP")
    (folder.path / "deep").mkdir()
    folder.write("deep/workon_2026-01-08_103000.dump", b"PGDMP")
    outcome = adopt(folder, key)
    assert outcome.failed
    assert says in outcome.message


def test_a_manifest_that_cannot_be_read_is_not_replaced(adopt: Callable[..., Outcome], dump: Callable[..., bytes], folder: Folder) -> None:
    shelf = Shelf(folder)
    key = shelf.key(HOUR)
    shelf.write(key, dump(), HOUR)
    shelf.write(f"{key}.manifest.json", b"<html>", HOUR)
    assert "is not JSON" in adopt(folder, key).message
    assert folder.read(f"{key}.manifest.json") == b"<html>"
