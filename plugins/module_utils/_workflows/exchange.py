# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Exchange the names of two databases in one transaction: whoever connects gets the one or the other, whole, and a crash leaves the old names.

One session renames; its lock makes newcomers wait. Another ends the sessions that are still inside, so that nobody is kept out by a committed
state. A client sees its session end and connects again, to the new database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import BackgroundTask

_ATTEMPTS = 4
_LOCK_TIMEOUT_MS = 4000
_SECONDS_BETWEEN_ROUNDS = 0.05
# Somebody is inside, or holds a lock on the database: worth another try.
_IN_USE = ("55006", "55P03")


@dataclasses.dataclass(frozen=True)
class Renaming:
    """A database, by its OID and its name now, the name that it gets, and the comment that says so."""

    oid: int
    name: str
    new_name: str
    comment: DatabaseComment


@dataclasses.dataclass(frozen=True)
class Exchange:
    """The database that ``leaves`` a name (None: nobody has it) and the one that ``comes`` to it; ``statements`` belong to the same transaction."""

    leaves: Renaming | None
    comes: Renaming
    statements: tuple[str, ...] = ()

    @property
    def renamings(self) -> tuple[Renaming, ...]:
        """In the order that frees the name before it is taken."""
        return (self.leaves, self.comes) if self.leaves else (self.comes,)


def carry_out_exchange(session: Session, exchange: Exchange) -> None:
    """Exchange the names, or raise with nothing changed. ``session`` is one in another database, and only looks and ends sessions.

    What became of a try whose connection was lost is read from the names that the OIDs have then.
    """
    oids = [renaming.oid for renaming in exchange.renamings]
    inside: list[str] = []
    reason = ""
    for _attempt in range(_ATTEMPTS):
        try:
            inside = _try(session, exchange, oids)
        except DatabaseError as error:
            reason = error.message
            if _has_happened(session, exchange):
                return
            if error.details.get("sqlstate") not in (*_IN_USE, None):
                raise BackupError(f"The names could not be exchanged, and nothing was changed: {error.message}") from error
            inside = databases.sessions_of(session, oids)
            continue
        return
    who = f" Still connected: {', '.join(sorted(set(inside))[:10])}." if inside else ""
    raise BackupError(
        f"The names could not be exchanged after {_ATTEMPTS} tries, and nothing was changed: {reason}{who} "
        "End these sessions, or use a role that may end them (pg_signal_backend, or a superuser for a superuser's), and run again."
    )


def _try(session: Session, exchange: Exchange, oids: t.Sequence[int]) -> list[str]:
    """Rename in a session of its own while this one ends whoever is inside; return who could not be ended."""
    renaming = BackgroundTask("exchange of names")
    refused: list[str] = []
    with Session(session.login) as renamer:
        renaming.start(lambda: _rename(renamer, exchange))
        try:
            while renaming.running(_SECONDS_BETWEEN_ROUNDS):
                refused = databases.end_sessions(session, oids)
        except BaseException:
            renamer.cancel()
            renaming.running(_LOCK_TIMEOUT_MS / 1000)
            raise
        renaming.result()
    return refused


def _rename(session: Session, exchange: Exchange) -> None:
    session.execute("BEGIN")
    session.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
    for renaming in exchange.renamings:
        found = databases.database_by_oid(session, renaming.oid)
        if found is None or found.name != renaming.name:
            raise BackupError(
                f"The database {renaming.name} is not the one that it was when this run looked: somebody renamed or dropped it. "
                "Nothing was exchanged. Run again."
            )
    for statement in exchange.statements:
        session.execute(statement)
    for renaming in exchange.renamings:
        databases.write_comment(session, renaming.name, renaming.comment)
    # Last, because from the first of them on newcomers wait.
    for renaming in exchange.renamings:
        session.execute(f"ALTER DATABASE {quote_identifier(renaming.name)} RENAME TO {quote_identifier(renaming.new_name)}")
    session.execute("COMMIT")


def _has_happened(session: Session, exchange: Exchange) -> bool:
    """Say whether the names are exchanged, asked through a new connection where this one went with the server."""
    with contextlib.ExitStack() as stack:
        asked = stack.enter_context(Session(session.login)) if session.lost else session
        names = {renaming.oid: databases.database_by_oid(asked, renaming.oid) for renaming in exchange.renamings}
    return all((found := names[renaming.oid]) is not None and found.name == renaming.new_name for renaming in exchange.renamings)
