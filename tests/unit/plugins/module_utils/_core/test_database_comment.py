# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import (
    DatabaseComment,
    RestoreMark,
    check_environment,
    is_production,
    read_comment,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

MARK = RestoreMark("3f2a", "shadow", "loading", 'my "app"', 16384, "b-1", "2026-01-08T10:30:00.000Z")
TAGGED = DatabaseComment("The shop's database", "staging", MARK)


@pytest.mark.parametrize(
    "comment",
    [
        DatabaseComment(),
        DatabaseComment("only people's words"),
        DatabaseComment(environment="staging"),
        DatabaseComment(restore=MARK),
        DatabaseComment(restore=dataclasses.replace(MARK, role="previous", extensions=("citext", 'my "own"'))),
        TAGGED,
        DatabaseComment('two\nlines [with brackets] {"and": "json"}', "staging"),
    ],
)
def test_what_is_written_is_read_back(comment: DatabaseComment) -> None:
    assert read_comment(comment.written()) == comment


@given(st.text().filter(lambda text: "[workon.postgresql_backup" not in text and not text.endswith("\n")))
def test_any_words_of_people_are_kept(text: str) -> None:
    tagged = dataclasses.replace(read_comment(text), environment="staging")
    assert read_comment(tagged.written()).text == text
    assert dataclasses.replace(read_comment(tagged.written()), environment=None).written() == (text or None)


def test_nothing_to_say_is_no_comment() -> None:
    assert DatabaseComment().written() is None
    assert read_comment(None) == DatabaseComment()


def test_words_on_both_sides_are_kept() -> None:
    found = read_comment('before\n[workon.postgresql_backup {"environment": "staging"}]\nafter')
    assert found == DatabaseComment("before\nafter", "staging")


@pytest.mark.parametrize(
    "comment",
    [
        '[workon.postgresql_backup {"environment": "staging"]',
        '[workon.postgresql_backup {"environment": "staging"}',
        '[workon.postgresql_backup {"environment": "Production"}]',
        '[workon.postgresql_backup {"environment": 7}]',
        "[workon.postgresql_backup []]",
        '[workon.postgresql_backup {"restore": {"role": "shadow"}}]',
        '[workon.postgresql_backup {"environment": "staging"}] [workon.postgresql_backup {"environment": "dev"}]',
    ],
)
def test_what_cannot_be_read_counts_as_no_tag(comment: str) -> None:
    found = read_comment(comment)
    assert found.problem
    assert found.environment is None
    assert found.restore is None
    assert found.counts_as_production
    assert found.text == comment


@pytest.mark.parametrize("name", ["", "Production", "a b", "1st", "-", "a" * 41, None, 7, "prod\n"])
def test_an_environment_has_a_plain_name(name: object) -> None:
    with pytest.raises(BackupError, match="Set environment to a name"):
        check_environment(name)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [(None, True), ("production", True), ("prod", True), ("prod-eu", True), ("live", True), ("staging", False), ("preprod", False), ("delivery", False)],
)
def test_what_counts_as_production(environment: str | None, expected: bool) -> None:
    assert is_production(environment) is expected
