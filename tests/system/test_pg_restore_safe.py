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
from harness.waiting import NotYet, wait_for
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
    plan = scene.restore(check=True, diff=True)
    scene.untouched(before)
    assert_plan(plan.require_success(), manifest)

    began = dt.datetime.now(dt.UTC)
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
    # By default the application would keep what it may do now.
    second = scene.restore(backup=first["safety_backup"]["key"], ownership="archive").require_success()
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
    foreign = [make_database(pg, f"{database.name}__p_0badcafe"), make_database(pg, f"{database.name}__x_deadbeef")]
    mark = {**rejected.mark, "database": "another"}
    make_scene(foreign[1], folder).comment(f"[workon.postgresql_backup {json.dumps({'restore': mark})}]")
    end = scene.finalize(keep_previous=0).require_success()
    assert (set(end["dropped"]), end["kept"]) == (kept, [])
    # Who is only called like ours, and who belongs to another database's restore, stays.
    assert {found.name for found in scene.beside()} == {found.name for found in foreign}
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
    inside = [began, *times, dt.datetime.now(dt.UTC)]
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
    # It is the very database that the first phrase was for, and yet another decision.
    (refusal,) = scene.refusals(confirm=phrase)
    assert "is not the phrase for this backup" in refusal


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

    def letting_in(self, role: str) -> list[str]:
        """Return the statements that let a role do what the application may."""
        return [
            f"GRANT CONNECT ON DATABASE {self.scene.database.name} TO {role}",
            f"GRANT USAGE ON SCHEMA shop TO {role}",
            f"GRANT SELECT ON shop.users TO {role}",
            f"GRANT EXECUTE ON FUNCTION shop.twice(int) TO {role}",
        ]

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
    # The archive knows nothing of one who came later.
    newcomer = database.role()
    database.execute(*stage.letting_in(newcomer))
    outcome = scene.restore()
    first = outcome.require_success()
    assert first["ownership"]["mode"] == "archive"
    assert f"The role {newcomer} keeps SELECT on table shop.users." in outcome.output
    assert [stage.reads(role) for role in (stage.application, newcomer, stage.outsider)] == [(100, 10100), (100, 10100), psycopg2.OperationalError]
    assert stage.owner_of("shop.users") == stage.owner
    scene.roll_back().require_success()
    asked_for = scene.restore(ownership="archive")
    assert asked_for.require_success()["ownership"]["mode"] == "archive"
    assert (stage.reads(stage.application), stage.reads(newcomer)) == ((100, 10100), psycopg2.errors.InsufficientPrivilege)
    assert f"The role {newcomer} lost SELECT on table shop.users." in " ".join(asked_for.output.split())

    # The archive's application is gone, the live database has another one.
    successor = database.role()
    scene.finalize(keep_previous=0).require_success()
    database.execute(f"REASSIGN OWNED BY {stage.application} TO {stage.owner}", f"DROP OWNED BY {stage.application}", f"DROP ROLE {stage.application}")
    database.execute(*stage.letting_in(successor), "DELETE FROM shop.users WHERE id > 10")
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


def test_a_role_that_only_a_policy_names_is_missed_before_anything_is_loaded(make_scene: Callable[..., Scene], database: Database, folder: Folder) -> None:
    tenant = database.role()
    database.execute("CREATE TABLE users AS SELECT 1 AS id", f"CREATE POLICY own ON users TO {tenant} USING (id = 1)")
    scene = make_scene(database, folder).tag()
    scene.back_up()
    database.execute("DROP POLICY own ON users", f"DROP ROLE {tenant}")
    before = scene.look()
    for options in ({}, {"ownership": "operator"}, {"role_map": {tenant: "postgres"}}):
        outcome = scene.restore(**options)
        scene.nothing_left(outcome, before, says=(f"Policies or user mappings of the archive name role {tenant}, which the server does not have.",))
    database.execute(f"CREATE ROLE {tenant}")
    scene.restore().require_success()


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


