# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The schemas of a database and what is in them, as far as a restore inside of the database has to know: whose they are, and what else there is."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, read_comment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.patterns import parse_pattern
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.residue import LiveObject
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.databases import comment_on
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

_SCHEMAS = """
SELECT n.oid::bigint, n.nspname::text, pg_catalog.pg_get_userbyid(n.nspowner)::text, pg_catalog.pg_has_role(n.nspowner, 'USAGE'),
       pg_catalog.has_schema_privilege(n.oid, 'CREATE'), pg_catalog.obj_description(n.oid, 'pg_namespace')
  FROM pg_catalog.pg_namespace AS n
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)' ORDER BY n.nspname
"""

_LEFT_OUT = """
SELECT n.nspname::text FROM pg_catalog.pg_namespace AS n
 WHERE (pg_catalog.cardinality(CAST(%(schemas)s AS text[])) > 0 AND n.nspname OPERATOR(pg_catalog.~) ANY (CAST(%(schemas)s AS text[])) IS NOT TRUE)
    OR n.nspname OPERATOR(pg_catalog.~) ANY (CAST(%(exclude_schemas)s AS text[]))
"""

# Moving an extension takes the rights of the owners of all that it brought, and of a trusted extension that is a superuser.
_EXTENSIONS = """
SELECT e.extname::text, n.nspname::text, e.extrelocatable,
       pg_catalog.pg_has_role(e.extowner, 'USAGE') AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_depend AS d
           LEFT JOIN pg_catalog.pg_type AS y ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND y.oid = d.objid
           LEFT JOIN pg_catalog.pg_proc AS p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid
          WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid AND d.deptype = 'e'
            AND NOT pg_catalog.pg_has_role(coalesce(y.typowner, p.proowner), 'USAGE'))
  FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace ORDER BY e.extname
"""

# What an archive has entries for, called as pg_dump calls it. What extensions brought comes and goes with them.
_OBJECTS = """
WITH extended AS (SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
                   WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e')
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
                      WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
       n.nspname::text, c.relname::text, pg_catalog.pg_has_role(c.relowner, 'USAGE')
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND c.relpersistence <> 't' AND n.nspname = ANY (CAST(%(schemas)s AS pg_catalog.name[]))
   AND ('pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, c.oid) NOT IN (SELECT classid, objid FROM extended)
UNION ALL
SELECT CASE p.prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
       n.nspname::text, p.proname::text || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')', pg_catalog.pg_has_role(p.proowner, 'USAGE')
  FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
 WHERE n.nspname = ANY (CAST(%(schemas)s AS pg_catalog.name[]))
   AND ('pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid, p.oid) NOT IN (SELECT classid, objid FROM extended)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT CASE y.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname::text, y.typname::text, pg_catalog.pg_has_role(y.typowner, 'USAGE')
  FROM pg_catalog.pg_type AS y JOIN pg_catalog.pg_namespace AS n ON n.oid = y.typnamespace
 WHERE y.typtype IN ('b', 'd', 'e', 'r') AND y.typelem = 0 AND n.nspname = ANY (CAST(%(schemas)s AS pg_catalog.name[]))
   AND ('pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, y.oid) NOT IN (SELECT classid, objid FROM extended)
 ORDER BY 2, 1, 3
"""

# Foreign tables and materialized views cannot be locked.
_LOCKABLE = """
SELECT n.nspname::text, c.relname::text, c.relkind = 'v' FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname = ANY (CAST(%(schemas)s AS pg_catalog.name[])) AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
 ORDER BY n.nspname, c.relname
"""

