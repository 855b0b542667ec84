# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, RestoreMark, read_comment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.environment import (
    EnvironmentChange,
    EnvironmentRequest,
    environment_result,
    tag_refusal,
    wanted_comment,
    write_refusals,
)

MARK = RestoreMark("3f2a", "live", "done", "workon", 16384, "b-1", "2026-01-08T10:30:00.000Z")
UNTAGGED = DatabaseComment("The shop")
STAGING = DatabaseComment("The shop", "staging", MARK)
PRODUCTION = DatabaseComment("The shop", "production", MARK)
UNREADABLE = read_comment('The shop\n[workon.postgresql_backup {"environment": "Production"}]\nask Ada')

SET_STAGING = EnvironmentRequest("staging")
REMOVE = EnvironmentRequest(None, absent=True)


@pytest.mark.parametrize(
    ("found", "request_", "expected"),
    [
        (DatabaseComment(), SET_STAGING, DatabaseComment("", "staging")),
        (UNTAGGED, SET_STAGING, DatabaseComment("The shop", "staging")),
        (PRODUCTION, SET_STAGING, STAGING),
        (STAGING, SET_STAGING, STAGING),
        (STAGING, REMOVE, DatabaseComment("The shop", None, MARK)),
        (STAGING, EnvironmentRequest("staging", absent=True), DatabaseComment("The shop", None, MARK)),
        (UNTAGGED, REMOVE, UNTAGGED),
    ],
)
def test_only_the_tag_changes(found: DatabaseComment, request_: EnvironmentRequest, expected: DatabaseComment) -> None:
    assert wanted_comment(found, request_) == expected


@pytest.mark.parametrize(
    "unreadable",
    [
        'words\n[workon.postgresql_backup {"environment": "Production"}]\nmore',
        'words\n[workon.postgresql_backup {"environment": "staging"\nmore',
        'words\n[workon.postgresql_backup {"environment": "a"}] [workon.postgresql_backup {"environment": "b"}]\nmore',
        'words\n[workon.postgresql_backup {"environment": "a"}]\n[workon.postgresql_backup {"environment": "b"}]\nmore',
        "words\n[workon.postgresql_backup ]\nmore",
    ],
)
def test_of_an_unreadable_tag_nothing_is_kept_and_of_the_words_all(unreadable: str) -> None:
    found = read_comment(unreadable)
    assert found.problem
    expected = DatabaseComment("words\nmore", "staging")
    assert wanted_comment(found, SET_STAGING) == expected
    assert read_comment(expected.written()) == expected
    assert wanted_comment(found, REMOVE) == DatabaseComment("words\nmore")


LIVE = DatabaseComment(environment="live")
PREPROD = DatabaseComment(environment="preprod")
ALLOWED = EnvironmentRequest("staging", allow_production=True)


@pytest.mark.parametrize(
    ("found", "request_"),
    [
        (UNTAGGED, SET_STAGING),
        (UNTAGGED, EnvironmentRequest("production")),
        (UNTAGGED, REMOVE),
        (STAGING, EnvironmentRequest("dev")),
        (STAGING, EnvironmentRequest("production")),
        (STAGING, REMOVE),
        (STAGING, EnvironmentRequest("staging", absent=True)),
        (UNTAGGED, EnvironmentRequest("staging", absent=True)),
        (PREPROD, SET_STAGING),
        (PRODUCTION, EnvironmentRequest("production")),
        (PRODUCTION, EnvironmentRequest("prod-eu")),
        (LIVE, EnvironmentRequest("production")),
        (PRODUCTION, ALLOWED),
        (PRODUCTION, EnvironmentRequest(None, absent=True, allow_production=True)),
        (UNREADABLE, EnvironmentRequest("staging", replace_unreadable=True)),
        (UNREADABLE, EnvironmentRequest(None, absent=True, replace_unreadable=True)),
    ],
)
def test_what_disarms_no_guard_goes_through(found: DatabaseComment, request_: EnvironmentRequest) -> None:
    assert tag_refusal("workon", found, request_) is None


