# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_database_info: what it tells of a live database is so, what it calls different from a backup is different, and it changes nothing."""

from __future__ import annotations

import http.server
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import dump_manifest, load_manifest
from harness.ansible_runner import AnsibleRunner
from harness.pooler import PgBouncer, find_pgbouncer
from harness.postgres import PostgresServer
from system import zoo
from system.scenes import MAJORS, PASSWORD, Database, Folder, Store, in_thread, quoted

Info = Callable[..., dict[str, Any]]

_PROPERTIES = (
    "SELECT oid, relname, relfilenode, relkind, relacl::text FROM pg_class ORDER BY 1",
    "SELECT oid, datname, datdba, datacl::text, datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1",
    "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2",
)


@pytest.fixture
def info(ansible: AnsibleRunner) -> Info:
    """Run pg_database_info on a database, require that it changed nothing, and return its result."""

    def run(database: Database, store: Store | None = None, *, user: str | None = None, check: bool = False, **options: Any) -> dict[str, Any]:
        before = state(database)
        outcome = ansible.run("pg_database_info", check=check, **_options(database, user), **(store.options if store else {}), **options)
        assert state(database) == before
        found = outcome.require_success()
        assert found["changed"] is False
        return found

    return run


@pytest.fixture
def refused(ansible: AnsibleRunner) -> Callable[..., str]:
    """Run pg_database_info, require that it fails with a sentence, and return that."""

    def run(database: Database, store: Store | None = None, *, user: str | None = None, **options: Any) -> str:
        outcome = ansible.run("pg_database_info", **_options(database, user), **(store.options if store else {}), **options)
        assert outcome.failed, outcome.message
        assert re.search(r"\w [^.]+.*\.$", outcome.message, re.DOTALL), outcome.message
        assert "did not expect" not in outcome.message, outcome.result.get("exception")
        assert "tables" not in outcome.result
        return outcome.message

    return run


@pytest.fixture
def backup(ansible: AnsibleRunner) -> Callable[..., dict[str, Any]]:
    """Take a backup and return its manifest."""

    def run(database: Database, store: Store, **options: Any) -> dict[str, Any]:
        taken: dict[str, Any] = ansible.run("pg_backup", **{**database.options(), **store.options, "name": "app", **options}).require_success()["backup"]
        return taken

    return run


class _Answer(http.server.BaseHTTPRequestHandler):
    """Answers everything with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def http_server() -> Iterator[str]:
    """The address of an application that answers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    thread = in_thread(server.serve_forever)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def _options(database: Database, user: str | None = None) -> dict[str, Any]:
    """Return the options that mean this database; this module needs no client programs."""
    return {name: value for name, value in database.options(user).items() if name != "pg_bin_dir"}


def state(database: Database) -> list[list[tuple[Any, ...]]]:
    """Return what anybody's change would show in: the versions of all rows, the relations, the sequences and the properties of all databases."""
    tables = database.rows("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384 ORDER BY oid")
    versions = [database.rows(f"SELECT count(*), sum(xmin::text::bigint), max(ctid) FROM ONLY {table}") for (table,) in tables]
    return [*versions, *(database.rows(query) for query in _PROPERTIES)]


def fill(database: Database) -> None:
    """Make an application's database."""
    database.execute(
        "CREATE TABLE users (id serial PRIMARY KEY, mail text NOT NULL)",
        "INSERT INTO users (mail) SELECT 'user' || g || '@example.com' FROM generate_series(1, 100) AS g",
        "CREATE TABLE missions (id int PRIMARY KEY, title text)",
        "INSERT INTO missions SELECT g, 'mission ' || g FROM generate_series(1, 50) AS g",
        "CREATE TABLE contracts AS SELECT 1 AS id",
        "CREATE TABLE quiet AS SELECT g FROM generate_series(1, 10) AS g",
    )


