# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/backup.yml and the role behind it, run as a user does: exit status, what is stored, what later jobs get, and no secret at -vvvv."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from system.playing import EXAMPLE, TWO_HOSTS, Player, hosts_of, one_host
from system.scenes import PASSWORD, Bucket, Database, Folder, read_catalog


@pytest.fixture
def player(ansible: AnsibleRunner, tmp_path: Path) -> Player:
    return Player(ansible, tmp_path / "player", "backup")


# The guard: an unmatched target would be a success of having done nothing


@pytest.mark.parametrize("how", ["path", "name", "import"])
def test_a_mistyped_target_fails_the_play(player: Player, tmp_path: Path, how: str) -> None:
    importing = tmp_path / "nightly.yml"
    importing.write_text(f"- import_playbook: {player.by_name}\n")
    playbook = {"path": player.by_path, "name": player.by_name, "import": str(importing)}[how]
    played = player.play("-e", "target=typo", playbook=playbook, inventory=TWO_HOSTS)
    played.require(2, "The target typo is not a host or group of this inventory. Set target to one of: hosted, nobody, other, staging.")
    assert "pg_backup" not in played.output.replace("workon.postgresql_backup.backup", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "No target is set. Set target to one of: hosted, nobody, other, staging."),
        (["-e", "target="], "No target is set."),
        (["-e", "target=all"], "The target all would be whatever happens to be in the inventory."),
        (["-e", "target=ungrouped"], "The target ungrouped would be whatever happens to be in the inventory."),
        (["-e", "target=staging,other"], "The target staging,other is a pattern, not a host or group of this inventory."),
        (["-e", "target=sta*"], "The target sta* is a pattern, not a host or group of this inventory."),
        (["-e", '{"target": ["staging", "other"]}'], "The target ['staging', 'other'] is not one name."),
        (["-e", "target=nobody"], "The target nobody is a group without hosts."),
        (["-e", "target=staging", "--limit", "other"], "The target staging is left out by --limit."),
        (["-e", "target=typo", "--limit", "other"], "The target typo is not a host or group of this inventory."),
    ],
)
def test_a_target_that_would_leave_nothing_to_do_is_refused(player: Player, arguments: list[str], says: str) -> None:
    player.play(*arguments, inventory=TWO_HOSTS).require(2, says)


def test_a_target_of_the_inventory_is_refused(player: Player) -> None:
    # It is defined where tasks run, but not where the hosts of a play are chosen: without the guard the play would skip and succeed.
    player.play(inventory={**TWO_HOSTS, "vars": {"target": "staging"}}).require(2, "The target staging is a variable of the inventory")


def test_an_empty_inventory_is_refused(player: Player) -> None:
    player.play("-e", "target=staging").require(2, "The inventory has no hosts.")


# Backups


def test_the_example_inventory_takes_all_from_the_environment(player: Player, database: Database, bucket: Bucket) -> None:
    database.execute("CREATE TABLE users (id integer)", "INSERT INTO users VALUES (1), (2)")
    played = player.play(
        "-e",
        "target=hosted",
        inventory=EXAMPLE,
        playbook=player.by_name,
        DATABASE_URL=database.options()["database_url"],
        BACKUP_S3_BUCKET=bucket.name,
        BACKUP_S3_ENDPOINT=bucket.server.endpoint_url,
        AWS_ACCESS_KEY_ID=bucket.server.access_key,
        AWS_SECRET_ACCESS_KEY=bucket.server.secret_key,
        PATH=f"{database.server.installation.bin_dir}{os.pathsep}{os.environ['PATH']}",
    )
    played.require(0, "Backed up the database", "1 tables with 2 rows")
    (backup,) = read_catalog(bucket).backups
    assert backup.valid
    assert backup.manifest
    assert backup.manifest.environment == "staging"
    assert backup.name == "workon"
    assert played.outcome == {
        "staging": {"workon": {"verdict": "valid", "key": backup.key, "address": f"s3://{bucket.name}/{backup.key}", "size": backup.size}}
    }
    assert "Gathering Facts" not in played.output


def test_a_failed_database_stops_no_other_and_fails_the_play(player: Player, pg: Any, make_database: Callable[..., Database], folder: Folder) -> None:
    one, three = make_database(pg), make_database(pg)
    databases = [
        {"name": "one", **one.options()},
        {"name": "two", "database_url": pg.url("no_such_database")},
        {"name": "three", **three.login()},
    ]
    contacts = [{"level": "L1", "name": "On call", "reach": "+49 30 1234567"}]
    played = player.play("-e", "target=staging", inventory=one_host(databases=databases, contacts=contacts, **folder.options))
    played.require(2, "Not backed up: 1 of 3 databases.", "two: ", "+49 30 1234567")
    assert {backup.name for backup in read_catalog(folder).valid_backups()} == {"one", "three"}
    outcome = played.outcome["staging"]
    assert {name: facts["verdict"] for name, facts in outcome.items()} == {"one": "valid", "two": "failed", "three": "valid"}
    assert "no_such_database" in outcome["two"]["problem"]
    assert "key" not in outcome["two"]


