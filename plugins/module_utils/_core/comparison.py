# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""How a live database differs from a backup, which is what a restore of it would change."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Content, Proof, prove
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.safeguards import human_duration

_CONTENT_METHODS = ("record", "text")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a backup holds beside what the live database holds.

    ``age`` is that of the backup's content in seconds. ``tables`` has every table, ``sequences`` and ``extensions`` those that differ. ``level`` says how
    closely was looked, ``differences`` are sentences, and so is what could not be compared.
    """

    backup: dict[str, t.Any]
    age: float
    tables: dict[str, dict[str, t.Any]]
    sequences: dict[str, dict[str, t.Any]]
    large_objects: dict[str, t.Any]
    extensions: dict[str, dict[str, t.Any]]
    prisma: dict[str, t.Any]
    server_version: dict[str, t.Any]
    level: str
    differences: tuple[str, ...]
    not_compared: tuple[str, ...]

    def as_dict(self) -> dict[str, t.Any]:
        return {
            **dataclasses.asdict(self),
            "age": {"seconds": int(self.age), "for_people": human_duration(self.age)},
            "same": None if self.level == "none" else not self.differences,
            "differences": list(self.differences),
            "not_compared": list(self.not_compared),
        }

    def sentence(self) -> str:
        """Return the comparison in one sentence."""
        backup = f"the backup {self.backup['key']}, whose content is {human_duration(self.age)} old"
        if self.level == "none":
            return f"Its rows were not compared with {backup}."
        if not self.differences:
            depth = "every row" if self.level == "content" else "the number of rows"
            return f"It is as in {backup}: {depth} of every table was compared."
        counts = ", ".join(f"{count} {state}" for state in ("changed", "missing", "new") if (count := self._tables_in(state)))
        total = "1 difference" if len(self.differences) == 1 else f"{len(self.differences)} differences"
        return f"It differs from {backup}: {f'tables {counts}; ' if counts else ''}{total} in all."

    def _tables_in(self, state: str) -> int:
        return sum(1 for table in self.tables.values() if table["state"] == state)


def reading_method(manifest: Manifest | None, wanted: t.Literal["none", "counts", "content"], server_version_num: int) -> fingerprint.Method:
    """Return how tables are to be read: as the manifest's were where content is wanted and this server can, else as fits this server best."""
    method = fingerprint.choose_method(wanted, server_version_num)
    if method == "record" and manifest and manifest.fingerprint["method"] == "text":
        return "text"
    return method


def compare(
    manifest: Manifest,
    content: Content,
    method: fingerprint.Method,
    *,
    encoding: str,
    extensions: t.Mapping[str, str],
    server_version: str,
    now: dt.datetime,
) -> Comparison:
    """Compare what was read by this method, in a database of this encoding, with a backup."""
    obstacle = _content_obstacle(manifest, method, encoding)
    proof = prove(manifest, content, "counts" if obstacle else method)
    changed_extensions = _changed(manifest.extensions, extensions, everything_in=(manifest.extensions, extensions))
    return Comparison(
        backup={
            "key": manifest.key,
            "backup_id": manifest.backup_id,
            "name": manifest.name,
            "environment": manifest.environment,
            "snapshot_at": manifest.snapshot_at,
            "database": manifest.source.get("database"),
            "host": manifest.source.get("host"),
        },
        age=(now - parse_time(manifest.snapshot_at, "snapshot_at")).total_seconds(),
        tables=_tables(proof),
        # Those that only the live database has may have been left out of the backup, which its manifest does not tell of sequences.
        sequences=_changed(manifest.sequences, content.sequences, everything_in=(manifest.sequences,)) if method != "none" else {},
        large_objects={"in_backup": manifest.large_objects, "now": content.large_objects},
        extensions=changed_extensions,
        prisma={"in_backup": manifest.prisma, "now": content.prisma},
        server_version={"in_backup": manifest.source.get("server_version"), "now": server_version},
        level=proof.level,
        differences=(*proof.differences, *map(_extension_sentence, changed_extensions, changed_extensions.values())),
        not_compared=(obstacle, *proof.unproved) if obstacle else proof.unproved,
    )


def _content_obstacle(manifest: Manifest, method: fingerprint.Method, encoding: str) -> str | None:
    """Say why content that was read cannot be compared with the content hashes of the backup."""
    if method not in _CONTENT_METHODS or manifest.fingerprint["method"] == "none":
        return None
    if manifest.fingerprint["method"] == "counts":
        return "The backup was taken without content hashes."
    if manifest.fingerprint.get("recipe") != fingerprint.RECIPE:
        return (
            f"The backup's content hashes were made by the recipe {manifest.fingerprint.get('recipe')}, and this software has the recipe {fingerprint.RECIPE}."
        )
    if manifest.fingerprint["method"] != method:
        return "The backup's content hashes need PostgreSQL 14 or newer."
    if manifest.database.get("encoding") != encoding:
        return f"The encoding of the backup is {manifest.database.get('encoding')} and that of the database {encoding}, so their content hashes differ anyway."
    return None


def _tables(proof: Proof) -> dict[str, dict[str, t.Any]]:
    return {
        row["table"]: {
            "rows_in_backup": row["rows_in_backup"],
            "rows_now": row["rows_restored"],
            "state": "not_compared" if proof.level == "none" else _state(row),
        }
        for row in proof.tables
    }


def _state(row: t.Mapping[str, t.Any]) -> str:
    if row["rows_in_backup"] is None:
        return "new"
    if row["rows_restored"] is None:
        return "missing"
    return {"equal": "same", "different": "changed", "not compared": "same_rows"}[row["content"]]


def _changed(before: t.Mapping[str, t.Any], now: t.Mapping[str, t.Any], *, everything_in: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    names = sorted({name for mapping in everything_in for name in mapping})
    return {name: {"in_backup": before.get(name), "now": now.get(name)} for name in names if before.get(name) != now.get(name)}


def _extension_sentence(name: str, versions: t.Mapping[str, t.Any]) -> str:
    if versions["now"] is None:
        return f"The extension {name} is missing."
    if versions["in_backup"] is None:
        return f"The extension {name} is there but not expected."
    return f"The extension {name} has version {versions['now']} instead of {versions['in_backup']}."
