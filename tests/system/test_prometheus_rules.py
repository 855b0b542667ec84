# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules as Prometheus itself judges them, and that their own tests see each threshold move."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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


class Spoiled(NamedTuple):
    """An alert with one of its fields changed, beside the others under a name of its own."""

    alert: str
    field: str
    value: str

    @property
    def name(self) -> str:
        return f"{self.alert} with {self.field} {self.value}"


def _spoiled() -> list[Spoiled]:
    """Return each alert with its threshold moved, or where there is none as one that never fires; and each without its wait."""
    moved = list(_moved())
    with_threshold = {alert for alert, _move in moved}
    found = []
    for _path, rule in _alerts():
        expression, alert = rule["expr"], rule["alert"]
        found.append(Spoiled(alert, "for", "0m"))
        found += [Spoiled(alert, "expr", f"{expression} {move}") for each, move in moved if each == alert]
        if alert not in with_threshold:
            found.append(Spoiled(alert, "expr", "vector(0) > 1"))
    return found


def _expected_of(test: dict[str, Any], alert: str, name: str) -> Iterator[dict[str, Any]]:
    """Return what a test of the alerts expects of one of them, as if it were expected of this name."""
    for expectation in test["promql_expr_test"]:
        assert "(ALERTS{alertstate=" in expectation["expr"]
        samples = [sample for sample in expectation["exp_samples"] if f'alertname="{alert}"' in sample["labels"]]
        yield {
            "expr": expectation["expr"].replace("ALERTS{", f"ALERTS{{alertname={json.dumps(name)}, "),
            "eval_time": expectation["eval_time"],
            "exp_samples": [{"value": float(sample["value"]), "labels": sample["labels"].replace(f'"{alert}"', json.dumps(name))} for sample in samples],
        }


def _missed(judge: Path, directory: Path, variants: list[Spoiled]) -> set[Spoiled]:
    """Return those whose difference no test sees. All are judged by one run: each is a rule of its own, which the tests expect to act as the unspoiled one."""
    rules = {rule["alert"]: rule for _path, rule in _alerts()}
    spoiled = [{**rules[one.alert], one.field: one.value, "alert": one.name} for one in variants]
    (directory / "spoiled.rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "spoiled", "rules": spoiled}]}))
    # As it is written: 0x60 is sixty times nothing to promtool, and a number to YAML.
    suite = yaml.load((_EXAMPLES / _TEST).read_text(), Loader=yaml.BaseLoader)
    for test in suite["tests"]:
        test.pop("alert_rule_test", None)
        test["promql_expr_test"] = [each for one in variants for each in _expected_of(test, one.alert, one.name)]
    (directory / _TEST).write_text(yaml.safe_dump({**suite, "rule_files": ["spoiled.rules.yml"]}))
    check = run(judge, "check", "rules", "spoiled.rules.yml", directory=directory)
    assert check.returncode == 0, check.stdout + check.stderr
    result = run(judge, "test", "rules", _TEST, directory=directory)
    printed = result.stdout + result.stderr
    assert "FAILED" in printed or result.returncode == 0, printed
    # An expression is printed as a Go string, so its quotation marks are escaped once more.
    return {one for one in variants if f"alertname={json.dumps(json.dumps(one.name))[1:-1]}" not in printed}


def test_every_alert_that_is_spoiled_is_seen(judge: Path, tmp_path: Path) -> None:
    assert _missed(judge, tmp_path, _spoiled()) == set()


def test_an_alert_that_is_not_spoiled_is_not_seen(judge: Path, tmp_path: Path) -> None:
    same = [Spoiled(rule["alert"], "expr", rule["expr"]) for _path, rule in _alerts()]
    assert _missed(judge, tmp_path, same) == set(same)


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    names = []
    for _path, rule in _alerts():
        names.append(rule["alert"])
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert all(text.endswith(".") for text in rule["annotations"].values())
    assert len(names) == len(set(names))
