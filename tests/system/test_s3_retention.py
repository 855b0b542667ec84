# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""s3_retention on real stores: what goes, what stays whatever goes wrong, and what a store says against what it does."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner, Outcome
from harness.faults import FaultyProxy
from harness.stores import StoreServer
from system.scenes import Bucket, Folder, Store, opened
from system.shelf import ARCHIVE, DAY, HOUR, Shelf, later, pair, plan_later

Run = Callable[..., dict[str, Any]]


@pytest.fixture(params=["bucket", "folder"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def files(store_server: Callable[[str], StoreServer], make_bucket: Callable[[StoreServer], Bucket]) -> Bucket:
    """A fresh bucket whose objects are plain files with their dates, so that a test can make many of any age in no time, before it is first listed."""
    return make_bucket(store_server("RcloneS3"))


@pytest.fixture
def shelf(store: Store) -> Shelf:
    return Shelf(store)


@pytest.fixture
def run(ansible: AnsibleRunner) -> Run:
    """Run s3_retention on a store and return its result."""

    def run_on(store: Store, *, check: bool = False, **options: Any) -> dict[str, Any]:
        return ansible.run("s3_retention", check=check, **{"name": "app", **options}, **store.options).require_success()

    return run_on


@pytest.fixture
def refused(ansible: AnsibleRunner) -> Callable[..., Outcome]:
    """Run s3_retention, and require that it fails with a sentence and leaves the store as it was."""

    def run_on(store: Store, **options: Any) -> Outcome:
        before = store.listing()
        outcome = ansible.run("s3_retention", **{"name": "app", **options}, **store.options)
        assert outcome.failed, outcome.message
        assert "did not expect" not in outcome.message
        assert store.listing() == before
        return outcome

    return run_on


def test_what_no_rule_keeps_goes(run: Run, shelf: Shelf) -> None:
    store = shelf.store
    keys = [shelf.put(hours * HOUR) for hours in range(10)]
    others = [*pair(shelf.put(9 * HOUR, "app_x"), shelf.put(9 * HOUR, "ap")), "notes.txt", "app_notes.txt", "app_2026-02-30_000000.dump"]
    for key in others[-3:]:
        store.write(key, b"somebody's")
    result = run(store, keep_last=5)
    assert store.listing() == sorted([*pair(*keys[:5]), *others])
    assert sorted(result["deleted"]) == sorted(pair(*keys[5:]))
    assert result["changed"] is True
    assert (result["failures"], result["still_present"], result["permanently"]) == ({}, [], True)
    assert result["bytes_freed"] > 5 * len(ARCHIVE)
    assert result["foreign"] == {"app": 2}
    assert "Deleted 5 of 10 backups (4.9 KiB)." in result["msg"]
    verdicts = {entry["key"]: entry["verdict"] for entry in result["plan"]}
    assert verdicts == {key: "keep" if key in keys[:5] else "delete" for key in keys}
    again = run(store, keep_last=5)
    assert again["changed"] is False
    assert again["msg"] == "Nothing to delete; 5 backups stay."


def test_several_names_each_by_itself(run: Run, shelf: Shelf) -> None:
    kept = [shelf.put(hours * HOUR, name) for name in ("app", "shop") for hours in range(3)]
    shelf.put(3 * HOUR, "app")
    third = [shelf.put(hours * HOUR, "third") for hours in range(6)]
    result = run(shelf.store, name=["app", "shop"], keep_last=3)
    assert shelf.store.listing() == sorted(pair(*kept, *third))
    assert {entry["name"] for entry in result["plan"]} == {"app", "shop"}


def test_a_prefix(run: Run, store: Store) -> None:
    below, beside = Shelf(store, prefix="nightly/db/"), Shelf(store)
    keys = [each.put(hours * HOUR) for each in (below, beside) for hours in range(5)]
    run(store, keep_last=3, prefix="nightly/db")
    assert store.listing() == sorted(pair(*keys[:3], *keys[5:]))


def test_check_mode_shows_everything_and_deletes_nothing(ansible: AnsibleRunner, run: Run, shelf: Shelf) -> None:
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    before = shelf.store.listing()
    result = run(shelf.store, check=True, keep_last=3)
    assert shelf.store.listing() == before
    assert result["changed"] is True
    assert result["msg"].startswith("Would delete 2 of 5 backups")
    assert "deleted" not in result
    table = result["diff"]["prepared"]
    assert table.splitlines()[0] == "app: keep 3, delete 2, ignore 0"
    for key in keys:
        assert key in table
    assert "keep_last: one of the newest" in table
    assert "No rule of the policy keeps it." in table


def test_records_go_with_their_backup(run: Run, shelf: Shelf) -> None:
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    for age, key in enumerate(keys):
        shelf.write(f"{key}.globals.sql", b"-- roles", age * HOUR)
        shelf.write(f"{key}.tests/2026-01-08T103000Z.json", b"{}", age * HOUR)
        shelf.write(f"{key}.tests/notes.txt", b"somebody's", age * HOUR)
    run(shelf.store, keep_last=3)
    records = [f"{key}{suffix}" for key in keys[:3] for suffix in (".globals.sql", ".tests/2026-01-08T103000Z.json")]
    assert shelf.store.listing() == sorted([*pair(*keys[:3]), *records, *(f"{key}.tests/notes.txt" for key in keys)])


def test_what_is_not_valid_stays_and_is_warned_about(run: Run, shelf: Shelf) -> None:
    good = [shelf.put(hours * HOUR) for hours in (4, 5, 6, 7)]
    empty = shelf.put(1 * HOUR, archive=b"")
    spoiled = shelf.put(8 * HOUR)
    shelf.write(f"{spoiled}.manifest.json", b"<html>", 8 * HOUR)
    broken = shelf.put(9 * HOUR, archive=None)
    result = run(shelf.store, keep_last=3, max_delete_percent=100)
    assert shelf.store.listing() == sorted([*pair(*good[:3], empty, spoiled), f"{broken}.manifest.json"])
    assert {alarm.partition(":")[0] for alarm in result["alarms"]} == {empty, spoiled, broken}
    verdicts = {entry["key"]: (entry["kind"], entry["verdict"]) for entry in result["plan"]}
    assert verdicts[empty] == verdicts[spoiled] == ("backup", "ignore")
    assert verdicts[broken] == ("broken", "ignore")


def test_pinned_safety_and_incident_backups_stay(run: Run, shelf: Shelf) -> None:
    kept = [shelf.put(hours * HOUR) for hours in range(3)]
    kept += [
        shelf.put(10 * HOUR, pinned=True),
        shelf.put(11 * HOUR, labels={"keep": "audit"}),
        shelf.put(12 * HOUR, reason="pre_restore"),
        shelf.put(13 * HOUR, reason="incident"),
    ]
    shelf.put(14 * HOUR)
    shelf.put(15 * HOUR, labels={"keep": "no"})
    run(shelf.store, keep_last=1, pinned_labels={"keep": "audit"})
    assert shelf.store.listing() == sorted(pair(*kept))


def test_what_a_restore_names_stays(run: Run, shelf: Shelf) -> None:
    keys = [shelf.put(hours * HOUR) for hours in range(6)]
    shelf.write("restores/4f9d.jsonl", json.dumps({"step": "S0", "backup": {"key": keys[4]}}).encode(), HOUR)
    result = run(shelf.store, keep_last=3)
    assert keys[4] in shelf.store.listing()
    assert keys[5] not in shelf.store.listing()
    (entry,) = [entry for entry in result["plan"] if entry["key"] == keys[4]]
    assert entry["reasons"] == ["A restore of the last 7 days names it (restores/4f9d.jsonl)."]


def test_the_journal_of_an_old_restore_holds_nothing(run: Run, folder: Folder) -> None:
    shelf = Shelf(folder)
    keys = [shelf.put(hours * HOUR) for hours in range(6)]
    shelf.write("restores/4f9d.jsonl", json.dumps({"backup": keys[4]}).encode(), 8 * DAY)
    run(folder, keep_last=3)
    assert keys[4] not in folder.listing()


def test_backups_that_stopped_are_not_deleted(run: Run, folder: Folder) -> None:
    shelf = Shelf(folder)
    for day in range(35, 60):
        shelf.put(day * DAY)
    before = folder.listing()
    result = run(folder, keep_within="30d")
    assert folder.listing() == before
    assert result["changed"] is False


def stopped(shelf: Shelf) -> list[str]:
    return [shelf.put(day * DAY) for day in range(35, 60)]


def became_empty(shelf: Shelf) -> list[str]:
    for day in range(31):
        shelf.put(day * DAY, archive=b"")
    return [shelf.put(day * DAY) for day in range(31, 45)]


def one_ahead(shelf: Shelf) -> list[str]:
    return [shelf.put(day * DAY) for day in (-365, *range(20))]


def bad_after_good(shelf: Shelf) -> list[str]:
    for day in range(10):
        shelf.put(day * DAY - dt.timedelta(minutes=1), archive=b"")
    return [shelf.put(day * DAY) for day in range(10)]


Dated = dict[str, dt.datetime]


def older_than_30_days(dated: Dated, now: dt.datetime) -> set[str]:
    return {key for key, moment in dated.items() if now - moment > 30 * DAY}


def older_than_30_days_before_the_newest(dated: Dated, now: dt.datetime) -> set[str]:
    return older_than_30_days(dated, max(dated.values()))


def all_but_the_newest_of_seven_days(dated: Dated, now: dt.datetime) -> set[str]:
    newest = {moment.date(): key for key, moment in sorted(dated.items(), key=lambda each: each[1])}
    return set(dated) - {newest[day] for day in sorted(newest)[-7:]}


@dataclass(frozen=True)
class Befallen:
    """Backups as ``fill`` puts them, which returns the valid ones, newest first; and how many of those go, by the rule that others had and by ours."""

    fill: Callable[[Shelf], list[str]]
    their_rule: Callable[[Dated, dt.datetime], set[str]]
    theirs: int
    policy: dict[str, Any]
    ours: int = 0


BEFALLEN = {
    "backups stopped 35 days ago": Befallen(stopped, older_than_30_days, 25, {"keep_within": "30d"}),
    "the last 31 are empty": Befallen(became_empty, older_than_30_days, 14, {"keep_within": "30d"}),
    "one is dated a year ahead": Befallen(one_ahead, older_than_30_days_before_the_newest, 20, {"keep_within": "30d"}),
    "a bad one after each good one": Befallen(bad_after_good, all_but_the_newest_of_seven_days, 10, {"keep_daily": 7}, ours=3),
}


@pytest.mark.parametrize("case", BEFALLEN)
def test_what_befell_others_befalls_no_bucket(run: Run, files: Bucket, case: str) -> None:
    """On a real S3 server that dates objects as their files are."""
    befallen = BEFALLEN[case]
    # At noon: whether a minute later is another day must not depend on when this runs.
    noon = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0) - DAY
    valid = befallen.fill(Shelf(Folder(files.server.data_directory / files.name), now=noon))
    entries = files.server.client().list_objects_v2(Bucket=files.name)["Contents"]
    dated = {entry["Key"]: entry["LastModified"] for entry in entries if entry["Key"].endswith(".dump")}
    assert len(befallen.their_rule(dated, noon) & set(valid)) == befallen.theirs
    result = run(files, **befallen.policy)
    going = pair(*valid[len(valid) - befallen.ours :])
    assert sorted(result["deleted"]) == sorted(going)
    assert files.listing() == sorted({entry["Key"] for entry in entries} - set(going))
    assert result["changed"] is bool(going)


def test_the_founding_policy(run: Run, folder: Folder) -> None:
    shelf = Shelf(folder)
    keys = [shelf.put(day * DAY) for day in range(40)]
    run(folder, keep_within="30d")
    assert folder.listing() == sorted(pair(*keys[:31]))


# Refusals: nothing goes


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, ["retention policy is empty", "keep_within"]),
        ({"keep_within": "30 days"}, ["keep_within is '30 days'", "30d"]),
        ({"keep_last": -3}, ["keep_last is -3"]),
        ({"keep_daily": 3, "timezone": "Mars/Olympus"}, ["timezone is 'Mars/Olympus'", "Europe/Berlin"]),
        ({"keep_last": 1, "name": ["app", "a/b"]}, ["'a/b'"]),
        ({"keep_last": 1, "name": []}, ["No name is given"]),
        ({"keep_last": 3}, ["would delete 7 of the 10 valid backups of app", "set max_delete_percent to 70"]),
        ({"keep_last": 3, "name": ["shop", "app"]}, ["would delete 7 of the 10 valid backups of app"]),
    ],
)
def test_what_is_refused(refused: Callable[..., Outcome], folder: Folder, options: dict[str, Any], says: list[str]) -> None:
    shelf = Shelf(folder)
    for hours in range(10):
        shelf.put(hours * HOUR)
    for hours in range(4):
        shelf.put(hours * HOUR, "shop")
    outcome = refused(folder, **options)
    for fragment in says:
        assert fragment in outcome.message
    if "would delete" in outcome.message:
        assert {entry["verdict"] for entry in outcome.result["plan"]} == {"keep", "delete"}


