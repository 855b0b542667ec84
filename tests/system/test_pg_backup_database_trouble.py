# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup against databases that cannot be backed up as asked: refused before anything starts, with what to set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.pooler import PgBouncer, find_pgbouncer
from harness.ports import free_port
from harness.postgres import PostgresServer
from system.scenes import MAJORS, PASSWORD, Database, Folder, Verdict

WRONG_PASSWORD = PASSWORD[::-1]


def test_an_unreachable_server(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    outcome = ansible.run("pg_backup", **database.login(login_port=free_port()), **folder.options)
    verdict.nothing_left(outcome, folder, says=("could not be reached", "login_host", "login_port"))


@pytest.mark.parametrize("how", ["url", "options"])
def test_a_wrong_password(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, how: str) -> None:
    role = database.role()
    if how == "url":
        options = database.options(database_url=database.server.url(database.name, role, WRONG_PASSWORD))
    else:
        options = database.login(login_user=role, login_password=WRONG_PASSWORD)
    outcome = ansible.run("pg_backup", **options, **folder.options)
    verdict.nothing_left(outcome, folder, says=("refused the password", "login_password", role))
    assert WRONG_PASSWORD not in outcome.output


@pytest.mark.parametrize("where", ["login_user", "database", "database beside a URL"])
def test_a_password_pasted_into_the_wrong_option(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, where: str) -> None:
    """The server repeats the name that it does not know, and so does Ansible; neither may show what is also the password."""
    options = database.options(database=PASSWORD) if "URL" in where else database.login(**{where: PASSWORD})
    outcome = ansible.run("pg_backup", **options, **folder.options)
    verdict.nothing_left(outcome, folder, says=("********",))


def test_no_password(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    options = database.login()
    del options["login_password"]
    outcome = ansible.run("pg_backup", **options, **folder.options)
    verdict.nothing_left(outcome, folder, says=("asks for a password", "login_password"))


def test_a_missing_database(ansible: AnsibleRunner, verdict: Verdict, pg: PostgresServer, folder: Folder) -> None:
    outcome = ansible.run("pg_backup", **Database(pg, "no such database").options(), **folder.options)
    verdict.nothing_left(outcome, folder, says=("no such database", "does not exist", "Check database"))


def test_no_database_named(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    outcome = ansible.run("pg_backup", **database.login(database=None), **folder.options)
    verdict.nothing_left(outcome, folder, says=("No database is named", "database_url", "PGDATABASE"))


PRIVILEGES = {
    "table": ("REVOKE SELECT ON TABLE app.secret FROM {role}", ("app.secret", "no SELECT on table", "pg_read_all_data", "exclude_tables")),
    "partition": ("REVOKE SELECT ON TABLE app.part_1 FROM {role}", ("app.part_1", "no SELECT on table", "exclude_tables")),
    "sequence": ("REVOKE SELECT ON SEQUENCE app.numbers FROM {role}", ("app.numbers", "no SELECT on sequence", "exclude_tables")),
    "schema": ("REVOKE USAGE ON SCHEMA app FROM {role}", ("no USAGE on schema app", "GRANT USAGE ON SCHEMA", "exclude_schemas")),
    "row security": ("ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY", ("Row security hides rows of table app.secret", "BYPASSRLS", "exclude_tables")),
    "large object": ("SELECT lo_from_bytea(0, 'x')", ("may not read 1 large object", "Grant SELECT ON LARGE OBJECT", "superuser")),
}


@pytest.mark.every_major
@pytest.mark.parametrize("what", PRIVILEGES)
def test_a_missing_privilege(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, what: str) -> None:
    role = _reader(database)
    spoil, says = PRIVILEGES[what]
    ansible.run("pg_backup", check=True, **database.options(role), **folder.options).require_success()
    database.execute(spoil.format(role=role))
    outcome = ansible.run("pg_backup", **database.options(role), **folder.options)
    verdict.nothing_left(outcome, folder, says=(role, *says))


def test_all_missing_privileges_are_told_at_once(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    role = _reader(database)
    database.execute(*(PRIVILEGES[what][0].format(role=role) for what in ("partition", "sequence", "row security", "large object")))
    outcome = ansible.run("pg_backup", check=True, **database.options(role), **folder.options)
    verdict.nothing_left(outcome, folder, says=("app.part_1", "app.numbers", "app.secret", "large object"))
    assert len(outcome.result["refusals"]) == 4


@pytest.mark.skipif(len(MAJORS) < 2, reason="There is only one PostgreSQL version here.")
def test_a_client_older_than_the_server(
    ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, postgres: Callable[[int], PostgresServer]
) -> None:
    older = postgres(MAJORS[0]).installation
    outcome = ansible.run("pg_backup", **database.options(pg_bin_dir=str(older.bin_dir)), **folder.options)
    verdict.nothing_left(outcome, folder, says=("older than the server", older.version, f"PostgreSQL {MAJORS[-1]}", "pg_bin_dir"))


@pytest.mark.parametrize("how", ["an empty pg_bin_dir", "nothing on PATH"])
def test_no_suitable_client(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, tmp_path: Path, how: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    if how == "an empty pg_bin_dir":
        outcome = ansible.run("pg_backup", **database.options(pg_bin_dir=str(empty)), **folder.options)
        verdict.nothing_left(outcome, folder, says=("no working pg_dump", "Set pg_bin_dir", str(empty)))
        return
    outcome = ansible.run("pg_backup", environment_={"PATH": str(empty)}, **database.options(pg_bin_dir=None), **folder.options)
    if not outcome.failed:
        pytest.skip(f"PostgreSQL {database.server.installation.major} is installed in the system itself, where it is found without PATH.")
    # Whether this host has an older client in a versioned directory decides between two sentences.
    verdict.nothing_left(outcome, folder, says=("client programs", f"postgresql-client-{database.server.installation.major}", "pg_bin_dir"))


@pytest.mark.parametrize("parameter", ["pgbouncer=true", "schema=public&pgbouncer=true&connection_limit=1"])
def test_an_address_that_names_a_pooler(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, parameter: str) -> None:
    url = f"{database.options()['database_url']}?{parameter}"
    outcome = ansible.run("pg_backup", **database.options(database_url=url), **folder.options)
    verdict.nothing_left(outcome, folder, says=("connection pooler", "pgbouncer", "DIRECT_URL", "database_url"))


@pytest.fixture
def make_pooler(database: Database) -> Iterator[Callable[[Literal["transaction", "session"]], PgBouncer]]:
    """Start a PgBouncer in front of the database's server."""
    if find_pgbouncer() is None:
        pytest.skip("pgbouncer is not here and could not be downloaded by apt.")
    with contextlib.ExitStack() as stack:
        yield lambda mode: stack.enter_context(PgBouncer(database.server, mode))


def test_a_pooler_that_shares_sessions(
    ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, make_pooler: Callable[[str], PgBouncer]
) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    outcome = ansible.run("pg_backup", **database.login(login_port=make_pooler("transaction").port), **folder.options)
    verdict.nothing_left(outcome, folder, says=("connection pooler", "login_host", "DIRECT_URL"))


def test_a_pooler_that_keeps_sessions_apart_is_let_through(
    ansible: AnsibleRunner, database: Database, folder: Folder, make_pooler: Callable[[str], PgBouncer]
) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    result = ansible.run("pg_backup", **database.login(login_port=make_pooler("session").port), **folder.options).require_success()
    assert result["backup"]["tables"]["public.t"]["rows"] == 1


MALFORMED = {
    "unescaped marks": ("postgresql://someone:{raw}@db.example.com/app", "Percent-encode it"),
    "bad percent-encoding": ("postgresql://someone:{quoted}%ZZ@db.example.com/app", "two hexadecimal digits"),
    "port is no number": ("postgresql://someone:{quoted}@db.example.com:{quoted}/app", "the port is not a number"),
    "another scheme": ("prisma+postgres://accelerate.example.com/?api_key={quoted}", "Set the direct URL"),
    "unknown parameter": ("postgresql://someone:{quoted}@127.0.0.1/app?{quoted}=1&no_such_parameter=2", "parameter number 1"),
    "no URL": ("someone:{raw}", "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_url_is_refused_without_its_password(ansible: AnsibleRunner, verdict: Verdict, folder: Folder, kind: str) -> None:
    template, *says = MALFORMED[kind]
    url = template.format(raw=PASSWORD, quoted=PASSWORD.replace("%", "%25").replace("@", "%40").replace(":", "%3A").replace("/", "%2F"))
    outcome = ansible.run("pg_backup", database_url=url, **folder.options)
    verdict.nothing_left(outcome, folder, says=("The database URL was refused", *says))


def test_contradicting_options(ansible: AnsibleRunner, database: Database, folder: Folder) -> None:
    outcome = ansible.run("pg_backup", **database.options(login_host="127.0.0.1"), **folder.options)
    assert outcome.failed
    assert "mutually exclusive: database_url|login_host" in outcome.message


BAD_VALUES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a schema that is not there": ({"schemas": ["no_such_schema"]}, ("schemas (no_such_schema) select no table", "Correct schemas")),
    "an unclosed quote": ({"exclude_tables": ['"open']}, ("exclude_tables", "never closed")),
    "an impossible name": ({"name": "../app"}, ("'../app'", "Set name")),
    "an impossible prefix": ({"prefix": "a/../b"}, ("prefix", "'..'")),
    "a part size below S3's": ({"part_size": 1024}, ("part_size is 1024", "5 MiB")),
    "a level without a method": ({"compression": "none", "compression_level": 3}, ("compression_level is 3", "Leave compression_level out")),
    "a level out of range": ({"compression": "gzip", "compression_level": 10}, ("compression_level is 10", "1 to 9")),
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_a_bad_value(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, what: str) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    options, says = BAD_VALUES[what]
    outcome = ansible.run("pg_backup", **database.options(), **folder.options, **options)
    verdict.nothing_left(outcome, folder, says=says)


def test_a_database_name_that_cannot_be_a_key(
    ansible: AnsibleRunner, verdict: Verdict, make_database: Callable[..., Database], pg: PostgresServer, folder: Folder
) -> None:
    database = make_database(pg, 'Ünïcode "quoted" / name')
    outcome = ansible.run("pg_backup", **database.options(), **folder.options)
    verdict.nothing_left(outcome, folder, says=("Set name",))
    result = ansible.run("pg_backup", **database.options(), **folder.options, name="unicode").require_success()
    assert result["backup"]["source"]["database"] == database.name


def _reader(database: Database) -> str:
    """Make a schema with one thing of each kind, and a role that may read exactly all of it."""
    role = database.role()
    database.execute(
        "CREATE SCHEMA app",
        "CREATE TABLE app.users (id int)",
        "CREATE TABLE app.secret (id int)",
        "CREATE TABLE app.part (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES FROM (0) TO (10)",
        "CREATE SEQUENCE app.numbers",
        f"GRANT USAGE ON SCHEMA app TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA app TO {role}",
        f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA app TO {role}",
    )
    return role
