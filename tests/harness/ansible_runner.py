# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checkout's modules as Ansible runs them on a host: in a process of their own, with the options on its standard input.

Such a process is forked from one that has imported the libraries already (harness/warm_python.py).

``whole`` puts the ``ansible`` program around that, at ``-vvvv``, as a user has it. It takes five times as long, so it is for what Ansible itself makes of a
module; the playbooks' tests run all of it as well.

Every run gets a private home and a private TMPDIR. The latter is also how its processes are told from everybody else's: all of
them inherit it. No secret is put into an argument, and after every run everything printed is searched for the secrets.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from checks.tree import linked_tree
from harness.waiting import NotYet, wait_for
from harness.warm_python import WarmProcess, warm_python

_MODULES = "ansible_collections.workon.postgresql_backup.plugins.modules"
# By its path: a run's own PATH may hold nothing.
_ENV = shutil.which("env") or "/usr/bin/env"
_RESULT = re.compile(r"^localhost \| (?P<verdict>\S+) => (?=\{)", re.MULTILINE)
_RESULT_OF_THE_MODULE = re.compile(r"^(?=\{)", re.MULTILINE)
# What a developer's shell may hold and a test must not depend on.
_FOREIGN = ("ANSIBLE_", "AWS_", "BACKUP_", "DATABASE_URL", "PG", "PYTHON")


@dataclass(frozen=True)
class Process:
    """A running process of one run."""

    pid: int
    parent: int
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a module's run ended: Ansible's exit status and verdict, the module's result, everything printed, and what is still there."""

    module: str
    status: int
    verdict: str
    result: dict[str, Any]
    output: str
    leftovers: tuple[str, ...]
    survivors: tuple[Process, ...]

    @property
    def failed(self) -> bool:
        """Whether both the exit status and the verdict say so."""
        return self.status != 0 and self.verdict == "FAILED!"

    @property
    def message(self) -> str:
        """The module's sentence."""
        return str(self.result.get("msg", ""))

    def require_success(self) -> dict[str, Any]:
        """Return the result, or fail with what the module said."""
        assert self.status == 0 and self.verdict in ("CHANGED", "SUCCESS"), f"{self.module} failed: {self.message}\n{self.result.get('exception', '')}"
        assert not self.leftovers, f"{self.module} left in TMPDIR: {self.leftovers}"
        assert not self.survivors, f"{self.module} left running: {self.survivors}"
        return self.result


class Running:
    """A module's run under way."""

    def __init__(self, runner: AnsibleRunner, module: str, directory: Path, child: subprocess.Popen[str] | WarmProcess, log: Path) -> None:
        self._runner, self._module, self._directory, self._child, self._log = runner, module, directory, child, log
        self._outcome: Outcome | None = None

    def processes(self) -> list[Process]:
        """Return what runs for this run, the module and its children included."""
        # One that was forked has, to /proc, the environment of what it was forked from.
        forked = self._child.pid if isinstance(self._child, WarmProcess) and self._child.poll() is None else None
        return _processes_with(b"TMPDIR=" + os.fsencode(self._directory / "tmp"), forked)

    def program(self, name: str, *, argument: str = "", seconds: float = 30.0) -> Process:
        """Wait until a program of this name (with this argument) runs, and return it."""

        def probe() -> Process:
            for process in self.processes():
                if process.name == name and (not argument or argument in process.arguments):
                    return process
            if self._child.poll() is not None:
                raise AssertionError(f"The run ended before {name} was seen:\n{self._log.read_text()}")
            raise NotYet(f"There are {[process.name for process in self.processes()]}.")

        return wait_for(probe, f"{name} {argument}", seconds=seconds)

    def wait_for_output(self, text: str, *, seconds: float = 60.0) -> None:
        """Return once this was printed."""

        def probe() -> None:
            ended = self._child.poll() is not None
            printed = self._log.read_text()
            if text in printed:
                return
            assert not ended, f"{self._module} ended before it printed {text!r}:\n{printed}"
            raise NotYet(f"It printed {printed!r}.")

        wait_for(probe, f"{self._module} prints {text!r}", seconds=seconds)

    def tell(self, line: str) -> None:
        """Write a line to a program's standard input."""
        assert self._child.stdin
        self._child.stdin.write(f"{line}\n")
        self._child.stdin.flush()

    def kill(self) -> None:
        """End what was started, and only that, as ``kill -9`` does; require that it left no file. Programs that it had started go on by themselves."""
        self._child.kill()
        self._child.wait(20)
        assert not self._leftovers(), f"{self._module} left in TMPDIR: {self._leftovers()}"

    def module_pid(self) -> int:
        """Wait for pg_dump and return the process id of the module that started it."""
        return self.program("pg_dump").parent

    def finish(self, *, seconds: float = 600.0) -> Outcome:
        """Wait for the end and return what came of it."""
        if self._outcome is None:
            try:
                status = self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                printed = self._log.read_text()[-4000:]
                self.stop()
                raise AssertionError(f"{self._module} did not end within {seconds:g} s. It printed:\n{printed}") from None
            output = self._log.read_text()
            verdict, result = _result(output)
            self._runner.require_no_secret(output)
            self._outcome = Outcome(
                module=self._module,
                status=status,
                verdict=verdict,
                result=result,
                output=output,
                survivors=tuple(self._survivors()),
                leftovers=self._leftovers(),
            )
            self.stop()
        return self._outcome

    def stop(self) -> None:
        """End everything of this run and remove its private files."""
        for process in self.processes():
            _kill(process.pid)
        self._child.wait(20)
        if self._child.stdin:
            self._child.stdin.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _leftovers(self) -> tuple[str, ...]:
        return tuple(sorted(str(path.relative_to(self._directory)) for path in (self._directory / "tmp").iterdir()))

    def _survivors(self) -> list[Process]:
        def probe() -> list[Process]:
            if alive := self.processes():
                raise NotYet(str(alive))
            return []

        try:
            # A child that lost its module needs a moment to notice.
            return wait_for(probe, "The run's processes end", seconds=30)
        except TimeoutError:
            return self.processes()


