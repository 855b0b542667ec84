# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole life of backups on every kind of store: the bucket made, backups taken, listed, restored, let go, and swept up after.

What single stores get wrong beyond that is in test_pg_backup_other_stores.py and, asked of the servers themselves, in test_store_survey.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.stores import StoreServer
from system.restoring import Scene, scenes
from system.scenes import Bucket, Database
from system.shelf import DAY, HOUR, Shelf, later, pair, plan_later

PREFIX = "nightly"
POLICY = {"keep_last": 4}
_CONTENT = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 300) AS g;
CREATE TABLE missions (id serial PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO missions (user_id) SELECT id FROM users;
SELECT lo_from_bytea(4711, 'a large object')
"""
_DAMAGE = ("DROP TABLE missions", "DELETE FROM users WHERE id % 3 = 0", "CREATE TABLE later AS SELECT 1 AS a", "SELECT lo_unlink(4711)")


@dataclass(frozen=True)
class Manners:
    """What a kind of store makes of ``If-None-Match``, and whether it keeps what an upload says about itself."""

    conditional: str = "supported"
    knows_its_uploads: bool = True


KINDS = {
    "MinIO": Manners(),
    "SeaweedFS": Manners(),
    "VersityGW": Manners(),
    "RcloneS3": Manners(conditional="ignored", knows_its_uploads=False),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def bucket(kind: str, store_server: Callable[[str], StoreServer]) -> Bucket:
    """A bucket of each kind of server in turn, which is not there yet."""
    try:
        server = store_server(kind)
    except RuntimeError as error:
        pytest.skip(f"{kind} cannot be had here: {error}")
    return Bucket(server, f"cycle-{secrets.token_hex(4)}")


@pytest.fixture
def scene(ansible: AnsibleRunner, database: Database, bucket: Bucket) -> Iterator[Scene]:
    """A database of staging with something in it; backups go below a prefix of the bucket."""
    database.execute(_CONTENT)
    with scenes(ansible) as make:
        yield make(database, bucket, more={"prefix": PREFIX}).tag()


def test_the_whole_cycle(ansible: AnsibleRunner, scene: Scene, bucket: Bucket, kind: str) -> None:
    manners = KINDS[kind]
    whole = rows(scene.database)

    def run(module: str, **options: Any) -> dict[str, Any]:
        return ansible.run(module, **options, prefix=PREFIX, **bucket.options).require_success()

    def back_up() -> dict[str, Any]:
        return run("pg_backup", **scene.database.options(), name=scene.name, environment=scene.environment)

    # A bucket of its own. What versions do to deletions is tested elsewhere.
    made = [run("s3_backup_bucket", versioning=False) for _time in range(2)]
    assert [(each["bucket"]["created"], each["changed"]) for each in made] == [(True, True), (False, False)]

    # Backed up and listed.
    first = back_up()
    backup = first["backup"]["key"]
    assert bucket.listing() == pair(backup)
    assert first["store"]["conditional_writes"] == manners.conditional
    assert any("two writers of the same second" in note for note in first["store"]["notes"]) == (manners.conditional == "ignored")
    listed = run("pg_backup_info", name=scene.name, restore_point="latest", verify="decode", pg_bin_dir=scene.database.options()["pg_bin_dir"])
    assert listed["counts"] == {"backups": 1, "valid": 1, "orphans": 0, "broken": 0, "foreign": 0, "unfinished": 0}
    assert [each["key"] for each in listed["backups"]] == [backup]

    # Restored over the damage, which is a backup of its own in the same store.
    scene.database.execute(*_DAMAGE)
    damaged = rows(scene.database)
    restored = scene.restore().require_success()
    assert rows(scene.database) == whole != damaged
    safety = restored["safety_backup"]["key"]
    assert set(pair(backup, safety)) < set(bucket.listing())
    (journal,) = scene.journals()
    assert (journal[0]["backup"], journal[-1]["state"]) == (f"s3://{bucket.name}/{backup}", "done")

    # Around it: older backups, an archive whose manifest never came, a manifest whose archive is gone, an upload that was never finished.
    shelf = Shelf(bucket, prefix=f"{PREFIX}/")
    older = [shelf.put(hours * HOUR, scene.name) for hours in range(1, 7)]
    broken = shelf.put(7 * HOUR, scene.name, archive=None)
    other = shelf.put(8 * HOUR, f"{scene.name}_x")
    orphan = back_up()["backup"]["key"]
    bucket.delete(f"{orphan}.manifest.json")
    unfinished = shelf.key(9 * HOUR, scene.name)
    bucket.server.client().create_multipart_upload(Bucket=bucket.name, Key=unfinished)

    # Retention keeps the newest four valid ones and what the restore has made and named; nothing else is old enough.
    journals = [key for key in bucket.listing() if "/restores/" in key]
    stay = sorted([*pair(backup, safety, *older[:3], other), f"{broken}.manifest.json", orphan, *journals])
    let_go = run("s3_retention", name=scene.name, **POLICY)
    assert bucket.listing() == stay
    assert bucket.unfinished() == [unfinished]
    assert (let_go["changed"], sorted(let_go["deleted"]), let_go["aborted"]) == (True, sorted(pair(*older[3:])), [])
    assert (let_go["permanently"], let_go["store"]["batch_delete"]) == (True, "supported")
    entries = {entry["key"]: entry for entry in let_go["plan"]}
    assert f"A restore of the last 7 days names it ({journals[0]})." in entries[backup]["reasons"]
    assert [alarm.partition(":")[0] for alarm in let_go["alarms"]] == [broken]
    again = run("s3_retention", name=scene.name, **POLICY)
    assert (again["changed"], again["deleted"], again["aborted"]) == (False, [], [])
    assert bucket.listing() == stay

    # Two days later, by the clock that retention is given: buckets date objects themselves, and no test can wait.
    planned = plan_later(bucket, 2 * DAY + HOUR, scene.name, prefix=PREFIX, **POLICY)
    (reasons,) = (entry.reasons for entry in planned.entries if entry.key == orphan)
    swept = later(bucket, 2 * DAY + HOUR, scene.name, prefix=PREFIX, **POLICY)
    assert swept.aborted == [unfinished]
    assert bucket.unfinished() == []
    if manners.knows_its_uploads:
        assert swept.deleted == [orphan]
        stay.remove(orphan)
    else:
        # Not known as ours: a person's to judge.
        assert swept.deleted == []
        assert "does not show that this software made it. Adopt it with pg_backup_adopt, or delete it by hand" in reasons[0]
    assert bucket.listing() == stay
    assert later(bucket, 2 * DAY + HOUR, scene.name, prefix=PREFIX, **POLICY).deleted == []


def rows(database: Database) -> list[str]:
    """Return every row of every table, and every large object, as text."""
    tables = [name for (name,) in database.rows("SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")]
    found = [f"{table} {row}" for table in tables for (row,) in database.rows(f"SELECT t::text FROM {table} AS t ORDER BY 1")]
    return [*found, *(f"{oid} {data}" for oid, data in database.rows("SELECT oid, lo_get(oid)::text FROM pg_largeobject_metadata ORDER BY 1"))]
