# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The record of a restore test: written once, beside the backup that was tested, whose manifest stays as it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sealed import format_first, read_sealed, write_sealed

SCHEMA_VERSION = 1
FORMAT = "workon.postgresql_backup/restore_test"

Verdict = t.Literal["passed", "failed", "could_not_verify"]
VERDICTS: tuple[Verdict, ...] = ("passed", "failed", "could_not_verify")


class RecordError(BackupError):
    """A record that cannot be read as one."""


@dataclasses.dataclass(frozen=True)
class RestoreTest:
    """What came of one restore test, as plain JSON data. Times are RFC 3339 in UTC, sizes in bytes, lengths of time in seconds.

    ``reasons`` are sentences and empty only where it ``passed``. ``rto`` is how long it took from the first byte read to the proof, ``rpo`` how old
    the data were when the test began. ``level`` is what the proof compared (``content``, ``counts``, ``none``). ``checks`` are results of checks;
    ``server`` is ``{"version": str, "address": str, "private": bool}``. What an interrupted test did not reach is None.
    """

    test_id: str
    backup_id: str
    key: str
    name: str
    verdict: Verdict
    reasons: list[str]
    started_at: str
    finished_at: str
    snapshot_at: str | None
    rto: float | None
    rpo: float | None
    level: str | None
    tables: int | None
    rows: int | None
    archive_size: int
    database_size: int | None
    checks: list[dict[str, t.Any]]
    server: dict[str, t.Any]
    schema_version: int = SCHEMA_VERSION
    format: str = FORMAT

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"

    @property
    def finished(self) -> dt.datetime:
        return parse_time(self.finished_at, "finished_at")

    def is_of(self, manifest: Manifest | None) -> bool:
        """Say whether it was this very backup that was tested, not another that has had its key."""
        return manifest is not None and self.backup_id == manifest.backup_id

    def as_dict(self) -> dict[str, t.Any]:
        """Return the record as plain data, in the order in which it is written."""
        return format_first(self)


_REQUIRED = [field.name for field in dataclasses.fields(RestoreTest)]


def dump_record(record: RestoreTest) -> bytes:
    """Serialize a record for the store."""
    return write_sealed(record.as_dict())


def load_record(content: bytes, key: str) -> RestoreTest:
    """Read the record stored under ``key``; raise :class:`RecordError` for anything else."""
    what = f"The record {key} of a restore test"
    data = read_sealed(content, what, expected_format=FORMAT, newest_version=SCHEMA_VERSION, required=_REQUIRED, error=RecordError)
    record = RestoreTest(**{name: data[name] for name in _REQUIRED})
    if record.verdict not in VERDICTS:
        raise RecordError(f"{what} has the verdict {record.verdict!r}, which is none.")
    for field in ("started_at", "finished_at"):
        parse_time(str(getattr(record, field)), f"{field} of {key}")
    return record
