# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts come apart into the statements and rows that they were put together from, however they are cut while they are read."""

from __future__ import annotations

import io
import tracemalloc
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_lexer import Dialect
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_script import CopyStart, ScriptReader, Statement, read_setting

Item: t.TypeAlias = "bytes | tuple[bytes, bytes]"


class Pieces:
    """Hands out a script in pieces of these sizes, then of the last one."""

    def __init__(self, script: bytes, *sizes: int) -> None:
        self._script = io.BytesIO(script)
        self._sizes = list(sizes)

    def read(self, size: int) -> bytes:
        wanted = self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]
        return self._script.read(min(size, wanted))


def read(script: bytes, *sizes: int, rows_size: int = 1 << 20) -> list[Item]:
    """Return statements as their text, and COPY as its text and all its rows."""
    reader = ScriptReader(Pieces(script, *(sizes or (1 << 20,))).read)
    found: list[Item] = []
    for item in reader:
        if isinstance(item, CopyStart):
            found.append((item.text, b"".join(iter(lambda: reader.read_rows(rows_size), b""))))
        else:
            found.append(item.text)
    return found


PREAMBLE = rb"""--
-- PostgreSQL database dump
--

\restrict vZoZXphOuYzLUhg5zvPJJGzBVGiW7HaXrW7HOaLjH79TxO8YTNE7qHAUkbIlOHZ

-- Dumped from database version 18.6
-- Dumped by pg_dump version 18.6

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
"""

FUNCTION = rb"""CREATE FUNCTION public.dq() RETURNS text
    LANGUAGE plpgsql
    AS $_X$
BEGIN
  RETURN 'x;
\.
COPY a FROM stdin;
\restrict foo
\! touch /
$_$; -- ';
END
$_X$;"""

ATOMIC = rb"""CREATE FUNCTION public.ba(a integer) RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN (a > 1) THEN 1
             ELSE ( SELECT CASE a WHEN 2 THEN 3 END AS "end")
         END AS "case";
 SELECT begin AS begin;
 SELECT x.begin AS "end"
    FROM ( VALUES (1)) x(begin);
END;"""

EMPTY_ATOMIC = b"CREATE FUNCTION p.f() RETURNS void\n    LANGUAGE sql\n    BEGIN ATOMIC\nEND;"
ATOMIC_PROCEDURE = b"CREATE PROCEDURE p.p()\n    LANGUAGE sql\n    BEGIN ATOMIC\n INSERT INTO p.t\n  DEFAULT VALUES;\nEND;"

RULE = rb"""CREATE RULE rr AS
    ON INSERT TO public.parent DO ( INSERT INTO public.empty (a)
  VALUES (1);
 INSERT INTO public.empty (a)
  VALUES (2);
);"""

