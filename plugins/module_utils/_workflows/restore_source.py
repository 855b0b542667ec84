# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The archive that a restore takes: found by what the user calls it, opened, and read to its end before anything is written anywhere."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import subprocess
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import HEADER_BYTES, ArchiveContents, oldest_reader
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive_sql import (
    ArchiveDemands,
    ArchivedSetting,
    database_settings,
    grants_among,
    ownership_statements,
    read_demands,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import passed_over, resolve_restore_point
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import pg_restore_database_command, pg_restore_definitions_command
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client, choose_restore_client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, load_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_script import ScriptReader
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import programs
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.spool import LocalFile, Spool
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import ContentsReader, Decoder, Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.catalog import load_catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit

StoreFor: t.TypeAlias = "t.Callable[[str | None, str | None, str], Store]"
"""Called as ``store_for(bucket, directory, prefix)``: another store, reached with the same keys."""

_Found = t.TypeVar("_Found")

_LOCAL = ("/", "./", "../", "~")
_S3 = "s3://"


@dataclasses.dataclass(frozen=True)
class Source:
    """A stored archive and what is known of it. ``local_path`` is set where it is a file of this host; without a manifest little can be proved.

    ``notes`` are sentences about how it was found.
    """

    key: str
    address: str
    size: int
    manifest: Manifest | None
    store: Store
    local_path: str | None
    notes: tuple[str, ...] = ()

    @property
    def backup_id(self) -> str:
        """The backup's own id; an archive without a manifest goes by its address."""
        return self.manifest.backup_id if self.manifest else f"the archive {self.address}"


@dataclasses.dataclass(frozen=True)
class OpenedArchive:
    """What an archive's beginning says: its table of contents, the values of sequences, what its definitions demand, and the client to read it with."""

    client: Client
    contents: ArchiveContents
    sequences: dict[str, dict[str, t.Any]]
    demands: ArchiveDemands
    head: bytes


@dataclasses.dataclass(frozen=True)
class VerifiedArchive:
    """An archive that was read to its end: hashed, decoded, and equal to its manifest where it has one."""

    size: int
    sha256: str


def find_source(wanted: str, name: str | None, store: Store | None, store_for: StoreFor) -> Source:
    """Return the archive meant by ``latest``, ``before:<time>``, a catalog key, ``s3://bucket/key`` or a path of this host."""
    if wanted.startswith(_S3):
        bucket, _slash, key = wanted[len(_S3) :].partition("/")
        if not bucket or not key:
            raise BackupError(f"backup is {wanted}, which names no object. Write it as s3://bucket/key.")
        folder, _slash, _base = key.rpartition("/")
        return _stored(key, store_for(bucket, None, folder))
    if wanted.startswith(_LOCAL):
        path = os.path.abspath(os.path.expanduser(wanted))
        return _stored(os.path.basename(path), store_for(None, os.path.dirname(path), ""))
    if store is None:
        raise BackupError(f"backup is {wanted}, which is looked for in a store, and no store is named. Set bucket or directory, or backup to a path.")
    facts = store.probe(store.prefix, write=False)
    catalog = load_catalog(store, naming.check_name(name) if name else None)
    backup = resolve_restore_point(catalog, wanted, store.prefix, option="backup")
    manifest = t.cast(Manifest, backup.manifest)
    address = store.address(backup.key)
    notes = tuple(passed_over(catalog, wanted, backup, store.prefix))
    return Source(backup.key, address, manifest.size, manifest, store, address if facts.kind == "directory" else None, notes)


def _stored(key: str, store: Store) -> Source:
    """Return an archive by its key, with the manifest beside it if there is one; a manifest that cannot be read is worse than none."""
    facts = store.probe(store.prefix, write=False)
    base = key.rpartition("/")[2]
    objects = {found.key: found for found in store.list_objects(base)}
    if key not in objects:
        raise StoreError(f"There is no archive {store.address(key)}. Check backup.")
    manifest = None
    if naming.manifest_key(key) in objects:
        manifest = load_manifest(store.read(naming.manifest_key(key)), key)
        if manifest.size != objects[key].size:
            raise VerificationError(
                f"The archive {store.address(key)} has {objects[key].size} bytes; its manifest records {manifest.size}. Set backup to another one."
            )
    address = store.address(key)
    return Source(key, address, objects[key].size, manifest, store, address if facts.kind == "directory" else None)


def open_archive(source: Source, server_major: int, installed: t.Sequence[Client], redact: Redact) -> OpenedArchive:
    """Read as much of an archive as its table of contents needs, and choose the client program by it."""
    chunks = source.store.stream(source.key)
    with contextlib.closing(t.cast("t.Generator[bytes, None, None]", chunks)):
        first = next(chunks, b"")
        oldest = max(oldest_reader(first[:HEADER_BYTES]), _made_by(source.manifest))
        client = choose_restore_client(oldest, server_major, installed)
        reader = ContentsReader(client, redact)
        try:
            with _about_the_archive(source):
                reader.write(memoryview(first))
                while not reader.done and (chunk := next(chunks, b"")):
                    reader.write(memoryview(chunk))
                contents, sequences = reader.finish()
        finally:
            reader.close()
    with _about_the_archive(source):
        demands = _from_definitions(client, reader.head, redact, read_demands)
    return OpenedArchive(client, contents, sequences, demands, reader.head)


def verify_archive(
    source: Source, opened: OpenedArchive, keep: Spool | LocalFile | None, *, redact: Redact, limit: TimeLimit, progress: Progress
) -> VerifiedArchive:
    """Read an archive to its end, keeping its bytes in ``keep``; raise unless it decodes and is what its manifest says."""
    digest, size, beginning = hashlib.sha256(), 0, bytearray()
    decoder = Decoder(opened.client, redact)
    limit.on_expiry(decoder.kill)
    try:
        with _about_the_archive(source):
            for chunk in source.store.stream(source.key):
                digest.update(chunk)
                size += len(chunk)
                decoder.write(memoryview(chunk))
                if keep is not None:
                    keep.write(chunk)
                if len(beginning) < len(opened.head):
                    beginning += chunk[: len(opened.head) - len(beginning)]
                progress("verify", size, source.size)
                limit.check()
            decoder.finish()
    finally:
        decoder.close()
    limit.check()
    found = VerifiedArchive(size, digest.hexdigest())
    if bytes(beginning) != opened.head:
        raise VerificationError(f"The archive {source.address} changed while it was read. Nothing was touched. Run again once nobody writes to it.")
    require_same_bytes(source, found)
    return found


def feed_again(source: Source, verified: VerifiedArchive, program: programs.Program, limit: TimeLimit) -> None:
    """Stream an archive into a program's standard input a second time, and raise unless the bytes are those that were verified."""
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in source.store.stream(source.key):
            digest.update(chunk)
            size += len(chunk)
            programs.write_all(program.stdin, memoryview(chunk))
            limit.check()
        if (size, digest.hexdigest()) != (verified.size, verified.sha256):
            raise VerificationError(f"The archive {source.address} changed between being verified and being loaded. Run again once nobody writes to it.")
    except BrokenPipeError:
        # The program has failed, and says why.
        return
    except BaseException:
        program.kill()
        raise
    program.stdin.close()


def require_same_bytes(source: Source, found: VerifiedArchive) -> None:
    """Raise unless an archive's bytes are those that its manifest records."""
    manifest = source.manifest
    if manifest and (found.size, found.sha256) != (manifest.size, manifest.sha256):
        raise VerificationError(
            f"The archive {source.address} is not what its manifest records: {found.size} bytes were read instead of {manifest.size}, "
            "or their SHA-256 differs. Its bytes have changed in the store. Nothing was touched. Set backup to another one."
        )


def _made_by(manifest: Manifest | None) -> int:
    version = str(manifest.client.get("version") or "") if manifest else ""
    major = version.partition(".")[0]
    return int(major) if major.isdigit() else 0


def mapped_ownership(opened: OpenedArchive, role_map: t.Mapping[str, str], redact: Redact) -> list[bytes]:
    """Return the archive's statements about owners and privileges with other roles in the place of its own."""
    return _from_definitions(opened.client, opened.head, redact, lambda items: ownership_statements(items, role_map))


def grants_among_existing(opened: OpenedArchive, roles: t.Collection[str], redact: Redact) -> list[bytes]:
    """Return the archive's grants that name only roles which the server has."""
    return _from_definitions(opened.client, opened.head, redact, lambda items: grants_among(items, roles))


def settings_in(opened: OpenedArchive, redact: Redact) -> list[ArchivedSetting]:
    """Return the settings of the archive's database, with values that the manifest does not hold."""
    return _from_definitions(opened.client, opened.head, redact, database_settings, with_database=True)


def _from_definitions(client: Client, head: bytes, redact: Redact, consume: t.Callable[[ScriptReader], _Found], *, with_database: bool = False) -> _Found:
    """Have pg_restore print the definitions, which are in the table of contents, and return what ``consume`` makes of them."""
    command = pg_restore_database_command if with_database else pg_restore_definitions_command
    with contextlib.closing(HeadFile(head)) as file:
        program = programs.Program(command(client, file.path), redact=redact, descriptors=(file.descriptor,), stdout=subprocess.PIPE)
        try:
            found = consume(ScriptReader(program.stdout.read, connects=with_database))
            status = program.wait()
        finally:
            program.close()
    if status != 0:
        raise VerificationError(f"The archive's definitions could not be read: {program.failure(status)}.")
    return found


class HeadFile:
    """An archive's first bytes as a file in memory: enough for everything that needs no rows."""

    def __init__(self, head: bytes) -> None:
        self.descriptor = programs.unnamed_file(head)

    @property
    def path(self) -> str:
        """The path for a program that was given the descriptor."""
        return f"/dev/fd/{self.descriptor}"

    def close(self) -> None:
        """Forget the file."""
        os.close(self.descriptor)


@contextlib.contextmanager
def _about_the_archive(source: Source) -> t.Iterator[None]:
    """Name the archive in what readers of archives say of it."""
    try:
        yield
    except VerificationError as error:
        raise VerificationError(
            f"The archive {source.address} is damaged. {error.message} Nothing was touched. Set backup to another one.", **error.details
        ) from error
