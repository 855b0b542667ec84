# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Make a backup of an archive that somebody else put into the store: read all of it, then write the manifest that it lacks."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import typing as t
import uuid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.adoption import Adoption, adopted_manifest, content_time, name_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, ProgramError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, dump_manifest, load_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import ContentsReader, Decoder, Redact

_BEGINNING = b"PGDMP"


@dataclasses.dataclass(frozen=True)
class AdoptionPlan:
    """The manifest to write; ``adopted`` is False where the archive has one already, which then is this."""

    manifest: Manifest
    address: str
    adopted: bool


def plan_adoption(key: str, adoption: Adoption, store: Store, clients: t.Sequence[Client], now: dt.datetime, redact: Redact) -> AdoptionPlan:
    """Read the whole archive and return what its manifest would be."""
    store.probe(store.prefix, write=False)
    relative = key.removeprefix(store.prefix)
    listed = {stored.key: stored for stored in store.list_objects(relative)}
    stored = listed.get(store.prefix + relative)
    if stored is None:
        raise BackupError(f"There is no {store.address(store.prefix + relative)}. Set key to the key of an archive in the store.")
    parsed = name_of(stored, store.prefix)
    if naming.manifest_key(stored.key) in listed:
        # Whoever it was that wrote it, manifests are never rewritten; one that cannot be read is refused here.
        return AdoptionPlan(load_manifest(store.read(naming.manifest_key(stored.key)), stored.key), store.address(stored.key), adopted=False)
    taken = content_time(stored, parsed, adoption.taken_at, now)
    if not clients:
        raise ProgramError("No pg_restore was found on this host, so the archive cannot be decoded. Install a PostgreSQL client, or set pg_bin_dir.")
    # The newest reads what all older ones have written.
    contents, sequences, sha256 = _read(stored, store, max(clients, key=lambda client: client.major), redact)
    manifest = adopted_manifest(stored, parsed, adoption, contents, sequences, backup_id=str(uuid.uuid4()), sha256=sha256, taken=taken, now=now)
    return AdoptionPlan(manifest, store.address(stored.key), adopted=True)


def carry_out(plan: AdoptionPlan, store: Store) -> None:
    """Write the manifest, with which the archive becomes a backup."""
    if plan.adopted:
        # Finds out whether the store knows conditional writes.
        store.probe(naming.manifest_key(plan.manifest.key), write=True)
        store.put(naming.manifest_key(plan.manifest.key), dump_manifest(plan.manifest), "application/json")


def _read(stored: StoredObject, store: Store, client: Client, redact: Redact) -> tuple[ArchiveContents, dict[str, dict[str, t.Any]], str]:
    """Hash and decode the archive to its end; return its table of contents, its sequence values and its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as children:
        contents = ContentsReader(client, redact)
        children.callback(contents.close)
        decoder = Decoder(client, redact)
        children.callback(decoder.close)
        try:
            for chunk in store.stream(stored.key):
                if size == 0 and not chunk.startswith(_BEGINNING):
                    raise VerificationError("It does not begin like an archive in pg_dump's custom format.")
                digest.update(chunk)
                size += len(chunk)
                contents.write(memoryview(chunk))
                decoder.write(memoryview(chunk))
            decoder.finish()
            found, sequences = contents.finish()
        except VerificationError as error:
            raise VerificationError(
                f"{store.address(stored.key)} was not adopted. {error.message} Only archives that pg_restore can read can become backups."
            ) from error
    if size != stored.size:
        raise VerificationError(f"{store.address(stored.key)} was not adopted: it was listed with {stored.size} bytes and {size} were read. Run again.")
    return found, sequences, digest.hexdigest()
