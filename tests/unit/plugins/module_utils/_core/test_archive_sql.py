# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What definitions demand is read from where it is said, and from nowhere else."""

from __future__ import annotations

import io

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive_sql import (
    ArchiveDemands,
    ArchivedSetting,
    database_settings,
    grants_among,
    ownership_statements,
    read_demands,
    replace_roles,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_lexer import Dialect
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_script import ScriptReader, Statement


def demands(script: str, encoding: str = "utf-8") -> ArchiveDemands:
    return read_demands(ScriptReader(io.BytesIO(script.encode(encoding)).read))


# As pg_restore 18 printed it, but for its comments.
SCRIPT = r'''
\restrict vZoZXphOuYzLUhg5zvPJJGzBVGiW7HaXrW7HOaLjH79TxO8YTNE7qHAUkbIlOHZ
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA "Odd ""Schéma""";
ALTER SCHEMA "Odd ""Schéma""" OWNER TO postgres;
CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;
COMMENT ON EXTENSION citext IS 'data type for case-insensitive character strings';
CREATE FUNCTION public.dq() RETURNS text
    LANGUAGE plpgsql
    AS $_X$
BEGIN
  GRANT SELECT ON x TO body_role;
  ALTER TABLE x OWNER TO body_role;
  CREATE EXTENSION body_extension;
  SET default_tablespace = body_space;
END
$_X$;
ALTER FUNCTION public.dq() OWNER TO "Function ""O""";
SET default_tablespace = 'fast';
SET default_table_access_method = heap;
CREATE TABLE public.nv (
    a integer
);
ALTER TABLE public.nv OWNER TO "App ""R""";
SET default_tablespace = '';
COPY public.nv (a) FROM stdin;
GRANT SELECT ON x TO row_role;
\.
ALTER TABLE public.nv
    ADD CONSTRAINT "c "" k" CHECK ((a > 0)) NOT VALID;
ALTER TABLE ONLY public.fknv
    ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES public.parent(id) NOT VALID;
ALTER TABLE ONLY public.fknv
    ADD CONSTRAINT valid FOREIGN KEY (a) REFERENCES public.parent(id);
CREATE POLICY pol ON public.secured TO "policy R", reader USING ((a > 0));
CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert');
CREATE PUBLICATION some WITH (publish = 'insert');
REVOKE ALL ON FUNCTION public.rr(a integer) FROM PUBLIC;
GRANT SELECT ON TABLE public.typed TO PUBLIC;
GRANT SELECT(a),UPDATE(a) ON TABLE public.fknv TO column_reader;
GRANT SELECT ON TABLE public.nv TO reader WITH GRANT OPTION;
SET SESSION AUTHORIZATION grantor;
GRANT SELECT ON TABLE public.nv TO "App ""R""";
RESET SESSION AUTHORIZATION;
ALTER DEFAULT PRIVILEGES FOR ROLE creator IN SCHEMA public GRANT SELECT ON TABLES TO default_reader;
\unrestrict vZoZXphOuYzLUhg5zvPJJGzBVGiW7HaXrW7HOaLjH79TxO8YTNE7qHAUkbIlOHZ
'''


def test_an_archive() -> None:
    assert demands(SCRIPT) == ArchiveDemands(
        extensions={"citext": "public"},
        roles=frozenset(
            {'App "R"', 'Function "O"', "column_reader", "creator", "default_reader", "grantor", "policy R", "postgres", "reader"},
        ),
        owners=frozenset({'App "R"', 'Function "O"', "postgres"}),
        for_all_tables=frozenset({"everything"}),
        tablespaces=frozenset({"fast"}),
        unvalidated_constraints=frozenset({("public.nv", 'c " k'), ("public.fknv", "fk")}),
        schemas=frozenset({'Odd "Schéma"'}),
        languages=frozenset({"plpgsql"}),
        definition_roles=frozenset({"policy R", "reader"}),
    )


def test_nothing_demands_nothing() -> None:
    nothing: frozenset[str] = frozenset()
    assert demands("") == ArchiveDemands({}, nothing, nothing, nothing, nothing, frozenset(), nothing, nothing)


@pytest.mark.parametrize(
    ("statement", "roles"),
    [
        ('ALTER TABLE public.owner OWNER TO "it\'s; ""R""";', {'it\'s; "R"'}),
        ("ALTER FUNCTION public.owner(owner integer) OWNER TO app;", {"app"}),
        ("ALTER OPERATOR public.+ (integer, integer) OWNER TO app;", {"app"}),
        ("ALTER LARGE OBJECT 4711 OWNER TO app;", {"app"}),
        ("ALTER EVENT TRIGGER owner OWNER TO app;", {"app"}),
        ("ALTER TABLE public.t ALTER COLUMN owner SET DEFAULT 'OWNER TO app';", set()),
        ("ALTER SEQUENCE public.s OWNED BY public.t.owner;", set()),
        ('GRANT ALL ON TABLE public.grant TO a,b, "C";', {"a", "b", "C"}),
        ('GRANT SELECT("to"),UPDATE(b) ON TABLE public."to" TO app WITH GRANT OPTION GRANTED BY granter;', {"app", "granter"}),
        ("GRANT SELECT ON TABLE public.t TO GROUP;", {"group"}),
        ('GRANT ALL ON FUNCTION public.f(integer, "to" text) TO app;', {"app"}),
        ("REVOKE GRANT OPTION FOR ALL ON SCHEMA revoke FROM app CASCADE;", {"app"}),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC;", set()),
        ('GRANT ALL ON SCHEMA public TO "public";', set()),
        ("GRANT ALL ON SCHEMA public TO CURRENT_USER, SESSION_USER, CURRENT_ROLE;", set()),
        ('GRANT ALL ON SCHEMA public TO "current_user";', {"current_user"}),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE a, b IN SCHEMA revoke REVOKE ALL ON FUNCTIONS  FROM PUBLIC, c;", {"a", "b", "c"}),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON TABLES  TO c;", {"c"}),
        ("SET SESSION AUTHORIZATION 'it''s';", {"it's"}),
        ('SET SESSION AUTHORIZATION "App";', {"App"}),
        ("SET SESSION AUTHORIZATION DEFAULT;", set()),
        ("CREATE POLICY p ON public.t FOR SELECT TO a, b USING (true) WITH CHECK ((c = 'TO d'::text));", {"a", "b"}),
        ("CREATE POLICY p ON public.t AS RESTRICTIVE TO PUBLIC USING (true);", set()),
        ("CREATE POLICY p ON public.t USING ((EXISTS ( SELECT 1 FROM public.x)));", set()),
        ("CREATE POLICY p ON public.t USING (((a = 1) IS DISTINCT FROM b));", set()),
        ("CREATE USER MAPPING FOR \"App\" SERVER s OPTIONS (user 'x');", {"App"}),
        ("CREATE USER MAPPING FOR PUBLIC SERVER s;", set()),
        ("CREATE VIEW v AS SELECT owner FROM public.t;", set()),
        ("COMMENT ON ROLE x IS 'GRANT a TO b';", set()),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC GRANT SELECT ON x TO y; END;", set()),
    ],
)
def test_roles(statement: str, roles: set[str]) -> None:
    assert demands(statement).roles == roles
    of_definitions = statement.startswith(("CREATE POLICY", "CREATE USER MAPPING"))
    assert demands(statement).definition_roles == (roles if of_definitions else set())


