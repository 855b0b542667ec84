# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Where a database stands among its Prisma migrations, judged as Prisma judges it but without Node.

The database alone tells which migrations were applied and which failed. Whether any is pending, edited or unknown is known only beside
the folder of migrations.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

_CHECKSUM_LENGTH = 64


@dataclasses.dataclass(frozen=True)
class MigrationRow:
    """A row of ``_prisma_migrations``: one attempt at a migration, of which a retry or ``migrate resolve`` adds another."""

    name: str
    checksum: str | None
    finished: bool
    rolled_back: bool


@dataclasses.dataclass(frozen=True)
class PrismaStatus:
    """The names of the migrations in each state. The last three are None where no folder was compared.

    ``applied`` is in the order of application. ``rolled_back`` was tried and given up, so it is pending as well where the folder still has it.
    ``edited`` was applied from another script than the folder's; ``unknown`` is applied or failed but not in the folder.
    """

    applied: tuple[str, ...]
    failed: tuple[str, ...]
    rolled_back: tuple[str, ...]
    pending: tuple[str, ...] | None = None
    edited: tuple[str, ...] | None = None
    unknown: tuple[str, ...] | None = None

    @property
    def last(self) -> str | None:
        return self.applied[-1] if self.applied else None

    def as_dict(self) -> dict[str, t.Any]:
        names = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"last": self.last, **{state: None if found is None else list(found) for state, found in names.items()}}


def read_status(rows: t.Iterable[MigrationRow], folder: t.Mapping[str, bytes] | None = None) -> PrismaStatus:
    """Judge the rows, given in the order of application, and compare them with ``{name: content of migration.sql}`` where that is given."""
    attempts: dict[str, list[MigrationRow]] = {}
    for row in rows:
        attempts.setdefault(row.name, []).append(row)
    # An attempt that was rolled back counts no more, whatever became of it before.
    standing = {name: [row for row in found if not row.rolled_back] for name, found in attempts.items()}
    failed = tuple(sorted(name for name, found in standing.items() if any(not row.finished for row in found)))
    applied = tuple(name for name, found in standing.items() if found and name not in failed)
    rolled_back = tuple(sorted(name for name, found in standing.items() if not found))
    if folder is None:
        return PrismaStatus(applied, failed, rolled_back)
    return PrismaStatus(
        applied,
        failed,
        rolled_back,
        pending=tuple(sorted(name for name in folder if not standing.get(name))),
        edited=tuple(name for name in applied if name in folder and not matches_checksum(folder[name], standing[name][-1].checksum)),
        unknown=tuple(sorted(name for name in (*applied, *failed) if name not in folder)),
    )


def summarize(status: PrismaStatus) -> dict[str, t.Any]:
    """Return what a manifest records: ``{"last", "applied", "failed"}``."""
    return {"last": status.last, "applied": len(status.applied), "failed": list(status.failed)}


def matches_checksum(script: bytes, checksum: str | None) -> bool:
    """Say whether a recorded checksum is this script's, with whatever line ends git gave it since."""
    forms = (script, script.replace(b"\r\n", b"\n"), script.replace(b"\n", b"\r\n"))
    return any(checksum == _written_like(hashlib.sha256(form).digest(), checksum) for form in forms)


def _written_like(digest: bytes, checksum: str | None) -> str:
    # Early versions of Prisma wrote each byte without its leading zero, which the length gives away.
    if checksum is not None and len(checksum) != _CHECKSUM_LENGTH:
        return "".join(f"{byte:x}" for byte in digest)
    return digest.hex()
