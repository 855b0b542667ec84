# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run all checks, two at a time, quietly: one line each, the output only of what is red."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.paths import CACHE, CHECKOUT

LOGS = CACHE / "logs"
_SKIPPED = 77


@dataclass(frozen=True)
class Verdict:
    """How one check ended."""

    check: str
    status: int
    seconds: float
    log: Path

    @property
    def word(self) -> str:
        return {0: "passed", _SKIPPED: "skipped"}.get(self.status, "failed")


def run_all(checks: Sequence[str], *, command: Sequence[str] = (sys.executable, "-m", "nox", "--session"), at_once: int = 2) -> int:
    """Run ``command`` with each of the checks and return the exit status for all; list the longest first."""
    LOGS.mkdir(parents=True, exist_ok=True)
    for old in (*LOGS.glob("*.log"), *LOGS.glob("*.xml")):
        old.unlink()
    started = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        verdicts = list(pool.map(functools.partial(_run_and_tell, command), checks))
    red = [verdict for verdict in verdicts if verdict.word == "failed"]
    for verdict in red:
        print(f"\n===== {verdict.check} =====\n{verdict.log.read_text(errors='replace').rstrip()}\n===== end of {verdict.check} =====")
    reports = [xml.etree.ElementTree.parse(report).getroot() for report in LOGS.glob("*.xml")]
    print(f"\n{_tests_line(reports)} in {time.monotonic() - started:.0f} s")
    print(_summary(verdicts), flush=True)
    skipped = [*(verdict.check for verdict in verdicts if verdict.word == "skipped"), *_skipped_tests(reports)]
    if skipped and os.environ.get("CI"):
        print(f"Where CI is set everything has to run, and {', '.join(skipped)} did not.", flush=True)
        return 1
    return 1 if red else 0


def report_file(check: str) -> Path:
    """Return where a check with tests writes its JUnit report, so that they can be counted."""
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / f"{check}.xml"


def skip(reason: str) -> None:
    """Leave a session as skipped: its check cannot run on this machine."""
    print(reason, flush=True)
    sys.exit(_SKIPPED)


def _run_and_tell(command: Sequence[str], check: str) -> Verdict:
    verdict = _run(command, check)
    note = ""
    if verdict.word == "skipped":
        note = "  " + verdict.log.read_text().strip().splitlines()[-1]
    elif verdict.word == "failed":
        note = f"  {verdict.log.relative_to(CHECKOUT)}"
    print(f"{verdict.word:8}{check:20}{verdict.seconds:6.1f} s{note}", flush=True)
    return verdict


def _run(command: Sequence[str], check: str) -> Verdict:
    log = LOGS / f"{check.replace('(', '-').replace(')', '')}.log"
    started = time.monotonic()
    with log.open("wb") as output:
        status = subprocess.run(
            [*command, check],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1", "PY_COLORS": "0"},
            check=False,
        ).returncode
    return Verdict(check, status, time.monotonic() - started, log)


def _skipped_tests(reports: Iterable[xml.etree.ElementTree.Element]) -> list[str]:
    cases = (case for report in reports for case in report.iter("testcase"))
    return [f"{case.get('classname')}.{case.get('name')} ({reason.get('message')})" for case in cases for reason in case.iter("skipped")]


def _tests_line(reports: Iterable[xml.etree.ElementTree.Element]) -> str:
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in reports:
        for suite in report.iter("testsuite"):
            for name in totals:
                totals[name] += int(suite.get(name, 0))
    bad = totals["failures"] + totals["errors"]
    return f"unit and system tests: {totals['tests'] - bad - totals['skipped']} passed, {bad} failed, {totals['skipped']} skipped"


def _summary(verdicts: Iterable[Verdict]) -> str:
    words = [verdict.word for verdict in verdicts]
    skipped = f", {words.count('skipped')} skipped" if "skipped" in words else ""
    return f"{words.count('passed')} passed, {words.count('failed')} failed{skipped}"
