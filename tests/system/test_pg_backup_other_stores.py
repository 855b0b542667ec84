# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between S3 servers: conditions that are ignored, encryption that is not done, errors that mean something else."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading
from collections.abc import Callable

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.faults import FaultyProxy
from harness.stores import StoreServer
from system.scenes import MIB, Bucket, Database, Verdict, archive_and_manifest, bulk

KINDS = ["MinIO", "SeaweedFS", "VersityGW", "RcloneS3"]
_PARTS = {"compression": "none", "part_size": 5 * MIB, "max_concurrency": 1}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def bucket(kind: str, store_server: Callable[[str], StoreServer], make_bucket: Callable[[StoreServer], Bucket]) -> Bucket:
    """A fresh bucket of each kind of server in turn."""
    try:
        server = store_server(kind)
    except RuntimeError as error:
        # versitygw wants a Go that is newer than what some machines have.
        pytest.skip(f"{kind} cannot be had here: {error}")
    return make_bucket(server)


@pytest.fixture
def filled(database: Database) -> Database:
    database.execute(bulk("big", 40), "CREATE TABLE t AS SELECT generate_series(1, 10) AS a")
    return database


def test_a_backup_in_parts(ansible: AnsibleRunner, filled: Database, bucket: Bucket, kind: str) -> None:
    result = ansible.run("pg_backup", **filled.options(), **bucket.options, **{**_PARTS, "max_concurrency": 3}).require_success()
    key, manifest = archive_and_manifest(bucket)
    assert bucket.listing() == [key, f"{key}.manifest.json"]
    assert bucket.unfinished() == []
    listed = ansible.run("pg_backup_info", **bucket.options, verify="decode", pg_bin_dir=filled.options()["pg_bin_dir"]).require_success()
    assert listed["counts"] == {"backups": 1, "valid": 1, "orphans": 0, "broken": 0, "foreign": 0, "unfinished": 0}
    assert listed["backups"][0]["backup_id"] == manifest["backup_id"]
    # The one that ignores the condition is found out, and the result says what that means.
    ignored = kind == "RcloneS3"
    assert result["store"]["conditional_writes"] == ("ignored" if ignored else "supported")
    assert any("two writers" in note for note in result["store"]["notes"]) == ignored


def test_a_failure_in_the_middle_is_aborted(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket) -> None:
    go_on = threading.Event()
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.hold(go_on, method="PUT", query="partNumber=", skip=1, times=None)
        running = ansible.start("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
        proxy.wait_for_request("PUT", query="partNumber=2")
        assert len(bucket.unfinished()) == 1
        os.kill(running.program("pg_dump").pid, signal.SIGKILL)
        go_on.set()
        verdict.nothing_left(running.finish(), bucket, says=("pg_dump was ended by signal 9",))


def test_our_process_killed_is_listed(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket) -> None:
    go_on = threading.Event()
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.hold(go_on, method="PUT", query="partNumber=", skip=1, times=None)
        running = ansible.start("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
        proxy.wait_for_request("PUT", query="partNumber=2")
        (key,) = bucket.unfinished()
        os.kill(running.module_pid(), signal.SIGKILL)
        assert running.finish().failed
        go_on.set()
    listed = ansible.run("pg_backup_info", **bucket.options).require_success()
    assert [upload["key"] for upload in listed["unfinished"]] == [key]
    assert listed["counts"]["backups"] == listed["counts"]["orphans"] == 0


def test_a_key_that_exists_is_not_overwritten(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    now = dt.datetime.now(dt.UTC)
    taken = [f"{database.name}_{now + dt.timedelta(seconds=shift):%Y-%m-%d_%H%M%S}.dump" for shift in range(40)]
    for key in taken:
        bucket.write(key, b"somebody's")
    outcome = ansible.run("pg_backup", **database.options(), **bucket.options)
    verdict.nothing_left(outcome, bucket, says=("exists already",), before=tuple(taken))
    assert {bucket.read(key) for key in taken} == {b"somebody's"}


@pytest.mark.parametrize("which", ["access_key", "secret_key"])
def test_wrong_keys(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket, which: str) -> None:
    """versitygw calls an unknown access key a 404, which elsewhere means a missing bucket."""
    outcome = ansible.run("pg_backup", **database.options(), **{**bucket.options, which: "not-this-one"})
    verdict.nothing_left(outcome, bucket, says=("Set access_key and secret_key",))


def test_a_missing_bucket(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    outcome = ansible.run("pg_backup", **database.options(), **{**bucket.options, "bucket": "no-such-bucket"})
    verdict.nothing_left(outcome, bucket, says=("no such bucket", "set bucket"))


@pytest.mark.parametrize("kind", ["SeaweedFS", "VersityGW"], indirect=True)
def test_encryption_that_is_not_done_is_refused(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket, kind: str) -> None:
    """versitygw accepts the wish and shows nothing; SeaweedFS without a key of its own fails at it."""
    outcome = ansible.run("pg_backup", **database.options(), **bucket.options, server_side_encryption="AES256")
    says = ("server_side_encryption is AES256", "no encryption", "Leave server_side_encryption out") if kind == "VersityGW" else ("500",)
    unfinished = 0
    if kind == "SeaweedFS":
        # It begins the upload that it answers with an error, at each try.
        unfinished = len(bucket.unfinished())
    verdict.nothing_left(outcome, bucket, says=says, unfinished=unfinished)
