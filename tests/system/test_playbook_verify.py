# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and playbook verify as a user runs them: what is proved passes, everything else fails the play and is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.account import private_directory, service_account
from harness.ansible_runner import AnsibleRunner
from system.playing import TWO_HOSTS, Played, Player, hosts_of, one_host
from system.restoring import Scene, scenes
from system.scenes import Database, Folder

_CONTENT = """
CREATE TABLE users (id serial PRIMARY KEY, mail text);
INSERT INTO users (mail) SELECT 'user' || g FROM generate_series(1, 40) AS g;
CREATE TABLE payments AS SELECT id FROM users;
"""
_CHECKS: dict[str, Any] = {
    "tables_present": [{"name": "Payments are there", "table": "payments"}],
    "min_rows": [{"name": "Users can log in", "table": "users", "rows": 40}],
}


@pytest.fixture
def player(ansible: AnsibleRunner, tmp_path: Path) -> Player:
    return Player(ansible, tmp_path / "player", "verify")


@pytest.fixture
def spool() -> Iterator[Path]:
    """Where private servers have their files: a short path that their account can reach, empty again at the end."""
    directory = private_directory("spool-", service_account())
    yield directory
    directory.rmdir()


@pytest.fixture
def scene(ansible: AnsibleRunner, database: Database, folder: Folder) -> Iterator[Scene]:
    database.execute(_CONTENT)
    with scenes(ansible) as make:
        made = make(database, folder).tag()
        made.back_up()
        yield made


@pytest.fixture
def variables(scene: Scene, folder: Folder, spool: Path) -> dict[str, Any]:
    """The inventory of a host whose database is called app, with a role that has a password."""
    user = scene.database.role("SUPERUSER")
    login = {**scene.database.options(user), "pg_bin_dir": str(scene.database.server.bin_dir)}
    return {"name": "app", "environment": "staging", "checks": _CHECKS, "spool_directory": str(spool), **login, **folder.options}


def outcome(played: Played) -> dict[str, Any]:
    found: dict[str, Any] = played.outcome["staging"]["app"]
    return found


def test_a_mistyped_target_fails_the_play(player: Player) -> None:
    # By its name; by its path it is played everywhere else.
    played = player.play("-e", "target=stagin", playbook=player.by_name, inventory=TWO_HOSTS)
    played.require(2, "The target stagin is not a host or group of this inventory.")
    assert "pg_restore_test" not in played.output


def test_each_way_proves_and_reports(player: Player, scene: Scene, variables: dict[str, Any], folder: Folder) -> None:
    before = scene.databases()
    on_server = player.play("-e", "target=staging", inventory=one_host(**variables))
    on_server.require(0, "app, restore test: Passed: ", "on the server ", "Proof of public.users: 40 rows, content equal", "Check passed: Users can log in")
    found = outcome(on_server)
    assert (found["verdict"], found["restore_test"]) == ("passed", "passed")
    assert found["record"] in folder.listing()
    assert 0 < found["rto"] < 60
    private = player.play("-e", "target=staging", "-e", "verify_server=private", inventory=one_host(**variables))
    private.require(0, "was restored on a private PostgreSQL")
    # Nothing is taken from production's server.
    production = player.play("-e", "target=staging", inventory=one_host(**{**variables, "environment": "production"}))
    production.require(0, "was restored on a private PostgreSQL")
    live = player.play("-e", "target=staging", "-e", "mode=both", inventory=one_host(**variables))
    live.require(0, "app, live: ", "Table public.users: 40 rows")
    assert (outcome(live)["restore_test"], outcome(live)["live"]) == ("passed", "passed")
    assert scene.databases() == before


def test_check_mode_plans(player: Player, variables: dict[str, Any], folder: Folder) -> None:
    listed = folder.listing()
    played = player.play("-e", "target=staging", "--check", inventory=one_host(**variables))
    played.require(0, "Every safeguard passed", "changed=1")
    assert outcome(played)["verdict"] == "planned"
    assert folder.listing() == listed


def test_what_is_not_proved_fails_the_play_and_stops_no_other(player: Player, scene: Scene, variables: dict[str, Any], folder: Folder) -> None:
    scene.back_up(name="damaged")
    archive = next(folder.path.glob("damaged_*.dump"))
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.chmod(0o600)
    archive.write_bytes(bytes(content))
    entries = [{"name": "damaged"}, {"name": "nobody"}, {"name": "app", "retention": {"keep_last": 3}, "reason": "scheduled", "strategy": "swap"}]
    contacts = [{"level": "L1", "name": "On call", "reach": "+49 30 1234567"}]
    played = player.play("-e", "target=staging", inventory=one_host(**{**variables, "databases": entries, "contacts": contacts}))
    played.require(2, "Not verified: 2 of 3 databases (damaged, nobody).", "+49 30 1234567", "damaged, restore test: Failed: ", "app, restore test: Passed: ")
    verdicts = {name: found["verdict"] for name, found in played.outcome["staging"].items()}
    assert verdicts == {"damaged": "failed", "nobody": "could_not_verify", "app": "passed"}
    assert played.outcome["staging"]["damaged"]["record"] in folder.listing()


def test_the_checklist_on_a_live_database(player: Player, scene: Scene, variables: dict[str, Any], folder: Folder) -> None:
    listed = folder.listing()
    scene.database.execute("DELETE FROM users WHERE id > 10", "DROP TABLE payments")
    played = player.play("-e", "target=staging", "-e", "mode=live", inventory=one_host(**variables))
    played.require(2, "Not verified: 1 of 1 databases (app).", "Check FAILED: Users can log in", "Check FAILED: Payments are there")
    assert outcome(played)["verdict"] == "failed"
    assert outcome(played)["live"] == "failed"
    gone = player.play("-e", "target=staging", "-e", "mode=live", inventory=one_host(**{**variables, "database_url": "postgresql://u:p@127.0.0.1:9/app"}))
    gone.require(2, "could not be reached")
    assert outcome(gone)["verdict"] == "could_not_verify"
    assert folder.listing() == listed


_SET_WRONGLY: list[tuple[dict[str, Any], str]] = [
    ({"databases": [{"name": "app", "keep_lats": 3}]}, "verify_databases has options that do not belong there: keep_lats."),
    ({"databases": [{"name": "app"}, {"database": "app"}]}, "has two entries of one name among app, app."),
    ({"databases": ["app=1"]}, "An entry of verify_databases is not a dictionary."),
    ({"environment": "{{ not_loaded }}"}, "not defined"),
]


def test_what_is_set_wrongly_is_refused(player: Player, variables: dict[str, Any], folder: Folder) -> None:
    listed = folder.listing()
    inventory = hosts_of("wrong", *({**variables, **changes} for changes, _says in _SET_WRONGLY))
    player.play("-e", "target=wrong", inventory=inventory).require_failures(*(says for _changes, says in _SET_WRONGLY))
    assert folder.listing() == listed
