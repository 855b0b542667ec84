# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Questions to a database's catalogs, one function each. All of them run inside whatever transaction the session is in."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.patterns import NamePattern, parse_pattern
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation, ServerFacts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.prisma import MigrationRow, read_status, summarize
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.shared_text import bytes_of, decoded_name, decoded_words

# It is asked before it is known whether the session may be settled, so it names its operators.
_SERVER = """
SELECT pg_catalog.current_setting('server_version_num')::int, pg_catalog.current_setting('server_version'),
       pg_catalog.current_database(), d.oid::bigint, current_user,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user),
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),
       CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) ELSE 0 END,
       pg_catalog.current_setting('max_locks_per_transaction')::bigint
         OPERATOR(pg_catalog.*) (pg_catalog.current_setting('max_connections')::bigint
                                 OPERATOR(pg_catalog.+) pg_catalog.current_setting('max_prepared_transactions')::bigint),
       EXTRACT(EPOCH FROM pg_catalog.clock_timestamp())::float8
  FROM pg_catalog.pg_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
"""

# %(...)s patterns come as arrays, so that the statement stays one whatever the selection.
_RELATIONS = """
WITH pattern AS (SELECT * FROM ROWS FROM (
  pg_catalog.unnest(%(options)s::text[]), pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[])) AS p(option, schema, name)),
visible AS (SELECT DISTINCT ON (v.relname) v.oid FROM pg_catalog.pg_class AS v JOIN pg_catalog.pg_namespace AS s ON s.oid = v.relnamespace
             WHERE s.nspname::text = ANY (%(path)s::text[])
             ORDER BY v.relname, pg_catalog.array_position(%(path)s::text[], s.nspname::text))
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
       (SELECT e.extname FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
           AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e' LIMIT 1),
       CASE WHEN EXISTS (SELECT FROM pattern WHERE option = 'schemas')
             AND NOT EXISTS (SELECT FROM pattern AS p WHERE option = 'schemas' AND n.nspname OPERATOR(pg_catalog.~) p.name) THEN 'schemas'
            ELSE (SELECT p.option FROM pattern AS p
                   WHERE (p.option = 'exclude_schemas' AND n.nspname OPERATOR(pg_catalog.~) p.name)
                      OR (p.option IN ('exclude_tables', 'exclude_table_data') AND c.relname OPERATOR(pg_catalog.~) p.name
                          AND CASE WHEN p.schema IS NULL THEN c.oid IN (SELECT oid FROM visible) ELSE n.nspname OPERATOR(pg_catalog.~) p.schema END)
                   ORDER BY p.option = 'exclude_table_data' LIMIT 1) END,
       CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'm', 'S')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
   AND (n.nspname !~ '^pg_temp_' OR c.relpersistence = 't')
   AND NOT (c.relkind = 'S' AND c.relpersistence = 't')
 ORDER BY n.nspname, c.relname
"""

_UNREADABLE_LARGE_OBJECTS = """
SELECT count(*) FROM pg_catalog.pg_largeobject_metadata AS m
 WHERE NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE')
   AND NOT pg_catalog.current_setting('lo_compat_privileges')::boolean
   AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) AS a
                    WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
"""

# What is not asked for as bytes is in ASCII, and so is what to_jsonb leaves.
_DATABASE = f"""
SELECT {bytes_of("pg_catalog.pg_get_userbyid(d.datdba)")}, pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       d.datconnlimit,
       CASE WHEN d.datacl IS NOT NULL THEN ARRAY(SELECT {bytes_of("i.item")} FROM pg_catalog.unnest(d.datacl) WITH ORDINALITY AS i(item, n) ORDER BY i.n) END,
       {bytes_of("pg_catalog.shobj_description(d.oid, 'pg_database')")},
       (SELECT {bytes_of("s.spcname")} FROM pg_catalog.pg_tablespace AS s WHERE s.oid = d.dattablespace),
       pg_catalog.to_jsonb(d) - ARRAY['datname', 'datacl']
  FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()
"""

_SETTINGS = f"""
SELECT CASE WHEN s.setrole <> 0 THEN {bytes_of("pg_catalog.pg_get_userbyid(s.setrole)")} END,
       ARRAY(SELECT {bytes_of("c.setting")} FROM pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS c(setting, n) ORDER BY c.n)
  FROM pg_catalog.pg_db_role_setting AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
 WHERE d.datname = pg_catalog.current_database() ORDER BY 1 NULLS FIRST
"""

