# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprints are the same after a restore into any version, and differ when anything else does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name
from harness.postgres import PostgresServer, find_installations

pytestmark = pytest.mark.every_major

MAJORS = [each.major for each in find_installations()]
METHODS: list[fingerprint.Method] = ["record", "text"]

SCHEMA = """
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, m mood);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN score AS positive;
CREATE DOMAIN feeling AS mood;
CREATE DOMAIN email AS text;
CREATE FUNCTION shout(mood) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''always the same''';
CREATE CAST (mood AS text) WITH FUNCTION shout(mood) AS ASSIGNMENT;
"""

# One table each, filled with these values.
VALUES = {
    "bool": ["true", "false", "null"],
    '"char"': ["'a'", "'z'"],
    "name": ["'a'", "'é'"],
    "int2": ["0", "-1", "32767"],
    "int4": ["0", "-1", "2147483647"],
    "int8": ["0", "-1", "9223372036854775807", "4294967296"],
    "text": ["''", "'é 漢'", "repeat('x', 100000)", r"""E'line\nfeed \\ "'""", "null"],
    "varchar(9)": ["'a '", "'é'"],
    "char(5)": ["'a'", "'é'"],
    "bpchar": ["'a  '", "'a'", "'b'"],
    "numeric": ["1.0", "1.00", "-5", "5", "1e100", "1e-100", "'NaN'", "12345.678900"],
    "numeric(12,2)": ["1.0", "1.005", "-5"],
    "float8": ["0", "'-0'", "'NaN'", "'Infinity'::float8 - 'Infinity'::float8", "1e-320", "0.1::float8 + 0.2::float8", "'-Infinity'"],
    "float4": ["0", "'-0'", "'NaN'", "'Infinity'::float4 - 'Infinity'::float4", "1.1", "1e-40"],
    "bytea": ["''", r"'\x00ff'"],
    "date": ["'2020-02-29'", "'infinity'", "'4713-01-01 BC'"],
    "time": ["'12:34:56.789'", "'24:00'"],
    "timetz": ["'12:00+02'", "'10:00+00'"],
    "timestamp": ["'2020-01-01 01:02:03.000001'", "'-infinity'"],
    "timestamptz": ["'2020-01-01 01:02:03.000001+02'", "'infinity'", "'1900-01-01 00:00+00'"],
    "interval": ["'1 mon'", "'30 days'", "'-1 mon +3 days -00:00:00.000001'", "'720:00'"],
    "uuid": ["'00112233-4455-6677-8899-aabbccddeeff'"],
    "inet": ["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"],
    "cidr": ["'10.0.0.0/8'", "'fe80::/64'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "money": ["12.34", "-1"],
    "oid": ["4294967295"],
    "xid8": ["'18446744073709551615'"],
    "pg_lsn": ["'16/B374D848'", "'0/0'"],
    "bit(5)": ["b'10110'"],
    "varbit": ["b'101'", "b'1010'"],
    "jsonb": ["""'{"b": 1.0, "a": 1.00}'""", """'{"n": -5}'""", """'"x"'""", "'null'", """'[1, [2, "é"]]'""", "'{}'"],
    "json": ["""'{"b": 1.0,  "a": 1, "b": 2}'"""],
    "xml": ["""'<?xml version="1.0" encoding="UTF-8"?><a/>'""", "'text only'"],
    "mood": ["'sad'", "'happy'"],
    "mood[]": ["'{sad, ok}'"],
    "int[]": ["'{1,2,3,4}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'", "'{1,NULL}'", "'{}'"],
    "text[]": ["""'{a,"NULL",NULL,"b c"}'"""],
    "timestamptz[]": ["'{2020-01-01 01:02:03+02}'"],
    "interval[]": ["'{1 mon 2 days 03:04:05}'"],
    "float8[]": ["array[0.1::float8 + 0.2::float8]"],
    "bytea[]": [r"""'{"\\x00ff"}'"""],
    "money[]": ["array[1234.5::money]"],
    "int4range": ["'[1,5)'", "'empty'", "'(,)'"],
    "numrange": ["'[1.0,2]'"],
    "tstzrange": ["'[2020-01-01 00:00+02,)'"],
    "int4multirange": ["'{[1,2),[5,9)}'"],
    "tsvector": ["""to_tsvector('simple', 'a quick fox''s "den"')"""],
    "tsquery": ["'a & !b'"],
    "point": ["'(1,-0)'"],
    "polygon": ["'((0,0),(1,1),(2,0.1))'"],
    "pair": ["(1, 'sad')", "(null, null)"],
    "score": ["7"],
    "email": ["'a@b'"],
    "feeling": ["'ok'"],
    "citext": ["'Abc'", "'abc'"],
    "hstore": ["'a=>1, b=>NULL'"],
    "regclass": ["'pg_catalog.pg_class'"],
    "regtype": ["'public.mood'", "'int'"],
    "tid": ["'(1,2)'"],
}

NAMES = r"""
CREATE TABLE r (r int, "R" text, "s" bigint);
INSERT INTO r VALUES (1, 'one', 2), (3, 'three', 4);
CREATE TABLE "select" ("from" int, "where" pair);
INSERT INTO "select" VALUES (1, (2, 'ok'));
CREATE SCHEMA "we""ird %s 100%";
CREATE TABLE "we""ird %s 100%"."Tä ble %(after)s" ("a""b" int, "%" text, "%s" numeric, "é 漢" uuid, "ctid " text);
INSERT INTO "we""ird %s 100%"."Tä ble %(after)s" VALUES (1, '%', 2.50, 'aabbccdd-4455-6677-8899-aabbccddeeff', 'x');
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE no_rows (id int, note text);
CREATE TABLE dropped (a int, gone text, b text);
INSERT INTO dropped VALUES (1, 'gone', 'b');
ALTER TABLE dropped DROP COLUMN gone;
CREATE TABLE parent (id int, name text);
CREATE TABLE child (own numeric) INHERITS (parent);
ALTER TABLE parent ADD COLUMN added_later text;
INSERT INTO parent VALUES (1, 'parent', 'later');
INSERT INTO child VALUES (2, 'child', 1.50, 'later');
CREATE TABLE parted (id int, region text) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
INSERT INTO parted VALUES (1, 'eu');
CREATE TABLE identity (id int GENERATED ALWAYS AS IDENTITY, doubled int GENERATED ALWAYS AS (base * 2) STORED, base int);
INSERT INTO identity (base) VALUES (21);
"""


@pytest.fixture(scope="module")
def zoo(postgres: Callable[[int], PostgresServer]) -> Iterator[Callable[[int], PostgresServer]]:
    """Return the server of a major version, with the database zoo."""
    filled: dict[int, PostgresServer] = {}

    def get(major: int) -> PostgresServer:
        if major not in filled:
            server = filled[major] = postgres(major)
            _run(server, "postgres", "CREATE DATABASE zoo TEMPLATE template0")
            _run(server, "zoo", SCHEMA + _value_tables() + NAMES + _wide_table(1600) + _large_objects())
            # An array keeps its bitmap of nulls when the last one goes; one that is read from a dump has none.
            _run(server, "zoo", """UPDATE "type int[]" SET v[2] = 7 WHERE v = '{1,NULL}'""")
        return filled[major]

    yield get
    for server in filled.values():
        _run(server, "postgres", "DROP DATABASE zoo WITH (FORCE)")


@contextmanager
def _scratch(server: PostgresServer) -> Iterator[Any]:
    _run(server, "postgres", "CREATE DATABASE scratch TEMPLATE template0")
    try:
        with closing(server.connect("scratch", client_encoding="UTF8")) as connection:
            cursor = connection.cursor()
            _pin(cursor)
            yield cursor
    finally:
        _run(server, "postgres", "DROP DATABASE scratch")


@pytest.fixture
def scratch(pg: PostgresServer) -> Iterator[Any]:
    """A cursor in an empty database of its own, with the pinned settings."""
    with _scratch(pg) as cursor:
        yield cursor


@pytest.mark.parametrize(("source", "target"), [(source, target) for source in MAJORS for target in MAJORS if source <= target])
def test_a_restore_into_the_same_or_a_newer_version_keeps_every_fingerprint(
    zoo: Callable[[int], PostgresServer], postgres: Callable[[int], PostgresServer], tmp_path: Path, source: int, target: int
) -> None:
    origin, copy = zoo(source), postgres(target)
    dump = tmp_path / "zoo.dump"
    _program(origin, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={origin.url('zoo')}")
    restored = f"from_{source}"
    # Other OIDs than at the source, also for what has hashes or output that hold an OID.
    _run(copy, "postgres", f"CREATE DATABASE {restored} TEMPLATE template0")
    _run(copy, restored, "CREATE TYPE burnt AS ENUM ('a', 'b', 'c'); DROP TYPE burnt")
    try:
        _program(copy, "pg_restore", "--exit-on-error", f"--dbname={copy.url(restored)}", str(dump))
        for method in METHODS:
            before, after = _fingerprints(origin, "zoo", method), _fingerprints(copy, restored, method)
            assert len(before) > len(VALUES)
            assert all(found.content is not None for found in before.values())
            assert fingerprint.compare(before, after) == []
            objects = _large_object_total(origin, "zoo", method)
            assert objects[0] == 4
            assert _large_object_total(copy, restored, method) == objects
    finally:
        _run(copy, "postgres", f"DROP DATABASE {restored} WITH (FORCE)")


# Values that a dump keeps apart, though the hash of their type, or a cast to text, does not.
DISTINCT = [
    ("numeric", "1.0", "1.00"),
    ("numeric", "5", "-5"),
    ("jsonb", "'[1.0]'", "'[1.00]'"),
    ("jsonb", """'{"balance": 5}'""", """'{"balance": -5}'"""),
    ("interval", "'1 mon'", "'30 days'"),
    ("interval", "'1 day'", "'24:00'"),
    ("int[]", "'{{1,2},{3,4}}'", "'{1,2,3,4}'"),
    ("int[]", "'[0:1]={1,2}'", "'{1,2}'"),
    ("bpchar", "'a '", "'a'"),
    ("float8", "'-0'", "'0'"),
    ("float8", "0.1::float8 + 0.2::float8", "0.3"),
    ("float4", "'-0'", "'0'"),
    ("point", "'(0,-0)'", "'(0,0)'"),
    ("int8", "1", "4294967296"),
    ("money", "'0.01'", "'42949672.96'"),
    ("timestamptz", "'2000-01-01 00:00:00.000001+00'", "'2000-01-01 01:11:34.967296+00'"),
    ("timetz", "'12:00+02'", "'10:00+00'"),
    ("numrange", "'[1.0,2]'", "'[1.00,2]'"),
    ("varbit", "b'1010'", "b'101'"),
    ("inet", "'10.0.0.1'", "'10.0.0.1/31'"),
    ("json", "'{\"a\": 1}'", "'{\"a\":1}'"),
    ("text", "''", "null"),
    ("text[]", "'{NULL}'", "'{\"NULL\"}'"),
    ("public.citext", "'Abc'", "'abc'"),
    # Fooled by the cast above, if a cast were asked.
    ("public.mood", "'sad'", "'ok'"),
    ("public.pair", "(null, null)", "null"),
]


@pytest.mark.parametrize("method", METHODS)
def test_different_values_have_different_fingerprints(scratch: Any, method: fingerprint.Method) -> None:
    scratch.execute(f"SET search_path = public, pg_catalog; {SCHEMA}")
    _pin(scratch)
    for number, (type_name, one, other) in enumerate(DISTINCT):
        scratch.execute(f"CREATE TABLE public.one_{number} (v {type_name}); INSERT INTO public.one_{number} VALUES ({one}::{type_name})")
        scratch.execute(f"CREATE TABLE public.other_{number} (v {type_name}); INSERT INTO public.other_{number} VALUES ({other}::{type_name})")
    found = _read(scratch, method)
    assert len(found) == 2 * len(DISTINCT)
    assert [pair for number, pair in enumerate(DISTINCT) if found[f"public.one_{number}"] == found[f"public.other_{number}"]] == []


@pytest.mark.parametrize("method", METHODS)
def test_strings_that_a_collation_calls_equal_have_different_fingerprints(postgres: Callable[[int], PostgresServer], method: fingerprint.Method) -> None:
    able = [server for server in map(postgres, MAJORS) if _has_icu(server)]
    if not able:
        pytest.skip("No server here is built with ICU.")
    for server in able:
        with _scratch(server) as cursor:
            cursor.execute("CREATE COLLATION public.sloppy (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
            for table, value in (("one", "A"), ("other", "a")):
                cursor.execute(f"CREATE TABLE public.{table} (v text COLLATE public.sloppy, w text[] COLLATE public.sloppy)")
                cursor.execute(f"INSERT INTO public.{table} VALUES (%s, array['x'])", [value])
            cursor.execute("SELECT one.v = other.v FROM public.one, public.other")
            assert cursor.fetchone() == (True,)
            found = _read(cursor, method)
            assert found["public.one"].content != found["public.other"].content


PEOPLE = "SELECT g, 'name ' || g, g * 10, date '2020-01-01' + g::int FROM generate_series(1, 40) AS g"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE public.other SET b = b || '!' WHERE a = 7", id="one value"),
        pytest.param("UPDATE public.other SET b = NULL WHERE a = 7", id="a null"),
        pytest.param("UPDATE public.other SET c = c + 1 WHERE a = 7", id="a number"),
        pytest.param("UPDATE public.other SET a = c, c = a WHERE a = 7", id="two columns exchanged in a row"),
        pytest.param("DELETE FROM public.other WHERE a IN (7, 8); INSERT INTO public.other SELECT * FROM public.other WHERE a = 9", id="rows gone"),
        pytest.param("INSERT INTO public.other SELECT * FROM public.other WHERE a = 7", id="a row twice"),
        pytest.param("INSERT INTO public.other SELECT o.* FROM public.other AS o, generate_series(1, 2) WHERE a = 7", id="a pair of equal rows"),
    ],
)
def test_every_change_of_content_is_seen(scratch: Any, method: fingerprint.Method, change: str) -> None:
    scratch.execute(f"CREATE TABLE public.one (a bigint, b text, c bigint, d date); INSERT INTO public.one {PEOPLE}")
    scratch.execute("CREATE TABLE public.other (LIKE public.one); INSERT INTO public.other SELECT * FROM public.one ORDER BY random()")
    found = _read(scratch, method)
    assert found["public.one"] == found["public.other"], "the order of rows must not matter"
    scratch.execute(change)
    found = _read(scratch, method)
    assert found["public.one"].content != found["public.other"].content


@pytest.mark.parametrize("method", METHODS)
def test_values_exchanged_between_rows_are_seen(scratch: Any, method: fingerprint.Method) -> None:
    """The plain hash of a record is linear: summed up, it misses two of three such exchanges."""
    scratch.execute(f"CREATE TABLE public.one (a bigint, b text, c bigint, d date); INSERT INTO public.one {PEOPLE}")
    unseen = []
    for first in range(1, 40, 2):
        scratch.execute(f"CREATE TABLE public.other AS SELECT * FROM public.one WHERE a IN ({first}, {first + 1})")
        before = _read(scratch, method)["public.other"]
        scratch.execute(f"UPDATE public.other AS o SET b = i.b FROM public.one AS i WHERE i.a = 2 * {first} + 1 - o.a")
        if _read(scratch, method)["public.other"] == before:
            unseen.append(first)
        scratch.execute("DROP TABLE public.other")
    assert unseen == []


@pytest.mark.parametrize("method", METHODS)
def test_generated_columns_are_not_covered(scratch: Any, pg: PostgresServer, method: fingerprint.Method) -> None:
    scratch.execute("CREATE TABLE public.plain (b int); INSERT INTO public.plain VALUES (0), (1)")
    scratch.execute("CREATE TABLE public.stored (a int GENERATED ALWAYS AS (b + 1) STORED, b int); INSERT INTO public.stored (b) VALUES (0), (1)")
    if pg.installation.major >= 18:
        # Reading this one would fail.
        scratch.execute("CREATE TABLE public.virtual (a int GENERATED ALWAYS AS (1 / b) VIRTUAL, b int); INSERT INTO public.virtual (b) VALUES (0), (1)")
    assert len(set(_read(scratch, method).values())) == 1


def test_a_parent_is_covered_without_its_children(zoo: Callable[[int], PostgresServer], pg: PostgresServer) -> None:
    found = _fingerprints(zoo(pg.installation.major), "zoo", "counts")
    assert (found["public.parent"].rows, found["public.child"].rows) == (1, 1)


@pytest.mark.parametrize("method", METHODS)
def test_odd_settings_of_a_database_change_nothing(zoo: Callable[[int], PostgresServer], pg: PostgresServer, method: fingerprint.Method) -> None:
    server = zoo(pg.installation.major)
    expected = _fingerprints(server, "zoo", method)
    odd = {
        "search_path": "public",
        "timezone": "Asia/Kathmandu",
        "datestyle": "SQL, DMY",
        "intervalstyle": "sql_standard",
        "extra_float_digits": "-3",
        "bytea_output": "escape",
        "quote_all_identifiers": "on",
    }
    with closing(server.connect("zoo", client_encoding="UTF8")) as connection, connection.cursor() as cursor:
        for name, value in odd.items():
            _pin(cursor)
            cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
            assert fingerprint.compare(expected, _read(cursor, method)), f"{name} need not be pinned"
        _pin(cursor)
        assert fingerprint.compare(expected, _read(cursor, method)) == []


def test_rows_that_a_policy_hides_are_an_error(scratch: Any) -> None:
    scratch.execute(
        "CREATE ROLE reader; GRANT USAGE ON SCHEMA public TO reader; CREATE TABLE public.hidden (a int); INSERT INTO public.hidden VALUES (1);"
        "GRANT SELECT ON public.hidden TO reader; ALTER TABLE public.hidden ENABLE ROW LEVEL SECURITY; SET ROLE reader"
    )
    try:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
            _read(scratch, "counts")
    finally:
        scratch.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize("method", METHODS)
def test_large_objects_need_no_more_than_select_and_every_byte_counts(scratch: Any, method: fingerprint.Method) -> None:
    scratch.execute(_large_objects())
    scratch.execute("CREATE ROLE reader; SELECT lo_from_bytea(9, 'mine')")
    try:
        scratch.execute("SET ROLE reader")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            _large_objects_of(scratch, method)
        scratch.execute("RESET ROLE; SELECT format('GRANT SELECT ON LARGE OBJECT %s TO reader', oid) FROM pg_largeobject_metadata")
        scratch.execute("; ".join(grant for (grant,) in scratch.fetchall()) + "; SET ROLE reader")
        before = _large_objects_of(scratch, method)
        assert before[0] == 5
        scratch.execute("RESET ROLE")
        for change in (
            "SELECT lo_put(4294967290, 1048576, 'x')",
            "SELECT lo_put(2, 2 * 1048576, 'x')",
            "SELECT lo_put(1, 0, 'x')",
            "SELECT lo_unlink(9)",
        ):
            scratch.execute(change)
            after = _large_objects_of(scratch, method)
            assert after != before, change
            before = after
    finally:
        scratch.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize("method", METHODS)
def test_large_objects_that_exchange_their_contents_are_seen(scratch: Any, method: fingerprint.Method) -> None:
    seen = set()
    for first, second in ((1, 2), (2, 1)):
        for number in range(0, 40, 2):
            scratch.execute("SELECT lo_from_bytea(%s, 'one'), lo_from_bytea(%s, 'other')", [number + 10 + first, number + 10 + second])
        seen.add(_large_objects_of(scratch, method))
        scratch.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    assert len(seen) == 2


def test_large_objects_are_counted_in_batches(scratch: Any) -> None:
    scratch.execute("SELECT count(lo_create(0)) FROM generate_series(1, 2500)")
    assert _large_objects_of(scratch, "record")[0] == 2500
    assert _large_objects_of(scratch, "counts") == (2500, 0)


def _value_tables() -> str:
    return "".join(
        f"CREATE TABLE {table} (v {type_name}); INSERT INTO {table} VALUES {', '.join(f'({value})' for value in values)};\n"
        for type_name, values in VALUES.items()
        for table in [fingerprint.quote_identifier(f"type {type_name}")]
    )


def _wide_table(columns: int) -> str:
    types = ("int", "text", "bool", "mood")
    listed = ", ".join(f"c{number} {types[number % 4]}" for number in range(columns))
    return f"CREATE TABLE wide ({listed}); INSERT INTO wide (c0, c{columns - 1}) VALUES (1, 'ok'), (2, 'sad');"


def _large_objects() -> str:
    """Return what makes one of several chunks, an exact chunk, an empty one, and one with a hole and the last possible OID."""
    return """
    SELECT lo_from_bytea(1, convert_to(repeat('0123456789abcdef', 163840), 'UTF8'));
    SELECT lo_from_bytea(2, convert_to(repeat('x', 1048576), 'UTF8'));
    SELECT lo_create(3);
    SELECT lo_create(4294967290);
    SELECT lo_put(4294967290, 3000000, 'after a hole');
    """


def _run(server: PostgresServer, database: str, statements: str) -> None:
    with closing(server.connect(database, client_encoding="UTF8")) as connection, connection.cursor() as cursor:
        cursor.execute(statements)


def _has_icu(server: PostgresServer) -> bool:
    with closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        # Those of the provider that have other names are in every build.
        cursor.execute("SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')")
        return cursor.fetchone() == (True,)


def _program(server: PostgresServer, name: str, *arguments: str) -> None:
    subprocess.run([server.installation.program(name), *arguments], check=True, env={**os.environ, "PGCLIENTENCODING": "UTF8"}, timeout=120)


def _pin(cursor: Any) -> None:
    for name, value in fingerprint.PINNED_SETTINGS:
        cursor.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, value])


