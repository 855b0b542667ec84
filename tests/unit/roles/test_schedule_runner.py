# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that cron and systemd start: real processes, real locks. A script of the test stands where ansible-playbook would."""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.waiting import NotYet, wait_for

_RUNNER = Path(__file__).resolve().parents[3] / "roles" / "schedule" / "files" / "postgresql_backup_run.py"
_LINE = re.compile(r"\[\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\] ")
# It goes out of its process group, as Ansible's workers do, and does not listen when asked to end.
_STUBBORN = "setsid sh -c 'trap \"\" TERM; echo $$ > {directory}/worker; sleep 1000 & wait; sleep 1000' & "


class Host:
    """A schedule in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "workon.log"
        self.schedule = directory / "schedule.json"
        self._started: list[subprocess.Popen[str]] = []
        self.settings: dict[str, Any] = {
            "ansible_playbook": str(directory / "ansible-playbook"),
            "inventory": str(directory / "inventory"),
            "log_directory": str(directory),
            "lock_directory": str(directory / "locks"),
            "environment": {"PATH": os.environ["PATH"]},
            "kill_after": 0.5,
            "jobs": {
                kind: {"workon": {"playbook": f"collection.{kind}", "variables": {"reason": "scheduled"}, "time_limit": 60, "lock_wait": wait}}
                for kind, wait in (("backup", 30), ("verify", 0), ("health", None))
            },
        }

    def does(self, script: str, **settings: Any) -> Host:
        """Say what happens in place of ansible-playbook, and change the schedule."""
        program = self.directory / "ansible-playbook"
        program.write_text(f"#!/bin/sh\n{script.replace('{directory}', str(self.directory))}\n")
        program.chmod(0o755)
        self.schedule.write_text(json.dumps({**self.settings, **settings}))
        return self

    def limit(self, seconds: float) -> Host:
        """Limit the time of backups."""
        self.settings["jobs"]["backup"]["workon"]["time_limit"] = seconds
        return self

    def start(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_RUNNER), f"--schedule={self.schedule}", *(arguments or ("backup", "workon"))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Run the program to its end; return its exit status, its output and its complaints."""
        process = self.start(*arguments, environment=environment)
        output, complaints = process.communicate(timeout=60)
        return process.returncode, output, complaints

    def wait_for_file(self, name: str) -> str:
        def probe() -> str:
            path = self.directory / name
            if not path.exists() or not path.read_text().strip():
                raise NotYet(f"There is no {name}.")
            return path.read_text().strip()

        return wait_for(probe, name, seconds=20)

    def lines(self) -> list[str]:
        """What is in the log, without the times, each of which must be there."""
        found = self.log.read_text().splitlines()
        assert all(_LINE.match(line) for line in found), found
        return [_LINE.sub("", line, count=1) for line in found]

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=60)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    (tmp_path / "go").touch()
    made.end()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_run_is_the_playbook_for_one_target_in_a_log_with_times(host: Host) -> None:
    host.does('printf "%s\\n" "$@" > {directory}/arguments; echo "Backed up."; echo "a warning" >&2')
    status, output, complaints = host.run("backup", "workon", "--check")
    assert (status, complaints) == (0, "")
    assert (host.directory / "arguments").read_text().splitlines() == [
        f"--inventory={host.directory}/inventory",
        '--extra-vars={"target": "workon", "reason": "scheduled"}',
        "--check",
        "collection.backup",
    ]
    assert host.lines()[:-1] == ["Starting backup of workon...", "Backed up.", "a warning"]
    assert re.fullmatch(r"Finished backup of workon in \d+ s\.", host.lines()[-1])
    assert output == host.log.read_text()
    assert stat.S_IMODE(host.log.stat().st_mode) == 0o640


def test_the_times_are_utc(host: Host) -> None:
    host.does("true")
    before = int(time.time())
    assert host.run(environment={"TZ": "Pacific/Kiritimati"})[0] == 0
    written = calendar.timegm(time.strptime(host.log.read_text()[1:20], "%Y-%m-%d %H:%M:%S"))
    assert before <= written <= time.time()


def test_the_exit_status_is_that_of_the_playbook_and_cron_gets_one_sentence(host: Host) -> None:
    host.does("echo fatal; exit 4")
    status, output, complaints = host.run("--quiet", "backup", "workon")
    assert (status, output) == (4, "")
    assert re.fullmatch(r"The backup of workon failed: ansible-playbook ended with exit status 4 after \d+ s\.\n", complaints)
    assert host.lines()[1] == "fatal"
    assert host.lines()[-1].startswith("ERROR: The backup of workon failed")


def test_nothing_of_the_caller_s_environment_is_handed_on(host: Host) -> None:
    host.does("env > {directory}/environment")
    assert host.run(environment={"PGPASSWORD": "canary", "AWS_SECRET_ACCESS_KEY": "canary"})[0] == 0
    assert "canary" not in (host.directory / "environment").read_text()


