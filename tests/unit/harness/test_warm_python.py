# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forked Python is what a started one would be: its directory, environment, arguments, streams, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.tree import linked_tree
from harness.waiting import NotYet, wait_for
from harness.warm_python import WarmProcess, WarmPython

_PROGRAM = """
import json, os, sys, tempfile
print("Ready.", flush=True)
line = sys.stdin.readline()
print(json.dumps([line, sys.argv[1:], os.getcwd(), os.environ.get("HERE"), os.environ.get("PATH"), tempfile.gettempdir(), os.getpid(), "boto3" in sys.modules]))
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmPython]:
    # Below nohup, or in the background of a script, it would ignore these signals.
    found = WarmPython(["env", "--default-signal=HUP,INT", sys.executable], linked_tree())
    yield found
    found.stop()


def start(warm: WarmPython, directory: Path, *arguments: str) -> WarmProcess:
    program = directory / "program.py"
    program.write_text(_PROGRAM)
    with (directory / "output").open("w") as output:
        running = warm.start([str(program), *arguments], directory, {"HERE": "x", "TMPDIR": str(directory)}, subprocess.PIPE, output)

    def probe() -> None:
        if (directory / "output").read_text() != "Ready.\n":
            raise NotYet("It has not begun.")

    wait_for(probe, "The program begins")
    return running


def test_it_has_all_that_its_run_was_given(warm: WarmPython, tmp_path: Path) -> None:
    running = start(warm, tmp_path, "3", "a b")
    assert running.poll() is None
    assert running.stdin
    with running.stdin as stdin:
        stdin.write("Go on.\n")
    assert running.wait(20) == running.poll() == running.returncode == 3
    found = json.loads((tmp_path / "output").read_text().splitlines()[1])
    assert found == ["Go on.\n", ["3", "a b"], str(tmp_path), "x", None, str(tmp_path), running.pid, True]


def test_one_that_is_killed_says_so_and_the_next_starts(warm: WarmPython, tmp_path: Path) -> None:
    running = start(warm, tmp_path, "0")
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(0.01)
    running.kill()
    assert running.wait(20) == -signal.SIGKILL
    running.kill()
    again = start(warm, tmp_path, "0")
    assert again.stdin and running.stdin
    running.stdin.close()
    again.stdin.close()
    assert again.wait(20) == 0
    assert again.pid != running.pid


def test_signals_do_what_they_do_to_a_python(warm: WarmPython, tmp_path: Path) -> None:
    for number, status in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP), (signal.SIGINT, -signal.SIGINT)):
        running = start(warm, tmp_path, "0")
        os.kill(running.pid, number)
        assert running.wait(20) == status
        assert running.stdin
        running.stdin.close()
