# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/restore.yml and the role behind it, run as a user does: the plan before, the account after, the way back, and no secret at -vvvv."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.ansible_runner import AnsibleRunner
from harness.paths import CHECKOUT
from system.playing import EXAMPLE, TWO_HOSTS, Played, Player, hosts_of, one_host
from system.restoring import Scene, scenes
from system.scenes import PASSWORD, Bucket, Database, Folder

_ON_STAGING = ("-e", "target=staging", "-e", "restore_same_database=true")


@pytest.fixture
def player(ansible: AnsibleRunner, tmp_path: Path) -> Player:
    return Player(ansible, tmp_path / "player", "restore")


@pytest.fixture
def make_scene(ansible: AnsibleRunner) -> Iterator[Callable[..., Scene]]:
    """Make a database with five users of which a backup exists, then delete three."""
    with scenes(ansible) as make:

        def damaged(database: Database, folder: Folder | Bucket, **fields: Any) -> Scene:
            scene = make(database, folder, **fields).tag()
            database.execute("CREATE TABLE users (id integer PRIMARY KEY)", "INSERT INTO users SELECT generate_series(1, 5)")
            scene.back_up()
            database.execute("DELETE FROM users WHERE id > 2")
            return scene

        yield damaged


@pytest.fixture
def scene(make_scene: Callable[..., Scene], database: Database, folder: Folder) -> Scene:
    return make_scene(database, folder)


_CONTACTS = [{"level": "L1", "name": "On call", "reach": "+49 30 1234567"}]


def _inventory(scene: Scene, **variables: Any) -> dict[str, Any]:
    return one_host(name=scene.name, environment=scene.environment, **scene.database.options(), **scene.store.options, **variables)


def _users(scene: Scene) -> int:
    return int(scene.database.value("SELECT count(*) FROM users"))


def _awx_template(name: str) -> dict[str, Any]:
    templates = yaml.load((CHECKOUT / "examples" / "awx" / "job_templates.yml").read_text(), _Loader)["controller_templates"]
    return dict(next(template for template in templates if template["name"] == name))


