# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Who owns what and who may do what in a database, and what the connected role may change about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import (
    FUTURE_KINDS,
    ArgumentType,
    Column,
    ObjectPrivileges,
    parse_acl,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Row, Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.shared_text import bytes_of, decoded_name


def _rights(owner: str, acl: str, letter: str) -> str:
    """Return the columns for the owner, the ACL, and what the server holds for granted where there is no ACL."""
    default = f'pg_catalog.acldefault(CAST({letter} AS pg_catalog."char"), {owner})'
    return f"pg_catalog.pg_get_userbyid({owner}), CAST({acl} AS pg_catalog.text[]), CAST({default} AS pg_catalog.text[])"


def _no_member(catalog: str, alias: str) -> str:
    """Return the condition that no extension brought the object: it will bring it again."""
    return (
        f"NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS e WHERE e.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass "
        f"AND e.objid = {alias}.oid AND e.deptype = 'e')"
    )


_NAMESPACE = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND (%(schemas)s::pg_catalog.text[] IS NULL OR n.nspname = ANY (%(schemas)s::pg_catalog.text[]))"""

# Each answers with: kind, schema, name, owner, ACL, default ACL, argument types, columns, table that a sequence is linked to.
_SCHEMAS = f"""
SELECT 'schema', NULL, n.nspname, {_rights("n.nspowner", "n.nspacl", "'n'")}, NULL, NULL, NULL
  FROM pg_catalog.pg_namespace AS n
 WHERE {_NAMESPACE} AND {_no_member("pg_namespace", "n")}
 ORDER BY 3
"""

_RELATIONS = f"""
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' ELSE 'table' END,
       n.nspname, c.relname, {_rights("c.relowner", "c.relacl", "CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END")}, NULL,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, CAST(a.attacl AS pg_catalog.text[])) ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind <> 'S'),
       (SELECT o.relname FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_class AS o ON o.oid = d.refobjid
         WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
           AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_NAMESPACE} AND {_no_member("pg_class", "c")}
 ORDER BY 2, 3
"""

# An array is told by its elements: its own name depends on the order in which types were created.
_ROUTINES = f"""
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
       n.nspname, p.proname, {_rights("p.proowner", "p.proacl", "'f'")},
       COALESCE((SELECT pg_catalog.json_agg(pg_catalog.json_build_array(tn.nspname, COALESCE(e.typname, t.typname), e.oid IS NOT NULL) ORDER BY a.number)
                   FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a(type, number)
                   JOIN pg_catalog.pg_type AS t ON t.oid = a.type
                   LEFT JOIN pg_catalog.pg_type AS e ON e.typarray = t.oid
                   JOIN pg_catalog.pg_namespace AS tn ON tn.oid = COALESCE(e.typnamespace, t.typnamespace)), '[]'), NULL, NULL
  FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
 WHERE {_NAMESPACE} AND {_no_member("pg_proc", "p")}
 ORDER BY 2, 3, p.oid
