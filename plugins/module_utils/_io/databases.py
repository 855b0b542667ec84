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

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, read_comment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.shadow import UNMARKED_LIMIT
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

_DATABASES = """
SELECT d.oid::bigint, d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_has_role(d.datdba, 'USAGE'), d.datallowconn, d.datistemplate,
       d.datconnlimit, pg_catalog.shobj_description(d.oid, 'pg_database')
  FROM pg_catalog.pg_database AS d
"""

# RENAME and DROP send autovacuum away themselves, and everything else keeps them waiting: also senders of replication, and workers such as those of
# pg_cron. All but autovacuum have a role. Its backend_type says it, too, but is hidden from a role without pg_read_all_stats.
_SESSIONS = """
SELECT a.pid, a.usename::text, COALESCE(NULLIF(a.application_name, ''), NULLIF(a.backend_type, 'client backend')), pg_catalog.host(a.client_addr)
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
    return [_database(row) for row in session.rows(f"{_DATABASES} ORDER BY d.oid")]


def find_database(session: Session, name: str) -> ServerDatabase | None:
    """Return the database that bears this name now."""
    rows = session.rows(f"{_DATABASES} WHERE d.datname = %(name)s", {"name": name})
    return _database(rows[0]) if rows else None


def database_by_oid(session: Session, oid: int) -> ServerDatabase | None:
    """Return the database with this OID, whatever its name is now."""
    rows = session.rows(f"{_DATABASES} WHERE d.oid = %(oid)s", {"oid": oid})
    return _database(rows[0]) if rows else None


def write_comment(session: Session, name: str, comment: DatabaseComment) -> None:
    """Replace a database's comment; only its owner may. It takes part in an open transaction."""
    comment_on(session, "DATABASE", name, comment)


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
    for pid, user, application, address in session.rows(_SESSIONS, {"oids": sorted(oids)}):
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
    return [application or user or f"process {pid}" for pid, user, application, _address in session.rows(_SESSIONS, {"oids": sorted(oids)})]


def database_size(session: Session, oid: int) -> int:
    """Return the bytes of a database on its server's disk; 0 where this role may not know or it is gone."""
    with contextlib.suppress(DatabaseError):
        return int(session.row("SELECT pg_catalog.pg_database_size(%(oid)s::pg_catalog.oid)", {"oid": oid})[0] or 0)
    return 0


def _escaped_identifier(name: str) -> str:
    """Return a quoted name for a statement that has parameters, where a percent sign would begin one."""
    return quote_identifier(name).replace("%", "%%")


def _database(row: tuple[t.Any, ...]) -> ServerDatabase:
    oid, name, owner, owned, allows_connections, template, connection_limit, comment = row
    return ServerDatabase(oid, name, owner, owned, allows_connections, template, connection_limit, read_comment(comment))