# Each is one statement.
STATEMENTS = [
    FUNCTION,
    ATOMIC,
    EMPTY_ATOMIC,
    ATOMIC_PROCEDURE,
    ATOMIC_PROCEDURE.replace(b"CREATE", b"CREATE OR REPLACE"),
    b"CREATE FUNCTION f() RETURNS x SET begin = atomic AS 'x';",
    b"SELECT a FROM stdin;",
    RULE,
    b"CREATE FUNCTION public.begin() RETURNS public.atomic\n    LANGUAGE sql\n    RETURN CASE WHEN true THEN 1 ELSE 2 END;",
    b"CREATE FUNCTION public.f(begin atomic) RETURNS integer\n    LANGUAGE sql\n    AS $$SELECT 1;$$;",
    b"CREATE VIEW v AS SELECT begin atomic FROM public.t;",
    b"COMMENT ON TABLE t IS 'a;\n\\.\nb \\';",
    b'CREATE TABLE "a;b" ("c""d;" integer);',
    b"SELECT pg_catalog.setval('public.\"it''s;\"', 1, true);",
    b"CREATE TABLE copy (stdin integer);",
    b"SELECT 1 /* ; \\! */ -- ;\n;",
    b"COMMIT;",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_one_statement_is_one_item(statement: bytes) -> None:
    assert read(PREAMBLE + statement + b"\n\n\n" + statement + b"\\unrestrict abc\n")[3:] == [statement, statement]


def test_comments_blank_lines_and_lines_for_psql_are_no_items() -> None:
    assert read(PREAMBLE + b"\n\n/* ; */ ;\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc") == [
        b"SET statement_timeout = 0;",
        b"SET client_encoding = 'UTF8';",
        b"SELECT pg_catalog.set_config('search_path', '', false);",
    ]
    assert read(b"") == []


@pytest.mark.parametrize(
    "rows",
    [
        b"",
        b"\n",
        b"\n\n\n",
        b"1\t2\n",
        b'it\'s; "quoted" $$ -- /*\n',
        b"\\\\.\n",
        b"\\\\\n.\n",
        b" \\.\n",
        b"\\. \n",
        b"x\\.\n",
        b"\\.x\n",
        b"\\N\t\\\\.\n\\\\.\\n\n",
        b"\0\xff\xfe\n",
        b"\\restrict x\n\\!\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
def test_rows_mean_nothing(rows: bytes, size: int) -> None:
    script = b"COPY public.t (a, b) FROM stdin;\n" + rows + b"\\.\n\n\n--\nCOPY public.without_columns  FROM stdin;\n" + rows + b"\\.\nSELECT 1;"
    for rows_size in (1, 3, 1 << 20):
        assert read(script, size, rows_size=rows_size) == [
            (b"COPY public.t (a, b) FROM stdin;", rows),
            (b"COPY public.without_columns  FROM stdin;", rows),
            b"SELECT 1;",
        ]


def test_rows_that_are_not_taken_are_skipped() -> None:
    reader = ScriptReader(io.BytesIO(b"COPY t FROM stdin;\n1;\n2;\n\\.\nSELECT 1;COPY u FROM stdin;\n3;\n\\.\nSELECT 2;").read)
    found = []
    for item in reader:
        found.append(item.text)
        if item.text.startswith(b"COPY t"):
            assert reader.read_rows(1) == b"1"
    assert found == [b"COPY t FROM stdin;", b"SELECT 1;", b"COPY u FROM stdin;", b"SELECT 2;"]
    assert reader.read_rows(1) == b""


def test_copy_in_words_only_is_a_statement() -> None:
    assert read(b"COPY t (\"from\", stdin) TO stdout; SELECT 'COPY t FROM stdin;'; COPY (SELECT 1 FROM stdin) TO stdout;") == [
        b'COPY t ("from", stdin) TO stdout;',
        b"SELECT 'COPY t FROM stdin;';",
        b"COPY (SELECT 1 FROM stdin) TO stdout;",
    ]


def test_large_objects() -> None:
    script = b"BEGIN;\n\nSELECT pg_catalog.lo_open('1', 131072);\nSELECT pg_catalog.lowrite(0, '\\x3b');\nSELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\n"
    items = list(ScriptReader(io.BytesIO(script).read))
    assert [item.is_transaction_control for item in items] == [True, False, False, False, True]


@pytest.mark.parametrize(
    "text",
    [b"begin;", b"START TRANSACTION;", b"COMMIT/**/;", b"END;", b"rollback to x;", b"ABORT;", b"SAVEPOINT x;", b"RELEASE x;", b"PREPARE TRANSACTION 'x';"],
)
def test_what_controls_transactions(text: bytes) -> None:
    assert Statement(text).is_transaction_control


@pytest.mark.parametrize("text", [b"SELECT 1;", b'"begin";', b"PREPARE x AS SELECT 1;", b"CREATE TABLE begin (a integer);", b"SET x = 1;", b";"])
def test_what_does_not_control_transactions(text: bytes) -> None:
    assert not Statement(text).is_transaction_control


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (b"SELECT 1", "ends within a statement"),
        (b"CREATE RULE r AS (SELECT 1;", "ends within a statement"),
        (b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;", "ends within a statement"),
        (b"SELECT 'a;", "ends within quotes"),
        (b"SELECT $a$;", "ends within a quoted body"),
        (b"SELECT /* ;", "ends within a comment"),
        (b"COPY t FROM stdin;", "ends within the rows"),
        (b"COPY t FROM stdin;\n1\n\\.", "ends within the rows"),
        (b"COPY t FROM stdin;\n1\n2", "ends within the rows"),
        (b"COPY t FROM stdin; SELECT 1;\n\\.\n", "goes on behind a COPY statement"),
        (b"COPY t FROM stdin;\r\n\\.\r\n", "goes on behind a COPY statement"),
        (b"\\! touch x\n", "a command for psql.*touch x"),
        (b"SELECT 1;\n\\connect other\n", "a command for psql.*connect other"),
        (b"\\.\n", "a command for psql"),
        (b"\\restrict\n", "a command for psql"),
        (b"\\restrict a \\! touch x\n", "a command for psql"),
        (b"\\restricted a\n", "a command for psql"),
        (b"SELECT 1 \\gexec\n", "a backslash outside of quotes"),
        (b"SELECT 1\n\\restrict a\n;", "a backslash outside of quotes"),
        (b"SELECT 1 \0; DROP TABLE t;", "a zero byte in the statement SELECT 1"),
    ],
)
def test_what_pg_restore_never_prints_is_refused(script: bytes, sentence: str) -> None:
    for size in (1, 1000):
        with pytest.raises(VerificationError, match=sentence):
            read(script, size)


def test_strings_are_read_as_the_script_says() -> None:
    script = rb"SELECT '\'; SET standard_conforming_strings = off; SELECT '\'; x'; SET standard_conforming_strings TO 'on'; SELECT '\'; x;"
    assert read(script)[2::2] == [rb"SELECT '\'; x';", rb"SELECT '\';"]


def test_statements_know_their_dialect() -> None:
    script = "SELECT 1; SET client_encoding = 'latin1'; SET standard_conforming_strings = off; COPY \"é\" FROM stdin;\n\\.\n".encode("latin-1")
    items = list(ScriptReader(io.BytesIO(script).read))
    assert [item.dialect for item in items] == [Dialect(), Dialect(), Dialect("LATIN1"), Dialect("LATIN1", standard_strings=False)]
    assert items[3].headline == 'COPY "é" FROM stdin;'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"ALTER TABLE public.t OWNER TO postgres;", "ALTER TABLE public.t OWNER TO postgres;"),
        (b"CREATE TABLE public.t (\n    a integer\n);", "CREATE TABLE public.t ( ..."),
        (b"INSERT INTO public.t (a) VALUES (1, 2);", "INSERT INTO public.t (a) ..."),
        (b"SELECT pg_catalog.lowrite(0, '\\x736563726574');", "SELECT pg_catalog.lowrite(0, ..."),
        (b"COMMENT ON TABLE t IS $$secret$$;", "COMMENT ON TABLE t IS ..."),
        (b"COMMENT ON TABLE t IS E'secret';", "COMMENT ON TABLE t IS ..."),
        (b"SELECT " + b"x" * 1000 + b";", f"SELECT {'x' * 113} ..."),
        (b'DROP TABLE "\xff";', 'DROP TABLE "?";'),
    ],
)
def test_the_headline_shows_no_data(text: bytes, shown: str) -> None:
    assert Statement(text).headline == shown


