# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One time limit over everything that a run starts."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import TimeLimitError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import TimeLimit, silent

PATIENCE = 30
AT_ONCE = 0.001


def test_at_the_limit_everything_is_stopped_and_the_run_fails_with_a_sentence() -> None:
    first, second = threading.Event(), threading.Event()
    with TimeLimit(AT_ONCE) as limit:  # type: ignore[arg-type]
        limit.on_expiry(first.set)
        limit.on_expiry(second.set)
        assert first.wait(PATIENCE)
        assert second.wait(PATIENCE)
        with pytest.raises(TimeLimitError, match=r"did not end within timeout \(0\.001 seconds\).*nothing was published\. Set timeout"):
            limit.check()


def test_what_starts_after_the_limit_is_stopped_at_once() -> None:
    passed, stopped = threading.Event(), threading.Event()
    with TimeLimit(AT_ONCE) as limit:  # type: ignore[arg-type]
        limit.on_expiry(passed.set)
        assert passed.wait(PATIENCE)
        limit.on_expiry(stopped.set)
        assert stopped.is_set()


def test_one_stop_that_fails_does_not_keep_the_others_running() -> None:
    stopped = threading.Event()

    def fail() -> None:
        raise OSError("no such process")

    with TimeLimit(AT_ONCE) as limit:  # type: ignore[arg-type]
        limit.on_expiry(fail)
        limit.on_expiry(stopped.set)
        assert stopped.wait(PATIENCE)


@pytest.mark.parametrize("seconds", [None, 0, 3600])
def test_before_the_limit_nothing_is_stopped(seconds: int | None) -> None:
    stopped = threading.Event()
    with TimeLimit(seconds) as limit:
        limit.on_expiry(stopped.set)
        limit.check()
    assert not stopped.is_set()
    assert not limit.expired


def test_the_limit_ends_with_the_run() -> None:
    before = set(threading.enumerate())
    with TimeLimit(3600):
        (timer,) = set(threading.enumerate()) - before
        assert timer.daemon
    timer.join(PATIENCE)
    assert not timer.is_alive()


def test_progress_that_nobody_watches_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent("archive", 1, 2)
    assert capsys.readouterr() == ("", "")
