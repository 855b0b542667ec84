# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What keeps a role from restoring inside of a database: asked of the server before anything is tried."""

from __future__ import annotations

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import some
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.residue import LiveObject, residue, schemas_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import schemas
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.kept import is_kept_schema, list_schemas_in_use
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import OpenedArchive


def schema_swap_obstacles(session: Session, opened: OpenedArchive) -> list[str]:
    """Return what keeps this role from exchanging the archive's schemas inside of the database."""
    wanted = schemas_of(opened.contents, opened.demands.schemas)
    user = session.row("SELECT current_user::text")[0]
    present = [found for found in schemas.list_schemas(session) if found.name in wanted]
    obstacles = []
    if not wanted:
        obstacles.append("the archive has no object in any schema")
    if opened.contents.large_objects:
        obstacles.append("the archive has large objects, which belong to no schema")
    foreign = [f"{found.name} (its owner is {found.owner})" for found in present if not found.owned]
    if foreign:
        obstacles.append(f"the role {user} does not own {some('schema', foreign)}")
    if not schemas.may_create_schemas(session):
        obstacles.append(f"the role {user} may not create schemas in the database")
    names = {found.name for found in present}
    fixed = [extension.name for extension in schemas.list_extensions(session) if extension.schema in names and not (extension.relocatable and extension.owned)]
    if fixed:
        obstacles.append(f"{some('extension', fixed)} in these schemas cannot be moved by the role {user}")
    return obstacles + _kept_extensions(session, opened)


def in_place_obstacles(session: Session, opened: OpenedArchive, *, allow_residue: bool) -> list[str]:
    """Return what keeps this role from replacing the archive's objects inside of the database."""
    wanted = schemas_of(opened.contents, opened.demands.schemas)
    user = session.row("SELECT current_user::text")[0]
    present = [found for found in schemas.list_schemas(session) if found.name in wanted]
    unknown = find_residue(session, opened)
    obstacles = []
    foreign = [str(found) for found in schemas.list_objects(session, wanted) if not found.owned and found not in unknown]
    if foreign:
        obstacles.append(f"the role {user} does not own {some('object', foreign)}")
    closed = [found.name for found in present if not found.creatable]
    if closed:
        obstacles.append(f"the role {user} may not create in {some('schema', closed)}")
    if wanted - {found.name for found in present} and not schemas.may_create_schemas(session):
        obstacles.append(f"the role {user} may not create {some('schema', sorted(wanted - {found.name for found in present}))}")
    if unknown and not allow_residue:
        obstacles.append(
            f"the archive does not know {some('object', [str(found) for found in unknown])}, which would stay; set allow_residue to true to keep them"
        )
    return obstacles + _kept_extensions(session, opened)


def _kept_extensions(session: Session, opened: OpenedArchive) -> list[str]:
    """Name the archive's extensions that are there, but in what a rolled-back restore has kept: a database can have each only once."""
    kept = {schema.name for schema in schemas.list_schemas(session) if is_kept_schema(schema)}
    found = [extension for extension in schemas.list_extensions(session) if extension.name in opened.demands.extensions and extension.schema in kept]
    return [
        f"the extension {one.name} is in the schema {one.schema}, which an earlier restore has kept; state finalized with keep_previous 0 drops it"
        for one in found
    ]


def find_residue(session: Session, opened: OpenedArchive) -> list[LiveObject]:
    """Return what a restore in place would leave: whatever the archive does not know, also in schemas in which it has nothing."""
    looked_at = {*list_schemas_in_use(session), *schemas_of(opened.contents, opened.demands.schemas)}
    return residue(schemas.list_objects(session, looked_at), opened.contents)
