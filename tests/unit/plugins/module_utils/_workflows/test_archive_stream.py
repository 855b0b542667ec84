# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pieces around the stream: what runs beside it, and what real pg_restore makes of what is no archive."""

from __future__ import annotations

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
    task.join()
    assert task.result() is None
    assert not task.failed


def test_joining_waits_for_the_end_and_keeps_the_result() -> None:
    task = BackgroundTask("proof")
    task.start(lambda: "kept")
    task.join()
    assert task.result() == "kept"


# Through real pg_restore

installed = find_clients(None)
needs_client = pytest.mark.skipif(not installed, reason="no PostgreSQL client programs on this host")


@needs_client
@pytest.mark.parametrize("content", [b"", b"PGDMP", b"PGDMP\x01\x0e\x00\x04\x08\x01" + bytes(10), b"-- SQL\n" * 1000, bytes(5_000_000)])
def test_what_pg_restore_cannot_read_to_its_end_is_no_archive(content: bytes) -> None:
    decoder = Decoder(installed[0], same)
    try:
        with pytest.raises(VerificationError, match=r"^The archive could not be decoded: pg_restore .*\. Nothing was published"):
            decoder.write(memoryview(content))
            decoder.finish()
    finally:
        decoder.close()


def stream(script: str, tmp_path: Path, contents: list[t.Any]) -> StreamedArchive:
    """Send what a shell prints through the whole pass into a directory."""
    upload = DirectoryStore(str(tmp_path)).start_upload(KEY, 1000, {})
    dump = Program(["/bin/sh", "-c", script], redact=same, stdout=subprocess.PIPE)
    try:
        return stream_archive(
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
    finally:
        dump.close()
        upload.abort()


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
