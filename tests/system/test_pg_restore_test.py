# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore test passes only for a backup that was restored and proved, says which of the other two it is, and leaves nothing but its record."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import dump_manifest, load_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest, load_record
from harness.account import private_directory, service_account
from harness.ansible_runner import AnsibleRunner, Outcome, Running
from harness.waiting import NotYet, wait_for
from system.restoring import Scene, scenes
from system.scenes import Database, Folder, quoted

_CONTENT = """
CREATE TABLE users (id serial PRIMARY KEY, mail text UNIQUE, made timestamptz NOT NULL DEFAULT now());
INSERT INTO users (mail) SELECT 'user' || g FROM generate_series(1, 400) AS g;
CREATE TABLE payments (id int PRIMARY KEY, payer int REFERENCES users, amount numeric);
INSERT INTO payments SELECT g, g, g / 7.0 FROM generate_series(1, 300) AS g;
CREATE VIEW dear AS SELECT * FROM payments WHERE amount > 10;
"""


@dataclass
class Bench:
    """A store with a backup, and restore tests of it."""

    scene: Scene
    folder: Folder
    spool: Path

    @property
    def ansible(self) -> AnsibleRunner:
        return self.scene.ansible

    def options(self, *, on_server: bool, **options: Any) -> dict[str, Any]:
        where = self.scene.database.options(self.scene.user) if on_server else {"pg_bin_dir": str(self.scene.database.server.bin_dir)}
        given = {**where, **({"environment": "staging"} if on_server else {}), "name": "app", "spool_directory": str(self.spool), **self.folder.options}
        return {name: value for name, value in {**given, **options}.items() if value is not None}

    def test(self, *, on_server: bool = False, check: bool = False, **options: Any) -> Outcome:
        """Run pg_restore_test."""
        return self.ansible.run("pg_restore_test", check=check, **self.options(on_server=on_server, **options))

    def start(self, *, on_server: bool = False, **options: Any) -> Running:
        return self.ansible.start("pg_restore_test", **self.options(on_server=on_server, **options))

    def records(self) -> list[RestoreTest]:
        """Return every record of the store."""
        keys = [key for key in self.folder.listing() if ".dump.tests/" in key]
        return [load_record((self.folder.path / key).read_bytes(), key) for key in keys]

    def require_private_server(self) -> None:
        """Raise NotYet until a private server runs."""
        if not list(self.spool.glob("*/.s.PGSQL.5432")):
            raise NotYet("None has a socket.")

    def nothing_left(self, before: tuple[Any, ...]) -> None:
        """Require that no database and no file is left."""
        assert self.scene.databases() == before
        assert list(self.spool.iterdir()) == []


@pytest.fixture
def bench(ansible: AnsibleRunner, database: Database, folder: Folder) -> Iterator[Bench]:
    database.execute(_CONTENT)
    # Short, as the path of a socket has to be, and where the account of a private server can reach it.
    spool = private_directory("spool-", service_account())
    with scenes(ansible) as make:
        scene = make(database, folder).tag()
        scene.back_up()
        yield Bench(scene, folder, spool)
    for entry in spool.iterdir():
        subprocess.run(["rm", "-rf", str(entry)], check=True)
    spool.rmdir()


@pytest.mark.every_major
@pytest.mark.parametrize("on_server", [False, True], ids=["private", "server"])
def test_a_sound_backup_passes_and_leaves_its_record(bench: Bench, on_server: bool) -> None:
    before, listed = bench.scene.databases(), bench.folder.listing()
    checks = {
        "min_rows": [{"name": "Users can log in", "table": "users", "rows": 400}],
        "max_age": [{"name": "Somebody came", "column": "users.made", "age": "1h"}],
        "sql": [{"name": "Dear payments", "query": "SELECT count(*) FROM dear", "expect": 230}],
    }
    result = bench.test(on_server=on_server, checks=checks).require_success()
    assert (result["verdict"], result["reasons"], result["changed"]) == ("passed", [], True)
    assert result["proof"]["level"] == "content"
    assert {row["table"]: (row["rows_restored"], row["content"]) for row in result["proof"]["tables"]} == {
        "public.payments": (300, "equal"),
        "public.users": (400, "equal"),
    }
    assert [check["name"] for check in result["checks"]] == ["Users can log in", "Somebody came", "Dear payments"]
    assert result["server"]["private"] is not on_server
    (record,) = bench.records()
    assert record.verdict == "passed"
    assert (record.tables, record.rows) == (2, 700)
    assert record.rto is not None and record.rto > 0
    assert record.rpo is not None and 0 <= record.rpo < 600
    assert record.database_size is not None and record.database_size > 5_000_000
    assert set(bench.folder.listing()) - set(listed) == {result["record"]}
    bench.nothing_left(before)


