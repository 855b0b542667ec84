# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""To whom what was loaded belongs and who may use it, whichever way it was loaded: set where pg_restore did not, and compared with before."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import (
    FUTURE_KINDS,
    ObjectPrivileges,
    lost_owners,
    lost_privileges,
    statements_to_keep,
    statements_to_match,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import privilege_facts, target_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import RestorePlan
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import grants_among_existing, mapped_ownership

_SHOWN = 10


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


def keep_rights(
    plan: RestorePlan,
    session: Session,
    before: t.Sequence[ObjectPrivileges],
    *,
    schemas: t.Collection[str] | None = None,
    renamed: t.Mapping[str, str] | None = None,
) -> list[str]:
    """Grant, in the session's transaction, what roles could do before and the archive does not let them; return a note about it.

    What is refused shows as lost afterwards.
    """
    loaded = privilege_facts.read_privileges(session, schemas)
    groups = statements_to_keep(
        before,
        loaded,
        settable_owners=privilege_facts.settable_roles(session),
        operator=plan.target.server.user,
        renamed=renamed,
    )
    for group in groups:
        session.execute("SAVEPOINT granting")
        try:
            run_all(session, group)
        except DatabaseError:
            if session.lost:
                raise
            session.execute("ROLLBACK TO SAVEPOINT granting")
        session.execute("RELEASE SAVEPOINT granting")
    kept = [sentence.replace(" lost ", " keeps ") for sentence in lost_privileges(before, loaded, renamed=renamed)]
    more = f" And {len(kept) - _SHOWN} more." if len(kept) > _SHOWN else ""
    note = "Roles keep what the archive does not give them, because ownership is auto; set it to archive if they are not to."
    return [f"{note} {' '.join(kept[:_SHOWN])}{more}"] if kept else []


@dataclasses.dataclass(frozen=True)
class LostRights:
    """Sentences about the roles that could do something before, and cannot with what was loaded.

    Apart from ``privileges`` are those on objects that do not exist yet, and the roles whose objects now belong to others.
    """

    privileges: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        return (*self.privileges, *self.future, *self.owners)


def lost_rights(before: t.Sequence[ObjectPrivileges], after: t.Sequence[ObjectPrivileges], *, renamed: t.Mapping[str, str] | None = None) -> LostRights:
    """Say which roles could do something before that they cannot do with what was loaded."""
    lost = tuple(lost_privileges(before, after, renamed=renamed))
    present = set(lost_privileges(_existing(before), _existing(after), renamed=renamed))
    return LostRights(
        tuple(sentence for sentence in lost if sentence in present),
        tuple(sentence for sentence in lost if sentence not in present),
        tuple(lost_owners(before, after, renamed=renamed)),
    )


def _existing(found: t.Iterable[ObjectPrivileges]) -> list[ObjectPrivileges]:
    return [each for each in found if each.kind not in FUTURE_KINDS]


def run_all(session: Session, statements: t.Iterable[str | bytes]) -> None:
    """Run statements one after the other."""
    for statement in statements:
        session.execute(statement)
