# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_restore_safe refuses on real servers, in a sentence with the option that would change it; and that looking has changed nothing.

Most of it is asked of the plan in this process. What the same refusal does to a run is in test_pg_restore_safe.py.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import LogicalReplicationConnection

from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import target_facts
from harness.ansible_runner import AnsibleRunner
from harness.pooler import PgBouncer, find_pgbouncer
from harness.postgres import PostgresServer, installation
from system.restoring import Scene, scenes
from system.scenes import MAJORS, PASSWORD, STORE_SECRET, Database, Folder, quoted

_CONTENT = "CREATE TABLE users AS SELECT g AS id, 'user ' || g AS name FROM generate_series(1, 200) AS g; CREATE SEQUENCE numbers"


@pytest.fixture(scope="module")
def runner() -> Iterator[AnsibleRunner]:
    """Runs modules for what the tests of this module share."""
    found = AnsibleRunner([PASSWORD, STORE_SECRET])
    yield found
    found.stop_all()


@pytest.fixture(scope="module")
def shared(postgres: Callable[[int], PostgresServer], tmp_path_factory: pytest.TempPathFactory, runner: AnsibleRunner) -> Iterator[Scene]:
    """A database of the newest server with one backup, both of staging."""
    database = Database(postgres(MAJORS[-1]), f"shared_{uuid.uuid4().hex[:8]}").create()
    try:
        database.execute(_CONTENT)
        scene = Scene(runner, database, Folder(tmp_path_factory.mktemp("store"))).tag()
        scene.back_up()
        yield scene
    finally:
        database.drop()


@pytest.fixture
def scene(shared: Scene) -> Iterator[Scene]:
    """The shared scene, which no test may change: what a plan looks at is as it was, and nothing was written."""
    before = shared.tag().look()
    yield shared
    shared.tag().untouched(before)


@pytest.fixture
def make_scene(ansible: AnsibleRunner) -> Iterator[Callable[..., Scene]]:
    with scenes(ansible) as make:
        yield make


def require(refusals: list[str], *parts: str) -> None:
    """Require one refusal for each part, in any order, and no other."""
    assert len(refusals) == len(parts), refusals
    for part in parts:
        assert any(part in refusal for refusal in refusals), f"{part!r} is in none of {refusals}"
    for refusal in refusals:
        assert refusal.endswith("."), refusal


TAGS = {
    "production": '[workon.postgresql_backup {"environment": "production"}]',
    "dev": '[workon.postgresql_backup {"environment": "dev"}]',
    "unreadable": '[workon.postgresql_backup {"environment": "STAGING"}]',
    "twice": '[workon.postgresql_backup {"environment": "staging"}] [workon.postgresql_backup {"environment": "dev"}]',
}


@pytest.mark.parametrize(
    ("comment", "options", "parts"),
    [
        (None, {}, ["carries no environment tag and therefore counts as production", "is production. Set allow_production"]),
        ("staging", {}, ["carries no environment tag", "is production."]),
        (None, {"environment": "production"}, ["is production. Set allow_production", "is of the environment staging, and the target is production"]),
        (TAGS["dev"], {}, ["is tagged dev. Check the target; if it is right, set environment to dev."]),
        (TAGS["production"], {}, ["is tagged production.", "is production."]),
        (TAGS["production"], {"allow_production": True}, ["is tagged production."]),
        (TAGS["production"], {"environment": "production", "allow_production": True}, ["is of the environment staging, and the target is production."]),
        (TAGS["production"], {"environment": "production", "allow_production": True, "allow_cross_environment": True}, []),
        (TAGS["unreadable"], {}, ["the tag of this software in its comment cannot be read", "is production."]),
        (TAGS["twice"], {}, ["its comment holds more than one tag of this software", "is production."]),
    ],
)
def test_the_environment_of_the_target(scene: Scene, comment: str | None, options: dict[str, Any], parts: list[str]) -> None:
    scene.comment(comment)
    require(scene.refusals(**options), *parts)


