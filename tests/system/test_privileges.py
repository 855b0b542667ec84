# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy restored without owners and grants is given those of the live database: who could do something before can do it after, and nobody else."""

from __future__ import annotations

import dataclasses
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import (
    Grant,
    ObjectPrivileges,
    database_privileges,
    database_statements,
    lost_owners,
    lost_privileges,
    statements_to_match,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.database_facts import read_database
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.privilege_facts import read_privileges, refused_statements, settable_roles
from harness.postgres import PostgresServer
from system.scenes import PASSWORD, Database, quoted

pytestmark = pytest.mark.every_major

ODD = """Odd "S" %s it's"""
ODD_TABLE = 'User "x" %'


@dataclasses.dataclass(frozen=True)
class Cast:
    """The roles of a test: two owners, an application's, a reader's, somebody from outside, and who restores."""

    owner: str
    other_owner: str
    app: str
    reader: str
    outsider: str
    operator: str

    def written(self, text: str) -> str:
        """Put the roles' names into a statement."""
        for role, name in dataclasses.asdict(self).items():
            text = text.replace(f"<{role}>", quoted(name))
        return text


@dataclasses.dataclass(frozen=True)
class Stage:
    """A live database, and a database beside it that is created by a test."""

    server: PostgresServer
    live: Database
    shadow: Database
    cast: Cast

    def privileges(self, database: Database, **options: Any) -> list[ObjectPrivileges]:
        """Read the privileges of a database."""
        with database.session() as session:
            return read_privileges(session, **options)

    def execute(self, *statements: str, database: Database | None = None, role: str | None = None) -> None:
        """Run statements in the live database unless told otherwise, as the superuser or a role."""
        with (database or self.live).connected(role) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(self.cast.written(statement))

    def restore(self, directory: Path, role: str | None = None) -> None:
        """Bring the live database's content into the shadow, without owners and grants."""
        archive = directory / "live.dump"
        self.client("pg_dump", None, "--format=custom", f"--file={archive}", self.live.name)
        self.client("pg_restore", role, "--exit-on-error", "--no-owner", "--no-privileges", f"--dbname={self.shadow.name}", str(archive))

    def client(self, program: str, role: str | None, *arguments: str) -> None:
        """Run a client program as the superuser or a role."""
        name, password = (self.server.superuser, self.server.password) if role is None else (role, PASSWORD)
        login = {"PGHOST": self.server.host, "PGPORT": str(self.server.port), "PGUSER": name, "PGPASSWORD": password}
        command = [str(self.server.installation.program(program)), *arguments]
        answer = subprocess.run(command, env={**os.environ, **login}, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr

    def match(self, role: str | None = None) -> list[str]:
        """Give the shadow the live owners and grants, as the superuser or a role; return the notes."""
        live = self.privileges(self.live)
        with self.shadow.session(role) as session:
            settable = settable_roles(session)
            assert (settable is None) == (role is None)
            statements, notes = statements_to_match(live, read_privileges(session), settable_owners=settable, operator=role or self.server.superuser)
            for statement in statements:
                session.execute(statement)
            # What was done need not be done again.
            assert statements_to_match(live, read_privileges(session), settable_owners=settable, operator=role or self.server.superuser)[0] == []
        return notes

    def may(self, database: Database, role: str, *statements: str) -> list[bool]:
        """Say for each statement whether a role that logs in may do it; each is undone."""
        with database.connected(getattr(self.cast, role)) as connection, connection.cursor() as cursor:
            return [self._succeeds(cursor, statement) for statement in statements]

    def _succeeds(self, cursor: Any, statement: str) -> bool:
        cursor.execute("BEGIN")
        try:
            cursor.execute(self.cast.written(statement))
        except psycopg2.errors.InsufficientPrivilege:
            return False
        finally:
            cursor.execute("ROLLBACK")
        return True


@pytest.fixture
def stage(pg: PostgresServer) -> Iterator[Stage]:
    """A live database that belongs to one role and is used by others, all with odd names."""
    names = {role: f"""{role} "{secrets.token_hex(3)}" É%s""" for role in ("owner", "other_owner", "outsider")}
    plain = {role: f"{role}_{secrets.token_hex(3)}" for role in ("app", "reader", "operator")}
    cast = Cast(**names, **{**plain, "reader": plain["reader"].upper()})
    live, shadow = (Database(pg, f"{name}_{secrets.token_hex(3)}") for name in ("Live", "shadow"))
    with pg.connect() as connection, connection.cursor() as cursor:
        for role in dataclasses.asdict(cast).values():
            cursor.execute(f"CREATE ROLE {quoted(role)} LOGIN PASSWORD '{PASSWORD}'")
    try:
        live.create(f"OWNER {quoted(cast.owner)}")
        yield Stage(pg, live, shadow, cast)
    finally:
        shadow.drop()
        live.drop()
        with pg.connect() as connection, connection.cursor() as cursor:
            for role in dataclasses.asdict(cast).values():
                cursor.execute(f"DROP ROLE {quoted(role)}")


BY_THE_OWNER = f"""
CREATE SCHEMA {quoted(ODD)};
GRANT USAGE ON SCHEMA {quoted(ODD)} TO <app>, <reader>;
CREATE TYPE mood AS ENUM ('sad', 'happy');
REVOKE USAGE ON TYPE mood FROM PUBLIC;
GRANT USAGE ON TYPE mood TO <app> WITH GRANT OPTION;
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = int4);
CREATE TABLE users (id serial PRIMARY KEY, email text, secret text, feeling mood, number int GENERATED ALWAYS AS IDENTITY);
INSERT INTO users (email, secret) VALUES ('a@b', 'hidden');
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO <app>;
GRANT USAGE ON SEQUENCE users_id_seq TO <app>;
GRANT SELECT (id, email), UPDATE (email) ON users TO <reader>;
CREATE TABLE secrets (a int);
CREATE TABLE "order" (a int, "B ""%" int);
GRANT ALL ON "order" TO PUBLIC;
GRANT SELECT ("B ""%") ON "order" TO <reader> WITH GRANT OPTION;
CREATE TABLE log (a int);
REVOKE DELETE, TRUNCATE ON log FROM <owner>;
GRANT INSERT ON log TO <app>;
CREATE TABLE notes (a int);
GRANT SELECT ON notes TO <app> WITH GRANT OPTION;
CREATE TABLE {quoted(ODD)}.{quoted(ODD_TABLE)} (a int);
GRANT SELECT ON {quoted(ODD)}.{quoted(ODD_TABLE)} TO <reader>;
CREATE TABLE parts (a int) PARTITION BY LIST (a);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
GRANT SELECT ON parts TO <reader>;
CREATE SEQUENCE alone;
GRANT SELECT, UPDATE ON SEQUENCE alone TO <reader>;
CREATE VIEW emails AS SELECT email FROM users;
GRANT SELECT ON emails TO <reader>;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM users;
GRANT SELECT ON counted TO <app>;
CREATE FUNCTION reveal(mood[], text, {quoted(ODD)}.{quoted(ODD_TABLE)}, VARIADIC name[] DEFAULT '{{}}') RETURNS text LANGUAGE sql SECURITY DEFINER
  AS 'SELECT secret FROM public.users';
REVOKE EXECUTE ON FUNCTION reveal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reveal TO <app>;
CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION table_of(OUT a int, OUT b int) LANGUAGE sql AS 'SELECT 1, 2';
CREATE PROCEDURE tidy(INOUT a int) LANGUAGE plpgsql AS 'BEGIN a := 1; END';
REVOKE EXECUTE ON PROCEDURE tidy FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE tidy TO <app>;
CREATE FUNCTION add_one(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
CREATE AGGREGATE steps(*) (SFUNC = add_one, STYPE = int, INITCOND = '0');
REVOKE EXECUTE ON FUNCTION steps() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION steps() TO <reader>;
-- The name of its array is another one in a copy, which creates _tone first.
CREATE TYPE tone AS ENUM ();
CREATE TYPE _tone AS ENUM ();
CREATE FUNCTION toned(tone[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION toned FROM PUBLIC;
CREATE STATISTICS together ON id, email FROM users;
CREATE COLLATION {quoted(ODD)}."Mine" FROM "C";
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
SELECT lo_from_bytea(7001, 'x'), lo_from_bytea(7002, 'y');
GRANT SELECT ON LARGE OBJECT 7001 TO <app>;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO <reader>;
ALTER DEFAULT PRIVILEGES IN SCHEMA {quoted(ODD)} GRANT INSERT ON TABLES TO <app>;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA {quoted(ODD)} GRANT USAGE ON TYPES TO PUBLIC
"""

AFTERWARDS = """
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO <app>, <reader>, <owner>;
CREATE TABLE old (a int);
ALTER TABLE old OWNER TO <other_owner>;
CREATE TABLE numbered (a bigserial);
ALTER TABLE numbered OWNER TO <other_owner>;
GRANT SELECT ON old TO <app>, <operator>
"""

# role, what it tries, whether it may.
ATTEMPTS = [
    ("app", "SELECT email, secret FROM users", True),
    ("app", "INSERT INTO users (email) VALUES ('x')", True),
    ("app", "TRUNCATE users", False),
    ("app", "ALTER TABLE users ADD more int", False),
    ("app", "SELECT * FROM secrets", False),
    ("app", "INSERT INTO log VALUES (1)", True),
    ("app", "SELECT * FROM log", False),
    ("app", "SELECT * FROM counted", True),
    ("app", "SELECT * FROM old", True),
    ("app", "SELECT public.nothing()", True),
    ("app", f"SELECT reveal('{{sad}}', '', NULL::{quoted(ODD)}.{quoted(ODD_TABLE)})", True),
    ("app", "CALL tidy(1)", True),
    ("app", "SELECT steps(*) FROM notes", False),
    ("app", "CREATE TEMPORARY TABLE x (a mood)", True),
    ("app", "GRANT SELECT ON notes TO <outsider>", True),
    ("app", "SELECT lo_get(7001)", True),
    ("app", "SELECT lo_get(7002)", False),
    ("app", "CREATE TABLE public.x (a int)", False),
    ("reader", "SELECT id, email FROM users", True),
    ("reader", "UPDATE users SET email = ''", True),
    ("reader", "SELECT secret FROM users", False),
    ("reader", "INSERT INTO users (email) VALUES ('x')", False),
    ("reader", "SELECT * FROM emails", True),
    ("reader", "SELECT * FROM counted", False),
    ("reader", f"SELECT * FROM {quoted(ODD)}.{quoted(ODD_TABLE)}", True),
    ("reader", "SELECT * FROM parts", True),
    ("reader", "SELECT * FROM part_1", False),
    ("reader", "SELECT nextval('alone')", True),
    ("reader", "SELECT nextval('users_id_seq')", False),
    ("reader", "SELECT reveal('{}', '', NULL)", False),
    ("reader", "CALL tidy(1)", False),
    ("reader", "SELECT steps(*) FROM (SELECT 1) AS x", True),
    ("reader", "CREATE TEMPORARY TABLE x (a mood)", False),
    ("reader", "SELECT lo_get(7001)", False),
    ("reader", 'DELETE FROM "order"', True),
    ("outsider", 'SELECT * FROM public."order"', False),
    ("outsider", f"SELECT * FROM {quoted(ODD)}.{quoted(ODD_TABLE)}", False),
    ("other_owner", "CREATE TABLE public.x (a int)", False),
]
AS_OWNERS = [
    ("owner", "ALTER TABLE users ADD more int", True),
    ("owner", "DELETE FROM log", False),
    ("owner", "GRANT DELETE ON log TO CURRENT_USER", True),
    ("owner", f"CREATE TABLE {quoted(ODD)}.x (a int); GRANT SELECT ON {quoted(ODD)}.x TO <reader>", True),
    ("owner", "DROP STATISTICS together", True),
    ("owner", "ALTER TYPE span RENAME TO spanned", True),
    ("owner", "SELECT lo_unlink(7002)", True),
    # Without USAGE on the schema it cannot even name its own table.
    ("other_owner", "ALTER TABLE public.old ADD more int", False),
]


def set_up(stage: Stage) -> None:
    """Fill the live database, whose roles have their rights by then."""
    stage.execute("GRANT CREATE ON SCHEMA public TO <owner>, <other_owner>")
    stage.execute(*BY_THE_OWNER.split(";\n"), role=stage.cast.owner)
    stage.execute(*AFTERWARDS.split(";\n"), "REVOKE CREATE ON SCHEMA public FROM <other_owner>")
    stage.execute("GRANT SELECT ON public.notes TO <reader>", role=stage.cast.app)


def require_verdicts(stage: Stage, database: Database, expected: list[tuple[str, str, bool]]) -> None:
    """Require that each role may do what it is expected to, and nothing else."""
    for role in dataclasses.asdict(stage.cast):
        verdicts = {statement: allowed for each, statement, allowed in expected if each == role}
        assert dict(zip(verdicts, stage.may(database, role, *verdicts), strict=True)) == verdicts


def comparable(found: list[ObjectPrivileges]) -> dict[Any, Any]:
    """Return owners and rights in a form in which the order of grants and their grantors make no difference."""

    def rights(grants: tuple[Grant, ...]) -> set[tuple[str | None, str, bool]]:
        return {(grant.grantee, grant.privilege, grant.grantable) for grant in grants}

    return {each.key: (each.owner, rights(each.effective), {column.name: rights(column.acl) for column in each.columns}) for each in found}


def require_equal(stage: Stage) -> None:
    """Require of the shadow what the live database has: by the catalogs, by trying, and for what will be created."""
    live, shadow = stage.privileges(stage.live), stage.privileges(stage.shadow)
    assert lost_privileges(live, shadow) == []
    assert lost_owners(live, shadow) == []
    assert comparable(shadow) == comparable(live)
    require_verdicts(stage, stage.shadow, ATTEMPTS + AS_OWNERS)
    new = [f"CREATE TABLE {quoted(ODD)}.new (a int)", f"CREATE FUNCTION {quoted(ODD)}.new() RETURNS int LANGUAGE sql AS 'SELECT 1'"]
    stage.execute(*new, database=stage.shadow, role=stage.cast.owner)
    assert stage.may(stage.shadow, "reader", f"SELECT * FROM {quoted(ODD)}.new") == [True]
    assert stage.may(stage.shadow, "app", f"INSERT INTO {quoted(ODD)}.new VALUES (1)") == [True]
    assert stage.may(stage.shadow, "app", f"SELECT {quoted(ODD)}.new()") == [False]


def test_a_superuser_makes_the_copy_equal(stage: Stage, tmp_path: Path) -> None:
    set_up(stage)
    stage.execute(
        "CREATE FOREIGN DATA WRAPPER nothing_wrapped",
        "CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing_wrapped",
        "ALTER SERVER elsewhere OWNER TO <other_owner>",
        "CREATE FOREIGN TABLE far (a serial) SERVER elsewhere",
        "GRANT USAGE ON FOREIGN DATA WRAPPER nothing_wrapped TO <app>",
        "GRANT USAGE ON FOREIGN SERVER elsewhere TO <app>",
        "GRANT SELECT (a) ON far TO <reader>",
    )
    require_verdicts(stage, stage.live, ATTEMPTS + AS_OWNERS)
    stage.shadow.create(f"OWNER {quoted(stage.cast.owner)}")
    stage.restore(tmp_path)
    for database in (stage.live, stage.shadow):
        stage.execute("CREATE TRUSTED LANGUAGE mine HANDLER plpgsql_call_handler", database=database)
    stage.execute("ALTER LANGUAGE mine OWNER TO <owner>", "REVOKE USAGE ON LANGUAGE mine FROM PUBLIC", "GRANT USAGE ON LANGUAGE mine TO <app>")

    before = lost_privileges(stage.privileges(stage.live), stage.privileges(stage.shadow))
    assert f"The role {stage.cast.app} lost INSERT, SELECT, UPDATE, DELETE on table public.users." in before
    assert stage.may(stage.shadow, "app", "SELECT * FROM public.users") == [False]
    notes = stage.match()
    require_equal(stage)
    assert notes == [
        f"Grants that others than the owner had made are now the owner's own: SELECT on table public.notes to {stage.cast.reader} (by {stage.cast.app})."
    ]


@pytest.mark.parametrize("inherits", [True, False], ids=["inherits", "becomes"])
def test_a_member_of_the_owners_makes_the_copy_equal(stage: Stage, tmp_path: Path, inherits: bool) -> None:
    set_up(stage)
    stage.execute("ALTER ROLE <operator> CREATEDB", "GRANT <owner>, <other_owner> TO <operator>")
    stage.shadow.create(f"OWNER {quoted(stage.cast.owner if inherits else stage.cast.operator)}")
    if not inherits:
        stage.execute(*_without_inheritance(stage.server))
        # A role that inherits nothing has no more in the schema public of its own database.
        stage.execute("GRANT ALL ON SCHEMA public TO <operator>", database=stage.shadow)
    stage.restore(tmp_path, stage.cast.operator)
    assert lost_owners(stage.privileges(stage.live), stage.privileges(stage.shadow)) != []
    stage.match(stage.cast.operator)
    require_equal(stage)


def _without_inheritance(server: PostgresServer) -> list[str]:
    if server.installation.major < 16:
        return ["ALTER ROLE <operator> NOINHERIT"]
    return ["GRANT <owner>, <other_owner> TO <operator> WITH INHERIT FALSE"]


def test_who_may_not_make_the_owners_owners_gives_the_grants(stage: Stage, tmp_path: Path) -> None:
    set_up(stage)
    if stage.server.installation.major >= 16:
        # It has their rights, yet may not become them.
        stage.execute("GRANT <owner>, <other_owner> TO <operator> WITH SET FALSE")
    stage.shadow.create(f"OWNER {quoted(stage.cast.operator)}")
    stage.restore(tmp_path, stage.cast.operator)
    assert lost_privileges(stage.privileges(stage.live), stage.privileges(stage.shadow)) != []
    notes = stage.match(stage.cast.operator)
    live, shadow = stage.privileges(stage.live), stage.privileges(stage.shadow)
    owner, reader, app = stage.cast.owner, stage.cast.reader, stage.cast.app
    # Nobody but that role may say what will be granted on what it will create.
    assert sorted(lost_privileges(live, shadow)) == sorted(
        [
            f"The role {reader} lost SELECT on tables that the role {owner} creates.",
            f"The role {app} lost INSERT on tables that the role {owner} creates in schema {quoted(ODD)}.",
            f"PUBLIC (every role) lost USAGE on types that the role {owner} creates in schema {quoted(ODD)}.",
        ]
    )
    operator = stage.cast.operator
    anywhere = [f"{kind} that the role {owner} creates" for kind in ("functions", "tables", "types")]
    future = ", ".join([*anywhere, *(f"{each} in schema {quoted(ODD)}" for each in anywhere[1:])])
    assert notes[0] == (
        f"The role {operator} may not act as the role {owner}, so owner and grants were left as they are for {future}. "
        f"Run GRANT {quoted(owner)} TO {operator} before the restore, or restore as a superuser."
    )
    assert [note.split(" of ")[0] for note in notes[1:3]] == [
        f"The role {operator} may not make the role {each} an owner, so it stays the owner" for each in (owner, stage.cast.other_owner)
    ]
    assert {sentence.split(" of ")[0] for sentence in lost_owners(live, shadow)} == {
        f"The role {role} is no longer the owner" for role in (owner, stage.cast.other_owner)
    }
    require_verdicts(stage, stage.shadow, ATTEMPTS)
    still = ["SELECT * FROM users", "INSERT INTO secrets VALUES (1)", "GRANT SELECT ON secrets TO <reader>", "SELECT reveal('{}', '', NULL)"]
    assert stage.may(stage.shadow, "owner", *still, "ALTER TABLE users ADD more int") == [True, True, True, True, False]


def test_what_belongs_to_others_is_left_alone_and_said(stage: Stage, tmp_path: Path) -> None:
    # So it is on every server before 15, where the superuser owns public.
    stage.shadow.create(f"OWNER {quoted(stage.cast.operator)}")
    for database in (stage.live, stage.shadow):
        stage.execute("ALTER SCHEMA public OWNER TO postgres", "GRANT ALL ON SCHEMA public TO PUBLIC", database=database)
    stage.execute("CREATE TABLE t (a int)", role=stage.cast.owner)
    stage.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "GRANT CREATE ON SCHEMA public TO <owner>", "GRANT SELECT ON t TO <app>")
    stage.restore(tmp_path, stage.cast.operator)
    notes = stage.match(stage.cast.operator)
    assert notes[0] == (
        f"The role {stage.cast.operator} may not act as the role postgres, so owner and grants were left as they are for schema public. "
        f"Run GRANT postgres TO {stage.cast.operator} before the restore, or restore as a superuser."
    )
    # The owner's own CREATE is still PUBLIC's in the shadow.
    assert lost_privileges(stage.privileges(stage.live), stage.privileges(stage.shadow)) == []
    assert stage.may(stage.shadow, "app", "SELECT * FROM t") == [True]


def test_what_only_one_of_the_two_has(stage: Stage, tmp_path: Path) -> None:
    set_up(stage)
    stage.shadow.create()
    stage.restore(tmp_path)
    stage.execute(
        "DROP TABLE notes",
        "ALTER TABLE users ADD added int",
        "GRANT SELECT (added) ON users TO <reader>",
        "CREATE TABLE younger (a int)",
        "GRANT SELECT ON younger TO <app>",
        "CREATE SCHEMA later",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA later GRANT SELECT ON TABLES TO <app>",
        "ALTER TABLE old RENAME TO older",
        "CREATE VIEW old AS SELECT 1",
    )
    (note,) = stage.match()
    assert note == (
        "The live database does not have table public.notes, table public.old, so it cannot tell who owned that and who may use it. "
        "Owner and grants are as the restore left them: grant what is needed."
    )
    assert lost_privileges(stage.privileges(stage.live), stage.privileges(stage.shadow)) == []
    require_verdicts(stage, stage.shadow, ATTEMPTS[:3])
    assert stage.may(stage.shadow, "app", "SELECT * FROM public.notes") == [False]


def test_a_renamed_schema_beside_its_successor(stage: Stage, tmp_path: Path) -> None:
    set_up(stage)
    archive = tmp_path / "public.dump"
    stage.client("pg_dump", None, "--format=custom", f"--file={archive}", "--schema=public", stage.live.name)
    before = comparable(stage.privileges(stage.live, schemas=["public"]))
    stage.execute('ALTER SCHEMA public RENAME TO "Public__p_1"', "CREATE SCHEMA public", "GRANT ALL ON SCHEMA public TO <owner>")
    # Restored by a role whose default privileges give more than the live database does.
    stage.client(
        "pg_restore", stage.cast.owner, "--no-owner", "--no-privileges", "--schema=public", "--exit-on-error", f"--dbname={stage.live.name}", str(archive)
    )
    assert stage.may(stage.live, "owner", "GRANT SELECT ON public.secrets TO <reader>") == [True]

    live, shadow = stage.privileges(stage.live, schemas=["Public__p_1"]), stage.privileges(stage.live, schemas=["public"])
    renamed = {"Public__p_1": "public"}
    assert lost_privileges(live, shadow) == []
    assert lost_privileges(live, shadow, renamed=renamed) != []
    statements, _notes = statements_to_match(live, shadow, settable_owners=None, operator="postgres", renamed=renamed)
    stage.execute(*statements)
    after = stage.privileges(stage.live, schemas=["public"])
    assert lost_privileges(live, after, renamed=renamed) == []
    assert comparable(after) == before
    require_verdicts(stage, stage.live, ATTEMPTS)


def settings_of(stage: Stage, database: Database) -> dict[str, Any]:
    with database.session() as session:
        return read_database(session)


SETTINGS = [
    """ALTER DATABASE <live> SET search_path TO "$user", public, 'Odd "S", x'""",
    r"""ALTER DATABASE <live> SET application_name TO E'it''s "q" \\ %s = é'""",
    "ALTER DATABASE <live> SET DateStyle TO 'ISO, DMY'",
    "ALTER DATABASE <live> SET temp_tablespaces TO ''",
    "ALTER DATABASE <live> SET statement_timeout TO '1h'",
    "ALTER DATABASE <live> CONNECTION LIMIT 7",
    "REVOKE ALL ON DATABASE <live> FROM PUBLIC",
    "REVOKE TEMPORARY ON DATABASE <live> FROM <owner>",
    "GRANT CONNECT ON DATABASE <live> TO <app>",
    "GRANT CONNECT, TEMPORARY ON DATABASE <live> TO <reader> WITH GRANT OPTION",
]
FOR_SUPERUSERS = [
    "ALTER ROLE <app> IN DATABASE <live> SET search_path TO app, public",
    "ALTER ROLE <app> IN DATABASE <live> SET work_mem TO '9MB'",
    "ALTER DATABASE <live> SET log_statement TO 'mod'",
]


def prepare_shadow(stage: Stage) -> None:
    """Create it as a restore does: closed to everybody, with a limit of its own."""
    stage.shadow.create(f"OWNER {quoted(stage.cast.owner)}", "CONNECTION LIMIT 20260108")
    stage.execute(f"REVOKE CONNECT, TEMPORARY ON DATABASE {quoted(stage.shadow.name)} FROM PUBLIC")


def apply_together(stage: Stage, statements: list[str], role: str | None) -> None:
    """Run the statements as a swap does: in one transaction, from another database."""
    maintenance = Database(stage.server, "postgres")
    with maintenance.session(role) as session:
        assert refused_statements(session, statements) == []
        assert settings_of(stage, stage.shadow)["settings"] == []
        session.execute("BEGIN")
        for statement in statements:
            session.execute(statement)
        session.execute("COMMIT")


def require_equal_properties(stage: Stage) -> None:
    live, shadow = settings_of(stage, stage.live), settings_of(stage, stage.shadow)
    assert shadow["settings"] == live["settings"]
    assert shadow["connection_limit"] == live["connection_limit"]
    old, new = (database_privileges(properties, "the same") for properties in (live, shadow))
    assert comparable([new]) == comparable([old])
    assert lost_privileges([old], [new]) == []


@pytest.mark.parametrize("as_superuser", [True, False], ids=["superuser", "owner"])
def test_the_database_s_own_properties(stage: Stage, as_superuser: bool) -> None:
    stage.execute("ALTER ROLE <owner> CREATEDB")
    given = SETTINGS + FOR_SUPERUSERS if as_superuser else SETTINGS
    stage.execute(*(statement.replace("<live>", quoted(stage.live.name)) for statement in given))
    prepare_shadow(stage)
    (loss,) = [
        sentence
        for sentence in lost_privileges(
            [database_privileges(settings_of(stage, stage.live), "x")], [database_privileges(settings_of(stage, stage.shadow), "x")]
        )
        if stage.cast.app in sentence
    ]
    assert loss == f"The role {stage.cast.app} lost CONNECT on database x."
    statements = database_statements(settings_of(stage, stage.live), stage.shadow.name)
    apply_together(stage, statements, None if as_superuser else stage.cast.owner)
    require_equal_properties(stage)
    for role in ("app", "reader", "owner"):
        for parameter in ("search_path", "application_name", "DateStyle", "temp_tablespaces", "work_mem"):
            live, shadow = (_shown(database, getattr(stage.cast, role), parameter) for database in (stage.live, stage.shadow))
            assert shadow == live
    assert _shown(stage.shadow, stage.cast.reader, "search_path") == '''"$user", public, "Odd ""S"", x"'''
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"), stage.shadow.connected(stage.cast.outsider):
        pass


def _shown(database: Database, role: str, parameter: str) -> Any:
    with database.connected(role) as connection, connection.cursor() as cursor:
        cursor.execute(f"SHOW {parameter}")
        return cursor.fetchone()[0]


def test_what_a_swap_would_be_refused_is_known_before(stage: Stage) -> None:
    stage.execute("ALTER ROLE <owner> CREATEDB", *(statement.replace("<live>", quoted(stage.live.name)) for statement in SETTINGS + FOR_SUPERUSERS))
    prepare_shadow(stage)
    statements = database_statements(settings_of(stage, stage.live), stage.shadow.name)
    with Database(stage.server, "postgres").session(stage.cast.owner) as session:
        refusals = refused_statements(session, statements)
        assert session.row("SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NULL")[0]
    assert [refusal.split(" SET ")[0] for refusal in refusals] == [
        f"ALTER DATABASE {quoted(stage.shadow.name)}",
        *2 * [f"ALTER ROLE {quoted(stage.cast.app)} IN DATABASE {quoted(stage.shadow.name)}"],
    ]
    assert all("permission denied" in refusal or "must have" in refusal for refusal in refusals)


def test_defaults_are_said_because_the_shadow_was_closed(stage: Stage) -> None:
    prepare_shadow(stage)
    assert settings_of(stage, stage.live)["acl"] is None
    apply_together(stage, database_statements(settings_of(stage, stage.live), stage.shadow.name), None)
    require_equal_properties(stage)
    assert stage.may(stage.shadow, "outsider", "CREATE TEMPORARY TABLE x (a int)") == [True]


def test_what_an_extension_brought_and_what_belongs_to_postgresql_is_not_read(stage: Stage) -> None:
    stage.execute(
        "CREATE SCHEMA brought",
        "CREATE TABLE brought.t (a int)",
        "CREATE FUNCTION brought.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE brought.mood AS ENUM ()",
        'CREATE COLLATION brought.c FROM "C"',
        *(
            f"ALTER EXTENSION plpgsql ADD {each}"
            for each in ("SCHEMA brought", "TABLE brought.t", "FUNCTION brought.f()", "TYPE brought.mood", "COLLATION brought.c")
        ),
        "CREATE TABLE own (a int)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.t (a int)",
        "SELECT lo_create(7001)",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO <app>",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA other GRANT SELECT ON TABLES TO <app>",
    )
    with stage.live.connected() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE passing (a int)")
        found = [each.full_name for each in stage.privileges(stage.live)]
    assert found == [
        "schema other",
        "schema public",
        "table other.t",
        "table public.own",
        "tables that the role postgres creates",
        "tables that the role postgres creates in schema other",
        "large object 7001",
    ]
    found = [each.full_name for each in stage.privileges(stage.live, schemas=["other"])]
    assert found == ["schema other", "table other.t", "tables that the role postgres creates in schema other"]
