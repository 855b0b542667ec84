# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the collection's playbooks as a user does: in a process of its own, at -vvvv, where no secret may be printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.tree import linked_tree
from harness.ansible_runner import AnsibleRunner
from harness.paths import CHECKOUT

EXAMPLE = CHECKOUT / "examples" / "inventory"
# Two hosts, one of them in a group, and a group of nobody.
TWO_HOSTS: dict[str, Any] = {"hosts": {"other": {}}, "children": {"hosted": {"hosts": {"staging": {}}}, "nobody": {}}}
# All that is told of it, in lines that are indented or close what was opened; of a loop, each round on its own.
_FAILURE = re.compile(r"^(?:fatal|failed): \[(?P<host>\w+)\](?P<what>.*\n(?:[ }].*\n)*)", re.MULTILINE)
_FOREIGN = ("ANSIBLE_", "AWS_", "BACKUP_", "DATABASE_URL", "PG", "PYTHON")


def one_host(**variables: Any) -> dict[str, Any]:
    """Return an inventory of the host staging with collection-wide variables, named without their prefix."""
    return {"hosts": {"staging": {f"postgresql_backup_{name}": value for name, value in variables.items()}}}


def hosts_of(group: str, *variables: dict[str, Any]) -> dict[str, Any]:
    """Return an inventory with a host for each of these, called host0 and so on in this group, so that one play shows what comes of all of them."""
    named = [{f"postgresql_backup_{name}": value for name, value in each.items()} for each in variables]
    return {"children": {group: {"hosts": {f"host{number}": each for number, each in enumerate(named)}}}}


@dataclass(frozen=True)
class Played:
    """How a playbook ended; ``name`` is the playbook's."""

    name: str
    status: int
    output: str

    @property
    def outcome(self) -> dict[str, Any]:
        """What the play hands on to later jobs, by host and database."""
        return self.stats(f"postgresql_{self.name}")

    def stats(self, name: str) -> dict[str, Any]:
        """Return custom statistics of the play."""
        _before, _marker, rest = self.output.partition("RUN: ")
        assert rest, f"No custom statistics were printed:\n{self.output[-2000:]}"
        found: dict[str, Any] = json.JSONDecoder().raw_decode(rest)[0][name]
        return found

    def require(self, status: int, *fragments: str) -> Played:
        """Require an exit status, and pieces of what was printed."""
        assert self.status == status, f"Status {self.status} instead of {status}:\n{self.output[-6000:]}"
        for fragment in fragments:
            assert fragment in self.output, f"{fragment!r} was not printed:\n{self.output[-6000:]}"
        return self

    def require_failures(self, *sentences: str) -> Played:
        """Require that each of the hosts of ``hosts_of`` has failed, each with its own sentence, and nothing else has."""
        failures: dict[str, str] = {}
        for found in _FAILURE.finditer(self.require(2).output):
            failures[found["host"]] = failures.get(found["host"], "") + found["what"]
        assert sorted(failures) == sorted(f"host{number}" for number in range(len(sentences))), f"Failed have {sorted(failures)}:\n{self.output[-6000:]}"
        for number, sentence in enumerate(sentences):
            assert sentence in failures[f"host{number}"], f"{sentence!r} is not why host{number} failed:\n{failures[f'host{number}']}"
        return self


class Player:
    """Runs one of the collection's playbooks on this host at -vvvv, and requires of every run that no secret was printed."""

    def __init__(self, runner: AnsibleRunner, directory: Path, name: str) -> None:
        self._runner, self._directory, self._name = runner, directory, name
        directory.mkdir(mode=0o700)

    @property
    def by_path(self) -> str:
        """The playbook as a file of the checkout."""
        return str(CHECKOUT / "playbooks" / f"{self._name}.yml")

    @property
    def by_name(self) -> str:
        """The playbook as one of an installed collection."""
        return f"workon.postgresql_backup.{self._name}"

    def play(self, *arguments: str, playbook: str = "", inventory: dict[str, Any] | Path | None = None, **environment: str) -> Played:
        """Run the playbook, or another one that calls it; an inventory given as data is one of hosts on this machine."""
        source = self._written(inventory) if isinstance(inventory, dict) else inventory
        command = [str(Path(sys.executable).with_name("ansible-playbook")), playbook or self.by_path, "-vvvv", *arguments]
        result = subprocess.run(
            [*command, *(["-i", str(source)] if source else [])],
            cwd=self._directory,
            env={**self._environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        self._runner.require_no_secret(result.stdout)
        return Played(self._name, result.returncode, result.stdout)

    def _written(self, inventory: dict[str, Any]) -> Path:
        path = self._directory / "inventory.json"
        path.touch(mode=0o600)
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        path.write_text(json.dumps({"all": {**inventory, "vars": {**local, **inventory.get("vars", {})}}}))
        return path

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        return {
            **ours,
            "HOME": str(self._directory),
            "ANSIBLE_HOME": str(self._directory / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(linked_tree()),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        }