def test_what_was_meant_is_not_refused(scene: Scene) -> None:
    plan = scene.plan()
    assert plan["strategy"]["name"] == "swap"
    assert plan["confirm"] is None
    assert plan["safety_plan"].startswith(f"{scene.store.path}/app_")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"protected_hosts": ["127.0.0.1"]}, "The host 127.0.0.1 is protected: protected_hosts has the pattern 127.0.0.1."),
        ({"protected_hosts": ["db.example.com", "127.*"], "allow_production": True}, "has the pattern 127.*."),
        ({"protected_hosts": ["*/shared_*"]}, "has the pattern */shared_*."),
        ({"same_database": False}, "is of the target itself (database shared_"),
        ({"skip_safety_backup": "yes"}, "skip_safety_backup is 'yes'. Leave it out, or set it to i_accept_data_loss"),
        ({"environment": "Staging"}, "The environment 'Staging' is not a name"),
        ({"jobs": 0}, "jobs is 0; it is how many connections load at a time."),
        ({"pg_bin_dir": "/nowhere"}, "pg_bin_dir is /nowhere, but there is no working pg_dump and pg_restore in it."),
        ({"name": "other"}, "The store holds no valid backup under this prefix and name"),
        ({"backup": "before:2026-01-08T10:30:00Z"}, "holds no valid backup from before 2026-01-08T10:30:00.000Z"),
        ({"backup": "before:yesterday"}, "is not an RFC 3339 time"),
        ({"backup": "app_2020-01-01_000000.dump"}, "app_2020-01-01_000000.dump"),
        ({"backup": "s3://bucket"}, "which names no object. Write it as s3://bucket/key."),
        ({"backup": "/nowhere/x.dump"}, "/nowhere does not exist."),
        ({"backup": "/etc/x.dump"}, "There is no archive /etc/x.dump. Check backup."),
        ({"directory": None}, "backup is latest, which is looked for in a store, and no store is named. Set bucket or directory, or backup to a path."),
        ({"strategy": "in_place", "maintenance_database": "nowhere"}, None),
        ({"available_disk": 1}, "The restored copy needs about "),
        ({"available_disk": 10**12}, None),
    ],
)
def test_one_thing_at_a_time(scene: Scene, options: dict[str, Any], part: str | None) -> None:
    require(scene.refusals(**options), *([part] if part else []))


def test_several_reasons_are_reported_together(scene: Scene) -> None:
    """And by a run of the module, which then has written nothing either."""
    options = {"protected_hosts": ["127.0.0.1"], "same_database": False, "skip_safety_backup": "yes", "environment": "production", "available_disk": 1}
    before = scene.look()
    outcome = scene.restore(**options)
    parts = ["is protected", "is of the target itself", "skip_safety_backup is 'yes'", "is tagged staging", "is production. Set", "confirm is not set"]
    require(outcome.result["refusals"], *parts, "is of the environment staging", "The restored copy needs about")
    scene.nothing_left(outcome, before, says=tuple(parts))
    assert not outcome.result.get("changed")


def test_a_backup_of_another_database_is_not_the_target_s_own(scene: Scene, make_database: Callable[..., Database]) -> None:
    other = Scene(scene.ansible, make_database(scene.database.server), scene.store).tag()
    other.database.execute("CREATE TABLE mine AS SELECT 1 AS a")
    require(other.refusals(), "same_database is true, but the backup")
    plan = other.plan(same_database=None)
    # It would get a row of safety backups of its own.
    assert f"/{other.database.name}-staging_" in plan["safety_plan"]
    assert "/mine_" in other.plan(same_database=None, safety_name="mine")["safety_plan"]


def test_a_target_that_does_not_exist_needs_no_safety_backup(scene: Scene) -> None:
    name = f"new_{uuid.uuid4().hex[:8]}"
    new = Scene(scene.ansible, Database(scene.database.server, name), scene.store, more={"same_database": None})
    plan = new.plan()
    assert plan["safety_plan"] == "none, the database does not exist yet, so there is nothing to lose"
    assert plan["target"]["exists"] is False
    assert "(does not exist yet) would be restored" in plan["msg"]
    require(new.refusals(strategy="in_place"), f"strategy is in_place, but the database {name} does not exist.")
    require(new.refusals(environment="production"), "is production. Set allow_production", "is of the environment staging")
    require(new.refusals(ownership="live"), "ownership is live, but there is no live database to take owners and privileges from.")
    role = scene.database.role()
    assert "has no CREATEDB" in " ".join(Scene(scene.ansible, new.database, scene.store, user=role, more={"same_database": None}).refusals())


