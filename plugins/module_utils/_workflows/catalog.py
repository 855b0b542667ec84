# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Look at the backups of a store: list, choose, and check stored bytes against manifests. Nothing here writes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import (
    Backup,
    Catalog,
    StoredObject,
    manifests_to_read,
    read_catalog,
    resolve_restore_point,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, ProgramError, StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import Decoder, Redact

_READERS = 6
_GONE = 404

_Item = t.TypeVar("_Item")
_Found = t.TypeVar("_Found")


@dataclasses.dataclass(frozen=True)
class CatalogRequest:
    """Which backups to return and how closely to look at them; None means all. ``option`` is what the module calls the restore point."""

    name: str | None
    restore_point: str | None
    limit: int | None
    verify: t.Literal["none", "size", "hash", "decode"]
    option: str = "restore_point"


def inspect_catalog(request: CatalogRequest, store: Store, clients: t.Sequence[Client], redact: Redact) -> tuple[Catalog, list[Backup]]:
    """Return a store's catalog and the backups asked for, looked at as closely as asked.

    A restore point that does not hold what its manifest says is an error; in a list the verdict stands beside each backup.
    """
    if request.limit is not None and request.limit < 0:
        raise BackupError(f"limit is {request.limit}; it is the number of backups to return. Set it to 0 or more, or leave it out.")
    store.probe(store.prefix, write=False)
    catalog = load_catalog(store, naming.check_name(request.name) if request.name else None)
    if request.restore_point is None:
        return catalog, [_looked_at(backup, request, store, clients, redact) for backup in catalog.backups[: request.limit]]
    chosen = _looked_at(resolve_restore_point(catalog, request.restore_point, store.prefix, option=request.option), request, store, clients, redact)
    if not chosen.valid:
        raise VerificationError(
            f"The backup {chosen.key} is not valid: {' '.join(chosen.problems)} Set {request.option} to another backup.", backup=chosen.as_dict()
        )
    return catalog, [chosen]


def _looked_at(backup: Backup, request: CatalogRequest, store: Store, clients: t.Sequence[Client], redact: Redact) -> Backup:
    # Nothing to do for "none" and "size": the catalog has compared the sizes already.
    if request.verify == "hash" or request.verify == "decode":
        return verify_backup(backup, store, request.verify, clients, redact)
    return backup


def load_catalog(store: Store, name: str | None, objects: t.Sequence[StoredObject] | None = None) -> Catalog:
    """Return what a store has of this name (of all names when None). ``objects`` is a complete listing of it where there is one already."""
    starts_with = f"{name}_" if name else ""
    if objects is None:
        objects = store.list_objects(starts_with)
    manifests = read_manifests(store, manifests_to_read(objects, store.prefix, name))
    return read_catalog(objects, manifests, store.list_unfinished(starts_with), prefix=store.prefix, name=name)


def read_manifests(store: Store, keys: t.Sequence[str]) -> dict[str, bytes]:
    """Return many small objects by key, without those that have gone since they were listed."""
    contents = side_by_side(lambda key: _read_or_none(store, key), keys)
    return {key: content for key, content in zip(keys, contents, strict=True) if content is not None}


def side_by_side(function: t.Callable[[_Item], _Found], items: t.Sequence[_Item]) -> list[_Found]:
    """Ask a store many things at a time: in turn, a year of backups would take as long as its sum of round trips."""
    with concurrent.futures.ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(function, items))


def _read_or_none(store: Store, key: str) -> bytes | None:
    """Return an object, or None where it has gone since it was listed. Any other error is the whole catalog's."""
    try:
        return store.read(key)
    except StoreError as error:
        if error.details.get("store_status") != _GONE:
            raise
        return None


def verify_backup(backup: Backup, store: Store, level: t.Literal["hash", "decode"], clients: t.Sequence[Client], redact: Redact) -> Backup:
    """Return the backup with what a look at its stored bytes found added to its problems."""
    if not backup.manifest or not backup.valid:
        return backup
    problems = []
    decoder = Decoder(_decoding_client(backup, clients), redact) if level == "decode" else None
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in store.stream(backup.key):
            digest.update(chunk)
            size += len(chunk)
            if decoder:
                decoder.write(memoryview(chunk))
        if decoder:
            decoder.finish()
    except StoreError as error:
        if error.details.get("store_status") != _GONE:
            raise
        problems.append(error.message)
    except VerificationError as error:
        problems.append(error.message)
    finally:
        if decoder:
            decoder.close()
    if not problems and (size, digest.hexdigest()) != (backup.manifest.size, backup.manifest.sha256):
        problems.append(f"The stored archive's SHA-256 is not the one in its manifest ({size} bytes read): its bytes have changed.")
    return dataclasses.replace(backup, problems=(*backup.problems, *problems))


def _decoding_client(backup: Backup, clients: t.Sequence[Client]) -> Client:
    """Return a client that can read the archive: as new as the one that made it, or newer."""
    made_by = 0
    if backup.manifest:
        with contextlib.suppress(ValueError):
            made_by = int(str(backup.manifest.client.get("version")).partition(".")[0])
    able = [client for client in clients if client.major >= made_by]
    if not able:
        raise ProgramError(
            f"The archive {backup.key} was made by pg_dump {made_by}, and no pg_restore of that version or newer was found. "
            f"Install postgresql-client-{made_by}, set pg_bin_dir, or set verify to hash."
        )
    return min(able, key=lambda client: client.major)
