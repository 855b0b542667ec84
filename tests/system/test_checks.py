# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks against real servers: each has its verdict whatever the database does, and none of them writes, hangs or runs a stranger's code as us."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult, parse_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.checks import run_database_checks
from system.scenes import Database, in_thread

NOW = dt.datetime(2026, 1, 8, 10, 30, tzinfo=dt.UTC)
SCRIPT = b"SELECT 1;\n"

Run = Callable[..., list[CheckResult]]


@pytest.fixture
def run(database: Database) -> Iterator[Run]:
    """Run checks on the database, in a session of their own."""

    def run_checks(raw: dict[str, Any], user: str | None = None, schema: str | None = None) -> list[CheckResult]:
        with database.session(user, schema=schema) as session:
            return run_database_checks(parse_checks(raw), session, NOW)

    return run_checks


def only(results: list[CheckResult]) -> CheckResult:
    (result,) = results
    return result


def verdicts(results: list[CheckResult]) -> list[bool]:
    return [result.passed for result in results]


@pytest.mark.every_major
def test_a_checklist_of_everything(database: Database, run: Run, tmp_path: Path) -> None:
    database.execute(
        'CREATE SCHEMA "Odd S"',
        """CREATE TABLE "Odd S"."T ""x"" %s it's" ("createdAt ""%"  timestamptz, day date, "local" timestamp)""",
        """INSERT INTO "Odd S"."T ""x"" %s it's" VALUES ('2026-01-08 11:00+02', '2026-01-08', '2026-01-08 10:00'), (NULL, NULL, NULL)""",
        "CREATE TABLE users (id int, email text); INSERT INTO users VALUES (1, 'a@b')",
        "CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); INSERT INTO parts VALUES (1)",
    )
    prisma(database, ("1_init", SCRIPT, "finished"))
    odd = """"Odd S"."T ""x"" %s it's" """.strip()
    results = run(
        {
            "tables_present": ["users", "public.Users", odd, "parts", "parts_1"],
            "min_rows": [{"name": "Users can log in", "table": "users", "rows": 1}, {"table": odd, "rows": 2}, {"table": "parts", "rows": 1}],
            "max_age": {f'{odd}."createdAt ""%"': "90m", f"{odd}.day": "11h", f"{odd}.local": "30m"},
            "sql": [
                {"name": "One user", "query": "SELECT count(*) FROM users WHERE email LIKE 'a%';", "expect": 1},
                {"query": "SELECT id, email FROM users", "expect": [[1, "a@b"]]},
                {"query": "VALUES (true)", "expect": True},
                {"query": "SELECT 0.10::numeric", "expect": 0.1},
                {"query": "SELECT NULL -- nothing", "expect": None},
                {"query": """SELECT '{"a": [1]}'::jsonb""", "expect": {"a": [1]}},
                {"query": "WITH x AS (SELECT 2 AS a UNION ALL SELECT 1) SELECT a FROM x ORDER BY a", "expect": [1, 2]},
                {"query": "SELECT '4713-01-01 BC'::date", "expect": "x"},
            ],
            "prisma": str(folder_of(tmp_path, {"1_init": SCRIPT})),
        }
    )
    assert [result.name for result in results if not result.passed] == ["SELECT '4713-01-01 BC'::date gives \"x\""]
    assert results[5].as_dict() == {"name": "Users can log in", "kind": "min_rows", "passed": True, "detail": "public.users has at least 1 row."}
    assert [result.detail for result in results[8:11]] == [
        """The newest value of "Odd S"."T ""x"" %s it's"."createdAt ""%" is 90 minutes old.""",
        """The newest value of "Odd S"."T ""x"" %s it's".day is 10.5 hours old.""",
        """The newest value of "Odd S"."T ""x"" %s it's".local is 30 minutes old.""",
    ]
    assert "cast it to text" in results[18].detail


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        ({"tables_present": ["missing"]}, "There is no table missing."),
        ({"tables_present": ["user"]}, 'There is no table user. There is public."User"; write it so.'),
        ({"tables_present": ["äpfel"]}, 'There is no table "äpfel".'),
        ({"tables_present": ["twice"]}, "There are several tables twice: a.twice, b.twice. Write the schema before the name."),
        ({"tables_present": ["pg_class"]}, "There is no table pg_class."),
        ({"min_rows": {"few": 3}}, "public.few has 2 rows; at least 3 must be there."),
        ({"min_rows": {"seen": 1}}, "public.seen is a view, not a table. Ask for its content with sql."),
        ({"max_age": {"few.at": "1h"}}, "The newest value of public.few.at is 2.5 hours old; at most 60 minutes is allowed."),
        ({"max_age": {"few.none": "1h"}}, "public.few has no column none."),
        ({"max_age": {"few.empty": "1h"}}, "public.few.empty holds no value."),
        ({"max_age": {"few.ever": "1h"}}, "The newest value of public.few.ever is infinity, which has no age."),
        ({"max_age": {"few.id": "1h"}}, "The column id of public.few is of type integer, and an age is told only of"),
        ({"sql": [{"query": "SELECT id FROM few", "expect": 1}]}, "It gave more than one row instead of the one value 1."),
        ({"sql": [{"query": "SELECT * FROM missing", "expect": 1}]}, 'relation "missing" does not exist'),
        ({"sql": [{"query": "SELECT 1/0", "expect": 1}]}, "division by zero"),
        ({"prisma": "sql"}, "No table _prisma_migrations was found that is Prisma's and can be read."),
        ({"prisma": "/no/such/folder"}, "The folder of Prisma migrations /no/such/folder cannot be read: No such file or directory."),
    ],
)
def test_a_check_that_fails_or_cannot_run_fails_alone(database: Database, run: Run, raw: dict[str, Any], detail: str) -> None:
    database.execute(
        'CREATE TABLE "User" (); CREATE TABLE "Äpfel" (); CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE b.twice (); CREATE TABLE a.twice ()',
        "CREATE TABLE few (id int, at timestamp, empty date, ever timestamptz); CREATE VIEW seen AS SELECT 1",
        "INSERT INTO few VALUES (1, '2026-01-08 08:00', NULL, 'infinity'), (2, NULL, NULL, NULL)",
    )
    neighbour = {"sql": [*raw.get("sql", []), {"name": "It goes on", "query": "SELECT 1", "expect": 1}]}
    results = run({**raw, **neighbour})
    (result,) = (result for result in results if result.name != "It goes on")
    assert not result.passed
    assert detail in result.detail
    assert verdicts(results).count(True) == 1


