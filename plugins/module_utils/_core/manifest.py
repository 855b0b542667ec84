# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The manifest: the JSON record that commits a backup. Written last, never rewritten."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_settings import without_secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sealed import CHECKSUM, format_first, read_sealed, write_sealed

SCHEMA_VERSION = 1
REASONS = ("scheduled", "manual", "pre_restore", "incident")
REGULAR_REASONS = REASONS[:2]
FORMAT = "workon.postgresql_backup/manifest"

# Read by a pattern because what fromisoformat takes differs between versions of Python.
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?P<fraction>[0-9]+))?(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class ManifestError(BackupError):
    """A manifest that cannot be read as one."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Everything known of one backup, as plain JSON data.

    Times are RFC 3339 in UTC, sizes in bytes. The backup holds the database as it was at ``snapshot_at``. ``tables`` maps a quoted
    qualified name to ``{"rows": int, "content": str | None}``. ``verification`` is ``{"level": "hash" | "decode", "at": time}``. ``defects`` names
    what was wrong in the database already: ``{"invalid_indexes": [...], "unvalidated_constraints": [...]}``, None where nobody looked.
    ``adopted`` is ``{"at": time, "unknown": [fields]}`` for an archive that somebody else made and that got its manifest afterwards.
    """

    backup_id: str
    key: str
    name: str
    reason: str
    pinned: bool
    labels: dict[str, str]
    environment: str | None
    started_at: str
    snapshot_at: str
    finished_at: str
    source: dict[str, t.Any]
    client: dict[str, t.Any]
    archive: dict[str, t.Any]
    selection: dict[str, t.Any]
    fingerprint: dict[str, t.Any]
    tables: dict[str, dict[str, t.Any]]
    sequences: dict[str, dict[str, t.Any]]
    large_objects: dict[str, t.Any]
    extensions: dict[str, str]
    roles: list[str]
    database: dict[str, t.Any]
    prisma: dict[str, t.Any] | None
    globals: dict[str, t.Any] | None
    omitted: list[dict[str, str]]
    warnings: list[str]
    encryption: dict[str, t.Any]
    verification: dict[str, t.Any]
    defects: dict[str, list[str]] | None = None
    adopted: dict[str, t.Any] | None = None
    schema_version: int = SCHEMA_VERSION
    format: str = FORMAT

    @property
    def size(self) -> int:
        return int(self.archive["size"])

    @property
    def sha256(self) -> str:
        return str(self.archive["sha256"])

    def as_dict(self) -> dict[str, t.Any]:
        """Return the manifest as plain data, in the order in which it is written."""
        return format_first(self)

    def as_told(self) -> dict[str, t.Any]:
        """Return it for results: as it is, but without secrets that an older version of this software recorded."""
        return {**self.as_dict(), "database": without_secrets(self.database)}


_FIELDS = {field.name: field for field in dataclasses.fields(Manifest)}
# Those that came later have a default; a manifest from before is still whole.
_REQUIRED = [name for name, field in _FIELDS.items() if field.default is dataclasses.MISSING] + ["schema_version", "format", CHECKSUM]
_OBJECTS = ("source", "client", "archive", "fingerprint", "tables", "sequences", "large_objects", "database", "verification")


def dump_manifest(manifest: Manifest) -> bytes:
    """Serialize a manifest for the store."""
    return write_sealed(manifest.as_dict())


def load_manifest(content: bytes, key: str) -> Manifest:
    """Read the manifest stored for the archive ``key``; raise :class:`ManifestError` for anything else.

    Fields that a newer minor writer added are ignored; a newer ``schema_version`` is refused.
    """
    data = read_sealed(content, f"The manifest of {key}", expected_format=FORMAT, newest_version=SCHEMA_VERSION, required=_REQUIRED, error=ManifestError)
    if any(not isinstance(data[name], dict) for name in _OBJECTS):
        raise ManifestError(f"The manifest of {key} is malformed.")
    size, sha256 = data["archive"].get("size"), data["archive"].get("sha256")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(sha256, str) or len(sha256) != 64:
        raise ManifestError(f"The manifest of {key} records no size and SHA-256 of the archive.")
    base_name = key.rpartition("/")[2]
    if str(data["key"]).rpartition("/")[2] != base_name:
        raise ManifestError(f"The manifest beside {key} belongs to {data['key']}.")
    for name in ("started_at", "snapshot_at", "finished_at"):
        parse_time(str(data[name]), f"{name} in the manifest of {key}")
    return Manifest(**{name: data[name] for name in _FIELDS if name in data})


def format_time(moment: dt.datetime) -> str:
    """Write a moment as RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(dt.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str, what: str) -> dt.datetime:
    """Read an RFC 3339 time; a time without an offset is refused, because it would mean a different moment on each host."""
    found = _TIME.fullmatch(text.strip())
    if found:
        offset = "+00:00" if found["offset"] in "Zz" else found["offset"]
        # A moment next to year 1 or 9999 exists in its own offset and not in UTC.
        with contextlib.suppress(ValueError, OverflowError):
            moment = dt.datetime.fromisoformat(f"{found['day']}T{found['time']}.{(found['fraction'] or '')[:6]:0<6}{offset}")
            return moment.astimezone(dt.timezone.utc)
    raise ManifestError(f"{what} is {text!r}, which is not an RFC 3339 time with an offset. Write it as 2026-01-08T10:30:00Z.")