@pytest.mark.every_major
def test_a_zoo_is_told_as_a_backup_s_manifest_tells_it(info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder) -> None:
    zoo.fill(database)
    manifest = backup(database, folder)
    found = info(database, folder, compare_with="latest", name="app", fingerprint="content")
    assert {name: {"rows": table["rows"], "content": table["content"]} for name, table in found["tables"].items()} == manifest["tables"]
    for fact in ("sequences", "large_objects", "extensions", "roles", "prisma", "defects"):
        assert found[fact] == manifest[fact], fact
    assert found["properties"] == manifest["database"]
    assert {(entry["kind"], entry["name"]) for entry in found["omitted"]} == {(entry["kind"], entry["name"]) for entry in manifest["omitted"]}
    assert found["difference"]["differences"] == found["difference"]["not_compared"] == []
    assert (found["difference"]["same"], found["difference"]["level"]) == (True, "content")
    assert {table["state"] for table in found["difference"]["tables"].values()} == {"same"}
    assert found["server"]["version"] == manifest["source"]["server_version"]


def test_sizes_are_the_server_s(info: Info, database: Database) -> None:
    fill(database)
    found = info(database)
    for name, table in found["tables"].items():
        size, indexes = database.rows("SELECT pg_table_size(%s::regclass), pg_indexes_size(%s::regclass)", name, name)[0]
        assert (table["size"], table["index_size"]) == (size, indexes)
    assert found["tables"]["public.users"]["index_size"] > 0
    assert found["size"] == database.value("SELECT pg_database_size(current_database())")


def test_the_environment_and_the_part_in_a_restore(info: Info, database: Database) -> None:
    untagged = info(database)
    assert (untagged["environment"], untagged["counts_as_production"], untagged["restore"]) == (None, True, None)
    mark = (
        '{"backup": "b", "database": "d", "options": "", "partner_oid": 0, "replaced": "", "restore_id": "3f2a", "role": "previous", '
        '"since": "s", "state": "done", "target_oid": 1}'
    )
    comment = f'words\n[workon.postgresql_backup {{"environment": "staging", "restore": {mark}}}]'
    database.execute(f"COMMENT ON DATABASE {database.name} IS '{comment}'")
    found = info(database)
    assert (found["environment"], found["counts_as_production"], found["tag_problem"]) == ("staging", False, None)
    assert found["restore"] == json.loads(mark)
    assert found["properties"]["comment"] == comment


@pytest.mark.every_major
def test_what_changed_since_a_backup(info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder) -> None:
    fill(database)
    manifest = backup(database, folder, environment="staging")
    database.execute(
        "DELETE FROM users WHERE id = 7",
        "UPDATE missions SET title = 'mission two' WHERE id = 2",
        "DROP TABLE contracts",
        "CREATE TABLE invoices AS SELECT 1 AS id",
        "SELECT nextval('users_id_seq')",
        "CREATE EXTENSION citext",
        "SELECT lo_from_bytea(0, 'x')",
    )
    difference = info(database, folder, compare_with="latest", name="app", fingerprint="content")["difference"]
    assert difference["tables"] == {
        "public.contracts": {"rows_in_backup": 1, "rows_now": None, "state": "missing"},
        "public.invoices": {"rows_in_backup": None, "rows_now": 1, "state": "new"},
        "public.missions": {"rows_in_backup": 50, "rows_now": 50, "state": "changed"},
        "public.quiet": {"rows_in_backup": 10, "rows_now": 10, "state": "same"},
        "public.users": {"rows_in_backup": 100, "rows_now": 99, "state": "changed"},
    }
    assert difference["sequences"] == {
        "public.users_id_seq": {"in_backup": {"last_value": 100, "is_called": True}, "now": {"last_value": 101, "is_called": True}}
    }
    assert difference["extensions"] == {"citext": {"in_backup": None, "now": database.value("SELECT extversion FROM pg_extension WHERE extname = 'citext'")}}
    assert (difference["large_objects"]["in_backup"]["count"], difference["large_objects"]["now"]["count"]) == (0, 1)
    assert (difference["same"], difference["level"], difference["not_compared"]) == (False, "content", [])
    assert sorted(difference["differences"]) == sorted(
        [
            "Table public.contracts is missing.",
            "Table public.invoices is there but not expected.",
            "Table public.missions has the expected 50 rows, but their content differs.",
            "Table public.users has 99 rows instead of 100.",
            "Sequence public.users_id_seq is at 101 instead of 100.",
            "There are 1 large objects instead of 0.",
            "The extension citext is there but not expected.",
        ]
    )
    assert difference["backup"]["key"] == manifest["key"]
    assert difference["backup"]["snapshot_at"] == manifest["snapshot_at"]
    assert difference["backup"]["environment"] == "staging"
    assert 0 <= difference["age"]["seconds"] < 120


