# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup_info: what it lists, what it calls valid, and what it finds in damaged stores. It never writes."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sealed import write_sealed
from harness.ansible_runner import AnsibleRunner, Outcome
from harness.faults import FaultyProxy
from harness.postgres import PostgresServer
from system.scenes import MAJORS, PASSWORD, STORE_SECRET, Bucket, Database, Folder, Store, Verdict, archive_and_manifest

Info = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def original(postgres: Callable[[int], PostgresServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """A real backup, archive and manifest, of which the tests make stores; the archive is not compressed, so that nothing but its hash protects it."""
    database = Database(postgres(MAJORS[-1]), "original").create()
    store = Folder(tmp_path_factory.mktemp("original"))
    try:
        database.execute("CREATE TABLE t AS SELECT g AS id, 'user' || g || '@example.com' AS mail FROM generate_series(1, 5000) AS g")
        runner = AnsibleRunner([PASSWORD, STORE_SECRET])
        runner.run("pg_backup", **database.options(), **store.options, name="workon", compression="none").require_success()
        key, manifest = archive_and_manifest(store)
        yield store.read(key), manifest
    finally:
        database.drop()


@pytest.fixture
def put(original: tuple[bytes, dict[str, Any]]) -> Callable[..., str]:
    """Put a copy of the backup into a store, as one of another time or name; returns the archive's key."""
    archive, manifest = original

    def put_into(
        store: Store, day: int, name: str = "workon", *, prefix: str = "", with_archive: bool = True, with_manifest: bool = True, **changes: Any
    ) -> str:
        started = dt.datetime(2026, 1, day, 10, 30, tzinfo=dt.UTC)
        key = f"{prefix}{name}_{started:%Y-%m-%d_%H%M%S}.dump"
        times = {field: f"{started:%Y-%m-%dT%H:%M:%S}.000Z" for field in ("started_at", "snapshot_at", "finished_at") if field in manifest}
        if with_archive:
            store.write(key, archive)
        if with_manifest:
            store.write(f"{key}.manifest.json", write_sealed({**manifest, "key": key, "name": name, **times, **changes}))
        return key

    return put_into


@pytest.fixture
def info(ansible: AnsibleRunner, pg: PostgresServer) -> Info:
    """Run pg_backup_info, and require that it wrote nothing."""

    def run(store: Store, **options: Any) -> dict[str, Any]:
        return _untouched(store, lambda: ansible.run("pg_backup_info", **_with_programs(pg, options), **store.options)).require_success()

    return run


@pytest.fixture
def refused(ansible: AnsibleRunner, pg: PostgresServer) -> Callable[..., str]:
    """Run pg_backup_info, require that it fails and wrote nothing, and return its sentence."""

    def run(store: Store, **options: Any) -> str:
        outcome = _untouched(store, lambda: ansible.run("pg_backup_info", **_with_programs(pg, options), **store.options))
        assert outcome.failed, outcome.message
        assert "did not expect" not in outcome.message
        return outcome.message

    return run


def _with_programs(pg: PostgresServer, options: dict[str, Any]) -> dict[str, Any]:
    return {"pg_bin_dir": str(pg.installation.bin_dir), **options} if options.get("verify") == "decode" else options


def _untouched(store: Store, run: Callable[[], Outcome]) -> Outcome:
    before = {key: store.read(key) for key in store.listing()}
    outcome = run()
    assert {key: store.read(key) for key in store.listing()} == before
    assert not outcome.leftovers
    assert not outcome.survivors
    assert not outcome.result.get("changed")
    return outcome


@pytest.fixture(params=["bucket", "folder"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


def test_an_empty_store(info: Info, store: Store) -> None:
    found = info(store)
    assert found["backups"] == found["orphans"] == found["broken"] == found["foreign"] == found["unfinished"] == []
    assert set(found["counts"].values()) == {0}


def test_backups_are_listed_newest_first(info: Info, put: Callable[..., str], store: Store) -> None:
    keys = [put(store, day) for day in (3, 9, 5)]
    put(store, 7, "workon_x")
    put(store, 8, "other")
    found = info(store, name="workon")
    assert [backup["key"] for backup in found["backups"]] == [keys[1], keys[2], keys[0]]
    assert all(backup["valid"] and backup["problems"] == [] for backup in found["backups"])
    assert found["backups"][0]["tables"]["public.t"]["rows"] == 5000
    assert found["counts"] == {"backups": 3, "valid": 3, "orphans": 0, "broken": 0, "foreign": 0, "unfinished": 0}
    assert "3 valid of 3" in found["msg"]
    assert len(info(store)["backups"]) == 5


def test_a_limit(info: Info, refused: Callable[..., str], put: Callable[..., str], folder: Folder) -> None:
    keys = [put(folder, day) for day in (1, 2, 3)]
    found = info(folder, limit=2)
    assert [backup["key"] for backup in found["backups"]] == [keys[2], keys[1]]
    assert found["counts"]["backups"] == 3
    assert "limit is -1" in refused(folder, limit=-1)


RESTORE_POINTS = {
    "latest": 9,
    "before:2026-01-09T00:00:00Z": 5,
    "before:2026-01-05T10:30:00Z": 3,
    "before:2026-01-09T12:30:05+02:00": 9,
    "workon_2026-01-03_103000.dump": 3,
}


@pytest.mark.parametrize("restore_point", RESTORE_POINTS)
def test_a_restore_point(info: Info, put: Callable[..., str], folder: Folder, restore_point: str) -> None:
    keys = {day: put(folder, day) for day in (3, 5, 9)}
    put(folder, 12, with_archive=False)
    put(folder, 13, with_manifest=False)
    put(folder, 14, archive={"size": 1, "sha256": "0" * 64})
    found = info(folder, name="workon", restore_point=restore_point)
    assert [backup["key"] for backup in found["backups"]] == [keys[RESTORE_POINTS[restore_point]]]


NO_RESTORE_POINTS = {
    "before:2026-01-01T00:00:00Z": ("no valid backup from before 2026-01-01", "Check bucket or directory, prefix and name"),
    "before:2026-01-09T00:00:00": ("restore_point", "RFC 3339", "2026-01-08T10:30:00Z"),
    "before:yesterday": ("restore_point", "RFC 3339"),
    "workon_2026-01-01_000000.dump": ("no backup with the key workon_2026-01-01_000000.dump",),
    "workon_2026-01-12_103000.dump": ("is not valid", "is missing", "latest"),
    "workon_2026-01-14_103000.dump": ("is not valid", "its manifest records 1"),
}


@pytest.mark.parametrize("restore_point", NO_RESTORE_POINTS)
def test_no_restore_point(refused: Callable[..., str], put: Callable[..., str], folder: Folder, restore_point: str) -> None:
    put(folder, 9)
    put(folder, 12, with_archive=False)
    put(folder, 14, archive={"size": 1, "sha256": "0" * 64})
    message = refused(folder, name="workon", restore_point=restore_point)
    for fragment in NO_RESTORE_POINTS[restore_point]:
        assert fragment in message


def test_what_is_no_backup_is_listed_apart(info: Info, put: Callable[..., str], store: Store) -> None:
    valid = put(store, 1)
    orphan = put(store, 2, with_manifest=False)
    broken = put(store, 3, with_archive=False)
    foreign = ["backup.dump", "workon.sql.gz", "workon_2026-13-45_000000.dump"]
    for key in foreign:
        store.write(key, b"somebody's")
    store.write(f"{valid}.globals.sql", b"-- ours")
    found = info(store)
    assert [backup["key"] for backup in found["backups"]] == [valid]
    assert [entry["key"] for entry in found["orphans"]] == [orphan]
    assert [entry["key"] for entry in found["broken"]] == [broken]
    assert [entry["key"] for entry in found["foreign"]] == sorted(foreign)
    assert found["broken"][0]["valid"] is False
    assert any("is missing" in problem for problem in found["broken"][0]["problems"])
    assert found["counts"] == {"backups": 1, "valid": 1, "orphans": 1, "broken": 1, "foreign": 3, "unfinished": 0}


@pytest.mark.parametrize("prefix", ["", "nightly/"])
def test_unfinished_uploads_are_listed(info: Info, bucket: Bucket, prefix: str) -> None:
    key = f"{prefix}workon_2026-01-01_103000.dump"
    client = bucket.server.client()
    upload = client.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
    for strange in (f"{prefix}somebody's", f"{prefix}workon_x_2026-01-01_103000.dump", "elsewhere/workon_2026-01-01_103000.dump"):
        client.create_multipart_upload(Bucket=bucket.name, Key=strange)
    (found,) = info(bucket, name="workon", prefix=prefix)["unfinished"]
    assert (found["key"], found["upload_id"]) == (key, upload)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(found["started"])
    assert abs(age.total_seconds()) < 60
    assert len(bucket.unfinished()) == 4


def test_unfinished_files_are_listed(info: Info, folder: Folder) -> None:
    """On file systems that know no unnamed files a killed run leaves a hidden one."""
    folder.write(".workon_2026-01-01_103000.dump.ab12.partial", b"half")
    (found,) = info(folder, name="workon")["unfinished"]
    assert found["key"] == "workon_2026-01-01_103000.dump"


# What each level says; one that is not named finds nothing. Decoding may fail on its own before the hash is compared.
BY_SIZE = {"none": "its manifest records", "size": "its manifest records", "hash": "its manifest records", "decode": "its manifest records"}
BY_READING = {"hash": "SHA-256", "decode": ""}
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], dict[str, str]]] = {
    "truncated": (lambda archive: archive[:-1000], BY_SIZE),
    "longer": (lambda archive: archive + b"x", BY_SIZE),
    "one value changed": (lambda archive: archive.replace(b"user777@", b"user677@"), BY_READING),
    "one bit flipped in the middle": (lambda archive: _flip(archive, len(archive) // 2), BY_READING),
    "zeros from the middle on": (lambda archive: archive[: len(archive) // 2].ljust(len(archive), b"\0"), BY_READING),
}


@pytest.mark.parametrize("verify", ["none", "size", "hash", "decode"])
def test_damaged_archives(info: Info, refused: Callable[..., str], put: Callable[..., str], folder: Folder, verify: str) -> None:
    intact = put(folder, 1)
    damaged = {put(folder, day): damage for day, damage in enumerate(DAMAGES, 2)}
    for key, damage in damaged.items():
        content = DAMAGES[damage][0](folder.read(key))
        assert content != folder.read(intact)
        folder.write(key, content)
    backups = {backup["key"]: backup for backup in info(folder, verify=verify)["backups"]}
    assert backups[intact]["valid"] is True
    for key, damage in damaged.items():
        told = DAMAGES[damage][1].get(verify)
        assert backups[key]["valid"] is (told is None), damage
        assert told is None or any(told in problem for problem in backups[key]["problems"]), (damage, backups[key]["problems"])
    if verify in ("hash", "decode"):
        assert "is not valid" in refused(folder, verify=verify, restore_point=max(damaged))


def test_hash_and_decode_of_a_bucket(info: Info, put: Callable[..., str], bucket: Bucket) -> None:
    intact, damaged = put(bucket, 1), put(bucket, 2)
    bucket.write(damaged, bucket.read(damaged).replace(b"user777@", b"user677@"))
    for verify in ("hash", "decode"):
        backups = {backup["key"]: backup["valid"] for backup in info(bucket, verify=verify)["backups"]}
        assert backups == {intact: True, damaged: False}


def test_only_what_is_returned_is_read(ansible: AnsibleRunner, put: Callable[..., str], bucket: Bucket) -> None:
    keys = [put(bucket, day) for day in (1, 2, 3)]
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        ansible.run("pg_backup_info", **bucket.through(proxy.endpoint_url).options, verify="hash", limit=1).require_success()
        read = {request.path.rpartition("/")[2] for request in proxy.requests if request.method == "GET" and request.path.endswith(".dump")}
        assert read == {keys[2]}
        assert {request.method for request in proxy.requests} <= {"GET", "HEAD"}


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    "of a later version": (lambda manifest: json.dumps({**manifest, "schema_version": 99}).encode(), "schema version 99"),
    "of another program": (lambda manifest: json.dumps({"format": "other", "files": []}).encode(), "not written by this software"),
    "not JSON": (lambda manifest: b"<html>Bad gateway</html>", "not JSON"),
    "cut off": (lambda manifest: json.dumps(manifest).encode()[:-50], "not JSON"),
    "empty": (lambda manifest: b"", "not JSON"),
    "changed by somebody": (lambda manifest: json.dumps({**manifest, "environment": "production"}).encode(), "was changed after it was written"),
    "of another backup": (lambda manifest: write_sealed({**manifest, "key": "workon_2025-01-01_000000.dump"}), "belongs to"),
    "without a part": (lambda manifest: json.dumps({name: value for name, value in manifest.items() if name != "tables"}).encode(), "lacks tables"),
}


def test_manifests_that_cannot_be_trusted(info: Info, put: Callable[..., str], folder: Folder) -> None:
    good = put(folder, 1)
    spoiled = {put(folder, day): kind for day, kind in enumerate(MANIFESTS, 2)}
    for key, kind in spoiled.items():
        manifest = json.loads(folder.read(f"{key}.manifest.json"))
        folder.write(f"{key}.manifest.json", MANIFESTS[kind][0](manifest))
    found = info(folder, name="workon")
    backups = {backup["key"]: backup for backup in found["backups"]}
    assert backups.keys() == {good, *spoiled}
    assert backups[good]["valid"] is True
    assert found["counts"]["valid"] == 1
    for key, kind in spoiled.items():
        assert backups[key]["valid"] is False, kind
        assert any(MANIFESTS[kind][1] in sentence for sentence in backups[key]["problems"]), (kind, backups[key]["problems"])
        assert key in found["msg"]
    assert [backup["key"] for backup in info(folder, name="workon", restore_point="latest")["backups"]] == [good]


def test_fields_of_a_newer_writer_are_let_through(info: Info, put: Callable[..., str], folder: Folder) -> None:
    put(folder, 1, invented_later={"a": 1})
    assert info(folder)["backups"][0]["valid"] is True


def test_more_keys_than_one_page_holds(ansible: AnsibleRunner, bucket: Bucket, put: Callable[..., str]) -> None:
    key = put(bucket, 1)
    client = bucket.server.client()
    with concurrent.futures.ThreadPoolExecutor(4) as workers:
        for dummy in workers.map(lambda number: client.put_object(Bucket=bucket.name, Key=f"aaa-{number}", Body=b""), range(1005)):
            pass
    # Deeper folders are other people's, and not looked into.
    bucket.write(f"deeper/{key}", b"")
    found = ansible.run("pg_backup_info", **bucket.options).require_success()
    assert [backup["key"] for backup in found["backups"]] == [key]
    assert found["counts"]["foreign"] == 1005


def test_a_store_that_cannot_be_read_is_a_failure_and_never_an_empty_list(
    ansible: AnsibleRunner, verdict: Verdict, put: Callable[..., str], bucket: Bucket
) -> None:
    put(bucket, 1)
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        faults: list[tuple[Callable[[], object], str]] = [
            (lambda: proxy.answer(500, method="GET", query="list-type"), "InternalError 500"),
            (lambda: proxy.answer(403, "AccessDenied", "Access Denied.", method="GET", path=".manifest.json"), "does not permit"),
            (lambda: proxy.answer(403, "AccessDenied", "Access Denied.", method="GET", query="uploads"), "list unfinished uploads"),
            (proxy.vanish, "could not be reached"),
        ]
        for spoil, says in faults:
            proxy.behave()
            spoil()
            outcome = ansible.run("pg_backup_info", **bucket.through(proxy.endpoint_url).options)
            assert outcome.failed
            assert says in outcome.message
            assert "backups" not in outcome.result


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"directory": "/no/such/directory"}, "does not exist"),
        ({}, "No store is named"),
        ({"directory": "/tmp", "bucket": "b"}, "mutually exclusive"),
        ({"directory": "/tmp", "name": "a/b"}, "Set name"),
    ],
    ids=str,
)
def test_wrong_options(ansible: AnsibleRunner, options: dict[str, Any], says: str) -> None:
    outcome = ansible.run("pg_backup_info", **options)
    assert outcome.failed
    assert says in outcome.message


def test_wrong_keys(ansible: AnsibleRunner, bucket: Bucket) -> None:
    outcome = ansible.run("pg_backup_info", **{**bucket.options, "secret_key": STORE_SECRET[::-1]})
    assert outcome.failed
    assert "Set access_key and secret_key" in outcome.message


def test_an_archive_that_no_client_here_can_read(refused: Callable[..., str], put: Callable[..., str], folder: Folder) -> None:
    put(folder, 1, client={"version": "99.1"})
    message = refused(folder, verify="decode")
    assert "pg_dump 99" in message
    assert "set verify to hash" in message


def test_check_mode_is_the_same(ansible: AnsibleRunner, put: Callable[..., str], folder: Folder) -> None:
    put(folder, 1)
    plain, checked = (ansible.run("pg_backup_info", check=check, **folder.options).require_success() for check in (False, True))
    assert plain == checked
    assert plain["changed"] is False


def _flip(archive: bytes, position: int) -> bytes:
    return archive[:position] + bytes([archive[position] ^ 1]) + archive[position + 1 :]
