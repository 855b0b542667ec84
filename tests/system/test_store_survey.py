# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/stores.md says what the servers really honour."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from harness import tools
from harness.stores import MinIO, StoreServer
from stores import survey

RENEW = f"docs/stores.md is stale; renew it with `.cache/nox/bin/{survey.COMMAND}`."


@pytest.fixture
def block() -> str:
    return survey.block_of(survey.DOCUMENT.read_text())


@pytest.mark.parametrize("kind", [subject.title for subject in survey.SUBJECTS])
def test_a_server_answers_as_documented(store_server: Callable[[str], StoreServer], block: str, kind: str) -> None:
    (subject,) = (each for each in survey.SUBJECTS if each.title == kind)
    program = subject.kind.program
    try:
        pinned = tools.is_pinned(program)
    except RuntimeError as error:
        pytest.skip(f"{program} cannot be had here: {error}")
    if not pinned:
        pytest.skip(f"PATH has a {program} of its own, maybe of another version than the documented one.")
    with contextlib.ExitStack() as stack:
        # The others run already for other tests.
        server = stack.enter_context(MinIO()) if subject.kind is MinIO and not subject.kms else store_server(subject.kind.__name__)
        answers = survey.ask(server)
    assert survey.recorded(block).get(kind) == answers, RENEW


def test_the_tables_are_as_the_survey_writes_them(block: str) -> None:
    """Titles, order, versions, and the rows of stores that were not asked."""
    answers = survey.recorded(block)
    complete = {subject.title for subject in survey.SUBJECTS} <= set(answers)
    assert complete and survey.render(answers) == block, RENEW