def test_check_mode_plans_and_stores_nothing(player: Player, database: Database, folder: Folder) -> None:
    databases = [{"name": "one", **database.options()}, {"name": "two", **database.options(database="no_such_database")}]
    played = player.play("-e", "target=staging", "--check", "--diff", inventory=one_host(databases=databases, **folder.options))
    played.require(2, "Not backed up: 1 of 2 databases.", "+one_")
    assert played.outcome["staging"]["one"]["verdict"] == "planned"
    assert played.outcome["staging"]["two"]["verdict"] == "failed"
    assert folder.listing() == []


def test_two_hosts_hand_on_both_outcomes(player: Player, pg: Any, make_database: Callable[..., Database], folder: Folder) -> None:
    databases = {name: make_database(pg).options() for name in ("east", "west")}
    hosts = {host: {"postgresql_backup_databases": [{"name": host, **options}]} for host, options in databases.items()}
    inventory = {"children": {"both": {"hosts": hosts}}, "vars": {"postgresql_backup_directory": str(folder.path)}}
    played = player.play("-e", "target=both", inventory=inventory).require(0)
    assert {host: facts[host]["verdict"] for host, facts in played.outcome.items()} == {"east": "valid", "west": "valid"}


def test_inventory_variables_hold_unless_a_database_says_otherwise(player: Player, pg: Any, make_database: Callable[..., Database], folder: Folder) -> None:
    one, two = make_database(pg), make_database(pg)
    (folder.path / "deep").mkdir(mode=0o700)
    of_restores = {"checks": {"tables_present": ["no_such_table"]}, "role_map": {"a": "b"}, "protected_hosts": ["*"], "jobs": 1}
    inventory = one_host(
        # The common URL with another database, and a login that the common URL must not come into the way of.
        database_url=pg.url("postgres"),
        databases=[{"name": "one", "database": one.name, **of_restores}, {"name": "two", **two.login(), "environment": "production", "prefix": ""}],
        pg_bin_dir=str(pg.installation.bin_dir),
        environment="staging",
        reason="scheduled",
        prefix="deep",
        fingerprint="counts",
        labels={"team": "core"},
        **folder.options,
    )
    player.play("-e", "target=staging", "-e", "backup_pinned=true", inventory=inventory).require(0)
    manifests = {key: json.loads(folder.read(key)) for key in folder.listing() if key.endswith(".manifest.json")}
    found = {
        (key.rpartition("/")[0], each["name"]): (each["source"]["database"], each["environment"], each["reason"], each["pinned"], each["labels"])
        for key, each in manifests.items()
    }
    assert found == {
        ("deep", "one"): (one.name, "staging", "scheduled", True, {"team": "core"}),
        ("", "two"): (two.name, "production", "scheduled", True, {"team": "core"}),
    }
    assert {each["fingerprint"]["method"] for each in manifests.values()} == {"counts"}


# Faulty input


_FAULTY: list[tuple[list[Any], str]] = [
    ([f"postgresql://u:{PASSWORD}@h/d?a=b"], "An entry of backup_databases is not a dictionary."),
    ([{"name": "one", "passwort": PASSWORD}], "backup_databases has options that pg_backup does not know: passwort."),
    ([{"name": "one"}, {"database": "one"}], "backup_databases has two entries of one name among one, one."),
]


def test_a_faulty_list_is_refused_before_anything_starts(player: Player, folder: Folder) -> None:
    inventory = hosts_of("wrong", *({"databases": databases, **folder.options} for databases, _says in _FAULTY))
    played = player.play("-e", "target=wrong", inventory=inventory).require_failures(*(says for _databases, says in _FAULTY))
    assert "RUN: " not in played.output


def test_an_undefined_variable_never_means_another_database(player: Player, database: Database, folder: Folder) -> None:
    common = {"pg_bin_dir": str(database.server.installation.bin_dir), **folder.options}
    inventory = hosts_of("wrong", *({variable: "{{ vault_that_was_not_loaded }}", **common} for variable in ("database_url", "databases")))
    played = player.play("-e", "target=wrong", inventory=inventory, DATABASE_URL=database.options()["database_url"])
    played.require_failures("defined", "defined")
    assert folder.listing() == []


def test_a_refused_password_is_not_printed(player: Player, database: Database, folder: Folder) -> None:
    # The right one of no role: the whole way from the inventory to the server's refusal.
    login = {**database.login(), "login_user": "nobody"}
    player.play("-e", "target=staging", inventory=one_host(databases=[login], **folder.options)).require(2, "refused the password", "Not backed up: 1 of 1")
    assert folder.listing() == []
