# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks over HTTP are tried until they pass or their time is over, by a clock that the test winds."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult, Checks, HttpRequest, HttpResponse
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.checks import run_http_checks

OK = HttpResponse(200, b"{}")
DOWN = HttpResponse(503, b"")
REFUSED = BackupError("http://app/healthz could not be reached: Connection refused.")


class Scene:
    """An application that answers in turn, each answer taking its time, and a clock."""

    def __init__(self, *answers: HttpResponse | BackupError, seconds: float = 0.0) -> None:
        self.answers, self.seconds = list(answers), seconds
        self.time = 1000.0
        self.asked: list[tuple[str, tuple[tuple[str, str], ...], float]] = []

    def clock(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds

    def fetch(self, url: str, headers: t.Iterable[tuple[str, str]], timeout: float) -> HttpResponse:
        self.asked.append((url, tuple(headers), timeout))
        self.time += min(self.seconds, timeout)
        # The last one is repeated.
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BackupError):
            raise answer
        return answer

    def run(self, *requests: HttpRequest) -> list[CheckResult]:
        return run_http_checks(Checks(http=requests), clock=self.clock, pause=self.pause, fetch=self.fetch)


def request(within: int = 30, **changes: t.Any) -> HttpRequest:
    return HttpRequest("The application answers", "http://app/healthz", within=within, **changes)


def test_one_that_passes_at_once_is_asked_once() -> None:
    scene = Scene(OK)
    (result,) = scene.run(request(headers=(("X", "1"),)))
    assert result.as_dict() == {"name": "The application answers", "kind": "http", "passed": True, "detail": "http://app/healthz answered 200."}
    assert scene.asked == [("http://app/healthz", (("X", "1"),), 10.0)]
    assert scene.time == 1000.0


def test_one_that_starts_up_is_asked_again() -> None:
    scene = Scene(REFUSED, DOWN, HttpResponse(200, b"not yet"), HttpResponse(200, b'{"a": 1}'))
    (result,) = scene.run(request(json={"a": 1}))
    assert result.passed
    assert scene.time == 1003.0


def test_one_that_never_passes_fails_with_its_last_reason() -> None:
    scene = Scene(DOWN, REFUSED)
    (result,) = scene.run(request(within=5))
    assert not result.passed
    assert result.detail == "http://app/healthz could not be reached: Connection refused. It was asked 6 times."
    assert scene.time == 1005.0


@pytest.mark.parametrize(("within", "seconds", "timeouts"), [(0, 60, [1.0]), (5, 60, [5.0]), (25, 60, [10.0, 10.0, 3.0]), (11, 60, [10.0, 1.0])])
def test_no_attempt_goes_far_beyond_the_time(within: int, seconds: float, timeouts: list[float]) -> None:
    scene = Scene(DOWN, seconds=seconds)
    (result,) = scene.run(request(within=within))
    assert not result.passed
    assert [timeout for _url, _headers, timeout in scene.asked] == timeouts
    assert scene.time <= 1000 + within + 1


def test_each_has_its_own_time() -> None:
    scene = Scene(REFUSED)
    results = scene.run(request(within=3), request(within=2))
    assert [result.passed for result in results] == [False, False]
    assert scene.time == 1005.0


def test_nothing_to_ask() -> None:
    assert Scene(OK).run() == []