def test_a_second_run_of_the_same_job_is_skipped_at_once(host: Host) -> None:
    host.does("echo x >> {directory}/began; while [ ! -e {directory}/go ]; do sleep 0.05; done")
    first = host.start()
    host.wait_for_file("began")
    status, output, _complaints = host.run()
    assert status == 75
    assert re.search(rf"Skipped the backup of workon: The backup of workon \(process {first.pid}, since .*\) has the database\.", output)
    (host.directory / "go").touch()
    assert first.wait(30) == 0
    assert (host.directory / "began").read_text() == "x\n"
    assert host.run()[0] == 0


def test_another_job_of_the_database_waits_for_its_turn_or_is_skipped(host: Host) -> None:
    host.does("echo x >> {directory}/began; while [ ! -e {directory}/go ]; do sleep 0.05; done")
    backup = host.start()
    host.wait_for_file("began")
    # A restore test does not wait here, a backup does.
    assert host.run("verify", "workon")[0] == 75
    assert "Skipped the restore test of workon: The backup of workon" in host.log.read_text()
    (host.directory / "go").touch()
    assert backup.wait(30) == 0
    (host.directory / "go").unlink()
    (host.directory / "began").unlink()
    verify = host.start("verify", "workon")
    host.wait_for_file("began")
    backup = host.start()
    (host.directory / "go").touch()
    assert (verify.wait(30), backup.wait(30)) == (0, 0)
    assert (host.directory / "began").read_text() == "x\nx\n"


def test_what_only_looks_does_not_wait(host: Host) -> None:
    host.does('case "$*" in *health) exit 3;; esac; echo x > {directory}/began; while [ ! -e {directory}/go ]; do sleep 0.05; done')
    host.start()
    host.wait_for_file("began")
    assert host.run("health", "workon")[0] == 3


def test_the_lock_is_held_as_long_as_the_run_lives_even_when_its_runner_was_killed(host: Host) -> None:
    host.does("echo $$ > {directory}/began; while [ ! -e {directory}/go ]; do sleep 0.05; done")
    first = host.start()
    playbook = int(host.wait_for_file("began"))
    first.kill()
    first.wait(30)
    assert host.run()[0] == 75
    (host.directory / "go").touch()

    def ended() -> None:
        if alive(playbook):
            raise NotYet("It runs.")

    wait_for(ended, "the run ends", seconds=20)
    assert host.run()[0] == 0


def test_the_time_limit_ends_every_process_of_the_run(host: Host) -> None:
    host.limit(1).does("trap '' TERM; " + _STUBBORN + "sleep 1000 & sleep 1000; sleep 1000")
    status, _output, complaints = host.run("--quiet", "backup", "workon")
    assert (status, complaints) == (124, "The backup of workon failed: it took longer than 1 s and was ended.\n")
    assert not alive(int(host.wait_for_file("worker")))
    assert host.run("--quiet", "backup", "workon")[0] == 124


def test_a_run_that_closed_its_output_is_limited_too(host: Host) -> None:
    host.limit(1).does("exec >&- 2>&-; sleep 1000")
    assert host.run()[0] == 124


def test_what_a_run_leaves_behind_is_ended_and_does_not_hold_it_up(host: Host) -> None:
    host.does(_STUBBORN + "while [ ! -e {directory}/worker ]; do sleep 0.05; done")
    assert host.run()[0] == 0
    assert not alive(int(host.wait_for_file("worker")))
    assert "Ended 2 processes that the run had left behind." in host.lines()


def test_a_signal_ends_the_run_and_is_a_failure(host: Host) -> None:
    host.does(_STUBBORN + "sleep 1000")
    running = host.start()
    worker = int(host.wait_for_file("worker"))
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 128 + signal.SIGTERM
    assert not alive(worker)
    assert re.fullmatch(r"ERROR: The backup of workon failed: it was ended by SIGTERM after \d+ s\.", host.lines()[-1])


_HOOK = r"""
case "$*" in *tell.yml) for one; do case "$one" in --extra-vars=@*) cat "${one#*@}" > {directory}/event;; esac; done; echo told; exit {end};; esac
printf '%b\n' 'the reason: "{{ 1 + 1 }}" \\\\ gr\0303\0266\0303\0237er \0360\0237\0220\0230'; exit 2
"""


class _Unsafe(yaml.SafeLoader):
    """Reads what Ansible will not take for a template, and fails for every other text."""


_Unsafe.add_constructor("!unsafe", lambda loader, node: ("unsafe", loader.construct_scalar(node)))


def test_a_failure_is_told_with_its_log(host: Host) -> None:
    host.does(_HOOK.replace("{end}", "0"), on_failure="tell.yml")
    assert host.run()[0] == 2
    tagged = yaml.load((host.directory / "event").read_text(), _Unsafe)["schedule_event"]
    event = {name: text for name, (tag, text) in tagged.items() if tag == "unsafe"}
    assert (event["event"], event["job"], event["database"]) == ("failure", "backup", "workon")
    assert event["summary"].startswith("The backup of workon failed: ansible-playbook ended with exit status 2")
    assert '] the reason: "{{ 1 + 1 }}" \\\\ gr\u00f6\u00dfer \U0001f418\n' in event["text"]
    assert host.lines()[-2:] == ["Telling of the failure by the playbook tell.yml...", "told"]


