# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes that never outlive us."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from harness.account import Account, give

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# The kernel ties "parent died" to the *thread* that forked, so one thread that lives as long as we do forks every child.
_launcher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")


class Child:
    """One server program in a session of its own, its output in a log file; ``environment`` is the whole of it (default: ours)."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
        when_orphaned: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as output:
            give(log, account)
            start = functools.partial(
                subprocess.Popen[bytes],
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                start_new_session=True,
                preexec_fn=_die_with_parent(when_orphaned),
                **_as_user(account),
            )
            self._process = _launcher.submit(start).result()

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def require_running(self) -> None:
        """Raise with the end of the log if the program has ended by itself."""
        status = self._process.poll()
        if status is not None:
            raise RuntimeError(f"{self.name} ended by itself with status {status}. Its last words:\n{self.last_words()}")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, *, seconds: float = 20.0) -> None:
        """Ask the program to end, then insist."""
        if self.running:
            self._process.send_signal(with_signal)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the program and every child of it at once, as a crash of the machine would."""
        family = [self.pid, *descendants(self.pid)]
        for pid in family:
            if pid != self.pid or self.running:
                _kill(pid)
        self._process.wait()

    def last_words(self, lines: int = 25) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def descendants(pid: int) -> list[int]:
    """Return the processes below ``pid``, also those in other process groups and sessions."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def run(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, account: Account | None = None) -> str:
    """Run a program to its end and return its output; a failure raises with that output."""
    start = functools.partial(
        subprocess.run,
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
        cwd="/",
        preexec_fn=_die_with_parent(signal.SIGKILL),
        **_as_user(account),
    )
    result = _launcher.submit(start).result()
    output = str(result.stdout)
    if result.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed with status {result.returncode}:\n{output}")
    return output


def remove_at_exit(directory: Path) -> None:
    """Delete a temporary directory when this process ends."""
    atexit.register(shutil.rmtree, directory, ignore_errors=True)


def exit_on_sigterm() -> None:
    """Turn SIGTERM into SystemExit, so that ``with`` blocks clean up as they do on Ctrl-C."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def _die_with_parent(with_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(with_signal))
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _as_user(account: Account | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
