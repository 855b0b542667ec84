# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Exchange the names of two databases in one transaction: whoever connects gets the one or the other, whole, and a crash leaves the old names.

One session renames; its lock makes newcomers wait, and where this side is gone before the commit, the server soon undoes it. Another ends the
sessions that are still inside, so that nobody is kept out by a committed state. A client sees its session end and connects again, to the new database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
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
# A server that crashed is back after its recovery; what became of the exchange can be known only then.
_SECONDS_FOR_THE_SERVER = 60
_SECONDS_BETWEEN_LOOKS = 0.1
# Of this side between two statements, which follow one another at once. For so long newcomers wait where it is gone between a rename and the commit.
_LONGEST_PAUSE = 5
_LOCKED = "55P03"
# Somebody is inside, holds a lock, or ended the session that renames, which the server does, too, when this side does not go on.
_WORTH_ANOTHER_TRY = ("55006", _LOCKED, "57P01", "25P03", None)


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
        pid = 0
        try:
            with Session(session.login) as renamer:
                pid = renamer.backend_pid
                inside = _try(session, renamer, exchange, oids)
        except DatabaseError as error:
            locked = error.details.get("sqlstate") == _LOCKED
            reason = "another session holds a lock on one of the two databases." if locked else error.message
            if _has_happened(session, exchange, pid):
                return
            if session.lost or error.details.get("sqlstate") not in _WORTH_ANOTHER_TRY:
                raise BackupError(f"The names could not be exchanged, and nothing was changed: {error.message}") from error
            inside = databases.sessions_of(session, oids)
            continue
        return
    who = f" Still connected: {', '.join(sorted(set(inside))[:10])}." if inside else ""
    raise BackupError(
        f"The names could not be exchanged after {_ATTEMPTS} tries, and nothing was changed: {reason}{who} "
        "End these sessions, or use a role that may end them (pg_signal_backend, or a superuser for a superuser's), and run again."
    )


def _try(session: Session, renamer: Session, exchange: Exchange, oids: t.Sequence[int]) -> list[str]:
    """Rename in one session while the other ends whoever is inside; return who could not be ended."""
    renaming = BackgroundTask("exchange of names")
    refused: list[str] = []
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
    session.limit_pauses(_LONGEST_PAUSE)
    session.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
    # An exchange that was reported must survive a crash, even where the server writes what is committed later.
    session.execute("SET LOCAL synchronous_commit = on")
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
    # Last, because from the first of them on newcomers wait. Not in one message with the commit: the server would carry that out for a client that is gone.
    for renaming in exchange.renamings:
        session.execute(f"ALTER DATABASE {quote_identifier(renaming.name)} RENAME TO {quote_identifier(renaming.new_name)}")
    session.execute("COMMIT")


def _has_happened(session: Session, exchange: Exchange, pid: int) -> bool:
    """Say whether the names are exchanged, once the server process ``pid``, which renamed, can change nothing any more.

    A process that has lost its client may still be about to commit. Where this connection went with the server, it is waited for that to be back.
    """
    deadline = time.monotonic() + _SECONDS_FOR_THE_SERVER
    while True:
        problem = f"The server process {pid}, which renamed, does not end."
        try:
            with contextlib.ExitStack() as stack:
                asked = stack.enter_context(Session(session.login)) if session.lost else session
                if not databases.end_process(asked, pid):
                    found = {database.oid: database.name for database in databases.list_databases(asked)}
                    return all(found.get(renaming.oid) == renaming.new_name for renaming in exchange.renamings)
        except DatabaseError as error:
            problem = error.message
        if time.monotonic() >= deadline:
            raise BackupError(
                f"The server went away while the names were exchanged, and for {_SECONDS_FOR_THE_SERVER} seconds nobody could say "
                f"which of the two databases is live. Either is whole. Run again: the next run finds out and goes on. {problem}"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
