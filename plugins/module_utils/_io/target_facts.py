# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Questions to a server that is to be restored into: what this role may do there, what hangs on the target, what the server has."""

from __future__ import annotations

import os

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.shared_text import bytes_of, decoded_name

_RIGHTS = "SELECT r.rolsuper, r.rolsuper OR r.rolcreatedb FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user"

_SUBSCRIBES = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles AS r
                WHERE (r.rolname = current_user AND r.rolsuper) OR (r.rolname = 'pg_create_subscription' AND pg_catalog.pg_has_role(r.oid, 'USAGE')))
"""

_HANGS_ON = """
SELECT (SELECT pg_catalog.array_agg(s.slot_name::text ORDER BY 1) FROM pg_catalog.pg_replication_slots AS s WHERE s.database = %(name)s),
       (SELECT pg_catalog.array_agg(s.subname::text ORDER BY 1) FROM pg_catalog.pg_subscription AS s WHERE s.subdbid = %(oid)s::pg_catalog.oid),
       (SELECT pg_catalog.array_agg(x.gid ORDER BY 1) FROM pg_catalog.pg_prepared_xacts AS x WHERE x.database = %(name)s)
"""

# What initdb and extensions put there is nobody's loss.
_EMPTY = """
WITH ours AS (SELECT n.oid FROM pg_catalog.pg_namespace AS n
               WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'),
     extended AS (SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
                   WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e')
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace IN (SELECT oid FROM ours)
                      AND (('pg_catalog.pg_class'::pg_catalog.regclass)::pg_catalog.oid, c.oid) NOT IN (SELECT classid, objid FROM extended)
                      AND c.relkind NOT IN ('i', 'I', 't'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace IN (SELECT oid FROM ours)
                      AND (('pg_catalog.pg_proc'::pg_catalog.regclass)::pg_catalog.oid, p.oid) NOT IN (SELECT classid, objid FROM extended))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS y WHERE y.typnamespace IN (SELECT oid FROM ours)
                      AND (('pg_catalog.pg_type'::pg_catalog.regclass)::pg_catalog.oid, y.oid) NOT IN (SELECT classid, objid FROM extended)
                      AND y.typelem = 0 AND y.typtype <> 'm')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
"""

_NEWEST_TABLE = """
SELECT COALESCE(pg_catalog.max(c.oid::bigint), 0) FROM pg_catalog.pg_class AS c
 WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND c.oid::bigint >= 16384
"""

# A schema that was swapped out and came back has its old OID and its old tables, but not the row that it had.
_SCHEMAS = """
SELECT COALESCE(pg_catalog.string_agg(n.oid::text || ':' || n.xmin::text, ' ' ORDER BY n.oid), '') FROM pg_catalog.pg_namespace AS n
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
"""

_EXTENSIONS = """
SELECT v.name::text, bool_or(v.superuser AND NOT v.trusted) FROM pg_catalog.pg_available_extension_versions AS v GROUP BY v.name
"""

_ROLES = f"SELECT {bytes_of('r.rolname')} FROM pg_catalog.pg_roles AS r"

_TABLESPACES = f"""
SELECT {bytes_of("s.spcname")} FROM pg_catalog.pg_tablespace AS s WHERE pg_catalog.has_tablespace_privilege(s.oid, 'CREATE')
    OR s.oid = (SELECT d.dattablespace FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
"""

# Of others' sessions a role without pg_read_all_stats sees no more than these two columns. The processes of the server itself have no role.
_FREE_CONNECTIONS = """
WITH connected AS (SELECT a.usesysid FROM pg_catalog.pg_stat_activity AS a WHERE a.datid IS NOT NULL AND a.usesysid IS NOT NULL)
SELECT LEAST(pg_catalog.current_setting('max_connections')::int - pg_catalog.current_setting('superuser_reserved_connections')::int
               - COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::int - (SELECT count(*) FROM connected),
             CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper
                  THEN r.rolconnlimit - (SELECT count(*) FROM connected AS c WHERE c.usesysid = r.oid) END)
  FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user
"""


def read_rights(session: Session) -> tuple[bool, bool]:
    """Return whether this role is a superuser, and whether it may create databases."""
    superuser, createdb = session.row(_RIGHTS)
    return bool(superuser), bool(createdb)


def may_subscribe(session: Session) -> bool:
    """Say whether this role may create subscriptions: before 16 no member of a role may, only superusers."""
    return bool(session.row(_SUBSCRIBES)[0])


def read_what_hangs_on(session: Session, name: str, oid: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the logical replication slots, the subscriptions and the prepared transactions of a database."""
    found = session.row(_HANGS_ON, {"name": name, "oid": oid})
    return tuple(found[0] or ()), tuple(found[1] or ()), tuple(found[2] or ())


def is_empty(session: Session) -> bool:
    """Say whether the database of this session holds nothing that somebody made."""
    return bool(session.row(_EMPTY)[0])


def read_newest_table(session: Session) -> int:
    """Return the highest OID of a table of the session's database, 0 where it has none."""
    return int(session.row(_NEWEST_TABLE)[0])


def read_schemas(session: Session) -> str:
    """Return the OIDs of the schemas of the session's database, each with the transaction that last changed it."""
    return str(session.row(_SCHEMAS)[0])


def may_have_rows(session: Session, relation: Relation) -> bool:
    """Say whether a table holds rows; one that has something on disk and cannot be read in full counts as one that does."""
    if not session.row("SELECT pg_catalog.pg_relation_size(CAST(%(oid)s AS pg_catalog.oid)) > 0", {"oid": relation.oid})[0]:
        return False
    if not relation.readable or not relation.schema_usable or relation.row_security:
        return True
    return bool(session.row(f"SELECT EXISTS (SELECT FROM ONLY {quote_identifier(relation.schema)}.{quote_identifier(relation.name)})")[0])


def read_available_extensions(session: Session) -> dict[str, bool]:
    """Return the extensions that the server could create, each with whether only a superuser may."""
    return {name: bool(superuser) for name, superuser in session.rows(_EXTENSIONS)}


def read_role_names(session: Session) -> frozenset[str]:
    """Return the roles of the server."""
    return frozenset(decoded_name(session, name) for (name,) in session.rows(_ROLES))


def read_usable_tablespaces(session: Session) -> frozenset[str]:
    """Return the tablespaces in which this role may create, and the database's own."""
    return frozenset(decoded_name(session, name) for (name,) in session.rows(_TABLESPACES))


def read_free_connections(session: Session) -> int:
    """Return how many connections this role could open now, without those that the server reserves for others."""
    return max(0, int(session.row(_FREE_CONNECTIONS)[0]))


def read_free_disk(session: Session) -> int | None:
    """Return the bytes free for the server's data, where it runs on this host and says where they are; else None."""
    may_know = session.row(
        "SELECT pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE') AND pg_catalog.inet_server_addr() IS NOT DISTINCT FROM pg_catalog.inet_client_addr()"
    )[0]
    if not may_know:
        return None
    directory = str(session.row("SELECT pg_catalog.current_setting('data_directory')")[0])
    return _free_bytes(directory)


def _free_bytes(directory: str) -> int | None:
    # A container's directory is not this host's of the same name: only the directory of a server that is seen running here counts.
    try:
        os.stat(os.path.join(directory, "PG_VERSION"))
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
