# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pieces around the stream: what runs beside it, and what real pg_restore makes of what is no archive."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.directory import DirectoryStore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.programs import Program, find_clients
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import (
    BackgroundTask,
    Decoder,
    StreamedArchive,
    stream_archive,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import TimeLimit, silent
from ansible_collections.workon.postgresql_backup.tests.unit.archives import ARCHIVE, MISSIONS_OID
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY

PATIENCE = 30


def same(text: str) -> str:
    return text


# Beside the stream


def test_a_task_runs_beside_and_hands_over_its_result() -> None:
    task, meanwhile = BackgroundTask("proof"), threading.Event()
    task.start(lambda: meanwhile.wait(PATIENCE) and 42)
    meanwhile.set()
    assert task.result() == 42
    assert not task.failed


@pytest.mark.parametrize("error", [BackupError("no"), KeyError("odd"), KeyboardInterrupt()])
def test_a_task_s_error_is_raised_by_whoever_asks_for_its_result(error: BaseException) -> None:
    task = BackgroundTask("proof")

    def fail() -> t.NoReturn:
        raise error

    task.start(fail)
    with pytest.raises(type(error)) as raised:
        task.result()
    assert raised.value is error
    assert task.failed


def test_a_task_that_never_started_has_no_result_and_is_waited_for_by_nobody() -> None:
    task = BackgroundTask("proof")
    assert not task.running(0)
    assert task.result() is None
    assert not task.failed


def test_joining_waits_for_the_end_and_keeps_the_result() -> None:
    task = BackgroundTask("proof")
    task.start(lambda: "kept")
    assert not task.running(60)
    assert task.result() == "kept"


# Through real pg_restore

installed = find_clients(None)
needs_client = pytest.mark.skipif(not installed, reason="no PostgreSQL client programs on this host")


@needs_client
@pytest.mark.parametrize("content", [b"", b"PGDMP", b"PGDMP\x01\x0e\x00\x04\x08\x01" + bytes(10), b"-- SQL\n" * 1000, bytes(5_000_000)])
def test_what_pg_restore_cannot_read_to_its_end_is_no_archive(content: bytes) -> None:
    decoder = Decoder(installed[0], same)
    try:
        with pytest.raises(VerificationError, match=r"^The archive could not be decoded: pg_restore .*\.$"):
            decoder.write(memoryview(content))
            decoder.finish()
    finally:
        decoder.close()


def stream(script: str, tmp_path: Path, contents: list[t.Any], part_size: int = 1000) -> StreamedArchive:
    """Send what a shell prints through the whole pass into a directory."""
    upload = DirectoryStore(str(tmp_path)).start_upload(KEY, part_size, {})
    dump = Program(["/bin/sh", "-c", script], redact=same, stdout=subprocess.PIPE)
    try:
        streamed = stream_archive(
            dump,
            upload,
            installed[0],
            decode=True,
            redact=same,
            limit=TimeLimit(None),
            progress=silent,
            estimated_size=0,
            on_contents=contents.append,
        )
        upload.complete(streamed.sha256)
        return streamed
    finally:
        dump.close()
        upload.abort()


def given(tmp_path: Path, content: bytes) -> tuple[str, Path]:
    """Return the command that prints the content, and an empty store."""
    (tmp_path / "given").write_bytes(content)
    (tmp_path / "store").mkdir()
    return f"cat {tmp_path}/given", tmp_path / "store"


@needs_client
@pytest.mark.parametrize("part_size", [100, 1000, len(ARCHIVE), len(ARCHIVE) + 1, 1_000_000])
def test_an_archive_goes_through_whole_with_all_that_is_known_of_it(tmp_path: Path, part_size: int) -> None:
    script, folder = given(tmp_path, ARCHIVE)
    contents: list[t.Any] = []
    streamed = stream(script, folder, contents, part_size)
    assert (folder / KEY).read_bytes() == ARCHIVE
    assert (streamed.size, streamed.sha256) == (len(ARCHIVE), hashlib.sha256(ARCHIVE).hexdigest())
    assert streamed.contents.table_data == {MISSIONS_OID}
    assert streamed.sequences == {"public.missions_id_seq": {"last_value": 60, "is_called": True}}
    assert contents == [streamed.contents]


ROWS = ARCHIVE.index(b"\x78\x01")


@needs_client
@pytest.mark.parametrize("length", [1, 20, 1000, ROWS, ROWS + 1, len(ARCHIVE) - 20, len(ARCHIVE) - 1])
def test_an_archive_cut_short_anywhere_is_never_published(tmp_path: Path, length: int) -> None:
    script, folder = given(tmp_path, ARCHIVE[:length])
    with pytest.raises(BackupError, match=r"The archive"):
        stream(script, folder, [])
    assert list(folder.iterdir()) == []


@needs_client
def test_rows_that_cannot_be_decoded_are_never_published(tmp_path: Path) -> None:
    damaged = bytearray(ARCHIVE)
    damaged[ROWS + 40] ^= 0xFF
    script, folder = given(tmp_path, bytes(damaged))
    contents: list[t.Any] = []
    with pytest.raises(VerificationError, match="could not be decoded"):
        stream(script, folder, contents)
    assert contents[0].table_data == {MISSIONS_OID}
    assert list(folder.iterdir()) == []


@needs_client
@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'sh: error: no permission' >&2; exit 1", "The database was not dumped: sh ended with status 1: error: no permission. Nothing was published."),
        ("kill -TERM $$", r"The database was not dumped: sh was ended by signal 15 \(SIGTERM\)"),
        ("exit 0", "The archive's table of contents could not be read: pg_restore ended with status 1"),
        ("head -c 3000000 /dev/zero", "The archive('s table of contents)? could not be (read|decoded): pg_restore ended with status 1"),
    ],
)
def test_what_is_not_dumped_whole_is_never_published(tmp_path: Path, script: str, sentence: str) -> None:
    contents: list[t.Any] = []
    with pytest.raises(BackupError, match=sentence):
        stream(script, tmp_path, contents)
    assert contents == []
    assert list(tmp_path.iterdir()) == []


@needs_client
def test_a_whole_archive_of_a_dump_that_failed_is_never_published(tmp_path: Path) -> None:
    script, folder = given(tmp_path, ARCHIVE)
    with pytest.raises(BackupError, match="The database was not dumped: sh ended with status 3"):
        stream(f"{script}; exit 3", folder, [])
    assert list(folder.iterdir()) == []


@needs_client
def test_a_pass_whose_time_is_over_fails_with_the_limit_s_sentence(tmp_path: Path) -> None:
    passed = threading.Event()
    upload = DirectoryStore(str(tmp_path)).start_upload(KEY, 1000, {})
    with TimeLimit(0.001) as limit:  # type: ignore[arg-type]
        limit.on_expiry(passed.set)
        assert passed.wait(PATIENCE)
        dump = Program(["/bin/sh", "-c", "exec sleep 1000"], redact=same, stdout=subprocess.PIPE)
        limit.on_expiry(dump.kill)
        with pytest.raises(BackupError, match="did not end within timeout"):
            stream_archive(
                dump, upload, installed[0], decode=True, redact=same, limit=limit, progress=silent, estimated_size=0, on_contents=lambda _found: None
            )
        dump.close()
    upload.abort()
    assert list(tmp_path.iterdir()) == []
