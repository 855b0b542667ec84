# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The right client for the server, and only the compression that it can do."""

from __future__ import annotations

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import (
    Client,
    Compression,
    CompressionMethod,
    check_server_version,
    choose_client,
    choose_compression,
    choose_restore_client,
    sets_unknown_parameter,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import ProgramError

GZIP_ONLY = frozenset({"gzip", "none"})
EVERYTHING = frozenset({"gzip", "lz4", "none", "zstd"})


def client(major: int, bin_dir: str = "/opt/pg/bin", compressions: frozenset[str] = GZIP_ONLY) -> Client:
    return Client(major, f"{major}.1", bin_dir, compressions)


@pytest.mark.parametrize(
    ("server", "installed", "expected"),
    [
        (15, [15], 15),
        (15, [18, 15, 16], 15),
        (15, [13, 18, 16], 16),
        (13, [18], 18),
    ],
)
def test_the_server_s_own_major_comes_first_then_the_smallest_newer(server: int, installed: list[int], expected: int) -> None:
    assert choose_client(server, [client(major) for major in installed]).major == expected


def test_the_first_of_equals_wins() -> None:
    assert choose_client(15, [client(15, "/versioned"), client(15, "/usr/bin")]).bin_dir == "/versioned"


def test_an_older_client_is_refused_with_what_was_found() -> None:
    with pytest.raises(ProgramError, match=r"14\.1 in /a, 15\.1 in /b\) are older than the server \(PostgreSQL 16\).*Install postgresql-client-16"):
        choose_client(16, [client(14, "/a"), client(15, "/b")])


def test_no_client_is_refused_with_the_package_to_install() -> None:
    with pytest.raises(ProgramError, match=r"No PostgreSQL client.*postgresql-client-16 .*postgresql16 .*or set pg_bin_dir"):
        choose_client(16, [])


@pytest.mark.parametrize(
    ("archive", "server", "installed", "expected"),
    [
        # The server's own where it reads the archive, whatever else there is.
        (13, 15, [13, 14, 15, 16, 17], 15),
        (17, 17, [17, 18], 17),
        (13, 18, [17, 18], 18),
        # Else the oldest that reads the archive, but for a server before 17 rather one before 17.
        (16, 15, [15, 16, 17], 16),
        (13, 15, [17, 18, 16], 16),
        (13, 16, [13, 17], 13),
        (17, 15, [15, 17, 18], 17),
        (18, 16, [17, 18], 18),
        (13, 18, [13, 17], 13),
    ],
)
def test_the_client_that_restores_reads_the_archive_and_suits_the_server(archive: int, server: int, installed: list[int], expected: int) -> None:
    for order in (installed, installed[::-1]):
        assert choose_restore_client(archive, server, [client(major) for major in order]).major == expected


def test_the_first_of_equals_restores() -> None:
    assert choose_restore_client(13, 15, [client(15, "/versioned"), client(15, "/usr/bin")]).bin_dir == "/versioned"


def test_an_archive_that_no_client_reads_is_refused_with_the_version_to_install() -> None:
    with pytest.raises(ProgramError, match=r"made by pg_dump 17, and the client programs found \(15\.1 in /a\) are older.*Install postgresql-client-17"):
        choose_restore_client(17, 15, [client(15, "/a")])
    with pytest.raises(ProgramError, match=r"No PostgreSQL client.*nothing can be restored\. Install the package postgresql-client-17"):
        choose_restore_client(13, 17, [])


@pytest.mark.parametrize(("major", "server", "unknown"), [(16, 15, False), (17, 15, True), (17, 16, True), (17, 17, False), (18, 17, False), (18, 16, True)])
def test_which_client_sets_what_the_server_does_not_know(major: int, server: int, unknown: bool) -> None:
    assert sets_unknown_parameter(client(major), server) is unknown


def test_the_programs_of_a_client_are_of_one_directory() -> None:
    chosen = client(16, "/opt/pg/bin")
    assert [chosen.pg_dump, chosen.pg_dumpall, chosen.pg_restore] == ["/opt/pg/bin/pg_dump", "/opt/pg/bin/pg_dumpall", "/opt/pg/bin/pg_restore"]


@pytest.mark.parametrize(
    ("wanted", "level", "major", "offered", "expected"),
    [
        ("auto", None, 17, EVERYTHING, "zstd:1"),
        ("auto", None, 17, GZIP_ONLY, "gzip:1"),
        ("auto", None, 15, GZIP_ONLY, "gzip:1"),
        ("auto", 9, 15, GZIP_ONLY, "gzip:9"),
        ("auto", 19, 17, EVERYTHING, "zstd:19"),
        ("zstd", 22, 17, EVERYTHING, "zstd:22"),
        ("lz4", None, 17, EVERYTHING, "lz4"),
        ("lz4", 12, 17, EVERYTHING, "lz4:12"),
        ("gzip", 1, 17, EVERYTHING, "gzip:1"),
        ("none", None, 15, GZIP_ONLY, "none"),
    ],
)
def test_the_compression_that_is_used(wanted: str, level: int | None, major: int, offered: frozenset[str], expected: str) -> None:
    assert str(choose_compression(wanted, level, client(major, compressions=offered))) == expected


@pytest.mark.parametrize(
    ("wanted", "level", "sentence"),
    [
        ("zstd", None, r"compression is zstd, but pg_dump 15\.1 .* \(it offers: gzip, none\)\. Set compression to auto"),
        ("lz4", 1, "compression is lz4, but pg_dump"),
        ("gzip", 0, "compression_level is 0, but gzip takes 1 to 9"),
        ("gzip", 10, "compression_level is 10, but gzip takes 1 to 9"),
        ("auto", 10, "compression_level is 10, but gzip takes 1 to 9"),
        ("none", 1, "compression none has no level. Leave compression_level out"),
    ],
)
def test_a_compression_that_cannot_be_done_is_refused(wanted: str, level: int | None, sentence: str) -> None:
    with pytest.raises(ProgramError, match=sentence):
        choose_compression(wanted, level, client(15))


@pytest.mark.parametrize(
    ("method", "level", "major", "expected"),
    [
        ("gzip", 6, 15, "--compress=6"),
        ("none", None, 15, "--compress=0"),
        ("gzip", 6, 16, "--compress=gzip:6"),
        ("zstd", 1, 16, "--compress=zstd:1"),
        ("lz4", None, 18, "--compress=lz4"),
        ("none", None, 18, "--compress=none"),
    ],
)
def test_the_argument_is_one_that_this_pg_dump_knows(method: CompressionMethod, level: int | None, major: int, expected: str) -> None:
    assert Compression(method, level).argument(major) == expected


def test_servers_older_than_the_tested_ones_are_refused() -> None:
    check_server_version(130000, "13.0")
    with pytest.raises(ProgramError, match=r"runs PostgreSQL 12\.22; this collection supports 13 and newer"):
        check_server_version(120022, "12.22")