class AnsibleRunner:
    """Runs modules on this host. ``secrets`` must never be seen in anything printed, in no spelling."""

    def __init__(self, secrets: Iterable[str], *, python: str = sys.executable, whole: bool = False) -> None:
        self._secrets = tuple(secrets)
        self._python = python
        self._whole = whole
        self._forbidden = tuple(fragment for secret in self._secrets for fragment in spellings(secret))
        self._started: list[Running] = []

    def run(
        self, module: str, *, check: bool = False, diff: bool = False, environment_: Mapping[str, str] | None = None, seconds: float = 600.0, **options: Any
    ) -> Outcome:
        """Run one module of the collection to its end; ``environment_`` is that of the run, not the module's option of that name."""
        return self.start(module, check=check, diff=diff, environment_=environment_, **options).finish(seconds=seconds)

    def start(self, module: str, *, check: bool = False, diff: bool = False, environment_: Mapping[str, str] | None = None, **options: Any) -> Running:
        """Start one module of the collection."""
        directory = _private_directory()
        if self._whole:
            return self._start_whole(directory, module, check, diff, environment_, options)
        given = {**options, "_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_verbosity": 4, "_ansible_version": "2.18"}
        with _private_file(directory, {"ANSIBLE_MODULE_ARGS": given}).open() as arguments:
            environment = {"PYTHONPATH": str(linked_tree()), **(environment_ or {})}
            return self._launch_python(module, ["-m", f"{_MODULES}.{module}"], directory, arguments, environment)

    def _start_whole(self, directory: Path, module: str, check: bool, diff: bool, environment: Mapping[str, str] | None, options: Mapping[str, Any]) -> Running:
        hidden = {name: value for name, value in options.items() if any(secret in json.dumps(value) for secret in self._written)}
        private = _private_file(directory, {"ansible_python_interpreter": self._python, "hidden": hidden})
        shown = {name: f"{{{{ hidden.{name} }}}}" if name in hidden else value for name, value in options.items()}
        command = [
            _ENV, "--default-signal=HUP,INT", str(Path(self._python).with_name("ansible")), "localhost", "--connection=local", "-vvvv",
            f"--extra-vars=@{private}", f"--module-name=workon.postgresql_backup.{module}",
            *([f"--args={json.dumps(shown)}"] if shown else []), *(["--check"] if check else []),
            *(["--diff"] if diff else []),
        ]  # fmt: skip
        return self._launch(module, command, directory, subprocess.DEVNULL, environment)

    def start_program(self, program: Path, *arguments: str) -> Running:
        """Start a Python program in the surroundings of a module's run; it takes lines on its standard input, and prints its result as Ansible would."""
        return self._launch_python(program.stem, [str(program), *arguments], _private_directory(), subprocess.PIPE, {})

    def _launch_python(self, name: str, arguments: list[str], directory: Path, stdin: int | IO[str], environment: Mapping[str, str]) -> Running:
        # Below nohup, or in the background of a script, everything would ignore these signals.
        python = (_ENV, "--default-signal=HUP,INT", self._python)
        # What another Python is to import must be there when it starts.
        if environment.get("PYTHONPATH", str(linked_tree())) != str(linked_tree()):
            return self._launch(name, [*python, *arguments], directory, stdin, environment)
        log = directory / "output"
        with log.open("w") as output:
            first = warm_python(python, linked_tree())
            child = first.start(arguments, directory / "home", {**self._environment(directory), **environment}, stdin, output)
        return self._running(name, directory, child, log)

    def _launch(self, name: str, command: list[str], directory: Path, stdin: int | IO[str], environment: Mapping[str, str] | None) -> Running:
        log = directory / "output"
        with log.open("w") as output:
            child = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=directory / "home",
                env={**self._environment(directory), **(environment or {})},
            )
        return self._running(name, directory, child, log)

    def _running(self, name: str, directory: Path, child: subprocess.Popen[str] | WarmProcess, log: Path) -> Running:
        running = Running(self, name, directory, child, log)
        self._started.append(running)
        return running

    def stop_all(self) -> None:
        """End every run that is still under way."""
        while self._started:
            self._started.pop().stop()

    def require_no_secret(self, text: str) -> None:
        """Fail if any spelling of a secret, or a telling piece of one, is in the text."""
        for fragment in self._forbidden:
            position = text.find(fragment)
            assert position < 0, f"A secret was printed ({fragment!r}): ...{text[max(0, position - 200) : position + 100]}..."

    @property
    def _written(self) -> tuple[str, ...]:
        return tuple(form for secret in self._secrets for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]))

    def _environment(self, directory: Path) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        return {
            **ours,
            "HOME": str(directory / "home"),
            "TMPDIR": str(directory / "tmp"),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_HOME": str(directory / "home" / ".ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(linked_tree()),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        }


