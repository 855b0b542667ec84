# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and playbook retention as a user runs them, and the role backup with a policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.paths import CHECKOUT
from system.playing import Player, hosts_of, one_host
from system.scenes import Bucket, Database, Folder, read_catalog
from system.shelf import HOUR, Shelf

_RETENTION = str(CHECKOUT / "playbooks" / "retention.yml")


@pytest.fixture
def player(ansible: AnsibleRunner, tmp_path: Path) -> Player:
    return Player(ansible, tmp_path / "player", "backup")


def backups(folder: Folder, name: str) -> int:
    return sum(backup.name == name for backup in read_catalog(folder).backups)


def test_a_mistyped_target_fails_the_play(player: Player) -> None:
    # By its name; by its path it is played everywhere else.
    played = player.play("-e", "target=typo", playbook="workon.postgresql_backup.retention", inventory=one_host())
    played.require(2, "The target typo is not a host or group of this inventory.")
    assert "s3_retention" not in played.output


def test_each_name_by_its_own_policy(player: Player, folder: Folder) -> None:
    shelf = Shelf(folder)
    for name in ("one", "two", "three"):
        for hours in range(6):
            shelf.put(hours * HOUR, name)
    databases = [{"name": "one"}, {"database": "two", "retention": {"keep_last": 5}}]
    inventory = one_host(databases=databases, retention={"keep_last": 3, "max_delete_percent": 90}, **folder.options)
    played = player.play("-e", "target=staging", "--diff", playbook=_RETENTION, inventory=inventory)
    played.require(0, "one: Deleted 3 of 6 backups", "two: Deleted 1 of 6 backups", "No rule of the policy keeps it.")
    assert [backups(folder, name) for name in ("one", "two", "three")] == [3, 5, 6]
    assert played.stats("postgresql_retention")["staging"] == {
        "one": {"verdict": "done", "kept": 3, "deleted": 3, "bytes_freed": played.stats("postgresql_retention")["staging"]["one"]["bytes_freed"]},
        "two": {"verdict": "done", "kept": 5, "deleted": 1, "bytes_freed": played.stats("postgresql_retention")["staging"]["two"]["bytes_freed"]},
    }
    again = player.play("-e", "target=staging", playbook=_RETENTION, inventory=inventory)
    again.require(0, "changed=0")


def test_a_refused_name_stops_no_other_and_fails_the_play(player: Player, folder: Folder) -> None:
    shelf = Shelf(folder)
    for hours in range(10):
        shelf.put(hours * HOUR, "many")
    for hours in range(4):
        shelf.put(hours * HOUR, "few")
    inventory = one_host(databases=[{"name": "many"}, {"name": "few"}], retention={"keep_last": 3}, **folder.options)
    played = player.play("-e", "target=staging", playbook=_RETENTION, inventory=inventory)
    played.require(2, "Retention failed: 1 of 2 names.", "would delete 7 of the 10 valid backups of many")
    assert (backups(folder, "many"), backups(folder, "few")) == (10, 3)
    assert {name: facts["verdict"] for name, facts in played.stats("postgresql_retention")["staging"].items()} == {"many": "failed", "few": "done"}


_SET_WRONGLY: list[tuple[dict[str, Any], str]] = [
    ({"name": "app"}, "The retention policy is empty"),
    ({"retention": {"keep_last": 3}}, "A database has neither name nor database"),
    ({"name": "app", "retention": {"keep_lats": 3}}, "keep_lats"),
    ({"databases": ["app=1"], "retention": {"keep_last": 3}}, "An entry of retention_databases is not a dictionary."),
    ({"databases": [{"name": "app"}, {"database": "app"}], "retention": {"keep_last": 3}}, "has two entries of one name among app, app."),
    ({"name": "app", "retention": "{{ not_loaded }}"}, "defined"),
]


def test_what_is_refused(player: Player, folder: Folder) -> None:
    shelf = Shelf(folder)
    for hours in range(6):
        shelf.put(hours * HOUR)
    inventory = hosts_of("wrong", *({**variables, **folder.options} for variables, _says in _SET_WRONGLY))
    player.play("-e", "target=wrong", playbook=_RETENTION, inventory=inventory).require_failures(*(says for _variables, says in _SET_WRONGLY))
    assert backups(folder, "app") == 6


def test_check_mode_deletes_nothing(player: Player, folder: Folder) -> None:
    shelf = Shelf(folder)
    for hours in range(4):
        shelf.put(hours * HOUR)
    inventory = one_host(name="app", retention={"keep_last": 3}, **folder.options)
    played = player.play("-e", "target=staging", "--check", playbook=_RETENTION, inventory=inventory).require(0, "Would delete 1 of 4 backups")
    assert backups(folder, "app") == 4
    assert played.stats("postgresql_retention")["staging"]["app"]["verdict"] == "planned"


# After a backup


def test_only_what_was_backed_up_is_let_go(player: Player, pg: Any, make_database: Callable[..., Database], folder: Folder) -> None:
    shelf = Shelf(folder)
    for name in ("one", "two", "three"):
        for hours in range(1, 6):
            shelf.put(hours * HOUR, name)
    one, three = make_database(pg), make_database(pg)
    databases = [
        {"name": "one", **one.options()},
        {"name": "two", "database_url": pg.url("no_such_database")},
        {"name": "three", **three.login(), "retention": {"keep_last": 4}},
    ]
    inventory = one_host(databases=databases, retention={"keep_last": 3}, **folder.options)
    played = player.play("-e", "target=staging", inventory=inventory)
    played.require(2, "Not backed up: 1 of 3 databases.", "one: Deleted 3 of 6 backups", "three: Deleted 2 of 6 backups")
    assert [backups(folder, name) for name in ("one", "two", "three")] == [3, 5, 4]
    assert {name: facts["verdict"] for name, facts in played.outcome["staging"].items()} == {"one": "valid", "two": "failed", "three": "valid"}


def test_a_policy_of_one_database_is_for_that_one_alone(player: Player, pg: Any, make_database: Callable[..., Database], folder: Folder) -> None:
    shelf = Shelf(folder)
    for name in ("one", "two"):
        for hours in range(1, 6):
            shelf.put(hours * HOUR, name)
    databases = [{"name": "one", **make_database(pg).options()}, {"name": "two", **make_database(pg).options(), "retention": {"keep_last": 4}}]
    player.play("-e", "target=staging", inventory=one_host(databases=databases, **folder.options)).require(0)
    assert [backups(folder, name) for name in ("one", "two")] == [6, 4]


def test_the_single_database_goes_by_the_name_it_was_backed_up_under(player: Player, database: Database, bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    for hours in range(1, 6):
        shelf.put(hours * HOUR, database.name)
    inventory = one_host(**database.options(), **bucket.options, retention={"keep_last": 3})
    planned = player.play("-e", "target=staging", "--check", inventory=inventory)
    planned.require(0, "Would delete 2 of 5 backups")
    player.play("-e", "target=staging", inventory=inventory).require(0, "Deleted 3 of 6 backups")
    assert len(read_catalog(bucket).backups) == 3


def test_retention_that_fails_fails_the_play_and_not_the_backup(player: Player, database: Database, folder: Folder) -> None:
    inventory = one_host(**database.options(), **folder.options, name="app", retention={"keep_last": -7})
    played = player.play("-e", "target=staging", inventory=inventory).require(2, "keep_last is -7", "Backed up the database")
    assert played.outcome["staging"]["app"]["verdict"] == "valid"
    assert backups(folder, "app") == 1
