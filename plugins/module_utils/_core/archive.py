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

_NO_CATALOG = "0"
_TABLE_DATA = "TABLE DATA "
_SEQUENCE_SET = "SEQUENCE SET "
_LARGE_OBJECTS = ("BLOBS ", "BLOB DATA ")
_MATERIALIZED_VIEW_DATA = "MATERIALIZED VIEW DATA "


@dataclasses.dataclass(frozen=True)
class ArchiveContents:
    """An archive's table of contents.

    ``table_data`` holds the OIDs of the tables whose rows are in it, ``sequence_lines`` the lines that a list file needs to select sequence values.
    """

    archive_version: str
    compression: str
    client_version: str
    entries: int
    table_data: frozenset[int]
    materialized_views: frozenset[int]
    sequence_lines: tuple[str, ...]
    large_objects: bool
    database: str = ""
    server_version: str = ""


def parse_list(listing: str) -> ArchiveContents:
    """Read the output of ``pg_restore --list``."""
    headers: dict[str, str] = {}
    tables: set[int] = set()
    materialized: set[int] = set()
    sequences: list[str] = []
    large_objects = False
    entries = 0
    # Not splitlines: a name may hold what only Unicode calls the end of a line.
    for line in listing.split("\n"):
        header = _HEADER.match(line)
        if header:
            headers[header["name"]] = header["value"].strip()
            continue
        entry = _ENTRY.match(line)
        if not entry:
            continue
        entries += 1
        if entry["catalog"] != _NO_CATALOG:
            continue
        rest = entry["rest"]
        if rest.startswith(_TABLE_DATA):
            tables.add(int(entry["oid"]))
        elif rest.startswith(_MATERIALIZED_VIEW_DATA):
            materialized.add(int(entry["oid"]))
        elif rest.startswith(_SEQUENCE_SET):
            sequences.append(line)
        elif rest.startswith(_LARGE_OBJECTS):
            large_objects = True
    if "Dump Version" not in headers:
        raise VerificationError("pg_restore printed no table of contents for the archive, so it cannot be proved. Nothing was published.")
    return ArchiveContents(
        archive_version=_short_version(headers["Dump Version"]),
        compression=headers.get("Compression", ""),
        client_version=headers.get("Dumped by pg_dump version", ""),
        entries=entries,
        table_data=frozenset(tables),
        materialized_views=frozenset(materialized),
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
        raise VerificationError(
            f"The archive lists {expected} sequence values, but {len(values)} could be read from it, so the sequences cannot be proved. Nothing was published."
        )
    return values


def _short_version(text: str) -> str:
    """Turn ``1.14-0`` into the ``1.14`` that people and pg_restore's own errors use."""
    return text.partition("-")[0]