@pytest.mark.parametrize(
    ("text", "name", "value", "local"),
    [
        (b"SET lock_timeout = 0;", "lock_timeout", "0", b"SET LOCAL lock_timeout = 0;"),
        (b"SET default_tablespace = '';", "default_tablespace", "", b"SET LOCAL default_tablespace = '';"),
        (b'SET default_tablespace = "Fast one";', "default_tablespace", "Fast one", b'SET LOCAL default_tablespace = "Fast one";'),
        (b"set session Xmloption TO content;", "xmloption", "content", b"SET LOCAL Xmloption TO content;"),
        (b"SET LOCAL a = b, c;", "a", "b", b"SET LOCAL a = b, c;"),
        (b"SET SESSION AUTHORIZATION 'it''s';", "session_authorization", "it's", b"SET LOCAL SESSION AUTHORIZATION 'it''s';"),
        (b"SET SESSION AUTHORIZATION DEFAULT;", "session_authorization", "default", b"SET LOCAL SESSION AUTHORIZATION DEFAULT;"),
        (b'SET ROLE "A";', "role", "A", b'SET LOCAL ROLE "A";'),
        (b"SELECT pg_catalog.set_config('search_path', '', false);", "search_path", "", b"SELECT pg_catalog.set_config('search_path', '', true);"),
    ],
)
def test_what_is_set_can_be_set_for_the_transaction(text: bytes, name: str, value: str, local: bytes) -> None:
    setting = read_setting(Statement(text))
    assert setting is not None
    assert (setting.name, setting.value, setting.local) == (name, value, local)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT pg_catalog.set_config('search_path', '', true);",
        b"SELECT pg_catalog.setval('x', 1, false);",
        b"SELECT public.set_config('search_path', '', false);",
        b"SET TRANSACTION READ ONLY;",
        b"SET;",
        b"RESET SESSION AUTHORIZATION;",
        b"ALTER TABLE x SET (a = 1);",
    ],
)
def test_what_sets_nothing_for_the_session(text: bytes) -> None:
    assert read_setting(Statement(text)) is None


