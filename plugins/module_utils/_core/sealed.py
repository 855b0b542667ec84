# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Records as JSON that are written once and never changed: with a format, a version of it, and a checksum of all the rest.

A bit that flips in the store must not turn one true fact into another: where a backup is from, and whether it can be restored, are judged from them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

CHECKSUM = "checksum"


def format_first(record: t.Any) -> dict[str, t.Any]:
    """Return a dataclass with a format and its version as plain data, these two first."""
    data = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {"format": data.pop("format"), "schema_version": data.pop("schema_version"), **data}


def write_sealed(data: dict[str, t.Any]) -> bytes:
    """Write a record's data with their checksum at the end."""
    return (json.dumps({**data, CHECKSUM: _checksum(data)}, indent=1, ensure_ascii=False) + "\n").encode()


def read_sealed(
    content: bytes, what: str, *, expected_format: str, newest_version: int, required: t.Iterable[str], error: type[BackupError]
) -> dict[str, t.Any]:
    """Return the data of a record, or raise ``error`` with a sentence about ``what`` it is.

    Fields that a newer minor writer added are kept; a newer ``schema_version`` is refused.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as cause:
        raise error(f"{what} is not JSON.") from cause
    if not isinstance(data, dict) or data.get("format") != expected_format:
        raise error(f"{what} was not written by this software.")
    version = data.get("schema_version")
    if not isinstance(version, int) or version > newest_version:
        raise error(f"{what} has schema version {version}; this software reads up to {newest_version}. Upgrade the collection.")
    missing = sorted(name for name in required if name not in data)
    if missing:
        raise error(f"{what} lacks {', '.join(missing)}.")
    if data.get(CHECKSUM) != _checksum(data):
        raise error(f"{what} was changed after it was written: its content is not that of its checksum.")
    return data


def _checksum(data: t.Mapping[str, t.Any]) -> str:
    """Return the SHA-256 of everything but the checksum itself: as JSON in ASCII, keys in order, nothing between."""
    content = {name: value for name, value in data.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