def test_who_may_use_what_is_called_owner_owns_nothing() -> None:
    assert demands("GRANT ALL ON TABLE public.owner TO app;").owners == frozenset()


@pytest.mark.parametrize(
    ("statement", "extensions"),
    [
        ("CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;", {"hstore": "public"}),
        ('CREATE EXTENSION "uuid-ossp" SCHEMA "Ext";', {"uuid-ossp": "Ext"}),
        ("CREATE EXTENSION plperl;", {"plperl": None}),
        ("CREATE EXTENSION schema WITH SCHEMA schema VERSION '1';", {"schema": "schema"}),
        ("ALTER EXTENSION a ADD TABLE b;", {}),
        ("COMMENT ON EXTENSION a IS 'CREATE EXTENSION b';", {}),
    ],
)
def test_extensions(statement: str, extensions: dict[str, str | None]) -> None:
    assert demands(statement).extensions == extensions


@pytest.mark.parametrize(
    ("statement", "tablespaces"),
    [
        ("SET default_tablespace = fast;", {"fast"}),
        ('SET default_tablespace = "Fast one";', {"Fast one"}),
        ("SET default_tablespace = '';", set()),
        ("SET temp_tablespaces = fast;", set()),
        ("CREATE TABLE public.t (a integer) TABLESPACE fast;", {"fast"}),
        ("CREATE UNIQUE INDEX i ON public.t USING btree (a) TABLESPACE fast;", {"fast"}),
        ('ALTER INDEX public.i SET TABLESPACE "Fast";', {"Fast"}),
        ("ALTER TABLE ONLY public.t ADD CONSTRAINT c PRIMARY KEY (a) USING INDEX TABLESPACE fast;", {"fast"}),
        ("CREATE TABLE public.tablespace (tablespace integer);", set()),
        ("CREATE INDEX tablespace ON public.tablespace USING btree (tablespace);", set()),
        ("CREATE VIEW public.v AS SELECT a FROM public.t ORDER BY tablespace DESC;", set()),
        ("COMMENT ON TABLE t IS 'TABLESPACE fast';", set()),
    ],
)
def test_tablespaces(statement: str, tablespaces: set[str]) -> None:
    assert demands(statement).tablespaces == tablespaces


