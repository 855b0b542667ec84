# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command costs: wall time, CPU of client and servers, memory, and what it writes to a disk. From /proc and wait4, so Linux only."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.process import descendants

_TICKS = os.sysconf("SC_CLK_TCK")
_RUSAGE_BLOCK = 512
_INTERVAL = 0.1


@dataclass(frozen=True)
class Command:
    """One program to run; ``stdin`` is all that it gets to read."""

    arguments: Sequence[str]
    stdin: bytes = b""


@dataclass(frozen=True)
class Cost:
    """What a run took. Seconds and bytes.

    ``peak_memory`` is the largest resident set of the first process of any command. ``temporary_disk`` is what lay in TMPDIR, or was deleted and
    still open, at the worst moment that was looked at; ``written`` is what the kernel counted as written by the commands and all their children.
    ``foreign_cpu`` is what everything else on this machine used meanwhile: it tells how far the wall time can be trusted.
    """

    wall: float
    client_cpu: float
    server_cpu: float
    store_cpu: float
    foreign_cpu: float
    peak_memory: int
    temporary_disk: int
    written: int
    outputs: tuple[bytes, ...] = field(repr=False)


class CommandFailed(RuntimeError):
    """A measured command ended with an error, so its figures mean nothing."""


def measure(commands: Sequence[Command], environment: Mapping[str, str], temporary: Path, *, server: int, store: int) -> Cost:
    """Run commands one after another; ``server`` and ``store`` are the main processes of the two servers."""
    before = tree_cpu(server), tree_cpu(store), machine_cpu()
    started = time.monotonic()
    runs = [_run(command, environment, temporary) for command in commands]
    wall = time.monotonic() - started
    after = tree_cpu(server), tree_cpu(store), machine_cpu()
    client, of_server, of_store, all_of_it = sum(run.cpu for run in runs), *(late - early for late, early in zip(after, before, strict=True))
    return Cost(
        wall=wall,
        client_cpu=client,
        server_cpu=of_server,
        store_cpu=of_store,
        foreign_cpu=max(0.0, all_of_it - client - of_server - of_store),
        peak_memory=max(run.peak_memory for run in runs),
        temporary_disk=max(run.temporary_disk for run in runs),
        written=sum(run.written for run in runs),
        outputs=tuple(run.output for run in runs),
    )


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process and of all its children, also of those that have ended and been waited for."""
    while True:
        ended = _ended_children_cpu(pid)
        total = _cpu(pid, with_ended_children=True) + sum(_cpu(child, with_ended_children=True) for child in descendants(pid))
        # One that is waited for in between would be counted neither as a child nor as an ended one.
        if _ended_children_cpu(pid) == ended:
            return total


def machine_cpu() -> float:
    """Return the CPU seconds that this machine has spent on anything."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    # User, nice, system, interrupts and time stolen by the host; the two left out are idle and waiting, and guests are part of user.
    return sum(fields[:3] + fields[5:8]) / _TICKS


def started_children(name: str) -> set[int]:
    """Return this process's descendants that run a program of this name."""
    return {pid for pid in descendants(os.getpid()) if _program(pid) == name}


@dataclass(frozen=True)
class _Run:
    cpu: float
    peak_memory: int
    temporary_disk: int
    written: int
    output: bytes


def _run(command: Command, environment: Mapping[str, str], temporary: Path) -> _Run:
    process = subprocess.Popen(
        list(command.arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "TMPDIR": str(temporary)},
        start_new_session=True,
    )
    assert process.stdin and process.stdout
    watcher = _Watcher(process.pid, temporary)
    watcher.start()
    try:
        with process.stdin as stdin:
            stdin.write(command.stdin)
        output = process.stdout.read()
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        watcher.stop()
        process.stdout.close()
    if process.returncode:
        raise CommandFailed(f"{' '.join(command.arguments[:3])} ... ended with status {process.returncode}:\n{output.decode(errors='replace')[-3000:]}")
    return _Run(
        cpu=usage.ru_utime + usage.ru_stime,
        peak_memory=watcher.peak_memory,
        temporary_disk=watcher.temporary_disk,
        written=usage.ru_oublock * _RUSAGE_BLOCK,
        output=output,
    )


class _Watcher(threading.Thread):
    """Looks at a running process a few times a second: often enough for high-water marks, seldom enough not to be part of the figures."""

    def __init__(self, pid: int, temporary: Path) -> None:
        super().__init__(name="watcher", daemon=True)
        self._pid, self._temporary = pid, temporary
        self._stopped = threading.Event()
        self.peak_memory = 0
        self.temporary_disk = 0

    def run(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            self.peak_memory = max(self.peak_memory, _high_water_mark(self._pid))
            self.temporary_disk = max(self.temporary_disk, _directory_size(self._temporary) + _deleted_size([self._pid, *descendants(self._pid)]))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _cpu(pid: int, *, with_ended_children: bool) -> float:
    return sum(_ticks(pid)[: 4 if with_ended_children else 2]) / _TICKS


def _ticks(pid: int) -> list[int]:
    """Return what a process has used: user, system, and the same of children that were waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0, 0, 0, 0]
    # After the name in parentheses: field 14 of proc(5) is the twelfth.
    return list(map(int, fields[11:15]))


def _ended_children_cpu(pid: int) -> float:
    return sum(_ticks(pid)[2:]) / _TICKS


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _high_water_mark(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _directory_size(directory: Path) -> int:
    total = 0
    for entry in directory.rglob("*"):
        try:
            total += entry.lstat().st_size if entry.is_file() else 0
        except OSError:
            continue
    return total


def _deleted_size(pids: Sequence[int]) -> int:
    """Return the bytes of files on disk that are open but no longer have a name."""
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        try:
            links = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
        for link in links:
            try:
                target, status = os.readlink(link), link.stat()
            except OSError:
                continue
            # memfd files are memory, and so is what shows up as such.
            if target.endswith(" (deleted)") and target.startswith("/") and not target.startswith("/memfd:"):
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())
