# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The backups of a store, judged from its listing and its manifests."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import (
    REGULAR_REASONS,
    Manifest,
    ManifestError,
    format_time,
    load_manifest,
    parse_time,
)


@dataclasses.dataclass(frozen=True)
class StoredObject:
    """One object of a complete listing: its key, bytes and the store's own time."""

    key: str
    size: int
    modified: dt.datetime

    def as_dict(self) -> dict[str, t.Any]:
        return {"key": self.key, "size": self.size, "modified": format_time(self.modified)}


@dataclasses.dataclass(frozen=True)
class UnfinishedUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    started: dt.datetime | None

    def as_dict(self) -> dict[str, t.Any]:
        return {"key": self.key, "upload_id": self.upload_id, "started": format_time(self.started) if self.started else None}


@dataclasses.dataclass(frozen=True)
class Backup:
    """An archive with its manifest; ``problems`` are sentences, and a backup without any is valid. ``modified`` is the store's own time."""

    key: str
    name: str
    started: dt.datetime
    manifest: Manifest | None
    size: int | None
    problems: tuple[str, ...]
    modified: dt.datetime | None = None

    @property
    def valid(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, t.Any]:
        """Return the manifest's facts with the verdict; a broken backup has only what its key says."""
        facts: dict[str, t.Any] = self.manifest.as_told() if self.manifest else {"name": self.name, "started_at": format_time(self.started)}
        return {**facts, "key": self.key, "stored_size": self.size, "valid": self.valid, "problems": list(self.problems)}


@dataclasses.dataclass(frozen=True)
class Catalog:
    """A store's content by what it is. ``backups`` are newest first; ``broken`` are manifests whose archive is missing."""

    backups: tuple[Backup, ...] = ()
    orphans: tuple[StoredObject, ...] = ()
    broken: tuple[Backup, ...] = ()
    foreign: tuple[StoredObject, ...] = ()
    unfinished: tuple[UnfinishedUpload, ...] = ()

    def valid_backups(self) -> tuple[Backup, ...]:
        return tuple(backup for backup in self.backups if backup.valid)

    def regular_backups(self) -> tuple[Backup, ...]:
        """Return the valid backups that were taken by schedule or by hand, not before a restore or of an incident."""
        return tuple(backup for backup in self.valid_backups() if backup.manifest and backup.manifest.reason in REGULAR_REASONS)


def manifests_to_read(objects: t.Iterable[StoredObject], prefix: str, name: str | None) -> list[str]:
    """Return the keys of the manifests that a catalog of this name needs (of all names when None)."""
    return list(_archives_by_manifest(objects, prefix, name))


def read_catalog(
    objects: t.Sequence[StoredObject],
    manifests: t.Mapping[str, bytes],
    unfinished: t.Iterable[UnfinishedUpload],
    *,
    prefix: str,
    name: str | None,
) -> Catalog:
    """Judge a complete listing. ``manifests`` maps manifest keys to their stored bytes."""
    by_key = {stored.key: stored for stored in objects}
    archive_of = _archives_by_manifest(objects, prefix, name)
    backups: list[Backup] = []
    broken: list[Backup] = []
    for manifest_key, archive_key in archive_of.items():
        backup = _judge(archive_key, by_key, manifests.get(manifest_key), prefix)
        (backups if archive_key in by_key else broken).append(backup)
    orphans: list[StoredObject] = []
    foreign: list[StoredObject] = []
    claimed = set(archive_of.values())
    for stored in objects:
        kind = _kind(stored.key, prefix, name)
        if kind == "archive" and stored.key not in claimed:
            orphans.append(stored)
        elif kind == "foreign":
            foreign.append(stored)
    return Catalog(
        backups=tuple(sorted(backups, key=_age_order, reverse=True)),
        orphans=tuple(orphans),
        broken=tuple(sorted(broken, key=_age_order, reverse=True)),
        foreign=tuple(foreign),
        unfinished=tuple(upload for upload in unfinished if _ours(upload.key, prefix, name)),
    )


def resolve_restore_point(catalog: Catalog, restore_point: str, prefix: str, *, option: str = "restore_point") -> Backup:
    """Return the backup that ``latest``, ``before:<time>`` or a key means; raise a sentence when there is none.

    ``latest`` and ``before`` see valid regular backups only: the one that a restore takes first holds the very state that was to be left behind, so
    repeating a restore must not go back to it. A key names any; one that is invalid is refused with its problems.
    """
    valid = catalog.regular_backups()
    if restore_point == "latest":
        _require_one_name(restore_point, valid)
        if not valid:
            raise BackupError(_nothing_found("no valid backup", catalog))
        return valid[0]
    if restore_point.startswith("before:"):
        limit = parse_time(restore_point[len("before:") :], option)
        _require_one_name(restore_point, valid)
        for backup in valid:
            if _snapshot_time(backup) < limit:
                return backup
        raise BackupError(_nothing_found(f"no valid backup from before {format_time(limit)}", catalog))
    wanted = {restore_point, naming.normalize_prefix(prefix) + restore_point}
    for backup in (*catalog.backups, *catalog.broken):
        if backup.key in wanted:
            if not backup.valid:
                raise BackupError(f"The backup {backup.key} is not valid: {' '.join(backup.problems)} Set {option} to another backup, or to latest.")
            return backup
    raise BackupError(_nothing_found(f"no backup with the key {restore_point}", catalog))