class _Loader(yaml.SafeLoader):
    """Reads what is not to be templated as the text that it is."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


# The guard: a target or a tag that leaves nothing to do would be a success of having done nothing


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-e", "target=typo"], "The target typo is not a host or group of this inventory. Set target to one of: hosted, nobody, several, other, staging."),
        (["-e", "target=several"], "The target several has 2 hosts, and one database is restored at a time. Set target to one of: other, staging."),
        (["-e", "target=staging", "--tags", "rolback"], "The tags are rolback. Leave --tags out to restore, or set it to rollback or to finalize."),
        (["-e", "target=staging", "--tags", "rollback", "-e", "restore_state=restored"], "The tag is rollback, and restore_state is restored."),
        (["-e", "target=staging", "-e", "confirm=restore a into b"], "restore_confirm is only the first word of a phrase."),
        (["-e", "target=staging", "-e", '{"backup": "{{ postgresql_restore.staging.app.backup }}"}'], "'postgresql_restore' is undefined"),
    ],
    ids=["typo", "several hosts", "unknown tag", "tag and state", "unquoted phrase", "undefined backup"],
)
def test_what_is_not_one_restore_fails_before_anything_starts(player: Player, arguments: list[str], says: str) -> None:
    several = {"several": {"hosts": {"staging": {}, "other": {}}}}
    inventory = {**TWO_HOSTS, "children": {**TWO_HOSTS["children"], **several}, "vars": {"postgresql_backup_environment": "staging"}}
    played = player.play(*arguments, inventory=inventory)
    played.require(2, says)
    assert "Using module file" not in played.output


# From the plan to the restore, and back


def test_the_example_inventory_plans_restores_goes_back_and_tidies_up(
    player: Player, make_scene: Callable[..., Scene], database: Database, bucket: Bucket
) -> None:
    scene = make_scene(database, bucket, name="workon")
    surroundings = {
        "DATABASE_URL": database.options()["database_url"],
        "BACKUP_S3_BUCKET": bucket.name,
        "BACKUP_S3_ENDPOINT": bucket.server.endpoint_url,
        "AWS_ACCESS_KEY_ID": bucket.server.access_key,
        "AWS_SECRET_ACCESS_KEY": bucket.server.secret_key,
        "PATH": f"{database.server.installation.bin_dir}{os.pathsep}{os.environ['PATH']}",
    }

    def play(*arguments: str) -> Played:
        checks = {"min_rows": [{"name": "Users can log in", "table": "users", "rows": 3}]}
        return player.play(*_ON_STAGING, "-e", json.dumps({"restore_checks": checks}), *arguments, inventory=EXAMPLE, **surroundings)

    before = scene.look()
    planned = play("--check")
    planned.require(0, "Target: the database ", "Strategy: swap, because ", "Rows of public.users: 2 now, 5 in the backup", "Every safeguard passed")
    outcome = planned.outcome["staging"]["workon"]
    assert outcome["verdict"] == "planned"
    assert outcome["backup"].startswith(f"s3://{bucket.name}/workon_")
    assert "confirm" not in outcome
    scene.untouched(before)

    restored = play("-e", f"backup={outcome['backup']}")
    restored.require(0, "Rows of public.users: 2 now, 5 in the backup", "State swapped: ", "Proof of public.users: 5 rows, content equal")
    restored.require(0, "Check passed: Users can log in: ", "To go back: ", "changed=1 ")
    outcome = restored.outcome["staging"]["workon"]
    assert outcome["verdict"] == "restored"
    assert outcome["safety_backup"] in bucket.listing()
    assert [found.name for found in scene.beside()] == [outcome["previous"]]
    assert _users(scene) == 5

    play("-e", "restore_state=rolled_back", "--check").require(0, outcome["previous"])
    assert _users(scene) == 5
    rolled_back = play("--tags", "rollback", "-e", "restore_show_plan=false").require(0).outcome["staging"]["workon"]
    assert rolled_back["verdict"] == "rolled_back"
    assert _users(scene) == 2

    finalized = play("--tags", "finalize", "-e", "restore_keep_previous=0", "-e", "restore_show_plan=false").require(0, f"Dropped: {rolled_back['rejected']}")
    assert finalized.outcome["staging"]["workon"]["verdict"] == "finalized"
    assert scene.beside() == []
    assert _users(scene) == 2


def test_production_takes_the_phrase_of_its_plan(player: Player, make_scene: Callable[..., Scene], database: Database, folder: Folder) -> None:
    scene = make_scene(database, folder, environment="production")
    before = scene.look()
    arguments = [*_ON_STAGING, "-e", "restore_allow_production=true"]
    waiting = player.play(*arguments, inventory=_inventory(scene))
    waiting.require(2, "Rows of public.users: 2 now, 5 in the backup", "Nothing was changed, because this is production.")
    outcome = waiting.outcome["staging"]["app"]
    assert outcome["verdict"] == "planned"
    scene.untouched(before)

    # What is printed to run holds as it stands, for somebody who copies it.
    (line,) = re.findall(r'^ +"(-e .+)"$', waiting.output, re.MULTILINE)
    assert shlex.split(json.loads(f'"{line}"')) == ["-e", json.dumps({"confirm": outcome["confirm"]})]
    # AWX hands the outcome of the plan to the template that comes after the approval; "latest" is what its survey asked for.
    approved = {**_awx_template("restore production as approved")["extra_vars"], "postgresql_restore": waiting.outcome, "backup": "latest"}
    scene.back_up()
    restored = player.play("-e", "target=staging", "-e", json.dumps(approved), inventory=_inventory(scene)).require(0, f"Confirm with: {outcome['confirm']}")
    assert restored.outcome["staging"]["app"]["verdict"] == "restored"
    assert _users(scene) == 5


# What fails


def test_a_refused_plan_reports_every_reason(player: Player, scene: Scene) -> None:
    before = scene.look()
    played = player.play("-e", "target=staging", inventory=_inventory(scene, protected_hosts=[scene.database.server.host], contacts=_CONTACTS))
    reasons = ("is protected: protected_hosts has the pattern", "is of the target itself")
    played.require(2, "Not restored: app on staging.", *reasons, "+49 30 1234567")
    outcome = played.outcome["staging"]["app"]
    assert outcome["verdict"] == "failed"
    assert all(reason in outcome["problem"] for reason in reasons)
    scene.untouched(before)


def test_a_failed_restore_fails_the_play_and_reports(player: Player, scene: Scene) -> None:
    before = scene.look()
    checks = {"min_rows": [{"name": "Users can log in", "table": "users", "rows": 6}]}
    played = player.play(*_ON_STAGING, "-e", "restore_show_plan=false", inventory=_inventory(scene, checks=checks))
    played.require(2, "Not restored: app on staging.", "Check FAILED: Users can log in: ", "State loaded: ", "The live database was not touched.")
    outcome = played.outcome["staging"]["app"]
    assert outcome["verdict"] == "failed"
    assert "Users can log in" in outcome["problem"]
    assert "Rows of public.users" not in played.output
    scene.untouched(before, wrote=True)


def test_what_one_restore_did_is_not_told_of_the_next(player: Player, scene: Scene, tmp_path: Path) -> None:
    twice = tmp_path / "twice.yml"
    role = {"name": "workon.postgresql_backup.restore"}
    tasks = [
        {"ansible.builtin.include_role": role, "vars": {"restore_database": "one"}},
        {"ansible.builtin.include_role": role, "vars": {"restore_database": "two", "restore_same_database": False}},
    ]
    twice.write_text(json.dumps([{"hosts": "staging", "gather_facts": False, "tasks": tasks}]))
    databases = [{"name": name, **scene.database.options()} for name in ("one", "two")]
    inventory = one_host(databases=databases, environment="staging", **scene.store.options)
    arguments = ["-e", "restore_name=app"]
    played = player.play(*arguments, playbook=str(twice), inventory={**inventory, "vars": {"restore_same_database": True}})
    played.require(2)
    assert {name: found["verdict"] for name, found in played.outcome["staging"].items()} == {"one": "restored", "two": "failed"}


# Which database, and what it is told


def test_one_of_several_databases_is_chosen_by_its_name(player: Player, scene: Scene) -> None:
    # As the role backup has them: options of a backup that a restore has no use for, and a password in each.
    of_backups = {"exclude_table_data": ["public.sessions"], "fingerprint": "none", "timeout": 1, "retention": {"keep_last": 1}}
    databases = [{"name": "other", **scene.database.login(database="other")}, {"name": "app", **scene.database.login(), **of_backups}]
    headers = {"Authorization": f"Bearer {PASSWORD}"}
    checks = {"http": [{"url": "http://127.0.0.1:9/healthz", "headers": headers}]}
    inventory = one_host(databases=databases, environment="staging", checks=checks, **scene.store.options)
    player.play(*_ON_STAGING, inventory=inventory).require(2, "staging has several. Set restore_database to one of: other, app.")
    player.play(*_ON_STAGING, "-e", "restore_database=typo", inventory=inventory).require(2, "restore_database is typo, which is none of the databases")
    played = player.play(*_ON_STAGING, "-e", "restore_database=app", "--check", inventory=inventory)
    played.require(0, f"Target: the database {scene.database.name} at ")
    assert played.outcome["staging"]["app"]["verdict"] == "planned"


_SET_WRONGLY: list[tuple[dict[str, Any], str]] = [
    ({"environment": ""}, "restore_environment is not set."),
    ({"databases": [f"postgresql://u:{PASSWORD}@h/d?a=b"]}, "An entry of restore_databases is not a dictionary."),
    ({"databases": [{"name": "one", "passwort": PASSWORD, "confirm": "x"}]}, "restore_databases has options that do not belong there: confirm, passwort."),
    ({"databases": [{"name": "one"}, {"database": "one"}], "database": "one"}, "restore_databases has several databases of the name one."),
    ({"database_url": "{{ vault_that_was_not_loaded }}"}, "One of the postgresql_backup_* variables refers to a variable that is not defined."),
    ({"checks": {"http": [{"url": "http://h/", "header": {"Authorization": PASSWORD}}]}}, "checks.http.header"),
]


def test_what_is_set_wrongly_is_refused_before_anything_starts(player: Player, tmp_path: Path) -> None:
    # One host for each mistake, so that one play shows them all.
    everywhere = tmp_path / "everywhere.yml"
    everywhere.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": ["workon.postgresql_backup.restore"]}]))
    inventory = hosts_of("wrong", *({"environment": "staging", **variables} for variables, _says in _SET_WRONGLY))
    played = player.play(playbook=str(everywhere), inventory=inventory).require_failures(*(says for _variables, says in _SET_WRONGLY))
    assert "RUN: " not in played.output
    assert "Using module file" not in played.output