@pytest.mark.every_major
def test_two_schemas_with_the_same_table(database: Database, run: Run) -> None:
    database.execute(
        "CREATE SCHEMA a; CREATE TABLE a.users (); CREATE SCHEMA b; CREATE TABLE b.users AS SELECT 1",
        "CREATE TABLE a.other (); CREATE TABLE other AS SELECT 1",
    )
    rows = {"min_rows": {"users": 1}}
    assert "several tables users: a.users, b.users" in only(run(rows)).detail
    assert only(run({"min_rows": {"b.users": 1}})).passed
    # The schema of database_url comes before all others, then public.
    assert only(run(rows, schema="b")).passed
    assert not only(run(rows, schema="a")).passed
    assert only(run({"min_rows": {"other": 1}})).passed
    assert not only(run({"min_rows": {"other": 1}}, schema="a")).passed


WRITES = {
    "a statement that is no query": ("DELETE FROM kept", "syntax error"),
    "two statements": ("SELECT 1; DELETE FROM kept", "syntax error"),
    "a commit between": ("SELECT 1; COMMIT; DELETE FROM kept", "syntax error"),
    "a WITH": ("WITH gone AS (DELETE FROM kept RETURNING 1) SELECT count(*) FROM gone", "must be at the top level"),
    "a function": ("SELECT delete_all()", "read-only transaction"),
    "a function that changes its mind": ("SELECT set_config('transaction_read_only', 'off', true) || delete_all()", "read-write mode"),
    "a sequence": ("SELECT nextval('numbers')", "read-only transaction"),
}