_SOMETHING = [
    ("VIEW", "v", "AS SELECT 1 AS a"),
    ("FUNCTION", "f()", "RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ("TYPE", "y", "AS (a int)"),
    ("SEQUENCE", "s", ""),
]


def test_an_empty_target_needs_no_safety_backup(scene: Scene, make_database: Callable[..., Database]) -> None:
    empty = Scene(scene.ansible, make_database(scene.database.server), scene.store, more={"same_database": None}).tag()
    # What initdb and extensions bring is nobody's.
    empty.database.execute("CREATE EXTENSION citext")
    assert empty.plan()["safety_plan"] == "none, the database holds nothing, so there is nothing to lose"
    for kind, name, rest in _SOMETHING:
        empty.database.execute(f"CREATE {kind} {name} {rest}")
        assert empty.plan()["safety_plan"].endswith(".dump"), kind
        empty.database.execute(f"DROP {kind} {name}")
    empty.database.execute("SELECT lo_create(0)")
    assert empty.plan()["safety_plan"].endswith(".dump")
    assert empty.plan(skip_safety_backup="i_accept_data_loss")["safety_plan"] == "none, skip_safety_backup is i_accept_data_loss"


def test_what_the_plan_says_and_does_not_do(scene: Scene) -> None:
    scene.database.execute("DELETE FROM users WHERE id > 150", "CREATE TABLE later AS SELECT 1 AS a")
    try:
        before = scene.look()
        plan = scene.plan(checks={"min_rows": {"users": 1}})
        assert plan["tables"] == [
            {"table": "public.later", "rows_now": 1, "rows_in_backup": None},
            {"table": "public.users", "rows_now": 150, "rows_in_backup": 200},
        ]
        assert plan["diff"]["before"] == "public.later: 1 rows\npublic.users: 150 rows\n"
        assert plan["diff"]["after"].startswith("public.users: 200 rows\nwrites of the last ")
        assert plan["data_loss_window"]["from"] == plan["backup"]["snapshot_at"]
        assert plan["data_loss_window"]["seconds"] < 600
        assert plan["ownership"]["mode"] == "archive"
        assert (plan["skipped_entries"], plan["interrupted"]) == ([], [])
        scene.untouched(before)
    finally:
        scene.database.execute("DROP TABLE later", "INSERT INTO users SELECT g, 'user ' || g FROM generate_series(151, 200) AS g")


@pytest.fixture
def damaged_store(scene: Scene, tmp_path: Path) -> Callable[[Callable[[bytes], bytes]], Scene]:
    """Copy the store with the archive changed; its size may have to be as recorded to be chosen at all."""

    def damage(change: Callable[[bytes], bytes]) -> Scene:
        folder = Folder(tmp_path / uuid.uuid4().hex)
        folder.path.mkdir()
        for key in scene.store.listing():
            content = scene.store.read(key)
            folder.write(key, change(content) if key.endswith(".dump") else content)
        return Scene(scene.ansible, scene.database, folder)

    return damage


def _flipped(position: float) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        at = int(position * (len(content) - 1))
        return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]

    return change


@pytest.mark.parametrize("position", [0.0, 0.3, 0.6, 0.99, 1.0])
def test_check_mode_finds_a_flipped_bit(damaged_store: Callable[..., Scene], position: float) -> None:
    (refusal,) = damaged_store(_flipped(position)).refusals()
    assert "Nothing was touched. Set backup to another one." in refusal or "it does not begin as one. Set backup" in refusal


@pytest.mark.parametrize("left", [0, 1, 8, 100, 0.5, -1])
def test_a_truncated_archive_is_refused_with_a_manifest_and_without(scene: Scene, damaged_store: Callable[..., Scene], tmp_path: Path, left: float) -> None:
    def cut(content: bytes) -> bytes:
        return content[: int(left * len(content)) if isinstance(left, float) else left]

    cut_short = damaged_store(cut)
    # One that is shorter than recorded is no valid backup, and not the latest.
    assert len(cut_short.refusals()) == 1
    (key,) = (key for key in scene.store.listing() if key.endswith(".dump"))
    bare = tmp_path / "bare.dump"
    bare.write_bytes(cut(scene.store.read(key)))
    (refusal,) = scene.refusals(backup=str(bare))
    assert "damaged" in refusal or "it does not begin as one" in refusal


