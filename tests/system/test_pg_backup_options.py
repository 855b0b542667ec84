# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each option of pg_backup does what it says, seen in what lies in the store."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.postgres import PostgresServer
from system.scenes import MAJORS, PASSWORD, Bucket, Database, Folder, Store, Verdict, archive_and_manifest, read_catalog


@pytest.fixture
def shop(database: Database) -> Database:
    """A database with two schemas, a partitioned table and names that need quotes."""
    database.execute(
        "CREATE TABLE users AS SELECT generate_series(1, 5) AS id",
        "CREATE TABLE sessions AS SELECT generate_series(1, 7) AS id",
        "CREATE TABLE log (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE log_2025 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "INSERT INTO log VALUES ('2025-05-05')",
        "CREATE SCHEMA audit",
        "CREATE TABLE audit.trail AS SELECT generate_series(1, 3) AS id",
        "CREATE SEQUENCE audit.numbers",
        'CREATE SCHEMA "My Schema"',
        'CREATE TABLE "My Schema"."My.Table" AS SELECT 1 AS id',
        "SELECT lo_from_bytea(0, 'a large object')",
    )
    return database


def listing(store: Store, database: Database) -> str:
    """Return the archive's table of contents as a bare pg_restore prints it."""
    key, _manifest = archive_and_manifest(store)
    program = database.server.installation.program("pg_restore")
    return subprocess.run([program, "--list"], input=store.read(key), capture_output=True, check=True).stdout.decode()


EVERYTHING = {"public.users", "public.sessions", "public.log_2025", "audit.trail", '"My Schema"."My.Table"'}
SELECTIONS: dict[str, tuple[dict[str, Any], set[str], dict[str, str]]] = {
    "everything": ({}, EVERYTHING, {}),
    "schemas": (
        {"schemas": ["audit"]},
        {"audit.trail"},
        dict.fromkeys(EVERYTHING - {"audit.trail"}, "left out by schemas"),
    ),
    "schemas by pattern": (
        {"schemas": ["a*", '"My Schema"']},
        {"audit.trail", '"My Schema"."My.Table"'},
        dict.fromkeys(["public.users", "public.sessions", "public.log_2025"], "left out by schemas"),
    ),
    "exclude_schemas": ({"exclude_schemas": ["audit"]}, EVERYTHING - {"audit.trail"}, {"audit.trail": "left out by exclude_schemas"}),
    "exclude_tables": (
        {"exclude_tables": ["public.sess*", '"My Schema"."My.Table"']},
        {"public.users", "public.log_2025", "audit.trail"},
        dict.fromkeys(["public.sessions", '"My Schema"."My.Table"'], "left out by exclude_tables"),
    ),
    "exclude_table_data": (
        {"exclude_table_data": ["sessions", "log_*"]},
        EVERYTHING - {"public.sessions", "public.log_2025"},
        dict.fromkeys(["public.sessions", "public.log_2025"], "its rows are left out by exclude_table_data"),
    ),
}


@pytest.mark.parametrize("what", SELECTIONS)
def test_selections(ansible: AnsibleRunner, shop: Database, folder: Folder, what: str) -> None:
    options, dumped, left_out = SELECTIONS[what]
    plan = ansible.run("pg_backup", check=True, **shop.options(), **folder.options, **options).require_success()["plan"]
    ansible.run("pg_backup", **shop.options(), **folder.options, **options).require_success()
    _key, manifest = archive_and_manifest(folder)
    assert manifest["tables"].keys() == dumped
    assert plan["tables"] == len(dumped)
    for facts in (manifest, plan):
        omitted = {entry["name"]: entry["reason"] for entry in facts["omitted"]}
        assert omitted.keys() == left_out.keys()
        assert all(left_out[name] in omitted[name] for name in omitted)
    assert manifest["selection"] == {"schemas": [], "exclude_schemas": [], "exclude_tables": [], "exclude_table_data": [], **options}
    contents = listing(folder, shop)
    assert (" TABLE public sessions " in contents) == (what in ("everything", "exclude_schemas", "exclude_table_data"))
    assert contents.count(" TABLE DATA ") == len(dumped)