nasty = st.sampled_from(
    ["'", '"', "\\", "$", "$$", "$a$", "$_", ";", "--", "/*", "*/", "(", ")", "\n", "\r", "\\.", "\n\\.\n", "BEGIN ATOMIC", "END", "é", "E", " "]
)
texts = st.lists(st.one_of(nasty, st.text(max_size=3)), max_size=6).map("".join).filter(lambda text: "\0" not in text)


def single_quoted(text: str) -> str:
    return " '" + text.replace("'", "''") + "'"


def escape_string(text: str) -> str:
    return " E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "' ,"


def double_quoted(text: str) -> str:
    return ' "' + text.replace('"', '""') + '"'


def dollar_quoted(text: str) -> str:
    tag = next(tag for tag in (f"${'x' * length}$" for length in range(100)) if tag[:-1] not in text)
    return f" {tag}{text}{tag}"


def line_comment(text: str) -> str:
    return f" --{text}".replace("\n", " ").replace("\r", " ") + "\n"


def block_comment(text: str) -> str:
    return f" /*{text.replace('*', '').replace('/', '')} /* ; */ */"


def parenthesis(text: str) -> str:
    return f" ({double_quoted(text)};)"


parts = st.one_of(
    *(st.builds(quote, texts) for quote in (single_quoted, escape_string, double_quoted, dollar_quoted, line_comment, block_comment, parenthesis)),
    st.sampled_from([" a", " b1", " 12", " +", " -", " *", " CASE", " END", " BEGIN", " x$y$"]),
)
# Quotes side by side would be one string, or a name with a quote in it.
statements = st.lists(parts, max_size=6).map(lambda found: ("DO " + " ,".join(found) + ";").encode("utf-8", "surrogatepass"))
rows = st.lists(st.binary(max_size=6).map(lambda row: row.replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n"), max_size=5).map(b"".join)
copies = st.builds(lambda found: (b"COPY t (a) FROM stdin;", found), rows)
gaps = st.sampled_from(["", "\n", "\n\n-- Name: ';\n", "/* ; /* */ */", "\\restrict abc\n"]).map(str.encode)
scripts = st.lists(st.tuples(gaps, st.one_of(statements, copies)), max_size=6)
sizes = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@given(scripts, sizes, st.integers(1, 12))
def test_a_script_comes_apart_as_it_was_put_together(script: list[tuple[bytes, Item]], sizes: list[int], rows_size: int) -> None:
    text = b"".join(gap + (item if isinstance(item, bytes) else item[0] + b"\n" + item[1] + b"\\.\n") for gap, item in script)
    assert read(text, *sizes, rows_size=rows_size) == [item for _gap, item in script]


@given(st.lists(st.one_of(nasty, st.sampled_from(["a", "COPY t FROM stdin;\n", "SET standard_conforming_strings = off;"])), max_size=15).map("".join), sizes)
def test_how_a_script_is_cut_changes_nothing(script: str, sizes: list[int]) -> None:
    def outcome(*pieces: int) -> list[Item] | str:
        try:
            return read(script.encode(), *pieces)
        except VerificationError as error:
            return str(error)

    assert outcome(*sizes) == outcome(1 << 20)


def test_little_is_kept_of_many_rows() -> None:
    piece = b"a line of some length\n" * 10_000
    script = iter([b"COPY t FROM stdin;\n", *[piece] * 500, b"\\.\n"])
    reader = ScriptReader(lambda _size: next(script, b""))
    tracemalloc.start()
    try:
        (item,) = reader
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(item, CopyStart)
    assert peak < 10 * len(piece)
