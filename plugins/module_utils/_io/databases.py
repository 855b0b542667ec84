# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The databases of a server as things with an OID and a name: found, created, described, renamed, dropped.

Names change in a swap, OIDs never do, so whatever must mean the same database later is remembered by its OID.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, read_comment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

_DATABASES = """
SELECT d.oid::bigint, d.datname::text, pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_has_role(d.datdba, 'USAGE'), d.datallowconn, d.datistemplate,
       pg_catalog.shobj_description(d.oid, 'pg_database')
  FROM pg_catalog.pg_database AS d
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
    comment: DatabaseComment


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
    session.execute(comment_statement(name, comment), {"comment": comment.written()})


def comment_statement(name: str, comment: DatabaseComment) -> str:
    """Return the statement that writes a comment, with the parameter ``comment``."""
    return f"COMMENT ON DATABASE {escaped_identifier(name)} IS {'%(comment)s' if comment.written() else 'NULL'}"


def escaped_identifier(name: str) -> str:
    """Return a quoted name for a statement that has parameters, where a percent sign would begin one."""
    return quote_identifier(name).replace("%", "%%")


def _database(row: tuple[t.Any, ...]) -> ServerDatabase:
    return ServerDatabase(*row[:6], comment=read_comment(row[6]))
