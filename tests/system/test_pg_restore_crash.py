# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that is killed, loses its sessions or its server, at each of its states and between them; and the same restore run again.

After every crash the live database is reachable under its name and is wholly the old one or wholly the restored one. The second run succeeds, leaves nothing
of the first but what it replaced, says what it found, and touches no database of anybody else, however much it looks like ours.

The moment is never a matter of timing: a restore in a process of its own stands still at a state until it is told to go on, or it waits for a lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.shadow import create_statement
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases
from harness.ansible_runner import AnsibleRunner, Running
from harness.postgres import PostgresServer
from harness.waiting import NotYet, wait_for
from system.restore_driver import start_restore
from system.restoring import ListedDatabase, Scene, fingerprint, scenes
from system.scenes import PASSWORD, STORE_SECRET, Database, Folder, quoted

_OURS = "application_name LIKE 'workon.postgresql_backup restore%'"

BEFORE_THE_SWAP = ("locked", "saved", "created", "loaded", "proved")
AFTER_THE_SWAP = ("swapped", "checked", "done")
# What the second run says of what the first left.
DROPPED = r"An interrupted restore left {database}__r_[0-9a-f]{{8}}; it is dropped\."
USED = r"An interrupted restore left {database}__r_[0-9a-f]{{8}}, loaded and proved with the same backup; it is proved again and used\."
FINISHED = r"An interrupted restore has swapped this very backup in; only what follows the swap is done\."
OTHERWISE = (
    r"An interrupted restore has swapped this backup in with other options, so it is not gone on with: the backup is restored anew with the present ones\. "
    r"The database from before is kept as {database}__p_[0-9a-f]{{8}}\."
)
FOUND = {"created": (DROPPED,), "loaded": (DROPPED,), "proved": (USED,), "swapped": (FINISHED,)}