@pytest.mark.every_major
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_query_that_tries_to_write(database: Database, inside: bool) -> None:
    database.execute(
        "CREATE TABLE kept AS SELECT 1 AS a; CREATE SEQUENCE numbers",
        "CREATE FUNCTION delete_all() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM kept; RETURN 1; END'",
    )
    raw = {"sql": [{"name": name, "query": query, "expect": 1} for name, (query, _reason) in WRITES.items()]}
    with database.session() as session:
        if inside:
            session.execute("BEGIN")
        results = run_database_checks(parse_checks(raw), session, NOW, in_transaction=inside)
        if inside:
            session.execute("COMMIT")
    for result in results:
        assert not result.passed
        assert WRITES[result.name][1] in result.detail, result
    assert database.value("SELECT count(*) FROM kept") == 1
    assert database.value("SELECT is_called FROM numbers") is False


@pytest.mark.every_major
def test_what_a_query_can_write_after_all_does_not_last(database: Database, run: Run) -> None:
    # Before PostgreSQL 16 a read-only transaction could write large objects.
    results = run(
        {
            "sql": [
                {"query": "SELECT lo_create(4711)", "expect": 4711},
                {"query": "SELECT set_config('search_path', 'nowhere', false)", "expect": "nowhere"},
                {"query": "SELECT current_setting('search_path')", "expect": '"$user", public'},
            ]
        }
    )
    assert verdicts(results[1:]) == [True, True]
    assert database.value("SELECT count(*) FROM pg_largeobject_metadata") == 0


@pytest.mark.every_major
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_query_that_hangs_is_cut(database: Database, inside: bool) -> None:
    database.execute("CREATE TABLE locked ()")
    raw = {
        "min_rows": {"locked": 1},
        "sql": [
            {"name": "hangs", "query": "SELECT pg_sleep(600)", "expect": ""},
            # What it allows itself begins with the next statement, which is not its own.
            {"name": "hangs longer", "query": "SELECT set_config('statement_timeout', '0', false) || pg_sleep(600)::text", "expect": ""},
            {"name": "goes on", "query": "SELECT current_setting('statement_timeout')", "expect": "1s"},
        ],
        "timeout": 1,
    }
    with database.session() as session, database.locked("locked"):
        if inside:
            session.execute("BEGIN")
        results = run_database_checks(parse_checks(raw), session, NOW, in_transaction=inside)
    assert verdicts(results) == [False, False, False, True]
    for result in results[:3]:
        assert "It was stopped: it took longer than timeout (1 seconds)" in result.detail