def spellings(secret: str) -> set[str]:
    """Return how a secret, or a telling piece of it, would look in print; written apart from the redactor it is to judge."""
    pieces = {piece for piece in re.split(r"[^A-Za-z0-9]", secret) if len(piece) >= 6}
    # Where the letters between two marks are too few to tell, they tell together with the marks.
    joined = {secret[at - 2 : at + 4] for at in range(2, len(secret) - 4) if not secret[at].isalnum()}
    forms = pieces | joined | {quote(piece, safe="") for piece in joined} | {quote(piece, safe="").lower() for piece in joined}
    for before in range(3):
        encoded = base64.b64encode(b"x" * before + secret.encode()).decode()
        forms.add(encoded[4:-4])
    return forms


def _private_directory() -> Path:
    """Make what every run has for itself: a home, and a place for temporary files."""
    directory = Path(tempfile.mkdtemp(prefix="ansible-run-"))
    for name in ("home", "tmp"):
        (directory / name).mkdir(mode=0o700)
    return directory


def _result(output: str) -> tuple[str, dict[str, Any]]:
    if whole := _RESULT.search(output):
        return whole["verdict"], _json_at(output, whole.end())
    found = _RESULT_OF_THE_MODULE.search(output)
    # To Ansible, too, a module without a result has failed.
    result = _json_at(output, found.end()) if found else {"failed": True, "msg": f"There is no result: {output}"}
    return "FAILED!" if result.get("failed") else "CHANGED" if result.get("changed") else "SUCCESS", result


def _json_at(text: str, position: int) -> dict[str, Any]:
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text, position)[0]
    return found


def _private_file(directory: Path, content: dict[str, Any]) -> Path:
    path = directory / "options.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    return path


def _processes_with(marker: bytes, and_this: int | None = None) -> list[Process]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int(entry.name) != and_this and marker not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            name, dummy, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            arguments = tuple((entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0"))
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state not in "ZX":
            found.append(Process(int(entry.name), int(parent), name, arguments))
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