"""

# Neither the types of rows and arrays, which are their table's and their element's, nor multiranges, which are their range's.
_TYPES = f"""
SELECT 'type', n.nspname, t.typname, {_rights("t.typowner", "t.typacl", "'T'")}, NULL, NULL, NULL
  FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
 WHERE t.typisdefined AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)
   AND (t.typtype IN ('b', 'd', 'e', 'r')
        OR (t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c')))
   AND {_NAMESPACE} AND {_no_member("pg_type", "t")}
 ORDER BY 2, 3
"""


def _owned_alone(kind: str, catalog: str, prefix: str) -> str:
    """Return the query for a kind that has owners and no grants."""
    return f"""SELECT '{kind}', n.nspname, o.{prefix}name, pg_catalog.pg_get_userbyid(o.{prefix}owner),
       CAST(NULL AS pg_catalog.text[]), CAST('{{}}' AS pg_catalog.text[]), NULL, NULL, NULL
  FROM pg_catalog.{catalog} AS o JOIN pg_catalog.pg_namespace AS n ON n.oid = o.{prefix}namespace
 WHERE {_NAMESPACE} AND {_no_member(catalog, "o")}"""


_WITHOUT_GRANTS = " UNION ALL ".join(
    _owned_alone(*each)
    for each in (
        ("collation", "pg_collation", "coll"),
        ("conversion", "pg_conversion", "con"),
        ("statistics", "pg_statistic_ext", "stx"),
        ("text search configuration", "pg_ts_config", "cfg"),
        ("text search dictionary", "pg_ts_dict", "dict"),
    )
)

# Those of a schema come on top of the others, so that they begin with nothing.
_DEFAULT_PRIVILEGES = f"""
SELECT CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
                            WHEN 'n' THEN 'schemas' ELSE 'large objects' END,
       n.nspname, pg_catalog.pg_get_userbyid(d.defaclrole),
       {_rights("d.defaclrole", "d.defaclacl", "CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END")}, NULL, NULL, NULL
  FROM pg_catalog.pg_default_acl AS d LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
 WHERE (d.defaclnamespace = 0 AND %(schemas)s::pg_catalog.text[] IS NULL) OR ({_NAMESPACE})
 ORDER BY 3, 2 NULLS FIRST, 1
"""

_OF_NO_SCHEMA = (
    f"""
SELECT 'language', NULL, l.lanname, {_rights("l.lanowner", "l.lanacl", "'l'")}, NULL, NULL, NULL
  FROM pg_catalog.pg_language AS l WHERE l.lanispl AND {_no_member("pg_language", "l")} ORDER BY 3
""",
    f"""
SELECT 'foreign data wrapper', NULL, w.fdwname, {_rights("w.fdwowner", "w.fdwacl", "'F'")}, NULL, NULL, NULL
  FROM pg_catalog.pg_foreign_data_wrapper AS w WHERE {_no_member("pg_foreign_data_wrapper", "w")} ORDER BY 3
""",
    f"""
SELECT 'server', NULL, s.srvname, {_rights("s.srvowner", "s.srvacl", "'S'")}, NULL, NULL, NULL
  FROM pg_catalog.pg_foreign_server AS s WHERE {_no_member("pg_foreign_server", "s")} ORDER BY 3
""",
    f"""
SELECT 'large object', NULL, CAST(m.oid AS pg_catalog.text), {_rights("m.lomowner", "m.lomacl", "'L'")}, NULL, NULL, NULL
  FROM pg_catalog.pg_largeobject_metadata AS m ORDER BY m.oid
""",
)


_ROLES_TO_BE = f"SELECT {bytes_of('r.rolname')} FROM pg_catalog.pg_roles AS r WHERE pg_catalog.pg_has_role(r.oid, %(option)s)"


def read_privileges(session: Session, schemas: Collection[str] | None = None) -> list[ObjectPrivileges]:
    """Read the owners and grants of everything that no extension brought, or of these schemas and what is in them alone.

    The owners of operators, operator classes and families, publications, subscriptions and event triggers are not among them.
    """
    queries = [_SCHEMAS, _RELATIONS, _ROUTINES, _TYPES, _WITHOUT_GRANTS, _DEFAULT_PRIVILEGES]
    if schemas is None:
        queries += _OF_NO_SCHEMA
    parameters = {"schemas": None if schemas is None else sorted(schemas)}
    return [_object(row) for query in queries for row in session.rows(query, parameters)]


def settable_roles(session: Session) -> frozenset[str] | None:
    """Return the roles that the current role may make owners in the database it is connected to, or None where it is a superuser, who may choose any.

    That differs between databases: the owner of a database may act as pg_database_owner there.
    """
    superuser, version = session.row(
        "SELECT r.rolsuper, pg_catalog.current_setting('server_version_num')::pg_catalog.int4 FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user"
    )
    if superuser:
        return None
    # From 16 on a member may be kept from becoming the role.
    option = "SET" if version >= 160000 else "MEMBER"
    return frozenset(decoded_name(session, role) for (role,) in session.rows(_ROLES_TO_BE, {"option": option}))


def refused_statements(session: Session, statements: Iterable[str]) -> list[str]:
    """Try statements in a transaction that is then undone; return one sentence for each that the server refuses.

    So what a transaction of a swap would stumble over is known before. The session must not be in a transaction.
    """
    refusals = []
    session.execute("BEGIN")
    try:
        for statement in statements:
            session.execute("SAVEPOINT rehearsal")
            try:
                session.execute(statement)
            except DatabaseError as error:
                if session.lost:
                    raise
                session.execute("ROLLBACK TO SAVEPOINT rehearsal")
                shown, value = _without_value(statement)
                refusals.append(f"{shown}: {error.message.replace(value, '...') if value else error.message}")
    finally:
        if not session.lost:
            session.execute("ROLLBACK")
    return refusals


def _without_value(statement: str) -> tuple[str, str]:
    """Return a statement without the value that it sets, which may be a secret of an application's, and that value as a server would quote it."""
    setting, separator, value = statement.partition(" TO ") if " SET " in statement else (statement, "", "")
    return f"{setting} TO ..." if separator else setting, value.removeprefix("E").strip("'").replace("''", "'").replace("\\\\", "\\")


def _object(row: Row) -> ObjectPrivileges:
    kind, schema, name, owner, acl, default, arguments, columns, linked_to = row
    added = kind in FUTURE_KINDS and schema is not None
    return ObjectPrivileges(
        kind,
        schema,
        name,
        owner,
        acl=parse_acl(acl),
        default=() if added else parse_acl(default) or (),
        arguments=None if arguments is None else tuple(ArgumentType(*argument) for argument in arguments),
        columns=tuple(_column(*column) for column in columns or ()),
        linked_to=linked_to,
    )


def _column(name: str, acl: list[str] | None) -> Column:
    return Column(name, parse_acl(acl) or ())
