# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a backup is called in a store, and what a key in a store means."""

from __future__ import annotations

import datetime as dt
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

ARCHIVE_SUFFIX = ".dump"
MANIFEST_SUFFIX = ".manifest.json"
GLOBALS_SUFFIX = ".globals.sql"
TESTS_SUFFIX = ".tests/"
RESTORES = "restores/"

# Followed by a dot and some digits, so that runs side by side do not meet on one key.
PROBE_NAME = ".postgresql_backup_probe"

_TIME_FORMAT = "%Y-%m-%d_%H%M%S"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RECORD = re.compile(r"(?P<archive>.+\.dump)(?:\.globals\.sql|\.tests/[^/]+\.json)")
_ARCHIVE_IN_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}_[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{6}\.dump")
_ARCHIVE = re.compile(r"(?P<name>.+)_(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{6})\.dump")


class ArchiveName(t.NamedTuple):
    """The parts of an archive's base name: the backup's name and its start in UTC."""

    name: str
    started: dt.datetime


def check_name(name: str) -> str:
    """Return the name, or raise a sentence when it cannot be part of a key in every store."""
    if not _NAME.fullmatch(name):
        raise BackupError(
            f"The backup name {name!r} cannot be used in a store: it must begin with a letter or digit and hold only letters, digits, "
            "dots, dashes and underscores, 100 characters at most. Set name to a name of that form."
        )
    return name


def default_name(database: str) -> str:
    """Derive a backup's name from a database's name.

    A database name that cannot be part of a key is refused rather than mangled: two databases must never share a name by accident.
    """
    try:
        return check_name(database)
    except BackupError:
        raise BackupError(
            f"The database name {database!r} cannot be used as the backup's name in a store. "
            "Set name to letters, digits, dots, dashes and underscores, one name for each database."
        ) from None


def normalize_prefix(prefix: str | None) -> str:
    """Return the prefix as it stands in keys: empty, or ending with exactly one slash and beginning with none."""
    cleaned = (prefix or "").strip("/")
    if not cleaned:
        return ""
    parts = cleaned.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(ord(char) < 32 for char in cleaned):
        raise BackupError(
            f"The prefix {prefix!r} is refused: it holds an empty part, '.', '..' or a control character. Set prefix to words joined by single slashes."
        )
    return f"{cleaned}/"


def archive_key(prefix: str, name: str, started: dt.datetime) -> str:
    """Return the key of the archive that a backup started at that moment (UTC) gets."""
    if started.utcoffset() != dt.timedelta(0):
        raise ValueError("started must be in UTC")
    return f"{normalize_prefix(prefix)}{name}_{started.strftime(_TIME_FORMAT)}{ARCHIVE_SUFFIX}"


def manifest_key(archive: str) -> str:
    """Return the key of the manifest that commits this archive."""
    return f"{archive}{MANIFEST_SUFFIX}"


def globals_key(archive: str) -> str:
    """Return the key of the roles and settings saved beside this archive."""
    return f"{archive}{GLOBALS_SUFFIX}"


def restore_test_key(archive: str, started: dt.datetime) -> str:
    """Return the key of the record of a restore test of this archive, begun at that moment (UTC)."""
    return f"{archive}{TESTS_SUFFIX}{started.strftime(_TIME_FORMAT)}_{started.microsecond // 1000:03d}.json"


def is_restore_test_key(key: str) -> bool:
    """Say whether a key is one of a restore test's record."""
    return key.endswith(".json") and archive_of_record(key) is not None


def archive_of_record(key: str) -> str | None:
    """Return the key of the archive beside which a record lies (roles and settings, restore tests), or None when the key is not one of a record."""
    found = _RECORD.fullmatch(key)
    return found["archive"] if found else None


def parse_archive_name(base_name: str) -> ArchiveName | None:
    """Read an archive's base name, or return None when it is not one of ours (a date that does not exist included)."""
    found = _ARCHIVE.fullmatch(base_name)
    if not found or not _NAME.fullmatch(found["name"]):
        return None
    try:
        started = dt.datetime.strptime(f"{found['time']}Z", f"{_TIME_FORMAT}%z")
    except ValueError:
        return None
    return ArchiveName(found["name"], started)


def archives_named_in(text: str) -> set[str]:
    """Return the base names of archives that stand anywhere in a text."""
    return set(_ARCHIVE_IN_TEXT.findall(text))


def parse_archive_key(key: str, prefix: str) -> ArchiveName | None:
    """Read an archive's key directly under the prefix; keys in deeper folders are not ours."""
    start = normalize_prefix(prefix)
    if not key.startswith(start):
        return None
    base_name = key[len(start) :]
    return None if "/" in base_name else parse_archive_name(base_name)
