# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Backups that left something out: what is not in them, and what a restore of one would take from a live database without putting anything in its place."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation, few, leaves_out_all, leaves_out_rows
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.residue import KnownObjects

_KINDS = {"r": "table", "p": "table", "f": "foreign table", "m": "materialized view", "S": "sequence"}


@dataclasses.dataclass(frozen=True)
class Loss:
    """What the live database has and a partial backup lacks: ``whole`` are things by their kind and name, ``rows`` tables that would be left empty."""

    whole: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _joined(self.whole, "", " and ", "the rows of ", self.rows)

    def __bool__(self) -> bool:
        return bool(self.whole or self.rows)


def selection_of(manifest: Manifest | None) -> Selection | None:
    """Return what the backup was told to hold; None where nobody knows, as of an archive that somebody else made."""
    names = [field.name for field in dataclasses.fields(Selection)]
    if manifest is None or any(manifest.selection.get(name, ()) is None for name in names):
        return None
    return Selection(**{name: tuple(manifest.selection.get(name, ())) for name in names})


def missing_sentences(manifest: Manifest | None) -> list[str]:
    """Say what is not in the backup; nothing where it holds all of its source."""
    selection = selection_of(manifest)
    if manifest is None or selection is None:
        return []
    whole = [f"{entry['kind']} {entry['name']}" for entry in manifest.omitted if leaves_out_all(entry)]
    rows = [f"{entry['kind']} {entry['name']}" for entry in manifest.omitted if leaves_out_rows(entry)]
    told = ", ".join(f"{option} {few(patterns)}" for option, patterns in selection.as_dict().items() if patterns)
    if selection.schemas:
        # Where schemas are chosen, pg_dump leaves out what is in none.
        whole.append("what belongs to no schema, such as extensions and publications")
    if not told and not whole and not rows:
        return []
    taken = f" (it was taken with {told})" if told else ""
    if not whole and not rows:
        return [f"The backup {manifest.key} need not hold all of its source{taken}."]
    return [f"The backup {manifest.key} does not hold all of its source{taken}: it has {_joined(whole, 'nothing of ', ', and ', 'no rows of ', rows)}."]


def not_archived(relations: t.Iterable[Relation], manifest: Manifest | None, contents: ArchiveContents) -> list[Relation]:
    """Return those of the live relations, read with the backup's selection, that the backup left out as a whole.

    What the archive does not know for another reason is newer than it.
    """
    known = KnownObjects(contents)
    named = {entry["name"] for entry in manifest.omitted if leaves_out_all(entry)} if manifest else set()
    return [
        relation
        for relation in _own(relations)
        if (relation.excluded_by == "exclude_tables" or relation.full_name in named) and not known.knows("TABLE", relation.schema, relation.name)
    ]


def archived_without_rows(relations: t.Iterable[Relation], manifest: Manifest | None, contents: ArchiveContents) -> list[Relation]:
    """Return those of the live tables whose definition the archive has, but none of their rows.

    A table that was partitioned when the backup was taken had no rows of its own; without the backup's own account the archive cannot tell it.
    """
    known = KnownObjects(contents)
    named = {entry["name"] for entry in manifest.omitted} if manifest and selection_of(manifest) is not None else None
    return [
        relation
        for relation in _own(relations)
        if relation.kind == "r"
        and known.knows("TABLE", relation.schema, relation.name)
        and not known.knows("TABLE DATA", relation.schema, relation.name)
        and (named is None or relation.full_name in named)
    ]


def called(relation: Relation) -> str:
    """Return a relation's kind and name, as in a sentence."""
    return f"{_KINDS[relation.kind]} {relation.full_name}"


def partial_refusal(backup: str, database: str, loss: Loss) -> str:
    """Refuse to take from the live database what the backup has nothing to replace it with."""
    return (
        f"The backup {backup} is of a part of a database, and the database {database} has what the backup left out: {loss}. "
        "A restore would take that away and put nothing in its place. Set allow_partial to true if that is meant, or set backup to a whole one."
    )


def permitted_note(loss: Loss) -> str:
    """Say what goes because it was permitted."""
    return f"As allow_partial permits, the restore takes from the live database without replacing it: {loss}."


def _own(relations: t.Iterable[Relation]) -> list[Relation]:
    """Return what is neither an extension's, which creates it again, nor of a running session."""
    return [relation for relation in relations if not relation.extension and relation.persistence != "t"]


def _joined(whole: t.Sequence[str], before_whole: str, between: str, before_rows: str, rows: t.Sequence[str]) -> str:
    parts = [*([before_whole + few(whole)] if whole else []), *([before_rows + few(rows)] if rows else [])]
    return between.join(parts)
