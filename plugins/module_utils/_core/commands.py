# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Argument lists of the client programs. Where to connect is told by environment and password file, never by arguments."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client, Compression

# These have no environment variable. Without them pg_dump notices only after hours that the server's host is gone.
_KEEPALIVES = "--dbname=keepalives_idle=30 keepalives_interval=10 keepalives_count=6"


@dataclasses.dataclass(frozen=True)
class Selection:
    """What of a database is dumped, in pg_dump's own patterns."""

    schemas: tuple[str, ...] = ()
    exclude_schemas: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    exclude_table_data: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        return {field.name: list(getattr(self, field.name)) for field in dataclasses.fields(self)}


def pg_dump_command(
    client: Client,
    compression: Compression,
    selection: Selection,
    *,
    lock_wait_timeout: int,
    snapshot: str | None,
) -> list[str]:
    """Return pg_dump's argument list for a custom format archive on standard output.

    ``lock_wait_timeout`` is in seconds. ``snapshot`` is None only in a plan, where none has been exported yet.
    """
    command = [
        client.pg_dump,
        "--format=custom",
        compression.argument(client.major),
        "--no-password",
        f"--lock-wait-timeout={lock_wait_timeout}s",
        _KEEPALIVES,
    ]
    if snapshot is not None:
        command.append(f"--snapshot={snapshot}")
    command += _repeated("--schema", selection.schemas)
    command += _repeated("--exclude-schema", selection.exclude_schemas)
    command += _repeated("--exclude-table", selection.exclude_tables)
    command += _repeated("--exclude-table-data", selection.exclude_table_data)
    # With --schema pg_dump leaves large objects out unless told otherwise, and a backup that silently lacks them is no backup.
    if selection.schemas:
        command.append("--large-objects" if client.major >= 16 else "--blobs")
    return command


def pg_dumpall_globals_command(client: Client) -> list[str]:
    """Return pg_dumpall's argument list for roles, memberships and tablespaces, without passwords."""
    return [client.pg_dumpall, "--globals-only", "--no-role-passwords", "--no-password"]


def pg_restore_decode_command(client: Client) -> list[str]:
    """Return the argument list that reads a whole archive from standard input and throws its SQL away."""
    return [client.pg_restore, "--file=/dev/null"]


def pg_restore_list_command(client: Client) -> list[str]:
    """Return the argument list that prints the table of contents of an archive on standard input."""
    return [client.pg_restore, "--list"]


def pg_restore_entries_command(client: Client, list_path: str) -> list[str]:
    """Return the argument list that prints the SQL of the entries named in a list file."""
    return [client.pg_restore, "--file=-", f"--use-list={list_path}"]


def pg_restore_definitions_command(client: Client, archive_path: str) -> list[str]:
    """Return the argument list that prints the SQL of everything but rows."""
    return [client.pg_restore, "--schema-only", "--file=-", archive_path]


def pg_restore_database_command(client: Client, archive_path: str) -> list[str]:
    """Return the argument list that prints the SQL of everything but rows, and before it that of the database itself."""
    return [*pg_restore_definitions_command(client, archive_path), "--create"]


def pg_restore_load_command(
    client: Client,
    archive_path: str | None,
    *,
    sections: t.Sequence[str] = (),
    jobs: int = 1,
    exit_on_error: bool = True,
    list_path: str | None = None,
    with_owners: bool = True,
    with_tablespaces: bool = True,
) -> list[str]:
    """Return the argument list that loads an archive into the database that the environment names; standard input where there is no path."""
    command = [client.pg_restore, "--no-password", _KEEPALIVES]
    command += _repeated("--section", sections)
    if jobs > 1:
        command.append(f"--jobs={jobs}")
    if exit_on_error:
        command.append("--exit-on-error")
    return [*command, *_load_options(list_path, with_owners, with_tablespaces), *([archive_path] if archive_path else [])]


def pg_restore_script_command(
    client: Client, archive_path: str | None, *, clean: bool, list_path: str | None, with_owners: bool, with_tablespaces: bool
) -> list[str]:
    """Return the argument list that prints an archive as one SQL script for one transaction; ``clean`` drops what it replaces first."""
    command = [client.pg_restore, "--file=-"]
    if clean:
        command += ["--clean", "--if-exists"]
    return [*command, *_load_options(list_path, with_owners, with_tablespaces), *([archive_path] if archive_path else [])]


def _load_options(list_path: str | None, with_owners: bool, with_tablespaces: bool) -> list[str]:
    options = [] if with_owners else ["--no-owner", "--no-privileges"]
    if not with_tablespaces:
        options.append("--no-tablespaces")
    if list_path:
        options.append(f"--use-list={list_path}")
    return options


def _repeated(option: str, values: t.Sequence[str]) -> list[str]:
    return [f"{option}={value}" for value in values]