def _fingerprints(server: PostgresServer, database: str, method: fingerprint.Method) -> dict[str, fingerprint.TableFingerprint]:
    with closing(server.connect(database, client_encoding="UTF8")) as connection, connection.cursor() as cursor:
        _pin(cursor)
        return _read(cursor, method)


def _read(cursor: Any, method: fingerprint.Method) -> dict[str, fingerprint.TableFingerprint]:
    """Return the fingerprints of all tables that hold data of their own and belong to no extension."""
    cursor.execute("SELECT oid::int8 FROM pg_catalog.pg_class WHERE relkind = 'r' AND oid >= 16384")
    cursor.execute(fingerprint.COLUMNS_QUERY, {"oids": [oid for (oid,) in cursor.fetchall()]})
    found = {}
    for table in fingerprint.tables_from_rows(cursor.fetchall()):
        cursor.execute(fingerprint.table_statement(table, method))
        found[qualified_name(table.schema, table.name)] = fingerprint.TableFingerprint(*cursor.fetchone())
    return found


def _large_object_total(server: PostgresServer, database: str, method: fingerprint.Method) -> tuple[int, int]:
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        _pin(cursor)
        return _large_objects_of(cursor, method)


def _large_objects_of(cursor: Any, method: fingerprint.Method) -> tuple[int, int]:
    count, content, last = 0, 0, 0
    while True:
        cursor.execute(fingerprint.large_objects_statement(method), {"after": last})
        batch, hashes, reached = cursor.fetchone()
        if not batch:
            return count, content
        count, content, last = count + batch, content + int(hashes or 0), reached
