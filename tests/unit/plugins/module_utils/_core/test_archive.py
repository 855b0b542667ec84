# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of contents as pg_restore printed them, on servers with names chosen to mislead a reader."""

from __future__ import annotations

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import oldest_reader, parse_list, parse_sequence_values
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError

# From pg_restore 15. A schema DATA, a schema SET, and a table whose name holds U+2028 and the text of an entry; DATA.users has its rows left out.
LISTING_15 = """;
; Archive created at 2026-11-24 01:39:18 UTC
;     dbname: tocs
;     TOC Entries: 26
;     Compression: -1
;     Dump Version: 1.14-0
;     Format: CUSTOM
;     Integer: 4 bytes
;     Offset: 8 bytes
;     Dumped from database version: 15.18 (Debian 15.18-0+deb12u1)
;     Dumped by pg_dump version: 15.18 (Debian 15.18-0+deb12u1)
;
;
; Selected TOC Entries:
;
6; 2615 16385 SCHEMA - DATA postgres
218; 1259 16387 TABLE DATA users postgres
217; 1259 16386 SEQUENCE DATA users_id_seq postgres
3373; 0 0 SEQUENCE OWNED BY DATA users_id_seq postgres
219; 1259 16392 SEQUENCE SET s postgres
223; 1259 16402 MATERIALIZED VIEW public mv postgres
222; 1259 16399 TABLE public x\u2028;1; 0 99 TABLE DATA postgres
3214; 2604 16390 DEFAULT DATA users id postgres
3365; 2613 16406 BLOB - 16406 postgres
3362; 0 16395 TABLE DATA public a\\b postgres
3363; 0 16399 TABLE DATA public x\u20281; 0 99 TABLE DATA postgres
3375; 0 0 SEQUENCE SET DATA users_id_seq postgres
3376; 0 0 SEQUENCE SET SET s postgres
3366; 0 0 BLOBS - BLOBS \n3364; 0 16402 MATERIALIZED VIEW DATA public mv postgres
"""

LISTING_17 = """;
; Archive created at 2026-11-24 01:39:18 UTC
;     dbname: tocs
;     Compression: gzip
;     Dump Version: 1.16-0
;     Dumped from database version: 17.2
;     Dumped by pg_dump version: 17.2
;
218; 1259 16387 TABLE public users postgres
3360; 0 16387 TABLE DATA public users postgres
3366; 2613 16406 BLOB METADATA - 16406..16407 postgres
3367; 0 0 BLOBS - 16406..16407 postgres
"""


def test_the_table_of_contents_of_an_archive() -> None:
    contents = parse_list(LISTING_15)
    assert contents.archive_version == "1.14"
    assert contents.compression == "-1"
    assert contents.client_version == "15.18 (Debian 15.18-0+deb12u1)"
    assert len(contents.entries) == 15
    assert contents.client_major == 15
    assert contents.large_objects


def test_only_entries_of_data_say_that_rows_are_there() -> None:
    contents = parse_list(LISTING_15)
    assert contents.table_data == {16395, 16399}


def test_the_kind_of_an_entry_is_told_from_a_schema_that_looks_like_it() -> None:
    kinds = [(entry.kind, entry.label) for entry in parse_list(LISTING_15).entries]
    assert kinds[:7] == [
        ("SCHEMA", "- DATA postgres"),
        ("TABLE", "DATA users postgres"),
        ("SEQUENCE", "DATA users_id_seq postgres"),
        ("SEQUENCE OWNED BY", "DATA users_id_seq postgres"),
        ("SEQUENCE", "SET s postgres"),
        ("MATERIALIZED VIEW", "public mv postgres"),
        ("TABLE", "public x\u2028;1; 0 99 TABLE DATA postgres"),
    ]
    assert ("TABLE DATA", "public a\\b postgres") in kinds
    assert ("SEQUENCE SET", "SET s postgres") in kinds
    assert ("MATERIALIZED VIEW DATA", "public mv postgres") in kinds


@pytest.mark.parametrize(
    ("header", "oldest"),
    [(b"PGDMP\1\16\0", 13), (b"PGDMP\1\17\0", 16), (b"PGDMP\1\20\0", 17), (b"PGDMP\1\21\0", 18), (b"PGDMP\1\14\0", 13)],
)
def test_the_first_bytes_say_which_pg_restore_reads_an_archive(header: bytes, oldest: int) -> None:
    assert oldest_reader(header + b"rest") == oldest


@pytest.mark.parametrize("header", [b"", b"PGDMP\1", b"--\n-- PostgreSQL database dump", b"\x1f\x8b\x08 gzip"])
def test_what_is_no_archive_is_refused(header: bytes) -> None:
    with pytest.raises(VerificationError, match="not an archive in pg_dump's custom format"):
        oldest_reader(header)


def test_the_lines_of_sequence_values_are_kept_for_a_list_file() -> None:
    assert parse_list(LISTING_15).sequence_lines == (
        "3375; 0 0 SEQUENCE SET DATA users_id_seq postgres",
        "3376; 0 0 SEQUENCE SET SET s postgres",
    )


def test_the_newer_form_of_large_objects() -> None:
    contents = parse_list(LISTING_17)
    assert contents.large_objects
    assert contents.compression == "gzip"
    assert contents.large_object_owners == {"postgres"}
    assert not parse_list(LISTING_17.replace("3367; 0 0 BLOBS", "3367; 0 0 COMMENT")).large_objects


@pytest.mark.parametrize("listing", ["", "pg_restore: error: input file is too short\n", "3360; 0 16387 TABLE DATA public users postgres\n"])
def test_no_table_of_contents_is_a_failure(listing: str) -> None:
    with pytest.raises(VerificationError, match=r"no table of contents"):
        parse_list(listing)


SEQUENCES = """--
-- Name: users_id_seq; Type: SEQUENCE SET; Schema: DATA; Owner: postgres
--

SELECT pg_catalog.setval('"DATA".users_id_seq', 1, true);
SELECT pg_catalog.setval('public."it''s"', -9223372036854775808, false);
SELECT pg_catalog.setval('public."two
lines"', 7, true);
SELECT pg_catalog.setval('public."a\\b_id_seq"', 1, false);
"""


def test_the_values_of_sequences() -> None:
    assert parse_sequence_values(SEQUENCES, 4) == {
        '"DATA".users_id_seq': {"last_value": 1, "is_called": True},
        'public."it\'s"': {"last_value": -9223372036854775808, "is_called": False},
        'public."two\nlines"': {"last_value": 7, "is_called": True},
        'public."a\\b_id_seq"': {"last_value": 1, "is_called": False},
    }


@pytest.mark.parametrize("expected", [3, 5])
def test_a_sequence_more_or_less_than_the_archive_lists_is_a_failure(expected: int) -> None:
    with pytest.raises(VerificationError, match=f"lists {expected} sequence values, but 4 could be read"):
        parse_sequence_values(SEQUENCES, expected)
