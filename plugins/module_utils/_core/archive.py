# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a pg_dump archive says of itself: ``pg_restore --list``, and the sequence values in its own SQL.

The archive is the authority on what was dumped: entries of table data carry the table's OID, so no pattern has to be understood twice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError

# "3361; 0 16389 TABLE DATA public users postgres": dump id; catalog OID, object OID, kind, schema, name and owner. Data has no catalog, which
# tells it from the definition of a table in a schema DATA: "218; 1259 16387 TABLE DATA users postgres".
_ENTRY = re.compile(r"^(?P<dump_id>\d+); (?P<catalog>\d+) (?P<oid>\d+) (?P<rest>.+)$")
_HEADER = re.compile(r"^; +(?P<name>dbname|Compression|Dump Version|Dumped from database version|Dumped by pg_dump version): (?P<value>.+)$")
_SETVAL = re.compile(r"^SELECT pg_catalog\.setval\(E?'(?P<name>(?:[^']|'')+)', (?P<last>-?\d+), (?P<called>true|false)\);$", re.MULTILINE)

# The longest first, because one kind's name can begin another's.
_KINDS = sorted(
    """
    ACCESS METHOD|ACL|AGGREGATE|BLOB|BLOB DATA|BLOB METADATA|BLOBS|CAST|CHECK CONSTRAINT|COLLATION|COMMENT|CONSTRAINT|CONVERSION|DATABASE|
    DATABASE PROPERTIES|DEFAULT|DEFAULT ACL|DOMAIN|ENCODING|EVENT TRIGGER|EXTENSION|FK CONSTRAINT|FOREIGN DATA WRAPPER|FOREIGN TABLE|FUNCTION|INDEX|
    INDEX ATTACH|MATERIALIZED VIEW|MATERIALIZED VIEW DATA|OPERATOR|OPERATOR CLASS|OPERATOR FAMILY|POLICY|PROCEDURAL LANGUAGE|PROCEDURE|PUBLICATION|
    PUBLICATION TABLE|PUBLICATION TABLES IN SCHEMA|ROW SECURITY|RULE|SCHEMA|SEARCHPATH|SECURITY LABEL|SEQUENCE|SEQUENCE OWNED BY|SEQUENCE SET|SERVER|
    SHELL TYPE|STATISTICS|STATISTICS DATA|STDSTRINGS|SUBSCRIPTION|SUBSCRIPTION TABLE|TABLE|TABLE ATTACH|TABLE DATA|TEXT SEARCH CONFIGURATION|
    TEXT SEARCH DICTIONARY|TEXT SEARCH PARSER|TEXT SEARCH TEMPLATE|TRANSFORM|TRIGGER|TYPE|USER MAPPING|VIEW
    """.replace("\n", "")
    .replace("    ", "")
    .split("|"),
    key=lambda kind: -len(kind),
)

# A table in a schema DATA is no data of a table: these kinds never have a catalog.
_WITHOUT_CATALOG = frozenset({"TABLE DATA", "MATERIALIZED VIEW DATA", "SEQUENCE SET", "SEQUENCE OWNED BY", "BLOB DATA", "STATISTICS DATA"})

_MAGIC = b"PGDMP"
HEADER_BYTES = 8
# Which pg_restore reads which archive: 1.14 came with 12, 1.15 with 16, 1.16 with 17.
_FIRST_MAJOR_OF = {(1, 14): 13, (1, 15): 16, (1, 16): 17}

_NO_CATALOG = "0"
_TABLE_DATA = "TABLE DATA "
_SEQUENCE_SET = "SEQUENCE SET "
_LARGE_OBJECTS = ("BLOBS ", "BLOB DATA ")


@dataclasses.dataclass(frozen=True)
class ArchiveEntry:
    """One line of a table of contents; ``label`` is schema (``-``: none), name and owner as pg_restore prints them, in one text."""

    kind: str
    label: str
    line: str

    def __str__(self) -> str:
        return f"{self.kind} {self.label}".strip()


