# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""One pass over an archive: from pg_dump's output to a hash, a decoder, a reader of its contents, and a store; no file in between."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import queue
import subprocess
import threading
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents, parse_list, parse_sequence_values
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import (
    pg_restore_decode_command,
    pg_restore_entries_command,
    pg_restore_list_command,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.programs import Program, list_file, write_all
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Upload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit

Redact = t.Callable[[str], str]

# Larger pipes mean fewer switches between the processes; 1 MiB is what an unprivileged user may ask for.
_PIPE_SIZE = 1024 * 1024
_READ_SIZE = 256 * 1024


@dataclasses.dataclass(frozen=True)
class StreamedArchive:
    """What one pass found: bytes, hash, the archive's own table of contents and sequence values."""

    size: int
    sha256: str
    contents: ArchiveContents
    sequences: dict[str, dict[str, t.Any]]
    decoded: bool


class ContentsReader:
    """Reads an archive's table of contents from its first bytes while the rest is still being made.

    pg_restore stops reading once it has the table of contents. Those bytes are kept until the sequence values have been read from them too.
    """

    def __init__(self, client: Client, redact: Redact) -> None:
        self._client, self._redact = client, redact
        self._lister = Program(pg_restore_list_command(client), redact=redact, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._listing = bytearray()
        self._reader = threading.Thread(target=self._read_listing, name="table of contents", daemon=True)
        self._reader.start()
        self._head = bytearray()
        self._listening = True

    def write(self, chunk: memoryview) -> None:
        if not self._listening:
            return
        self._head += chunk
        try:
            write_all(self._lister.stdin, chunk)
        except BrokenPipeError:
            self._listening = False

    @property
    def head(self) -> bytes:
        """The archive's first bytes, the whole table of contents among them once ``finish`` has returned."""
        return bytes(self._head)

    @property
    def done(self) -> bool:
        """Say whether the table of contents is complete."""
        return not self._listening or not self._reader.is_alive()

    def finish(self) -> tuple[ArchiveContents, dict[str, dict[str, t.Any]]]:
        """Return the table of contents and the sequence values; call it once ``done``, or at the archive's end."""
        self._listening = False
        with contextlib.suppress(OSError):
            self._lister.stdin.close()
        status = self._lister.wait()
        self._reader.join()
        if status != 0:
            raise VerificationError(f"The archive's table of contents could not be read: {self._lister.failure(status)}.")
        contents = parse_list(self._listing.decode("utf-8", "replace"))
        return contents, self._read_sequences(contents)

    def close(self) -> None:
        self._lister.close()

    def _read_listing(self) -> None:
        while chunk := self._lister.stdout.read(65536):
            self._listing += chunk
        # The listing is complete: whoever still writes must not wait for a reader that has what it wants.
        self._listening = False

    def _read_sequences(self, contents: ArchiveContents) -> dict[str, dict[str, t.Any]]:
        """Have pg_restore print the values of the sequences: they are part of the table of contents."""
        if not contents.sequence_lines:
            return {}
        descriptor = list_file(contents.sequence_lines)
        try:
            program = Program(
                pg_restore_entries_command(self._client, f"/dev/fd/{descriptor}"),
                redact=self._redact,
                descriptors=(descriptor,),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            try:
                feeder = threading.Thread(target=_feed, args=(program.stdin, bytes(self._head)), daemon=True)
                feeder.start()
                sql = b"".join(iter(lambda: program.stdout.read(65536), b""))
                status = program.wait()
                feeder.join()
            finally:
                program.close()
        finally:
            os.close(descriptor)
        if status != 0:
            raise VerificationError(f"The sequence values could not be read from the archive: {program.failure(status)}.")
        return parse_sequence_values(sql.decode("utf-8", "replace"), len(contents.sequence_lines))


class Decoder:
    """A pg_restore that reads the whole archive and throws its SQL away: an archive that it cannot read is no backup."""

    def __init__(self, client: Client, redact: Redact) -> None:
        self._program = Program(pg_restore_decode_command(client), redact=redact, stdin=subprocess.PIPE)
        _enlarge(self._program.stdin)

    def write(self, chunk: memoryview) -> None:
        try:
            write_all(self._program.stdin, chunk)
        except BrokenPipeError:
            self.finish()
            raise VerificationError("pg_restore stopped reading the archive before its end.") from None

    def finish(self) -> None:
        """Wait for the verdict; raise when the archive could not be decoded to its end."""
        with contextlib.suppress(OSError):
            self._program.stdin.close()
        status = self._program.wait()
        if status != 0:
            raise VerificationError(f"The archive could not be decoded: {self._program.failure(status)}.")

    def close(self) -> None:
        self._program.close()

    def kill(self) -> None:
        self._program.kill()


def stream_archive(
    dump: Program,
    upload: Upload,
    client: Client,
    *,
    decode: bool,
    redact: Redact,
    limit: TimeLimit,
    progress: Progress,
    estimated_size: int,
    on_contents: t.Callable[[ArchiveContents], None],
) -> StreamedArchive:
    """Send pg_dump's output to the store while it is hashed and decoded; return only if all of it held.

    ``on_contents`` is called once, as soon as the table of contents is known: pg_dump then holds locks on all that it lists, until it ends.
    """
    digest = hashlib.sha256()
    size = 0
    found: tuple[ArchiveContents, dict[str, dict[str, t.Any]]] | None = None
    with contextlib.ExitStack() as children:
        contents = ContentsReader(client, redact)
        children.callback(contents.close)
        decoder = Decoder(client, redact) if decode else None
        if decoder:
            children.callback(decoder.close)
            limit.on_expiry(decoder.kill)
        _enlarge(dump.stdout)
        ended = False
        while not ended:
            part = upload.next_part()
            filled = 0
            while filled < upload.part_size and not ended:
                count = os.readv(dump.stdout.fileno(), [part.view[filled : filled + _READ_SIZE]])
                ended = count == 0
                chunk = part.view[filled : filled + count]
                filled += count
                digest.update(chunk)
                contents.write(chunk)
                if decoder and count:
                    decoder.write(chunk)
                if found is None and contents.done and count:
                    found = contents.finish()
                    on_contents(found[0])
            limit.check()
            if filled:
                upload.send(part, filled)
            size += filled
            progress("archive", size, estimated_size)
        status = dump.wait()
        limit.check()
        if status != 0:
            raise BackupError(f"The database was not dumped: {dump.failure(status)}. Nothing was published.")
        if found is None:
            found = contents.finish()
            on_contents(found[0])
        if decoder:
            decoder.finish()
    return StreamedArchive(size, digest.hexdigest(), found[0], found[1], decode)


class BackgroundTask:
    """One function running beside the stream; its result or its error is handed over at the end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._outcome: queue.SimpleQueue[tuple[t.Any, BaseException | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.failed = False

    def start(self, function: t.Callable[[], t.Any]) -> None:
        self._thread = threading.Thread(target=self._run, args=(function,), name=self._name, daemon=True)
        self._thread.start()

    def running(self, seconds: float) -> bool:
        """Wait that long for the end, and say whether it has not come."""
        if self._thread is None:
            return False
        self._thread.join(seconds)
        return self._thread.is_alive()

    def result(self) -> t.Any:
        """Wait for the end and return what the function returned, or raise what it raised."""
        if self._thread is None:
            return None
        value, error = self._outcome.get()
        if error is not None:
            raise error
        return value

    def _run(self, function: t.Callable[[], t.Any]) -> None:
        try:
            self._outcome.put((function(), None))
        except BaseException as error:  # noqa: BLE001 (it is raised by whoever asks for the result)
            self.failed = True
            self._outcome.put((None, error))


def _feed(stream: t.IO[bytes], content: bytes) -> None:
    """Give a program its input until it has enough."""
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(content)


def _enlarge(stream: t.IO[bytes]) -> None:
    set_size = getattr(fcntl, "F_SETPIPE_SZ", 1031)
    with contextlib.suppress(OSError):
        fcntl.fcntl(stream.fileno(), set_size, _PIPE_SIZE)