# What DROP SCHEMA ... CASCADE would take along from elsewhere. "belongs" says what is a part of what: in a schema, of a table, brought by an extension, a
# child of a table (whose rows that shows as its own). A cast is of no use without its types. "inside" is what has a part in these schemas; where it has one
# elsewhere, too, as a table of a publication, that loses it.
_DEPENDENTS = """
WITH RECURSIVE belongs AS (
       SELECT d.classid, d.objid, d.refclassid, d.refobjid, true AS wholly FROM pg_catalog.pg_depend AS d
        WHERE d.deptype IN ('a', 'i', 'P', 'e') OR (d.deptype = 'n' AND d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass)
       UNION ALL
       SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, h.inhrelid, 'pg_catalog.pg_class'::pg_catalog.regclass, h.inhparent, true
         FROM pg_catalog.pg_inherits AS h
       UNION ALL
       SELECT d.classid, d.objid, d.refclassid, d.refobjid, false FROM pg_catalog.pg_depend AS d
        WHERE d.deptype = 'n' AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
          AND d.classid IN ('pg_catalog.pg_cast'::pg_catalog.regclass, 'pg_catalog.pg_transform'::pg_catalog.regclass)),
     inside AS (
       SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid AS classid, s.oid AS objid
         FROM pg_catalog.unnest(CAST(%(oids)s AS pg_catalog.oid[])) AS s (oid)
       UNION
       SELECT b.classid, b.objid FROM inside AS i JOIN belongs AS b ON (b.refclassid, b.refobjid) = (i.classid, i.objid)),
     dependent AS (
       SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend AS d JOIN inside AS i ON (d.refclassid, d.refobjid) = (i.classid, i.objid)
        WHERE NOT EXISTS (SELECT FROM inside AS o WHERE (o.classid, o.objid) = (d.classid, d.objid))
       UNION
       SELECT b.classid, b.objid, 0 FROM belongs AS b JOIN inside AS i ON (b.classid, b.objid) = (i.classid, i.objid)
        WHERE b.wholly AND NOT EXISTS (SELECT FROM inside AS o WHERE (o.classid, o.objid) = (b.refclassid, b.refobjid)))
SELECT DISTINCT pg_catalog.pg_describe_object(classid, objid, objsubid) FROM dependent ORDER BY 1
"""


@dataclasses.dataclass(frozen=True)
class DatabaseSchema:
    """One schema; ``owned`` says whether this role has its owner's rights, ``creatable`` whether it may create in it."""

    oid: int
    name: str
    owner: str
    owned: bool
    creatable: bool
    comment: DatabaseComment


@dataclasses.dataclass(frozen=True)
class InstalledExtension:
    """An extension of the database; ``owned`` says whether this role may do with it and all that it brought what their owners may."""

    name: str
    schema: str
    relocatable: bool
    owned: bool


def list_schemas(session: Session) -> list[DatabaseSchema]:
    """Return the schemas that are people's."""
    return [DatabaseSchema(oid, name, owner, owned, creatable, read_comment(comment)) for oid, name, owner, owned, creatable, comment in session.rows(_SCHEMAS)]


def list_left_out(session: Session, selection: Selection) -> frozenset[str]:
    """Return the schemas, of those that the database has, that a backup of this selection leaves out."""
    patterns = {
        option: [parse_pattern(value, option, qualified=False).name for value in getattr(selection, option)] for option in ("schemas", "exclude_schemas")
    }
    return frozenset(row[0] for row in session.rows(_LEFT_OUT, patterns))


def list_extensions(session: Session) -> list[InstalledExtension]:
    """Return the extensions of the database."""
    return [InstalledExtension(*row) for row in session.rows(_EXTENSIONS)]


def list_objects(session: Session, schemas: t.Collection[str]) -> list[LiveObject]:
    """Return everything in these schemas that an archive could have an entry for."""
    return [LiveObject(*row) for row in session.rows(_OBJECTS, {"schemas": sorted(schemas)})]


def may_create_schemas(session: Session) -> bool:
    """Say whether this role may create schemas in the database."""
    return bool(session.row("SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')")[0])


def rename_schema(session: Session, name: str, new_name: str) -> None:
    """Rename a schema; what is in it goes along."""
    session.execute(f"ALTER SCHEMA {quote_identifier(name)} RENAME TO {quote_identifier(new_name)}")


def lock_relations(session: Session, schemas: t.Collection[str], *, views: bool) -> None:
    """Lock what these schemas hold of this role's tables (and views) against every use until the transaction ends.

    A view's lock takes its tables' along, as its owner: one that may only read them cannot lock it (``INSUFFICIENT_PRIVILEGE``).
    """
    found = [
        f"{quote_identifier(schema)}.{quote_identifier(name)}"
        for schema, name, is_view in session.rows(_LOCKABLE, {"schemas": sorted(schemas)})
        if views or not is_view
    ]
    if found:
        session.execute(f"LOCK TABLE {', '.join(found)} IN ACCESS EXCLUSIVE MODE")


def write_schema_comment(session: Session, name: str, comment: DatabaseComment) -> None:
    """Replace a schema's comment; only its owner may."""
    comment_on(session, "SCHEMA", name, comment)


def find_dependents(session: Session, oids: t.Collection[int]) -> list[str]:
    """Describe what is not in these schemas and would be lost with them, because it depends on what is in them or is a part of both."""
    return [row[0] for row in session.rows(_DEPENDENTS, {"oids": sorted(oids)})]
