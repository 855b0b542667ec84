# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The databases of a server as things with an OID and a name: found, created, described, renamed, dropped.

Names change in a swap, OIDs never do, so whatever must mean the same database later is remembered by its OID.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import (
    DatabaseComment,
    OurSection,
    read_comment,
    take_apart,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.shadow import UNMARKED_LIMIT
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.shared_text import bytes_of, comes_back_the_same, decoded_name, decoded_words

_COMMENT = "pg_catalog.shobj_description(d.oid, 'pg_database')"
_DATABASES = f"""
SELECT d.oid::bigint, {bytes_of("d.datname")}, {bytes_of("pg_catalog.pg_get_userbyid(d.datdba)")}, pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       d.datallowconn, d.datistemplate, d.datconnlimit, {bytes_of(_COMMENT)}
  FROM pg_catalog.pg_database AS d
"""

# RENAME and DROP send autovacuum away themselves, and everything else keeps them waiting: also senders of replication, and workers such as those of
# pg_cron. All but autovacuum have a role. Its backend_type says it, too, but is hidden from a role without pg_read_all_stats.
_SESSIONS = f"""
SELECT a.pid, {bytes_of("a.usename")}, COALESCE(NULLIF(a.application_name, ''), NULLIF(a.backend_type, 'client backend')), pg_catalog.host(a.client_addr)
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.datid = ANY (CAST(%(oids)s AS pg_catalog.oid[])) AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.usesysid IS NOT NULL
"""

_OWN_PROCESS = """
SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity AS a
 WHERE a.pid = %(pid)s AND a.application_name = pg_catalog.current_setting('application_name')
"""


@dataclasses.dataclass(frozen=True)
class ServerDatabase:
    """One database of a server; ``owned`` says whether this role is its owner or has the owner's rights."""

    oid: int
    name: str
    owner: str
    owned: bool
    allows_connections: bool
    template: bool
    connection_limit: int
    comment: DatabaseComment

    @property
    def unmarked(self) -> bool:
        """Say whether it is as a shadow is created: closed since then, hence empty, and with our limit; its name has to fit, too."""
        return not self.allows_connections and self.connection_limit == UNMARKED_LIMIT


def list_databases(session: Session) -> list[ServerDatabase]:
    """Return every database of the server."""
    return [_database(session, row) for row in session.rows(f"{_DATABASES} ORDER BY d.oid")]


def find_database(session: Session, name: str) -> ServerDatabase | None:
    """Return the database that bears this name now."""
    rows = session.rows(f"{_DATABASES} WHERE d.datname = %(name)s", {"name": name})
    return _database(session, rows[0]) if rows else None


def database_by_oid(session: Session, oid: int) -> ServerDatabase | None:
    """Return the database with this OID, whatever its name is now."""
    rows = session.rows(f"{_DATABASES} WHERE d.oid = %(oid)s", {"oid": oid})
    return _database(session, rows[0]) if rows else None


def write_comment(session: Session, name: str, comment: DatabaseComment) -> None:
    """Replace a database's comment; only its owner may. It takes part in an open transaction.

    People's words in it stay the bytes that they are: where they may not be in this session's encoding, the server takes them from a comment that has them.
    """
    if comes_back_the_same(session, comment.text) or not _copy_comment(session, name, comment):
        comment_on(session, "DATABASE", name, comment)


def _copy_comment(session: Session, name: str, comment: DatabaseComment) -> bool:
    """Replace a comment without its words leaving the server, which would not take back what is no text in its database; say whether some comment has them."""
    for oid, stored in session.rows(f"SELECT d.oid::bigint, {bytes_of(_COMMENT)} FROM pg_catalog.pg_database AS d ORDER BY d.oid"):
        found, section = take_apart(decoded_words(session, stored))
        if found.text == comment.text:
            kept = (b"" if stored is None else bytes(stored)).replace(section.written.encode(), section.place.encode(), 1)
            session.execute("DO %(body)s", {"body": _copying(oid, section, kept, name, comment)})
            return True
    return False


def _copying(oid: int, section: OurSection, kept: bytes, name: str, comment: DatabaseComment) -> str:
    """Return the body that gives a database the words of the comment on the database ``oid``, which are ``kept``, and our part of ``comment``.

    In an encoding such as EUC_JP a byte that is no letter may take the next one along, so that our part is not found behind it.
    """
    words = f"pg_catalog.replace(pg_catalog.shobj_description({oid}, 'pg_database'), {_written_out(section.written)}, {_written_out(section.place)})"
    return f"""
DECLARE words pg_catalog.text := {words};
BEGIN
  IF {bytes_of("words")} <> pg_catalog.decode('{kept.hex()}', 'hex') THEN
    RAISE EXCEPTION 'the comment on the database holds bytes that are no text in the encoding of this one, and could not be kept'
      USING HINT = 'Write it anew from this database.';
  END IF;
  words := pg_catalog.concat(words, {_written_out(comment.ours and chr(10) + comment.ours)});
  EXECUTE pg_catalog.format('COMMENT ON DATABASE %s IS %L', {_written_out(quote_identifier(name))}, words);
END"""


def _written_out(text: str) -> str:
    """Return a text as an expression that reads the same whatever a server's settings make of quotes and backslashes."""
    return f"pg_catalog.convert_from(pg_catalog.decode('{text.encode().hex()}', 'hex'), 'UTF8')"


def comment_on(session: Session, kind: t.Literal["DATABASE", "SCHEMA"], name: str, comment: DatabaseComment) -> None:
    """Replace the comment on something that a restore marks."""
    text = comment.written()
    session.execute(f"COMMENT ON {kind} {_escaped_identifier(name)} IS {'%(comment)s' if text else 'NULL'}", {"comment": text})


def open_database(session: Session, name: str) -> None:
    """Let a new database be connected to, by its owner and superusers alone."""
    session.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {quote_identifier(name)} FROM PUBLIC")
    session.execute(f"ALTER DATABASE {quote_identifier(name)} WITH ALLOW_CONNECTIONS true")


def drop_database(session: Session, oid: int, name: str) -> None:
    """Drop a database with its sessions, if it still bears the name under which it was to be dropped: under another one it may be the live database."""
    found = database_by_oid(session, oid)
    if found is not None and found.name == name:
        session.execute(f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE)")


def drop_copy(session: Session, oid: int, name: str) -> None:
    """Drop a database that was loaded from an archive, with its subscriptions, which would keep it: what they would read from is the original's and stays."""
    subscriptions = session.rows("SELECT s.subname::text FROM pg_catalog.pg_subscription AS s WHERE s.subdbid = %(oid)s::pg_catalog.oid", {"oid": oid})
    if subscriptions:
        with Session(dataclasses.replace(session.login, database=name)) as inside:
            for (subscription,) in subscriptions:
                inside.execute(f"ALTER SUBSCRIPTION {quote_identifier(subscription)} DISABLE")
                inside.execute(f"ALTER SUBSCRIPTION {quote_identifier(subscription)} SET (slot_name = NONE)")
                inside.execute(f"DROP SUBSCRIPTION {quote_identifier(subscription)}")
    drop_database(session, oid, name)


def end_sessions(session: Session, oids: t.Collection[int]) -> list[str]:
    """End the sessions in these databases; return a description of each that this role may not end.

    None is waited for: waiting in turn takes seconds where dozens reconnect in a loop.
    """
    refused = []
    for pid, user, application, address in _sessions_in(session, oids):
        try:
            session.execute("SELECT pg_catalog.pg_terminate_backend(%(pid)s)", {"pid": pid})
        except DatabaseError as error:
            if "sqlstate" not in error.details or session.lost:
                raise
            refused.append(f"process {pid} (role {user or 'unknown'}, {application or 'no application name'}, from {address or 'the local socket'})")
    return refused


def end_process(session: Session, pid: int) -> bool:
    """End a server process of this very run, which has its own name on the server, if it is still there; say whether it was."""
    return bool(session.rows(_OWN_PROCESS, {"pid": pid}))


def sessions_of(session: Session, oids: t.Collection[int]) -> list[str]:
    """Name the applications that are connected to these databases."""
    return [application or user or f"process {pid}" for pid, user, application, _address in _sessions_in(session, oids)]


def _sessions_in(session: Session, oids: t.Collection[int]) -> list[tuple[int, str | None, str | None, str | None]]:
    """Return process, role, application and address of each session in these databases."""
    found = session.rows(_SESSIONS, {"oids": sorted(oids)})
    return [(pid, user and decoded_name(session, user), application, address) for pid, user, application, address in found]


def database_size(session: Session, oid: int) -> int:
    """Return the bytes of a database on its server's disk; 0 where this role may not know or it is gone."""
    with contextlib.suppress(DatabaseError):
        return int(session.row("SELECT pg_catalog.pg_database_size(%(oid)s::pg_catalog.oid)", {"oid": oid})[0] or 0)
    return 0


def _escaped_identifier(name: str) -> str:
    """Return a quoted name for a statement that has parameters, where a percent sign would begin one."""
    return quote_identifier(name).replace("%", "%%")


def _database(session: Session, row: tuple[t.Any, ...]) -> ServerDatabase:
    oid, name, owner, owned, allows_connections, template, connection_limit, comment = row
    return ServerDatabase(
        oid,
        decoded_name(session, name),
        decoded_name(session, owner),
        owned,
        allows_connections,
        template,
        connection_limit,
        read_comment(decoded_words(session, comment)),
    )
