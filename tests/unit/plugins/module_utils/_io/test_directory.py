# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory as a store, on the real file system: with files that have no name until they are complete, and where that cannot be had."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.directory import DirectoryStore, DirectoryUpload
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY
from harness.account import private_directory, service_account

real_open = os.open


def open_without_unnamed_files(path: t.Any, flags: int, *arguments: t.Any, **options: t.Any) -> int:
    """Open as on a file system that knows no O_TMPFILE."""
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)
    return real_open(path, flags, *arguments, **options)


@pytest.fixture(params=["unnamed files", "partial files"])
def drafts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Run a test on both kinds of file system."""
    if request.param == "partial files":
        monkeypatch.setattr(os, "open", open_without_unnamed_files)
    else:
        try:
            os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
        except OSError:
            pytest.skip("this file system knows no unnamed files")
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path, drafts: str) -> DirectoryStore:
    return DirectoryStore(str(tmp_path))


def send(upload: DirectoryUpload, content: bytes) -> None:
    for start in range(0, len(content), upload.part_size):
        chunk = content[start : start + upload.part_size]
        part = upload.next_part()
        part.view[: len(chunk)] = chunk
        upload.send(part, len(chunk))


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("size", [0, 1, 10, 11, 1000])
def test_what_is_sent_is_read_back(store: DirectoryStore, size: int) -> None:
    content = os.urandom(size)
    upload = store.start_upload(KEY, 10, {})
    send(upload, content)
    assert upload.complete("") == {"server_side": None, "kms_key_id": None}
    assert store.read(KEY) == content
    assert [(found.key, found.size) for found in store.list_objects()] == [(KEY, size)]


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_000])
def test_a_small_object_may_be_larger_than_a_part(store: DirectoryStore, size: int) -> None:
    content = os.urandom(size)
    store.put(KEY, content, "application/json")
    assert b"".join(store.stream(KEY)) == content


def test_only_the_owner_can_read_what_is_stored(tmp_path: Path, drafts: str) -> None:
    mask = os.umask(0)
    try:
        DirectoryStore(str(tmp_path), "a/b").put(f"a/b/{KEY}", b"x", "")
    finally:
        os.umask(mask)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)}
    assert modes == {"a": 0o700, "a/b": 0o700, f"a/b/{KEY}": 0o600}


@pytest.mark.parametrize("prefix", ["", "a/b/"])
def test_an_object_may_lie_in_a_folder_of_its_own(tmp_path: Path, drafts: str, prefix: str) -> None:
    store, key = DirectoryStore(str(tmp_path), prefix), f"{prefix}restores/1.jsonl"
    store.put(key, b"x", "")
    assert store.read(key) == b"x"
    assert stat.S_IMODE((tmp_path / prefix / "restores").stat().st_mode) == 0o700
    # It is no backup, and nothing unfinished.
    assert (store.list_objects(), store.list_unfinished()) == ([], [])
    with pytest.raises(StoreError, match="never overwritten"):
        store.put(key, b"y", "")


def test_nothing_of_an_upload_is_visible_before_it_is_complete(store: DirectoryStore, tmp_path: Path, drafts: str) -> None:
    upload = store.start_upload(KEY, 10, {})
    send(upload, b"x" * 25)
    assert store.list_objects() == []
    assert not store.exists(KEY)
    if drafts == "unnamed files":
        assert names(tmp_path) == []
        assert store.list_unfinished() == []
    else:
        (partial,) = names(tmp_path)
        assert partial.startswith(f".{KEY}.")
        assert stat.S_IMODE((tmp_path / partial).stat().st_mode) == 0o600
        assert [(found.key, found.upload_id) for found in store.list_unfinished()] == [(KEY, partial)]
    upload.complete("")
    assert names(tmp_path) == [KEY]
    assert store.list_unfinished() == []


def test_an_aborted_upload_leaves_nothing(store: DirectoryStore, tmp_path: Path) -> None:
    upload = store.start_upload(KEY, 10, {})
    send(upload, b"x" * 25)
    upload.abort()
    upload.abort()
    assert names(tmp_path) == []


def test_aborting_what_is_complete_keeps_it(store: DirectoryStore, tmp_path: Path) -> None:
    upload = store.start_upload(KEY, 10, {})
    upload.complete("")
    upload.abort()
    assert names(tmp_path) == [KEY]


def test_an_existing_key_is_refused_before_anything_is_written(store: DirectoryStore, tmp_path: Path) -> None:
    store.put(KEY, b"first", "")
    with pytest.raises(StoreError, match=f"The key .*{KEY} exists already, and a backup is never overwritten"):
        store.start_upload(KEY, 10, {})
    with pytest.raises(StoreError, match="never overwritten"):
        store.put(KEY, b"second", "")
    assert names(tmp_path) == [KEY]
    assert store.read(KEY) == b"first"


@pytest.mark.parametrize("how", ["file", "dangling link"])
def test_of_two_uploads_of_one_key_the_second_fails_and_harms_nothing(store: DirectoryStore, tmp_path: Path, how: str) -> None:
    upload = store.start_upload(KEY, 10, {})
    send(upload, b"second")
    if how == "file":
        (tmp_path / KEY).write_bytes(b"first")
    else:
        (tmp_path / KEY).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="exists already"):
        upload.complete("")
    upload.abort()
    assert names(tmp_path) == [KEY]
    assert not (tmp_path / "elsewhere").exists()
    assert how != "file" or store.read(KEY) == b"first"


def test_a_full_file_system_is_told_in_a_sentence(store: DirectoryStore, tmp_path: Path) -> None:
    upload = store.start_upload(KEY, 10, {})
    # The kernel itself says that nothing more fits: the draft is exchanged for its device that is always full.
    full = real_open("/dev/full", os.O_WRONLY)
    os.dup2(full, upload._draft.descriptor)
    os.close(full)
    with pytest.raises(StoreError, match=rf"Trying to write .*{KEY} failed: No space left on device\. Free space there, or set directory"):
        send(upload, b"x")
    upload.abort()
    assert names(tmp_path) == []


def test_a_file_size_limit_in_the_middle_of_an_upload_leaves_nothing(store: DirectoryStore, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match=r"File too large\. Raise this user's file size limit"):
            store.put(KEY, b"x" * 200_000, "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert names(tmp_path) == []


def test_a_file_that_came_out_shorter_than_it_was_sent_is_a_failure(store: DirectoryStore) -> None:
    upload = store.start_upload(KEY, 10, {})
    send(upload, b"x" * 10)
    os.ftruncate(upload._draft.descriptor, 9)
    with pytest.raises(VerificationError, match="written with 10 bytes, but has 9"):
        upload.complete("")


KILLED = """
import errno, os, sys
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.directory import DirectoryStore

