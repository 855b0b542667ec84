# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_restore_safe on real servers: what was backed up is there again, everything else is as it was, and every failure leaves the live database alone.

What is refused before anything begins is in test_pg_restore_refusals.py, crashes are in test_pg_restore_crash.py.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import os
import re
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from harness.ansible_runner import AnsibleRunner
from harness.postgres import PostgresServer, installation
from system import zoo
from system.restoring import ListedDatabase, Scene, Unhurried, fingerprint, scenes
from system.scenes import MAJORS, PASSWORD, STORE_SECRET, Bucket, Database, Folder, Store, quoted

STATES = ["locked", "saved", "created", "loaded", "proved", "swapped", "checked", "done"]

_CONTENT = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 300) AS g;
CREATE TABLE missions (id serial PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO missions (user_id) SELECT id FROM users;
CREATE VIEW names AS SELECT name FROM users;
SELECT lo_from_bytea(4711, 'a large object')
"""
_DAMAGE = ("DROP TABLE missions", "DELETE FROM users WHERE id % 3 = 0", "CREATE TABLE later AS SELECT 1 AS a", "SELECT lo_unlink(4711)")


@pytest.fixture
def make_scene(ansible: AnsibleRunner, make_database: Callable[..., Database]) -> Iterator[Callable[..., Scene]]:
    """Make scenes. What their restores leave is dropped before the databases and their roles are."""
    with scenes(ansible) as make:
        yield make


@dataclass(frozen=True)
class Original:
    """A store with one backup, what the backed up database held, and the roles that it names."""

    store: Folder
    content: dict[str, Any]

    def into(self, store: Store) -> None:
        """Copy the backup into a store."""
        for key in self.store.listing():
            store.write(key, self.store.read(key))


@pytest.fixture(scope="module")
def backup_of(postgres: Callable[[int], PostgresServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Original]]:
    """Return a backup of a small database of a major version, taken once."""
    made: dict[int, Original] = {}
    sources: list[Database] = []
    runner = AnsibleRunner([PASSWORD, STORE_SECRET])

    def get(major: int) -> Original:
        if major not in made:
            source = Database(postgres(major), f"source_{secrets.token_hex(4)}").create()
            sources.append(source)
            source.execute(_CONTENT)
            store = Folder(tmp_path_factory.mktemp("original"))
            Scene(runner, source, store).back_up()
            made[major] = Original(store, content(source))
        return made[major]

    yield get
    for source in sources:
        source.drop()


@pytest.fixture
def original(pg: PostgresServer, backup_of: Callable[[int], Original]) -> Original:
    """The backup of a small database of the server under test."""
    return backup_of(pg.installation.major)


@pytest.fixture
def damaged(make_scene: Callable[..., Scene], original: Original, database: Database, folder: Folder) -> Scene:
    """A database of staging that was damaged since its content was backed up, in another one."""
    original.into(folder)
    database.execute(_CONTENT, *_DAMAGE)
    return make_scene(database, folder, more={"same_database": None}).tag()


def content(database: Database) -> dict[str, Any]:
    """Return what a database holds: rows, sequences, large objects, and every definition with its owner and grants."""
    about_itself = ("comment", "properties", "grants", "settings")
    found = {fact: value for fact, value in fingerprint(database).items() if fact not in about_itself}
    # In whatever order they were created.
    return {**found, "definitions": sorted(found["definitions"])}


def properties(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a database is, of a fingerprint: all that does not tell it from another one of the same name."""
    itself = {name: value for name, value in found["properties"].items() if name != "oid"}
    return {**itself, "grants": found["grants"], "settings": found["settings"]}


def only(databases: list[ListedDatabase], role: str) -> ListedDatabase:
    """Return the one database with this part in a restore."""
    (found,) = (database for database in databases if database.mark.get("role") == role)
    return found


# Everything.


# Loading its rows takes longer than the timeouts that tests set.
SLOW_TABLE = "CREATE TABLE slow (a int CHECK (pg_sleep(0.4) IS NOT NULL)); INSERT INTO slow VALUES (1)"


@pytest.fixture
def tablespaces(pg: PostgresServer) -> Iterator[tuple[str, str]]:
    """Two tablespaces of the server under test; what is in them has to go first."""
    names = (f"space_{secrets.token_hex(4)}", f"space_{secrets.token_hex(4)}")
    maintenance = Database(pg, "postgres")
    maintenance.execute("SET allow_in_place_tablespaces = on", *(f"CREATE TABLESPACE {name} LOCATION ''" for name in names))
    yield names
    maintenance.execute(*(f"DROP TABLESPACE {name}" for name in names))


def locale(server: PostgresServer) -> str:
    """Return a locale that is not the server's own, of the provider that its build has beside libc."""
    if server.installation.major >= 17:
        return "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C'"
    return "LOCALE_PROVIDER icu ICU_LOCALE 'sv-SE-x-icu'"


@pytest.mark.every_major
def test_the_zoo_comes_back_and_goes_again(
    tablespaces: tuple[str, str], make_database: Callable[..., Database], make_scene: Callable[..., Scene], pg: PostgresServer, folder: Folder
) -> None:
    """One of everything, in a database with properties of every kind: restored, restored from the safety backup, rolled back, and finished."""
    database = make_database(pg, "", "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'", locale(pg), f"TABLESPACE {tablespaces[0]}")
    owner, application, name = database.role(), database.role(), quoted(database.name)
    zoo.fill(database)
    database.execute(
        "DROP TABLE huge",
        f"CREATE TABLE spacious (a int) TABLESPACE {tablespaces[1]}",
        SLOW_TABLE,
        f"ALTER TABLE parent OWNER TO {owner}",
        f"GRANT SELECT ON typed TO {application}",
        f"ALTER DATABASE {name} OWNER TO {owner}",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT, CREATE ON DATABASE {name} TO {application} WITH GRANT OPTION",
        f"ALTER DATABASE {name} CONNECTION LIMIT 17",
        f"""ALTER DATABASE {name} SET search_path = "$user", 'Odd "Schéma"', public""",
        f"""ALTER DATABASE {name} SET "my.setting" = 'it''s, "x" 100 %'""",
        f"ALTER DATABASE {name} SET default_transaction_read_only = on",
        f"ALTER DATABASE {name} SET statement_timeout = '250ms'",
        f"ALTER ROLE {application} IN DATABASE {name} SET search_path = public, pg_catalog",
        f"ALTER ROLE {application} IN DATABASE {name} SET work_mem = '7MB'",
    )
    scene = make_scene(database, folder).comment('The shop\'s\n100 % "zoo"\n[workon.postgresql_backup {"environment": "staging"}]')
    whole, live = content(database), scene.fingerprint()
    manifest = scene.back_up()
    Unhurried(database).execute(
        "DELETE FROM typed WHERE id < 100",
        "DROP TABLE child",
        "CREATE TABLE later AS SELECT 1 AS a",
        "SELECT lo_unlink(4711), setval('untouched', 77)",
        f"REVOKE SELECT ON typed FROM {application}",
    )
    broken = content(database)

    before = scene.look()
    plan = scene.restore(check=True, environment_={"ANSIBLE_DIFF_ALWAYS": "1"})
    scene.untouched(before)
    assert_plan(plan.require_success(), manifest)
    # What Ansible shows of it.
    assert "-public.later: 1 rows" in plan.output
    assert "+public.child: 1 rows" in plan.output

    began = dt.datetime.now(dt.timezone.utc)
    first = scene.restore().require_success()
    assert_account(first, manifest, scene, began)
    assert content(database) == of_the_archive(whole)
    assert properties(scene.fingerprint()) == properties(live)
    (now,) = (found for found in scene.databases() if found.name == database.name)
    assert (now.comment or "").startswith('The shop\'s\n100 % "zoo"\n[workon.postgresql_backup ')
    assert now.tag["environment"] == "staging"
    assert now.oid != before.oid
    previous = only(scene.beside(), "previous")
    assert (previous.name, previous.oid) == (first["previous"], before.oid)
    assert content(Database(pg, previous.name)) == broken

    # The safety backup is of what was there, and none of those that latest means.
    assert scene.plan()["backup"]["backup_id"] == manifest["backup_id"]
    second = scene.restore(backup=first["safety_backup"]["key"]).require_success()
    assert content(database) == of_the_archive(broken)
    assert second["previous"] != first["previous"]
    assert scene.fingerprint()["properties"]["oid"] not in (now.oid, before.oid)

    back = scene.roll_back().require_success()
    assert (back["changed"], back["previous"], back["restore_id"]) == (True, second["previous"], second["restore_id"])
    assert scene.look().oid == now.oid
    assert content(database) == of_the_archive(whole)
    assert properties(scene.fingerprint()) == properties(live)
    assert scene.plan(state="rolled_back")["changed"] is False
    rejected = only(scene.beside(), "rejected")
    assert rejected.name == back["rejected"]

    kept = {first["previous"], back["rejected"]}
    assert {found["name"] for found in scene.plan(state="finalized")["kept"]} == kept
    end = scene.finalize(keep_previous=0).require_success()
    assert (set(end["dropped"]), end["kept"], scene.beside()) == (kept, [], [])
    assert scene.look().oid == now.oid
    scene.no_secrets()


def of_the_archive(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is in the archive, of a content: a table that was given to an extension is that extension's own matter."""
    return {fact: value for fact, value in found.items() if fact != "rows of public.of_extension"}


def assert_plan(plan: dict[str, Any], manifest: dict[str, Any]) -> None:
    assert plan["changed"] is True
    assert plan["backup"] == {
        **plan["backup"],
        "key": manifest["key"],
        "sha256": manifest["archive"]["sha256"],
        "snapshot_at": manifest["snapshot_at"],
        "manifest": True,
        "environment": "staging",
    }
    rows = {row["table"]: (row["rows_now"], row["rows_in_backup"]) for row in plan["tables"]}
    assert (rows["public.typed"], rows["public.child"], rows["public.later"]) == ((403, 502), (None, 1), (1, None))
    assert 0 < plan["data_loss_window"]["seconds"] < 600
    assert "states" not in plan


def assert_account(result: dict[str, Any], manifest: dict[str, Any], scene: Scene, began: dt.datetime) -> None:
    # The states, each at its time.
    assert [found["state"] for found in result["states"]] == STATES
    times = [dt.datetime.fromisoformat(found["at"]) for found in result["states"]]
    inside = [began, *times, dt.datetime.now(dt.timezone.utc)]
    assert inside == sorted(inside)
    assert result["duration"] == pytest.approx(sum(found["seconds"] for found in result["states"]), abs=0.5)
    (journal,) = scene.journals()
    assert [line["state"] for line in journal] == STATES
    assert {line["restore_id"] for line in journal} == {result["restore_id"]}
    # The proof, table by table.
    assert result["proof"]["level"] == "content"
    assert (result["proof"]["differences"], result["proof"]["unproved"]) == ([], [])
    assert {row["table"]: row["rows_restored"] for row in result["proof"]["tables"]} == {name: found["rows"] for name, found in manifest["tables"].items()}
    assert {row["content"] for row in result["proof"]["tables"]} == {"equal"}
    # The safety backup.
    safety = json.loads(scene.store.read(f"{result['safety_backup']['key']}.manifest.json"))
    assert (safety["reason"], safety["verification"]["level"], safety["environment"]) == ("pre_restore", "decode", "staging")
    assert safety["labels"] == {"restore_id": result["restore_id"]}
    assert safety["tables"]["public.typed"]["rows"] == 403
    assert safety["name"] == manifest["name"]
    assert result["safety_backup"]["backup_id"] == safety["backup_id"]
    assert (result["strategy"]["name"], result["ownership"]["mode"], result["skipped_entries"]) == ("swap", "archive", [])
    assert f"What was there before is kept as {result['previous']}." in result["msg"]
    assert result["go_back"].startswith("Run again with state rolled_back")


# Where the target is not there yet, or is called oddly.

ODD = 'Ünï "q" %s {x} it\'s 100 % UPPER'


def test_a_new_database_with_an_odd_name_and_its_whole_life(make_scene: Callable[..., Scene], pg: PostgresServer, original: Original, folder: Folder) -> None:
    original.into(folder)
    name = ODD + "x" * (63 - len(ODD.encode()))
    database = Database(pg, name)
    scene = make_scene(database, folder, more={"same_database": None, "safety_name": "odd"})
    try:
        new = scene.restore().require_success()
        assert (new["safety_backup"], new["previous"], new["go_back"]) == (None, None, None)
        assert new["safety_plan"] == "none, the database does not exist yet, so there is nothing to lose"
        assert [found["state"] for found in new["states"]] == [state for state in STATES if state != "saved"]
        assert content(database) == original.content
        (now,) = (found for found in scene.databases() if found.name == name)
        assert now.tag["environment"] == "staging"
        # Whoever has a role may connect, as to every new database.
        assert database.value("SELECT has_database_privilege(0, oid, 'CONNECT') FROM pg_database WHERE datname = current_database()") is True
        assert database.value("SELECT datconnlimit FROM pg_database WHERE datname = current_database()") == -1

        database.execute(*_DAMAGE)
        broken = content(database)
        again = scene.restore().require_success()
        assert len(again["previous"].encode()) <= 63
        assert again["safety_backup"]["key"].startswith("odd_")
        assert content(database) == original.content
        scene.roll_back().require_success()
        assert content(database) == broken
        assert scene.look().oid == now.oid
        scene.finalize(keep_previous=0).require_success()
        assert scene.beside() == []
    finally:
        database.drop()


def test_an_empty_database_is_replaced_without_a_safety_backup(
    make_scene: Callable[..., Scene], original: Original, database: Database, folder: Folder
) -> None:
    original.into(folder)
    scene = make_scene(database, folder, more={"same_database": None}).tag()
    result = scene.restore().require_success()
    assert (result["safety_backup"], result["safety_plan"]) == (None, "none, the database holds nothing, so there is nothing to lose")
    assert content(database) == original.content
    assert [key for key in folder.listing() if key.endswith(".dump")] == [key for key in original.store.listing() if key.endswith(".dump")]


# Production.


def test_production_needs_the_phrase_of_the_plan_and_each_phrase_once(damaged: Scene, original: Original) -> None:
    scene = damaged.tag("production")
    scene.environment = "production"
    scene.more |= {"allow_production": True, "allow_cross_environment": True}
    before = scene.look()
    phrase = scene.restore(check=True).require_success()["confirm"]
    assert re.fullmatch(rf"restore [0-9a-f-]{{36}} into {scene.database.name}@[0-9a-f]{{8}}", phrase)
    scene.untouched(before)
    scene.nothing_left(scene.restore(), before, says=("is production, and confirm is not set. Run in check mode",))
    for wrong in (phrase.upper(), f"{phrase}0", phrase.replace("restore", "roll back")):
        (refusal,) = scene.refusals(confirm=wrong)
        assert "is not the phrase for this backup" in refusal
    assert scene.refusals(confirm=phrase) == []

    scene.restore(confirm=phrase).require_success()
    assert content(scene.database) == original.content
    # The same answer does not open the door again.
    after = scene.look()
    scene.nothing_left(scene.restore(confirm=phrase), after, says=("which is not the phrase for this backup and the database",))
    assert scene.plan()["confirm"] != phrase
    # And the way back is guarded as well.
    (refusal,) = scene.refusals(state="rolled_back", confirm=phrase)
    assert "is not the phrase" in refusal
    scene.roll_back(confirm=scene.plan(state="rolled_back")["confirm"]).require_success()
    assert scene.look().oid == before.oid


# Owners and privileges.


@dataclass
class Stage:
    """A database whose owner, whose application and whose outsider are different roles."""

    scene: Scene
    owner: str
    application: str
    outsider: str
    manifest: dict[str, Any] = field(default_factory=dict)

    def reads(self, role: str) -> Any:
        """Return what a role sees of the users, or the class of the error that it gets instead."""
        try:
            with self.scene.database.connected(role) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT count(*), sum(shop.twice(id)) FROM shop.users")
                return cursor.fetchone()
        except psycopg2.Error as error:
            return type(error)

    def owner_of(self, table: str) -> str:
        return str(self.scene.database.value("SELECT relowner::regrole::text FROM pg_class WHERE oid = %s::regclass", table))


@pytest.fixture
def stage(make_scene: Callable[..., Scene], database: Database, folder: Folder) -> Stage:
    owner, application, outsider = database.role(), database.role(), database.role()
    name = database.name
    database.execute(
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.users AS SELECT g AS id, 'user ' || g AS name FROM generate_series(1, 100) AS g",
        "CREATE FUNCTION shop.twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'",
        "REVOKE EXECUTE ON FUNCTION shop.twice(int) FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION shop.twice(int) TO {application}",
        f"GRANT USAGE ON SCHEMA shop TO {application}",
        f"GRANT SELECT ON shop.users TO {application}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA shop GRANT SELECT ON TABLES TO {application}",
        f"ALTER TABLE shop.users OWNER TO {owner}",
        f"ALTER FUNCTION shop.twice OWNER TO {owner}",
        f"ALTER SCHEMA shop OWNER TO {owner}",
        f"ALTER DATABASE {name} OWNER TO {owner}",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO {application}, {owner}",
    )
    found = Stage(make_scene(database, folder).tag(), owner, application, outsider)
    found.manifest = found.scene.back_up()
    database.execute("DELETE FROM shop.users WHERE id > 50")
    return found


@pytest.mark.every_major
def test_who_could_read_before_can_read_after(stage: Stage) -> None:
    """First with all roles of the archive, then without one of them, then with another in its place."""
    scene, database = stage.scene, stage.scene.database
    assert (stage.reads(stage.application), stage.reads(stage.outsider)) == ((50, 2550), psycopg2.OperationalError)
    first = scene.restore().require_success()
    assert first["ownership"]["mode"] == "archive"
    assert (stage.reads(stage.application), stage.reads(stage.outsider)) == ((100, 10100), psycopg2.OperationalError)
    assert stage.owner_of("shop.users") == stage.owner

    # The archive's application is gone, the live database has another one.
    successor = database.role()
    scene.finalize(keep_previous=0).require_success()
    database.execute(f"REASSIGN OWNED BY {stage.application} TO {stage.owner}", f"DROP OWNED BY {stage.application}", f"DROP ROLE {stage.application}")
    database.execute(
        f"GRANT CONNECT ON DATABASE {database.name} TO {successor}",
        f"GRANT USAGE ON SCHEMA shop TO {successor}",
        f"GRANT SELECT ON shop.users TO {successor}",
        f"GRANT EXECUTE ON FUNCTION shop.twice(int) TO {successor}",
        "DELETE FROM shop.users WHERE id > 10",
    )
    second = scene.restore().require_success()
    assert second["ownership"]["mode"] == "live"
    assert f"the server has no role {stage.application}" in second["ownership"]["why"]
    assert (stage.reads(successor), stage.reads(stage.outsider)) == ((100, 10100), psycopg2.OperationalError)
    assert stage.owner_of("shop.users") == stage.owner

    third = scene.restore(role_map={stage.application: stage.outsider, stage.owner: successor}).require_success()
    assert third["ownership"]["mode"] == "mapped"
    assert stage.owner_of("shop.users") == successor
    # The database lets in whom it let in before, whoever may read in it.
    assert (stage.reads(successor), stage.reads(stage.outsider)) == ((100, 10100), psycopg2.OperationalError)
    assert database.value("SELECT has_table_privilege(%s, 'shop.users', 'SELECT')", stage.outsider) is True


def test_everything_may_belong_to_whoever_restores(stage: Stage) -> None:
    outcome = stage.scene.restore(ownership="operator")
    assert outcome.require_success()["ownership"] == {"mode": "operator", "why": "asked for"}
    assert stage.owner_of("shop.users") == "postgres"
    assert stage.reads(stage.application) == psycopg2.errors.InsufficientPrivilege
    # That this would be so was known before anybody noticed; Ansible breaks the lines of warnings.
    assert f"The role {stage.application} lost SELECT on table shop.users." in " ".join(outcome.output.split())


# A role that is no superuser.


TIMEOUTS = ("statement_timeout", "lock_timeout", "transaction_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")


@pytest.mark.every_major
def test_a_plain_owner_does_the_whole_thing_whatever_is_set_on_it(make_scene: Callable[..., Scene], database: Database, folder: Folder) -> None:
    owner = database.role("CREATEDB")
    database.execute(f"ALTER DATABASE {database.name} OWNER TO {owner}")
    with database.connected(owner) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA shop; CREATE TABLE shop.users AS SELECT g AS id FROM generate_series(1, 20000) AS g")
        cursor.execute(f"CREATE EXTENSION citext; CREATE TABLE words (a citext); INSERT INTO words VALUES ('Word'); {SLOW_TABLE}")
    scene = make_scene(database, folder, user=owner).tag()
    for what in (f"ROLE {owner}", f"DATABASE {database.name}"):
        for timeout in TIMEOUTS:
            if database.rows("SELECT FROM pg_settings WHERE name = %s", timeout):
                database.execute(f"ALTER {what} SET {timeout} = '250ms'")
        database.execute(f"ALTER {what} SET default_transaction_read_only = on", f"ALTER {what} SET search_path = ''")
    whole = content(database)
    scene.back_up(**database.options(owner))
    Unhurried(database).execute("DELETE FROM shop.users WHERE id > 5")
    before = content(database)
    live = scene.fingerprint()
    result = scene.restore().require_success()
    assert result["target"]["capabilities"]["superuser"] is False
    assert content(database) == whole
    assert properties(scene.fingerprint()) == properties(live)
    scene.roll_back().require_success()
    assert content(database) == before
    scene.finalize(keep_previous=0).require_success()
    assert scene.beside() == []
