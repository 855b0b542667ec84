# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prisma's migrations are judged as Prisma judges them, by their rows and by their scripts."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.prisma import MigrationRow, matches_checksum, read_status, summarize

SCRIPT = b"CREATE TABLE users (id int);\nCREATE TABLE missions (id int);\n"
ON_WINDOWS = SCRIPT.replace(b"\n", b"\r\n")


def checksum(script: bytes) -> str:
    return hashlib.sha256(script).hexdigest()


def unpadded(script: bytes) -> str:
    return "".join(f"{byte:x}" for byte in hashlib.sha256(script).digest())


def row(name: str, state: t.Literal["finished", "failed", "rolled back", "finished, then rolled back"] = "finished", script: bytes = SCRIPT) -> MigrationRow:
    return MigrationRow(name, checksum(script), state.startswith("finished"), state.endswith("rolled back"))


@pytest.mark.parametrize(
    ("rows", "applied", "failed", "rolled_back"),
    [
        ([], (), (), ()),
        ([row("1"), row("2")], ("1", "2"), (), ()),
        ([row("2"), row("1")], ("2", "1"), (), ()),
        ([row("1"), row("2", "failed")], ("1",), ("2",), ()),
        ([row("1", "rolled back")], (), (), ("1",)),
        ([row("1", "finished, then rolled back")], (), (), ("1",)),
        # A retry, and what "migrate resolve" leaves.
        ([row("1", "rolled back"), row("1")], ("1",), (), ()),
        ([row("1", "rolled back"), row("1", "failed")], (), ("1",), ()),
        ([row("1"), row("1", "failed")], (), ("1",), ()),
        ([row("1"), row("1")], ("1",), (), ()),
    ],
)
def test_the_rows_alone(rows: list[MigrationRow], applied: tuple[str, ...], failed: tuple[str, ...], rolled_back: tuple[str, ...]) -> None:
    status = read_status(rows)
    assert (status.applied, status.failed, status.rolled_back) == (applied, failed, rolled_back)
    assert (status.pending, status.edited, status.unknown) == (None, None, None)


def test_beside_the_folder_every_state_is_told_apart() -> None:
    rows = [
        row("1_applied"),
        row("2_edited", script=b"SELECT 1"),
        row("3_unknown"),
        row("4_failed", "failed"),
        row("5_rolled_back", "rolled back", script=b"SELECT 2"),
        row("6_retried", "rolled back", script=b"SELECT 3"),
        row("6_retried"),
        row("7_given_up", "rolled back"),
    ]
    folder = dict.fromkeys(("1_applied", "2_edited", "4_failed", "5_rolled_back", "6_retried", "8_pending"), SCRIPT)
    assert read_status(rows, folder).as_dict() == {
        "last": "6_retried",
        "applied": ["1_applied", "2_edited", "3_unknown", "6_retried"],
        "failed": ["4_failed"],
        "rolled_back": ["5_rolled_back", "7_given_up"],
        "pending": ["5_rolled_back", "8_pending"],
        "edited": ["2_edited"],
        "unknown": ["3_unknown"],
    }


def test_a_failed_migration_that_the_folder_lacks_is_unknown_as_well() -> None:
    assert read_status([row("1", "failed")], {"2": SCRIPT}).unknown == ("1",)


def test_of_several_rows_that_stand_the_last_one_s_checksum_counts() -> None:
    assert read_status([row("1", script=b"SELECT 1"), row("1")], {"1": SCRIPT}).edited == ()
    assert read_status([row("1"), row("1", script=b"SELECT 1")], {"1": SCRIPT}).edited == ("1",)


def test_without_a_folder_nothing_is_said_of_it() -> None:
    assert read_status([row("1")]).as_dict() == {
        "last": "1",
        "applied": ["1"],
        "failed": [],
        "rolled_back": [],
        "pending": None,
        "edited": None,
        "unknown": None,
    }


def test_what_a_manifest_records() -> None:
    assert summarize(read_status([row("1"), row("3", "failed"), row("2"), row("0", "failed")])) == {"last": "2", "applied": 2, "failed": ["0", "3"]}
    assert summarize(read_status([])) == {"last": None, "applied": 0, "failed": []}


# Its hash has a byte below 16, without which the two ways of writing it are the same.
WITH_A_SMALL_BYTE = next(script for number in range(100) if len(unpadded(script := b"SELECT %d;\n" % number)) < 64)


@pytest.mark.parametrize(
    ("script", "recorded"),
    [
        (SCRIPT, checksum(SCRIPT)),
        (ON_WINDOWS, checksum(ON_WINDOWS)),
        (ON_WINDOWS, checksum(SCRIPT)),
        (SCRIPT, checksum(ON_WINDOWS)),
        (WITH_A_SMALL_BYTE, checksum(WITH_A_SMALL_BYTE)),
        (WITH_A_SMALL_BYTE, unpadded(WITH_A_SMALL_BYTE)),
        (WITH_A_SMALL_BYTE.replace(b"\n", b"\r\n"), unpadded(WITH_A_SMALL_BYTE)),
        (b"\xff\x00 not UTF-8", checksum(b"\xff\x00 not UTF-8")),
    ],
)
def test_every_way_in_which_a_checksum_was_ever_written(script: bytes, recorded: str) -> None:
    assert matches_checksum(script, recorded)
    assert not matches_checksum(script + b" ", recorded)


@pytest.mark.parametrize("recorded", [None, "", "manually applied", checksum(SCRIPT).upper(), checksum(SCRIPT)[:-1]])
def test_what_is_no_checksum_of_the_script(recorded: str | None) -> None:
    assert not matches_checksum(SCRIPT, recorded)
