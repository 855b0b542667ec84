# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The manifest of an archive that somebody else made: what the archive says of itself, and null for what nobody knows any more."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import canonical_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, format_time, parse_time

_UNKNOWN = (
    "database",
    "extensions",
    "large_objects",
    "omitted",
    "prisma",
    "roles",
    "selection",
    "source.database_oid",
    "source.database_size",
    "source.host",
    "source.in_recovery",
    "source.port",
    "source.role",
    "source.server_version_num",
    "source.system_identifier",
    "source.tls",
    "tables",
)
_WARNING = "Somebody else made this archive. It was decoded to its end, but what should be in its tables is not known, so a restore cannot be compared with it."
# A key written in a local time and an upload that took its time still agree.
_AGREEMENT = dt.timedelta(hours=24)


class Adoption(t.NamedTuple):
    """What the user says of the archive."""

    taken_at: str | None
    environment: str | None
    reason: str
    pinned: bool
    labels: dict[str, str]


def name_of(stored: StoredObject, prefix: str) -> naming.ArchiveName:
    """Return the name and time in an archive's key, or raise a sentence: the catalog knows backups by their keys."""
    parsed = naming.parse_archive_key(stored.key, prefix)
    if parsed is None:
        raise BackupError(
            f"The key {stored.key} is not of the form <name>_YYYY-MM-DD_HHMMSS.dump directly under the prefix, by which backups are found. "
            "Copy the object to such a key, and set key to that."
        )
    return parsed


def content_time(stored: StoredObject, parsed: naming.ArchiveName, taken_at: str | None, now: dt.datetime) -> dt.datetime:
    """Return a moment that what is in the archive is not younger than; without the user's word, only where key and store agree about it."""
    if taken_at is not None:
        stated = parse_time(taken_at, "taken_at")
        if stated > now:
            raise BackupError(f"taken_at is {taken_at}, which is in the future. Set it to when the archive was made.")
        return stated
    if abs(stored.modified - parsed.started) > _AGREEMENT:
        raise BackupError(
            f"The key of {stored.key} says {format_time(parsed.started)} and the store {format_time(stored.modified)}, so when it was made is not known. "
            "Set taken_at to the time that its content is of."
        )
    return max(parsed.started, stored.modified)


def adopted_manifest(
    stored: StoredObject,
    parsed: naming.ArchiveName,
    adoption: Adoption,
    contents: ArchiveContents,
    sequences: t.Mapping[str, dict[str, t.Any]],
    *,
    backup_id: str,
    sha256: str,
    taken: dt.datetime,
    now: dt.datetime,
) -> Manifest:
    """Return the manifest of an archive that was read to its end."""
    return Manifest(
        backup_id=backup_id,
        key=stored.key,
        name=parsed.name,
        reason=adoption.reason,
        pinned=adoption.pinned,
        labels=adoption.labels,
        environment=adoption.environment,
        started_at=format_time(parsed.started),
        snapshot_at=format_time(taken),
        finished_at=format_time(taken),
        source={
            "host": None,
            "port": None,
            "database": contents.database or None,
            "database_oid": None,
            "database_size": None,
            "system_identifier": None,
            "server_version": _first_word(contents.server_version),
            "server_version_num": None,
            "in_recovery": None,
            "role": None,
            "tls": None,
        },
        client={"version": _first_word(contents.client_version)},
        archive={
            "format": "custom",
            "version": contents.archive_version,
            "compression": _compression(contents.compression),
            "entries": len(contents.entries),
            "size": stored.size,
            "sha256": sha256,
        },
        selection={"schemas": None, "exclude_schemas": None, "exclude_tables": None, "exclude_table_data": None},
        fingerprint={"recipe": None, "method": "none", "server_version": None},
        tables={},
        sequences={canonical_name(name): value for name, value in sequences.items()},
        large_objects={"count": None if contents.large_objects else 0, "content": None},
        extensions={},
        roles=[],
        database={},
        prisma=None,
        globals=None,
        omitted=[],
        warnings=[_WARNING],
        encryption={"client_side": None, "server_side": None, "kms_key_id": None},
        verification={"level": "decode", "at": format_time(now)},
        adopted={"at": format_time(now), "unknown": list(_UNKNOWN)},
    )


def _first_word(text: str) -> str | None:
    """Return the version without the name of its package."""
    return text.partition(" ")[0] or None


def _compression(header: str) -> str:
    """Turn what pg_restore says of compression into the words of our own manifests; before 16 it is a level of gzip alone."""
    if header in ("0", ""):
        return "none"
    if header == "-1":
        return "gzip"
    return f"gzip:{header}" if header.isdigit() else header