def test_check_mode_looks_at_everything_and_writes_nothing(bench: Bench) -> None:
    before, listed = bench.scene.databases(), bench.folder.listing()
    for on_server in (False, True):
        result = bench.test(on_server=on_server, check=True).require_success()
        assert (result["verdict"], result["changed"], result["record"]) == ("planned", True, None)
    flip(bench.folder)
    result = bench.test(check=True)
    assert result.failed
    assert result.result["verdict"] == "failed"
    assert bench.folder.listing() == listed
    bench.nothing_left(before)


def test_one_flipped_bit_in_the_store_is_found(bench: Bench) -> None:
    before = bench.scene.databases()
    flip(bench.folder)
    outcome = bench.test()
    assert outcome.failed
    assert outcome.result["verdict"] == "failed"
    assert "Failed: " in outcome.message
    (record,) = bench.records()
    assert record.verdict == "failed"
    assert record.reasons == outcome.result["reasons"]
    assert outcome.result["record"] in bench.folder.listing()
    bench.nothing_left(before)


def test_what_does_not_hold_fails_and_what_was_not_looked_at_could_not_be_verified(bench: Bench) -> None:
    before = bench.scene.databases()
    outcome = bench.test(checks={"min_rows": [{"name": "Enough users", "table": "users", "rows": 401}]})
    assert outcome.failed
    assert outcome.result["verdict"] == "failed"
    assert "Enough users" in outcome.message
    assert [check["passed"] for check in outcome.result["checks"]] == [False]
    bench.scene.back_up(name="blind", fingerprint="none")
    outcome = bench.test(name="blind")
    assert outcome.failed
    assert outcome.result["verdict"] == "could_not_verify"
    assert "could be loaded, but not be compared" in outcome.message
    assert sorted((record.name, record.verdict) for record in bench.records()) == [("app", "failed"), ("blind", "could_not_verify")]
    bench.nothing_left(before)


def test_owners_policies_and_roles_are_restored_on_a_private_server(bench: Bench) -> None:
    database = bench.scene.database
    owner, reader = database.role(), database.role()
    name = quoted(database.name)
    database.execute(
        f"ALTER DATABASE {name} OWNER TO {owner}",
        f"ALTER TABLE users OWNER TO {owner}",
        f"GRANT SELECT ON users TO {reader}",
        "ALTER TABLE payments ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY own ON payments TO {reader} USING (payer = 1)",
        "SELECT lo_create(4711)",
    )
    bench.scene.back_up(name="owned")
    owners = {"query": "SELECT tableowner FROM pg_tables WHERE tablename = 'users'", "expect": owner}
    readers = {"query": f"SELECT has_table_privilege('{reader}', 'users', 'SELECT')", "expect": True}
    outcome = bench.test(name="owned", checks={"sql": [owners, readers]})
    assert outcome.require_success()["verdict"] == "passed"
    assert "were not tested" not in outcome.output


def test_where_roles_are_missing_it_is_said_that_owners_were_not_tested(bench: Bench) -> None:
    database = bench.scene.database
    database.execute("CREATE ROLE gone_by_then", "ALTER TABLE users OWNER TO gone_by_then")
    try:
        bench.scene.back_up(name="orphaned")
    finally:
        database.execute("ALTER TABLE users OWNER TO CURRENT_USER", "DROP ROLE gone_by_then")
    outcome = bench.test(on_server=True, name="orphaned")
    assert outcome.require_success()["verdict"] == "passed"
    assert "Owners and privileges were not tested: the server has no role gone_by_then." in outcome.output
    insisting = bench.test(on_server=True, name="orphaned", ownership="archive")
    assert insisting.failed
    assert insisting.result["verdict"] == "could_not_verify"
    assert "gone_by_then" in insisting.message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"environment": None}, "but not what it is for"),
        ({"environment": "testing"}, "is tagged staging"),
        ({"environment": "production"}, "production's"),
        ({"backup": "/tmp/some.dump"}, "not a backup of the store's catalog"),
        ({"backup": "app_2001-01-01_000000.dump"}, "no backup with the key"),
        ({"name": "nobody"}, "no valid backup"),
        ({"protected_hosts": ["*"]}, "is protected"),
    ],
    ids=["no environment", "another environment", "production", "a path", "no such key", "no such name", "protected"],
)
def test_what_is_refused(bench: Bench, options: dict[str, Any], says: str) -> None:
    before, listed = bench.scene.databases(), bench.folder.listing()
    outcome = bench.test(on_server=True, **options)
    assert outcome.failed
    assert says in outcome.message
    assert outcome.result["verdict"] == "could_not_verify"
    if says != "is protected":
        assert bench.folder.listing() == listed
    bench.nothing_left(before)