_CONTENT = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 300) AS g;
CREATE TABLE missions (id serial PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO missions (user_id) SELECT id FROM users;
CREATE VIEW names AS SELECT name FROM users;
SELECT lo_from_bytea(4711, 'a large object')
"""
_DAMAGE = """
DROP TABLE missions;
DELETE FROM users WHERE id % 3 = 0;
ALTER TABLE users ADD COLUMN added text DEFAULT 'since';
CREATE TABLE later AS SELECT 1 AS a;
SELECT lo_unlink(4711)
"""


class Crash:
    """A database that is damaged after its backup was taken, and what must hold once its restore has crashed, and once it has been run again."""

    def __init__(self, scene: Scene, wanted: dict[str, Any], others: list[ListedDatabase]) -> None:
        self.scene, self.database, self.wanted = scene, scene.database, wanted
        self._others = others
        self.damaged = content(self.database)
        self.before = scene.look()
        assert self.damaged != self.wanted

    def start(self, stop_at: str = "", **options: Any) -> Running:
        """Start a restore that stands still at this state; return once it does. Without a state it does not."""
        return start_restore(self.scene, stop_at, **options)

    def require_live(self, *, restored: bool) -> None:
        """Require that the database is reachable under its name, and is wholly the restored or wholly the old one."""
        assert content(self.database) == (self.wanted if restored else self.damaged)
        oid = self.scene.look().oid
        assert (oid == self.before.oid) is not restored, f"It was {self.before.oid} and is {oid}."
        self._require_others()

    def run_again(self, *, found: tuple[str, ...] = (), replaced: int = 1, **options: Any) -> dict[str, Any]:
        """Run the same restore through Ansible and require that everything has become as it should be.

        ``found`` is what the run must say of the one before, ``replaced`` how many databases were replaced since the beginning.
        """
        result = self.scene.restore(**options).require_success()
        self.require_live(restored=True)
        assert len(result["interrupted"]) == len(found), result["interrupted"]
        for pattern, sentence in zip(found, result["interrupted"], strict=True):
            assert re.fullmatch(pattern.format(database=re.escape(self.database.name)), sentence)
        ours = self.ours()
        assert [one.mark["role"] for one in ours] == ["previous"] * replaced, ours
        assert result["previous"] in {one.name for one in ours}
        (old,) = (one for one in ours if one.oid == self.before.oid)
        assert content(Database(self.database.server, old.name)) == self.damaged
        (live,) = (one for one in self.scene.databases() if one.name == self.database.name)
        assert (live.tag["environment"], live.mark["role"], live.mark["state"]) == ("staging", "live", "done")
        self.scene.no_sessions()
        assert not self.scene.store.unfinished()
        return result

    def ours(self) -> list[ListedDatabase]:
        """Return what restores have left on the server, by its OID."""
        others = {one.oid for one in self._others}
        return [one for one in self.scene.beside() if one.oid not in others]

    def shadow(self) -> Database:
        """Return the database that is being loaded."""
        (found,) = (one for one in self.ours() if one.mark["role"] == "shadow")
        return Database(self.database.server, found.name)

    def end_sessions(self) -> None:
        """End every session of the restore on the server."""
        self.maintenance.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {_OURS}")

    def wait_for_session(self, condition: str) -> int:
        """Wait until a session of the restore, in whatever database, meets a condition on pg_stat_activity; return its process id."""

        def probe() -> int:
            found = self.maintenance.rows(f"SELECT pid FROM pg_stat_activity WHERE {_OURS} AND ({condition})")
            if not found:
                raise NotYet(str(self.maintenance.rows(f"SELECT state, wait_event, query FROM pg_stat_activity WHERE {_OURS}")))
            return int(found[0][0])

        return wait_for(probe, f"A session of the restore with {condition}")

    def wait_for_setting(self, name: str, value: str) -> None:
        """Wait until new sessions have a setting, which is when the server has told all its processes of it."""

        def probe() -> None:
            if (found := self.maintenance.value(f"SHOW {name}")) != value:
                raise NotYet(f"It is {found!r}.")

        wait_for(probe, f"{name} is {value}")

    @contextlib.contextmanager
    def holding(self, *statements: str, database: Database | None = None) -> Iterator[None]:
        """Keep what these statements lock."""
        with (database or self.maintenance).connected() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            for statement in statements:
                cursor.execute(statement)
            yield

    def in_use(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Keep a database from being renamed and dropped, and from nothing else, by a setting for it that is not committed."""
        return self.holding(f"ALTER ROLE {self.database.server.superuser} IN DATABASE {quoted(name)} SET work_mem = '4MB'")

    def wait_for_server(self) -> None:
        """Wait until the server is back after a crash."""

        def probe() -> None:
            try:
                self.maintenance.execute("SELECT 1")
            except psycopg2.OperationalError as error:
                raise NotYet(str(error)) from error

        wait_for(probe, "The server is back", seconds=60)

    @property
    def maintenance(self) -> Database:
        return Database(self.database.server, "postgres")

    def _require_others(self) -> None:
        listed = self.scene.databases()
        assert [one for one in self._others if one not in listed] == []
        assert {one.oid for one in self.before.databases} <= {one.oid for one in listed}


def content(database: Database) -> dict[str, Any]:
    """Return what a database holds and is, but for what tells it from one with the same content."""
    found = {fact: value for fact, value in fingerprint(database).items() if fact != "comment"}
    found["properties"] = {name: value for name, value in found["properties"].items() if name not in ("oid", "datname")}
    return found


@pytest.fixture(scope="module")
def backup_of(postgres: Callable[[int], PostgresServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[PostgresServer], tuple[Path, dict]]]:
    """Return a store with one backup of a database on this server, and what that database holds."""
    made: dict[PostgresServer, tuple[Path, dict[str, Any]]] = {}
    sources: list[Database] = []
    runner = AnsibleRunner([PASSWORD, STORE_SECRET])

    def get(server: PostgresServer) -> tuple[Path, dict[str, Any]]:
        if server not in made:
            sources.append(Database(server, f"source_of_crashes_{server.installation.major}").create())
            sources[-1].execute(_CONTENT)
            store = Folder(tmp_path_factory.mktemp("original"))
            runner.run("pg_backup", **sources[-1].options(), **store.options, name="app").require_success()
            made[server] = store.path, content(sources[-1])
        return made[server]

    yield get
    for source in sources:
        source.drop()


@pytest.fixture
def make_crash(
    ansible: AnsibleRunner,
    pg: PostgresServer,
    make_database: Callable[..., Database],
    folder: Folder,
    backup_of: Callable[[PostgresServer], tuple[Path, dict[str, Any]]],
) -> Iterator[Callable[..., Crash]]:
    """Make a database that a restore is due for, and beside it two that look as if a restore had left them."""
    original, wanted = backup_of(pg)
    for path in original.iterdir():
        folder.write(path.name, path.read_bytes())
    with scenes(ansible) as make_scene:

        def make(**fields: Any) -> Crash:
            database = make_database(pg)
            database.execute(_CONTENT)
            database.execute(_DAMAGE)
            scene = make_scene(database, folder, more={"same_database": None}, **fields).tag()
            # Closed, as a shadow is before it is marked, and called like one.
            look_alike = make_database(pg, f"{database.name}__r_0badcafe")
            look_alike.execute("CREATE TABLE precious AS SELECT 1 AS a")
            Database(pg, "postgres").execute(f"ALTER DATABASE {quoted(look_alike.name)} ALLOW_CONNECTIONS false")
            of_another = make_database(pg, f"{database.name}__r_deadbeef")
            mark = {"restore_id": str(uuid.uuid4()), "role": "shadow", "state": "loading", "database": "another", "target_oid": 1, "backup": "x", "since": "y"}
            Scene(ansible, of_another, folder).comment(f"[workon.postgresql_backup {json.dumps({'restore': mark})}]")
            others = [one for one in scene.databases() if one.name in (look_alike.name, of_another.name)]
            assert len(others) == 2
            return Crash(scene, wanted, others)

        yield make


@pytest.fixture
def crash(make_crash: Callable[..., Crash]) -> Crash:
    return make_crash()


def test_it_ends_well_when_nothing_goes_wrong(crash: Crash) -> None:
    result = crash.run_again()
    assert [event["state"] for event in result["states"]] == [*BEFORE_THE_SWAP, *AFTER_THE_SWAP]
    assert result["proof"]["level"] == "content"


@pytest.mark.every_major
@pytest.mark.parametrize("state", [*BEFORE_THE_SWAP, *AFTER_THE_SWAP])
def test_our_process_killed(crash: Crash, state: str) -> None:
    running = crash.start(state)
    left = {one.oid for one in crash.ours()}
    live = crash.scene.look().oid
    running.kill()
    crash.require_live(restored=state in AFTER_THE_SWAP)
    assert running.processes() == []

    # What was finished is not: a further restore is one of its own.
    result = crash.run_again(found=FOUND.get(state, ()), replaced=2 if state in ("checked", "done") else 1)
    now = crash.scene.look().oid
    assert (now in left) is (state == "proved")
    assert (now == live) is (state == "swapped")
    assert (result["safety_backup"] is None) is (state == "swapped")


@pytest.mark.parametrize("state", [*BEFORE_THE_SWAP, *AFTER_THE_SWAP])
def test_our_sessions_ended(crash: Crash, state: str) -> None:
    running = crash.start(state)
    crash.end_sessions()
    running.tell("Go on.")
    outcome = running.finish()
    if state in BEFORE_THE_SWAP:
        crash.scene.nothing_left(outcome, crash.before, says=("was lost", "run again"), wrote=True)
    crash.require_live(restored=state in AFTER_THE_SWAP)
    if state == "swapped":
        assert outcome.failed
        assert outcome.message.endswith(f"The live database {crash.database.name} is the restored one since the swap. Run again to finish.")
    elif state in AFTER_THE_SWAP:
        outcome.require_success()
    crash.run_again(found=FOUND["swapped"] if state == "swapped" else (), replaced=2 if state in ("checked", "done") else 1)


@pytest.mark.parametrize("state", [*BEFORE_THE_SWAP, *AFTER_THE_SWAP])
def test_the_server_stopped(crash: Crash, state: str) -> None:
    running = crash.start(state)
    if state != "swapped":
        # The servers of the tests write what is committed a little later, and a lost mark only means more to do again. Of the swap nothing may be lost.
        crash.maintenance.execute("CHECKPOINT")
    with server_stopped(crash.database.server):
        running.tell("Go on.")
        outcome = running.finish()
    crash.require_live(restored=state in AFTER_THE_SWAP)
    assert outcome.failed is (state not in ("checked", "done")), outcome.message
    left = crash.ours()
    if outcome.failed:
        assert "did not expect" not in outcome.message
        for one in left:
            # The one from before a swap needs nobody's care.
            assert one.name in outcome.message or one.mark["role"] == "previous"
    if state == "swapped":
        assert outcome.message.endswith("is the restored one since the swap. Run again to finish.")
    crash.run_again(found=FOUND.get(state, ()), replaced=2 if state in ("checked", "done") else 1)


@contextlib.contextmanager
def server_stopped(server: PostgresServer) -> Iterator[None]:
    server.stop("immediate")
    try:
        yield
    finally:
        server.start()


def test_our_process_killed_while_a_safety_backup_is_taken(crash: Crash) -> None:
    with crash.database.locked("users"):
        running = crash.start()
        crash.wait_for_session("query LIKE 'LOCK TABLE%users%' AND wait_event_type = 'Lock'")
        running.kill()
    crash.require_live(restored=False)
    crash.scene.clean_store(crash.before, wrote=False)
    everything_ends(running)
    crash.run_again()


def test_our_process_killed_while_the_archive_is_loaded(crash: Crash) -> None:
    running = crash.start("created")
    # Somebody is about to create the same table, and has not committed.
    with crash.holding("CREATE TABLE users ()", database=crash.shadow()):
        running.tell("Go on.")
        crash.wait_for_session("query LIKE 'CREATE TABLE public.users%' AND wait_event_type = 'Lock'")
        running.kill()
        crash.require_live(restored=False)
        # Its pg_restore waits on, and would load more.
        assert [process.name for process in running.processes()] == ["pg_restore"]
        crash.run_again(found=(DROPPED,))
        everything_ends(running)


# Which of the two renames is kept waiting.
WAITING = {"the first": lambda crash: crash.database, "the second": lambda crash: crash.shadow()}


@contextlib.contextmanager
def middle_of_the_swap(crash: Crash, waits: str) -> Iterator[tuple[Running, int]]:
    """Yield a restore whose renaming session waits in the middle of the transaction, and that session's process id."""
    running = crash.start("proved")
    name = WAITING[waits](crash).name
    with crash.in_use(name):
        running.tell("Go on.")
        yield running, crash.wait_for_session(f"query LIKE 'ALTER DATABASE {quoted(name)} RENAME%' AND wait_event_type = 'Lock'")


@pytest.mark.parametrize("waits", WAITING)
def test_our_process_killed_in_the_middle_of_the_swap(crash: Crash, waits: str) -> None:
    with middle_of_the_swap(crash, waits) as (running, dummy):
        running.kill()
    crash.require_live(restored=False)
    crash.run_again(found=(USED,))


def test_our_host_lost_between_a_rename_and_the_commit(crash: Crash) -> None:
    """Nothing is heard of it, and its connections stay open: the server undoes the exchange, for whose end every newcomer waits."""
    with middle_of_the_swap(crash, "the second") as (running, renamer):
        (application,) = crash.maintenance.rows("SELECT application_name FROM pg_stat_activity WHERE pid = %s", renamer)[0]
        os.kill(int(application.rpartition("process ")[2]), signal.SIGSTOP)
    assert crash.wait_for_session("state = 'idle in transaction'") == renamer
    began = time.monotonic()
    crash.require_live(restored=False)
    assert time.monotonic() - began < 15
    running.kill()
    crash.run_again(found=(USED,))


@pytest.mark.parametrize("waits", WAITING)
def test_the_renaming_session_ended_in_the_middle_of_the_swap(crash: Crash, waits: str) -> None:
    """It is tried again, and whoever was in the way is gone."""
    with middle_of_the_swap(crash, waits) as (running, renamer):
        assert crash.maintenance.value(f"SELECT pg_terminate_backend({renamer}, 5000)")
    running.finish().require_success()
    crash.require_live(restored=True)
    assert [one.mark["role"] for one in crash.ours()] == ["previous"]


def test_a_database_that_stays_in_use(crash: Crash) -> None:
    with crash.in_use(crash.database.name):
        outcome = crash.scene.restore()
    crash.scene.nothing_left(outcome, crash.before, says=("after 4 tries, and nothing was changed: another session holds a lock on",), wrote=True)


@pytest.mark.parametrize("waits", WAITING)
def test_the_server_crashed_in_the_middle_of_the_swap(crash: Crash, waits: str) -> None:
    """The server comes back by itself, as it does after one of its processes was killed."""
    with middle_of_the_swap(crash, waits) as (running, renamer):
        os.kill(renamer, signal.SIGKILL)
        outcome = running.finish()
        crash.wait_for_server()
    crash.scene.nothing_left(outcome, crash.before, says=("could not be exchanged", "nothing was changed"), wrote=True)
    crash.run_again()


def test_a_signal_in_the_middle_of_the_swap(crash: Crash) -> None:
    with crash.in_use(crash.database.name):
        running = crash.scene.start()
        renamer = crash.wait_for_session("query LIKE 'ALTER DATABASE % RENAME%' AND wait_event_type = 'Lock'")
        (application,) = crash.maintenance.rows("SELECT application_name FROM pg_stat_activity WHERE pid = %s", renamer)[0]
        os.kill(int(application.rpartition("process ")[2]), signal.SIGTERM)
        outcome = running.finish()
    crash.scene.nothing_left(outcome, crash.before, says=("stopped from outside",), wrote=True)
    crash.run_again()


@contextlib.contextmanager
def commit_without_an_answer(crash: Crash) -> Iterator[tuple[Running, int]]:
    """Yield a restore whose swap is committed while its session still waits for a standby that never comes, and that session's process id."""
    running = crash.start("proved")
    crash.maintenance.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    try:
        crash.wait_for_setting("synchronous_standby_names", "nobody")
        # The checkpointer is who makes commits wait, and it reads settings before it obeys.
        crash.maintenance.execute("CHECKPOINT")
        running.tell("Go on.")
        yield running, crash.wait_for_session("query = 'COMMIT' AND wait_event = 'SyncRep'")
    finally:
        crash.wait_for_server()
        crash.maintenance.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")


def test_the_answer_to_the_commit_lost(crash: Crash) -> None:
    with commit_without_an_answer(crash) as (running, renamer):
        assert crash.maintenance.value(f"SELECT pg_terminate_backend({renamer}, 5000)")
        result = running.finish().require_success()
    crash.require_live(restored=True)
    assert [event["state"] for event in result["states"]] == [*BEFORE_THE_SWAP, *AFTER_THE_SWAP]
    (previous,) = crash.ours()
    assert (previous.oid, previous.name) == (crash.before.oid, result["previous"])


def test_the_server_crashed_at_the_commit(crash: Crash) -> None:
    """The copy is the live database by then: whoever dropped it as a failed one would drop that."""
    with commit_without_an_answer(crash) as (running, renamer):
        os.kill(renamer, signal.SIGKILL)
        outcome = running.finish()
        crash.wait_for_server()
    crash.require_live(restored=True)
    assert outcome.failed
    assert outcome.message.endswith("is the restored one since the swap. Run again to finish.")
    crash.run_again(found=(FINISHED,))


def test_our_process_killed_at_the_commit(crash: Crash) -> None:
    with commit_without_an_answer(crash) as (running, dummy):
        running.kill()
    crash.require_live(restored=True)
    crash.run_again(found=(FINISHED,))


def everything_ends(running: Running) -> None:
    """Require that what a killed run had started ends as well."""

    def probe() -> None:
        if found := running.processes():
            raise NotYet(str(found))

    wait_for(probe, "The programs of the killed run end", seconds=10)


@pytest.mark.every_major
def test_a_database_created_and_not_yet_marked(crash: Crash) -> None:
    """The statement that creates cannot say whose it is, so this is what a crash right after it leaves."""
    name = beside(crash.database.name, "shadow", str(uuid.uuid4()))
    crash.maintenance.execute(create_statement(name, {}, None, crash.database.server.installation.major))
    crash.run_again(found=(DROPPED,))


def killed_at(crash: Crash, state: str, **options: Any) -> None:
    """Leave what a restore leaves that is killed at this state."""
    crash.start(state, **options).kill()
    crash.scene.no_sessions()


def test_our_process_killed_while_it_drops_what_another_left(crash: Crash) -> None:
    killed_at(crash, "loaded")
    with crash.in_use(crash.shadow().name):
        running = crash.start()
        dropper = crash.wait_for_session("query LIKE 'DROP DATABASE%' AND wait_event_type = 'Lock'")
        running.kill()
        assert crash.maintenance.value(f"SELECT pg_terminate_backend({dropper}, 5000)")
    crash.require_live(restored=False)
    crash.run_again(found=(DROPPED,))


def test_a_copy_half_dropped(crash: Crash) -> None:
    killed_at(crash, "loaded")
    # So the server marks a database whose DROP did not come to its end. It can be dropped, and nothing else.
    crash.maintenance.execute(f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{crash.shadow().name}'")
    crash.run_again(found=(DROPPED,))


def test_what_bears_another_name_by_now_is_not_dropped(crash: Crash) -> None:
    """A copy that was swapped in after all is the live database, whatever the run believes that made it."""
    with Database(crash.database.server, "postgres").session() as session:
        databases.drop_database(session, crash.before.oid, f"{crash.database.name}__r_01234567")
    crash.require_live(restored=False)


def test_copies_of_several_crashes(crash: Crash) -> None:
    for state in ("created", "loaded"):
        killed_at(crash, state)
        crash.require_live(restored=False)
    # Each run dropped what it found, but for the last.
    assert len(crash.ours()) == 1
    crash.run_again(found=(DROPPED,))


def test_a_proved_copy_of_another_backup_is_not_used(crash: Crash) -> None:
    killed_at(crash, "proved")
    Scene(crash.scene.ansible, crash.database, crash.scene.store).back_up(name="other")
    proved = crash.shadow()
    result = crash.scene.restore(name="other", same_database=True).require_success()
    assert result["interrupted"] == [f"An interrupted restore left {proved.name}; it is dropped."]
    assert content(crash.database) == crash.damaged
    assert [one.mark["role"] for one in crash.ours()] == ["previous"]


def test_what_was_swapped_in_with_other_options_is_not_taken_for_this_restore(crash: Crash) -> None:
    killed_at(crash, "swapped", ownership="operator")
    live = crash.scene.look().oid
    result = crash.run_again(found=(OTHERWISE,), replaced=2)
    assert crash.scene.look().oid != live
    assert result["ownership"]["mode"] == "archive"
    # What is replaced this time holds what its users have written since.
    assert result["safety_backup"] is not None


def test_a_proved_copy_that_lacks_what_this_role_can_restore_is_not_used(crash: Crash) -> None:
    role = crash.database.role("CREATEDB")
    crash.database.execute(
        "CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION noted()",
        f"ALTER DATABASE {quoted(crash.database.name)} OWNER TO {role}",
    )
    crash.scene.back_up(name="other")
    options = {"name": "other", "same_database": True, "ownership": "operator", "unrestorable": "skip", "skip_safety_backup": "i_accept_data_loss"}
    crash.scene.user = role
    killed_at(crash, "proved", **options)
    proved = crash.shadow()
    crash.scene.user = None
    result = crash.scene.restore(**options).require_success()
    assert result["skipped_entries"] == []
    assert result["interrupted"] == [f"An interrupted restore left {proved.name}; it is dropped."]
    assert crash.database.value("SELECT count(*) FROM pg_event_trigger") == 1


@pytest.mark.parametrize(("state", "needs_room"), [("created", True), ("loaded", True), ("proved", False), ("swapped", False)])
def test_what_is_loaded_already_needs_no_room(crash: Crash, state: str, needs_room: bool) -> None:
    killed_at(crash, state)
    refusals = crash.scene.refusals(available_disk=1)
    assert [refusal.partition(" beside")[0].startswith("The restored copy needs about") for refusal in refusals] == [True] * needs_room
    if not needs_room:
        crash.run_again(found=FOUND[state], available_disk=1)


def test_the_way_back_after_a_crash(crash: Crash) -> None:
    killed_at(crash, "swapped")
    crash.require_live(restored=True)
    crash.scene.roll_back().require_success()
    crash.require_live(restored=False)
    assert [one.mark["role"] for one in crash.ours()] == ["rejected"]


def test_the_phrase_of_a_crashed_restore_still_holds_for_its_repetition_and_for_no_other(make_crash: Callable[..., Crash]) -> None:
    crash = make_crash(environment="production")
    permitted = {"allow_production": True, "allow_cross_environment": True}
    phrase = crash.scene.restore(check=True, **permitted).require_success()["confirm"]
    for state in ("created", "swapped"):
        killed_at(crash, state, **permitted, confirm=phrase)
    result = crash.scene.restore(**permitted, confirm=phrase).require_success()
    assert [re.fullmatch(FINISHED, sentence) is not None for sentence in result["interrupted"]] == [True]
    crash.require_live(restored=True)
    again = crash.scene.restore(**permitted, confirm=phrase)
    assert again.failed
    assert "is not the phrase for this backup and the database" in again.message


def test_a_check_that_fails_in_the_second_run_swaps_back(crash: Crash) -> None:
    killed_at(crash, "swapped")
    outcome = crash.scene.restore(checks={"min_rows": {"users": 1000}})
    assert outcome.failed
    assert "The live database is again the one from before" in outcome.message
    crash.require_live(restored=False)
    assert [one.name for one in crash.ours()] == [outcome.result["rejected"]]


def test_what_was_written_since_an_interrupted_swap_is_told(crash: Crash) -> None:
    killed_at(crash, "swapped")
    crash.database.execute("DELETE FROM missions WHERE id > 290")
    found = crash.scene.restore()
    result = found.require_success()
    assert result["proof"]["level"] == "none"
    assert re.search(r"has changed since: .*public\.missions", " ".join(result["proof"]["unproved"]))
    assert "run again" in found.output
    # It was not thrown away, and is once that is asked for.
    assert crash.database.value("SELECT count(*) FROM missions") == 290
    assert crash.scene.restore().require_success()["interrupted"] == []
    crash.require_live(restored=True)


def test_another_strategy_after_an_interrupted_swap_saves_first(crash: Crash) -> None:
    killed_at(crash, "swapped")
    assert crash.scene.restore(check=True).require_success()["safety_plan"].startswith("none")
    plan = crash.scene.restore(check=True, strategy="in_place").require_success()
    assert plan["safety_plan"].startswith(str(crash.scene.store.options["directory"]))
