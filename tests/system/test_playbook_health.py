# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and playbook health as a user runs them: the verdict, who is told of it and how often, and the files it leaves for Prometheus and Nagios."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.paths import CHECKOUT
from harness.ports import free_port
from harness.receivers import HttpReceiver, MailReceiver
from system.playing import Played, Player, hosts_of, one_host
from system.scenes import Folder
from system.shelf import HOUR, Shelf

_HEALTH = str(CHECKOUT / "playbooks" / "health.yml")
TOKEN = "Zebra-Kanary-77token"
CONTACTS = [
    {"level": "L1", "name": "On call", "reach": "+49 30 1"},
    {"level": "L2", "name": "Database team", "reach": "dba@example.com", "after": "15 min"},
]


@pytest.fixture
def player(tmp_path: Path) -> Iterator[Player]:
    runner = AnsibleRunner([TOKEN])
    yield Player(runner, tmp_path / "player", "health")
    runner.stop_all()


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as running:
        yield running


def play(player: Player, folder: Folder, *arguments: str, **variables: Any) -> Played:
    inventory = one_host(**{"name": "app", **folder.options, **variables})
    return player.play("-e", "target=staging", *arguments, playbook=_HEALTH, inventory=inventory, no_proxy="127.0.0.1")


def outcome(played: Played) -> dict[str, Any]:
    found: dict[str, Any] = played.stats("postgresql_health")["staging"]
    return found


def verdicts(played: Played) -> dict[str, str]:
    return {name: facts["verdict"] for name, facts in outcome(played).items()}


def test_a_mistyped_target_fails_the_play(player: Player) -> None:
    # By its name; by its path it is played everywhere else.
    played = player.play("-e", "target=typo", playbook="workon.postgresql_backup.health", inventory=one_host())
    played.require(2, "The target typo is not a host or group of this inventory.")
    assert "pg_backup_health" not in played.output


def test_all_is_well(player: Player, folder: Folder, tmp_path: Path, receiver: HttpReceiver) -> None:
    Shelf(folder).put(HOUR)
    directory = tmp_path / "files"
    directory.mkdir()
    settings = {"textfile_directory": str(directory), "status_directory": str(directory), "ping": {"url": f"{receiver.url}/{TOKEN}"}, "contacts": CONTACTS}
    played = play(player, folder, "--diff", **settings).require(0, "Health is OK on staging.", "Sent the success by ping")
    assert verdicts(played) == {"app": "ok"}
    assert "On call" not in played.output.partition("TASK [workon.postgresql_backup.health : Report]")[2]
    assert [each.path for each in receiver.received] == [f"/{TOKEN}/start", f"/{TOKEN}"]
    metrics = (directory / "postgresql_backup_staging_app.prom").read_text()
    assert 'pgbackup_health_status{name="app",' in metrics
    status = dict(line.split(" ", 1) for line in (directory / "staging.status").read_text().splitlines())
    assert (status["exit_code"], status["state"], status["told"]) == ("0", "ok", "ok")
    assert re.match(r"PGBACKUP OK: app: the newest valid backup is 6[0-9] min old.* \| 'app_age'=3[6-9][0-9]{2}", status["line"])
    # Nothing but the time has changed; only what is sent is a change.
    again = play(player, folder, **{**settings, "ping": {}}).require(0, "changed=0")
    assert verdicts(again) == {"app": "ok"}


def test_check_mode_judges_and_does_nothing_else(player: Player, folder: Folder, tmp_path: Path, receiver: HttpReceiver) -> None:
    directory = tmp_path / "files"
    directory.mkdir()
    settings = {"textfile_directory": str(directory), "status_directory": str(directory), "ping": {"url": f"{receiver.url}/{TOKEN}"}}
    secrets = {
        "mail": {"host": "127.0.0.1", "username": "backup", "password": TOKEN, "from": "backup@example.com", "to": ["ops@example.com"]},
        "webhook": {"url": f"{receiver.url}/{TOKEN}", "headers": {"Authorization": f"Bearer {TOKEN}"}},
    }
    played = play(player, folder, "--check", **settings, **secrets)
    played.require(
        2, "Health is CRITICAL on staging.", "There is no valid backup of app", "Would send the failure by mail (ops@example.com through 127.0.0.1:587)"
    )
    assert not list(directory.iterdir())
    assert not receiver.received


def test_people_are_told_once_and_when_it_is_over(player: Player, folder: Folder, tmp_path: Path, receiver: HttpReceiver) -> None:
    shelf = Shelf(folder)
    shelf.put(40 * HOUR)
    directory = tmp_path / "files"
    directory.mkdir()
    url = f"{receiver.url}/{TOKEN}"
    with MailReceiver() as post:
        mail = {"host": "127.0.0.1", "port": post.port, "tls": "none", "from": "backup@example.com", "to": ["ops@example.com"]}
        settings = {"status_directory": str(directory), "mail": mail, "ping": {"url": f"{url}/ping"}, "contacts": CONTACTS}
        for _run in range(2):
            played = play(player, folder, **settings)
            played.require(2, "Health is CRITICAL on staging.", "max_age_critical is 30h", "L2  after 15 min  Database team  dba@example.com")
            assert len(post.mails) == 1
        (first,) = post.mails
        assert first["Subject"].startswith("[backup] FAILURE: staging: CRITICAL: The newest valid backup of app holds the database as it was at")
        assert "L2  after 15 min" in first.get_content()
        # Another reason is news.
        orphan = folder.path / shelf.put(60 * HOUR, with_manifest=False)
        play(player, folder, **settings).require(2, "Without a manifest for longer than max_orphan_age")
        assert len(post.mails) == 2
        orphan.unlink()
        shelf.put(HOUR)
        played = play(player, folder, **settings).require(0)
        assert verdicts(played) == {"app": "ok"}
        assert len(post.mails) == 3
        assert post.mails[2]["Subject"].startswith("[backup] RECOVERY: staging: OK: app:")
        play(player, folder, **settings).require(0)
        assert len(post.mails) == 3
    # A ping is sent each time, or its monitor would take the check for dead.
    paths = [each.path.rpartition("/")[2] for each in receiver.received]
    assert paths == ["start", "fail", "start", "fail", "start", "fail", "start", "ping", "start", "ping"]


