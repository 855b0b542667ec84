# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a backup whose programs, server, store or own process end in the middle: nothing is published.

The middle is never a matter of timing. A proxy holds the first part of the upload, so that the archive stands still with pg_dump in the
middle of a table; or another session holds a lock that pg_dump waits for.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner, Running
from harness.faults import FaultyProxy
from harness.waiting import NotYet, wait_for
from system.scenes import MIB, Bucket, Database, Folder, Verdict, bulk

# MiB: larger than what can be on its way between pg_dump and a store that takes nothing, the kernel's socket buffers (up to 33 MiB) included.
_ENOUGH = 120


class Standstill:
    """A backup into MinIO that stands still with its first part sent but not answered."""

    def __init__(self, ansible: AnsibleRunner, database: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
        self._ansible, self.database, self.proxy = ansible, database, proxy
        self.store = bucket.through(proxy.endpoint_url)
        self.go_on = threading.Event()

    def start(self, **options: Any) -> Running:
        """Start a backup and return once it stands still, pg_dump waiting in the middle of a table."""
        self.database.execute(bulk("big", _ENOUGH))
        # Retries are held too.
        self.proxy.hold(self.go_on, method="PUT", query="partNumber=", times=None)
        running = self._ansible.start("pg_backup", **self.options(**options))
        self.proxy.wait_for_request("PUT", query="partNumber=1")
        self.database.wait_for_session("query LIKE 'COPY %big%' AND wait_event = 'ClientWrite'")
        return running

    def options(self, **overriding: Any) -> dict[str, Any]:
        return {**self.database.options(), **self.store.options, "compression": "none", "part_size": 5 * MIB, "max_concurrency": 1, **overriding}

    @property
    def key(self) -> str:
        """The key of the archive on its way, without the bucket."""
        (path,) = {request.path for request in self.proxy.requests if "partNumber" in request.query}
        return path.partition(f"/{self.store.name}/")[2]


@pytest.fixture
def standstill(ansible: AnsibleRunner, database: Database, bucket: Bucket) -> Iterator[Standstill]:
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        scene = Standstill(ansible, database, bucket, proxy)
        yield scene
        scene.go_on.set()


def test_it_ends_well_when_nothing_goes_wrong(verdict: Verdict, standstill: Standstill) -> None:
    running = standstill.start()
    assert [key for key in standstill.store.listing() if key.endswith(".dump")] == []
    standstill.go_on.set()
    result = running.finish().require_success()
    assert result["backup"]["tables"]["public.big"]["rows"] == _ENOUGH
    assert standstill.store.listing() == [result["backup"]["key"], f"{result['backup']['key']}.manifest.json"]


def test_no_process_shows_the_password(standstill: Standstill) -> None:
    running = standstill.start()
    processes = running.processes()
    assert {"pg_dump", "pg_restore"} <= {process.name for process in processes}
    runner = standstill._ansible
    for process in processes:
        runner.require_no_secret("\n".join(process.arguments))
        if process.name in ("pg_dump", "pg_restore"):
            runner.require_no_secret(Path(f"/proc/{process.pid}/environ").read_text(errors="replace"))
    standstill.go_on.set()
    running.finish().require_success()


def test_pg_dump_killed(verdict: Verdict, standstill: Standstill) -> None:
    running = standstill.start()
    os.kill(running.program("pg_dump").pid, signal.SIGKILL)
    standstill.go_on.set()
    verdict.nothing_left(running.finish(), standstill.store, says=("The database was not dumped", "pg_dump was ended by signal 9", "Nothing was published"))


def test_the_decoder_killed(verdict: Verdict, standstill: Standstill) -> None:
    running = standstill.start()
    os.kill(running.program("pg_restore", argument="--file=/dev/null").pid, signal.SIGKILL)
    standstill.go_on.set()
    verdict.nothing_left(running.finish(), standstill.store, says=("could not be decoded", "pg_restore was ended by signal 9", "Nothing was published"))


def test_our_process_killed(ansible: AnsibleRunner, verdict: Verdict, standstill: Standstill) -> None:
    running = standstill.start()
    key = standstill.key
    os.kill(running.module_pid(), signal.SIGKILL)
    outcome = running.finish()
    assert outcome.failed
    assert not outcome.survivors
    assert not outcome.leftovers
    assert standstill.store.unfinished() == [key]
    verdict.clean_store(standstill.store, unfinished=1)
    listed = ansible.run("pg_backup_info", **standstill.store.options).require_success()
    assert [upload["key"] for upload in listed["unfinished"]] == [key]
    assert listed["counts"]["backups"] == 0

    _wait_until_left_alone(standstill.database)
    standstill.go_on.set()
    ansible.run("pg_backup", **standstill.options()).require_success()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_our_process(verdict: Verdict, standstill: Standstill, number: signal.Signals) -> None:
    running = standstill.start()
    os.kill(running.module_pid(), number)
    standstill.go_on.set()
    verdict.nothing_left(running.finish(), standstill.store, says=("stopped from outside",))
    _wait_until_left_alone(standstill.database)


def test_the_server_stopped(verdict: Verdict, standstill: Standstill) -> None:
    running = standstill.start()
    server = standstill.database.server
    server.stop("immediate")
    try:
        standstill.go_on.set()
        outcome = running.finish()
    finally:
        server.start()
    verdict.nothing_left(outcome, standstill.store, says=(f"{server.host}:{server.port}", "was lost", "run again"))


def test_the_session_that_holds_the_snapshot_ended(verdict: Verdict, standstill: Standstill) -> None:
    """pg_dump and the fingerprints would go on undisturbed; that they saw the same moment could not be said any more."""
    running = standstill.start()
    holder = standstill.database.value(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert standstill.database.value(f"SELECT pg_terminate_backend({holder}, 5000)")
    standstill.go_on.set()
    verdict.nothing_left(running.finish(), standstill.store, says=("connection to the database server", "was lost", "run again"))


def test_the_fingerprint_refused(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    role = database.role()
    database.execute(
        "CREATE TABLE t AS SELECT 1 AS a",
        f"GRANT SELECT ON t TO {role}",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.hash_record_extended(record, bigint) FROM PUBLIC",
    )
    outcome = ansible.run("pg_backup", **database.options(role), **bucket.options)
    verdict.nothing_left(outcome, bucket, says=("permission denied for function hash_record_extended",))
    ansible.run("pg_backup", **database.options(role), **bucket.options, fingerprint="counts").require_success()


def test_a_table_locked_by_somebody(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    with database.locked("t"):
        outcome = ansible.run("pg_backup", **database.options(), **bucket.options, lock_wait_timeout=1)
    verdict.nothing_left(outcome, bucket, says=("LOCK TABLE public.t", "lock_wait_timeout (1 seconds)", "Set lock_wait_timeout"))


def test_the_time_limit_while_a_table_is_locked(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    with database.locked("t"):
        outcome = ansible.run("pg_backup", **database.options(), **folder.options, timeout=2)
        verdict.nothing_left(outcome, folder, says=("timeout (2 seconds)", "Set timeout"))
        _wait_until_left_alone(database, sessions=1)


def test_the_time_limit_while_the_store_takes_nothing(verdict: Verdict, standstill: Standstill) -> None:
    """The hardest case: everything waits for the store, and the store never answers."""
    running = standstill.start(timeout=15)
    verdict.nothing_left(running.finish(seconds=120), standstill.store, says=("timeout (15 seconds)", "Set timeout"))


def test_two_runs_at_once(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket, folder: Folder) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    with database.locked("t") as release:
        first = ansible.start("pg_backup", **database.options(), **bucket.options)
        holder = first.module_pid()
        second = ansible.run("pg_backup", **database.options(), **folder.options)
        verdict.nothing_left(second, folder, says=("Another backup of the database", f"process {holder}", database.server.superuser, "Wait for its end"))
        release()
    first.finish().require_success()
    ansible.run("pg_backup", **database.options(), **folder.options).require_success()


@pytest.mark.parametrize("kind", ["bucket", "folder"])
def test_a_key_that_exists_already(ansible: AnsibleRunner, verdict: Verdict, database: Database, request: pytest.FixtureRequest, kind: str) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    store = request.getfixturevalue(kind)
    taken = _keys_of_the_next_minute(database.name)
    for key in taken:
        store.write(key, b"somebody's")
    outcome = ansible.run("pg_backup", **database.options(), **store.options)
    verdict.nothing_left(outcome, store, says=("exists already", "set another name"), before=tuple(taken))
    assert {store.read(key) for key in taken} == {b"somebody's"}


def test_a_key_that_appears_in_the_middle(verdict: Verdict, standstill: Standstill) -> None:
    running = standstill.start()
    key = standstill.key
    standstill.store.write(key, b"somebody's")
    standstill.go_on.set()
    verdict.nothing_left(running.finish(), standstill.store, says=(key, "appeared while the backup ran", "never overwritten"), before=(key,))
    assert standstill.store.read(key) == b"somebody's"


def test_a_file_that_appears_in_the_middle(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    with _middle_of_a_file(ansible, database, folder) as (running, go_on):
        taken = _keys_of_the_next_minute(database.name, before=60)
        for key in taken:
            folder.write(key, b"somebody's")
        go_on()
        outcome = running.finish()
    verdict.nothing_left(outcome, folder, says=("exists already", "never overwritten"), before=tuple(taken))
    assert {folder.read(key) for key in taken} == {b"somebody's"}


def test_our_process_killed_while_it_writes_a_file(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    with _middle_of_a_file(ansible, database, folder) as (running, go_on):
        os.kill(running.module_pid(), signal.SIGKILL)
        go_on()
        outcome = running.finish()
    assert outcome.failed
    assert not outcome.survivors
    verdict.clean_store(folder)
    assert folder.listing() == []


@contextlib.contextmanager
def _middle_of_a_file(ansible: AnsibleRunner, database: Database, folder: Folder) -> Iterator[tuple[Running, Callable[[], None]]]:
    """Stop the decoder before the first row, so that a backup into a directory stands still in the middle of a table; yield what lets it go on."""
    database.execute(bulk("big", _ENOUGH))
    with database.locked("big") as release:
        running = ansible.start("pg_backup", **database.options(), **folder.options, compression="none")
        decoder = running.program("pg_restore", argument="--file=/dev/null").pid
        os.kill(decoder, signal.SIGSTOP)
        release()
        database.wait_for_session("query LIKE 'COPY %big%' AND wait_event = 'ClientWrite'")
        yield running, lambda: os.kill(decoder, signal.SIGCONT)


def _keys_of_the_next_minute(name: str, *, before: int = 0) -> list[str]:
    now = dt.datetime.now(dt.UTC)
    return [f"{name}_{now + dt.timedelta(seconds=shift):%Y-%m-%d_%H%M%S}.dump" for shift in range(-before, 60)]


def _wait_until_left_alone(database: Database, *, sessions: int = 0) -> None:
    """Wait until nobody but ``sessions`` others is connected: a server process may notice the end of its client a little later."""

    def probe() -> None:
        if (found := database.sessions()) > sessions:
            raise NotYet(f"There are {found} sessions.")

    wait_for(probe, "The sessions of the backup end", seconds=60)
