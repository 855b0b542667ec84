# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a test starts outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import Child, descendants
from harness.waiting import NotYet, wait_for

_PARENT = """
import sys, threading
from pathlib import Path
from harness.process import Child
def start():
    print(Child(["sleep", "60"], Path(sys.argv[1])).pid, flush=True)
starter = threading.Thread(target=start)  # a thread that ends long before its process
starter.start()
starter.join()
threading.Event().wait()
"""


def test_a_child_survives_the_thread_that_started_it_and_dies_with_the_process(tmp_path: Path) -> None:
    tests = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(tests)}
    )
    assert parent.stdout
    with parent, parent.stdout as line:
        child = int(line.readline())
        os.kill(child, 0)
        parent.kill()
    wait_for(lambda: _require_gone(child), "The orphan ends", seconds=10)


def test_killing_takes_the_grandchildren_too(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "setsid sleep 60 & setsid sleep 60 & wait"], tmp_path / "log")

    def family() -> list[int]:
        found = descendants(child.pid)
        if len(found) < 2:
            raise NotYet(str(found))
        return found

    grandchildren = wait_for(family, "Both start", seconds=10)
    child.kill()
    for pid in grandchildren:
        wait_for(lambda pid=pid: _require_gone(pid), "The grandchild ends", seconds=10)  # type: ignore[misc]


def test_a_program_that_ends_by_itself_is_reported_with_its_last_words(tmp_path: Path) -> None:
    child = Child(["sh", "-c", "echo no licence; exit 3"], tmp_path / "log")

    def ended() -> None:
        if child.running:
            raise NotYet

    wait_for(ended, "It ends", seconds=10)
    with pytest.raises(RuntimeError, match=r"sh ended by itself with status 3\. Its last words:\nno licence"):
        child.require_running()


def test_a_program_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], log)

    def ready() -> None:
        if not log.read_text():
            raise NotYet

    wait_for(ready, "The trap is set", seconds=10)
    child.stop(signal.SIGTERM, seconds=0.1)
    assert not child.running


def test_waiting_gives_up_with_the_last_reason() -> None:
    def never() -> None:
        raise NotYet("The moon is not full.")

    with pytest.raises(TimeoutError, match=r"The tide comes: not within 0\.05 s\. The moon is not full\."):
        wait_for(never, "The tide comes", seconds=0.05)


def _require_gone(pid: int) -> None:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return
    if state != "Z":
        raise NotYet(f"{pid} is in state {state}.")
