# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_backup stores is what was there: restored by a bare pg_restore, it has the content that the manifest says."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name
from harness.ansible_runner import AnsibleRunner
from harness.postgres import PostgresServer, installation
from system import zoo
from system.scenes import MAJORS, MIB, PASSWORD, STORE_SECRET, Bucket, Database, Folder, Store, Verdict, archive_and_manifest, quoted

_ORDINARY_TABLES = """FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE relkind = 'r' AND relpersistence <> 't' AND nspname NOT IN ('pg_catalog', 'information_schema')"""


def restore(store: Store, key: str, target: Database, directory: Path) -> None:
    """Restore an archive as a stranger would: with pg_restore alone."""
    archive = directory / "restored.dump"
    archive.write_bytes(store.read(key))
    command = [target.server.installation.program("pg_restore"), "--exit-on-error", f"--dbname={target.name}", archive]
    login = {"PGHOST": target.server.host, "PGPORT": str(target.server.port), "PGUSER": target.server.superuser, "PGPASSWORD": target.server.password}
    answer = subprocess.run(command, env={**os.environ, **login}, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    archive.unlink()


def fingerprints(database: Database, method: fingerprint.Method = "record") -> dict[str, dict[str, Any]]:
    """Compute the fingerprints of every ordinary table, with the collection's own statements."""
    found = {}
    with database.connected() as connection, connection.cursor() as cursor:
        for name, value in fingerprint.PINNED_SETTINGS:
            cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
        cursor.execute(f"SELECT c.oid {_ORDINARY_TABLES}")
        oids = [oid for (oid,) in cursor.fetchall()]
        cursor.execute(fingerprint.COLUMNS_QUERY, {"oids": oids})
        for table in fingerprint.tables_from_rows(cursor.fetchall()):
            cursor.execute(fingerprint.table_statement(table, method))
            rows, content = cursor.fetchone()
            found[qualified_name(table.schema, table.name)] = {"rows": rows, "content": content}
    return found


def contents(database: Database) -> dict[tuple[str, str], str]:
    """Return a digest of the sorted text of every table's rows: what a person would compare, independent of the fingerprints."""
    found = {}
    with database.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'; SET extra_float_digits = 3")
        cursor.execute(f"SELECT nspname, relname {_ORDINARY_TABLES}")
        for schema, name in cursor.fetchall():
            digest = hashlib.sha256()
            source = f'SELECT t FROM ONLY {quoted(schema)}.{quoted(name)} AS t ORDER BY t::text COLLATE "C"'
            cursor.copy_expert(f"COPY ({source}) TO STDOUT", _Sink(digest.update))
            found[schema, name] = digest.hexdigest()
    return found


class _Sink:
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.write = take


def sequences(database: Database) -> dict[str, dict[str, Any]]:
    """Return what the manifest records of the sequences, asked of the sequences."""
    found = {}
    for schema, name in database.rows("SELECT nspname, relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE relkind = 'S'"):
        ((last_value, is_called),) = database.rows(f"SELECT last_value, is_called FROM {quoted(schema)}.{quoted(name)}")
        found[qualified_name(schema, name)] = {"last_value": last_value, "is_called": is_called}
    return found


def large_objects(database: Database) -> list[tuple[int, bytes]]:
    """Return all large objects."""
    return [(oid, bytes(content)) for oid, content in database.rows("SELECT oid, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid")]


@dataclass(frozen=True)
class RestoredZoo:
    """The zoo, its backup, and what a bare pg_restore made of it."""

    source: Database
    restored: Database
    store: Folder
    key: str
    manifest: dict[str, Any]
    result: dict[str, Any]
    role: str


@pytest.fixture(scope="module", params=MAJORS, ids=[f"pg{major}" for major in MAJORS])
def the_zoo(request: pytest.FixtureRequest, postgres: Callable[[int], PostgresServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestoredZoo]:
    server = postgres(request.param)
    source, restored = (Database(server, f"{name}_{secrets.token_hex(3)}").create() for name in ("zoo", "copy"))
    directory = tmp_path_factory.mktemp("zoo")
    store = Folder(directory / "store")
    store.path.mkdir()
    try:
        zoo.fill(source)
        role = source.role()
        with source.connected() as somebody, somebody.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE temporary AS SELECT 1 AS a")
            outcome = AnsibleRunner([PASSWORD, STORE_SECRET]).run("pg_backup", **source.options(), **store.options, globals=True)
        result = outcome.require_success()
        key, manifest = archive_and_manifest(store)
        restore(store, key, restored, directory)
        yield RestoredZoo(source, restored, store, key, manifest, result, role)
    finally:
        source.drop()
        restored.drop()


def test_the_restored_tables_have_the_fingerprints_of_the_manifest(the_zoo: RestoredZoo) -> None:
    recorded = dict(the_zoo.manifest["tables"])
    assert recorded == fingerprints(the_zoo.restored)
    assert recorded[qualified_name(zoo.ODD_SCHEMA, zoo.ODD_TABLE)]["rows"] == 3
    assert recorded["public.without_columns"]["rows"] == 3
    assert recorded["public.empty"] == {"rows": 0, "content": "0"}
    assert recorded["public.secured"]["rows"] == 2
    assert recorded["public.ancestor"]["rows"] == 1
    assert recorded["public.unlogged"]["rows"] == 1


def test_the_restored_rows_are_the_same_text(the_zoo: RestoredZoo) -> None:
    source, restored = contents(the_zoo.source), contents(the_zoo.restored)
    source.pop(("public", "of_extension"), None)
    assert source == restored
    assert len(source) == len(the_zoo.manifest["tables"])
    assert the_zoo.restored.value("SELECT length(value) FROM huge") == zoo.HUGE_ROW_BYTES


def test_a_changed_value_would_be_seen(the_zoo: RestoredZoo) -> None:
    # Others compare the same database, before or after.
    original = the_zoo.restored.value("SELECT doc::text FROM typed WHERE id = 250")
    try:
        the_zoo.restored.execute("UPDATE typed SET doc = doc || '{\"n\": 0}' WHERE id = 250")
        changed = fingerprints(the_zoo.restored)
    finally:
        the_zoo.restored.execute(f"UPDATE typed SET doc = '{original}' WHERE id = 250")
    assert [name for name, found in changed.items() if found != the_zoo.manifest["tables"][name]] == ["public.typed"]


def test_sequences_and_large_objects_are_restored_as_recorded(the_zoo: RestoredZoo) -> None:
    assert the_zoo.manifest["sequences"] == sequences(the_zoo.source) == sequences(the_zoo.restored)
    assert the_zoo.manifest["sequences"][qualified_name(zoo.ODD_SCHEMA, """sé'q "s\"""")] == {"last_value": 93, "is_called": True}
    assert large_objects(the_zoo.source) == large_objects(the_zoo.restored)
    assert the_zoo.manifest["large_objects"]["count"] == 3
    assert int(the_zoo.manifest["large_objects"]["content"]) != 0


def test_what_is_left_out_is_named_with_its_reason(the_zoo: RestoredZoo) -> None:
    omitted = {(entry["kind"], entry["name"].rpartition(".")[2]): entry["reason"] for entry in the_zoo.manifest["omitted"]}
    expected = {
        ("materialized view", "counted"): "computes it again",
        ("materialized view", "not_counted"): "computes it again",
        ("table", "temporary"): "temporary",
    }
    if "citext" in the_zoo.manifest["extensions"]:
        expected["table", "of_extension"] = "extension citext"
    if "postgres_fdw" in the_zoo.manifest["extensions"]:
        expected["foreign table", "far_away"] = "foreign server"
    assert omitted.keys() == expected.keys()
    for thing, reason in expected.items():
        assert reason in omitted[thing]
    assert the_zoo.restored.value("SELECT count(*) FROM counted") == the_zoo.source.value("SELECT count(*) FROM counted")
    assert the_zoo.restored.rows("SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1") == [("counted", True), ("not_counted", False)]


def test_the_manifest_says_what_it_is_of(the_zoo: RestoredZoo) -> None:
    manifest, server = the_zoo.manifest, the_zoo.source.server
    content = the_zoo.store.read(the_zoo.key)
    assert manifest["archive"]["size"] == len(content)
    assert manifest["archive"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["verification"]["level"] == "decode"
    assert manifest["fingerprint"] == {"recipe": fingerprint.RECIPE, "method": "record", "server_version": manifest["source"]["server_version"]}
    assert manifest["source"]["database"] == the_zoo.source.name
    assert manifest["source"]["database_oid"] == the_zoo.source.value("SELECT oid FROM pg_database WHERE datname = current_database()")
    assert manifest["source"]["system_identifier"] == str(the_zoo.source.value("SELECT system_identifier FROM pg_control_system()"))
    assert manifest["client"]["version"] == server.installation.version
    assert manifest["extensions"] == dict(the_zoo.source.rows("SELECT extname, extversion FROM pg_extension"))
    assert manifest["archive"]["compression"] == ("zstd:1" if server.installation.has_zstd else "gzip:1")
    del manifest["checksum"]
    assert the_zoo.result["backup"] == {**manifest, "address": str(the_zoo.store.path / the_zoo.key)}
    assert the_zoo.result["throughput"]["archive_bytes_per_second"] > 0


def test_nothing_stored_holds_a_password(the_zoo: RestoredZoo) -> None:
    runner = AnsibleRunner([PASSWORD])
    for key in the_zoo.store.listing():
        if key != the_zoo.key:
            text = the_zoo.store.read(key).decode()
            runner.require_no_secret(text)
            assert "SCRAM" not in text
            assert the_zoo.source.server.url(the_zoo.source.name) not in text


def test_roles_lie_beside_the_archive_without_their_passwords(the_zoo: RestoredZoo) -> None:
    recorded = the_zoo.manifest["globals"]
    content = the_zoo.store.read(recorded["key"])
    assert recorded == {"key": f"{the_zoo.key}.globals.sql", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert f"CREATE ROLE {the_zoo.role};" in content.decode()
    assert "PASSWORD" not in content.decode()


def test_files_are_private(the_zoo: RestoredZoo) -> None:
    assert {stat.S_IMODE((the_zoo.store.path / key).stat().st_mode) for key in the_zoo.store.listing()} == {0o600}
    assert len(the_zoo.store.listing()) == 3


@pytest.mark.every_major
def test_an_empty_database(
    ansible: AnsibleRunner, verdict: Verdict, database: Database, make_database: Callable[..., Database], bucket: Bucket, tmp_path: Path
) -> None:
    ansible.run("pg_backup", **database.options(), **bucket.options).require_success()
    key, manifest = archive_and_manifest(bucket)
    assert manifest["tables"] == manifest["sequences"] == {}
    assert manifest["large_objects"]["count"] == 0
    restore(bucket, key, make_database(database.server), tmp_path)


def test_one_moment_under_a_writer(ansible: AnsibleRunner, database: Database, make_database: Callable[..., Database], bucket: Bucket, tmp_path: Path) -> None:
    """Money moves between two tables while the backup stands between its snapshot and its first row; the restored copy must balance."""
    database.execute(
        "CREATE TABLE accounts AS SELECT id, 1000 AS balance FROM generate_series(1, 10) AS id",
        "CREATE TABLE ledger (id serial, account int, amount int)",
        "CREATE TABLE gate (a int)",
    )
    moved, stop = threading.Semaphore(0), threading.Event()

    def write() -> None:
        with database.connected() as connection, connection.cursor() as cursor:
            number = 0
            while not stop.is_set():
                number += 1
                cursor.execute("BEGIN; UPDATE accounts SET balance = balance - 1 WHERE id = %s", [number % 10 + 1])
                cursor.execute("INSERT INTO ledger (account, amount) VALUES (%s, 1); COMMIT", [number % 10 + 1])
                moved.release()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        with database.locked("gate") as release:
            running = ansible.start("pg_backup", **database.options(), **bucket.options)
            running.program("pg_dump")
            for dummy in range(100):
                assert moved.acquire(timeout=10)
            release()
        running.finish().require_success()
    finally:
        stop.set()
        writer.join()
    key, manifest = archive_and_manifest(bucket)
    copy = make_database(database.server)
    restore(bucket, key, copy, tmp_path)
    assert copy.value("SELECT (SELECT sum(balance) FROM accounts) + (SELECT sum(amount) FROM ledger)") == 10_000
    assert fingerprints(copy) == manifest["tables"]
    assert 0 < manifest["tables"]["public.ledger"]["rows"] <= database.value("SELECT count(*) FROM ledger") - 100


def test_a_hot_standby(ansible: AnsibleRunner, database: Database, make_database: Callable[..., Database], bucket: Bucket, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 100) AS a", "CREATE UNLOGGED TABLE u AS SELECT 1 AS a", "CREATE SEQUENCE s")
    with database.server.standby() as standby:
        standby.catch_up()
        replica = Database(standby, database.name)
        assert replica.value("SELECT pg_is_in_recovery()")
        ansible.run("pg_backup", **replica.options(), **bucket.options).require_success()
    key, manifest = archive_and_manifest(bucket)
    assert manifest["source"]["in_recovery"] is True
    assert manifest["source"]["port"] == standby.port
    assert manifest["tables"].keys() == {"public.t"}
    ((kind, name, reason),) = (entry.values() for entry in manifest["omitted"])
    assert (kind, name) == ("table", "public.u")
    assert "standby" in reason
    copy = make_database(database.server)
    restore(bucket, key, copy, tmp_path)
    assert fingerprints(copy)["public.t"] == manifest["tables"]["public.t"]


@pytest.mark.slow
def test_ten_thousand_tables(ansible: AnsibleRunner, verdict: Verdict, folder: Folder) -> None:
    """A server whose lock table is too small is refused; with a larger one all tables are backed up and proved."""
    settings = {"fsync": "off", "max_connections": "20", "max_locks_per_transaction": "10"}
    with PostgresServer(installation(MAJORS[-1]), settings=settings, password=PASSWORD) as server:
        database = Database(server, "many").create()
        database.execute(_tables(1, 500))
        outcome = ansible.run("pg_backup", **database.options(), **folder.options)
        verdict.nothing_left(outcome, folder, says=("500 tables", "made for 200", "max_locks_per_transaction", "schemas"))
        server.stop()
        server.settings["max_locks_per_transaction"] = "600"
        server.start()
        database.execute(_tables(501, 10_000))
        ansible.run("pg_backup", **database.options(), **folder.options).require_success()
    _key, manifest = archive_and_manifest(folder)
    assert len(manifest["tables"]) == 10_000
    assert {found["rows"] for found in manifest["tables"].values()} == {1}
    assert len({found["content"] for found in manifest["tables"].values()}) == 10_000


def _tables(first: int, last: int) -> str:
    # Committed in between, because a table that is created is locked as well.
    return f"""DO $$ BEGIN FOR i IN {first}..{last} LOOP
        EXECUTE 'CREATE TABLE t' || i || ' AS SELECT ' || i || ' AS a';
        IF i % 100 = 0 THEN COMMIT; END IF;
    END LOOP; END $$"""


@pytest.mark.parametrize("part_size", [5 * MIB, None], ids=["many parts", "default"])
def test_many_parts_and_many_buffers(
    ansible: AnsibleRunner, database: Database, make_database: Callable[..., Database], bucket: Bucket, tmp_path: Path, part_size: int | None
) -> None:
    """Noise in known places: a part that is lost, doubled or out of order would show."""
    database.execute("CREATE TABLE noise AS SELECT g AS id, repeat(md5(g::text), 1000) AS value FROM generate_series(1, 1500) AS g")
    ansible.run("pg_backup", **database.options(), **bucket.options, compression="none", part_size=part_size, max_concurrency=3).require_success()
    key, manifest = archive_and_manifest(bucket)
    parts = bucket.server.client().head_object(Bucket=bucket.name, Key=key, PartNumber=1)["PartsCount"]
    assert parts == -(-manifest["archive"]["size"] // (part_size or 8 * MIB)) > 4
    content = bucket.read(key)
    assert hashlib.sha256(content).hexdigest() == manifest["archive"]["sha256"]
    copy = make_database(database.server)
    restore(bucket, key, copy, tmp_path)
    assert fingerprints(copy) == manifest["tables"]
