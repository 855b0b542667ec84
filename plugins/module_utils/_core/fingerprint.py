# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Fingerprints of tables and large objects: what PostgreSQL is asked for them, and how two sets of them are compared.

A fingerprint is the number of rows and the sum of one hash a row, so it does not depend on the order in which rows are stored. It stays
the same through a dump and a restore, also into another major version, and it differs when a single value does, by accident. It is no
defence against malice: that is what the archive's SHA-256 is for. Both databases must have the same encoding, and servers of different
byte order do not agree.

RECIPE numbers all of this. Whatever changes the fingerprint of any table must raise it, because old manifests are compared by it.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

RECIPE = 1

Method = t.Literal["none", "counts", "record", "text"]

_HASHES_RECORDS_SINCE = 140000

# What changes how values print. Every name is known to all supported versions, so each can be set without asking.
PINNED_SETTINGS: tuple[tuple[str, str], ...] = (
    ("search_path", "pg_catalog"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "iso_8601"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("quote_all_identifiers", "off"),
    # An error instead of a silently filtered table.
    ("row_security", "off"),
    # Where it happens at all, compiling the expression of a very wide table takes seconds.
    ("jit", "off"),
)

# Generated columns are no data of the archive: a restore computes them anew, with the functions and dictionaries of its own version.
COLUMNS_QUERY = """
WITH RECURSIVE typed (relation, name, type) AS (
    SELECT a.attrelid, a.attname, a.atttypid
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = ANY (CAST(%(oids)s AS pg_catalog.oid[])) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    UNION ALL
    SELECT d.relation, d.name, t.typbasetype
    FROM typed AS d JOIN pg_catalog.pg_type AS t ON t.oid = d.type
    WHERE t.typtype = 'd'
), resolved AS (
    SELECT d.relation, d.name, d.type
    FROM typed AS d JOIN pg_catalog.pg_type AS t ON t.oid = d.type
    WHERE t.typtype <> 'd'
)
SELECT CAST(c.oid AS pg_catalog.int8), n.nspname, c.relname, r.name, CAST(r.type AS pg_catalog.int8)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN resolved AS r ON r.relation = c.oid
WHERE c.oid = ANY (CAST(%(oids)s AS pg_catalog.oid[]))
ORDER BY c.oid
"""

# Types are told apart by the OIDs of the built-in ones, which are the same on every server. First those whose own hash is exact: two values
# that a dump keeps apart never share a hash by design. (Those of numeric, jsonb, interval, arrays, float and char(n) do: 5 and -5, 1.0 and
# 1.00, a month and 30 days, {{1,2}} and {1,2}, 0 and -0; bigint and timestamps fold 64 bits into 32; enums hash an OID that a restore changes.)
_BOOL, _BYTEA, _NAME, _INT2, _INT4, _OID, _DATE, _UUID = 16, 17, 19, 21, 23, 26, 1082, 2950
_CIDR, _INET, _MACADDR, _MACADDR8 = 650, 869, 829, 774
_HASHED_AS_IS = frozenset({_BOOL, _BYTEA, _NAME, _INT2, _INT4, _OID, _DATE, _UUID, _CIDR, _INET, _MACADDR, _MACADDR8})

_TEXT, _VARCHAR = 25, 1043
# A collation that calls different strings equal gives them one hash.
_HASHED_BY_BYTES = frozenset({_TEXT, _VARCHAR})

# Then those whose binary form is exact and cheap. "char" also because its text depends on the version, money because its text depends on the locale.
# float is not here: a computed NaN and one that was read from a dump have different bits.
_BINARY_FORM = {
    18: "charsend",
    20: "int8send",
    790: "cash_send",
    1083: "time_send",
    1114: "timestamp_send",
    1184: "timestamptz_send",
    1186: "interval_send",
    1266: "timetz_send",
    1700: "numeric_send",
    3220: "pg_lsn_send",
}

# Then common ones whose text is taken straight from the output function, a quarter cheaper than the way that is left for all others.
_TEXT_FORM = {114: "json_out", 700: "float4out", 701: "float8out", 1042: "bpcharout", 3802: "jsonb_out"}

_NO_CONTENT = "CAST(NULL AS pg_catalog.text)"

_CHUNK_BYTES = 1024 * 1024
_OBJECTS_A_BATCH = 1000


@dataclass(frozen=True)
class Column:
    """A column that is part of the dumped data; of a domain, ``type_oid`` is the type below."""

    name: str
    type_oid: int


@dataclass(frozen=True)
class Table:
    """A table and the columns that its fingerprint covers."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class TableFingerprint:
    """What was found in one table; ``content`` is a decimal number of any length, or None where only rows were counted."""

    rows: int
    content: str | None


def choose_method(wanted: t.Literal["none", "counts", "content"], server_version_num: int) -> Method:
    """Return the fastest method of this server that proves what is wanted."""
    if wanted != "content":
        return wanted
    return "record" if server_version_num >= _HASHES_RECORDS_SINCE else "text"


def tables_from_rows(rows: Iterable[tuple[t.Any, ...]]) -> tuple[Table, ...]:
    """Return the tables that COLUMNS_QUERY answered with, in its order."""
    names: dict[int, tuple[str, str]] = {}
    columns: dict[int, list[Column]] = {}
    for oid, schema, name, column, type_oid in rows:
        names[oid] = (schema, name)
        found = columns.setdefault(oid, [])
        if column is not None:
            found.append(Column(column, int(type_oid)))
    return tuple(Table(oid, *names[oid], tuple(columns[oid])) for oid in names)


def table_statement(table: Table, method: Method) -> str:
    """Return the query for one table's ``(rows, content)``; content is NULL unless the method reads it.

    Run it without parameters: percent signs in names stand for themselves.
    """
    content = _sum(_hash(_values(table.columns), method)) if _reads_content(method) else _NO_CONTENT
    relation = f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"
    return f"SELECT pg_catalog.count(*), {content} FROM ONLY {relation} AS r"


def large_objects_statement(method: Method) -> str:
    """Return the query for the ``(count, content, last OID)`` of a batch of large objects.

    Its parameter ``after`` is 0 first, then the last OID of the batch before, until a batch counts 0; contents are added up. It needs no
    more than SELECT on the objects.
    """
    objects = f"""(
    SELECT m.oid FROM pg_catalog.pg_largeobject_metadata AS m
    WHERE m.oid > CAST(%(after)s AS pg_catalog.oid) ORDER BY m.oid LIMIT {_OBJECTS_A_BATCH}
) AS o"""
    if not _reads_content(method):
        return f"SELECT pg_catalog.count(*), {_NO_CONTENT}, CAST(pg_catalog.max(o.oid) AS pg_catalog.int8) FROM {objects}"
    hashed = _hash(["o.oid", "p.number", "d.data"], method)
    # Reads until a chunk is not full, because asking for the size would need a descriptor per object. Holes read as zeros, as pg_dump reads
    # them. OFFSET 0 keeps the planner from reading each chunk twice.
    return f"""SELECT pg_catalog.count(*), {_sum("c.content")}, CAST(pg_catalog.max(o.oid) AS pg_catalog.int8) FROM {objects}
CROSS JOIN LATERAL (
    WITH RECURSIVE chunk (number, size, hash) AS (
        SELECT p.number, pg_catalog.length(d.data), {hashed}
        FROM (SELECT 0 AS number) AS p
        CROSS JOIN LATERAL (SELECT {_chunk("0")} AS data OFFSET 0) AS d
        UNION ALL
        SELECT p.number, pg_catalog.length(d.data), {hashed}
        FROM (SELECT chunk.number + 1 AS number FROM chunk WHERE chunk.size = {_CHUNK_BYTES}) AS p
        CROSS JOIN LATERAL (SELECT {_chunk("p.number")} AS data OFFSET 0) AS d
    )
    SELECT pg_catalog.sum(chunk.hash) AS content FROM chunk
) AS c"""


def compare(expected: Mapping[str, TableFingerprint], actual: Mapping[str, TableFingerprint]) -> list[str]:
    """Return one sentence for each table that differs, in the order of their names; none when everything expected is there and nothing else.

    Content is compared where it is expected.
    """
    return [sentence for name in sorted({*expected, *actual}) if (sentence := _difference(name, expected.get(name), actual.get(name)))]


def quote_identifier(name: str) -> str:
    """Return a name in double quotes, which is right for any name and any version's keywords."""
    return '"' + name.replace('"', '""') + '"'


def _reads_content(method: Method) -> bool:
    return method in ("record", "text")


def _values(columns: Iterable[Column]) -> list[str]:
    exact: list[str] = []
    others: list[str] = []
    # By name: a restore may order the columns of inheriting tables in another way.
    for column in sorted(columns, key=lambda column: column.name):
        reference = f"r.{quote_identifier(column.name)}"
        if column.type_oid in _HASHED_AS_IS:
            exact.append(reference)
        elif column.type_oid in _HASHED_BY_BYTES:
            exact.append(f'{reference} COLLATE pg_catalog."C"')
        elif column.type_oid in _BINARY_FORM:
            exact.append(f"pg_catalog.{_BINARY_FORM[column.type_oid]}({reference})")
        elif column.type_oid in _TEXT_FORM:
            exact.append(f"pg_catalog.textin(pg_catalog.{_TEXT_FORM[column.type_oid]}({reference}))")
        else:
            others.append(reference)
    return [*exact, _text(others)] if others else exact


def _text(values: list[str]) -> str:
    # Not by a cast: users can define casts to text, and that of xml keeps the encoding's declaration, which a dump leaves out.
    return f"pg_catalog.textin(pg_catalog.record_out({_row(values)}))"


def _row(values: list[str]) -> str:
    return f"ROW({', '.join(values)})"


def _hash(values: list[str], method: Method) -> str:
    if method == "text":
        return f'pg_catalog.hashtextextended({_text(values)} COLLATE pg_catalog."C", 0)'
    # The hash of a record is a weighted sum of its columns' hashes, so that the total of a table would not see two rows exchange the values
    # of a column. Hashing it once more ends that. Of numeric, because the hash of bigint keeps 32 bits; this one ignores no more than the sign.
    return f"pg_catalog.hash_numeric_extended(CAST(pg_catalog.hash_record_extended({_row(values)}, 0) AS pg_catalog.numeric), 0)"


def _sum(hashes: str) -> str:
    # Not bit_xor, in which a row that is there twice vanishes. The sum of bigint is numeric and cannot overflow.
    return f"CAST(coalesce(pg_catalog.sum({hashes}), 0) AS pg_catalog.text)"


def _chunk(number: str) -> str:
    return f"pg_catalog.lo_get(o.oid, CAST({number} AS pg_catalog.int8) * {_CHUNK_BYTES}, {_CHUNK_BYTES})"


def _difference(name: str, expected: TableFingerprint | None, actual: TableFingerprint | None) -> str | None:
    if expected is None:
        return f"Table {name} is there but not expected."
    if actual is None:
        return f"Table {name} is missing."
    if actual.rows != expected.rows:
        return f"Table {name} has {actual.rows} rows instead of {expected.rows}."
    if expected.content is not None and actual.content is None:
        return f"Table {name} has the expected {expected.rows} rows, but their content was not read."
    if expected.content is not None and actual.content != expected.content:
        return f"Table {name} has the expected {expected.rows} rows, but their content differs."
    return None