@dataclasses.dataclass(frozen=True)
class ArchiveContents:
    """An archive's table of contents.

    ``entries`` are all of its lines in their order, ``table_data`` holds the OIDs of the tables whose rows are in it, ``sequence_lines`` the lines
    that a list file needs to select sequence values.
    """

    archive_version: str
    compression: str
    client_version: str
    entries: tuple[ArchiveEntry, ...]
    table_data: frozenset[int]
    sequence_lines: tuple[str, ...]
    large_objects: bool
    database: str = ""
    server_version: str = ""

    @property
    def large_object_owners(self) -> frozenset[str]:
        """The roles that large objects belong to, which from 17 on are no part of an archive's definitions."""
        return frozenset(entry.label.rpartition(" ")[2] for entry in self.entries if entry.kind in ("BLOB", "BLOB METADATA"))

    @property
    def client_major(self) -> int:
        """The major of the pg_dump that made the archive, 0 where the archive does not say."""
        found = re.match(r"\d+", self.client_version)
        return int(found[0]) if found else 0


def oldest_reader(header: bytes) -> int:
    """Return the oldest major whose pg_restore reads the archive that begins with these bytes; raise for what is no custom format archive."""
    if len(header) < HEADER_BYTES or not header.startswith(_MAGIC):
        raise VerificationError(
            "This is not an archive in pg_dump's custom format (pg_dump --format=custom): it does not begin as one. Set backup to such an archive."
        )
    version = (header[5], header[6])
    newest = max(_FIRST_MAJOR_OF)
    return _FIRST_MAJOR_OF.get(version, _FIRST_MAJOR_OF[newest] + 1 if version > newest else min(_FIRST_MAJOR_OF.values()))


def parse_list(listing: str) -> ArchiveContents:
    """Read the output of ``pg_restore --list``."""
    headers: dict[str, str] = {}
    tables: set[int] = set()
    sequences: list[str] = []
    large_objects = False
    entries: list[ArchiveEntry] = []
    # Not splitlines: a name may hold what only Unicode calls the end of a line.
    for line in listing.split("\n"):
        header = _HEADER.match(line)
        if header:
            headers[header["name"]] = header["value"].strip()
            continue
        entry = _ENTRY.match(line)
        if not entry:
            continue
        entries.append(_entry(entry["rest"], line, of_catalog=entry["catalog"] != _NO_CATALOG))
        if entry["catalog"] != _NO_CATALOG:
            continue
        rest = entry["rest"]
        if rest.startswith(_TABLE_DATA):
            tables.add(int(entry["oid"]))
        elif rest.startswith(_SEQUENCE_SET):
            sequences.append(line)
        elif rest.startswith(_LARGE_OBJECTS):
            large_objects = True
    if "Dump Version" not in headers:
        raise VerificationError("pg_restore printed no table of contents for the archive, so it cannot be proved.")
    return ArchiveContents(
        archive_version=_short_version(headers["Dump Version"]),
        compression=headers.get("Compression", ""),
        client_version=headers.get("Dumped by pg_dump version", ""),
        entries=tuple(entries),
        table_data=frozenset(tables),
        sequence_lines=tuple(sequences),
        large_objects=large_objects,
        database=headers.get("dbname", ""),
        server_version=headers.get("Dumped from database version", ""),
    )


def parse_sequence_values(sql: str, expected: int) -> dict[str, dict[str, t.Any]]:
    """Read ``setval`` statements as ``{qualified name: {last_value, is_called}}``.

    Sequences ignore snapshots, so only the archive knows which value a restore will set.
    """
    values = {found["name"].replace("''", "'"): {"last_value": int(found["last"]), "is_called": found["called"] == "true"} for found in _SETVAL.finditer(sql)}
    if len(values) != expected:
        raise VerificationError(f"The archive lists {expected} sequence values, but {len(values)} could be read from it, so the sequences cannot be proved.")
    return values


def _entry(rest: str, line: str, *, of_catalog: bool) -> ArchiveEntry:
    known = (kind for kind in _KINDS if rest.startswith(f"{kind} ") and not (of_catalog and kind in _WITHOUT_CATALOG))
    kind = next(known, rest.partition(" ")[0])
    return ArchiveEntry(kind, rest[len(kind) + 1 :], line)


def _short_version(text: str) -> str:
    """Turn ``1.14-0`` into the ``1.14`` that people and pg_restore's own errors use."""
    return text.partition("-")[0]