@pytest.mark.every_major
def test_large_objects_stay_with_a_selection_of_schemas(ansible: AnsibleRunner, shop: Database, folder: Folder) -> None:
    """By itself pg_dump would leave them out, silently."""
    result = ansible.run("pg_backup", **shop.options(), **folder.options, schemas=["audit"]).require_success()
    assert result["backup"]["large_objects"]["count"] == 1
    assert " BLOB" in listing(folder, shop)


@pytest.mark.every_major
@pytest.mark.parametrize("compression", ["auto", "zstd", "lz4", "gzip", "none"])
def test_compressions(ansible: AnsibleRunner, verdict: Verdict, shop: Database, folder: Folder, compression: str) -> None:
    installation = shop.server.installation
    outcome = ansible.run("pg_backup", **shop.options(), **folder.options, compression=compression)
    best = "zstd" if installation.has_zstd else "gzip"
    expected = {"auto": f"{best}:1", "zstd": "zstd:1", "lz4": "lz4", "gzip": "gzip:1", "none": "none"}[compression]
    if outcome.failed:
        assert compression == "lz4" or (compression == "zstd" and not installation.has_zstd)
        verdict.nothing_left(outcome, folder, says=(f"compression is {compression}", "built without it", "Set compression to auto"))
        return
    outcome.require_success()
    _key, manifest = archive_and_manifest(folder)
    assert manifest["archive"]["compression"] == expected
    told = next(line for line in listing(folder, shop).splitlines() if "Compression:" in line).rpartition(":")[2].strip()
    by_old_clients = {"gzip:1": "1", "none": "0"}
    assert told == (by_old_clients[expected] if installation.major < 16 else expected.partition(":")[0])


def test_a_compression_level(ansible: AnsibleRunner, database: Database, folder: Folder) -> None:
    database.execute("CREATE TABLE t AS SELECT md5((g / 3)::text) AS a FROM generate_series(1, 20000) AS g")
    sizes = []
    for level in (1, 9):
        name = f"level{level}"
        result = ansible.run("pg_backup", **database.options(), **folder.options, name=name, compression="gzip", compression_level=level).require_success()
        assert result["backup"]["archive"]["compression"] == f"gzip:{level}"
        sizes.append(result["backup"]["archive"]["size"])
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(("fingerprint", "verify"), [("none", "hash"), ("none", "decode"), ("counts", "decode"), ("content", "hash")])
def test_proofs(ansible: AnsibleRunner, shop: Database, folder: Folder, fingerprint: str, verify: str) -> None:
    result = ansible.run("pg_backup", **shop.options(), **folder.options, fingerprint=fingerprint, verify=verify).require_success()
    _key, manifest = archive_and_manifest(folder)
    assert manifest["verification"]["level"] == verify
    assert manifest["fingerprint"]["method"] == {"none": "none", "counts": "counts", "content": "record"}[fingerprint]
    users = manifest["tables"].get("public.users")
    if fingerprint == "none":
        assert users is None
    else:
        assert users["rows"] == 5
        assert (users["content"] is None) == (fingerprint == "counts")
    # No more is claimed than was done.
    assert ("decoded" in result["msg"]) == (verify == "decode")
    assert ("content of every table recorded" in result["msg"]) == (fingerprint == "content")


def test_what_is_recorded_for_people(ansible: AnsibleRunner, shop: Database, folder: Folder) -> None:
    words = {"name": "work-on.1", "environment": "staging", "reason": "scheduled", "pinned": True, "labels": {"ticket": "W-1", "über": "ja"}}
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    result = ansible.run("pg_backup", **shop.options(), **folder.options, **words).require_success()
    key, manifest = archive_and_manifest(folder)
    assert {name: manifest[name] for name in words} == words
    assert manifest["key"] == key == result["backup"]["key"]
    started = dt.datetime.strptime(key, "work-on.1_%Y-%m-%d_%H%M%S.dump").replace(tzinfo=dt.UTC)
    assert before <= started <= dt.datetime.now(dt.UTC)
    assert key in result["msg"]
    assert shop.name in result["msg"]


