# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.pg_restore_output import is_only_about_unknown_parameter, telling

TIMEOUT = ['error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"', "Command was: SET transaction_timeout = 0;"]
OTHER = ['error: could not execute query: ERROR:  type "citext" does not exist', "Command was: CREATE TABLE public.t (a citext);"]


def ignored(count: int) -> str:
    return f"warning: errors ignored on restore: {count}"


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([*TIMEOUT, ignored(1)], True),
        # Two jobs: each of them prints it, and it is counted for the first session and for the last.
        ([*TIMEOUT, *TIMEOUT, *TIMEOUT, *TIMEOUT, ignored(2)], True),
        ([*TIMEOUT, *TIMEOUT, *TIMEOUT, *TIMEOUT, ignored(3)], False),
        ([*TIMEOUT, *TIMEOUT, *OTHER, *TIMEOUT, *TIMEOUT, ignored(3)], False),
        ([*TIMEOUT, f"pg_restore: {OTHER[0]}", *TIMEOUT, ignored(2)], False),
        ([*TIMEOUT, ignored(0)], False),
        ([*TIMEOUT, ignored(1), ignored(1)], False),
        ([*TIMEOUT, *OTHER, ignored(2)], False),
        ([*OTHER, ignored(1)], False),
        # One that was not printed.
        ([*TIMEOUT, ignored(2)], False),
        # Ended in the middle: nothing was counted.
        (TIMEOUT, False),
        ([*TIMEOUT, "error: connection to server was lost"], False),
        ([ignored(0)], False),
        ([], False),
    ],
)
def test_one_error_is_known_to_mean_nothing(messages: list[str], expected: bool) -> None:
    assert is_only_about_unknown_parameter(messages) is expected


def test_what_means_nothing_does_not_hide_what_does() -> None:
    assert telling([*TIMEOUT, *TIMEOUT, *OTHER, *TIMEOUT, ignored(3)]) == [OTHER[0], ignored(3)]
    assert telling([]) == []


def test_statements_and_rows_of_the_archive_are_not_told() -> None:
    messages = [
        "while PROCESSING TOC:",
        "from TOC entry 3500; 1418 16400 USER MAPPING USER MAPPING app SERVER s owner",
        'error: could not execute query: ERROR:  role "app" does not exist',
        "Command was: CREATE USER MAPPING FOR app SERVER s OPTIONS (",
        "    password 'hunter2',",
        "    \"user\" 'app'",
        ");",
        'error: COPY failed for table "users": ERROR:  duplicate key value violates unique constraint "users_pkey"',
        "DETAIL:  Key (mail)=(secret@example.com) already exists.",
        'CONTEXT:  COPY users, line 5: "5\tsecret@example.com"',
    ]
    assert telling(messages) == [messages[0], messages[1], messages[2], messages[7]]