# What only a superuser may create.


@pytest.fixture
def of_a_superuser(make_database: Callable[..., Database], pg: PostgresServer) -> Iterator[Database]:
    """A database with everything that a plain owner may not have, each with a comment."""
    database = make_database(pg)
    database.execute(
        "CREATE TABLE users AS SELECT g AS id FROM generate_series(1, 100) AS g",
        "CREATE FUNCTION look() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        'CREATE EVENT TRIGGER "On look" ON ddl_command_end EXECUTE FUNCTION look()',
        "COMMENT ON EVENT TRIGGER \"On look\" IS 'an event trigger'",
        'CREATE PUBLICATION "All of it" FOR ALL TABLES',
        "COMMENT ON PUBLICATION \"All of it\" IS 'a publication'",
        "CREATE PUBLICATION of_users FOR TABLE users",
        "CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = NONE)",
        "COMMENT ON SUBSCRIPTION sub IS 'a subscription'",
    )
    yield database
    database.execute("DROP SUBSCRIPTION sub")


@pytest.mark.every_major
def test_what_a_role_may_not_create_is_refused_or_left_out_by_name(
    make_scene: Callable[..., Scene], of_a_superuser: Database, make_database: Callable[..., Database], folder: Folder
) -> None:
    make_scene(of_a_superuser, folder).back_up()
    database = make_database(of_a_superuser.server)
    owner = database.role("CREATEDB")
    database.execute(f"ALTER DATABASE {database.name} OWNER TO {owner}")
    scene = make_scene(database, folder, user=owner, more={"same_database": None, "ownership": "operator"}).tag()
    (refusal,) = scene.refusals()
    assert f"The role {owner} may not create 6 of the archive's entries: " in refusal
    result = scene.restore(unrestorable="skip").require_success()
    left_out = {entry["entry"]: entry["reason"] for entry in result["skipped_entries"]}
    assert left_out == {
        "EVENT TRIGGER - On look postgres": "only superusers may create event triggers",
        'COMMENT - EVENT TRIGGER "On look" postgres': "its event trigger is not restored",
        "PUBLICATION - All of it postgres": "only superusers may publish all tables",
        'COMMENT - PUBLICATION "All of it" postgres': "its publication is not restored",
        "SUBSCRIPTION - sub postgres": "only superusers and members of pg_create_subscription may create subscriptions",
        "COMMENT - SUBSCRIPTION sub postgres": "its subscription is not restored",
    }
    for entry in left_out:
        assert entry.partition(" - ")[2].rpartition(" ")[0] in refusal
    assert database.rows("SELECT pubname FROM pg_publication") == [("of_users",)]
    assert database.value("SELECT count(*) FROM users") == 100

    scene.roll_back().require_success()
    before = scene.look()
    scene.nothing_left(scene.restore(unrestorable="attempt"), before, says=("could not be loaded: pg_restore ended with status 1", "ERROR: "), wrote=True)


def test_a_copy_with_a_subscription_can_be_dropped_and_leaves_the_slot_alone(
    make_scene: Callable[..., Scene], of_a_superuser: Database, database: Database, folder: Folder
) -> None:
    of_a_superuser.execute("ALTER SUBSCRIPTION sub SET (slot_name = 'somebody_s')")
    try:
        make_scene(of_a_superuser, folder).back_up()
    finally:
        of_a_superuser.execute("ALTER SUBSCRIPTION sub SET (slot_name = NONE)")
    scene = make_scene(database, folder, more={"same_database": None}).tag()
    before = scene.look()
    outcome = scene.restore(checks={"min_rows": {"users": 101}})
    scene.nothing_left(outcome, before, says=("users", "The live database was not touched."), wrote=True)
    assert "could not be dropped" not in outcome.message


# Other versions, other makers.