@pytest.mark.parametrize("failure", ["answered with an error", "cut off"])
def test_a_listing_that_fails_on_its_second_page_deletes_nothing(refused: Callable[..., Outcome], files: Bucket, failure: str) -> None:
    """Also nothing of the name whose own listing was complete, and came first."""
    directory = files.server.data_directory / files.name
    for name in ("app", "shop"):
        for hours in range(6):
            Shelf(Folder(directory)).put(hours * HOUR, name)
    for number in range(1005):
        (directory / f"shop_zzz-{number:04}").touch()
    with FaultyProxy(files.server.endpoint_url) as proxy:
        break_page = proxy.cut_before if failure == "cut off" else proxy.answer
        fault = break_page(query="continuation-token=", times=None)
        outcome = refused(files.through(proxy.endpoint_url), name=["app", "shop"], keep_last=3)
        assert fault.hits
        assert "list the bucket" in outcome.message
        assert len([request for request in proxy.requests if "list-type=2" in request.query and "prefix=app_" in request.query]) == 1
        assert not proxy.count("DELETE")
        assert not proxy.count("POST", query="delete")
    # It was the second page: without the fault as much goes as may.
    plan = plan_later(files, 0 * HOUR, "app", "shop", keep_last=3)
    assert len(plan.going) == 6