@pytest.mark.parametrize("kind", ["bucket", "folder"])
def test_a_prefix(ansible: AnsibleRunner, shop: Database, request: pytest.FixtureRequest, kind: str) -> None:
    store = request.getfixturevalue(kind)
    result = ansible.run("pg_backup", **shop.options(), **store.options, prefix="/a/b c/").require_success()
    key = result["backup"]["key"]
    assert key.rpartition("/")[0] == "a/b c"
    assert store.listing() == [key, f"{key}.manifest.json"]
    listed = ansible.run("pg_backup_info", **store.options, prefix="a/b c").require_success()
    assert [backup["key"] for backup in listed["backups"]] == [key]
    assert not read_catalog(store).backups


@pytest.mark.parametrize("kind", ["bucket", "folder"])
def test_check_mode_writes_nothing(ansible: AnsibleRunner, shop: Database, request: pytest.FixtureRequest, kind: str) -> None:
    store = request.getfixturevalue(kind)
    store.write("somebody's.txt", b"stays")
    result = ansible.run("pg_backup", check=True, **shop.options(), **store.options, environment="staging", compression="gzip").require_success()
    assert store.listing() == ["somebody's.txt"]
    assert store.unfinished() == []
    assert result["changed"] is True
    assert "backup" not in result
    plan = result["plan"]
    assert plan["key"].startswith(f"{shop.name}_")
    assert plan["database"] == shop.name
    assert plan["estimated_size"] > 1_000_000
    assert plan["client"] == {"version": shop.server.installation.version, "bin_dir": str(shop.server.installation.bin_dir)}
    assert plan["compression"] == "gzip:1"
    assert plan["fingerprint"] == "record"
    assert Path(plan["command"][0]).name == "pg_dump"
    assert not any(shop.server.host in argument for argument in plan["command"])
    assert result["store"]["writable"] is True
    assert result["store"]["conditional_writes"] == "supported"
    assert f"{plan['key']}.manifest.json" in result["diff"]["after"]


def test_everything_from_the_environment(ansible: AnsibleRunner, shop: Database, bucket: Bucket) -> None:
    server = shop.server
    store = {
        "BACKUP_S3_BUCKET": bucket.name,
        "BACKUP_S3_ENDPOINT": bucket.server.endpoint_url,
        "AWS_ACCESS_KEY_ID": bucket.server.access_key,
        "AWS_SECRET_ACCESS_KEY": bucket.server.secret_key,
    }
    database = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser, "PGPASSWORD": PASSWORD, "PGDATABASE": shop.name}
    programs = {"PATH": f"{server.installation.bin_dir}:/usr/bin:/bin"}
    ansible.run("pg_backup", name="by-parts", environment_={**store, **database, **programs}).require_success()
    url = {"DATABASE_URL": server.url(shop.name), "PGHOST": "not.used.example.com"}
    ansible.run("pg_backup", name="by-url", environment_={**store, **url, **programs}).require_success()
    assert len(bucket.listing()) == 4


def test_a_socket(ansible: AnsibleRunner, shop: Database, folder: Folder) -> None:
    options = shop.login(login_unix_socket=str(shop.server.socket_directory))
    del options["login_host"]
    result = ansible.run("pg_backup", **options, **folder.options).require_success()
    assert result["backup"]["source"]["host"] == str(shop.server.socket_directory)


@pytest.mark.every_major
def test_a_role_that_may_only_read(ansible: AnsibleRunner, shop: Database, folder: Folder) -> None:
    role = shop.role("IN ROLE pg_read_all_data")
    shop.execute(f"SELECT lo_unlink(oid) FROM pg_largeobject_metadata; SELECT lo_from_bytea(77, 'granted'); GRANT SELECT ON LARGE OBJECT 77 TO {role}")
    result = ansible.run("pg_backup", **shop.options(role), **folder.options).require_success()
    assert result["backup"]["tables"].keys() == EVERYTHING
    assert result["backup"]["source"]["role"] == role
    assert result["backup"]["large_objects"]["count"] == 1


@pytest.mark.skipif(len(MAJORS) < 2, reason="There is only one PostgreSQL version here.")
def test_a_newer_client_is_used_and_told(
    ansible: AnsibleRunner, make_database: Callable[..., Database], postgres: Callable[[int], PostgresServer], folder: Folder
) -> None:
    database = make_database(postgres(MAJORS[0]))
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    newer = postgres(MAJORS[-1]).installation
    result = ansible.run("pg_backup", **database.options(pg_bin_dir=str(newer.bin_dir)), **folder.options).require_success()
    assert result["backup"]["client"]["version"] == newer.version
    assert any(f"only pg_restore {newer.major} and newer" in warning for warning in result["backup"]["warnings"])