def passed_over(catalog: Catalog, restore_point: str, chosen: Backup, prefix: str) -> list[str]:
    """Name what is newer than the backup that ``latest`` or ``before:<time>`` chose, and was not chosen because it cannot be trusted."""
    if restore_point != "latest" and not restore_point.startswith("before:"):
        return []
    limit = parse_time(restore_point[len("before:") :], "restore_point") if restore_point != "latest" else None
    invalid = [
        (backup.started, backup.key, f"which is not valid: {' '.join(backup.problems)}")
        for backup in (*catalog.backups, *catalog.broken)
        if not backup.valid and backup.name == chosen.name
    ]
    unfinished = [
        (parsed.started, orphan.key, "an archive without a manifest: its backup did not finish, or has not yet.")
        for orphan in catalog.orphans
        if (parsed := naming.parse_archive_key(orphan.key, prefix)) and parsed.name == chosen.name
    ]
    return [
        f"{restore_point} is {chosen.key}. Newer, and passed over, is {key}, {why}"
        for started, key, why in sorted((*invalid, *unfinished), reverse=True)
        if started > chosen.started and (limit is None or started < limit)
    ]


def _age_order(backup: Backup) -> tuple[dt.datetime, str]:
    return (backup.started, backup.key)


def _snapshot_time(backup: Backup) -> dt.datetime:
    """Return the moment whose state a valid backup holds."""
    return parse_time(t.cast(Manifest, backup.manifest).snapshot_at, "snapshot_at")


def _require_one_name(restore_point: str, backups: t.Sequence[Backup]) -> None:
    """Refuse to call one of several databases' backups the newest."""
    names = sorted({backup.name for backup in backups})
    if len(names) > 1:
        raise BackupError(f"The store holds backups of {len(names)} names ({', '.join(names)}), so {restore_point} could mean any of them. Set name to one.")


def _nothing_found(what: str, catalog: Catalog) -> str:
    return (
        f"The store holds {what} under this prefix and name "
        f"({len(catalog.backups)} backups, {len(catalog.orphans)} archives without a manifest, {len(catalog.broken)} manifests without an archive). "
        "Check bucket or directory, prefix and name."
    )


def _archives_by_manifest(objects: t.Iterable[StoredObject], prefix: str, name: str | None) -> dict[str, str]:
    found = {}
    for stored in objects:
        if stored.key.endswith(naming.MANIFEST_SUFFIX):
            archive = stored.key[: -len(naming.MANIFEST_SUFFIX)]
            parsed = naming.parse_archive_key(archive, prefix)
            if parsed and name in (None, parsed.name):
                found[stored.key] = archive
    return found


def _judge(archive_key: str, by_key: t.Mapping[str, StoredObject], content: bytes | None, prefix: str) -> Backup:
    parsed = t.cast(naming.ArchiveName, naming.parse_archive_key(archive_key, prefix))
    manifest: Manifest | None = None
    stored = by_key.get(archive_key)
    problems: list[str] = []
    try:
        if content is None:
            raise ManifestError(f"The manifest of {archive_key} could not be read.")
        manifest = load_manifest(content, archive_key)
    except ManifestError as error:
        problems.append(error.message)
    if stored is None:
        problems.append(f"The archive {archive_key} is missing.")
    elif manifest and stored.size != manifest.size:
        problems.append(f"The archive has {stored.size} bytes; its manifest records {manifest.size}.")
    if manifest and manifest.globals:
        beside = by_key.get(str(manifest.globals.get("key")))
        if beside is None or beside.size != manifest.globals.get("size"):
            problems.append("The roles and tablespaces stored beside the archive are missing or of another size than its manifest records.")
    return Backup(
        key=archive_key,
        name=parsed.name,
        started=parsed.started,
        manifest=manifest,
        size=stored.size if stored else None,
        problems=tuple(problems),
        modified=stored.modified if stored else None,
    )


def _kind(key: str, prefix: str, name: str | None) -> t.Literal["archive", "belongs", "other", "foreign"]:
    """Say what a key is: one of our archives, something beside one, something of another name, or a stranger's."""
    relative = key[len(naming.normalize_prefix(prefix)) :]
    if relative.startswith((naming.PROBE_NAME, naming.RESTORES)):
        return "belongs"
    # From the right, because a backup's own name may hold the suffix.
    end = len(relative)
    while (start := relative.rfind(naming.ARCHIVE_SUFFIX, 0, end)) >= 0:
        end = start + len(naming.ARCHIVE_SUFFIX)
        parsed, rest = naming.parse_archive_name(relative[:end]), relative[end:]
        if parsed and (not rest or rest.startswith((".", "/"))):
            if name not in (None, parsed.name):
                return "other"
            return "belongs" if rest else "archive"
        end -= 1
    return "foreign"


def _ours(key: str, prefix: str, name: str | None) -> bool:
    parsed = naming.parse_archive_key(key, prefix)
    return parsed is not None and name in (None, parsed.name)
