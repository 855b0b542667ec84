# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines: what pg_dump is asked for, and that nothing secret could be in them."""

from __future__ import annotations

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import commands
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection, pg_dump_command
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client, Compression


def client(major: int) -> Client:
    return Client(major, f"{major}.1", "/opt/pg/bin")


def dump(selection: Selection, major: int = 16, snapshot: str | None = "00000003-1B-1") -> list[str]:
    return pg_dump_command(client(major), Compression("gzip", 1), selection, lock_wait_timeout=60, snapshot=snapshot)


def test_a_whole_database_in_an_exported_snapshot() -> None:
    assert dump(Selection()) == [
        "/opt/pg/bin/pg_dump",
        "--format=custom",
        "--compress=gzip:1",
        "--no-password",
        "--lock-wait-timeout=60s",
        "--dbname=keepalives_idle=30 keepalives_interval=10 keepalives_count=6",
        "--snapshot=00000003-1B-1",
    ]


def test_without_a_snapshot_none_is_asked_for() -> None:
    assert not [argument for argument in dump(Selection(), snapshot=None) if argument.startswith("--snapshot")]


def test_each_pattern_is_one_argument_that_cannot_become_an_option() -> None:
    selection = Selection(("a", "--b"), ("c d",), ('"E"."f g"',), ("public.logs", "$(x)"))
    assert dump(selection)[7:-1] == [
        "--schema=a",
        "--schema=--b",
        "--exclude-schema=c d",
        '--exclude-table="E"."f g"',
        "--exclude-table-data=public.logs",
        "--exclude-table-data=$(x)",
    ]


@pytest.mark.parametrize(("major", "option"), [(15, "--blobs"), (16, "--large-objects"), (18, "--large-objects")])
def test_large_objects_stay_in_when_schemas_are_chosen(major: int, option: str) -> None:
    assert dump(Selection(schemas=("public",)), major)[-1] == option
    assert option not in dump(Selection(exclude_schemas=("public",)), major)


def test_a_selection_as_plain_data() -> None:
    assert Selection(schemas=("a",), exclude_table_data=("b", "c")).as_dict() == {
        "schemas": ["a"],
        "exclude_schemas": [],
        "exclude_tables": [],
        "exclude_table_data": ["b", "c"],
    }


def test_the_other_programs() -> None:
    assert commands.pg_dumpall_globals_command(client(16)) == ["/opt/pg/bin/pg_dumpall", "--globals-only", "--no-role-passwords", "--no-password"]
    assert commands.pg_restore_decode_command(client(16)) == ["/opt/pg/bin/pg_restore", "--file=/dev/null"]
    assert commands.pg_restore_list_command(client(16)) == ["/opt/pg/bin/pg_restore", "--list"]
    assert commands.pg_restore_entries_command(client(16), "/dev/fd/5") == ["/opt/pg/bin/pg_restore", "--file=-", "--use-list=/dev/fd/5"]
