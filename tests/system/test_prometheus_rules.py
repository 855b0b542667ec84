# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules as Prometheus itself judges them, and that their own tests see each threshold move."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.paths import CHECKOUT
from harness.promtool import promtool

_EXAMPLES = CHECKOUT / "examples" / "prometheus"
_RULES = sorted(_EXAMPLES.glob("*.rules.yml"))
_TEST = "postgresql_backup.test.yml"
_COMPARISON = re.compile(r"(?:[<>]|==) (?P<threshold>[0-9e.* ]+)$")


def _alerts() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in _RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield path, rule


def _moved() -> Iterator[tuple[str, str]]:
    """Return each alert that has a threshold, with what moves it a little up and down: two minutes, or a hundredth, or from 0 to a neighbour."""
    for _path, rule in _alerts():
        found = _COMPARISON.search(rule["expr"])
        if found:
            threshold = math.prod(map(float, found["threshold"].split("*")))
            step = 120 if threshold >= 3600 and "time()" in rule["expr"] else threshold / 100 or 1
            yield from ((rule["alert"], f"{sign} {step}") for sign in "+-")


@pytest.fixture
def judge() -> Path:
    found = promtool()
    if found is None:
        pytest.skip("There is no promtool, and none can be had.")
    return found


def run(judge: Path, *arguments: str | Path, directory: Path = _EXAMPLES) -> subprocess.CompletedProcess[str]:
    return subprocess.run([judge, *arguments], cwd=directory, capture_output=True, text=True, check=False)


def test_prometheus_takes_the_rules(judge: Path) -> None:
    result = run(judge, "check", "rules", "--lint-fatal", *_RULES)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_threshold_fires_and_just_does_not(judge: Path) -> None:
    result = run(judge, "test", "rules", _TEST)
    assert result.returncode == 0, result.stdout + result.stderr


def _spoil(directory: Path, alert: str, field: str, value: str, *, append: bool = False) -> None:
    """Copy the rules and their tests, and change one field of one alert."""
    shutil.copytree(_EXAMPLES, directory, dirs_exist_ok=True)
    for path in _RULES:
        rules = yaml.safe_load(path.read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"] if rule["alert"] == alert):
            rule[field] = f"{rule[field]} {value}" if append else value
        (directory / path.name).write_text(yaml.safe_dump(rules))


@pytest.mark.parametrize(("alert", "move"), list(_moved()))
def test_a_threshold_that_moves_is_seen(judge: Path, tmp_path: Path, alert: str, move: str) -> None:
    _spoil(tmp_path, alert, "expr", move, append=True)
    assert run(judge, "check", "rules", *(path.name for path in _RULES), directory=tmp_path).returncode == 0
    result = run(judge, "test", "rules", _TEST, directory=tmp_path)
    assert result.returncode == 1, result.stdout
    assert alert in result.stderr + result.stdout


def _spoiled() -> Iterator[tuple[str, str, str]]:
    """Return each alert without its wait, and those that no threshold can be moved of as one that never fires."""
    with_threshold = {alert for alert, _move in _moved()}
    for _path, rule in _alerts():
        yield rule["alert"], "for", "0m"
        if rule["alert"] not in with_threshold:
            yield rule["alert"], "expr", "vector(0) > 1"


@pytest.mark.parametrize(("alert", "field", "value"), list(_spoiled()))
def test_an_alert_that_does_not_wait_or_never_fires_is_seen(judge: Path, tmp_path: Path, alert: str, field: str, value: str) -> None:
    _spoil(tmp_path, alert, field, value)
    result = run(judge, "test", "rules", _TEST, directory=tmp_path)
    assert result.returncode == 1, result.stdout


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    names = []
    for _path, rule in _alerts():
        names.append(rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert all(text.endswith(".") for text in rule["annotations"].values())
    assert len(names) == len(set(names))
