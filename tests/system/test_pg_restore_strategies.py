# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which strategy a role's rights permit, and that each of them, too, either brings back everything or changes nothing.

A role without CREATEDB forces the schema swap, one that does not even own the schemas the restore in place.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from system.restoring import Scene, scenes
from system.scenes import Database, Folder, quoted

_SCHEMA = """
CREATE SCHEMA shop;
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE users (id serial PRIMARY KEY, feeling mood, mail text UNIQUE);
INSERT INTO users (feeling, mail) SELECT 'happy', 'user' || g FROM generate_series(1, 500) AS g;
CREATE TABLE shop.items (id int PRIMARY KEY, owner int REFERENCES users, price numeric);
INSERT INTO shop.items SELECT g, g, g / 7.0 FROM generate_series(1, 300) AS g;
CREATE TABLE shop.prices AS SELECT id, price FROM shop.items;
CREATE VIEW shop.dear AS SELECT * FROM shop.items WHERE price > 10;
CREATE FUNCTION count_users() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.users';
"""
_DAMAGE = ("DELETE FROM shop.items WHERE id > 50", "DROP TABLE shop.prices", "UPDATE users SET mail = 'broken' || id", "ALTER TABLE users DROP COLUMN feeling")


class Roles:
    """A database whose objects belong to one role, and are used by another; the restores run as ``operator``."""

    def __init__(self, database: Database, *, owns_database: bool) -> None:
        self.database = database
        self.operator, self.application = database.role(), database.role()
        name = quoted(database.name)
        grants = [f"GRANT CREATE, CONNECT ON DATABASE {name} TO {self.operator}", f"GRANT CREATE, USAGE ON SCHEMA public TO {self.operator}"]
        owns = [f"ALTER DATABASE {name} OWNER TO {self.operator}", f"ALTER SCHEMA public OWNER TO {self.operator}"]
        database.execute(*(owns if owns_database else grants))
        self.as_operator(
            _SCHEMA, f"GRANT USAGE ON SCHEMA public, shop TO {self.application}", f"GRANT SELECT ON users, shop.dear, shop.prices TO {self.application}"
        )
        self.as_operator("REVOKE EXECUTE ON FUNCTION count_users() FROM PUBLIC", f"GRANT EXECUTE ON FUNCTION count_users() TO {self.application}")

    def as_operator(self, *statements: str) -> None:
        with self.database.connected(self.operator) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def as_application(self) -> tuple[Any, ...]:
        """Return what the application reads, as its own role; None for the table that is not there."""
        with self.database.connected(self.application) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count_users(), (SELECT count(*) FROM shop.dear), (SELECT min(mail) FROM users), to_regclass('shop.prices')")
            found: tuple[Any, ...] = cursor.fetchone()
            if found[-1] is not None:
                cursor.execute("SELECT count(*) FROM shop.prices")
                found = (*found[:-1], cursor.fetchone()[0])
            return found


@pytest.fixture
def make_scene(ansible: AnsibleRunner) -> Iterator[Callable[..., Scene]]:
    with scenes(ansible) as make:
        yield make


@pytest.fixture
def without_createdb(database: Database) -> Roles:
    return Roles(database, owns_database=True)


@pytest.fixture
def without_ownership(database: Database) -> Roles:
    return Roles(database, owns_database=False)


def damaged(make_scene: Callable[..., Scene], roles: Roles, folder: Folder) -> tuple[Scene, tuple[Any, ...]]:
    """Return a scene whose database was damaged after its backup, and what the application had read before."""
    scene = make_scene(roles.database, folder, user=roles.operator).tag()
    scene.back_up()
    sound = roles.as_application()
    roles.as_operator(*_DAMAGE)
    return scene, sound