@pytest.mark.every_major
def test_inside_a_transaction_everything_is_seen_and_nothing_is_changed(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE SCHEMA app; CREATE TABLE app.users AS SELECT 1 AS a", f"ALTER DATABASE {database.name} SET search_path = app")
    raw = {
        "tables_present": ["fresh", "missing"],
        "min_rows": {"fresh": 1},
        "sql": [
            {"name": "in the usual schema", "query": "SELECT count(*) FROM users", "expect": 1},
            {"name": "not yet committed", "query": "SELECT count(*) FROM public.fresh", "expect": 1},
            {"name": "an error", "query": "SELECT 1/0", "expect": 1},
        ],
    }
    with database.session() as session:
        session.execute("BEGIN")
        session.set_local("search_path", "pg_catalog")
        session.set_local("statement_timeout", "7min")
        session.execute("CREATE TABLE public.fresh AS SELECT 1 AS a")
        results = run_database_checks(parse_checks(raw), session, NOW, in_transaction=True)
        settings = "SELECT current_setting('search_path'), current_setting('statement_timeout'), current_setting('transaction_read_only')"
        assert session.row(f"{settings}, current_setting('row_security')") == ("pg_catalog", "7min", "off", "on")
        session.execute("INSERT INTO public.fresh VALUES (2)")
        session.execute("COMMIT")
    assert verdicts(results) == [True, False, True, True, True, False]
    assert database.value("SELECT count(*) FROM public.fresh") == 2


def test_alone_nothing_is_left_of_them_in_the_session(database: Database) -> None:
    with database.session() as session:
        settings = "SELECT current_setting('search_path'), current_setting('statement_timeout')"
        before = session.row(settings)
        run_database_checks(parse_checks({"tables_present": ["x"], "sql": [{"query": "SELECT 1/0", "expect": 1}]}), session, NOW)
        assert session.row(settings) == before
        session.execute("CREATE TABLE public.written ()")
    assert database.value("SELECT to_regclass('written') IS NOT NULL")


def test_a_connection_that_is_lost_fails_all_that_follow(database: Database, run: Run) -> None:
    results = run(
        {
            "tables_present": ["pg_class"],
            "sql": [
                {"query": "SELECT 1", "expect": 1},
                {"query": "SELECT pg_terminate_backend(pg_backend_pid())", "expect": True},
                {"query": "SELECT 2", "expect": 2},
            ],
            "prisma": "sql",
        }
    )
    assert verdicts(results) == [False, True, False, False, False]
    for result in results[2:]:
        assert "was lost" in result.detail
    # The first reason, not that the transaction could not be ended either.
    assert "already closed" not in results[2].detail


def test_a_check_that_somebody_cancels_has_failed(database: Database) -> None:
    raw = {"sql": [{"query": "SELECT pg_sleep(600)", "expect": ""}]}
    with database.session() as session:

        def cancel() -> None:
            database.wait_for_session("query LIKE '%pg_sleep(600)%' AND state = 'active'")
            session.cancel()

        canceller = in_thread(cancel)
        result = only(run_database_checks(parse_checks(raw), session, NOW))
        canceller.join()
    assert "or somebody cancelled it" in result.detail


def test_a_role_sees_its_reasons(database: Database, run: Run) -> None:
    role = database.role()
    database.execute(
        "CREATE TABLE closed AS SELECT 1 AS a",
        "CREATE TABLE secured AS SELECT 1 AS a; ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY none ON secured USING (false); GRANT SELECT ON secured TO {role}",
    )
    closed, secured = run({"min_rows": {"closed": 1, "secured": 0}}, user=role)
    assert not closed.passed
    assert "permission denied for table closed" in closed.detail
    # Rows that a policy hides would make a count of nothing look like a fact.
    assert not secured.passed
    assert "row-level security" in secured.detail


def test_nobody_s_functions_run_as_us(database: Database) -> None:
    prisma(database, APPLIED)
    raw = {"tables_present": ["users"], "min_rows": {"users": 2}, "max_age": {"users.at": "1h", "users.odd": "1h"}, "prisma": "sql"}
    with database.session() as session:
        session.execute("SET search_path = public, pg_catalog")
        database.execute(
            "CREATE FUNCTION spring() RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$",
            "CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql AS $$SELECT 'x' WHERE public.spring()$$",
            "CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE sql AS 'SELECT public.spring()'",
            "CREATE FUNCTION same(name, text) RETURNS bool LANGUAGE sql AS 'SELECT public.spring()'",
            "CREATE FUNCTION same(name, name) RETURNS bool LANGUAGE sql AS 'SELECT public.spring()'",
            "CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = same)",
            "CREATE OPERATOR = (LEFTARG = name, RIGHTARG = text, FUNCTION = same)",
            "CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = same)",
            "CREATE TYPE trap AS (a int)",
            "CREATE FUNCTION spring(trap, trap) RETURNS trap LANGUAGE sql AS 'SELECT $1 WHERE public.spring()'",
            "CREATE AGGREGATE public.max(trap) (SFUNC = spring, STYPE = trap)",
            "CREATE AGGREGATE public.max(timestamptz) (SFUNC = timestamptz_larger, STYPE = timestamptz, INITCOND = '2099-01-01')",
            "CREATE TABLE users (at timestamptz, odd trap); INSERT INTO users VALUES ('2026-01-08 10:00+00', ROW(1)), ('2026-01-08 10:01+00', ROW(2))",
        )
        results = run_database_checks(parse_checks(raw), session, NOW)
    assert verdicts(results) == [True, True, True, False, True], results
    assert "is of type public.trap" in results[3].detail


# --- Prisma --------------------------------------------------------------------------------------------------------------------


def prisma(database: Database, *migrations: tuple[str, bytes, str], schema: str = "public") -> None:
    """Create Prisma's own table, with a row for each ``(name, script, state)`` in this order."""
    database.execute(
        f"CREATE TABLE {schema}._prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz,"
        " migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(),"
        " applied_steps_count int NOT NULL DEFAULT 0)"
    )
    for number, (name, script, state) in enumerate(migrations):
        started = f"2026-01-01 00:00:{number:02}+00"
        finished = f"'{started}'" if state == "finished" else "NULL"
        rolled_back = f"'{started}'" if state == "rolled back" else "NULL"
        database.execute(
            f"INSERT INTO {schema}._prisma_migrations (id, checksum, finished_at, migration_name, rolled_back_at, started_at) VALUES"
            f" ('{number}', '{hashlib.sha256(script).hexdigest()}', {finished}, '{name}', {rolled_back}, '{started}')"
        )


def folder_of(parent: Path, scripts: dict[str, bytes]) -> Path:
    folder = parent / "migrations"
    for name, script in scripts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "migration.sql").write_bytes(script)
    return folder


