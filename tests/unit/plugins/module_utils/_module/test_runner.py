# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Around a module's work: secrets out of everything, every error one failed result, signals a clean end."""

from __future__ import annotations

import os
import signal
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, RefusedError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module
from ansible_collections.workon.postgresql_backup.tests.unit.recording import RecordedSecrets, RecordingModule

SECRET = "c4n/ary"


class Ended(SystemExit):
    """A module's end, as AnsibleModule ends it."""

    def __init__(self, failed: bool, result: dict[str, t.Any], warnings: list[str]) -> None:
        super().__init__(int(failed))
        self.failed, self.result, self.warnings = failed, result, warnings


class EndingModule(RecordingModule):
    def __init__(self) -> None:
        super().__init__()
        self._warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self._warnings.append(warning)

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        raise Ended(True, result, self._warnings)

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        raise Ended(False, result, self._warnings)


@pytest.fixture(autouse=True)
def signals_as_before() -> t.Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def end_of(work: t.Callable[[Secrets], dict[str, t.Any]]) -> Ended:
    with pytest.raises(Ended) as ended:
        run_module(t.cast(t.Any, EndingModule()), work)
    return ended.value


def failing(error: BaseException) -> t.Callable[[Secrets], dict[str, t.Any]]:
    def work(secrets: Secrets) -> dict[str, t.Any]:
        secrets.add(SECRET)
        raise error

    return work


def test_the_result_of_the_work_is_the_module_s() -> None:
    ended = end_of(lambda _secrets: {"changed": True, "msg": "done"})
    assert (ended.failed, ended.result) == (False, {"changed": True, "msg": "done"})


def test_warnings_are_handed_to_ansible_which_shows_them() -> None:
    ended = end_of(lambda _secrets: {"changed": True, "warnings": ["look", "again"]})
    assert (ended.failed, ended.result, ended.warnings) == (False, {"changed": True}, ["look", "again"])


def test_an_error_is_a_failed_result_with_its_details() -> None:
    ended = end_of(failing(RefusedError(["No.", "Never."], plan={"a": [1]})))
    assert (ended.failed, ended.result) == (True, {"msg": "No. Never.", "refusals": ["No.", "Never."], "plan": {"a": [1]}})


def test_no_spelling_of_a_secret_is_in_a_failed_result() -> None:
    ended = end_of(failing(BackupError(f"said {SECRET}", where={"url": ["c4n%2Fary"], "both": (SECRET, 5)})))
    assert ended.result == {"msg": "said ********", "where": {"url": ["********"], "both": ["********", 5]}}


def test_an_error_that_nobody_expected_is_a_sentence_with_a_traceback_and_without_secrets() -> None:
    ended = end_of(failing(ValueError(f"odd {SECRET}")))
    assert ended.failed
    assert ended.result["msg"].startswith("An error that this software did not expect stopped the run: odd ********.")
    assert "Traceback" in ended.result["exception"]
    assert SECRET not in str(ended.result)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_through_its_cleanup(number: signal.Signals) -> None:
    cleaned = []

    def work(_secrets: Secrets) -> dict[str, t.Any]:
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        except Exception:  # noqa: BLE001
            raise AssertionError("what catches every Exception must not catch this") from None
        finally:
            cleaned.append(True)
        return {}

    # Below nohup SIGHUP is ignored, and then nothing would end the work.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        ended = end_of(work)
    finally:
        signal.signal(number, before)
    assert (ended.failed, ended.result["msg"], cleaned) == (True, "The run was stopped from outside, by a signal.", [True])


def test_an_interrupt_is_an_end_from_outside() -> None:
    assert "stopped from outside" in end_of(failing(KeyboardInterrupt())).result["msg"]


def test_nothing_is_registered_for_what_is_not_there() -> None:
    secrets = RecordedSecrets()
    secrets.add(None, "")
    assert secrets.registered == set()
    assert secrets.redact("unchanged") == "unchanged"
