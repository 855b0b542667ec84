# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What every store can do: the port that workflows work with. S3 and directories implement it."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject, UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.versions import HiddenVersion, ObjectLock


@dataclasses.dataclass(frozen=True)
class StoreFacts:
    """What a probe of the store found.

    ``conditional_writes`` says what became of ``If-None-Match: *``. ``clock_skew`` is the store's clock minus ours in seconds (None: it has none).
    ``encryption`` is what the store shows for a probe object. ``notes`` are sentences for the result.
    """

    kind: t.Literal["s3", "directory"]
    location: str
    writable: bool
    conditional_writes: t.Literal["supported", "ignored", "rejected"]
    clock_skew: float | None
    encryption: str | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "notes": list(self.notes)}


class Part(t.Protocol):
    """A buffer of one part, filled from its beginning."""

    view: memoryview


class Upload(t.Protocol):
    """An object on its way into a store: invisible until it is completed."""

    part_size: int

    def next_part(self) -> Part:
        """Return a free buffer, waiting while all of them are on their way."""

    def send(self, part: t.Any, length: int) -> None:
        """Hand over the first ``length`` bytes of a part of this upload; only the last part may be short."""

    def cancel(self) -> None:
        """Make whoever waits for a buffer fail, and try nothing again; safe from another thread."""

    def complete(self, sha256: str) -> dict[str, t.Any]:
        """Make the object visible under its key, unless that exists; return what the store shows of its encryption."""

    def abort(self) -> None:
        """Throw away everything sent."""


class Pruner(t.Protocol):
    """What a store offers to retention beyond reading it. Whoever deletes many objects learns what became of each; nothing is raised half-way.

    ``versioned`` says whether deletions only hide (None: it may not be asked), ``batch_delete`` what became of deleting many at a time
    (None: not tried).
    """

    versioned: bool | None
    batch_delete: t.Literal["supported", "rejected"] | None

    def backup_id(self, key: str) -> str | None:
        """Return the id of the backup that an object says it belongs to; None also where these keys may not look."""

    def lock(self, key: str, version_id: str | None = None) -> ObjectLock | None:
        """Return what forbids to delete the object, or None where nothing is set."""

    def delete(self, keys: t.Sequence[str]) -> dict[str, str]:
        """Remove objects; return a sentence for each that could not be."""

    def abort(self, upload: UnfinishedUpload) -> None:
        """Throw away an unfinished upload; one that is not there is no error."""

    def list_hidden(self, starts_with: str) -> list[HiddenVersion]:
        """Return every version, and every delete marker, of the objects that a delete marker hides."""

    def read_hidden(self, version: HiddenVersion) -> bytes:
        """Return a small object that is hidden."""

    def purge(self, versions: t.Sequence[HiddenVersion]) -> dict[str, str]:
        """Remove versions for good; return a sentence for each key of which one could not be."""


class Store(t.Protocol):
    """A bucket under a prefix, or a directory."""

    location: str
    prefix: str

    def address(self, key: str) -> str:
        """Return where a person finds the object."""

    def probe(self, key: str, *, write: bool) -> StoreFacts:
        """Find out what the store honours; with ``write`` also that the key could be written, removing every trace."""

    def exists(self, key: str) -> bool:
        """Say whether there is an object of this key."""

    def list_objects(self, starts_with: str = "", *, deep: bool = False) -> list[StoredObject]:
        """Return every object directly under the prefix (``deep``: in its folders too) whose name starts so, or fail."""

    def list_unfinished(self, starts_with: str = "") -> list[UnfinishedUpload]:
        """Return the uploads that were neither completed nor aborted."""

    def read(self, key: str) -> bytes:
        """Return a small object."""

    def stream(self, key: str) -> t.Iterator[bytes]:
        """Return an object piece by piece."""

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Store a small object, never overwriting one."""

    def start_upload(self, key: str, part_size: int, metadata: t.Mapping[str, str]) -> Upload:
        """Begin an object that becomes visible only when it is complete."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def pruner(self) -> Pruner:
        """Return what retention needs, after a look at what the store does with deletions."""