def test_counts_see_no_changed_value_and_say_so(info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder) -> None:
    fill(database)
    backup(database, folder)
    database.execute("UPDATE missions SET title = 'mission two' WHERE id = 2")
    found = info(database, folder, compare_with="latest", name="app")
    assert found["tables"]["public.missions"] == {**found["tables"]["public.missions"], "rows": 50, "content": None}
    assert found["difference"]["tables"]["public.missions"]["state"] == "same_rows"
    assert (found["difference"]["same"], found["difference"]["level"]) == (True, "counts")
    assert found["difference"]["not_compared"] == ["Rows were counted, their content was not compared."]


def test_what_a_backup_left_out_is_not_new(info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder) -> None:
    fill(database)
    backup(database, folder, exclude_tables=["quiet"], exclude_table_data=["contracts"])
    difference = info(database, folder, compare_with="latest", name="app", fingerprint="content")["difference"]
    assert difference["tables"].keys() == {"public.users", "public.missions"}
    assert difference["same"] is True


def test_a_backup_without_rows_is_no_proof_of_anything(info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder) -> None:
    fill(database)
    backup(database, folder, fingerprint="none")
    difference = info(database, folder, compare_with="latest", name="app", fingerprint="content")["difference"]
    assert (difference["same"], difference["level"]) == (None, "none")
    assert {table["state"] for table in difference["tables"].values()} == {"not_compared"}


def test_a_backup_without_content_hashes_is_compared_by_its_rows(info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder) -> None:
    fill(database)
    backup(database, folder, fingerprint="counts")
    found = info(database, folder, compare_with="latest", name="app", fingerprint="content")
    assert found["tables"]["public.users"]["content"]
    assert (found["difference"]["same"], found["difference"]["level"]) == (True, "counts")
    assert found["difference"]["not_compared"][0] == "The backup was taken without content hashes."


def test_prisma_is_put_beside_the_backup_s(info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder) -> None:
    database.execute(
        "CREATE TABLE _prisma_migrations (id text PRIMARY KEY, checksum text, finished_at timestamptz, migration_name text, logs text, "
        "rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count int DEFAULT 0)",
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at) VALUES ('1', 'x', '1_init', now())",
    )
    backup(database, folder)
    database.execute("INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at) VALUES ('2', 'y', '2_more', now())")
    difference = info(database, folder, compare_with="latest", name="app", fingerprint="content")["difference"]
    assert difference["prisma"] == {
        "in_backup": {"last": "1_init", "applied": 1, "failed": []},
        "now": {"last": "2_more", "applied": 2, "failed": []},
    }
    assert "Prisma's migrations end with 2_more instead of 1_init." in difference["differences"]


def test_the_backup_is_found_as_a_restore_finds_it(
    info: Info, refused: Callable[..., str], backup: Callable[..., dict[str, Any]], database: Database, folder: Folder
) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    key = backup(database, folder, name=database.name)["key"]
    other = "other_2026-01-01_000000.dump"
    folder.write(other, folder.read(key))
    manifest = load_manifest(folder.read(f"{key}.manifest.json"), key)
    folder.write(f"{other}.manifest.json", dump_manifest(replace(manifest, key=other, name="other", snapshot_at="2026-01-01T00:00:00.000Z")))
    # The database's own name, the name within a key, and the name that is said.
    assert info(database, folder, compare_with="latest")["difference"]["backup"]["key"] == key
    assert info(database, folder, compare_with=other)["difference"]["backup"]["name"] == "other"
    found = info(database, folder, compare_with="before:2026-01-02T00:00:00Z", name="other")["difference"]
    assert found["backup"]["key"] == other
    assert found["age"]["seconds"] > 86400
    assert "no valid backup from before 2026-01-02" in refused(database, folder, compare_with="before:2026-01-02T00:00:00Z")
    assert "compare_with is 'yesterday'" in refused(database, folder, compare_with="before:yesterday")
    assert "no backup with the key nothing" in refused(database, folder, compare_with="nothing")
    folder.write(key, b"cut off")
    assert "Set compare_with to another backup" in refused(database, folder, compare_with=key)
    assert "No store is named" in refused(database, compare_with="latest")