_ROLES = f"""
SELECT DISTINCT {bytes_of("r.rolname")} FROM pg_catalog.pg_shdepend AS s JOIN pg_catalog.pg_roles AS r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   AND s.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
   AND (s.dbid <> 0 OR (s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
        AND s.objid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())))
UNION SELECT {bytes_of("pg_catalog.pg_get_userbyid(datdba)")} FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
 ORDER BY 1
"""

# Under an older snapshot a table that was truncated or rewritten since reads as empty. The transaction sees the catalog's old file, the function the new.
_REWRITTEN = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (CAST(%(oids)s AS pg_catalog.oid[])) AND c.relfilenode <> 0
   AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
 ORDER BY 1, 2
"""

# Partitioned indexes are invalid by nature until the last partition has its own; those of partitions count by themselves.
_DEFECTS = """
SELECT 'invalid_indexes', n.nspname, c.relname
  FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE NOT (i.indisvalid AND i.indisready) AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_(toast|temp_)'
UNION ALL
SELECT 'unvalidated_constraints', n.nspname, r.relname || '.' || k.conname
  FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS r ON r.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
 WHERE NOT k.convalidated AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_temp_'
 ORDER BY 1, 2, 3
"""

_SEQUENCES = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
_SEQUENCES_A_QUERY = 200

_PRISMA_TABLES = """
SELECT pg_catalog.quote_ident(n.nspname) || '._prisma_migrations',
       EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attname = 'checksum' AND a.atttypid IN (25, 1043))
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relname = '_prisma_migrations' AND c.relkind = 'r' AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND NOT pg_catalog.row_security_active(c.oid)
   AND (SELECT count(*) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND NOT a.attisdropped
           AND a.attname IN ('migration_name', 'started_at', 'finished_at', 'rolled_back_at')
           -- Anybody may call a table so; of built-in types only (text, varchar, timestamps), no function of theirs runs as us.
           AND a.atttypid IN (25, 1043, 1114, 1184)) = 4
 ORDER BY 1
"""


class PrismaTable(t.NamedTuple):
    """A table of Prisma's migrations, its name ready for SQL."""

    name: str
    has_checksum: bool


def read_server(session: Session) -> ServerFacts:
    """Ask the server who and what it is."""
    before = time.time()
    found = session.row(_SERVER)
    after = time.time()
    identifier = str(session.row("SELECT system_identifier FROM pg_catalog.pg_control_system()")[0]) if found[7] else None
    login = session.pinned_login
    pooled = not session.settled and _shares_backends(session)
    if not session.settled and not pooled:
        session.settle()
    return ServerFacts(
        version_num=found[0],
        version=found[1].split()[0],
        database=found[2],
        database_oid=found[3],
        user=found[4],
        superuser=found[5],
        in_recovery=found[6],
        system_identifier=identifier,
        size=found[8],
        lock_slots=found[9],
        clock_skew=found[10] - (before + after) / 2,
        pooled=pooled,
        address=login.hosts[0][0],
        port=login.hosts[0][1] or 5432,
        ssl=session.encrypted,
    )


def _shares_backends(session: Session) -> bool:
    """Say whether something between us and the server gives one server process to several connections.

    That the process is not the one announced at connect time shows only that something is between, which may be a proxy that keeps connections
    apart. With two connections open and idle, a pooler either answers both by one process, or one of them by several.
    """
    with Session(session.pinned_login) as other:
        ours, theirs = zip(*((_backend(session), _backend(other)) for _attempt in range(4)), strict=True)
    return len(set(ours)) > 1 or not set(ours).isdisjoint(theirs)


def _backend(session: Session) -> int:
    return int(session.row("SELECT pg_catalog.pg_backend_pid()")[0])


def read_relations(session: Session, selection: Selection) -> list[Relation]:
    """List the tables, partitioned and foreign tables, materialized views and sequences with what this role may do and what leaves them out."""
    patterns = list(_patterns(selection))
    parameters = {
        "options": [option for option, _pattern in patterns],
        "schemas": [pattern.schema for _option, pattern in patterns],
        "names": [pattern.name for _option, pattern in patterns],
        "path": session.default_search_path() if any(pattern.schema is None for _option, pattern in patterns) else [],
    }
    return [Relation(*row) for row in session.rows(_RELATIONS, parameters)]


def count_unreadable_large_objects(session: Session, facts: ServerFacts) -> int:
    """Count the large objects that this role may not read (pg_read_all_data covers them from PostgreSQL 18 on)."""
    if facts.superuser:
        return 0
    if facts.major >= 18 and session.row("SELECT pg_catalog.pg_has_role('pg_read_all_data', 'USAGE')")[0]:
        return 0
    return int(session.row(_UNREADABLE_LARGE_OBJECTS)[0])