@pytest.mark.parametrize(
    ("found", "request_", "says"),
    [
        (PRODUCTION, SET_STAGING, ("workon is tagged production", "not replaced by staging", "set allow_production to true")),
        (LIVE, SET_STAGING, ("tagged live", "allow_production")),
        (PRODUCTION, REMOVE, ("tagged production", "not taken away", "allow_production")),
        (PRODUCTION, EnvironmentRequest("production", absent=True), ("not taken away", "allow_production")),
        (STAGING, EnvironmentRequest("dev", absent=True), ("tagged staging, not dev", "set environment to staging")),
        (PRODUCTION, EnvironmentRequest("staging", absent=True, allow_production=True), ("tagged production, not staging",)),
        (UNREADABLE, SET_STAGING, ("cannot be read", "set replace_unreadable to true")),
        (UNREADABLE, EnvironmentRequest("production"), ("cannot be read", "replace_unreadable")),
        (UNREADABLE, REMOVE, ("cannot be read", "replace_unreadable")),
        (UNREADABLE, ALLOWED, ("cannot be read", "replace_unreadable")),
    ],
)
def test_what_may_disarm_a_guard_is_refused(found: DatabaseComment, request_: EnvironmentRequest, says: tuple[str, ...]) -> None:
    refusal = tag_refusal("workon", found, request_)
    assert refusal
    assert [fragment for fragment in says if fragment not in refusal] == []


def test_who_may_write_is_not_refused() -> None:
    assert write_refusals("workon", "owner", owned=True, user="owner", in_recovery=False) == []


def test_who_does_not_own_the_database_is_told_who_does() -> None:
    (refusal,) = write_refusals("workon", "The Owner", owned=False, user="app", in_recovery=False)
    assert "role app may not" in refusal
    assert "belongs to the role The Owner" in refusal
    assert 'GRANT "The Owner" TO app' in refusal


def test_a_standby_is_refused_beside_everything_else() -> None:
    assert "standby" in write_refusals("workon", "o", owned=True, user="o", in_recovery=True)[0]
    assert len(write_refusals("workon", "o", owned=False, user="app", in_recovery=True)) == 2


def result(before: DatabaseComment, request: EnvironmentRequest, check_mode: bool = False, stored: str | None = None) -> dict[str, t.Any]:
    change = EnvironmentChange("workon", before.written() if stored is None else stored, before, wanted_comment(before, request))
    return environment_result(change, check_mode=check_mode)


def test_a_change_is_told_with_the_whole_comment_before_and_after() -> None:
    found = result(UNTAGGED, SET_STAGING)
    assert found["changed"] is True
    assert found["msg"] == "The database workon is now tagged staging; it was without a tag, which counts as production."
    assert (found["environment"], found["previous_environment"], found["counts_as_production"]) == ("staging", None, False)
    assert found["comment"] == 'The shop\n[workon.postgresql_backup {"environment": "staging"}]'
    assert found["diff"]["before"] == "The shop\n"
    assert found["diff"]["after"] == f"{found['comment']}\n"
    assert "workon" in found["diff"]["before_header"]


@pytest.mark.parametrize(
    ("before", "request_", "check_mode", "message"),
    [
        (UNTAGGED, SET_STAGING, True, "The database workon would be tagged staging; it is without a tag, which counts as production."),
        (STAGING, SET_STAGING, False, "Nothing to change: the database workon is tagged staging."),
        (STAGING, SET_STAGING, True, "Nothing to change: the database workon is tagged staging."),
        (STAGING, REMOVE, False, "The database workon is now without a tag, which counts as production; it was tagged staging."),
        (UNTAGGED, REMOVE, False, "Nothing to change: the database workon is without a tag, which counts as production."),
        (UNREADABLE, SET_STAGING, False, "The database workon is now tagged staging; it was tagged unreadably."),
    ],
)
def test_the_sentence(before: DatabaseComment, request_: EnvironmentRequest, check_mode: bool, message: str) -> None:
    assert result(before, request_, check_mode)["msg"] == message


def test_without_a_change_the_comment_is_told_as_it_is_stored() -> None:
    """Words behind a tag stay behind it, as nothing is written."""
    stored = '[workon.postgresql_backup {"environment": "staging"}]\nThe shop'
    found = result(read_comment(stored), SET_STAGING, stored=stored)
    assert found["changed"] is False
    assert found["comment"] == stored
    assert found["diff"]["before"] == found["diff"]["after"] == f"{stored}\n"


def test_a_comment_that_is_left_empty_is_none() -> None:
    found = result(DatabaseComment(environment="staging"), REMOVE)
    assert found["comment"] is None
    assert found["diff"]["after"] == ""
    assert found["counts_as_production"] is True


def test_the_restore_s_mark_is_told() -> None:
    assert result(STAGING, EnvironmentRequest("dev"))["restore"] == MARK.as_dict()
    assert result(UNTAGGED, SET_STAGING)["restore"] is None