@pytest.mark.skipif(len(MAJORS) < 2, reason="There is only one PostgreSQL version here.")
def test_a_backup_of_an_older_server(
    info: Info,
    backup: Callable[..., dict[str, Any]],
    database: Database,
    folder: Folder,
    postgres: Callable[[int], PostgresServer],
    make_database: Callable[..., Database],
) -> None:
    older = make_database(postgres(MAJORS[0]))
    for each in (older, database):
        fill(each)
    backup(older, folder)
    database.execute("UPDATE missions SET title = 'mission two' WHERE id = 2")
    difference = info(database, folder, compare_with="latest", name="app", fingerprint="content")["difference"]
    assert [name for name, table in difference["tables"].items() if table["state"] != "same"] == ["public.missions"]
    assert difference["server_version"] == {"in_backup": older.server.installation.version, "now": database.server.installation.version}


def test_a_database_of_another_encoding_is_compared_by_its_rows(
    info: Info, backup: Callable[..., dict[str, Any]], database: Database, folder: Folder, make_database: Callable[..., Database], pg: PostgresServer
) -> None:
    latin = make_database(pg, "", "ENCODING 'LATIN1'", "LOCALE 'C'")
    for each in (latin, database):
        each.execute("CREATE TABLE t AS SELECT 'Grüße' AS a")
    backup(latin, folder)
    difference = info(database, folder, compare_with="latest", name="app", fingerprint="content")["difference"]
    assert difference["tables"]["public.t"]["state"] == "same_rows"
    assert "LATIN1" in difference["not_compared"][0]


def test_everything_is_of_one_moment(ansible: AnsibleRunner, database: Database) -> None:
    database.execute("CREATE TABLE first AS SELECT g FROM generate_series(1, 1000) AS g", "CREATE TABLE second (g int)", "CREATE TABLE third (g int)")
    with database.locked("second") as release:
        running = ansible.start("pg_database_info", **_options(database))
        # The snapshot is taken by now.
        database.wait_for_session("wait_event_type = 'Lock'")
        database.execute("WITH moved AS (DELETE FROM first RETURNING g) INSERT INTO third SELECT g FROM moved")
        release()
        found = running.finish().require_success()
    assert {name: table["rows"] for name, table in found["tables"].items()} == {"public.first": 1000, "public.second": 0, "public.third": 0}


def test_a_locked_table_is_not_waited_for_without_end(refused: Callable[..., str], database: Database) -> None:
    fill(database)
    with database.locked("users"):
        message = refused(database, lock_wait_timeout=1)
    assert "locked by another session" in message
    assert "Set lock_wait_timeout to more seconds" in message


