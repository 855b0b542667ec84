# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role monitor on files of its own: what it installs, that a second run changes nothing, that it goes again, and the plugin on every state there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.ansible_runner import AnsibleRunner
from harness.paths import CHECKOUT
from system.playing import Played, Player, one_host
from system.scenes import Folder
from system.shelf import HOUR, Shelf

_PLUGIN = CHECKOUT / "roles" / "monitor" / "files" / "check_postgresql_backup"
# Everything that a shell, cron or systemd would take for something else.
HOSTILE = 'it\'s 100% "$HOME" \\ back'


class Site:
    """A host's directories, and the role on them."""

    def __init__(self, player: Player, directory: Path) -> None:
        self._player, self.root = player, directory
        self.cron, self.systemd, self.rules, self.plugins, self.status = (directory / name for name in ("cron.d", "systemd", "rules", "plugins", "status"))
        for path in (self.cron, self.systemd, self.rules):
            path.mkdir(parents=True)
        self._bin = directory / "bin"
        self._bin.mkdir()
        # cron's own module demands it and, for a file of its own, never runs it.
        (self._bin / "crontab").write_text("#!/bin/sh\nexit 1\n")
        (self._bin / "crontab").chmod(0o755)

    def install(self, *arguments: str, crontab: bool = True, **variables: Any) -> Played:
        """Run the role; variables are without its prefix."""
        play = {
            "hosts": "staging",
            "gather_facts": False,
            "roles": [{"role": "workon.postgresql_backup.monitor", "vars": self._variables(variables)}],
        }
        return self._play([play], one_host(), *arguments, crontab=crontab)

    def refuse(self, *faulty: dict[str, Any]) -> Played:
        """Run the role on a host for each of these."""
        play = {"hosts": "all", "gather_facts": False, "roles": ["workon.postgresql_backup.monitor"]}
        return self._play([play], {"hosts": {f"host{number}": self._variables(each) for number, each in enumerate(faulty)}})

    def _variables(self, variables: dict[str, Any]) -> dict[str, Any]:
        settings = {
            "cron_directory": str(self.cron),
            "systemd_directory": str(self.systemd),
            "rules_directory": str(self.rules),
            "plugin_directory": str(self.plugins),
            "status_directory": str(self.status),
            "user": os.environ.get("USER") or "root",
            "activate": False,
            **variables,
        }
        return {f"monitor_{name}": value for name, value in settings.items()}

    def _play(self, plays: list[dict[str, Any]], inventory: dict[str, Any], *arguments: str, crontab: bool = True) -> Played:
        playbook = self.root / "play.yml"
        playbook.write_text(yaml.safe_dump(plays))
        path = f"{self._bin}{os.pathsep}{os.environ['PATH']}" if crontab else os.environ["PATH"]
        return self._player.play(*arguments, playbook=str(playbook), inventory=inventory, PATH=path)

    def files(self) -> set[str]:
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()} - {"play.yml", "bin/crontab"}


@pytest.fixture
def site(ansible: AnsibleRunner, tmp_path: Path) -> Site:
    return Site(Player(ansible, tmp_path / "player", "monitor"), tmp_path / "site")