def test_a_database_of_that_name_is_not_touched(bench: Bench) -> None:
    database = bench.scene.database
    database.execute("CREATE DATABASE restore_test_app")
    try:
        before = bench.scene.databases()
        outcome = bench.test(on_server=True)
        assert outcome.failed
        assert "has a database restore_test_app" in outcome.message
        bench.nothing_left(before)
    finally:
        database.execute("DROP DATABASE restore_test_app")


@pytest.mark.parametrize("on_server", [False, True], ids=["private", "server"])
def test_killed_in_the_middle_it_can_be_run_again(bench: Bench, on_server: bool) -> None:
    before = bench.scene.databases()
    checks = {"sql": [{"name": "Slow", "query": "SELECT pg_sleep(50)", "expect": ""}]}
    running = bench.start(on_server=on_server, checks=checks)
    if on_server:
        backend = bench.scene.database.wait_for_session("query LIKE '%pg_sleep(50)%'", seconds=60, database="restore_test_app%")
    else:
        wait_for(bench.require_private_server, "A private server", seconds=60)
    running.stop()
    if on_server:
        bench.scene.database.execute(f"SELECT pg_terminate_backend({backend}, 10000)")
        assert len(bench.scene.databases()) == len(before) + 1
    else:
        assert len(list(bench.spool.iterdir())) == 1
    assert bench.records() == []
    result = bench.test(on_server=on_server).require_success()
    assert result["verdict"] == "passed"
    if on_server:
        assert len(result["dropped"]) == 1
    bench.nothing_left(before)


def test_stopped_it_drops_what_it_made(bench: Bench) -> None:
    before = bench.scene.databases()
    # The signal is heeded once the question that is under way has been answered, or has taken too long.
    running = bench.start(on_server=True, checks={"timeout": 5, "sql": [{"name": "Slow", "query": "SELECT pg_sleep(50)", "expect": ""}]})
    bench.scene.database.wait_for_session("query LIKE '%pg_sleep(50)%'", seconds=60, database="restore_test_app%")
    os.kill(running.program("python").pid, signal.SIGTERM)
    assert "stopped from outside" in running.finish().message
    bench.nothing_left(before)


def flip(folder: Folder) -> None:
    """Flip one bit in the middle of the newest archive."""
    archive = sorted(folder.path.glob("*.dump"))[-1]
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.chmod(0o644)
    archive.write_bytes(bytes(content))


@pytest.mark.parametrize("where", ["the beginning", "the table of contents", "the end"])
def test_wherever_it_is_damaged_it_has_failed(bench: Bench, where: str) -> None:
    archive = next(bench.folder.path.glob("*.dump"))
    content = bytearray(archive.read_bytes())
    position = {"the beginning": 2, "the table of contents": 300, "the end": len(content) - 9}[where]
    content[position] ^= 1
    archive.chmod(0o644)
    archive.write_bytes(bytes(content))
    outcome = bench.test()
    assert outcome.failed
    assert outcome.result["verdict"] == "failed", outcome.message
    assert [record.verdict for record in bench.records()] == ["failed"]


def test_a_backup_that_holds_something_else_than_its_manifest_says_has_failed(bench: Bench) -> None:
    """What a decoded archive with the right hash cannot show: that the rows are those that were counted when it was made."""
    path = next(bench.folder.path.glob("*.manifest.json"))
    manifest = load_manifest(path.read_bytes(), path.name.removesuffix(".manifest.json"))
    users = manifest.tables["public.users"]
    for changed in ({**users, "rows": 401}, {**users, "content": "0" * len(str(users["content"]))}):
        path.chmod(0o644)
        path.write_bytes(dump_manifest(dataclasses.replace(manifest, tables={**manifest.tables, "public.users": changed})))
        outcome = bench.test()
        assert outcome.failed
        assert outcome.result["verdict"] == "failed"
        assert "What was loaded is not what was backed up" in outcome.message
        assert {row["table"]: row["content"] for row in outcome.result["proof"]["tables"]} == {"public.payments": "equal", "public.users": "different"}