def test_prisma_and_its_parameters(ansible: AnsibleRunner, database: Database, folder: Folder) -> None:
    database.execute(
        "CREATE SCHEMA app",
        "CREATE TABLE app._prisma_migrations (id text, checksum text, finished_at timestamptz, migration_name text, logs text, rolled_back_at timestamptz,"
        " started_at timestamptz DEFAULT now(), applied_steps_count int)",
        "INSERT INTO app._prisma_migrations (migration_name, started_at, finished_at, rolled_back_at) VALUES"
        " ('1_init', '2025-01-01', '2025-01-01', NULL), ('2_more', '2025-01-02', NULL, '2025-01-02'), ('2_more', '2025-01-03', '2025-01-03', NULL),"
        " ('3_bad', '2025-01-04', NULL, NULL)",
    )
    url = f"{database.options()['database_url']}?schema=app&connection_limit=5&pool_timeout=3&sslmode=prefer"
    result = ansible.run("pg_backup", **database.options(database_url=url), **folder.options).require_success()
    assert result["backup"]["prisma"] == {"last": "2_more", "applied": 2, "failed": ["3_bad"]}
    assert any("connection_limit" in warning and "pool_timeout" in warning for warning in result["backup"]["warnings"])


def test_the_properties_of_the_database(ansible: AnsibleRunner, database: Database, folder: Folder) -> None:
    role = database.role()
    name = f'"{database.name}"'
    database.execute(
        f"COMMENT ON DATABASE {name} IS 'environment: staging'",
        f"ALTER DATABASE {name} SET timezone = 'Europe/Zagreb'",
        f"ALTER ROLE {role} IN DATABASE {name} SET search_path = app",
        f"ALTER DATABASE {name} CONNECTION LIMIT 50",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO {role}",
        f"CREATE TABLE t (a timestamptz); ALTER TABLE t OWNER TO {role}; INSERT INTO t VALUES ('2025-01-01 00:00+00')",
    )
    found = ansible.run("pg_backup", **database.options(), **folder.options).require_success()["backup"]
    properties = found["database"]
    assert properties["comment"] == "environment: staging"
    assert properties["connection_limit"] == 50
    assert properties["encoding"] == "UTF8"
    assert properties["settings"] == [
        {"role": None, "settings": ["TimeZone=Europe/Zagreb"], "hidden": []},
        {"role": role, "settings": ["search_path=app"], "hidden": []},
    ]
    assert f"{role}=c/postgres" in properties["acl"]
    assert not any(entry.startswith("=") and "c" in entry.partition("/")[0] for entry in properties["acl"])
    assert {role, "postgres"} <= set(found["roles"])


@pytest.mark.parametrize("encryption", ["AES256", "aws:kms"])
def test_encryption_is_asked_for_and_seen(ansible: AnsibleRunner, shop: Database, bucket: Bucket, encryption: str) -> None:
    key_id = {"kms_key_id": "harness"} if encryption == "aws:kms" else {}
    result = ansible.run("pg_backup", **shop.options(), **bucket.options, server_side_encryption=encryption, globals=True, **key_id).require_success()
    assert result["store"]["encryption"] == encryption
    assert result["backup"]["encryption"]["server_side"] == encryption
    heads = [bucket.server.client().head_object(Bucket=bucket.name, Key=key) for key in bucket.listing()]
    assert [head["ServerSideEncryption"] for head in heads] == [encryption] * 3
    if key_id:
        assert result["backup"]["encryption"]["kms_key_id"].endswith("harness")
        assert all(head["SSEKMSKeyId"].endswith("harness") for head in heads)


def test_no_encryption_is_claimed_unasked(ansible: AnsibleRunner, shop: Database, bucket: Bucket) -> None:
    result = ansible.run("pg_backup", **shop.options(), **bucket.options).require_success()
    assert result["backup"]["encryption"] == {"client_side": None, "server_side": None, "kms_key_id": None}
    head = bucket.server.client().head_object(Bucket=bucket.name, Key=result["backup"]["key"])
    assert "ServerSideEncryption" not in head
    assert head["Metadata"]["backup-id"] == result["backup"]["backup_id"]
