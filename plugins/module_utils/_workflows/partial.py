# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a restore of a partial backup would take from the live database: asked of the server before anything is tried."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import partial
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import quote_if_needed
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.residue import schemas_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_entries import extension_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Strategy
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, schemas, target_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.kept import list_schemas_in_use
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import OpenedArchive

# Every new database has it.
_EVERYWHERE = "plpgsql"


def find_loss(session: Session, opened: OpenedArchive, manifest: Manifest | None, strategy: Strategy, lock_wait_timeout: int) -> partial.Loss:
    """Return what the live database has, the backup lacks, and a restore by this strategy would take away."""
    # Of what nobody knows, the archive itself still says which tables it has no rows of.
    selection = partial.selection_of(manifest) or Selection()
    # Before the settings of the snapshot: patterns without a schema mean what the search path of the database finds.
    relations = database_facts.read_relations(session, selection)
    if strategy != "swap":
        replaced = schemas_of(opened.contents, opened.demands.schemas)
        relations = [relation for relation in relations if relation.schema in replaced]
    with session.shared_snapshot(None, lock_wait_timeout):
        emptied = [found for found in partial.archived_without_rows(relations, manifest, opened.contents) if target_facts.may_have_rows(session, found)]
        # In place what the archive does not know stays, and is refused as that.
        whole = [] if strategy == "in_place" else _whole(session, selection, relations, opened, manifest, whole_database=strategy == "swap")
    return partial.Loss(tuple(whole), tuple(partial.called(found) for found in emptied))


def _whole(
    session: Session, selection: Selection, relations: t.Sequence[Relation], opened: OpenedArchive, manifest: Manifest | None, *, whole_database: bool
) -> list[str]:
    """Name the schemas, tables and extensions that the backup left out altogether."""
    gone = _schemas_gone(session, selection, opened) if whole_database else []
    extensions = _extensions_gone(session, opened) if whole_database and selection.schemas else []
    tables = [found for found in partial.not_archived(relations, manifest, opened.contents) if found.schema not in gone]
    return [*(f"schema {quote_if_needed(name)}" for name in gone), *map(partial.called, tables), *(f"extension {quote_if_needed(name)}" for name in extensions)]


def _schemas_gone(session: Session, selection: Selection, opened: OpenedArchive) -> list[str]:
    """Return the schemas with something in them that the backup left out."""
    left_out = schemas.list_left_out(session, selection) & set(list_schemas_in_use(session))
    return sorted({found.schema for found in schemas.list_objects(session, left_out)} - schemas_of(opened.contents, opened.demands.schemas))


def _extensions_gone(session: Session, opened: OpenedArchive) -> list[str]:
    archived = {extension_name(entry) for entry in opened.contents.entries if entry.kind == "EXTENSION"}
    return [found.name for found in schemas.list_extensions(session) if found.name not in archived and found.name != _EVERYWHERE]