def test_who_was_not_reached_is_told_again(player: Player, folder: Folder, tmp_path: Path) -> None:
    directory = tmp_path / "files"
    directory.mkdir()
    port = free_port()
    settings = {"status_directory": str(directory), "webhook": {"url": f"http://127.0.0.1:{port}/{TOKEN}"}}
    played = play(player, folder, **settings).require(2, "Health is CRITICAL", "could not be reached: Connection refused.")
    assert "told ok" in (directory / "staging.status").read_text()
    with HttpReceiver() as receiver:
        play(player, folder, **{**settings, "webhook": {"url": f"{receiver.url}/{TOKEN}"}}).require(2)
        assert len(receiver.received) == 1
    assert "told app=critical=age" in (directory / "staging.status").read_text()
    assert verdicts(played) == {"app": "critical"}


def test_each_name_by_its_own_thresholds_and_the_worst_of_all(player: Player, folder: Folder, tmp_path: Path) -> None:
    shelf = Shelf(folder)
    shelf.put(26 * HOUR, "one")
    shelf.put(26 * HOUR, "two")
    directory = tmp_path / "files"
    directory.mkdir()
    databases = [{"name": "one"}, {"database": "two", "health": {"max_age_warning": "8d", "max_age_critical": "8d"}}]
    settings = {"databases": databases, "name": "", "status_directory": str(directory), "textfile_directory": str(directory)}
    played = play(player, folder, **settings).require(0, "Health is WARNING on staging.", "WARNING  one: ", "OK  two: ")
    assert verdicts(played) == {"one": "warning", "two": "ok"}
    status = (directory / "staging.status").read_text()
    assert "exit_code 1\n" in status
    assert "(1 of 2 names are not ok) | 'one_age'=" in status
    assert " 'two_age'=" in status
    assert sorted(path.name for path in directory.glob("*.prom")) == ["postgresql_backup_staging_one.prom", "postgresql_backup_staging_two.prom"]
    play(player, folder, **settings, fail_on="warning").require(2)
    played = play(player, folder, **{**settings, "databases": [*databases, {"name": "three"}]}, fail_on="never").require(0, "Health is CRITICAL on staging.")
    assert "exit_code 2\n" in (directory / "staging.status").read_text()


def test_a_store_that_cannot_be_reached_is_unknown(player: Player, folder: Folder, tmp_path: Path, receiver: HttpReceiver) -> None:
    Shelf(folder).put(HOUR)
    directory = tmp_path / "files"
    directory.mkdir()
    played = play(player, folder, directory=str(tmp_path / "nowhere"), status_directory=str(directory), ping={"url": f"{receiver.url}/{TOKEN}"})
    played.require(2, "Health is UNKNOWN on staging.")
    assert verdicts(played) == {"app": "unknown"}
    assert "exit_code 3\n" in (directory / "staging.status").read_text()
    assert [each.path for each in receiver.received] == [f"/{TOKEN}/start", f"/{TOKEN}/fail"]


def test_a_name_that_cannot_be_judged_is_unknown_and_fails_in_any_case(player: Player, folder: Folder, tmp_path: Path) -> None:
    shelf = Shelf(folder)
    shelf.put(HOUR, "one")
    directory = tmp_path / "files"
    directory.mkdir()
    databases = [{"name": "one"}, {"name": "two", "health": {"max_age_critical": "soon"}}]
    played = play(player, folder, databases=databases, fail_on="never", status_directory=str(directory))
    played.require(2, "Health is UNKNOWN on staging.", "UNKNOWN: two: max_age_critical")
    assert verdicts(played) == {"one": "ok", "two": "unknown"}
    status = (directory / "staging.status").read_text()
    assert "exit_code 3\n" in status
    assert "state one=ok=,two=unjudged\n" in status
    assert "line PGBACKUP UNKNOWN: two: max_age_critical" in status


def test_a_file_that_cannot_be_written_hides_no_verdict(player: Player, folder: Folder, tmp_path: Path) -> None:
    played = play(player, folder, status_directory=str(tmp_path / "nowhere"))
    played.require(2, "Health is CRITICAL on staging.", "There is no valid backup of app")


_SET_WRONGLY: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "A database has neither name nor database"),
    ({"databases": ["app=1"]}, "An entry of health_databases is not a dictionary."),
    ({"databases": [{"name": "app"}, {"database": "app"}]}, "has two entries of one name among app, app."),
    ({"ping": "{{ not_loaded }}"}, "defined"),
    ({"thresholds": {"max_aeg": "1d"}}, "max_aeg"),
]


def test_what_is_refused(player: Player, folder: Folder) -> None:
    Shelf(folder).put(HOUR)
    inventory = hosts_of("wrong", *({"name": "app", **folder.options, **variables} for variables, _says in _SET_WRONGLY))
    player.play("-e", "target=wrong", playbook=_HEALTH, inventory=inventory).require_failures(*(says for _variables, says in _SET_WRONGLY))
