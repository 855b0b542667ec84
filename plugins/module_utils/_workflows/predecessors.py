# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What earlier restores into the same database left: found by the marks in the comments of databases, never by names alone."""

from __future__ import annotations

import dataclasses
import datetime as dt

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import is_beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.databases import ServerDatabase, list_databases
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

_REPEATED_WITHIN = dt.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Predecessors:
    """Databases of earlier restores into this target.

    ``stale`` are shadows that nobody will finish, ``proved`` one that is loaded and proved with the same backup for the same live database, ``swapped``
    says that the live database is that backup already and only what follows the swap is missing, ``otherwise`` that it is, but with other options.
    ``kept`` were swapped out, ``replaced`` is the name of the one whose place the live database has taken.
    """

    stale: tuple[ServerDatabase, ...] = ()
    proved: ServerDatabase | None = None
    swapped: bool = False
    otherwise: bool = False
    kept: tuple[ServerDatabase, ...] = ()
    replaced: str | None = None

    @property
    def loaded(self) -> bool:
        """Whether there is a database with the backup's content already, so that no other has to be made."""
        return self.swapped or self.proved is not None

    def confirmed_for(self, target: Target) -> str:
        """Return the fingerprint that an interrupted run was confirmed for: before its swap the name meant the database that is now kept."""
        mark = target.comment.restore
        return mark.replaced if self.swapped and mark else target.fingerprint

    def sentences(self) -> list[str]:
        """Say what was found, and what is done about it."""
        found = [f"An interrupted restore left {database.name}; it is dropped." for database in self.stale]
        if self.proved:
            found.append(f"An interrupted restore left {self.proved.name}, loaded and proved with the same backup; it is proved again and used.")
        if self.swapped:
            found.append("An interrupted restore has swapped this very backup in; only what follows the swap is done.")
        if self.otherwise:
            before = f" The database from before is kept as {self.replaced}." if self.replaced else ""
            found.append(
                "An interrupted restore has swapped this backup in with other options, so it is not gone on with: "
                f"the backup is restored anew with the present ones.{before}"
            )
        return found


def find_predecessors(session: Session, target: Target, backup_id: str | None, options: str, now: dt.datetime) -> Predecessors:
    """Look for what earlier restores left. The restore's lock must be held, or a running one would look interrupted.

    Only what holds the same backup by its own id (None: it has none), restored with the same ``options``, is gone on with.
    """
    stale, kept = [], []
    proved: ServerDatabase | None = None
    for database in list_databases(session):
        mark = database.comment.restore
        if mark is None:
            if database.unmarked and is_beside(database.name, target.database, "shadow"):
                stale.append(database)
        elif mark.database != target.database or database.oid == target.oid or not is_beside(database.name, target.database, mark.role):
            # Under another name it is somebody's by now.
            continue
        elif mark.role == "shadow":
            if mark.state == "proved" and proved is None and (mark.backup, mark.target_oid, mark.options) == (backup_id, target.oid, options):
                proved = database
            else:
                stale.append(database)
        else:
            kept.append(database)
    live = target.comment.restore
    # Whoever repeats an interrupted run does so soon. Later its users have been at work, and a restore means to go back again, with a safety backup.
    swapped = (
        live is not None
        and (live.role, live.state, live.database, live.backup) == ("live", "swapped", target.database, backup_id)
        and now - parse_time(live.since, "since in the comment") < _REPEATED_WITHIN
    )
    same = live is not None and live.options == options
    replaced = next((found.name for found in kept if found.comment.restore and found.comment.restore.partner_oid == target.oid), None)
    return Predecessors(tuple(stale), proved, swapped and same, swapped and not same, tuple(kept), replaced)