APPLIED = ("1_init", SCRIPT, "finished")
PLANTED: dict[str, tuple[list[tuple[str, bytes, str]], dict[str, bytes], bool, str]] = {
    "applied": ([APPLIED], {"1_init": SCRIPT}, True, "1 applied, the last is 1_init."),
    "pending": ([APPLIED], {"1_init": SCRIPT, "2_more": SCRIPT}, True, "1 applied, the last is 1_init. Pending: 2_more."),
    "failed": ([APPLIED, ("2_more", SCRIPT, "failed")], {"1_init": SCRIPT, "2_more": SCRIPT}, False, "Failed: 2_more."),
    "edited": ([APPLIED, ("2_more", b"SELECT 3", "finished")], {"1_init": SCRIPT, "2_more": SCRIPT}, False, "Edited after it was applied: 2_more."),
    "unknown": ([APPLIED, ("2_more", SCRIPT, "finished")], {"1_init": SCRIPT}, False, "In the database but not in the folder: 2_more."),
    "rolled back": ([APPLIED, ("2_more", SCRIPT, "rolled back")], {"1_init": SCRIPT}, True, "1 applied, the last is 1_init."),
    "retried": (
        [("1_init", b"SELECT 3", "rolled back"), APPLIED],
        {"1_init": SCRIPT.replace(b"\n", b"\r\n")},
        True,
        "1 applied, the last is 1_init.",
    ),
    "in another order than by name": (
        [("5", SCRIPT, "finished"), ("9", SCRIPT, "finished"), ("1", SCRIPT, "finished"), ("7", SCRIPT, "finished")],
        dict.fromkeys("5917", SCRIPT),
        True,
        "4 applied, the last is 7.",
    ),
    "recorded twice": ([("1_init", b"SELECT 3", "finished"), APPLIED], {"1_init": SCRIPT}, True, "1 applied, the last is 1_init."),
}


@pytest.mark.every_major
@pytest.mark.parametrize("case", PLANTED)
def test_planted_migrations(database: Database, run: Run, tmp_path: Path, case: str) -> None:
    migrations, folder, passes, detail = PLANTED[case]
    prisma(database, *migrations)
    result = only(run({"prisma": str(folder_of(tmp_path, folder))}))
    assert (result.name, result.kind, result.passed) == ("Prisma's migrations are sound", "prisma", passes)
    assert result.detail.startswith(detail)
    # Without the folder only a failed one is seen.
    assert only(run({"prisma": "sql"})).passed is (case != "failed")


def test_two_tables_of_prisma(database: Database, run: Run) -> None:
    database.execute("CREATE SCHEMA app")
    prisma(database, ("1_init", SCRIPT, "failed"))
    prisma(database, APPLIED, schema="app")
    result = only(run({"prisma": "sql"}))
    assert "several tables of Prisma's migrations: app._prisma_migrations, public._prisma_migrations. Set database_url" in result.detail
    assert only(run({"prisma": "sql"}, schema="app")).passed
    assert not only(run({"prisma": "sql"}, schema="public")).passed
    assert "No table _prisma_migrations was found" in only(run({"prisma": "sql"}, schema="other")).detail


def test_a_table_of_prisma_without_checksums(database: Database, run: Run, tmp_path: Path) -> None:
    prisma(database, APPLIED)
    database.execute("ALTER TABLE _prisma_migrations DROP COLUMN checksum")
    result = only(run({"prisma": str(folder_of(tmp_path, {"1_init": SCRIPT}))}))
    assert not result.passed
    assert "The table public._prisma_migrations has no checksums to compare" in result.detail
    assert only(run({"prisma": "sql"})).passed
