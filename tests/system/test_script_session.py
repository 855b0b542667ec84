# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_restore prints, run in one transaction of our own, makes the database that was dumped, or nothing at all."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_script import ScriptReader
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.script_session import run_script
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.fingerprints import read_fingerprints, read_large_objects
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import silent
from harness.postgres import PostgresServer, find_installations
from system import zoo
from system.scenes import MIB, Database

LATIN1 = ("ENCODING 'LATIN1'", "LOCALE 'C'")

# What is hard to read, and what only a superuser's restore has. The roles are put in by name.
_MORE = r"""
CREATE FUNCTION atomic(a int) RETURNS int LANGUAGE sql
    BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 1 ELSE (SELECT CASE a WHEN 2 THEN 3 END AS "end") END; SELECT begin FROM (VALUES (1)) AS x(begin); END;
CREATE PROCEDURE atomic_too(begin int) LANGUAGE sql BEGIN ATOMIC INSERT INTO parent VALUES (begin + 1000); END;
CREATE FUNCTION nothing() RETURNS void LANGUAGE sql BEGIN ATOMIC END;
CREATE FUNCTION "begin"() RETURNS int LANGUAGE sql RETURN CASE WHEN true THEN 1 END;
CREATE FUNCTION quoted() RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
    RETURN 'a;
\.
COPY a FROM stdin;
\restrict a
\! false
$_$; -- '';';
END
$f$;
COMMENT ON FUNCTION quoted() IS E'\\.\n\\.\n;''"; -- $$ /*';
CREATE RULE twice AS ON INSERT TO parent DO ALSO (INSERT INTO empty VALUES (1, ';'); INSERT INTO empty VALUES (2, '"'));
CREATE TABLE unvalidated (a int);
ALTER TABLE unvalidated ADD CONSTRAINT "c "" k" CHECK (a > 0) NOT VALID;
CREATE TABLE not_data (a text);
INSERT INTO not_data VALUES (E'\\.'), (E'\n\\.\n'), (E'\\'), (''';"$$--/*'), (E'\t\r\n\f\b\v'), (NULL), ('\N'), (''), (E'\\N');
ALTER TABLE not_data OWNER TO <owner>;
GRANT SELECT ON not_data TO <reader> WITH GRANT OPTION;
GRANT SELECT (a), UPDATE (a) ON unvalidated TO <reader>;
REVOKE EXECUTE ON FUNCTION quoted() FROM PUBLIC;
SET SESSION AUTHORIZATION <reader>;
GRANT SELECT ON not_data TO <owner>;
GRANT SELECT ON not_data TO PUBLIC;
RESET SESSION AUTHORIZATION;
ALTER DEFAULT PRIVILEGES FOR ROLE <owner> IN SCHEMA public GRANT SELECT ON TABLES TO <reader>;
CREATE POLICY for_two ON secured TO <reader>, <owner> USING (a > 0);
CREATE PUBLICATION published FOR TABLE parent;
"""


_DUMPED_TABLES = """
SELECT c.oid::bigint FROM pg_class AS c
 WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
"""


def everything(_statement: bytes) -> bool:
    return True


def run(database: Database, script: bytes, keep: Callable[[bytes], bool] = everything) -> None:
    """Run a script in a transaction, and commit it."""
    with database.session() as session:
        session.execute("BEGIN")
        run_script(session, io.BytesIO(script).read, keep=keep)
        session.execute("COMMIT")


def dump(database: Database, *options: str) -> bytes:
    """Return what the server's own pg_dump prints."""
    server = database.server
    command = [
        server.installation.program("pg_dump"),
        *options,
        f"--host={server.host}",
        f"--port={server.port}",
        f"--username={server.superuser}",
        database.name,
    ]
    return subprocess.run(command, env={**os.environ, "PGPASSWORD": server.password}, capture_output=True, check=True).stdout


def definition_and_content(database: Database) -> list[bytes]:
    """Return the lines of a plain dump, but for the keys that are made anew each time."""
    return [line for line in dump(database).split(b"\n") if not line.startswith((b"\\restrict ", b"\\unrestrict "))]


