# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""To whom what was loaded belongs and who may use it, whichever way it was loaded: set where pg_restore did not, and compared with before."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import (
    ObjectPrivileges,
    lost_owners,
    lost_privileges,
    statements_to_match,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import privilege_facts, target_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import RestorePlan
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import grants_among_existing, mapped_ownership


def set_from_archive(plan: RestorePlan, session: Session, redact: Redact) -> None:
    """Set what the archive says of owners and privileges where its roles have others in their place, or are not all here."""
    if plan.ownership.mode == "mapped":
        run_all(session, mapped_ownership(plan.opened, plan.request.role_map, redact))
    elif plan.ownership.mode == "live":
        # Of a table that was dropped since, the live database knows nothing any more.
        run_all(session, grants_among_existing(plan.opened, target_facts.read_role_names(session), redact))


def set_as_before(
    plan: RestorePlan,
    session: Session,
    before: t.Sequence[ObjectPrivileges],
    *,
    schemas: t.Collection[str] | None = None,
    renamed: t.Mapping[str, str] | None = None,
) -> None:
    """Give what was loaded (into these schemas) the owners and privileges that the same objects had before; ``renamed`` as in statements_to_match."""
    statements, _notes = statements_to_match(
        before,
        privilege_facts.read_privileges(session, schemas),
        settable_owners=privilege_facts.settable_roles(session),
        operator=plan.target.server.user,
        renamed=renamed,
    )
    run_all(session, statements)


def lost_rights(before: t.Sequence[ObjectPrivileges], after: t.Sequence[ObjectPrivileges], *, renamed: t.Mapping[str, str] | None = None) -> list[str]:
    """Say which roles could do something before that they cannot do with what was loaded."""
    return [*lost_privileges(before, after, renamed=renamed), *lost_owners(before, after, renamed=renamed)]


def run_all(session: Session, statements: t.Iterable[str | bytes]) -> None:
    """Run statements one after the other."""
    for statement in statements:
        session.execute(statement)
