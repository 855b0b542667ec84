# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A script that pg_restore printed, run within a session's open transaction, so that it can be judged before it counts."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_lexer import Read
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_script import CopyStart, ScriptReader, Statement, read_setting
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import TIMEOUTS, Session

# The server's message quotes a value, or is written by a function of the user's.
_CLASSES_WITH_DATA = ("22", "38", "39", "P0")
_NOT_THE_STATEMENT_S_FAULT = ("08", "57P", "55P03")


def run_script(session: Session, read: Read, *, keep: t.Callable[[bytes], bool]) -> None:
    """Run what ``read`` returns in the transaction that is open, but for the statements that ``keep`` does not keep (with their rows).

    The script neither begins nor ends a transaction, and what it sets is as before in the end. The session's own timeouts hold all the time.
    """
    if not session.in_transaction:
        raise DatabaseError("The archive's SQL is run within a transaction only, so that it can be undone. None is open, so nothing was run.")
    transaction = _transaction(session)
    before: dict[str, str] = dict(session.rows("SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings"))
    # What the reader takes for granted until the script says otherwise.
    session.set_local("standard_conforming_strings", "on")
    changed = {"standard_conforming_strings"}
    reader = ScriptReader(read)
    for item in reader:
        if item.is_transaction_control or not keep(item.text):
            continue
        with _errors_as_sentences(session, item):
            if isinstance(item, CopyStart):
                _copy(session, item, reader)
            else:
                changed.update(_run(session, item))
    _put_back(session, {name: before[name] for name in changed if name in before})
    if _transaction(session) != transaction:
        raise VerificationError("The archive's SQL ended the transaction that it was run in, so what it did cannot be undone. Restore the safety backup.")


def _transaction(session: Session) -> int:
    return int(session.row("SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text")[0])


def _run(session: Session, statement: Statement) -> t.Iterator[str]:
    """Run a statement, and yield the parameter that it has set to the end of the transaction."""
    setting = read_setting(statement)
    if setting is None:
        if statement.first_words(1) == ["set"]:
            raise VerificationError(f"The archive's SQL sets something in a way that pg_restore does not: {statement.headline} Choose another backup.")
        session.execute(statement.text)
    elif setting.name not in TIMEOUTS:
        session.execute(setting.local)
        yield setting.name


def _copy(session: Session, statement: CopyStart, reader: ScriptReader) -> None:
    rows = _Rows(reader)
    try:
        session.copy_in(statement.text, rows)
    except DatabaseError:
        if rows.failure is not None:
            raise rows.failure from None
        raise


class _Rows:
    """The rows of a COPY as a file. psycopg2 makes an error of the server's of what goes wrong while it reads, so that is kept here."""

    def __init__(self, reader: ScriptReader) -> None:
        self._reader = reader
        self.failure: BaseException | None = None

    def read(self, size: int, /) -> bytes:
        try:
            return self._reader.read_rows(size)
        except BaseException as error:
            self.failure = error
            raise


def _put_back(session: Session, settings: t.Mapping[str, str]) -> None:
    # The encoding first: the other values are read by it.
    for name in sorted(settings, key=lambda name: name != "client_encoding"):
        session.set_local(name, settings[name])


@contextlib.contextmanager
def _errors_as_sentences(session: Session, statement: Statement) -> t.Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        sqlstate = error.details.get("sqlstate")
        if sqlstate is None or str(sqlstate).startswith(_NOT_THE_STATEMENT_S_FAULT):
            raise
        raise DatabaseError(
            f"The database server at {session.login.address()} refused a statement of the archive: {_reason(error.__cause__)}. It begins: {statement.headline}",
            sqlstate=sqlstate,
        ) from None


def _reason(error: t.Any) -> str:
    """Return what the server said, or only what kind of error it is where it may have quoted data."""
    if error.pgcode.startswith(_CLASSES_WITH_DATA):
        return f"{re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', type(error).__name__).lower()} (SQLSTATE {error.pgcode}; its message may hold data and is not shown)"
    return " ".join(filter(None, (error.diag.message_primary, error.diag.message_hint))).rstrip(".")
