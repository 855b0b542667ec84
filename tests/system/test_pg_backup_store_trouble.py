# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup against stores that refuse, fail, fill up or vanish: nothing is published, and the message says what to do."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.faults import FaultyProxy
from harness.ports import free_port
from system.scenes import MIB, STORE_SECRET, Bucket, Database, Folder, Verdict, archive_and_manifest, bulk

_PARTS = {"compression": "none", "part_size": 5 * MIB, "max_concurrency": 2}


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultyProxy]:
    """A proxy in front of MinIO; without a fault it changes nothing."""
    with FaultyProxy(bucket.server.endpoint_url) as running:
        yield running


@pytest.fixture
def filled(database: Database) -> Database:
    """A database whose uncompressed archive has several parts."""
    database.execute(bulk("big", 24))
    return database


# Refused before anything starts


def test_a_missing_bucket(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    outcome = ansible.run("pg_backup", **database.options(), **{**bucket.options, "bucket": "no-such-bucket"})
    verdict.nothing_left(outcome, bucket, says=("no-such-bucket", "no such bucket", "set bucket"))


def test_a_missing_directory(ansible: AnsibleRunner, verdict: Verdict, database: Database, tmp_path: Path) -> None:
    missing = Folder(tmp_path / "missing")
    outcome = ansible.run("pg_backup", **database.options(), **missing.options)
    verdict.nothing_left(outcome, missing, says=(str(missing.path), "does not exist", "set directory"), reachable=False)
    assert not missing.path.exists()


def test_no_store_named(ansible: AnsibleRunner, verdict: Verdict, database: Database, folder: Folder) -> None:
    outcome = ansible.run("pg_backup", **database.options())
    verdict.nothing_left(outcome, folder, says=("No store is named", "bucket", "directory"))


@pytest.mark.parametrize("which", ["access_key", "secret_key"])
def test_wrong_keys(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket, which: str) -> None:
    outcome = ansible.run("pg_backup", **database.options(), **{**bucket.options, which: STORE_SECRET[::-1]})
    verdict.nothing_left(outcome, bucket, says=("refused the keys", "Set access_key and secret_key"))


def test_no_keys(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    options = {name: value for name, value in bucket.options.items() if name not in ("access_key", "secret_key")}
    # The address of cloud machines' own keys would be asked for seconds.
    outcome = ansible.run("pg_backup", environment_={"AWS_EC2_METADATA_DISABLED": "true"}, **database.options(), **options)
    verdict.nothing_left(outcome, bucket, says=("No keys", "Set access_key and secret_key", "AWS_ACCESS_KEY_ID"))


def test_an_unreachable_store(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    unreachable = bucket.through(f"http://127.0.0.1:{free_port()}")
    outcome = ansible.run("pg_backup", **database.options(), **unreachable.options)
    verdict.nothing_left(outcome, bucket, says=("could not be reached", "Check endpoint_url", str(unreachable.endpoint_url)))


@pytest.mark.parametrize(
    "request_", [{"method": "POST", "query": "uploads"}, {"method": "PUT", "path": "_probe"}, {"method": "DELETE", "query": "uploadId"}], ids=str
)
def test_keys_that_may_not_write(
    ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket, proxy: FaultyProxy, request_: dict[str, str]
) -> None:
    proxy.answer(403, "AccessDenied", "Access Denied.", **request_)  # type: ignore[arg-type]
    outcome = ansible.run("pg_backup", **database.options(), **bucket.through(proxy.endpoint_url).options)
    verdict.nothing_left(
        outcome, bucket, says=("does not permit this to these keys", "Grant them the action"), unfinished=1 if request_["method"] == "DELETE" else 0
    )


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_an_hour_off(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket, proxy: FaultyProxy, hours: int) -> None:
    proxy.clock_shift = hours * 3600.0
    outcome = ansible.run("pg_backup", **database.options(), **bucket.through(proxy.endpoint_url).options)
    verdict.nothing_left(outcome, bucket, says=("clock is 3", "behind" if hours > 0 else "ahead of", "the store's", "NTP"))


def test_a_key_for_encryption_that_the_store_does_not_have(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket) -> None:
    outcome = ansible.run("pg_backup", **database.options(), **bucket.options, server_side_encryption="aws:kms", kms_key_id="no-such-key")
    verdict.nothing_left(outcome, bucket, says=("has no such key", "Set kms_key_id"))


# Failing in the middle


def test_a_store_that_answers_500(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
    proxy.answer(500, method="PUT", query="partNumber=3")
    outcome = ansible.run("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
    verdict.nothing_left(outcome, bucket, says=("send part 3", "InternalError 500", "run again"))


def test_a_store_that_answers_500_to_everything(ansible: AnsibleRunner, verdict: Verdict, database: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
    proxy.answer(500)
    outcome = ansible.run("pg_backup", **database.options(), **bucket.through(proxy.endpoint_url).options)
    verdict.nothing_left(outcome, bucket, says=("InternalError 500", "the store's own trouble", "run again"))


def test_a_store_that_answers_500_to_the_end_of_the_upload(
    ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket, proxy: FaultyProxy
) -> None:
    proxy.answer(500, method="POST", query="uploadId")
    outcome = ansible.run("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
    verdict.nothing_left(outcome, bucket, says=("complete the upload", "InternalError 500"))


def test_an_archive_that_cannot_be_seen_afterwards(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
    """The upload was completed, so there is an object already; what cannot be proved must not stay."""
    go_on = threading.Event()
    proxy.hold(go_on, method="POST", query="uploadId")
    running = ansible.start("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
    proxy.wait_for_request("POST", query="uploadId")
    tries = proxy.answer(500, method="HEAD", path=".dump", times=5)
    go_on.set()
    verdict.nothing_left(running.finish(), bucket, says=("look at", "500", "run again"))
    assert tries.hits == 5


def test_a_store_that_refuses_the_manifest(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
    proxy.answer(500, method="PUT", path=".manifest.json")
    outcome = ansible.run("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS, globals=True)
    verdict.nothing_left(outcome, bucket, says=(".manifest.json", "InternalError 500"))
    assert proxy.count("POST", query="uploadId") == 1


def test_a_store_that_vanishes(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
    proxy.vanish_at(method="PUT", query="partNumber=3")
    outcome = ansible.run("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
    # Nobody was there to abort it: that it can be seen is all that can be asked.
    verdict.nothing_left(outcome, bucket, says=("send part", "network between"), unfinished=1)


def test_a_store_that_crashes(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
    go_on = threading.Event()
    proxy.hold(go_on, method="PUT", query="partNumber=3")
    running = ansible.start("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
    proxy.wait_for_request("PUT", query="partNumber=3")
    bucket.server.kill()
    try:
        go_on.set()
        outcome = running.finish()
    finally:
        bucket.server.start()
    # A MinIO that was started again does not list uploads from before; it removes them by itself after a day.
    verdict.nothing_left(outcome, bucket, says=("Check the store",), unfinished=None)


@pytest.mark.parametrize("where", [{"query": "partNumber=2"}, {"path": ".manifest.json"}, {"path": "_probe"}], ids=str)
def test_a_full_store(ansible: AnsibleRunner, verdict: Verdict, filled: Database, bucket: Bucket, proxy: FaultyProxy, where: dict[str, str]) -> None:
    proxy.store_full(**where)  # type: ignore[arg-type]
    outcome = ansible.run("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS)
    verdict.nothing_left(outcome, bucket, says=("is full", "Free space", "XMinioStorageFull"))


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Folder]:
    """A directory on a file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("Only root may mount a small file system.")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", place], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"No file system can be mounted here: {mounted.stderr.strip()}")
    yield Folder(place)
    subprocess.run(["umount", place], check=True)


def test_a_full_file_system(ansible: AnsibleRunner, verdict: Verdict, filled: Database, small_file_system: Folder) -> None:
    outcome = ansible.run("pg_backup", **filled.options(), **small_file_system.options, **_PARTS)
    verdict.nothing_left(outcome, small_file_system, says=("No space left on device", "Free space", "set directory"))
    used = os.statvfs(small_file_system.path)
    assert used.f_bfree == used.f_blocks


def test_a_file_system_that_is_read_only(ansible: AnsibleRunner, verdict: Verdict, database: Database, small_file_system: Folder) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_file_system.path], check=True)
    outcome = ansible.run("pg_backup", **database.options(), **small_file_system.options)
    verdict.nothing_left(outcome, small_file_system, says=("Read-only file system", "Set directory"))


# Trouble that a backup survives


@pytest.mark.parametrize(
    "fault",
    [
        lambda proxy: proxy.cut_before(method="PUT", query="partNumber=2"),
        lambda proxy: proxy.answer(503, "SlowDown", "Please reduce your request rate.", method="PUT", query="partNumber=2", times=1),
        lambda proxy: proxy.lose_answer(method="PUT", query="partNumber=2"),
        lambda proxy: proxy.lose_answer(method="POST", query="uploadId"),
        lambda proxy: proxy.lose_answer(method="PUT", path=".manifest.json"),
        lambda proxy: proxy.lose_answer(method="DELETE", path="_probe"),
    ],
    ids=[
        "part cut off",
        "asked to slow down",
        "answer to a part lost",
        "answer to the end lost",
        "answer to the manifest lost",
        "answer to the probe's removal lost",
    ],
)
def test_a_passing_fault(ansible: AnsibleRunner, filled: Database, bucket: Bucket, proxy: FaultyProxy, fault: Callable[[FaultyProxy], Any]) -> None:
    rule = fault(proxy)
    result = ansible.run("pg_backup", **filled.options(), **bucket.through(proxy.endpoint_url).options, **_PARTS).require_success()
    assert rule.hits == 1
    key, manifest = archive_and_manifest(bucket)
    assert bucket.listing() == [key, f"{key}.manifest.json"]
    assert bucket.unfinished() == []
    assert manifest["backup_id"] == result["backup"]["backup_id"]
    assert len(bucket.read(key)) == manifest["archive"]["size"]


def test_keys_that_may_not_delete_or_look(ansible: AnsibleRunner, database: Database, bucket: Bucket, proxy: FaultyProxy) -> None:
    """The least a writer needs: to list, to put, to abort."""
    proxy.answer(403, "AccessDenied", "Access Denied.", method="DELETE", path="_probe")
    proxy.answer(403, "AccessDenied", "Access Denied.", method="HEAD", path="_probe")
    proxy.answer(403, "AccessDenied", "Access Denied.", method="GET", path="/" + bucket.name + "/")
    result = ansible.run("pg_backup", **database.options(), **bucket.through(proxy.endpoint_url).options).require_success()
    assert any("may not delete" in note for note in result["store"]["notes"])
    assert any(key.endswith(".manifest.json") for key in bucket.listing())


def test_a_store_that_knows_no_conditions(ansible: AnsibleRunner, database: Database, bucket: Bucket) -> None:
    """Old servers answer 501 to If-None-Match; MinIO behind a proxy that says so for the first conditional request stands for one."""
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.answer(501, "NotImplemented", "A header you provided implies functionality that is not implemented.", method="PUT", path="_probe", times=1)
        result = ansible.run("pg_backup", **database.options(), **bucket.through(proxy.endpoint_url).options).require_success()
    assert result["store"]["conditional_writes"] == "rejected"
    assert any("two writers" in note for note in result["store"]["notes"])