@pytest.mark.parametrize(
    ("statement", "constraints"),
    [
        ("ALTER TABLE public.t ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;", {("public.t", "c")}),
        ('ALTER TABLE ONLY "S"."T ""x""" ADD CONSTRAINT "C" CHECK ((a > 0)) NO INHERIT NOT VALID;', {('"S"."T ""x"""', "C")}),
        ("ALTER FOREIGN TABLE public.t ADD CONSTRAINT c CHECK (a) NOT VALID;", {("public.t", "c")}),
        ("ALTER DOMAIN public.d ADD CONSTRAINT c CHECK ((VALUE > 2)) NOT VALID;", {("public.d", "c")}),
        ("ALTER TABLE public.t ADD CONSTRAINT c NOT NULL b NOT VALID;", {("public.t", "c")}),
        ("ALTER TABLE public.t ADD CONSTRAINT c CHECK ((a > 0)) NOT ENFORCED;", {("public.t", "c")}),
        ("ALTER TABLE IF EXISTS ONLY public.t ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;", {("public.t", "c")}),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;", {("t", "c")}),
        ("ALTER TABLE public.t ADD CONSTRAINT c CHECK ((a = 'NOT VALID'::text));", set()),
        ("ALTER TABLE public.t ADD CONSTRAINT c NOT NULL valid;", set()),
        ("ALTER TABLE public.t ADD CHECK ((a > 0)) NOT VALID;", set()),
        ('ALTER TABLE "only"."if" ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;', {("only.if", "c")}),
        ("ALTER TABLE public.t VALIDATE CONSTRAINT c;", set()),
    ],
)
def test_constraints_that_were_not_valid(statement: str, constraints: set[tuple[str, str]]) -> None:
    assert demands(statement).unvalidated_constraints == constraints