@pytest.mark.parametrize("how", ["kept", "streamed"])
def test_a_newer_client_restores_into_an_older_server(
    make_scene: Callable[..., Scene],
    postgres: Callable[[int], PostgresServer],
    make_database: Callable[..., Database],
    bucket: Bucket,
    tmp_path: Path,
    how: str,
    request: pytest.FixtureRequest,
) -> None:
    """From 17 on pg_restore sets a parameter that older servers do not know, and exactly that is overlooked."""
    older, newer = [major for major in MAJORS if major < 17], [major for major in MAJORS if major >= 17]
    if not older or not newer:
        pytest.skip("This needs a server before 17 and a client from 17 on.")
    database = make_database(postgres(older[-1]))
    database.execute(_CONTENT)
    more = {"pg_bin_dir": str(installation(newer[0]).bin_dir)}
    if how == "streamed":
        more["spool_directory"] = str(request.getfixturevalue("tiny"))
    scene = make_scene(database, bucket, more=more).tag()
    whole = content(database)
    scene.back_up(pg_bin_dir=more["pg_bin_dir"])
    database.execute(*_DAMAGE)
    result = scene.restore().require_success()
    assert result["client"]["version"].startswith(f"{newer[0]}.")
    assert content(database) == whole

    # An error of another kind is not.
    database.execute("CREATE TABLE fussy AS SELECT 1 AS a", f"ALTER TABLE fussy ADD CHECK (current_database() = '{database.name}')")
    (tmp_path / "fussy.dump").write_bytes(dump(database))
    before = scene.look()
    outcome = scene.restore(backup=str(tmp_path / "fussy.dump"), same_database=None)
    scene.nothing_left(outcome, before, says=("The archive could not be loaded: ", "fussy"), wrote=True)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A directory that has no room."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", directory], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"No file system could be mounted: {mounted.stderr.strip()}")
    (directory / "full").write_bytes(b"x" * 4096)
    yield directory
    subprocess.run(["umount", directory], check=True)


def test_where_there_is_no_room_the_archive_is_streamed_and_proved_all_the_same(damaged: Scene, original: Original, bucket: Bucket, tiny: Path) -> None:
    original.into(bucket)
    folder, damaged.store = damaged.store, bucket
    outcome = damaged.restore(spool_directory=str(tiny))
    result = outcome.require_success()
    assert content(damaged.database) == original.content
    assert result["proof"]["level"] == "content"
    assert {row["content"] for row in result["proof"]["tables"]} == {"equal"}
    assert f"{tiny} has no room for" in " ".join(outcome.output.split())
    assert [path.name for path in tiny.iterdir()] == ["full"]
    # A directory's archive needs no room: it is read where it lies.
    damaged.store = folder
    assert "has no room" not in damaged.restore(spool_directory=str(tiny), skip_safety_backup="i_accept_data_loss").output


def dump(database: Database, *options: str) -> bytes:
    """Dump a database as somebody would who has nothing but pg_dump."""
    server = database.server
    login = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser, "PGPASSWORD": server.password}
    command = [server.installation.program("pg_dump"), "--format=custom", *options, database.name]
    return subprocess.run(command, env={**os.environ, **login}, capture_output=True, check=True).stdout


def test_an_archive_of_somebody_else_s(make_scene: Callable[..., Scene], database: Database, bucket: Bucket, tmp_path: Path) -> None:
    """By path and by address; it is whole, and the result says that nobody can say more of it."""
    database.execute(_CONTENT)
    whole = content(database)
    (tmp_path / "workon.dump").write_bytes(dump(database))
    bucket.write("elsewhere/founding_2026-01-08_103000.dump", dump(database, "--no-owner"))
    scene = make_scene(database, bucket, more={"same_database": None}).tag()
    for backup in (str(tmp_path / "workon.dump"), f"s3://{bucket.name}/elsewhere/founding_2026-01-08_103000.dump"):
        database.execute("DELETE FROM missions")
        outcome = scene.restore(backup=backup, checks={"min_rows": {"missions": 300}})
        result = outcome.require_success()
        assert content(database) == whole
        assert (result["backup"]["manifest"], result["proof"]["level"], result["data_loss_window"]) == (False, "none", None)
        (unproved,) = result["proof"]["unproved"]
        assert unproved.startswith("The archive has no manifest: that it is whole was proved by decoding it and by loading it without an error, but not that")
        assert "its content could not be compared with a manifest, 1 of 1 checks passed." in result["msg"]
        assert "The archive has no manifest" in " ".join(outcome.output.split())
        assert result["safety_backup"]["key"].startswith(f"{database.name}-staging_")