def check(*arguments: str | Path) -> tuple[int, str]:
    result = subprocess.run(["/bin/sh", _PLUGIN, *arguments], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    return result.returncode, result.stdout.rstrip("\n")


# The role

_ALWAYS = {"plugins/check_postgresql_backup", "rules/postgresql_backup.rules.yml"}
_CRON = {"cron.d/postgresql_backup_health"}
_TIMER = {"systemd/postgresql_backup_health.service", "systemd/postgresql_backup_health.timer"}


def test_the_life_of_a_site(site: Site, tmp_path: Path) -> None:
    """From systemd with everything to cron, which takes its place, and away; most of what a run of the role takes is the run."""
    site.install("--check").require(0)
    assert site.files() == set()
    more = {"vars_file": "/etc/vars.yml", "environment": {"ANSIBLE_CONFIG": "/etc/ansible.cfg", "LC_ALL": "C.UTF-8"}}
    site.install(rules=["postgresql_backup.rules.yml", "postgresql_backup_24h.rules.yml"], textfile_directory=str(tmp_path), **more).require(0)
    assert site.files() == {*_ALWAYS, *_TIMER, "rules/postgresql_backup_24h.rules.yml"}
    service = (site.systemd / "postgresql_backup_health.service").read_text()
    assert f'"--extra-vars" "health_textfile_directory={tmp_path}"\n' in service
    assert '"--extra-vars" "@/etc/vars.yml"' in service
    assert 'ExecStart="env" "ANSIBLE_CONFIG=/etc/ansible.cfg" "LC_ALL=C.UTF-8" "ansible-playbook" ' in service
    site.install(ansible_playbook="/bin/true").require(0)
    # What is no longer wanted goes, of the rules as well.
    assert site.files() == {*_ALWAYS, *_TIMER}
    if shutil.which("systemd-analyze"):
        verified = subprocess.run(["systemd-analyze", "verify", *(site.root / name for name in sorted(_TIMER))], capture_output=True, text=True, check=False)
        assert "postgresql_backup_health" not in verified.stderr, verified.stderr
    site.install(ansible_playbook="/bin/true").require(0, "changed=0")

    site.install("--check", scheduler="cron").require(0)
    assert site.files() == {*_ALWAYS, *_TIMER}
    played = site.install("--diff", scheduler="cron", target="production").require(0)
    assert "changed=0" not in played.output
    assert site.files() == {*_ALWAYS, *_CRON}
    entry = (site.cron / "postgresql_backup_health").read_text().splitlines()
    assert entry[-1] == (
        f"17 * * * * {os.environ.get('USER') or 'root'} ansible-playbook workon.postgresql_backup.health --inventory /etc/postgresql-backup/inventory "
        f"--extra-vars target=production --extra-vars health_status_directory={site.status} "
        "2>&1 | logger -t postgresql_backup_health"
    )
    assert 'PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"' in entry
    assert os.access(site.plugins / "check_postgresql_backup", os.X_OK)
    site.install(scheduler="cron", target="production").require(0, "changed=0")

    (site.status / "staging.status").write_text("old")
    site.install("--check", state="absent").require(0)
    assert site.files() == {*_ALWAYS, *_CRON, "status/staging.status"}
    site.install(state="absent").require(0)
    assert site.files() == set()
    site.install(state="absent").require(0, "changed=0")


def test_a_host_without_cron_gets_no_entry_that_nothing_reads(site: Site) -> None:
    if shutil.which("crontab"):
        pytest.skip("There is a cron here.")
    site.install(crontab=False, scheduler="cron").require(2, "crontab")
    assert "cron.d/postgresql_backup_health" not in site.files()


def test_a_command_arrives_word_by_word(site: Site, tmp_path: Path) -> None:
    """By cron's own rule for percent signs and a real shell, and by systemd's rules for words; systemd takes the place of cron."""
    witness = tmp_path / "witness"
    program = f"import json, sys; open({str(witness)!r}, 'w').write(json.dumps(sys.argv[1:]))"
    command = [sys.executable, "-c", program, HOSTILE, "{{ '{{' }} plain"]
    site.install(scheduler="cron", command=command, cron={"minute": "3", "hour": "*/2"}).require(0)
    entry = (site.cron / "postgresql_backup_health").read_text().splitlines()[-1]
    assert entry.startswith("3 */2 * * * ")
    job = entry.split(" ", 6)[6].replace("\\%", "%")
    assert "%" not in entry.replace("\\%", "")
    subprocess.run(["/bin/sh", "-c", job], check=True)
    assert json.loads(witness.read_text()) == [HOSTILE, "{{ plain"]
    site.install(command=["/bin/echo", HOSTILE]).require(0)
    assert site.files() == {*_ALWAYS, *_TIMER}
    started = next(line for line in (site.systemd / "postgresql_backup_health.service").read_text().splitlines() if line.startswith("ExecStart="))
    assert shlex.split(started.removeprefix("ExecStart=").replace("$$", "$").replace("%%", "%"))[1:] == [HOSTILE]


_SET_WRONGLY: list[tuple[dict[str, Any], str]] = [
    ({"command": "ansible-playbook x"}, "monitor_command is not a list of words."),
    ({"command": ["a\nb"]}, "monitor_command has a line break"),
    ({"command": []}, "monitor_command is not a list of words."),
    ({"rules": ["no.yml"]}, "monitor_rules names a file that there is not: no.yml."),
    ({"scheduler": "at"}, "value of monitor_scheduler must be one of"),
]


def test_what_is_refused(site: Site) -> None:
    site.refuse(*(variables for variables, _says in _SET_WRONGLY)).require_failures(*(says for _variables, says in _SET_WRONGLY))
    assert site.files() == set()


# The plugin


def status(path: Path, *, age: float = 0, code: str = "0", line: str = "PGBACKUP OK: fine | 'app_age'=1s;2;3") -> Path:
    path.write_text(f"judged_at {int(time.time() - age)}\nexit_code {code}\nstate ok\ntold ok\nline {line}\n")
    return path


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (0, "PGBACKUP OK: app: fine | 'app_age'=3600s;90000;108000"),
        (1, "PGBACKUP WARNING: it is old"),
        (2, "PGBACKUP CRITICAL: 50 % less, \\n $(touch x) `id` %s"),
        (3, "PGBACKUP UNKNOWN: no answer"),
    ],
)
def test_the_plugin_repeats_what_was_found(tmp_path: Path, code: int, line: str) -> None:
    assert check(status(tmp_path / "status", code=str(code), line=line)) == (code, line)