@pytest.mark.parametrize(
    ("statement", "languages"),
    [
        ("CREATE FUNCTION public.language() RETURNS text\n    LANGUAGE plpython3u\n    AS 'LANGUAGE x';", {"plpython3u"}),
        ("CREATE PROCEDURE p(language text) LANGUAGE \"Own\" AS 'x';", {"Own"}),
        ("CREATE OR REPLACE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT language x; END;", {"sql"}),
        ("CREATE OR REPLACE TRUSTED PROCEDURAL LANGUAGE pltcl;", {"pltcl"}),
        ("CREATE LANGUAGE plperl;", {"plperl"}),
        ("CREATE TRANSFORM FOR public.hstore LANGUAGE plperl (FROM SQL WITH FUNCTION a(internal));", {"plperl"}),
        ("CREATE TABLE language (language text);", set()),
        ("CREATE VIEW v AS SELECT language x FROM public.t;", set()),
        ("ALTER LANGUAGE plperl OWNER TO postgres;", set()),
    ],
)
def test_languages(statement: str, languages: set[str]) -> None:
    assert demands(statement).languages == languages


@pytest.mark.parametrize(
    ("statement", "schemas"),
    [
        ("CREATE SCHEMA a;", {"a"}),
        ('CREATE SCHEMA IF NOT EXISTS "A.b";', {"A.b"}),
        ("ALTER SCHEMA a OWNER TO b;", set()),
    ],
)
def test_schemas(statement: str, schemas: set[str]) -> None:
    assert demands(statement).schemas == schemas


def test_names_are_read_in_the_archive_s_encoding() -> None:
    found = demands("SET client_encoding = 'LATIN1';\nALTER TABLE public.t OWNER TO \"Renée\";", "latin-1")
    assert found.roles == {"Renée"}


# As pg_restore 17 printed it with --create, but for its comments.
WITH_DATABASE = r"""
\restrict vZoZXphOuYzLUhg5zvPJJGzBVGiW7HaXrW7HOaLjH79TxO8YTNE7qHAUkbIlOHZ
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
CREATE DATABASE "my app" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';
ALTER DATABASE "my app" OWNER TO postgres;
\unrestrict vZoZXphOuYzLUhg5zvPJJGzBVGiW7HaXrW7HOaLjH79TxO8YTNE7qHAUkbIlOHZ
\connect -reuse-previous=on "dbname='my app'"
\restrict vZoZXphOuYzLUhg5zvPJJGzBVGiW7HaXrW7HOaLjH79TxO8YTNE7qHAUkbIlOHZ
ALTER DATABASE "my app" CONNECTION LIMIT = 50;
ALTER DATABASE "my app" SET search_path TO 'a', 'b';
ALTER DATABASE "my app" SET "app.jwt_secret" TO 'it''s \ a
\connect of; a secret';
ALTER ROLE "Odd role" IN DATABASE "my app" SET "app.key" TO '';
ALTER ROLE postgres SET work_mem TO '4MB';
CREATE FUNCTION public.f() RETURNS void LANGUAGE sql SET "app.key" TO 'x' AS 'SELECT';
"""


def test_settings_of_the_database() -> None:
    items = ScriptReader(io.BytesIO(WITH_DATABASE.encode()).read, connects=True)
    assert database_settings(items) == [
        ArchivedSetting(None, "search_path", "'a', 'b'"),
        ArchivedSetting(None, "app.jwt_secret", "'it''s \\ a\n\\connect of; a secret'"),
        ArchivedSetting("Odd role", "app.key", "''"),
    ]


def test_a_setting_that_was_written_without_standard_strings_keeps_its_backslashes() -> None:
    text = b"ALTER DATABASE app SET \"app.key\" TO 'a\\\\b'"
    assert database_settings([Statement(text, Dialect(standard_strings=False))]) == [ArchivedSetting(None, "app.key", "E'a\\\\b'")]


ROLE_MAP = {"postgres": 'new "owner', 'App "R"': "app", "creator": "maker", "reader": "reader of é", "public": "nobody", "select": "wrong", "t": "wrong"}


