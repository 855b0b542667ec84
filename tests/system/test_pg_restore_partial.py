# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that left something out does not take that from a live database without somebody's word, and never passes for a whole one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from system.restoring import Scene, scenes
from system.scenes import Database, Folder

_CONTENT = """
CREATE TABLE users AS SELECT g AS id FROM generate_series(1, 200) AS g;
CREATE TABLE audit AS SELECT g AS id FROM generate_series(1, 50) AS g;
CREATE TABLE events AS SELECT g AS id FROM generate_series(1, 1000) AS g;
CREATE SCHEMA extra;
CREATE FUNCTION extra.note() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SCHEMA shop;
CREATE TABLE shop.items AS SELECT g AS id FROM generate_series(1, 30) AS g
"""
_TABLES = {"exclude_tables": ["audit"], "exclude_table_data": ["events"]}
_NOT_IN_IT = "it has nothing of table public.audit, and no rows of table public.events."


@pytest.fixture
def make_scene(ansible: AnsibleRunner) -> Iterator[Callable[..., Scene]]:
    with scenes(ansible) as make:
        yield make


@pytest.fixture
def scene(make_scene: Callable[..., Scene], database: Database, folder: Folder) -> Scene:
    """A database with content and no backup."""
    database.execute(_CONTENT)
    return make_scene(database, folder).tag()


def rows(database: Database) -> tuple[int, int]:
    """Return how many rows audit and events have."""
    ((audit, events),) = database.rows("SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM events)")
    return audit, events


@pytest.mark.every_major
def test_what_the_backup_left_out_is_not_taken_from_the_live_database(scene: Scene) -> None:
    scene.back_up(**_TABLES)
    before = scene.look()
    lost = "has what the backup left out: table public.audit and the rows of table public.events."
    for check in (True, False):
        scene.nothing_left(scene.restore(check=check), before, says=(lost, "Set allow_partial to true if"))
    planned = scene.restore(check=True, allow_partial=True)
    assert _NOT_IN_IT in planned.output
    found = scene.restore(allow_partial=True)
    result = found.require_success()
    assert [_NOT_IN_IT in sentence for sentence in result["proof"]["unproved"]] == [True]
    assert "takes from the live database without replacing it: table public.audit and the rows of table public.events." in found.output
    assert (scene.database.value("SELECT to_regclass('audit')"), scene.database.value("SELECT count(*) FROM events")) == (None, 0)
    # Now there is nothing to be lost; and neither the way back nor a restore of the safety backup asks for anything.
    assert scene.refusals() == []
    scene.roll_back().require_success()
    assert rows(scene.database) == (50, 1000)
    scene.database.execute("DROP TABLE audit", "TRUNCATE events")
    scene.restore(backup=result["safety_backup"]["key"]).require_success()
    assert rows(scene.database) == (50, 1000)


@pytest.mark.parametrize(
    ("options", "strategy", "lost"),
    [
        ({"schemas": ["public"]}, "swap", "schema extra, schema shop, extension citext."),
        ({"schemas": ["public"]}, "schema_swap", None),
        ({"exclude_schemas": ["extra"]}, "swap", "schema extra."),
        ({"exclude_schemas": ["extra"]}, "in_place", None),
        ({"exclude_tables": ["audit"]}, "swap", "table public.audit."),
        ({"exclude_tables": ["audit"]}, "schema_swap", "table public.audit."),
        ({"exclude_table_data": ["events"]}, "schema_swap", "the rows of table public.events."),
        ({"exclude_table_data": ["events"]}, "in_place", "the rows of table public.events."),
        ({"exclude_table_data": ["shop.*"], "exclude_schemas": ["nothing"]}, "swap", "the rows of table shop.items."),
        ({"exclude_tables": ["nothing"]}, "swap", None),
    ],
)
def test_each_strategy_is_refused_for_what_it_would_take(scene: Scene, options: dict[str, Any], strategy: str, lost: str | None) -> None:
    scene.database.execute("CREATE EXTENSION citext")
    scene.back_up(**options)
    # Newer than the backup, so that going back in time takes it, as it always does.
    scene.database.execute("CREATE TABLE later AS SELECT 1 AS a")
    refusals = [refusal for refusal in scene.refusals(strategy=strategy, allow_residue=True) if "allow_partial" in refusal]
    assert [refusal.partition("has what the backup left out: ")[2].partition(" A restore")[0] for refusal in refusals] == ([lost] if lost else [])


def test_in_place_what_was_left_out_stays_and_is_told(scene: Scene) -> None:
    scene.back_up(exclude_tables=["audit"])
    outcome = scene.restore(strategy="in_place", allow_residue=True)
    outcome.require_success()
    assert "it has nothing of table public.audit." in outcome.output
    assert rows(scene.database) == (50, 1000)


def test_where_nothing_can_be_lost_nothing_is_refused_and_what_is_missing_is_told(scene: Scene, make_database: Callable[..., Database]) -> None:
    scene.back_up(**_TABLES)
    scene.database.execute("DROP TABLE audit", "TRUNCATE events")
    assert scene.refusals() == []
    scene.database.drop()
    found = scene.restore(same_database=None)
    assert [_NOT_IN_IT in sentence for sentence in found.require_success()["proof"]["unproved"]] == [True]
    empty = Scene(scene.ansible, make_database(scene.database.server), scene.store, more={"same_database": None}).tag()
    assert _NOT_IN_IT in " ".join(empty.plan()["warnings"])


def test_what_cannot_be_read_counts_as_rows(scene: Scene) -> None:
    owner = scene.database.role("CREATEDB")
    scene.database.execute(f"ALTER DATABASE {scene.database.name} OWNER TO {owner}")
    scene.back_up(exclude_table_data=["events"])
    scene.user = owner
    options = {"skip_safety_backup": "i_accept_data_loss", "ownership": "operator"}
    (refusal,) = scene.refusals(**options)
    assert "the rows of table public.events." in refusal
    scene.database.execute("TRUNCATE events")
    assert scene.refusals(**options) == []


def test_definitions_alone_do_not_empty_a_database(scene: Scene, tmp_path: Path) -> None:
    """Of an archive that somebody else made, without a manifest, the archive itself says whose rows it lacks."""
    server = scene.database.server
    login = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser, "PGPASSWORD": server.password}
    archive = tmp_path / "definitions.dump"
    command = [server.installation.program("pg_dump"), "--format=custom", "--schema-only", f"--file={archive}", scene.database.name]
    subprocess.run(command, env={**os.environ, **login}, check=True)
    options = {"backup": str(archive), "same_database": None}
    (refusal,) = scene.refusals(**options)
    assert "the rows of table public.audit, table public.events, table public.users, table shop.items." in refusal
    assert scene.refusals(**options, allow_partial=True) == []


def test_a_restore_test_of_a_part_passes_and_says_so(scene: Scene) -> None:
    scene.back_up(**_TABLES)
    options = {**scene.database.options(), **scene.store.options, "environment": scene.environment, "name": scene.name}
    result = scene.ansible.run("pg_restore_test", **options).require_success()
    assert result["verdict"] == "passed"
    assert [_NOT_IN_IT in sentence for sentence in result["proof"]["unproved"]] == [True]