# Checks.


def test_what_was_loaded_must_be_what_was_backed_up(make_scene: Callable[..., Scene], database: Database, folder: Folder) -> None:
    """A load can change what it has loaded: here it computes a view that does more than look."""
    database.execute(
        "CREATE TABLE places AS SELECT g AS id, 0 AS visits FROM generate_series(1, 2) AS g",
        "CREATE FUNCTION visit() RETURNS int LANGUAGE sql AS 'UPDATE public.places SET visits = visits + 1 WHERE id = 1 RETURNING visits'",
        "CREATE MATERIALIZED VIEW visited AS SELECT visit()",
    )
    scene = make_scene(database, folder).tag()
    scene.back_up()
    before = scene.look()
    outcome = scene.restore()
    says = ("What was loaded is not what was backed up: Table public.places has the expected 2 rows, but their content differs.", "was not touched.")
    scene.nothing_left(outcome, before, says=says, wrote=True)
    assert [row["content"] for row in outcome.result["proof"]["tables"]] == ["different"]
    # Who asks for less gets less, and is told so.
    counted = scene.restore(fingerprint="counts").require_success()
    assert counted["proof"]["level"] == "counts"
    assert counted["proof"]["unproved"] == ["Rows were counted, their content was not compared."]


def test_a_restore_that_takes_too_long_is_stopped(make_scene: Callable[..., Scene], database: Database, folder: Folder, tmp_path: Path) -> None:
    slow_elsewhere = f"CHECK (CASE WHEN current_database() = '{database.name}' THEN true ELSE pg_sleep(60) IS NOT NULL END)"
    database.execute(f"CREATE TABLE slow (a int {slow_elsewhere})", "INSERT INTO slow VALUES (1)")
    (tmp_path / "slow.dump").write_bytes(dump(database))
    scene = make_scene(database, folder, more={"same_database": None}).tag()
    before = scene.look()
    outcome = scene.restore(backup=str(tmp_path / "slow.dump"), timeout=6)
    scene.nothing_left(outcome, before, says=("did not end within timeout (6 seconds), so it was stopped and the live database was not touched.",), wrote=True)