if sys.argv[3] == "partial files":
    del os.O_TMPFILE
upload = DirectoryStore(sys.argv[1]).start_upload(sys.argv[2], 10, {})
upload.send(upload.next_part(), 10)
print("sent", flush=True)
sys.stdin.read()
"""


def test_a_process_killed_in_the_middle_leaves_no_object(store: DirectoryStore, tmp_path: Path, drafts: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), KEY, drafts],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"sent\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert store.list_objects() == []
    assert [found.key for found in store.list_unfinished()] == ([] if drafts == "unnamed files" else [KEY])


def test_a_probe_leaves_no_trace_and_its_failure_is_a_sentence(tmp_path: Path, drafts: str) -> None:
    store = DirectoryStore(str(tmp_path))
    facts = store.probe(KEY, write=True)
    assert (facts.kind, facts.writable, facts.conditional_writes, facts.location) == ("directory", True, "supported", store.location)
    assert names(tmp_path) == []


def test_a_probe_removes_the_folders_that_it_made_and_no_other(tmp_path: Path, drafts: str) -> None:
    (tmp_path / "there").mkdir()
    DirectoryStore(str(tmp_path), "there/new/newer").probe(KEY, write=True)
    assert names(tmp_path) == ["there"]
    assert names(tmp_path / "there") == []


def test_a_probe_refuses_a_file_system_without_hard_links(tmp_path: Path, drafts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*dummy_args: object, **dummy_options: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(StoreError, match="Set directory to a file system that has hard links"):
        DirectoryStore(str(tmp_path)).probe(KEY, write=True)
    assert names(tmp_path) == []


def test_a_probe_for_reading_writes_nothing(tmp_path: Path) -> None:
    assert DirectoryStore(str(tmp_path), "p").probe("p/", write=False).writable is False
    assert names(tmp_path) == []


@pytest.mark.parametrize("write", [True, False])
def test_a_directory_that_is_not_there_is_never_created(tmp_path: Path, write: bool) -> None:
    store = DirectoryStore(str(tmp_path / "missing"), "p")
    with pytest.raises(StoreError, match=r"missing does not exist\. Create it \(mode 0700\), or set directory"):
        store.probe("p/x", write=write)
    with pytest.raises(StoreError, match=r"No such file or directory\. Check directory and prefix"):
        store.list_objects()
    with pytest.raises(StoreError, match="No such file or directory"):
        store.put("p/x", b"", "")
    assert names(tmp_path) == []


@pytest.fixture
def forbidden() -> Iterator[str]:
    """A directory that this process may not write to. Root may write everywhere, so it becomes somebody else for a while."""
    account = service_account()
    directory = private_directory("forbidden-", account)
    directory.chmod(0o500)
    if account:
        os.seteuid(account.uid)
    yield str(directory)
    if account:
        os.seteuid(0)
    directory.rmdir()


def test_a_directory_without_permission_is_refused(forbidden: str) -> None:
    with pytest.raises(StoreError, match=r"Permission denied\. Set directory to one that this user may write to"):
        DirectoryStore(forbidden).probe(KEY, write=True)


def test_a_directory_that_takes_no_files_is_refused() -> None:
    with pytest.raises(StoreError, match="Trying to write to /proc"):
        DirectoryStore("/proc/self").probe(KEY, write=True)


def test_a_prefix_is_a_folder_of_its_own(tmp_path: Path) -> None:
    store, other = DirectoryStore(str(tmp_path), "a"), DirectoryStore(str(tmp_path))
    assert store.list_objects() == []
    store.put(f"a/{KEY}", b"x", "")
    assert [found.key for found in store.list_objects()] == [f"a/{KEY}"]
    assert other.list_objects() == []
    assert store.address(f"a/{KEY}") == str(tmp_path / "a" / KEY)


def test_a_listing_holds_the_files_that_begin_so_and_nothing_else(tmp_path: Path) -> None:
    store = DirectoryStore(str(tmp_path))
    for name in ("app_2", "app_1", "apple", ".app_3.dump.partial"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "app_folder").mkdir()
    (tmp_path / "app_link").symlink_to(tmp_path / "nowhere")
    assert [found.key for found in store.list_objects("app_")] == ["app_1", "app_2"]
    assert [found.key for found in store.list_unfinished("app_")] == ["app_3.dump"]
    assert store.list_unfinished("other_") == []


def test_the_times_of_a_listing_are_those_of_the_files_in_utc(tmp_path: Path) -> None:
    (tmp_path / KEY).write_bytes(b"x")
    os.utime(tmp_path / KEY, (0, 1767868200))
    (found,) = DirectoryStore(str(tmp_path)).list_objects()
    assert found.modified.isoformat() == "2026-01-08T10:30:00+00:00"


def test_deleting_is_done_once_and_harmless_twice(tmp_path: Path) -> None:
    store = DirectoryStore(str(tmp_path))
    store.put(KEY, b"x", "")
    store.delete(KEY)
    store.delete(KEY)
    assert names(tmp_path) == []


def test_reading_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"Trying to read .*{KEY} failed: No such file"):
        DirectoryStore(str(tmp_path)).read(KEY)


def test_another_error_than_a_missing_feature_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: t.Any, flags: int, *arguments: t.Any, **options: t.Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real_open(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=r"Read-only file system\. Set directory to one that is not mounted read-only"):
        DirectoryStore(str(tmp_path)).start_upload(KEY, 10, {})


# What retention needs


def test_a_deep_listing_holds_what_is_in_folders(store: DirectoryStore, tmp_path: Path) -> None:
    for name in (KEY, f"{KEY}.tests/1.json", f"{KEY}.tests/deep/2.json", "other/1.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / f"{KEY}.link").symlink_to(tmp_path)
    assert [found.key for found in store.list_objects("workon_")] == [KEY]
    assert [found.key for found in store.list_objects("workon_", deep=True)] == [KEY, f"{KEY}.tests/1.json", f"{KEY}.tests/deep/2.json"]
    assert [found.key for found in store.list_objects("other/", deep=True)] == ["other/1.json"]
    assert store.list_objects("nowhere/", deep=True) == []


def test_an_archive_shows_which_backup_it_belongs_to(store: DirectoryStore, tmp_path: Path) -> None:
    upload = store.start_upload(KEY, 10, {"backup-id": "4f9d"})
    send(upload, b"data")
    upload.complete("")
    (tmp_path / "foreign.dump").write_bytes(b"data")
    pruner = store.pruner()
    try:
        os.setxattr(tmp_path / "foreign.dump", "user.test", b"x")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    assert pruner.backup_id(KEY) == "4f9d"
    assert pruner.backup_id("foreign.dump") is None
    assert pruner.backup_id("missing.dump") is None


def test_an_archive_can_be_written_where_there_are_no_attributes(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: t.Any) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "setxattr", refuse)
    upload = store.start_upload(KEY, 10, {"backup-id": "4f9d"})
    send(upload, b"data")
    upload.complete("")
    assert store.read(KEY) == b"data"
    assert store.pruner().backup_id(KEY) is None


def test_many_are_deleted_and_each_failure_is_told(store: DirectoryStore, tmp_path: Path) -> None:
    records = f"{KEY}.tests/1.json"
    (tmp_path / f"{KEY}.tests").mkdir()
    for name in (KEY, records):
        (tmp_path / name).write_bytes(b"x")
    # A folder in the place of a file cannot be unlinked.
    (tmp_path / "folder.dump").mkdir()
    failures = store.pruner().delete([KEY, "folder.dump", "missing.dump", records])
    assert list(failures) == ["folder.dump"]
    assert "failed" in failures["folder.dump"]
    assert names(tmp_path) == ["folder.dump"]


def test_only_a_folder_of_records_goes_with_what_was_in_it(tmp_path: Path) -> None:
    (tmp_path / "p" / "deep").mkdir(parents=True)
    (tmp_path / "p" / "deep" / "1.json").write_bytes(b"x")
    assert DirectoryStore(str(tmp_path), "p/deep").pruner().delete(["p/deep/1.json"]) == {}
    assert names(tmp_path) == ["p", "p/deep"]


def test_an_unfinished_file_is_thrown_away(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / f".{KEY}.ab.partial").write_bytes(b"x")
    (unfinished,) = store.list_unfinished("workon_")
    store.pruner().abort(unfinished)
    assert names(tmp_path) == []
    store.pruner().abort(unfinished)


def test_a_directory_hides_and_locks_nothing(store: DirectoryStore) -> None:
    pruner = store.pruner()
    assert (pruner.versioned, pruner.lock(KEY), pruner.list_hidden(""), pruner.purge([])) == (False, None, [], {})
