# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Sessions on a PostgreSQL server through psycopg2, and its errors as sentences."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import PINNED_SETTINGS
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.dependencies import require_psycopg2

Row = tuple[t.Any, ...]

_CONNECT_TIMEOUT = "15"
_COPY_SIZE = 256 * 1024
# Long silences are normal while pg_dump works; without keepalives a firewall between would end the snapshot unseen.
_KEEPALIVES = {"keepalives": "1", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
_SERVER_KEEPALIVES = "SELECT " + ", ".join(
    f"pg_catalog.set_config('tcp_{name}', '{value}', false)" for name, value in _KEEPALIVES.items() if name != "keepalives"
)

_LOCK_NOT_AVAILABLE = "55P03"
TIMEOUTS = ("statement_timeout", "lock_timeout", "transaction_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")

# What the server or libpq says, and what the user can do about it. The first match wins.
_CONNECTION_HELP = (
    ("password authentication failed", "refused the password. Set login_password (or the password in database_url) to this role's password"),
    ("no password supplied", "asks for a password and none was given. Set login_password, or put it into database_url"),
    ("no pg_hba.conf entry", "does not let this role in from this host. Add a line to its pg_hba.conf, or set ssl_mode to what that line asks for"),
    ("does not exist", "does not know this database or role. Check database and login_user (or database_url)"),
    ("could not translate host name", "could not be found by name. Check login_host (or the host in database_url)"),
    ("too many clients", "has no free connection. Try again later, or raise max_connections"),
    ("remaining connection slots", "has no free connection for this role. Try again later, or raise max_connections"),
    ("Connection refused", "could not be reached. Check login_host and login_port (or database_url), and that the server runs"),
    ("timeout expired", "did not answer in time. Check login_host and login_port (or database_url), and the firewall between"),
    ("server does not support SSL", "has no TLS. Set ssl_mode to prefer or disable if that is acceptable on this network"),
    ("certificate verify failed", "showed a certificate that could not be verified. Set ca_cert to its authority's certificate"),
    ("No such file or directory", "could not be reached. Check login_unix_socket and that the server runs on this host"),
)


class Readable(t.Protocol):
    """What COPY takes its rows from."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, and none at the end only."""


class Session:
    """One connection to one database, outside of any transaction until one is begun."""

    def __init__(self, login: Login) -> None:
        self._psycopg2 = require_psycopg2()
        self.login = login
        self._connection = self._connect()
        self.settled = False
        try:
            if self.is_direct:
                self.settle()
        except BaseException:
            self.close()
            raise
        self.pinned_login = login.pinned_to(self._connection.info.host or "", int(self._connection.info.port or 5432))

    def _connect(self) -> t.Any:
        keywords = {"connect_timeout": _CONNECT_TIMEOUT, **_KEEPALIVES, "client_encoding": "UTF8", **self.login.keywords()}
        if self.login.password is not None:
            keywords["password"] = self.login.password
        try:
            connection = self._psycopg2.connect(**keywords)
        except self._psycopg2.Error as error:
            raise DatabaseError(_connection_sentence(self.login, str(error))) from error
        connection.autocommit = True
        return connection

    def settle(self) -> None:
        """Set what must hold for the whole session: nobody's functions but the built-in ones, and no time limits.

        Not through a pooler, where it would hold for whoever gets the server process next. Where the process is the one that was announced at connect time,
        nothing is between, and this has been done already.
        """
        # Whoever may create in a schema of the database's own path could put an operator in the place of a built-in one, and have it run as us.
        self.execute("SET search_path = pg_catalog")
        # A snapshot dies with its session, so no setting of the server, the database or the role may end it. Which of them exist depends on the major.
        self.execute("SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = ANY(%(names)s)", {"names": list(TIMEOUTS)})
        # The server, too, has to notice a client that is gone without a word, or what its session has locked stays locked. On a Unix socket they mean nothing.
        self.execute(_SERVER_KEEPALIVES)
        # What a role reads by default is no reason for it not to restore; a backup reads in transactions that are read-only by themselves.
        self.execute("SET default_transaction_read_only = off")
        self.settled = True

    @property
    def is_direct(self) -> bool:
        """Whether the server process is the one that was announced at connect time, so that nothing is between us and the server."""
        return int(self.row("SELECT pg_catalog.pg_backend_pid()")[0]) == self.backend_pid

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session; a transaction that is still open is rolled back by the server."""
        with contextlib.suppress(self._psycopg2.Error):
            self._connection.close()

    def cancel(self) -> None:
        """Ask the server to stop what this session is doing; safe from another thread."""
        with contextlib.suppress(self._psycopg2.Error):
            self._connection.cancel()

    def default_search_path(self) -> list[str]:
        """Return the schemas in which the database and the role look for unqualified names; this session itself looks in none of people's."""
        if not self.settled:
            return list(self.row("SELECT pg_catalog.current_schemas(true)")[0])
        self.execute("SET search_path TO DEFAULT")
        try:
            return list(self.row("SELECT pg_catalog.current_schemas(true)")[0])
        finally:
            self.execute("SET search_path = pg_catalog")

    @property
    def lost(self) -> bool:
        """Whether the connection is known to be gone."""
        return bool(self._connection.closed)

    @property
    def backend_pid(self) -> int:
        """Return the server process that the connection was given, as told at connect time."""
        return int(self._connection.info.backend_pid)

    @property
    def server_encoding(self) -> str:
        """Return PostgreSQL's name for the encoding of the session's database."""
        return str(self._connection.info.parameter_status("server_encoding") or "UTF8")

    @property
    def encrypted(self) -> bool:
        return bool(self._connection.info.ssl_in_use)

    def rows(self, statement: str | bytes, parameters: t.Mapping[str, t.Any] | None = None) -> list[Row]:
        """Run one statement and return all its rows. Without parameters a percent sign means itself."""
        with self._cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall()) if cursor.description else []

    def row(self, statement: str, parameters: t.Mapping[str, t.Any] | None = None) -> Row:
        """Run one statement and return its only row."""
        found = self.rows(statement, parameters)
        if len(found) != 1:
            raise DatabaseError(f"The server answered a question that has one answer with {len(found)} rows: {statement.split()[0]} ...")
        return found[0]

    def execute(self, statement: str | bytes, parameters: t.Mapping[str, t.Any] | None = None) -> None:
        """Run one statement for its effect. Bytes are sent as they are, in the client encoding that has been set."""
        with self._cursor() as cursor:
            cursor.execute(statement, parameters)

    def copy_in(self, statement: bytes, source: Readable) -> None:
        """Run a COPY ... FROM stdin with what ``source`` reads."""
        with self._cursor() as cursor:
            cursor.copy_expert(statement, source, _COPY_SIZE)

    def begin_snapshot(self, lock_wait_timeout: int) -> str:
        """Open the transaction that everything is read in, and return its exported snapshot, which lives as long as the transaction.

        ``lock_wait_timeout`` is how many seconds to wait for a table that another session has locked.
        """
        self._begin(lock_wait_timeout)
        return str(self.row("SELECT pg_catalog.pg_export_snapshot()")[0])

    @contextlib.contextmanager
    def shared_snapshot(self, snapshot: str | None, lock_wait_timeout: int) -> t.Iterator[None]:
        """Read in a snapshot that another session exported (None: in one of our own), with the settings that make values print the same everywhere.

        Leaving it releases the locks of everything that was read. In a transaction that is open already that one is read in, and stays open.
        """
        inside = self.in_transaction
        if not inside:
            self._begin(lock_wait_timeout)
            if snapshot is not None:
                self.execute("SET TRANSACTION SNAPSHOT %(snapshot)s", {"snapshot": snapshot})
        for name, value in PINNED_SETTINGS:
            self.set_local(name, value)
        yield
        if not inside:
            self.execute("COMMIT")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended."""
        return bool(self._connection.info.transaction_status != self._psycopg2.extensions.TRANSACTION_STATUS_IDLE)

    def set_local(self, name: str, value: str) -> None:
        """Set a parameter for the rest of the transaction."""
        self.execute("SELECT pg_catalog.set_config(%(name)s, %(value)s, true)", {"name": name, "value": value})

    def limit_pauses(self, seconds: int) -> None:
        """Have the server end the session, and undo its transaction, when nothing is heard from here for so long between two statements of it."""
        self.set_local("idle_in_transaction_session_timeout", f"{seconds}s")

    @contextlib.contextmanager
    def _cursor(self) -> t.Iterator[t.Any]:
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except self._psycopg2.Error as error:
            raise DatabaseError(_statement_sentence(self.login, error), sqlstate=error.pgcode) from error
        except UnicodeError as error:
            raise DatabaseError(_encoding_sentence(self.login, error)) from error

    def _begin(self, lock_wait_timeout: int) -> None:
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Importing a snapshot must come before any query, SET is none.
        self.execute(f"SET LOCAL lock_timeout = {int(lock_wait_timeout) * 1000}")


def _connection_sentence(login: Login, text: str) -> str:
    reason = " ".join(text.split())
    who = f"The database server at {login.address()}"
    as_whom = f"database {login.database}" + (f", role {login.user}" if login.user else "")
    for fragment, help_text in _CONNECTION_HELP:
        if fragment in text:
            return f"{who} {help_text} ({as_whom}). It said: {reason}"
    return f"{who} refused the connection ({as_whom}). It said: {reason}"


def _encoding_sentence(login: Login, error: UnicodeError) -> str:
    return (
        f"A text of the database {login.database} at {login.address()} is not in the encoding that it should be in ({error}). "
        "A name or a comment may have been written from a database of another encoding. Write it anew from this one."
    )


def _statement_sentence(login: Login, error: t.Any) -> str:
    reason = (error.diag.message_primary if error.diag else None) or " ".join(str(error).split())
    if error.pgcode is None or error.pgcode.startswith(("08", "57P")):
        return (
            f"The connection to the database server at {login.address()} was lost while the database {login.database} was read: {reason.rstrip('.')}. "
            "Check the server and the network between, and run again."
        )
    if error.pgcode == _LOCK_NOT_AVAILABLE:
        return (
            f"A table of the database {login.database} is locked by another session, for longer than lock_wait_timeout: {reason}. "
            "Set lock_wait_timeout to more seconds, or end that session."
        )
    hint = f" {error.diag.message_hint}" if error.diag and error.diag.message_hint else ""
    return f"The database server at {login.address()} refused a question about the database {login.database}: {reason}.{hint}"
