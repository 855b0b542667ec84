# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Which client programs fit which server, and which compression they can do."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import ProgramError

OLDEST_SERVER_MAJOR = 13
ZSTD_SINCE_MAJOR = 16
TRANSACTION_TIMEOUT_SINCE_MAJOR = 17

CompressionMethod = t.Literal["zstd", "lz4", "gzip", "none"]
_DEFAULT_LEVELS: dict[str, int | None] = {"zstd": 1, "gzip": 1, "lz4": None, "none": None}
_LEVEL_RANGES = {"zstd": (1, 22), "gzip": (1, 9), "lz4": (1, 12)}


@dataclasses.dataclass(frozen=True)
class Client:
    """One installed set of client programs."""

    major: int
    version: str
    bin_dir: str
    compressions: frozenset[str] = frozenset({"gzip", "none"})

    @property
    def pg_dump(self) -> str:
        return f"{self.bin_dir}/pg_dump"

    @property
    def pg_dumpall(self) -> str:
        return f"{self.bin_dir}/pg_dumpall"

    @property
    def pg_restore(self) -> str:
        return f"{self.bin_dir}/pg_restore"


@dataclasses.dataclass(frozen=True)
class Compression:
    """How pg_dump compresses; ``level`` is None where the method has none or the program's default is meant."""

    method: CompressionMethod
    level: int | None

    def argument(self, client_major: int) -> str:
        """Return pg_dump's argument; before 16 it knows only a gzip level."""
        if client_major < ZSTD_SINCE_MAJOR:
            return f"--compress={self.level if self.method == 'gzip' else 0}"
        return f"--compress={self.method}" if self.level is None else f"--compress={self.method}:{self.level}"

    def __str__(self) -> str:
        return self.method if self.level is None else f"{self.method}:{self.level}"


def choose_client(server_major: int, installed: t.Sequence[Client]) -> Client:
    """Return the installed client of the server's major, else the smallest newer one; never an older one.

    Clients earlier in the sequence win among equals, so versioned directories come before whatever is on PATH.
    """
    if not installed:
        raise ProgramError(
            f"No PostgreSQL client programs were found on this host, so the server (PostgreSQL {server_major}) cannot be backed up. "
            f"Install the package postgresql-client-{server_major} (Debian, Ubuntu) or postgresql{server_major} (RHEL), or set pg_bin_dir to their directory."
        )
    able = [client for client in installed if client.major >= server_major]
    if not able:
        found = ", ".join(f"{client.version} in {client.bin_dir}" for client in installed)
        raise ProgramError(
            f"The client programs found ({found}) are older than the server (PostgreSQL {server_major}), and pg_dump refuses a newer server. "
            f"Install postgresql-client-{server_major} or newer, or set pg_bin_dir to the directory of such programs."
        )
    return min(able, key=lambda client: client.major)


def choose_restore_client(archive_major: int, server_major: int, installed: t.Sequence[Client]) -> Client:
    """Return the installed client to restore with: as new as the one that made the archive or newer, and the server's own major where that will do.

    ``archive_major`` is the oldest major that can read the archive. From 17 on pg_restore sets a parameter that servers before 17 do not know,
    so for those an older client comes first.
    """
    if not installed:
        raise ProgramError(
            "No PostgreSQL client programs were found on this host, so nothing can be restored. "
            f"Install the package postgresql-client-{max(archive_major, server_major)} (Debian, Ubuntu), or set pg_bin_dir to their directory."
        )
    able = [client for client in installed if client.major >= archive_major]
    if not able:
        found = ", ".join(f"{client.version} in {client.bin_dir}" for client in installed)
        raise ProgramError(
            f"The archive was made by pg_dump {archive_major}, and the client programs found ({found}) are older and cannot read it. "
            f"Install postgresql-client-{archive_major} or newer, or set pg_bin_dir to the directory of such programs."
        )
    return min(able, key=lambda client: (client.major != server_major, client.major))


def sets_unknown_parameter(client: Client, server_major: int) -> bool:
    """Say whether this pg_restore begins with ``SET transaction_timeout``, which the server refuses."""
    return client.major >= TRANSACTION_TIMEOUT_SINCE_MAJOR > server_major


def choose_compression(wanted: str, level: int | None, client: Client) -> Compression:
    """Return the compression to use; ``auto`` is zstd where the client's build has it, else gzip level 1."""
    method = wanted
    if wanted == "auto":
        method = "zstd" if "zstd" in client.compressions else "gzip"
    if method not in client.compressions:
        raise ProgramError(
            f"compression is {method}, but pg_dump {client.version} in {client.bin_dir} was built without it "
            f"(it offers: {', '.join(sorted(client.compressions))}). Set compression to auto or to one of these, or install a client that has {method}."
        )
    if level is not None:
        if method not in _LEVEL_RANGES:
            raise ProgramError(f"compression_level is {level}, but compression {method} has no level. Leave compression_level out.")
        lowest, highest = _LEVEL_RANGES[method]
        if not lowest <= level <= highest:
            raise ProgramError(f"compression_level is {level}, but {method} takes {lowest} to {highest}. Set compression_level to a number between these.")
    return Compression(t.cast(CompressionMethod, method), _DEFAULT_LEVELS[method] if level is None else level)


def check_server_version(version_num: int, version: str) -> None:
    """Refuse a server older than the oldest one this software is tested with."""
    if version_num < OLDEST_SERVER_MAJOR * 10000:
        raise ProgramError(f"The server runs PostgreSQL {version}; this collection supports {OLDEST_SERVER_MAJOR} and newer. Upgrade the server first.")