@pytest.mark.parametrize(("age", "longest", "code"), [(10700, (), 0), (10900, (), 3), (50, ("60",), 0), (70, ("60",), 3), (-200, (), 0), (-400, (), 3)])
def test_a_check_that_is_dead_is_unknown(tmp_path: Path, age: float, longest: tuple[str, ...], code: int) -> None:
    found, line = check(status(tmp_path / "status", age=age), *longest)
    assert found == code
    if code:
        assert line.startswith("PGBACKUP UNKNOWN: ")
        assert ("Look at the timer or cron entry" in line) is (age > 0)


def test_no_file_is_unknown(tmp_path: Path) -> None:
    code, line = check(tmp_path / "none")
    assert (code, line.startswith("PGBACKUP UNKNOWN: There is no status file")) == (3, True)
    assert check()[0] == 3
    assert check(tmp_path)[0] == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage\n",
        "judged_at soon\nexit_code 0\nline x\n",
        "judged_at 99999999999999999999\nexit_code 0\nline x\n",
        "judged_at -1\nexit_code 0\nline x\n",
        "judged_at NOW\nexit_code 4\nline x\n",
        "judged_at NOW\nexit_code\nline x\n",
        "judged_at NOW\nexit_code 0\n",
        "judged_at NOW\nexit_code 0\nline \n",
        "judged_at NOW\nline x\n",
    ],
)
def test_a_file_that_is_not_what_the_check_writes_is_unknown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "status"
    path.write_text(text.replace("NOW", str(int(time.time()))))
    code, line = check(path)
    assert code == 3
    assert "is not what the check writes" in line


@pytest.mark.parametrize("longest", ["soon", "-5", "1.5"])
def test_an_age_that_is_none(tmp_path: Path, longest: str) -> None:
    assert check(status(tmp_path / "status"), longest) == (3, f"PGBACKUP UNKNOWN: The longest age {longest} is no number of seconds.")


# Both together


def test_the_command_that_is_installed_does_what_the_plugin_reads(site: Site, ansible: AnsibleRunner, folder: Folder, tmp_path: Path) -> None:
    """The command line of the cron entry, run for real with an inventory and a file of variables, and then the installed plugin."""
    Shelf(folder).put(HOUR)
    inventory, variables = tmp_path / "inventory.yml", tmp_path / "vars.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"staging": local}}}))
    variables.touch(mode=0o600)
    variables.write_text(yaml.safe_dump({"postgresql_backup_name": "app", "postgresql_backup_directory": str(folder.path)}))
    program = Path(sys.executable).with_name("ansible-playbook")
    site.install(scheduler="cron", ansible_playbook=str(program), inventory=str(inventory), vars_file=str(variables)).require(0)
    entry = (site.cron / "postgresql_backup_health").read_text().splitlines()[-1]
    job = entry.split(" ", 6)[6].partition(" 2>&1 | logger")[0]
    collections = {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache" / "tree"), "ANSIBLE_HOME": str(tmp_path / "ansible")}
    subprocess.run(["/bin/sh", "-c", job], check=True, capture_output=True, env={**os.environ, **collections})
    plugin = subprocess.run([site.plugins / "check_postgresql_backup", site.status / "staging.status"], capture_output=True, text=True, check=False)
    assert plugin.returncode == 0
    assert re.match("PGBACKUP OK: app: the newest valid backup is 6[0-9] min old", plugin.stdout)