@contextlib.contextmanager
def restored(archive: bytes, directory: Path, pg_restore: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have pg_restore print an archive, into a pipe."""
    file = directory / "archive.dump"
    file.write_bytes(archive)
    with subprocess.Popen([pg_restore, "--file=-", file], stdout=subprocess.PIPE, bufsize=0) as program:
        yield program
    assert program.returncode == 0


def restore(source: Database, target: Database, directory: Path, pg_restore: Path | None = None) -> None:
    """Dump a database and run what pg_restore prints in another, in one transaction."""
    with (
        target.session() as session,
        restored(dump(source, "--format=custom", "--compress=0"), directory, pg_restore or source.server.installation.program("pg_restore")) as program,
    ):
        assert program.stdout
        session.execute("BEGIN")
        run_script(session, program.stdout.read, keep=everything)
        session.execute("COMMIT")


def fingerprints(database: Database) -> tuple[dict[str, fingerprint.TableFingerprint], object]:
    with database.session() as session:
        method = fingerprint.choose_method("content", session.row("SELECT current_setting('server_version_num')::int")[0])
        oids = [oid for (oid,) in session.rows(_DUMPED_TABLES)]
        return read_fingerprints(session, None, method, oids, 10, silent), read_large_objects(session, None, method, 10, silent)


def is_empty(database: Database) -> bool:
    return database.value("SELECT count(*) FROM pg_class WHERE oid >= 16384") == 0


@pytest.fixture
def copy(pg: PostgresServer, make_database: Callable[..., Database]) -> Database:
    """An empty database that is dropped before the roles of the one that is copied."""
    return make_database(pg)


@pytest.fixture
def full(copy: Database, pg: PostgresServer, make_database: Callable[..., Database]) -> Database:
    """A database with one of everything, and what is hard to read."""
    database = make_database(pg)
    zoo.fill(database)
    database.execute(_MORE.replace("<owner>", database.role()).replace("<reader>", database.role()))
    return database


@pytest.mark.slow
@pytest.mark.every_major
@pytest.mark.parametrize("client", ["own", "newest"])
def test_the_database_that_was_dumped(full: Database, copy: Database, tmp_path: Path, client: str) -> None:
    """The newest pg_restore sets what older servers do not know."""
    own, newest = full.server.installation, find_installations()[-1]
    if client == "newest" and newest == own:
        pytest.skip("its own pg_restore is the newest")
    restore(full, copy, tmp_path, (own if client == "own" else newest).program("pg_restore"))
    (expected, large), (found, found_large) = fingerprints(full), fingerprints(copy)
    assert len(expected) > 20
    assert fingerprint.compare(expected, found) == []
    assert found_large == large
    assert definition_and_content(copy) == definition_and_content(full)


@pytest.mark.every_major
def test_a_database_in_another_encoding(pg: PostgresServer, make_database: Callable[..., Database], tmp_path: Path) -> None:
    source = make_database(pg, "", *LATIN1)
    source.execute('CREATE TABLE "Été" ("où" text); INSERT INTO "Été" VALUES (\'déjà vu\'), (\'÷\'); COMMENT ON TABLE "Été" IS \'ça\'')
    for target in (make_database(pg, "", *LATIN1), make_database(pg)):
        restore(source, target, tmp_path)
        assert target.rows('SELECT "où", obj_description(\'"Été"\'::regclass) FROM "Été"') == [("déjà vu", "ça"), ("÷", "ça")]


def test_the_session_s_encoding_is_as_before(database: Database) -> None:
    script = """SET client_encoding = 'LATIN1';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public."é" (a text);
DO $$BEGIN RAISE WARNING 'é'; END$$;
COPY public."é" (a) FROM stdin;
ü
\\.
"""
    with database.session() as session:
        session.execute("BEGIN")
        session.set_local("search_path", '"é", public')
        run_script(session, io.BytesIO(script.encode("latin-1")).read, keep=everything)
        assert session.rows("SELECT a, current_setting('client_encoding'), current_setting('search_path') FROM public.\"é\"") == [("ü", "UTF8", '"é", public')]
        session.execute("COMMIT")
        assert session.rows("SELECT 'é', current_setting('client_encoding')") == [("é", "UTF8")]


def test_an_error_in_another_encoding(database: Database) -> None:
    script = "SET client_encoding = 'LATIN1';\nALTER TABLE \"é\" OWNER TO nobody;"
    with pytest.raises(DatabaseError, match=r'does not exist\. It begins: ALTER TABLE "é" OWNER TO nobody;'):
        run(database, script.encode("latin-1"))


@pytest.mark.every_major
def test_where_backslashes_escape(pg: PostgresServer, make_database: Callable[..., Database], tmp_path: Path) -> None:
    source, target = make_database(pg), make_database(pg)
    source.execute(f'ALTER DATABASE "{source.name}" SET standard_conforming_strings = off')
    source.execute(r"CREATE TABLE t (a text DEFAULT 'a\\'';b'); INSERT INTO t DEFAULT VALUES; COMMENT ON TABLE t IS E'\\'';'")
    source.execute(r"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT 'a\\'';b'::text$$; SELECT lo_from_bytea(1, 'x')")
    restore(source, target, tmp_path)
    target.execute("INSERT INTO t DEFAULT VALUES")
    assert target.rows("SELECT a, obj_description('t'::regclass), lo_get(1) = 'x' FROM t") == [("a\\';b", "\\';", True)] * 2
    assert target.value("SELECT prosrc FROM pg_proc WHERE proname = 'f'") == source.value("SELECT prosrc FROM pg_proc WHERE proname = 'f'")


def test_backslashes_mean_themselves_until_the_script_says_otherwise(database: Database) -> None:
    with database.session() as session:
        session.execute("SET standard_conforming_strings = off; BEGIN")
        run_script(session, io.BytesIO(rb"CREATE TABLE public.t AS SELECT 'a\'::text AS a;").read, keep=everything)
        assert session.rows("SELECT a, current_setting('standard_conforming_strings') FROM public.t") == [("a\\", "off")]


SETTINGS = "SELECT name, current_setting(name) FROM pg_settings ORDER BY name"

PREAMBLE = b"""SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
"""


@pytest.mark.every_major
def test_settings_hold_in_the_script_and_no_longer(database: Database, pg: PostgresServer) -> None:
    database.execute(
        *(f'ALTER DATABASE "{database.name}" SET {name}' for name in ("search_path = a, public", "xmloption = document", "client_min_messages = debug1"))
    )
    with database.session() as session:
        session.execute("SET standard_conforming_strings = off; SET lock_timeout = '3s'; BEGIN; SET LOCAL statement_timeout = '20s'")
        before = session.rows(SETTINGS)
        within = b"CREATE TABLE public.within AS SELECT name, current_setting(name) AS value FROM pg_settings;"
        run_script(session, io.BytesIO(PREAMBLE + within).read, keep=everything)
        assert session.rows(SETTINGS) == before
        session.execute("COMMIT")
        assert dict(session.rows(SETTINGS)) == {**dict(before), "statement_timeout": "0"}
        found = dict(session.rows("SELECT name, value FROM public.within"))
    assert (found["search_path"], found["xmloption"], found["client_min_messages"], found["row_security"]) == ("", "content", "warning", "off")
    assert (found["standard_conforming_strings"], found["check_function_bodies"]) == ("on", "off")
    assert (found["lock_timeout"], found["statement_timeout"]) == ("3s", "20s")


@pytest.mark.parametrize(
    ("statement", "sqlstate", "sentence"),
    [
        (b"CREATE TABLE public.users (\n  id no_such_type\n);", "42704", 'type "no_such_type" does not exist. It begins: CREATE TABLE public.users ( ...'),
        (
            b"COPY public.first (id) FROM stdin;\n1\nsecret\n\\.\n",
            "22P02",
            "invalid text representation (SQLSTATE 22P02; its message may hold data and is not shown)",
        ),
        (b"INSERT INTO public.first VALUES ('secret');", "22P02", "It begins: INSERT INTO public.first ..."),
        (b"INSERT INTO public.first VALUES (1), (1);", "23505", 'duplicate key value violates unique constraint "first_pkey". It begins: INSERT'),
        (b"DO $$BEGIN RAISE 'secret'; END$$;", "P0001", "raise exception (SQLSTATE P0001"),
        (b"COPY public.first (id) FROM stdin;\n1\n1\n\\.\n", "23505", "It begins: COPY public.first (id) FROM stdin;"),
        (b"CREATE EXTENSION no_such_extension;", "0A000", 'extension "no_such_extension" is not available'),
    ],
)
def test_a_statement_that_fails_leaves_nothing(database: Database, statement: bytes, sqlstate: str, sentence: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        run(database, PREAMBLE + b"CREATE TABLE public.first (id integer PRIMARY KEY);\n" + statement + b"CREATE TABLE public.last (a integer);")
    assert sentence in caught.value.message
    assert "secret" not in repr((caught.value.message, caught.value.details))
    assert caught.value.details["sqlstate"] == sqlstate
    assert is_empty(database)


@pytest.mark.parametrize(
    "end",
    [b"CREATE TABLE public.u (a integer", b"COPY public.t (a) FROM stdin;\n1\n2\n", b"\\! touch x\n", b"SET TRANSACTION READ ONLY;"],
)
def test_a_script_that_cannot_be_read_leaves_nothing(database: Database, end: bytes) -> None:
    with pytest.raises(VerificationError):
        run(database, b"CREATE TABLE public.t (a integer);\nCOPY public.t (a) FROM stdin;\n1\n\\.\n" + end)
    assert is_empty(database)


def test_what_goes_wrong_while_rows_are_read_is_told_as_it_is(database: Database) -> None:
    pieces = iter([b"CREATE TABLE public.t (a integer);\nCOPY public.t (a) FROM stdin;\n1\n2\n"])

    def read(_size: int) -> bytes:
        for piece in pieces:
            return piece
        raise OSError("The pipe is gone.")

    with database.session() as session:
        session.execute("BEGIN")
        with pytest.raises(OSError, match=r"The pipe is gone\."):
            run_script(session, read, keep=everything)
    assert is_empty(database)


def test_the_script_does_not_end_the_transaction(database: Database) -> None:
    with database.session() as session:
        session.execute("BEGIN")
        run_script(session, io.BytesIO(b"BEGIN; CREATE TABLE public.t (a integer); COMMIT; ROLLBACK; END; SAVEPOINT s;").read, keep=everything)
        assert session.rows("SELECT count(*) FROM public.t") == [(0,)]
        session.execute("ROLLBACK")
    assert is_empty(database)


def test_a_transaction_that_ended_all_the_same_is_noticed(database: Database) -> None:
    with database.session() as session:
        session.execute("BEGIN")

        def end(_statement: bytes) -> bool:
            session.execute("COMMIT")
            session.execute("BEGIN")
            return True

        with pytest.raises(VerificationError, match="ended the transaction that it was run in"):
            run_script(session, io.BytesIO(b"CREATE TABLE public.t (a integer);").read, keep=end)


def test_without_a_transaction_nothing_is_run(database: Database) -> None:
    with database.session() as session, pytest.raises(DatabaseError, match="within a transaction only"):
        run_script(session, io.BytesIO(b"CREATE TABLE public.t (a integer);").read, keep=everything)
    assert is_empty(database)


def test_what_is_not_kept_is_not_run(database: Database) -> None:
    tables = b"CREATE TABLE public.t (a integer);\nCREATE TABLE public.u (a integer);\n"
    script = tables + b"COPY public.u (a) FROM stdin;\n1;\n\\.\nCOPY public.t (a) FROM stdin;\n2\n\\.\n"
    run(database, script, keep=lambda statement: b".u " not in statement)
    assert database.rows("SELECT relname, (SELECT a FROM t) FROM pg_class WHERE oid >= 16384") == [("t", 2)]


@pytest.mark.slow
def test_many_rows_need_little_memory(database: Database) -> None:
    piece = (b"x" * 1023 + b"\n") * 1024
    script = iter([b"CREATE TABLE public.t (a text);\nCOPY public.t (a) FROM stdin;\n", *[piece] * 200, b"\\.\n"])
    resident: list[int] = []

    def read(_size: int) -> bytes:
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        return next(script, b"")

    with database.session() as session:
        session.execute("BEGIN")
        run_script(session, read, keep=everything)
        session.execute("COMMIT")
    assert database.rows("SELECT count(*), sum(length(a)) FROM public.t") == [(200 * 1024, 200 * 1024 * 1023)]
    assert max(resident) - resident[0] < 20 * MIB


NASTY = ["'", '"', "\\", "$", "$$", "$a$", ";", "--", "/*", "*/", "(", "\n", "\r", "\\.\n", "BEGIN ATOMIC", "é", "E'", "%s", "x"]


@pytest.mark.every_major
@pytest.mark.parametrize("standard", ["on", "off"])
def test_the_server_reads_each_statement_as_it_was_written(database: Database, standard: str) -> None:
    """A lexer that differs from the server's would make two statements of one, or other values."""
    texts = ["".join(parts) for parts in itertools.product(NASTY, repeat=3)]
    script = f"SET standard_conforming_strings = {standard};\n" + "\n".join(
        _select(group, standard) for group in (texts[start : start + 300] for start in range(0, len(texts), 300))
    )
    with database.connected() as connection, connection.cursor() as cursor:
        connection.set_client_encoding("UTF8")
        found = []
        for item in ScriptReader(io.BytesIO(script.encode()).read):
            cursor.execute(item.text)
            if cursor.description:
                found += cursor.fetchone()
    assert found == [text for text in texts for _spelling in range(3)]


def _select(texts: list[str], standard: str) -> str:
    return "SELECT " + ",\n".join(f"{_plain(text, standard)} /* {_harmless(text)} ; */, {_escaped(text)} -- ';\n, $zz${text}$zz$" for text in texts) + ";"


def _plain(text: str, standard: str) -> str:
    return "'" + (text if standard == "on" else text.replace("\\", "\\\\")).replace("'", "''") + "'"


def _escaped(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _harmless(text: str) -> str:
    return text.replace("*", "").replace("/", "")