def test_ownership_is_taken_over_with_other_roles() -> None:
    items = ScriptReader(io.BytesIO(SCRIPT.encode()).read)
    assert [statement.decode() for statement in ownership_statements(items, ROLE_MAP)] == [
        'ALTER SCHEMA "Odd ""Schéma""" OWNER TO "new ""owner";',
        'ALTER FUNCTION public.dq() OWNER TO "Function ""O""";',
        'ALTER TABLE public.nv OWNER TO "app";',
        "REVOKE ALL ON FUNCTION public.rr(a integer) FROM PUBLIC;",
        "GRANT SELECT ON TABLE public.typed TO PUBLIC;",
        "GRANT SELECT(a),UPDATE(a) ON TABLE public.fknv TO column_reader;",
        'GRANT SELECT ON TABLE public.nv TO "reader of é" WITH GRANT OPTION;',
        'GRANT SELECT ON TABLE public.nv TO "app";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "maker" IN SCHEMA public GRANT SELECT ON TABLES TO default_reader;',
    ]


@pytest.mark.parametrize(
    ("statement", "replaced"),
    [
        ("GRANT SELECT ON TABLE public.t TO t;", 'GRANT SELECT ON TABLE public.t TO "wrong";'),
        ("GRANT ALL ON TABLE postgres.postgres TO postgres,x, postgres;", 'GRANT ALL ON TABLE postgres.postgres TO "new ""owner",x, "new ""owner";'),
        ("ALTER TABLE postgres OWNER TO postgres;", 'ALTER TABLE postgres OWNER TO "new ""owner";'),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES  TO postgres;",
            'ALTER DEFAULT PRIVILEGES FOR ROLE "new ""owner" GRANT ALL ON TABLES  TO "new ""owner";',
        ),
        ("REVOKE ALL ON TABLE public.t FROM POSTGRES, CURRENT_USER;", 'REVOKE ALL ON TABLE public.t FROM "new ""owner", CURRENT_USER;'),
        ('GRANT ALL ON TABLE public.t TO "POSTGRES";', 'GRANT ALL ON TABLE public.t TO "POSTGRES";'),
        (
            "CREATE POLICY postgres ON public.t TO postgres USING ((postgres = 'postgres'::name));",
            'CREATE POLICY postgres ON public.t TO "new ""owner" USING ((postgres = \'postgres\'::name));',
        ),
        ("COMMENT ON TABLE postgres IS 'postgres';", "COMMENT ON TABLE postgres IS 'postgres';"),
    ],
)
def test_only_roles_are_replaced(statement: str, replaced: str) -> None:
    assert replace_roles(Statement(statement.encode()), ROLE_MAP).decode() == replaced


def test_statements_with_other_roles_are_in_utf_8() -> None:
    statement = Statement('ALTER TABLE public."é" OWNER TO "Renée";'.encode("latin-1"), Dialect("LATIN1"))
    assert replace_roles(statement, {}).decode() == 'ALTER TABLE public."é" OWNER TO "Renée";'
    assert replace_roles(statement, {"Renée": "漢"}).decode() == 'ALTER TABLE public."é" OWNER TO "漢";'
    assert replace_roles(Statement(b'ALTER TABLE "\xff" OWNER TO a;', Dialect("SQL_ASCII")), {"a": "b"}) == b'ALTER TABLE "\xff" OWNER TO "b";'


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("GRANT SELECT ON TABLE public.t TO app;", True),
        ("GRANT SELECT(a,b) ON TABLE public.t TO app WITH GRANT OPTION;", True),
        ("REVOKE ALL ON FUNCTION public.f() FROM PUBLIC;", True),
        ("GRANT USAGE ON SEQUENCE public.s TO app;", True),
        # Another role that the server lacks, or an object that may be somebody else's.
        ("GRANT SELECT ON TABLE public.t TO stranger;", False),
        ("GRANT USAGE ON SCHEMA public TO app;", False),
        ("GRANT USAGE ON FOREIGN SERVER s TO app;", False),
        ("ALTER TABLE public.t OWNER TO app;", False),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO app;", False),
        ("COMMENT ON TABLE public.t IS 'GRANT SELECT ON TABLE public.t TO app';", False),
    ],
)
def test_the_grants_that_a_server_with_some_of_the_roles_can_have(statement: str, kept: bool) -> None:
    assert grants_among([Statement(statement.encode())], {"app"}) == ([statement.encode()] if kept else [])