def test_a_table_that_was_emptied_under_the_snapshot_is_not_called_empty(ansible: AnsibleRunner, database: Database) -> None:
    database.execute("CREATE TABLE a AS SELECT 1 AS a", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
    with database.connected() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; TRUNCATE t")
        running = ansible.start("pg_database_info", **_options(database), fingerprint="content")
        database.wait_for_session("wait_event_type = 'Lock'")
        cursor.execute("COMMIT")
        outcome = running.finish()
    assert outcome.failed
    assert "While it was read, public.t was truncated or rewritten" in outcome.message
    assert "published" not in outcome.message


def _reader(database: Database) -> str:
    """Make a role that may read exactly everything."""
    role = database.role()
    database.execute(
        "CREATE SCHEMA app",
        "CREATE TABLE app.users (id serial)",
        "CREATE TABLE app.secret (id int)",
        f"GRANT USAGE ON SCHEMA app TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA app TO {role}",
        f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA app TO {role}",
    )
    return role


PRIVILEGES = {
    "table": ("REVOKE SELECT ON app.secret FROM {role}", "may not read table app.secret."),
    "sequence": ("REVOKE SELECT ON SEQUENCE app.users_id_seq FROM {role}", "may not read sequence app.users_id_seq."),
    "schema": ("REVOKE USAGE ON SCHEMA app FROM {role}", "may not read schema app."),
    "row security": ("ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY", "Row security hides rows of table app.secret from the role {role}"),
}


@pytest.mark.parametrize("what", PRIVILEGES)
def test_a_missing_right_is_named_with_what_to_do(info: Info, refused: Callable[..., str], database: Database, what: str) -> None:
    role = _reader(database)
    assert info(database, user=role, fingerprint="content")["tables"]["app.secret"]["rows"] == 0
    spoil, says = PRIVILEGES[what]
    database.execute(spoil.format(role=role))
    message = refused(database, user=role)
    assert says.format(role=role) in message
    assert "set fingerprint to none" in message
    found = info(database, user=role, fingerprint="none")
    assert found["tables"]["app.secret"]["rows"] is None
    assert found["sequences"] is None


def test_large_objects_need_a_right_only_for_their_content(info: Info, refused: Callable[..., str], database: Database) -> None:
    role = _reader(database)
    database.execute("SELECT lo_from_bytea(0, 'x')")
    assert info(database, user=role)["large_objects"] == {"count": 1, "content": None}
    assert "may not read 1 large object(s)" in refused(database, user=role, fingerprint="content")


def test_tables_of_extensions_need_no_right(info: Info, database: Database) -> None:
    role = _reader(database)
    database.execute("CREATE EXTENSION citext", "CREATE TABLE app.inner_works (a int)", "ALTER EXTENSION citext ADD TABLE app.inner_works")
    found = info(database, user=role, fingerprint="content")
    assert "app.inner_works" not in found["tables"]
    assert {"kind": "table", "name": "app.inner_works"}.items() <= found["omitted"][0].items()


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that two runs have in common."""
    facts = {name: value for name, value in result.items() if name not in ("msg", "checks", "snapshot_at", "warnings")}
    facts["server"] = {name: value for name, value in result["server"].items() if name != "clock_skew"}
    facts["capabilities"] = {name: value for name, value in result["capabilities"].items() if name != "free_disk"}
    return facts


CHECKS = {
    "tables_present": ["users"],
    "min_rows": [{"name": "There are users", "table": "users", "rows": 100}],
    "sql": [{"name": "Missions have titles", "query": "SELECT count(*) FROM missions WHERE title IS NULL", "expect": 0}],
}


def test_checks_that_pass(info: Info, database: Database) -> None:
    fill(database)
    found = info(database, checks=CHECKS)
    assert [(check["name"], check["kind"], check["passed"]) for check in found["checks"]] == [
        ("Table users is there", "tables_present", True),
        ("There are users", "min_rows", True),
        ("Missions have titles", "sql", True),
    ]
    assert found["msg"].endswith("3 of 3 checks passed.")


def test_a_check_that_fails_fails_the_run_which_tells_everything_all_the_same(ansible: AnsibleRunner, info: Info, database: Database, http_server: str) -> None:
    fill(database)
    checks = {
        "min_rows": [{"name": "There are many users", "table": "users", "rows": 101}],
        # What breaks a transaction leaves the next question its own.
        "sql": [{"name": "Nothing is divided by nothing", "query": "SELECT 1 / 0", "expect": 1}, {"name": "One", "query": "SELECT 1", "expect": 1}],
        "http": [{"name": "The application answers", "url": f"{http_server}/healthz", "status": 204, "within": 0, "headers": {"Authorization": PASSWORD}}],
    }
    outcome = ansible.run("pg_database_info", **_options(database), checks=checks)
    assert outcome.failed
    assert outcome.message.startswith(f"3 of 4 checks of the database {database.name} failed. There are many users: public.users has 100 rows;")
    assert "Nothing is divided by nothing: " in outcome.message
    assert "The application answers: " in outcome.message
    told = {check["name"]: check["passed"] for check in outcome.result["checks"]}
    assert told == {"There are many users": False, "Nothing is divided by nothing": False, "One": True, "The application answers": False}
    healthy = lasting(info(database))
    assert {name: value for name, value in lasting(outcome.result).items() if name in healthy} == healthy


def test_checks_are_asked_in_the_same_snapshot(ansible: AnsibleRunner, database: Database) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a", "CREATE TABLE u (a int)")
    checks = {"sql": [{"name": name, "query": "SELECT count(*) FROM t", "expect": 1} for name in ("One row", "Still one row")]}
    with database.locked("u") as release:
        running = ansible.start("pg_database_info", **_options(database), checks=checks)
        database.wait_for_session("wait_event_type = 'Lock'")
        database.execute("INSERT INTO t VALUES (2)")
        release()
        assert [check["passed"] for check in running.finish().require_success()["checks"]] == [True, True]


def test_checks_that_make_no_sense_are_refused_before_anything_is_asked(refused: Callable[..., str], pg: PostgresServer) -> None:
    message = refused(Database(pg, "no_such_database"), checks={"min_rows": {"users": "many"}})
    assert "Write a whole number" in message
    assert "no_such_database" not in message


def test_what_a_restore_would_find(info: Info, database: Database) -> None:
    owner = database.role()
    database.execute(f"ALTER DATABASE {database.name} OWNER TO {owner}", "SELECT pg_create_physical_replication_slot('unrelated')")
    try:
        may = info(database)["capabilities"]
        may_not = info(database, user=owner, fingerprint="none")["capabilities"]
    finally:
        database.execute("SELECT pg_drop_replication_slot('unrelated')")
    assert (may["superuser"], may["createdb"], may["owner"], may["maintenance_database"]) == (True, True, True, "postgres")
    assert (may["standby"], may["pooler"], may["replication_slots"], may["subscriptions"], may["swap_obstacles"]) == (False, False, [], [], [])
    assert (may_not["superuser"], may_not["createdb"], may_not["owner"]) == (False, False, True)
    assert may_not["swap_obstacles"] == [f"the role {owner} has no CREATEDB"]


def test_check_mode_is_the_same(info: Info, database: Database) -> None:
    fill(database)
    plain, checked = (lasting(info(database, check=check)) for check in (False, True))
    assert plain == checked


def test_nobody_s_operators_run_as_us(ansible: AnsibleRunner, database: Database) -> None:
    """Where pg_catalog is not the first of the search path, somebody's operator comes before PostgreSQL's own."""
    fill(database)
    database.execute(
        "CREATE FUNCTION trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'sprung as %', current_user; END $$",
        "CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap)",
        f"ALTER DATABASE {database.name} SET search_path = public, pg_catalog",
    )
    found = ansible.run("pg_database_info", **_options(database), fingerprint="content").require_success()
    assert found["tables"]["public.users"]["rows"] == 100


def test_odd_names(info: Info, pg: PostgresServer, make_database: Callable[..., Database]) -> None:
    database = make_database(pg, '100 % "odd" ' + "ü" * 25)
    database.execute(f"CREATE TABLE {quoted(zoo.ODD_TABLE)} AS SELECT 1 AS a")
    found = info(database)
    assert found["database"] == database.name
    assert next(iter(found["tables"].values()))["rows"] == 1


@pytest.mark.slow
def test_a_standby(ansible: AnsibleRunner, database: Database) -> None:
    fill(database)
    database.execute("CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS a")
    with database.server.standby() as standby:
        standby.catch_up()
        found = ansible.run("pg_database_info", **_options(Database(standby, database.name)), fingerprint="content").require_success()
    assert found["tables"]["public.users"]["rows"] == 100
    assert [entry["name"] for entry in found["omitted"]] == ["public.fleeting"]
    assert found["capabilities"]["standby"] is True


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_through_a_pooler(ansible: AnsibleRunner, database: Database, mode: Any) -> None:
    if find_pgbouncer() is None:
        pytest.skip("pgbouncer is not here and could not be downloaded by apt.")
    fill(database)
    with PgBouncer(database.server, mode) as pooler:
        options = {name: value for name, value in database.login(login_port=pooler.port).items() if name != "pg_bin_dir"}
        found = ansible.run("pg_database_info", **options, fingerprint="content").require_success()
    assert found["tables"]["public.users"]["rows"] == 100
    assert found["capabilities"]["pooler"] is (mode == "transaction")