def test_a_hook_that_fails_is_said_and_changes_no_exit_status(host: Host) -> None:
    host.does(_HOOK.replace("{end}", "1"), on_failure="tell.yml")
    assert host.run()[0] == 2
    assert host.lines()[-1] == "ERROR: The playbook tell.yml ended with exit status 1, so perhaps nobody was told."


def test_nobody_is_told_of_success_nor_of_a_skipped_run(host: Host) -> None:
    host.does('echo "$@" >> {directory}/calls; while [ ! -e {directory}/go ]; do sleep 0.05; done', on_failure="tell.yml")
    first = host.start()
    host.wait_for_file("calls")
    assert host.run()[0] == 75
    (host.directory / "go").touch()
    assert first.wait(30) == 0
    assert len((host.directory / "calls").read_text().splitlines()) == 1


def test_a_job_that_waited_in_vain_is_told(host: Host) -> None:
    host.does('case "$*" in *tell.yml) echo told; exit 0;; esac; echo x > {directory}/began; while [ ! -e {directory}/go ]; do sleep 0.05; done')
    host.start("verify", "workon")
    host.wait_for_file("began")
    host.settings["jobs"]["backup"]["workon"]["lock_wait"] = 0.2
    host.schedule.write_text(json.dumps({**host.settings, "on_failure": "tell.yml"}))
    status, _output, complaints = host.run("--quiet", "backup", "workon")
    assert status == 75
    assert re.fullmatch(r"Skipped the backup of workon: The restore test of workon \(.*\) has the database since more than 0.2 s\.\n", complaints)
    assert host.lines()[-1] == "told"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("backup", "worken"), "The schedule has no job backup worken. It has: backup workon, health workon, verify workon."),
        (("restore", "workon"), "The schedule has no job restore workon. It has: backup workon, health workon, verify workon."),
    ],
)
def test_a_job_that_is_not_there_is_refused(host: Host, arguments: tuple[str, ...], sentence: str) -> None:
    status, output, complaints = host.does("true").run(*arguments)
    assert (status, output, complaints) == (78, "", f"{sentence}\n")


def test_a_schedule_that_cannot_be_read_is_refused(host: Host) -> None:
    assert host.run()[2].startswith(f"The schedule {host.schedule} cannot be read: No such file or directory.")
    host.schedule.write_text("{")
    status, _output, complaints = host.run()
    assert (status, complaints.partition(":")[0]) == (78, f"The schedule {host.schedule} is not JSON")


def test_a_program_that_is_not_there_is_a_failure_in_the_log(host: Host) -> None:
    host.does("true", ansible_playbook=f"{host.directory}/nothing")
    assert host.run()[0] == 78
    assert host.lines()[-1].endswith("/nothing could not be started: No such file or directory. Run the role install.")


def test_a_lock_that_cannot_be_had_is_a_failure_that_is_told(host: Host) -> None:
    host.does(_HOOK.replace("{end}", "0"), on_failure="tell.yml")
    (host.directory / "locks" / "workon.lock").mkdir(parents=True)
    assert host.run()[0] == 78
    assert f"ERROR: The backup of workon failed: its lock cannot be had: Is a directory: {host.directory}/locks/workon.lock." in host.lines()
    assert host.lines()[-1] == "told"


@pytest.fixture
def full_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a filesystem that has not a byte left."""
    path = tmp_path_factory.mktemp("full")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", path], check=False, capture_output=True).returncode:
        pytest.skip("Filesystems cannot be mounted here.")
    try:
        (path / "locks").mkdir()
        with contextlib.suppress(OSError), (path / "filling").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def test_a_full_disk_ends_no_run_and_keeps_no_failure_from_being_told(host: Host, full_disk: Path) -> None:
    host.does(_HOOK.replace("{end}", "0"), on_failure="tell.yml", lock_directory=str(full_disk / "locks"))
    status, output, _complaints = host.run(environment={"TMPDIR": str(full_disk)})
    assert status == 2
    assert output.endswith("told\n")
    assert "event: !unsafe" in (host.directory / "event").read_text()


def test_control_characters_are_left_out(host: Host) -> None:
    host.does(r"printf 'a\033[31mb\r\n\377c'")
    assert host.run()[0] == 0
    assert host.lines()[1:3] == ["a[31mb", "\ufffdc"]


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can become somebody else.")
def test_root_becomes_the_user_of_the_backups(host: Host) -> None:
    host.directory.chmod(0o777)
    for parent in host.directory.parents:
        if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    host.does("id -un", user="nobody")
    assert host.run()[0] == 0
    assert host.lines()[1] == "nobody"
    assert host.log.owner() == "nobody"
