# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of ``make test`` count right and the exit status follows them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import suite

_CHECKS = """
import sys
from pathlib import Path
check = sys.argv[1]
if check == "red":
    sys.exit("It is broken.")
if check == "other":
    print("No Python 9 here.")
    sys.exit(77)
if check == "green":
    case = '<testcase classname="tests.a" name="b"><skipped message="No C here."/></testcase>'
    Path({logs!r}, "green.xml").write_text(f'<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1">{{case}}</testsuite></testsuites>')
print("Noise.")
"""

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(suite, "CHECKOUT", tmp_path)
    monkeypatch.setattr(suite, "LOGS", tmp_path / "logs")
    script = tmp_path / "checks.py"
    script.write_text(_CHECKS.format(logs=str(tmp_path / "logs")))
    return lambda *checks: suite.run_all(checks, command=[sys.executable, str(script)])


def test_all_green_is_quiet(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("green", "other") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 0 failed, 1 skipped"
    assert lines[-2].startswith("unit and system tests: 2 passed, 2 failed, 1 skipped")
    assert any(line.startswith("skipped") and line.endswith("No Python 9 here.") for line in lines)
    assert "Noise." not in lines


def test_red_shows_its_output_and_fails(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("red", "green") == 1
    output = capfd.readouterr().out
    assert "It is broken." in output
    assert output.splitlines()[-1] == "1 passed, 1 failed"


def test_a_skipped_check_fails_where_all_have_to_run(run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CI", "true")
    assert run("plain", "other") == 1
    assert capfd.readouterr().out.splitlines()[-1] == "Where CI is set everything has to run, and other did not."


def test_so_does_a_skipped_test(run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("green") == 0
    monkeypatch.setenv("CI", "true")
    assert run("plain") == 0
    assert run("green") == 1
    assert capfd.readouterr().out.splitlines()[-1] == "Where CI is set everything has to run, and tests.a.b (No C here.) did not."