@pytest.mark.every_major
def test_without_createdb_the_schemas_are_exchanged(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    scene, sound = damaged(make_scene, roles, folder)
    broken = scene.fingerprint()
    # A client that is lost in the transaction keeps nobody waiting for longer.
    limited = {"query": "SELECT current_setting('idle_in_transaction_session_timeout')", "expect": "5min"}
    result = scene.restore(checks={"sql": [limited]}).require_success()
    assert result["strategy"] == {"name": "schema_swap", "why": f"no swap, because the role {roles.operator} has no CREATEDB"}
    assert result["safety_backup"]["key"] in folder.listing()
    assert {row["content"] for row in result["proof"]["tables"]} == {"equal"}
    assert roles.as_application() == sound
    assert [name.partition("__p_")[0] for name in result["previous"].split(", ")] == ["public", "shop"]

    assert scene.roll_back().require_success()["changed"]
    assert {name: value for name, value in scene.fingerprint().items() if name in broken and name != "definitions"} == {
        name: value for name, value in broken.items() if name != "definitions"
    }
    assert not scene.roll_back().require_success()["changed"]
    kept = scene.finalize().require_success()
    assert not kept["changed"]
    assert len(kept["kept"]) == 2
    assert len(scene.finalize(keep_previous=0).require_success()["dropped"]) == 2
    assert scene.fingerprint() == broken


@pytest.mark.every_major
def test_without_ownership_the_objects_are_replaced_in_place(make_scene: Callable[..., Scene], without_ownership: Roles, folder: Folder) -> None:
    roles = without_ownership
    scene, sound = damaged(make_scene, roles, folder)
    result = scene.restore().require_success()
    assert result["strategy"]["name"] == "in_place"
    assert f"{roles.operator} has no CREATEDB" in result["strategy"]["why"]
    assert f"{roles.operator} does not own schema public" in result["strategy"]["why"]
    assert {row["content"] for row in result["proof"]["tables"]} == {"equal"}
    assert roles.as_application() == sound
    assert result["previous"] is None
    assert result["safety_backup"]["key"] in result["go_back"]


@pytest.mark.parametrize("owns_database", [True, False], ids=["schema_swap", "in_place"])
def test_within_production_each_phrase_opens_once_and_whoever_could_read_can(
    make_scene: Callable[..., Scene], database: Database, folder: Folder, owns_database: bool
) -> None:
    roles = Roles(database, owns_database=owns_database)
    scene, sound = damaged(make_scene, roles, folder)
    newcomer = database.role()
    roles.as_operator(f"GRANT USAGE ON SCHEMA shop TO {newcomer}", f"GRANT SELECT ON shop.items TO {newcomer}")
    scene.tag("production")
    permitted = {"environment": "production", "allow_production": True, "allow_cross_environment": True}
    phrase = scene.plan(**permitted)["confirm"]
    assert scene.refusals(**permitted, confirm=phrase) == []
    scene.restore(**permitted, confirm=phrase).require_success()
    assert roles.as_application() == sound
    with database.connected(newcomer) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop.items")
        assert cursor.fetchone() == (300,)
    (refusal,) = scene.refusals(**permitted, confirm=phrase)
    assert "is not the phrase for this backup" in refusal


def test_a_phrase_that_was_used_stays_used_after_a_rollback_and_the_end(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    scene, _sound = damaged(make_scene, without_createdb, folder)
    scene.tag("production")
    permitted = {"environment": "production", "allow_production": True, "allow_cross_environment": True}
    phrase = scene.plan(**permitted)["confirm"]
    assert scene.plan(**permitted)["confirm"] == phrase
    scene.restore(**permitted, confirm=phrase).require_success()
    scene.roll_back(**permitted, confirm=scene.plan(**permitted, state="rolled_back")["confirm"]).require_success()
    scene.finalize(**permitted, keep_previous=0).require_success()
    (refusal,) = scene.refusals(**permitted, confirm=phrase)
    assert "is not the phrase for this backup" in refusal


def test_to_repeat_a_rollback_brings_back_nothing_older(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    scene, sound = damaged(make_scene, roles, folder)
    oldest = scene.restore().require_success()["previous"].split(", ")
    roles.as_operator("CREATE TABLE since AS SELECT 1 AS a")
    scene.restore(checks={"sql": [{"query": "SELECT to_regclass('public.since') IS NULL", "expect": "true"}]}).require_success()
    assert scene.roll_back().require_success()["changed"]
    between = scene.fingerprint()
    again = scene.roll_back().require_success()
    assert not again["changed"]
    assert scene.fingerprint() == between
    assert roles.as_application() == sound
    assert roles.database.rows("SELECT a FROM since") == [(1,)]
    scene.restore().require_success()
    assert scene.roll_back().require_success()["changed"]
    assert roles.database.rows("SELECT a FROM since") == [(1,)]
    assert set(oldest) < {kept["name"] for kept in scene.plan(state="finalized")["kept"]}


def test_schemas_that_no_restore_has_put_there_are_not_replaced(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    scene, _sound = damaged(make_scene, roles, folder)
    previous = scene.restore().require_success()["previous"]
    roles.as_operator("ALTER SCHEMA shop RENAME TO sold", "CREATE SCHEMA shop", "CREATE TABLE shop.orders AS SELECT 1 AS a")
    outcome = scene.roll_back()
    assert outcome.failed
    assert "The schema shop is not the one that the restore put in the place of shop__p_" in outcome.message
    assert all(name in outcome.message for name in previous.split(", "))
    assert roles.database.rows("SELECT a FROM shop.orders") == [(1,)]
    roles.as_operator("DROP SCHEMA shop CASCADE")
    assert scene.roll_back().require_success()["changed"]


_USED_ELSEWHERE = """
CREATE TYPE colour AS ENUM ('red');
CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION norm(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
CREATE FUNCTION mine() RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION number(point) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION less(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 < $2';
CREATE TABLE log (a int);
CREATE TABLE parent (a int);
CREATE TABLE parted (a int) PARTITION BY LIST (a);
CREATE SEQUENCE numbers;
"""
_BILLING = """
CREATE SCHEMA billing;
CREATE TABLE billing.t (id int DEFAULT nextval('public.numbers'), mail text, shade public.colour, CONSTRAINT called CHECK (public.norm(mail) <> ''),
  owner int CONSTRAINT owned REFERENCES public.users);
CREATE UNIQUE INDEX normal ON billing.t (public.norm(mail));
CREATE STATISTICS billing.spread ON (public.norm(mail)), id FROM billing.t;
CREATE POLICY mine ON billing.t USING (public.mine());
CREATE RULE logged AS ON INSERT TO billing.t DO ALSO INSERT INTO public.log VALUES (1);
CREATE TRIGGER touched BEFORE UPDATE ON billing.t FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE VIEW billing.names AS SELECT mail FROM public.users;
CREATE FUNCTION billing.whose() RETURNS boolean LANGUAGE sql RETURN public.mine();
CREATE OPERATOR billing.<<< (FUNCTION = public.less, LEFTARG = int, RIGHTARG = int);
CREATE TABLE billing.child () INHERITS (public.parent);
CREATE TABLE billing.part PARTITION OF public.parted FOR VALUES IN (1);
CREATE TABLE billing.whole (a int) PARTITION BY LIST (a);
CREATE TABLE public.piece PARTITION OF billing.whole FOR VALUES IN (1);
CREATE CAST (point AS int) WITH FUNCTION public.number(point);
CREATE PUBLICATION news FOR TABLE public.users;
CREATE EVENT TRIGGER guard ON ddl_command_end EXECUTE FUNCTION public.guard();
"""


def test_what_elsewhere_depends_on_the_schemas_from_before_is_not_dropped_with_them(
    make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder
) -> None:
    roles = without_createdb
    # These are nobody's but the schema's own, and go with it without a word.
    of_its_own = (
        "CREATE TABLE shop.places (at int GENERATED ALWAYS AS IDENTITY, kind mood DEFAULT 'sad', CHECK (at > 0)) PARTITION BY LIST (at)",
        "CREATE TABLE shop.place PARTITION OF shop.places FOR VALUES IN (1)",
        "CREATE INDEX ON shop.places (at)",
        "CREATE STATISTICS shop.spread ON at, kind FROM shop.place",
        "ALTER TABLE shop.places ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY open ON shop.places USING (true)",
        "CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0)",
        "CREATE TYPE shop.span AS RANGE (subtype = float8)",
        "CREATE FUNCTION shop.feel(text) RETURNS mood LANGUAGE sql AS $$SELECT 'sad'::public.mood$$",
        "CREATE CAST (text AS mood) WITH FUNCTION shop.feel(text)",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO PUBLIC",
    )
    roles.as_operator(*_USED_ELSEWHERE.strip().split(";\n"), *of_its_own)
    scene, _sound = damaged(make_scene, roles, folder)
    roles.database.execute(*_BILLING.strip().split(";\n"))
    scene.restore(skip_safety_backup="i_accept_data_loss").require_success()
    definitions = scene.fingerprint()["definitions"]
    for refused in (scene.finalize(keep_previous=0, check=True), scene.finalize(keep_previous=0)):
        assert refused.failed
        for dependent in (
            "default value for column id of table billing.t",
            "column shade of table billing.t",
            "constraint called on table billing.t",
            "constraint owned on table billing.t",
            "index billing.normal",
            "statistics object billing.spread",
            "policy mine on table billing.t",
            "rule logged on table billing.t",
            "trigger touched on table billing.t",
            "rule _RETURN on view billing.names",
            "function billing.whose()",
            "operator billing.<<<(integer,integer)",
            "table billing.child",
            "table billing.part",
            ".piece",
            "cast from point to integer",
            "in publication news",
            "event trigger guard",
        ):
            assert dependent in refused.message
        for own in ("shop", "positive", "span", "mood"):
            assert f" {own}" not in refused.message.partition("depends on it:")[2]
    assert scene.fingerprint()["definitions"] == definitions
    roles.database.execute("DROP EVENT TRIGGER guard", "DROP PUBLICATION news", "DROP CAST (point AS int)", "DROP SCHEMA billing CASCADE")
    assert len(scene.finalize(keep_previous=0).require_success()["dropped"]) == 2


def test_where_no_other_database_can_be_reached_the_schemas_are_exchanged(
    make_scene: Callable[..., Scene], make_database: Callable[..., Database], pg: Any, folder: Folder
) -> None:
    database = make_database(pg)
    roles = Roles(database, owns_database=True)
    scene, sound = damaged(make_scene, roles, folder)
    result = scene.restore(maintenance_database="no_such_database").require_success()
    assert result["strategy"]["name"] == "schema_swap"
    assert "no other database of the server can be reached" in result["strategy"]["why"]
    assert roles.as_application() == sound


def test_a_failed_smoke_check_gives_the_schemas_back(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    scene, _sound = damaged(make_scene, roles, folder)
    broken = roles.as_application()
    outcome = scene.restore(checks={"http": [{"name": "The shop is well", "url": "http://127.0.0.1:9/healthz", "within": 1}]})
    assert outcome.failed
    assert "The shop is well" in outcome.message
    assert "The schemas are again those from before" in outcome.message
    assert "public__x_" in outcome.result["rejected"]
    assert roles.as_application() == broken
    assert len(scene.finalize(keep_previous=0).require_success()["dropped"]) == 2


class _Locking(http.server.BaseHTTPRequestHandler):
    """An application that is not well, and in the middle of something."""

    lock: Callable[[], object]

    def do_GET(self) -> None:
        type(self).lock()
        self.send_response(503)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def test_schemas_that_cannot_be_given_back_are_named_with_the_failed_check(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    scene, sound = damaged(make_scene, roles, folder)
    broken = roles.as_application()
    with roles.database.connected() as connection, connection.cursor() as cursor:
        _Locking.lock = staticmethod(lambda: cursor.execute("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Locking)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            check = {"name": "The shop is well", "url": f"http://127.0.0.1:{server.server_port}/healthz", "within": 0}
            outcome = scene.restore(checks={"http": [check]}, lock_wait_timeout=1)
        finally:
            server.shutdown()
            server.server_close()
    assert outcome.failed
    for part in ("Not as it should be: The shop is well", "could not be swapped back: ", "locked by another session", "are the restored ones", "public__p_"):
        assert part in outcome.message
    assert [found["name"] for found in outcome.result["checks"]] == ["The shop is well"]
    assert roles.as_application() == sound
    scene.roll_back().require_success()
    assert roles.as_application() == broken


def test_an_extension_that_the_restore_created_stays_with_what_it_restored(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    roles.as_operator("CREATE EXTENSION citext", "CREATE TABLE mails (mail citext PRIMARY KEY)", "INSERT INTO mails VALUES ('A')")
    scene, sound = damaged(make_scene, roles, folder)
    roles.as_operator("DROP EXTENSION citext CASCADE")
    broken = roles.as_application()
    scene.restore().require_success()
    assert roles.as_application() == sound
    rejected = scene.roll_back().require_success()["rejected"].split(", ")
    assert roles.as_application() == broken
    ((home,),) = roles.database.rows("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'citext'")
    assert home in rejected
    (refusal,) = scene.refusals(strategy="schema_swap")
    assert f"the extension citext is in the schema {home}, which an earlier restore has kept" in refusal
    scene.finalize(keep_previous=0).require_success()
    outcome = scene.restore(checks={"http": [{"name": "The shop is well", "url": "http://127.0.0.1:9/healthz", "within": 0}]})
    assert outcome.failed
    assert "The schemas are again those from before" in outcome.message
    assert roles.as_application() == broken


def test_a_superuser_may_ask_for_each(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    # It has to come along into the new schema, or its type would be missing there.
    roles.database.execute("CREATE EXTENSION citext", "CREATE TABLE mails (mail citext PRIMARY KEY)", "INSERT INTO mails VALUES ('A'), ('b')")
    scene, sound = damaged(make_scene, roles, folder)
    scene.user = None
    for strategy in ("in_place", "schema_swap"):
        roles.database.execute("TRUNCATE mails", "DROP TABLE IF EXISTS shop.prices")
        # Also of the table that is gone the application gets back what it may do.
        result = scene.restore(strategy=strategy, ownership="live").require_success()
        assert result["strategy"] == {"name": strategy, "why": "asked for"}
        assert roles.as_application() == sound
        assert roles.database.rows("SELECT mail::text FROM mails WHERE mail IN ('a', 'B') ORDER BY 1") == [("A",), ("b",)]
    scene.roll_back().require_success()
    assert roles.database.rows("SELECT mail::text FROM mails ORDER BY mail") == []
    roles.database.execute("INSERT INTO mails VALUES ('C')")
    scene.finalize(keep_previous=0).require_success()
    assert roles.database.rows("SELECT mail::text FROM mails WHERE mail = 'c'") == [("C",)]


@pytest.mark.parametrize("strategy", ["schema_swap", "in_place"])
def test_a_failed_check_undoes_all_of_it(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder, strategy: str) -> None:
    scene, _sound = damaged(make_scene, without_createdb, folder)
    before = scene.look()
    checks = {"min_rows": [{"name": "Items are there", "table": "shop.items", "rows": 301}]}
    outcome = scene.restore(strategy=strategy, checks=checks)
    scene.nothing_left(outcome, before, says=("Items are there", "All of it was undone"), wrote=True)


@pytest.mark.parametrize("strategy", ["schema_swap", "in_place"])
def test_killed_in_the_middle_nothing_is_changed(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder, strategy: str) -> None:
    roles = without_createdb
    scene, sound = damaged(make_scene, roles, folder)
    before = scene.look()
    # Everything is loaded, and a check keeps it from being committed.
    running = scene.start(strategy=strategy, skip_safety_backup="i_accept_data_loss", checks={"sql": [{"query": "SELECT pg_sleep(50)", "expect": ""}]})
    backend = roles.database.wait_for_session("query LIKE '%pg_sleep(50)%'", seconds=60)
    running.stop()
    roles.database.execute(f"SELECT pg_terminate_backend({backend}, 10000)")
    scene.untouched(before)
    assert scene.restore(strategy=strategy).require_success()["changed"]
    assert roles.as_application() == sound


def test_readers_see_the_old_or_the_new_never_a_mixture(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    scene, sound = damaged(make_scene, roles, folder)
    broken = roles.as_application()
    seen: set[tuple[Any, ...]] = set()
    stopped = threading.Event()

    def read() -> None:
        while not stopped.is_set():
            seen.add(roles.as_application())

    readers = [threading.Thread(target=read) for _reader in range(4)]
    for reader in readers:
        reader.start()
    try:
        scene.restore().require_success()
        seen.add(roles.as_application())
    finally:
        stopped.set()
        for reader in readers:
            reader.join()
    assert seen == {broken, sound}


def test_a_transaction_that_uses_the_schemas_is_waited_for(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    scene, sound = damaged(make_scene, roles, folder)
    before = scene.look()
    with roles.database.connected(roles.operator) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; INSERT INTO users (id, mail) VALUES (1000, 'late')")
        outcome = scene.restore(lock_wait_timeout=1)
        scene.nothing_left(outcome, before, says=("locked by another session", "lock_wait_timeout", "All of it was undone"), wrote=True)
        running = scene.start()
        roles.database.wait_for_session("query LIKE 'LOCK TABLE %'", seconds=60)
        # It has found one table under its old name; it must not find another under the new.
        cursor.execute("SELECT to_regclass('shop.prices')")
        assert cursor.fetchone() == (None,)
        cursor.execute("COMMIT")
    running.finish().require_success()
    assert roles.as_application() == sound
    with roles.database.connected(roles.operator) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT count(*) FROM users")
        going_back = scene.roll_back(lock_wait_timeout=1)
        assert going_back.failed
        assert "locked by another session" in going_back.message
        assert roles.as_application() == sound
    scene.roll_back().require_success()
    assert roles.database.rows("SELECT count(*) FROM users WHERE mail = 'late'") == [(1,)]


def test_what_the_archive_does_not_know_is_refused_in_place(make_scene: Callable[..., Scene], without_ownership: Roles, folder: Folder) -> None:
    roles = without_ownership
    scene, sound = damaged(make_scene, roles, folder)
    later = "CREATE FUNCTION later(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
    roles.as_operator("CREATE TABLE contracts (id int)", "INSERT INTO contracts VALUES (1)", later)
    before = scene.look()
    outcome = scene.restore()
    scene.nothing_left(outcome, before, says=("table public.contracts", "function public.later(integer)", "set allow_residue to true"))
    scene.restore(allow_residue=True).require_success()
    assert roles.as_application() == sound
    assert roles.database.rows("SELECT id FROM contracts") == [(1,)]


def test_in_place_also_the_schemas_that_the_archive_has_nothing_in_are_looked_at(
    make_scene: Callable[..., Scene], without_ownership: Roles, folder: Folder
) -> None:
    roles = without_ownership
    roles.as_operator("CREATE SCHEMA hollow")
    scene, sound = damaged(make_scene, roles, folder)
    roles.as_operator("CREATE TABLE hollow.filled AS SELECT 1 AS a", "CREATE SCHEMA since", "CREATE TABLE since.ledger AS SELECT 2 AS a")
    before = scene.look()
    unknown = "2 objects: table hollow.filled, table since.ledger"
    scene.nothing_left(scene.restore(), before, says=(f"the archive does not know {unknown}, which would stay", "set allow_residue to true"))
    outcome = scene.restore(allow_residue=True)
    outcome.require_success()
    assert f"The archive does not know {unknown}, so that stays as it is." in outcome.output
    assert roles.as_application() == sound
    assert roles.database.rows("SELECT a FROM hollow.filled UNION ALL SELECT a FROM since.ledger") == [(1,), (2,)]


def test_in_place_what_a_schema_swap_has_put_aside_is_no_residue(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    scene, sound = damaged(make_scene, without_createdb, folder)
    scene.restore(strategy="schema_swap").require_success()
    scene.restore(strategy="in_place", skip_safety_backup="i_accept_data_loss").require_success()
    assert without_createdb.as_application() == sound


def test_what_depends_on_the_archive_s_objects_undoes_all_of_it(make_scene: Callable[..., Scene], without_ownership: Roles, folder: Folder) -> None:
    roles = without_ownership
    scene, _sound = damaged(make_scene, roles, folder)
    # As in the classic disaster: the view keeps the table from being dropped, and rows would be added to rows.
    roles.as_operator("CREATE VIEW latest AS SELECT id FROM users")
    before = scene.look()
    outcome = scene.restore(allow_residue=True)
    scene.nothing_left(outcome, before, says=("cannot drop", "DROP TABLE"), wrote=True)


def test_check_mode_names_the_strategy_and_changes_nothing(make_scene: Callable[..., Scene], without_ownership: Roles, folder: Folder) -> None:
    scene, _sound = damaged(make_scene, without_ownership, folder)
    before = scene.look()
    planned = scene.restore(check=True).require_success()
    assert planned["strategy"]["name"] == "in_place"
    assert "in one transaction" in planned["msg"]
    scene.untouched(before)


def test_large_objects_keep_schemas_from_being_exchanged(make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder) -> None:
    roles = without_createdb
    roles.as_operator("SELECT lo_from_bytea(4711, 'scan')")
    scene, sound = damaged(make_scene, roles, folder)
    roles.as_operator("SELECT lo_put(4711, 0, 'lost')", "SELECT lo_create(4712)")
    roles.as_operator("SELECT lo_unlink(4712)")
    before = scene.look()
    scene.nothing_left(scene.restore(strategy="schema_swap"), before, says=("large objects, which belong to no schema", "Set strategy to auto or in_place"))
    assert scene.restore().require_success()["strategy"]["name"] == "in_place"
    assert roles.as_application() == sound
    assert bytes(roles.database.value("SELECT lo_get(4711)")) == b"scan"


def test_a_database_that_was_lost_comes_back_as_it_was(
    make_scene: Callable[..., Scene], without_createdb: Roles, folder: Folder, make_database: Callable[..., Database]
) -> None:
    roles = without_createdb
    name = quoted(roles.database.name)
    roles.database.execute(
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO {roles.application}",
        f"ALTER DATABASE {name} SET search_path = shop, public",
        f"ALTER ROLE {roles.application} IN DATABASE {name} SET work_mem = '7MB'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 17",
        f"COMMENT ON DATABASE {name} IS 'The shop'",
    )
    scene = make_scene(roles.database, folder)
    scene.back_up()
    sound, before = roles.as_application(), scene.fingerprint()
    Database(roles.database.server, "postgres").execute(f"DROP DATABASE {name}")
    result = scene.restore(same_database=False).require_success()
    assert result["safety_backup"] is None
    assert "does not exist yet" in result["safety_plan"]
    assert roles.as_application() == sound
    after = scene.fingerprint()
    different = {"comment", "properties"}
    assert {fact: value for fact, value in after.items() if fact not in different} == {fact: value for fact, value in before.items() if fact not in different}
    assert after["comment"].startswith('The shop\n[workon.postgresql_backup {"environment": "staging"')
    for fact in ("datdba", "datconnlimit", "encoding", "datcollate"):
        assert after["properties"][fact] == before["properties"][fact]
    stranger = make_database(roles.database.server).role()
    with pytest.raises(Exception, match="permission denied for database"), roles.database.connected(stranger):
        pass