@pytest.mark.parametrize(
    ("name", "content"), [("x.sql.gz", gzip.compress(b"SELECT 1;" * 1000, mtime=0)), ("x.sql", b"SELECT 1;\n" * 1000), ("x.tar", b"toc.dat" + b"\0" * 10240)]
)
def test_what_is_no_archive_is_refused(scene: Scene, tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    require(scene.refusals(backup=str(path)), "This is not an archive in pg_dump's custom format (pg_dump --format=custom): it does not begin as one.")


def test_of_a_foreign_archive_the_plan_knows_what_it_can(scene: Scene, tmp_path: Path) -> None:
    (key,) = (key for key in scene.store.listing() if key.endswith(".dump"))
    bare = tmp_path / "workon.dump"
    bare.write_bytes(scene.store.read(key))
    plan = scene.plan(backup=str(bare))
    assert plan["backup"]["manifest"] is False
    assert plan["data_loss_window"] is None
    assert plan["tables"] == [{"table": "public.users", "rows_now": 200, "rows_in_backup": None}]
    assert plan["safety_plan"].rpartition("/")[2].startswith(f"{scene.database.name}-staging_")


# What belongs to a server of its own.


@pytest.fixture(scope="module")
def replicating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that publishes changes and holds prepared transactions."""
    settings = {"fsync": "off", "wal_level": "logical", "max_prepared_transactions": "5"}
    with PostgresServer(installation(MAJORS[-1]), settings=settings, password=PASSWORD) as server:
        yield server


@pytest.fixture
def hung_on(replicating: PostgresServer, scene: Scene, make_database: Callable[..., Database]) -> Scene:
    """A database of that server, to be restored from a backup of another one."""
    found = Scene(scene.ansible, make_database(replicating), scene.store, more={"same_database": None}).tag()
    found.database.execute("CREATE TABLE users (id int)")
    return found


def test_what_replication_hangs_on(hung_on: Scene) -> None:
    hung_on.database.execute("SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')")
    try:
        require(hung_on.refusals(), f"The database {hung_on.database.name} has replication slot cdc, which stay with the replaced database after a swap")
        assert hung_on.refusals(acknowledge_replication=True) == []
    finally:
        hung_on.database.execute("SELECT pg_drop_replication_slot('cdc')")
    hung_on.database.execute("CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = NONE)")
    try:
        require(hung_on.refusals(), "has subscription sub, which stay")
    finally:
        hung_on.database.execute("DROP SUBSCRIPTION sub")


def test_a_sender_of_replication_is_sent_away_where_that_is_acknowledged(hung_on: Scene, folder: Folder) -> None:
    server, name = hung_on.database.server, hung_on.database.name
    hung_on.database.execute("SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')")
    address = {"host": server.host, "port": server.port, "user": server.superuser, "password": PASSWORD, "dbname": name}
    consumer = psycopg2.connect(**address, connection_factory=LogicalReplicationConnection)
    try:
        consumer.cursor().start_replication(slot_name="cdc", decode=False)
        (archive,) = (key for key in hung_on.store.listing() if key.endswith(".dump"))
        elsewhere = {"backup": f"{hung_on.store.options['directory']}/{archive}", **folder.options}
        previous = hung_on.restore(**elsewhere, acknowledge_replication=True).require_success()["previous"]
        slot = Database(server, "postgres").rows("SELECT database, active FROM pg_replication_slots WHERE slot_name = 'cdc'")
        assert slot == [(previous, False)]
        assert hung_on.database.value("SELECT count(*) FROM users") == 200
    finally:
        consumer.close()
        hung_on.database.execute("SELECT pg_drop_replication_slot('cdc')")
    hung_on.drop_beside()


def test_a_prepared_transaction(hung_on: Scene) -> None:
    with hung_on.database.connected() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO users VALUES (1)")
        cursor.execute("PREPARE TRANSACTION 'shop 1'")
        require(hung_on.refusals(), "has prepared transaction shop 1, and no database with such can be renamed.")
        cursor.execute("ROLLBACK PREPARED 'shop 1'")
    assert hung_on.refusals() == []


def test_a_template_and_a_database_that_lets_nobody_in(hung_on: Scene) -> None:
    name, maintenance = hung_on.database.name, Database(hung_on.database.server, "postgres")
    maintenance.execute(f"ALTER DATABASE {name} IS_TEMPLATE true")
    require(hung_on.refusals(), f"The database {name} is a template for new databases. Set database to another one.")
    maintenance.execute(f"ALTER DATABASE {name} IS_TEMPLATE false ALLOW_CONNECTIONS false")
    refusals = hung_on.refusals()
    assert any(f"The database {name} allows no connections" in refusal and f"ALTER DATABASE {name} ALLOW_CONNECTIONS true" in refusal for refusal in refusals)


def test_a_standby(hung_on: Scene) -> None:
    with hung_on.database.server.standby() as standby:
        standby.catch_up()
        replica = Scene(hung_on.ansible, Database(standby, hung_on.database.name), hung_on.store, more={"same_database": None})
        (refusal,) = (refusal for refusal in replica.refusals() if "standby" in refusal)
        assert "which takes no writes. Set database_url or login_host to the primary." in refusal


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler(hung_on: Scene, mode: Any) -> None:
    """In session mode too: it keeps sessions open in the databases that are renamed, and pg_restore's settings do not get through it."""
    if find_pgbouncer() is None:
        pytest.skip("pgbouncer is not here and could not be downloaded by apt.")
    with PgBouncer(hung_on.database.server, mode) as pooler:
        options = {**hung_on.database.login(login_port=pooler.port), "database_url": None}
        for state in ("restored", "rolled_back"):
            (refusal,) = hung_on.refusals(**options, state=state)
            assert refusal.startswith("The connection goes through a connection pooler (")
            assert "Set database_url or login_host and login_port to the server's direct address" in refusal


# What the other version's server lacks.


@pytest.fixture(scope="module")
def old_and_new(postgres: Callable[[int], PostgresServer], tmp_path_factory: pytest.TempPathFactory, runner: AnsibleRunner) -> Iterator[tuple[Scene, Scene]]:
    """A database of the oldest server with an extension, roles and a tablespace that the newest does not have, and an empty one there."""
    if len(MAJORS) < 2:
        pytest.skip("This needs servers of two versions.")
    old, new = (Database(postgres(major), f"{name}_{uuid.uuid4().hex[:8]}").create() for major, name in ((MAJORS[0], "old"), (MAJORS[-1], "new")))
    role = old.role()
    space = f"space_{uuid.uuid4().hex[:8]}"
    try:
        old.execute(
            _CONTENT,
            "CREATE EXTENSION adminpack",
            "SET allow_in_place_tablespaces = on",
            f"CREATE TABLESPACE {space} LOCATION ''",
            f"CREATE TABLE spacious (a int) TABLESPACE {space}",
            f"GRANT SELECT ON users TO {role}",
        )
        scene = Scene(runner, old, Folder(tmp_path_factory.mktemp("store")), more={"same_database": None})
        scene.back_up()
        newer = Scene(runner, new, scene.store, more={"same_database": None}).tag()
        newer.database.execute("CREATE TABLE mine AS SELECT 1 AS a")
        yield scene, newer
    finally:
        old.drop()
        new.drop()
        Database(old.server, "postgres").execute(f"DROP TABLESPACE IF EXISTS {space}")


EXTENSION = "The archive needs extension adminpack, which the server does not have."
TABLESPACE = "The archive names tablespace space_"


def test_an_extension_and_a_tablespace_that_the_server_does_not_have(old_and_new: tuple[Scene, Scene]) -> None:
    new = old_and_new[1]
    before = new.look()
    require(new.refusals(), EXTENSION, TABLESPACE)
    require(new.refusals(exclude_extensions=["adminpack"]), TABLESPACE)
    require(new.refusals(no_tablespaces=True), EXTENSION)
    plan = new.plan(exclude_extensions=["adminpack"], no_tablespaces=True)
    assert plan["skipped_entries"] == [
        {"entry": "EXTENSION - adminpack", "reason": "left out by exclude_extensions"},
        {"entry": "COMMENT - EXTENSION adminpack", "reason": "its extension is not restored"},
    ]
    assert plan["ownership"]["mode"] == "live"
    assert "the server has no role role_" in plan["ownership"]["why"]
    new.untouched(before)


def test_a_role_that_is_missing_where_there_is_no_live_database(old_and_new: tuple[Scene, Scene]) -> None:
    new = old_and_new[1]
    nowhere = Scene(new.ansible, Database(new.database.server, "nowhere"), new.store, more={"same_database": None})
    options = {"exclude_extensions": ["adminpack"], "no_tablespaces": True}
    (refusal,) = nowhere.refusals(**options)
    assert "Owners and privileges of the archive cannot be set: the server has no role role_" in refusal
    assert refusal.endswith("map them with role_map, or set ownership to operator.")
    assert nowhere.plan(**options, ownership="operator")["ownership"]["mode"] == "operator"
    missing = refusal.partition("no role ")[2].partition(".")[0]
    assert nowhere.plan(**options, role_map={missing: "postgres"})["ownership"]["mode"] == "mapped"
    require(nowhere.refusals(**options, role_map={missing: "typo"}), "the server has no role typo.")


def test_an_archive_that_the_client_or_the_server_is_too_old_for(old_and_new: tuple[Scene, Scene], shared: Scene) -> None:
    old = old_and_new[0]
    target = Scene(old.ansible, old.database, shared.store, more={"same_database": None}).tag()
    before = target.look()
    major, newest = MAJORS[0], MAJORS[-1]
    require(target.refusals(), f"The archive was made by pg_dump {newest}, and the client programs found ({major}.")
    options = {"pg_bin_dir": str(installation(newest).bin_dir)}
    require(target.refusals(**options), f"is of PostgreSQL {newest}.")
    assert target.plan(**options, allow_older_server=True)["client"]["version"].startswith(f"{newest}.")
    target.untouched(before)


# What a role may not do.


def test_an_extension_that_only_a_superuser_creates(old_and_new: tuple[Scene, Scene]) -> None:
    old = old_and_new[0]
    user = old.database.role("CREATEDB")
    options = {"same_database": None, "no_tablespaces": True, "ownership": "operator"}
    new = Scene(old.ansible, Database(old.database.server, "nowhere"), old.store, user=user, more=options)
    require(new.refusals(), f"The role {user} may not create 2 of the archive's entries: EXTENSION - adminpack (only superusers may create this extension)")
    skipped = [entry["entry"] for entry in new.plan(unrestorable="skip")["skipped_entries"]]
    assert skipped == ["EXTENSION - adminpack", "COMMENT - EXTENSION adminpack"]
    plan = new.plan(exclude_extensions=["adminpack"])
    assert [(entry["entry"], entry["reason"]) for entry in plan["skipped_entries"]] == [
        (skipped[0], "left out by exclude_extensions"),
        (skipped[1], "its extension is not restored"),
    ]
    assert new.plan(unrestorable="attempt")["skipped_entries"] == []


def test_a_role_that_neither_owns_the_database_nor_may_create_one(scene: Scene) -> None:
    stranger = scene.database.role()
    (refusal,) = Scene(scene.ansible, scene.database, scene.store, user=stranger).refusals(strategy="swap", skip_safety_backup="i_accept_data_loss")
    assert f"the role {stranger} has no CREATEDB" in refusal
    assert f"the role {stranger} does not own the database {scene.database.name} (its owner is postgres)" in refusal


def test_a_safety_backup_that_the_role_cannot_take(scene: Scene, make_database: Callable[..., Database]) -> None:
    database = make_database(scene.database.server)
    owner = database.role("CREATEDB")
    database.execute("CREATE TABLE closed AS SELECT 1 AS a", f"ALTER DATABASE {database.name} OWNER TO {owner}")
    target = Scene(scene.ansible, database, scene.store, user=owner, more={"same_database": None, "ownership": "operator"}).tag()
    require(target.refusals(), f"The role {owner} has no SELECT on table public.closed.")
    plan = target.plan(skip_safety_backup="i_accept_data_loss")
    # What it may not read it cannot count either.
    assert [row["table"] for row in plan["tables"] if row["rows_now"] is not None] == []


@pytest.mark.parametrize("state", ["rolled_back", "finalized"])
def test_the_rollback_and_the_end_have_the_same_guard(scene: Scene, state: str) -> None:
    assert scene.plan(state=state)["changed"] is False
    require(scene.refusals(state=state, environment="dev"), "is tagged staging.")
    require(scene.refusals(state=state, environment="production"), "is tagged staging.", "is production. Set allow_production")
    require(scene.refusals(state=state, protected_hosts=["127.*"]), "is protected")


def kept_of(scene: Scene, make_database: Callable[..., Database], name: str, environment: str | None) -> Database:
    """Make what a restore has kept of the scene's database (or of another, ``name``), tagged as it was then."""
    found = make_database(scene.database.server, f"{name[:40]}__p_{uuid.uuid4().hex[:8]}")
    facts = {"restore_id": str(uuid.uuid4()), "role": "previous", "state": "kept", "database": name, "target_oid": 1, "backup": "b", "partner_oid": 1}
    tag = {"environment": environment, "restore": {**facts, "since": "2026-01-08T10:30:00.000Z"}}
    Scene(scene.ansible, found, scene.store).comment(f"[workon.postgresql_backup {json.dumps({key: value for key, value in tag.items() if value})}]")
    return found


def test_what_is_left_of_a_database_that_is_gone_is_not_dropped(scene: Scene, make_database: Callable[..., Database]) -> None:
    gone = Scene(scene.ansible, Database(scene.database.server, f"gone_{uuid.uuid4().hex[:8]}"), scene.store, more={"same_database": None})
    kept = kept_of(scene, make_database, gone.database.name, "production")
    outcome = gone.finalize()
    assert outcome.failed
    assert f"The database {gone.database.name} does not exist, so what restores have kept of it ({kept.name}) may be all that is left" in outcome.message
    assert f"state rolled_back gives {kept.name} the name {gone.database.name} again." in outcome.message
    assert f"the database {kept.name} at 127.0.0.1:{scene.database.server.port} is tagged production." in outcome.message
    permitted = {"environment": "production", "allow_production": True}
    require(gone.refusals(state="finalized", **permitted), "does not exist")
    require(
        gone.refusals(state="rolled_back"), f"the database {kept.name} at", "is production. Set allow_production to true if it is meant to be brought back."
    )
    gone.roll_back(**permitted, confirm=gone.plan(state="rolled_back", **permitted)["confirm"]).require_success()
    try:
        assert gone.finalize(**permitted).require_success()["dropped"] == []
    finally:
        gone.database.drop()
    require(gone.refusals(state="finalized"), "does not exist, so nothing can be finalized. Check the target")


def test_what_is_kept_is_dropped_by_its_own_tag(scene: Scene, make_database: Callable[..., Database]) -> None:
    name = scene.database.name
    kept = kept_of(scene, make_database, name, "production")
    untagged = kept_of(scene, make_database, name, None)
    refusals = scene.refusals(state="finalized")
    assert sum("is production. Set allow_production to true if it is meant to be dropped." in refusal for refusal in refusals) == 2
    assert any(f"the database {kept.name} at" in refusal and "is tagged production" in refusal for refusal in refusals)
    assert any(f"the database {untagged.name} carries no environment tag and therefore counts as production" in refusal for refusal in refusals)
    assert scene.plan(state="finalized", keep_previous=87600)["dropped"] == []


def test_what_is_kept_and_cannot_be_linked_is_named(scene: Scene, make_database: Callable[..., Database]) -> None:
    kept = kept_of(scene, make_database, scene.database.name, "staging")
    # As after COMMENT ON DATABASE, and a new tag.
    (refusal,) = scene.refusals(state="rolled_back")
    assert refusal.startswith(f"Restores have kept {kept.name}, but nothing says that the database {scene.database.name} took the place of one of them")


def test_a_plan_of_the_end_names_what_is_ours_and_nothing_else(scene: Scene, make_database: Callable[..., Database]) -> None:
    server, name = scene.database.server, scene.database.name
    facts = {"restore_id": str(uuid.uuid4()), "state": "kept", "target_oid": 1, "backup": "b", "since": "2026-01-08T10:30:00.000Z", "partner_oid": 1}

    def beside(suffix: str, **mark: Any) -> Database:
        found = make_database(server, f"{name[:40]}__{suffix}")
        if mark:
            comment = json.dumps({"environment": "staging", "restore": {**facts, "database": name, **mark}})
            Scene(scene.ansible, found, scene.store).comment(f"words\n[workon.postgresql_backup {comment}]")
        return found

    beside("p_00000001")
    beside("p_00000002", role="previous", database="another")
    beside("r_00000003", role="shadow", state="loading")
    old = [beside("p_00000004", role="previous"), beside("x_00000005", role="rejected", state="failed")]
    recent = beside("p_00000006", role="previous", since="2126-01-08T10:30:00.000Z")
    # Somebody gave it another name, so it is somebody's.
    beside("odd name", role="previous")
    plan = scene.plan(state="finalized")
    assert sorted(plan["dropped"]) == sorted(database.name for database in old)
    assert [kept["name"] for kept in plan["kept"]] == [recent.name]
    assert plan["kept"][0]["until"] == "2126-01-11T10:30:00.000Z"
    assert scene.plan(state="finalized", keep_previous=87600)["dropped"] == []
    stranger = scene.database.role("CREATEDB")
    refusals = Scene(scene.ansible, scene.database, scene.store, user=stranger).refusals(state="finalized")
    require(refusals, f"This needs the rights that a swap needs: the role {stranger} does not own the database {name} (its owner is postgres).")


def dump_with(database: Database, *options: str) -> bytes:
    """Dump a database as a stranger would."""
    server = database.server
    login = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser, "PGPASSWORD": server.password}
    command = [server.installation.program("pg_dump"), *options, database.name]
    return subprocess.run(command, env={**os.environ, **login}, capture_output=True, check=True).stdout


