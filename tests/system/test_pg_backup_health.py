# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup_health on real stores: each alarm fires once for real, a store that cannot be read is never ok, and what reads the metrics can read them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import Health, Thresholds
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import dump_manifest, load_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.naming import manifest_key
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.health import examine
from harness.ansible_runner import AnsibleRunner, Outcome
from harness.faults import FaultyProxy
from harness.promtool import promtool
from harness.stores import MinIO
from system.scenes import STORE_SECRET, Bucket, Database, Folder, Store, opened
from system.shelf import DAY, HOUR, Shelf

MINUTE = dt.timedelta(minutes=1)
# Between two backups: so that without the newest the one before is not too old yet.
STEP = 23 * HOUR

Judge = Callable[..., dict[str, Any]]


@pytest.fixture
def shelf(folder: Folder) -> Shelf:
    """A directory with a week of backups, the newest an hour old, of which one was tested."""
    found = Shelf(folder)
    for number in range(7):
        found.put(HOUR + number * STEP)
    found.record(found.key(HOUR + 3 * STEP), DAY)
    return found


@pytest.fixture
def judge(ansible: AnsibleRunner) -> Judge:
    """Run pg_backup_health so that no verdict is a failure, require that the store is as it was, and return the result."""

    def run_on(store: Store, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        before = store.listing()
        result = ansible.run("pg_backup_health", check=check, diff=diff, **{"name": "app", "fail_on": "never", **options}, **store.options).require_success()
        assert store.listing() == before
        return result

    return run_on


@pytest.fixture
def alarm(ansible: AnsibleRunner) -> Callable[..., Outcome]:
    """Run pg_backup_health as anybody does and require that it fails, with the whole result and the metrics all the same."""

    def run_on(store: Store, *, verdict: str, tmp_path: Path, **options: Any) -> Outcome:
        textfile = tmp_path / "app.prom"
        outcome = ansible.run("pg_backup_health", **{"name": "app", **options}, **store.options, prometheus_textfile=str(textfile))
        assert outcome.failed
        assert "did not expect" not in outcome.message
        assert outcome.message.startswith(f"{verdict.upper()}: ")
        result = outcome.result
        assert result["verdict"] == verdict
        assert result["nagios"]["exit_code"] == {"critical": 2, "unknown": 3}[verdict]
        assert result["nagios"]["line"].startswith(f"PGBACKUP {verdict.upper()}: ")
        assert result["text"].startswith(f"{verdict.upper()}: backups in ")
        assert textfile.read_text() == result["prometheus"]
        return outcome

    return run_on


def checks(result: dict[str, Any]) -> dict[str, str]:
    """Return the verdict by the check that gave a reason."""
    return {reason["check"]: reason["verdict"] for reason in result["reasons"]}


def put_sized(shelf: Shelf, age: dt.timedelta, size: int) -> str:
    """Put a valid backup whose archive has this size."""
    key = shelf.put(age, archive=b"x" * size)
    facts = load_manifest(shelf.store.read(manifest_key(key)), key)
    shelf.store.write(manifest_key(key), dump_manifest(dataclasses.replace(facts, archive={**facts.archive, "size": size})))
    return key


def later(store: Store, age: dt.timedelta) -> Health:
    """Judge as the module would after that time: buckets date objects themselves, and no test can wait for days."""
    return examine(["app"], Thresholds(), opened(store), dt.datetime.now(dt.UTC) + age)


def test_all_is_well(judge: Judge, shelf: Shelf) -> None:
    result = judge(shelf.store, fail_on="warning")
    assert (result["verdict"], result["reasons"], result["changed"]) == ("ok", [], False)
    well = r"OK: app: the newest valid backup is 6[0-9] min old \(1000 B, 42 rows\), 7 valid in the store, the last restore test passed"
    assert re.match(well, result["msg"])
    assert result["nagios"]["exit_code"] == 0
    assert result["names"][0]["facts"]["newest"]["key"] == shelf.key(HOUR)


def test_a_real_backup_is_well_at_once(ansible: AnsibleRunner, judge: Judge, database: Database, bucket: Bucket, tmp_path: Path) -> None:
    database.execute("CREATE TABLE users AS SELECT g AS id FROM generate_series(1, 100) AS g")
    assert judge(bucket)["verdict"] == "critical"
    ansible.run("pg_backup", name="app", environment="staging", **database.options(), **bucket.options).require_success()
    textfile = tmp_path / "app.prom"
    result = judge(bucket, critical_tables=[{"table": "users", "min_rows": 100}], prometheus_textfile=str(textfile))
    assert (result["verdict"], result["reasons"]) == ("ok", [])
    facts = result["names"][0]["facts"]
    assert (facts["newest"]["rows"], facts["database"], facts["environment"]) == (100, database.name, "staging")
    assert facts["newest"]["duration_seconds"] > 0
    assert facts["clock_skew"] is not None
    assert f'database="{database.name}",environment="staging"}} 1' in textfile.read_text()


# Each alarm, for real


def test_one_flipped_bit_is_found_by_the_next_restore_test_and_is_critical(
    ansible: AnsibleRunner, judge: Judge, alarm: Callable[..., Outcome], database: Database, folder: Folder, tmp_path: Path
) -> None:
    """Size and manifest are as they were: nothing but reading the archive can show it."""
    database.execute("CREATE TABLE users AS SELECT g AS id FROM generate_series(1, 1000) AS g")
    key = ansible.run("pg_backup", **database.options(), name="app", **folder.options).require_success()["backup"]["key"]
    # The database has no tag, so its server is production's.
    named = {**database.options(), "name": "app", "environment": "production", "allow_production": True}
    assert ansible.run("pg_restore_test", **named, **folder.options).require_success()["verdict"] == "passed"
    archive = bytearray(folder.read(key))
    archive[len(archive) // 2] ^= 1
    folder.write(key, bytes(archive))
    assert judge(folder)["verdict"] == "ok"
    assert ansible.run("pg_restore_test", **named, **folder.options).result["verdict"] == "failed"
    reasons = alarm(folder, verdict="critical", tmp_path=tmp_path).result["reasons"]
    assert [(reason["check"], reason["verdict"]) for reason in reasons] == [("restore_test", "critical")]
    assert key in reasons[0]["sentence"]


def test_a_schedule_that_stopped(alarm: Callable[..., Outcome], folder: Folder, tmp_path: Path) -> None:
    shelf = Shelf(folder)
    for days in range(7):
        shelf.put(31 * HOUR + days * DAY)
    outcome = alarm(folder, verdict="critical", tmp_path=tmp_path)
    assert checks(outcome.result) == {"age": "critical"}
    assert "The newest valid backup of app holds the database as it was at " in outcome.message
    assert "31 h 0 min ago (max_age_critical is 30h)" in outcome.message


def test_a_tiny_dump(alarm: Callable[..., Outcome], shelf: Shelf, tmp_path: Path) -> None:
    outcome = alarm(shelf.store, verdict="critical", tmp_path=tmp_path, min_size=1_000_000)
    assert checks(outcome.result) == {"size": "critical"}
    assert f"The newest valid backup {shelf.key(HOUR)} has 1000 bytes, less than min_size (1000000)." in outcome.message


def test_a_halved_dump(alarm: Callable[..., Outcome], shelf: Shelf, tmp_path: Path) -> None:
    key = put_sized(shelf, MINUTE, 450)
    outcome = alarm(shelf.store, verdict="critical", tmp_path=tmp_path)
    assert checks(outcome.result) == {"size_delta": "critical"}
    assert f"{key} has 450 B, 55% less than the 1000 B that are the median of the last 5 before it" in outcome.message


def test_a_table_that_lost_its_rows(alarm: Callable[..., Outcome], shelf: Shelf, tmp_path: Path) -> None:
    shelf.put(MINUTE, tables={"public.users": {"rows": 3, "content": "7"}, "public.missions": {"rows": 2, "content": "9"}})
    outcome = alarm(shelf.store, verdict="critical", tmp_path=tmp_path, critical_tables=[{"table": "users"}, {"table": "missions"}])
    assert checks(outcome.result) == {"rows": "critical"}
    assert "holds 3 rows of users, 92% less than the 40" in outcome.message


@pytest.mark.parametrize("verdict", ["failed", "could_not_verify"])
def test_a_restore_test_that_failed(alarm: Callable[..., Outcome], shelf: Shelf, tmp_path: Path, verdict: str) -> None:
    key = shelf.key(HOUR)
    shelf.record(key, MINUTE, verdict=verdict, reasons=["Table public.users has 39 rows instead of 40."])
    outcome = alarm(shelf.store, verdict="critical", tmp_path=tmp_path)
    assert checks(outcome.result) == {"restore_test": "critical"}
    assert f"The restore test of the newest valid backup {key}" in outcome.message
    assert outcome.message.endswith("Table public.users has 39 rows instead of 40.")
    assert "pgbackup_last_restore_test_success{" in outcome.result["prometheus"]


def test_a_restore_test_that_is_long_ago(judge: Judge, shelf: Shelf) -> None:
    assert checks(judge(shelf.store, max_restore_test_age="23h")) == {"restore_test": "warning"}
    assert judge(shelf.store, max_restore_test_age="25h")["verdict"] == "ok"


def test_a_record_that_was_changed(alarm: Callable[..., Outcome], shelf: Shelf, tmp_path: Path) -> None:
    record = shelf.record(shelf.key(HOUR), MINUTE, verdict="failed")
    shelf.store.write(record, shelf.store.read(record).replace(b'"failed"', b'"passed"'))
    outcome = alarm(shelf.store, verdict="unknown", tmp_path=tmp_path)
    assert "was changed after it was written" in outcome.message


def test_a_lost_manifest(judge: Judge, alarm: Callable[..., Outcome], folder: Folder, tmp_path: Path) -> None:
    shelf = Shelf(folder)
    kept, robbed = shelf.put(26 * HOUR), shelf.put(2 * HOUR)
    folder.delete(f"{robbed}.manifest.json")
    result = judge(folder)
    assert checks(result) == {"age": "warning"}
    assert f"Newer, but without a manifest, is the archive {robbed}:" in result["msg"]
    folder.delete(f"{kept}.manifest.json")
    outcome = alarm(folder, verdict="critical", tmp_path=tmp_path)
    assert "There is no valid backup of app (but 2 without a manifest)" in outcome.message


def test_a_lost_archive(judge: Judge, alarm: Callable[..., Outcome], shelf: Shelf, tmp_path: Path) -> None:
    older, newest = shelf.key(HOUR + 5 * STEP), shelf.key(HOUR)
    shelf.store.delete(older)
    result = judge(shelf.store)
    assert checks(result) == {"broken": "warning"}
    assert f"The archive {older} is missing." in result["msg"]
    shelf.store.delete(newest)
    outcome = alarm(shelf.store, verdict="critical", tmp_path=tmp_path)
    assert [reason["verdict"] for reason in outcome.result["reasons"]] == ["critical", "warning"]
    assert f"The archive {newest} is missing. (and 1 more)" in outcome.message


@pytest.mark.parametrize("damage", ["cut", "manifest"])
def test_a_newest_backup_that_was_damaged(alarm: Callable[..., Outcome], shelf: Shelf, tmp_path: Path, damage: str) -> None:
    key = shelf.key(HOUR)
    shelf.store.write(*((key, b"x" * 999) if damage == "cut" else (f"{key}.manifest.json", b"{}")))
    outcome = alarm(shelf.store, verdict="critical", tmp_path=tmp_path)
    assert checks(outcome.result) == {"broken": "critical"}
    assert f"The backup {key} cannot be restored, newer than the newest valid backup of app" in outcome.message


def test_a_backup_of_the_future_hides_nothing(alarm: Callable[..., Outcome], folder: Folder, tmp_path: Path) -> None:
    shelf = Shelf(folder)
    shelf.put(31 * HOUR)
    key = shelf.put(-3 * DAY)
    outcome = alarm(folder, verdict="critical", tmp_path=tmp_path)
    assert checks(outcome.result) == {"age": "critical", "future": "critical"}
    assert key in outcome.result["reasons"][1]["sentence"]


def test_an_orphan(judge: Judge, shelf: Shelf) -> None:
    key = shelf.put(3 * DAY, with_manifest=False)
    result = judge(shelf.store)
    assert checks(result) == {"orphan": "warning"}
    assert key in result["msg"]
    assert judge(shelf.store, max_orphan_age="73h")["verdict"] == "ok"


def test_an_unfinished_upload_in_a_directory(judge: Judge, shelf: Shelf) -> None:
    key = shelf.key(26 * HOUR)
    shelf.write(f".{key}.x.partial", b"x", 26 * HOUR)
    result = judge(shelf.store)
    assert checks(result) == {"unfinished": "warning"}
    assert f"the upload {key}." in result["msg"]


def test_what_was_left_in_a_bucket(judge: Judge, bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    shelf.put(HOUR)
    orphan = shelf.put(2 * HOUR, with_manifest=False)
    upload = shelf.key(3 * HOUR)
    bucket.server.client().create_multipart_upload(Bucket=bucket.name, Key=upload)
    now = judge(bucket)
    assert (now["verdict"], now["names"][0]["facts"]["counts"]["unfinished"], now["names"][0]["facts"]["counts"]["orphan"]) == ("ok", 1, 1)
    found = {reason.check: reason for reason in later(bucket, 49 * HOUR).reasons}
    assert {check: reason.verdict for check, reason in found.items()} == {"age": "critical", "orphan": "warning", "unfinished": "warning"}
    assert f"the archive {orphan}." in found["orphan"].sentence
    assert f"the upload {upload}." in found["unfinished"].sentence


# Stores that cannot be read are never ok


def test_a_store_that_is_down(ansible: AnsibleRunner, alarm: Callable[..., Outcome], tmp_path: Path) -> None:
    server = MinIO()
    server.secret_key = STORE_SECRET
    with server:
        bucket = Bucket(server, server.make_bucket("backups"))
        Shelf(bucket).put(HOUR)
        ansible.run("pg_backup_health", name="app", **bucket.options).require_success()
        server.stop()
        outcome = alarm(bucket, verdict="unknown", tmp_path=tmp_path, name=["app", "shop"])
    assert checks(outcome.result) == {"store": "unknown"}
    assert outcome.result["reasons"][0]["names"] == ["app", "shop"]
    assert "could not be reached" in outcome.message
    assert "Check endpoint_url" in outcome.message
    metrics = outcome.result["prometheus"]
    assert 'pgbackup_health_status{name="shop"' in metrics
    assert "last_success" not in metrics


def test_a_bucket_that_is_not_there(alarm: Callable[..., Outcome], bucket: Bucket, tmp_path: Path) -> None:
    outcome = alarm(Bucket(bucket.server, "no-such-bucket"), verdict="unknown", tmp_path=tmp_path)
    assert "has no such bucket" in outcome.message


def test_a_directory_that_is_not_there(alarm: Callable[..., Outcome], tmp_path: Path) -> None:
    assert "does not exist" in alarm(Folder(tmp_path / "gone"), verdict="unknown", tmp_path=tmp_path).message


def test_keys_that_are_wrong(ansible: AnsibleRunner, bucket: Bucket) -> None:
    outcome = ansible.run("pg_backup_health", name="app", **{**bucket.options, "secret_key": STORE_SECRET[::-1]})
    assert outcome.failed
    assert outcome.result["verdict"] == "unknown"
    assert "refused the keys" in outcome.message


@pytest.mark.parametrize(
    "request_",
    [
        {"query": "list-type=2", "skip": 1},
        {"query": "uploads"},
        {"path": ".manifest.json"},
        {"path": ".tests/"},
    ],
    ids=["listing", "uploads", "manifest", "restore test"],
)
def test_what_may_not_be_read_is_not_known(alarm: Callable[..., Outcome], bucket: Bucket, tmp_path: Path, request_: dict[str, Any]) -> None:
    shelf = Shelf(bucket)
    shelf.record(shelf.put(HOUR), MINUTE)
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        rule = proxy.answer(403, "AccessDenied", method="GET", **request_)
        outcome = alarm(bucket.through(proxy.endpoint_url), verdict="unknown", tmp_path=tmp_path)
    assert rule.hits
    assert checks(outcome.result) == {"store": "unknown"}
    assert "does not permit this to these keys" in outcome.message


def test_one_name_that_cannot_be_read_does_not_hide_another(judge: Judge, bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    shelf.put(HOUR)
    shelf.put(31 * HOUR, "shop")
    broken = shelf.put(HOUR, "third")
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.answer(403, "AccessDenied", method="GET", path=f"{broken}.manifest.json")
        result = judge(bucket.through(proxy.endpoint_url), name=["app", "third", "shop"])
    assert {each["name"]: each["verdict"] for each in result["names"]} == {"app": "ok", "third": "unknown", "shop": "critical"}
    assert result["verdict"] == "critical"
    assert [reason["names"] for reason in result["reasons"]] == [["shop"], ["third"]]


# What fails, and what is only said


@pytest.mark.parametrize(("fail_on", "fails"), [("critical", False), ("warning", True), ("never", False)])
def test_whether_a_warning_fails(ansible: AnsibleRunner, shelf: Shelf, fail_on: str, fails: bool) -> None:
    shelf.put(3 * DAY, with_manifest=False)
    outcome = ansible.run("pg_backup_health", name="app", fail_on=fail_on, **shelf.store.options)
    assert outcome.failed is fails
    assert outcome.result["verdict"] == "warning"


@pytest.mark.parametrize("options", [{}, {"check": True}], ids=["run", "check mode"])
def test_a_mistake_is_no_verdict(ansible: AnsibleRunner, shelf: Shelf, tmp_path: Path, options: dict[str, Any]) -> None:
    for mistake, sentence in (
        ({"max_age_critical": "soon"}, "max_age_critical is 'soon'"),
        ({"name": []}, "No name is given"),
        ({"name": "a/b"}, "The backup name 'a/b' cannot be used"),
        ({"min_size": -1}, "min_size is -1"),
        ({"prometheus_textfile": str(tmp_path / "metrics.txt")}, "ends with .prom"),
    ):
        outcome = ansible.run("pg_backup_health", **options, **{"name": "app", **shelf.store.options, **mistake})
        assert outcome.failed
        assert sentence in outcome.message
        assert "verdict" not in outcome.result
    assert not list(tmp_path.glob("*.txt"))


# The file with the metrics


def test_the_file_is_fresh_each_time_and_changes_only_with_the_verdict(judge: Judge, shelf: Shelf, tmp_path: Path) -> None:
    textfile = tmp_path / "metrics" / "app.prom"
    textfile.parent.mkdir()
    planned = judge(shelf.store, check=True, diff=True, prometheus_textfile=str(textfile))
    assert planned["changed"] is True
    assert not textfile.exists()
    first = judge(shelf.store, prometheus_textfile=str(textfile))
    assert first["changed"] is True
    assert textfile.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in textfile.parent.iterdir()] == ["app.prom"]
    assert textfile.read_text() == first["prometheus"]
    assert textfile.read_bytes().endswith(b"\n")
    os.utime(textfile, (0, 0))
    again = judge(shelf.store, prometheus_textfile=str(textfile), diff=True)
    assert (again["changed"], again.get("diff")) == (False, None)
    assert textfile.stat().st_mtime > 0
    shelf.put(MINUTE)
    before = textfile.read_text()
    changed = judge(shelf.store, prometheus_textfile=str(textfile), diff=True, check=True)
    assert changed["changed"] is True
    assert (changed["diff"]["before"], changed["diff"]["after"]) == (before, changed["prometheus"])
    assert textfile.read_text() == before


def test_a_file_that_cannot_be_written_does_not_hide_the_verdict(ansible: AnsibleRunner, shelf: Shelf, tmp_path: Path) -> None:
    textfile = tmp_path / "no" / "app.prom"
    outcome = ansible.run("pg_backup_health", name="app", prometheus_textfile=str(textfile), **shelf.store.options)
    assert outcome.failed
    assert f"Trying to write {textfile} failed: No such file or directory. Set prometheus_textfile to" in outcome.message
    assert "The verdict was OK: app:" in outcome.message
    assert outcome.result["verdict"] == "ok"


def test_prometheus_itself_finds_nothing_to_complain_of(judge: Judge, shelf: Shelf, tmp_path: Path) -> None:
    program = promtool()
    if program is None:
        pytest.skip("There is no promtool.")
    shelf.put(HOUR, "shop")
    shelf.record(shelf.key(HOUR), MINUTE, verdict="failed")
    everything = judge(shelf.store, name=["app", "shop"])["prometheus"]
    assert everything.count("# HELP") >= 13
    unknown = judge(Folder(tmp_path / 'a "quoted" \\ folder\n'), name=["app", "shop"])["prometheus"]
    for metrics in (everything, unknown):
        checked = subprocess.run([program, "check", "metrics"], input=metrics, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