class Application:
    """An application's health endpoint, which asks its database, and says so as long as it is told to."""

    def __init__(self) -> None:
        self.status, self.asked = 200, 0
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                application.asked += 1
                self.send_response(application.status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/healthz"

    def __enter__(self) -> Application:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_checks_before_the_swap_and_after_it(damaged: Scene, original: Original) -> None:
    scene = damaged
    before = scene.look()
    with Application() as application:
        http_check = {"name": "The application is well", "url": application.url, "within": 0}
        checks = {"min_rows": [{"name": "Enough missions", "table": "missions", "rows": 301}], "http": [http_check]}
        outcome = scene.restore(checks=checks)
        scene.nothing_left(outcome, before, says=("Not as it should be: Enough missions: ", "The live database was not touched."), wrote=True)
        assert application.asked == 0
        assert [state["state"] for state in outcome.result["states"]] == ["locked", "saved", "created", "loaded", "failed"]
        assert [check["passed"] for check in outcome.result["checks"]] == [False]

        application.status = 503
        checks = {"min_rows": {"missions": 300}, "http": [http_check]}
        outcome = scene.restore(checks=checks)
        rejected = only(scene.beside(), "rejected")
        (live,) = (found for found in scene.databases() if found.name == scene.database.name)
        assert (live.mark["role"], live.mark["state"]) == ("live", "rolled_back")
        # But for that mark, everything is as it was.
        scene.tag()
        scene.nothing_left(outcome, before, says=("The application is well", "is again the one from before", rejected.name), wrote=True)
        assert application.asked == 1
        assert (outcome.result["rejected"], len(scene.beside())) == (rejected.name, 1)
        assert content(Database(scene.database.server, rejected.name)) == original.content
        assert [state["state"] for state in outcome.result["states"]][-3:] == ["swapped", "swapped_back", "failed"]

        application.status = 200
        result = scene.restore(checks=checks).require_success()
        assert [(check["name"], check["passed"]) for check in result["checks"]][-1] == ("The application is well", True)
        assert "2 of 2 checks passed." in result["msg"]
        assert content(scene.database) == original.content
    assert [journal[-1]["state"] for journal in sorted(scene.journals(), key=lambda journal: journal[0]["ts"])] == ["failed", "failed", "done"]
    scene.no_secrets()


# Others at work in the database.


@pytest.mark.slow
def test_a_session_that_may_not_be_ended_ends_the_restore(make_scene: Callable[..., Scene], original: Original, database: Database, folder: Folder) -> None:
    original.into(folder)
    owner = database.role("CREATEDB")
    database.execute(f"ALTER DATABASE {database.name} OWNER TO {owner}", f"GRANT pg_read_all_data TO {owner}", _CONTENT, *_DAMAGE)
    scene = make_scene(database, folder, user=owner, more={"same_database": None, "ownership": "operator"}).tag()
    before = scene.look()
    with database.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET application_name = 'the superuser at work'")
        outcome = scene.restore(skip_safety_backup="i_accept_data_loss")
        cursor.execute("SELECT 'still there'")
    scene.nothing_left(outcome, before, says=("The names could not be exchanged", "nothing was changed", "Still connected: the superuser at work."), wrote=True)
    scene.restore(skip_safety_backup="i_accept_data_loss").require_success()
    assert database.value("SELECT count(*) FROM missions") == 300


class Reader:
    """A client that connects, reads everything, and connects again, without a pause."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.seen: set[tuple[int, int, bool]] = set()
        self.reads, self.errors = 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._database.connected() as connection, connection.cursor() as cursor:
                    for _time in range(3):
                        cursor.execute("SELECT count(*), sum(id), to_regclass('later') IS NULL FROM users")
                        self.seen.add(cursor.fetchone())
                        self.reads += 1
            except psycopg2.Error:
                self.errors += 1


def test_clients_that_hammer_see_all_old_or_all_new(damaged: Scene) -> None:
    old, new = (200, 30000, False), (300, 45150, True)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(damaged.database)) for _number in range(8)]
        damaged.restore().require_success()
        for reader in readers:
            reads = reader.reads
            wait_for(lambda reader=reader, reads=reads: _require(reader.reads > reads + 3), "A client reads after the swap")
        damaged.roll_back().require_success()
    assert set.union(*(reader.seen for reader in readers)) == {old, new}
    for reader in readers:
        assert reader.seen == {old, new}
        # It is sent away once or twice at each of the two exchanges, and gets in again.
        assert reader.errors <= 20 < reader.reads


def _require(condition: bool) -> None:
    if not condition:
        raise NotYet("Not yet.")


def test_one_restore_into_a_database_at_a_time(damaged: Scene, original: Original, make_database: Callable[..., Database]) -> None:
    scene = damaged
    elsewhere = make_database(scene.database.server).name
    with scene.database.locked("users"):
        first = scene.start()
        scene.database.wait_for_session("wait_event_type = 'Lock'")
        before = scene.databases()
        (refusal,) = (refusal for refusal in scene.refusals() if refusal.startswith("Another restore"))
        assert re.match(
            rf"Another restore into the database {scene.database.name} is running \(server process \d+, role postgres, "
            r"workon.postgresql_backup restore on .+, process \d+, from 127.0.0.1, since 2\d{3}-",
            refusal,
        )
        # Neither does a run that takes its lock in another database.
        (same,) = (refusal for refusal in scene.refusals(maintenance_database=elsewhere) if refusal.startswith("Another restore"))
        assert same == refusal
        assert scene.databases() == before
    first.finish().require_success()
    assert content(scene.database) == original.content


def test_comments_in_another_encoding_stand_in_no_way_and_keep_their_bytes(
    make_scene: Callable[..., Scene], make_database: Callable[..., Database], pg: PostgresServer, folder: Folder
) -> None:
    latin = ("ENCODING 'LATIN1'", "LOCALE 'C'")
    live, other = make_database(pg, "", *latin), make_database(pg, "", *latin)
    for each in (live, other):
        # From a session of its own, so that it is stored in its encoding.
        each.execute(f"COMMENT ON DATABASE {quoted(each.name)} IS 'Donn\xe9es'")
    live.execute("CREATE TABLE t AS SELECT 1 AS a")
    scene = make_scene(live, folder)
    scene.ansible.run(
        "pg_environment", environment="staging", **{name: value for name, value in live.options().items() if name != "pg_bin_dir"}
    ).require_success()
    scene.back_up()
    live.execute("INSERT INTO t VALUES (2)")
    before = {found.name: found.comment for found in scene.databases()}
    assert (before[other.name] or "").encode() == rb"Donn\xe9es"

    for act in (scene.restore, scene.roll_back, scene.finalize):
        act().require_success()
        kept = [found.comment for found in scene.databases() if found.beside or found.name in (live.name, other.name)]
        assert [comment for comment in kept if comment and comment.startswith(r"Donn\xe9es")] == kept


def test_secrets_among_the_settings_are_told_nowhere_and_are_set_again(
    make_scene: Callable[..., Scene], make_database: Callable[..., Database], pg: PostgresServer, folder: Folder
) -> None:
    source = make_database(pg)
    role, name, more = source.role(), quoted(source.name), "it's \\ a \nsecret; -- \u00e9"
    source.execute("CREATE TABLE t AS SELECT 1 AS a", f"ALTER DATABASE {name} SET timezone = 'Europe/Zagreb'")
    source.execute(
        f"ALTER DATABASE {name} SET app.jwt_secret = '{PASSWORD}'", f"ALTER DATABASE {name} SET \"app.Odd\" = '{more.replace(chr(39), chr(39) * 2)}'"
    )
    source.execute(f"ALTER ROLE {role} IN DATABASE {name} SET app.jwt_secret = '{PASSWORD} of the role'")
    # Every run is searched for the password by the runner.
    scene = make_scene(source, folder, more={"same_database": None}).tag()
    manifest = scene.back_up()
    assert manifest["database"]["settings"] == [
        {"role": None, "settings": ["TimeZone=Europe/Zagreb"], "hidden": ["app.jwt_secret", "app.Odd"]},
        {"role": role, "settings": [], "hidden": ["app.jwt_secret"]},
    ]
    for module, options in (("pg_backup_info", folder.options), ("pg_database_info", {**source.options(), "fingerprint": "none"})):
        options.pop("pg_bin_dir", None)
        assert "a \nsecret" not in json.dumps(scene.ansible.run(module, **options).require_success())
    scene.no_secrets()

    # What the live database has is carried over, what a new one has not is in the archive.
    new = Database(pg, f"new_{secrets.token_hex(4)}")
    try:
        for target in (source, new):
            again = make_scene(target, folder, more={"same_database": target is source, "safety_name": "safety"})
            again.restore().require_success()
            again.no_secrets()
            found = fingerprint(target)["settings"]
            expected = [("-", ["TimeZone=Europe/Zagreb", f"app.jwt_secret={PASSWORD}", f"app.Odd={more}"]), (role, [f"app.jwt_secret={PASSWORD} of the role"])]
            assert found == expected
    finally:
        new.drop()