def read_database(session: Session) -> dict[str, t.Any]:
    """Read the properties of the database itself, none of which an archive carries."""
    owner, encoding, collate, ctype, limit, acl, comment, tablespace, everything = session.row(_DATABASE)

    def named(stored: memoryview | None) -> str | None:
        return None if stored is None else decoded_name(session, stored)

    settings = [{"role": named(role), "settings": [decoded_words(session, setting) for setting in config]} for role, config in session.rows(_SETTINGS)]
    return {
        "owner": named(owner),
        "encoding": encoding,
        "locale": {
            "collate": collate,
            "ctype": ctype,
            # The columns' names differ between majors; what a major does not have is null.
            "provider": everything.get("datlocprovider"),
            "locale": everything.get("datlocale", everything.get("daticulocale")),
            "icu_rules": everything.get("daticurules"),
            "collation_version": everything.get("datcollversion"),
        },
        "connection_limit": limit,
        "acl": None if acl is None else [named(item) for item in acl],
        "comment": named(comment),
        "tablespace": named(tablespace),
        "settings": settings,
    }


def read_extensions(session: Session) -> dict[str, str]:
    """Return ``{extension: version}``."""
    return dict(session.rows("SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY 1"))


def read_roles(session: Session) -> list[str]:
    """Return the roles that own something in the database or were granted something."""
    return [decoded_name(session, name) for (name,) in session.rows(_ROLES)]


def read_defects(session: Session) -> dict[str, list[str]]:
    """Return the names of invalid indexes and of constraints that were never validated."""
    found: dict[str, list[str]] = {"invalid_indexes": [], "unvalidated_constraints": []}
    for kind, schema, name in session.rows(_DEFECTS):
        found[kind].append(qualified_name(schema, name))
    return found


def read_sequences(session: Session) -> dict[str, dict[str, t.Any]]:
    """Return ``{qualified name: {last_value, is_called}}`` of every sequence."""
    names = session.rows(_SEQUENCES)
    values: dict[str, dict[str, t.Any]] = {}
    for start in range(0, len(names), _SEQUENCES_A_QUERY):
        batch = names[start : start + _SEQUENCES_A_QUERY]
        query = " UNION ALL ".join(
            f"SELECT {number}, last_value, is_called FROM {quote_identifier(schema)}.{quote_identifier(name)}" for number, (schema, name) in enumerate(batch)
        )
        for number, last_value, is_called in session.rows(query):
            values[qualified_name(*batch[number])] = {"last_value": int(last_value), "is_called": bool(is_called)}
    return values


def find_rewritten(session: Session, oids: t.Collection[int]) -> list[str]:
    """Name those of the tables whose rows of this session's snapshot are gone; reliable while somebody's locks keep them from changing further."""
    return [qualified_name(schema, name) for schema, name in session.rows(_REWRITTEN, {"oids": sorted(oids)})]


def find_prisma_tables(session: Session, schema: str | None) -> list[PrismaTable]:
    """Return every table of Prisma's migrations in this schema (None: in any) that can be read, of which a database should have one."""
    return [PrismaTable(*row) for row in session.rows(_PRISMA_TABLES, {"schema": schema})]


def read_migration_rows(session: Session, table: PrismaTable) -> list[MigrationRow]:
    """Return the rows of Prisma's migrations in the order of application."""
    checksum = "checksum" if table.has_checksum else "NULL"
    rows = session.rows(
        f"SELECT migration_name, {checksum}, finished_at IS NOT NULL, rolled_back_at IS NOT NULL FROM {table.name} WHERE migration_name IS NOT NULL "
        "ORDER BY pg_catalog.max(started_at) OVER (PARTITION BY migration_name), migration_name, started_at"
    )
    return [MigrationRow(*row) for row in rows]


def read_prisma(session: Session, schema: str | None) -> dict[str, t.Any] | None:
    """Return Prisma's migration state ``{"last", "applied", "failed"}``, or None where exactly one table of it is not found."""
    tables = find_prisma_tables(session, schema)
    if len(tables) != 1:
        return None
    return summarize(read_status(read_migration_rows(session, tables[0])))


def _patterns(selection: Selection) -> t.Iterator[tuple[str, NamePattern]]:
    for option, values in selection.as_dict().items():
        for value in values:
            yield option, parse_pattern(value, option, qualified=option.startswith("exclude_table"))
