# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others do in the database while it is backed up, or did before: neither may make a wrong backup, nor use our rights."""

from __future__ import annotations

import pytest

from harness.ansible_runner import AnsibleRunner
from system.scenes import Database, Folder, Verdict


@pytest.mark.parametrize("fingerprint", ["content", "none"])
@pytest.mark.parametrize("statement", ["TRUNCATE t", "ALTER TABLE t ALTER a TYPE text"])
def test_a_table_emptied_under_the_snapshot(
    ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder, statement: str, fingerprint: str
) -> None:
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
    with database.connected() as connection, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {statement}")
        running = ansible.start("pg_backup", **database.options(), **folder.options, fingerprint=fingerprint)
        # The snapshot is taken by now, and pg_dump waits for its lock.
        database.wait_for_session("query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'")
        cursor.execute("COMMIT")
        verdict.nothing_left(running.finish(), folder, says=("public.t was truncated or rewritten", "Nothing was published", "Run again"))


def test_a_look_alike_of_prismas_table_gets_none_of_our_rights(ansible: AnsibleRunner, database: Database, folder: Folder) -> None:
    database.execute(
        "CREATE TYPE trap AS (a int)",
        "CREATE FUNCTION spring(trap, trap) RETURNS trap LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$",
        "CREATE AGGREGATE public.max(trap) (SFUNC = spring, STYPE = trap)",
        "CREATE TABLE _prisma_migrations (migration_name text, started_at trap, finished_at timestamptz, rolled_back_at timestamptz)",
        "INSERT INTO _prisma_migrations VALUES ('1', ROW(1), now(), NULL), ('1', ROW(2), now(), NULL)",
    )
    result = ansible.run("pg_backup", **database.options(), **folder.options).require_success()
    assert result["backup"]["prisma"] is None
    assert result["backup"]["tables"]["public._prisma_migrations"]["rows"] == 2


def test_an_operator_in_the_place_of_a_built_in_one_gets_none_of_our_rights(ansible: AnsibleRunner, database: Database, folder: Folder) -> None:
    database.execute(
        "CREATE FUNCTION public.spring(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$",
        "CREATE OPERATOR public.= (FUNCTION = public.spring, LEFTARG = text, RIGHTARG = text)",
        "CREATE TABLE t AS SELECT 1 AS a",
        f"ALTER DATABASE {database.name} SET search_path = public, pg_catalog",
    )
    outcome = ansible.run("pg_backup", **database.options(), **folder.options, exclude_tables=["nothing_*"])
    # What springs in pg_dump is PostgreSQL's; it asks with every name qualified, too.
    assert outcome.require_success()["backup"]["tables"]["public.t"]["rows"] == 1


def test_a_pattern_without_a_schema_means_what_the_database_s_own_path_finds_first(ansible: AnsibleRunner, database: Database, folder: Folder) -> None:
    database.execute(
        "CREATE SCHEMA first",
        "CREATE TABLE first.t AS SELECT 1 AS a",
        "CREATE TABLE public.t AS SELECT 1 AS a",
        f"ALTER DATABASE {database.name} SET search_path = first, public",
    )
    result = ansible.run("pg_backup", **database.options(), **folder.options, exclude_tables=["t"]).require_success()
    assert list(result["backup"]["tables"]) == ["public.t"]
    assert [entry["name"] for entry in result["backup"]["omitted"]] == ["first.t"]
