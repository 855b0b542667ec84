# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that read a database all the while: how long none of its data, or not all of them, could be had.

Each connects, asks one query and closes, in a tight loop. They run in a process of their own, so that they neither slow nor are slowed by whoever measures.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg2

# A client that gets nothing for so long after the restore has ended will not get it at all.
_PATIENCE = 60.0
_READY = "ready"


@dataclass(frozen=True)
class Seen:
    """What one client saw. Times are in seconds, from the end of one whole answer to the end of the next.

    ``wrong`` answers were neither wholly the old nor wholly the new state, or the old one after the new one. ``longest_gap`` is the longest time
    between two whole answers; ``unavailable`` sums up those in which something failed or was wrong; ``longest_wait`` is the longest of the others:
    what the load of the machine alone makes of a gap. ``last_old`` and ``first_new`` are moments on one clock for all clients of a process.
    """

    reads: int
    failed: int
    wrong: int
    longest_gap: float
    longest_wait: float
    unavailable: float
    last_old: float
    first_new: float


class Readers:
    """A process with so many clients; ``query`` returns one text, which is ``old`` before the restore and ``new`` after it."""

    def __init__(self, url: str, query: str, *, old: str, new: str, clients: int = 1) -> None:
        self._task = {"url": url, "query": query, "old": old, "new": new, "clients": clients}
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        """Start them, and wait until each has read the old state."""
        # libpq prints what a server says while a connection is made; it is of interest only when the clients fail.
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.write(json.dumps(self._task) + "\n")
            self._process.stdin.flush()
            if self._process.stdout.readline().strip() != _READY:
                raise RuntimeError("The reading clients did not find the old state.")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def finish(self) -> list[Seen]:
        """Let each read the new state, end them, and return what they saw."""
        output, errors = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"The reading clients did not find the new state. {errors[-2000:]}")
        return [Seen(**seen) for seen in json.loads(output)]


class _Client(threading.Thread):
    """One client; ``ended`` says that the restore has."""

    def __init__(self, url: str, query: str, old: str, new: str, ended: threading.Event) -> None:
        super().__init__(name="client", daemon=True)
        self._url, self._query, self._old, self._new, self._ended = url, query, old, new, ended
        self.has_read = threading.Event()
        self.latest = ""
        self.seen = Seen(0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def run(self) -> None:
        reads = failed = wrong = 0
        longest_gap = longest_wait = unavailable = 0.0
        last_old = first_new = 0.0
        last, disturbed = time.monotonic(), False
        while not (self._ended.is_set() and self.latest == self._new):
            answer = self._read()
            now = time.monotonic()
            if answer is None:
                failed, disturbed = failed + 1, True
            elif answer not in (self._old, self._new) or (answer == self._old and self.latest == self._new):
                wrong, disturbed = wrong + 1, True
            else:
                gap = now - last
                # The first answer ends no gap.
                if reads:
                    longest_gap = max(longest_gap, gap)
                    unavailable += gap if disturbed else 0.0
                    longest_wait = max(longest_wait, 0.0 if disturbed else gap)
                if answer == self._old:
                    last_old = now
                elif not first_new:
                    first_new = now
                reads, last, disturbed, self.latest = reads + 1, now, False, answer
                self.has_read.set()
        self.seen = Seen(reads, failed, wrong, longest_gap, longest_wait, unavailable, last_old, first_new)

    def _read(self) -> str | None:
        try:
            connection = psycopg2.connect(self._url, connect_timeout=10)
        except psycopg2.Error:
            return None
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(self._query)
                ((answer,),) = cursor.fetchall()
                return str(answer)
        except psycopg2.Error:
            return None
        finally:
            connection.close()


def main() -> None:
    task = json.loads(sys.stdin.readline())
    ended = threading.Event()
    clients = [_Client(task["url"], task["query"], task["old"], task["new"], ended) for _number in range(task["clients"])]
    for client in clients:
        client.start()
    if not all(client.has_read.wait(_PATIENCE) for client in clients):
        sys.exit(1)
    print(_READY, flush=True)
    # It says nothing more; it is closed at the end of the restore, or of whoever started this.
    sys.stdin.read()
    ended.set()
    for client in clients:
        client.join(_PATIENCE)
    if any(client.is_alive() for client in clients):
        sys.exit(1)
    print(json.dumps([dataclasses.asdict(client.seen) for client in clients]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