def test_a_directory_and_a_tar_are_no_custom_archives(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(dump_with(scene.database, "--format=tar"))
    require(scene.refusals(backup=str(tmp_path / "x.tar")), "it does not begin as one")
    (tmp_path / "directory").mkdir()
    require(scene.refusals(backup=str(tmp_path / "directory")), "There is no archive")


def test_a_name_that_is_no_name_of_backups_can_be_told_for_the_safety_backup(scene: Scene, make_database: Callable[..., Database]) -> None:
    odd = Scene(scene.ansible, make_database(scene.database.server, f'Odd "{uuid.uuid4().hex[:8]}" 100 % é'), scene.store, more={"same_database": None}).tag()
    odd.database.execute("CREATE TABLE mine AS SELECT 1 AS a")
    require(odd.refusals(), f"The safety backup would be called {odd.database.name + '-staging'!r}, which cannot be a name in a store. Set safety_name to")
    assert odd.plan(safety_name="odd")["safety_plan"].rpartition("/")[2].startswith("odd_")
    assert quoted(odd.database.name) not in odd.plan(safety_name="odd")["msg"]


@pytest.fixture
def of_a_plain_role(make_scene: Callable[..., Scene], database: Database, folder: Folder) -> Scene:
    """A scene whose role owns the database and may create others, and nothing else."""
    role = database.role("CREATEDB")
    database.execute(f"ALTER DATABASE {quoted(database.name)} OWNER TO {role}", f"SET ROLE {role}; CREATE SCHEMA shop; CREATE TABLE shop.t AS SELECT 1 AS a")
    scene = make_scene(database, folder, user=role).tag()
    scene.back_up()
    return scene


def test_the_applications_keep_most_of_the_connections(of_a_plain_role: Scene) -> None:
    scene, database = of_a_plain_role, of_a_plain_role.database
    with database.session(scene.user) as session:
        free = target_facts.read_free_connections(session)
        with database.connected(), database.connected(scene.user):
            assert target_facts.read_free_connections(session) == free - 2
        database.execute(f"ALTER ROLE {scene.user} CONNECTION LIMIT 8")
        with database.connected():
            assert target_facts.read_free_connections(session) == 7
        # The plan has two sessions of its own.
        assert scene.plan()["jobs"] == 1
        assert scene.plan(jobs=5)["jobs"] == 5
        require(scene.refusals(jobs=6), f"has 5 free connections for the role {scene.user}. Set jobs to less, leave it out, or raise max_connections")


def test_connections_that_are_reserved_for_others_are_not_free(tmp_path: Path) -> None:
    settings = {"fsync": "off", "max_connections": "20", "superuser_reserved_connections": "4"}
    if MAJORS[-1] >= 16:
        settings["reserved_connections"] = "5"
    with PostgresServer(installation(MAJORS[-1]), settings=settings, password=PASSWORD) as server, Database(server, "postgres").session() as session:
        assert target_facts.read_free_connections(session) == (10 if MAJORS[-1] >= 16 else 15)


def test_a_disk_that_nobody_knows_is_warned_about(of_a_plain_role: Scene) -> None:
    """The server does not tell such a role where its data are, as none does that is elsewhere."""
    scene = of_a_plain_role
    (warning,) = scene.plan()["warnings"]
    size = int(scene.database.value("SELECT pg_database_size(current_database())"))
    said = re.search(r"The restored copy needs about .* \((\d+) bytes\) beside the live database, .* set available_disk to the bytes", warning)
    assert said and int(said[1]) == pytest.approx(size * 1.1, rel=0.1)
    assert scene.plan(available_disk=10**12)["warnings"] == []
    require(scene.refusals(available_disk=1), "The restored copy needs about ")