@pytest.mark.parametrize("shift", [600, -600])
def test_a_clock_that_is_off_deletes_nothing(refused: Callable[..., Outcome], bucket: Bucket, shift: int) -> None:
    shelf = Shelf(bucket)
    for hours in range(6):
        shelf.put(hours * HOUR)
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.clock_shift = shift
        assert "clock is" in refused(bucket.through(proxy.endpoint_url), keep_last=3).message


def test_a_manifest_that_cannot_be_read_now_deletes_nothing(refused: Callable[..., Outcome], bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(6)]
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.answer(503, "SlowDown", method="GET", path=f"{keys[0]}.manifest.json")
        assert "manifest" in refused(bucket.through(proxy.endpoint_url), keep_last=3).message


# Stores that do not delete as told


def test_a_refused_deletion_leaves_the_archive(refused: Callable[..., Outcome], bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.answer(403, "AccessDenied", method="POST", query="delete")
        outcome = refused(bucket.through(proxy.endpoint_url), keep_last=3)
        assert proxy.count("POST", query="delete") == 1
    assert "Not everything could be deleted." in outcome.message
    assert set(outcome.result["failures"]) == {f"{key}.manifest.json" for key in keys[3:]}
    assert outcome.result["still_present"] == keys[3:]
    assert outcome.result["deleted"] == []


def test_a_store_without_batches_is_asked_one_by_one(run: Run, bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.answer(400, "MissingContentMD5", method="POST", query="delete")
        result = run(bucket.through(proxy.endpoint_url), keep_last=3)
        assert proxy.count("POST", query="delete") == 1
        assert proxy.count("DELETE") == 4
    assert bucket.listing() == sorted(pair(*keys[:3]))
    assert result["store"]["batch_delete"] == "rejected"


def test_batches_are_used_where_they_work(run: Run, bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    for hours in range(5):
        shelf.put(hours * HOUR)
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        result = run(bucket.through(proxy.endpoint_url), keep_last=3)
        assert (proxy.count("POST", query="delete"), proxy.count("DELETE")) == (2, 0)
        # The manifests go first.
        assert result["store"]["batch_delete"] == "supported"


def test_a_lost_answer_is_looked_after(run: Run, bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.lose_answer(method="POST", query="delete")
        result = run(bucket.through(proxy.endpoint_url), keep_last=3)
    assert bucket.listing() == sorted(pair(*keys[:3]))
    assert result["failures"] == {}


def test_a_store_that_dies_half_way_leaves_no_manifest_without_its_archive(ansible: AnsibleRunner, bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        proxy.vanish_at(method="POST", query="delete", skip=1)
        outcome = ansible.run("s3_retention", name="app", keep_last=3, **bucket.through(proxy.endpoint_url).options)
    assert outcome.failed
    assert "could not be listed afterwards" in outcome.message
    assert outcome.result["changed"] is True
    assert bucket.listing() == sorted([*pair(*keys[:3]), *keys[3:]])


# What failed runs leave behind


def begin_upload(bucket: Bucket, key: str) -> str:
    upload_id: str = bucket.server.client().create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
    return upload_id


def test_old_unfinished_uploads_of_the_name_are_aborted(bucket: Bucket) -> None:
    shelf = Shelf(bucket)
    own = shelf.key(HOUR)
    others = [shelf.key(HOUR, "app_x"), "app_upload", f"elsewhere/{own}"]
    for key in (own, *others):
        begin_upload(bucket, key)
    assert later(bucket, 23 * HOUR).aborted == []
    assert sorted(bucket.unfinished()) == sorted([own, *others])
    assert later(bucket, 25 * HOUR).aborted == [own]
    assert sorted(bucket.unfinished()) == sorted(others)
    assert later(bucket, 25 * HOUR).aborted == []


def test_old_unfinished_files_are_removed(run: Run, folder: Folder) -> None:
    shelf = Shelf(folder, prefix="p/")
    old, young, other = (f"p/.{shelf.key(age, name)[2:]}.ab12.partial" for age, name in ((25 * HOUR, "app"), (23 * HOUR, "app"), (25 * HOUR, "app_x")))
    for key, age in ((old, 25 * HOUR), (young, 23 * HOUR), (other, 25 * HOUR)):
        shelf.write(key, b"half", age)
    result = run(folder, keep_last=3, prefix="p")
    assert folder.listing() == sorted([young, other])
    assert result["aborted"] == [shelf.key(25 * HOUR)]


def test_orphans_of_ours_go_and_those_of_others_stay(store: Store) -> None:
    shelf = Shelf(store)
    founding = shelf.put(10 * HOUR, with_manifest=False)
    ours = shelf.key(11 * HOUR)
    upload = opened(store).start_upload(ours, 5 * 1024 * 1024, {"backup-id": "4f9d7b9e-6a0e-4a53-8f0b-5a2f7f1f9f11"})
    part = upload.next_part()
    part.view[:4] = b"data"
    upload.send(part, 4)
    upload.complete("")
    shelf.write(f"{ours}.globals.sql", b"-- roles", HOUR)
    young = later(store, 47 * HOUR)
    assert young.deleted == []
    result = later(store, 49 * HOUR)
    assert result.deleted == [ours, f"{ours}.globals.sql"]
    assert store.listing() == [founding]
    assert later(store, 5000 * DAY).deleted == []


def test_records_whose_backup_is_gone_go(store: Store) -> None:
    shelf = Shelf(store)
    archive = shelf.key(10 * HOUR)
    records = [f"{archive}.globals.sql", f"{archive}.tests/1.json"]
    for key in (*records, f"{archive}.tests/notes.txt", f"{shelf.key(10 * HOUR, 'app_x')}.globals.sql"):
        shelf.write(key, b"{}", HOUR)
    assert later(store, 40 * HOUR).deleted == []
    assert sorted(later(store, 50 * HOUR).deleted) == records


# Versions and locks


@pytest.fixture
def versioned(minio: StoreServer, make_bucket: Callable[[StoreServer], Bucket]) -> Bucket:
    found = make_bucket(minio)
    minio.client().put_bucket_versioning(Bucket=found.name, VersioningConfiguration={"Status": "Enabled"})
    return found


def versions(bucket: Bucket) -> set[str]:
    answer = bucket.server.client().list_object_versions(Bucket=bucket.name)
    return {entry["Key"] for kind in ("Versions", "DeleteMarkers") for entry in answer.get(kind, [])}


def test_in_a_bucket_that_keeps_versions_nothing_is_gone(run: Run, versioned: Bucket) -> None:
    shelf = Shelf(versioned)
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    result = run(versioned, keep_last=3)
    assert versioned.listing() == sorted(pair(*keys[:3]))
    assert versions(versioned) == set(pair(*keys))
    assert (result["permanently"], result["bytes_freed"]) == (False, 0)
    assert result["bytes_hidden"] > 2 * len(ARCHIVE)
    assert "only hidden" in result["msg"]


def test_what_was_let_go_is_purged_when_asked(run: Run, versioned: Bucket) -> None:
    shelf = Shelf(versioned)
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    for key in keys:
        shelf.write(f"{key}.globals.sql", b"-- roles", HOUR)
    run(versioned, keep_last=3)
    assert run(versioned, keep_last=3)["changed"] is False
    result = run(versioned, keep_last=3, purge_versions=True)
    kept = sorted([*pair(*keys[:3]), *(f"{key}.globals.sql" for key in keys[:3])])
    assert versions(versioned) == set(kept)
    assert versioned.listing() == kept
    assert set(result["purged"]) == {*pair(*keys[3:]), *(f"{key}.globals.sql" for key in keys[3:])}
    assert result["bytes_freed"] > 2 * len(ARCHIVE)
    assert result["deleted"] == []
    assert run(versioned, keep_last=3, purge_versions=True)["changed"] is False


def test_what_somebody_else_deleted_is_not_purged(run: Run, versioned: Bucket) -> None:
    shelf = Shelf(versioned)
    keys = [shelf.put(hours * HOUR) for hours in range(6)]
    # All of it, as an intruder would.
    for key in pair(*keys):
        versioned.delete(key)
    before = versions(versioned)
    result = run(versioned, keep_last=4, purge_versions=True)
    assert versions(versioned) == before - set(pair(*keys[4:]))
    assert sorted(alarm.partition(":")[0] for alarm in result["alarms"]) == sorted(keys[:4])
    assert "Delete the marker to have it back" in result["alarms"][0]


def test_locks_are_planned_around(run: Run, minio: StoreServer) -> None:
    bucket = Bucket(minio, minio.make_bucket(f"locked-{dt.datetime.now(dt.UTC):%H%M%S%f}", ObjectLockEnabledForBucket=True))
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(8)]
    client = minio.client()
    until = dt.datetime.now(dt.UTC) + DAY
    client.put_object_retention(Bucket=bucket.name, Key=keys[4], Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    client.put_object_legal_hold(Bucket=bucket.name, Key=f"{keys[5]}.manifest.json", LegalHold={"Status": "ON"})
    result = run(bucket, keep_last=4)
    assert bucket.listing() == sorted(pair(*keys[:4], keys[4], keys[5]))
    reasons = {entry["key"]: entry["reasons"] for entry in result["plan"]}
    assert reasons[keys[4]] == [f"It is locked until {until:%Y-%m-%dT%H:%M:%S}.{until:%f}"[:-3] + "Z (GOVERNANCE)."]
    assert reasons[keys[5]] == ["It is under a legal hold."]
    # A lock that is set on what is hidden already holds as well.
    hidden = client.list_object_versions(Bucket=bucket.name, Prefix=keys[7])["Versions"]
    for version in hidden:
        client.put_object_legal_hold(Bucket=bucket.name, Key=version["Key"], VersionId=version["VersionId"], LegalHold={"Status": "ON"})
    purged = run(bucket, keep_last=4, purge_versions=True)
    assert set(purged["purged"]) == set(pair(keys[6]))
    for version in hidden:
        client.put_object_legal_hold(Bucket=bucket.name, Key=version["Key"], VersionId=version["VersionId"], LegalHold={"Status": "OFF"})
    client.put_object_legal_hold(Bucket=bucket.name, Key=f"{keys[5]}.manifest.json", LegalHold={"Status": "OFF"})


def test_locks_that_may_not_be_read_delete_nothing(refused: Callable[..., Outcome], versioned: Bucket) -> None:
    shelf = Shelf(versioned)
    for hours in range(5):
        shelf.put(hours * HOUR)
    with FaultyProxy(versioned.server.endpoint_url) as proxy:
        proxy.answer(403, "AccessDenied", method="GET", query="object-lock")
        assert "s3:GetBucketObjectLockConfiguration" in refused(versioned.through(proxy.endpoint_url), keep_last=3).message


# Every store


@pytest.mark.parametrize("kind", ["SeaweedFS", "VersityGW", "RcloneS3"])
def test_every_store_deletes_what_it_is_told(
    run: Run, store_server: Callable[[str], StoreServer], make_bucket: Callable[[StoreServer], Bucket], kind: str
) -> None:
    try:
        bucket = make_bucket(store_server(kind))
    except RuntimeError as error:
        pytest.skip(f"{kind} cannot be had here: {error}")
    shelf = Shelf(bucket, prefix="nightly/")
    keys = [shelf.put(hours * HOUR) for hours in range(6)]
    shelf.write(f"{keys[5]}.tests/1.json", b"{}", HOUR)
    other = shelf.put(9 * HOUR, "app_x")
    result = run(bucket, keep_last=3, prefix="nightly")
    assert bucket.listing() == sorted(pair(*keys[:3], other))
    assert result["permanently"] is True
    assert run(bucket, keep_last=3, prefix="nightly")["changed"] is False


@pytest.mark.parametrize("kind", ["SeaweedFS", "VersityGW"])
def test_every_store_with_versions_and_locks_is_planned_around(run: Run, store_server: Callable[[str], StoreServer], kind: str) -> None:
    try:
        server = store_server(kind)
    except RuntimeError as error:
        pytest.skip(f"{kind} cannot be had here: {error}")
    bucket = Bucket(server, server.make_bucket(f"locked-{dt.datetime.now(dt.UTC):%H%M%S%f}", ObjectLockEnabledForBucket=True))
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(6)]
    client = server.client()
    client.put_object_legal_hold(Bucket=bucket.name, Key=keys[4], LegalHold={"Status": "ON"})
    result = run(bucket, keep_last=3)
    assert bucket.listing() == sorted(pair(*keys[:3], keys[4]))
    assert result["permanently"] is False
    run(bucket, keep_last=3, purge_versions=True)
    assert versions(bucket) == set(pair(*keys[:3], keys[4]))
    client.put_object_legal_hold(Bucket=bucket.name, Key=keys[4], LegalHold={"Status": "OFF"})


@pytest.mark.slow
def test_a_hundred_thousand_objects_beside_it_cost_nothing(run: Run, files: Bucket) -> None:
    bucket = files
    directory = bucket.server.data_directory / bucket.name
    for number in range(60_000):
        (directory / f"photo-{number:06}.jpg").touch()
    beginning = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    for number in range(20_000):
        base_name = f"app2_{beginning + number * HOUR:%Y-%m-%d_%H%M%S}.dump"
        (directory / base_name).touch()
        (directory / f"{base_name}.manifest.json").touch()
    shelf = Shelf(bucket)
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        run(bucket.through(proxy.endpoint_url), check=True, keep_last=3)
        listings = [request.query for request in proxy.requests if "list-type=2" in request.query]
        assert sum("prefix=app_&" in f"{query}&" for query in listings) == 1
        # The others are the probe of the store and the journals of restores, each of one request.
        assert len(listings) == 3
        seen = len(proxy.requests)
        assert seen < 20
        run(bucket.through(proxy.endpoint_url), keep_last=3)
        acting = [request.query for request in proxy.requests[seen:] if "list-type=2" in request.query]
        assert sum("prefix=app_&" in f"{query}&" for query in acting) == 2
        assert len(proxy.requests) - seen < 25
    assert set(bucket.server.keys(bucket.name, "app_")) == set(pair(*keys[:3]))
    assert sum(1 for dummy in directory.iterdir()) == 100_000 + 6


def test_only_what_is_proved_lets_others_go(run: Run, shelf: Shelf) -> None:
    store = shelf.store
    keys = [shelf.put(hours * HOUR) for hours in range(6)]
    unproved = run(store, keep_last=2, min_keep=1, max_delete_percent=100, require_restore_test="35d")
    assert (unproved["changed"], store.listing()) == (False, sorted(pair(*keys)))
    (alarm,) = unproved["alarms"]
    assert keys[0] in alarm
    assert "no backup has passed a restore test in the last 35d" in alarm

    passed, failed, strange = shelf.record(keys[4]), shelf.record(keys[3], verdict="failed", reasons=["Row lost."]), shelf.record(keys[2], backup_id="another")
    proved = run(store, keep_last=2, min_keep=1, max_delete_percent=100, require_restore_test="35d")
    assert store.listing() == sorted([*pair(keys[0], keys[1], keys[4]), passed])
    assert {failed, strange} <= set(proved["deleted"])
