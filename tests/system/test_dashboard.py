# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard and the alert rules ask for metrics that the module writes, in expressions that Prometheus can read."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import STATES
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health_text import _METRICS, _PREFIX, EXIT_CODES
from harness.paths import CHECKOUT
from harness.promtool import promtool

_DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "examples" / "grafana" / "postgresql_backup.json").read_text())
_PANELS: list[dict[str, Any]] = _DASHBOARD["panels"]
_METRIC = re.compile(r"\bpgbackup_\w+")
# Words with which Grafana begins a list of a label's values; Prometheus has none of them.
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")


def _expressions() -> Iterator[tuple[str, str]]:
    """Return the expressions of panels and variables by what they are for, with Grafana's variables filled in."""
    for panel in _PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for variable in _DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["definition"])
            assert found
            yield f"variable {variable['name']}", found["selector"]


def _rules() -> str:
    return "".join(
        rule["expr"] + "\n"
        for path in sorted((CHECKOUT / "examples" / "prometheus").glob("*.rules.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    )


def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    judge = promtool()
    if judge is None:
        pytest.skip("There is no promtool, and none can be had.")
    filled = [re.sub(r"\$\w+", ".*", expression) for _what, expression in _expressions()]
    records = [{"record": f"dashboard:{number}", "expr": expression} for number, expression in enumerate(filled)]
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    result = subprocess.run([judge, "check", "rules", rules], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"{len(filled)} rules found" in result.stdout
    rules.write_text(rules.read_text().replace("time()", "time(", 1))
    assert subprocess.run([judge, "check", "rules", rules], capture_output=True, check=False).returncode == 1


def test_every_panel_is_filtered_by_what_is_chosen() -> None:
    panels = [expression for what, expression in _expressions() if not what.startswith("variable")]
    assert all('name=~"$name", destination=~"$destination"' in expression for expression in panels)
    assert {variable["name"] for variable in _DASHBOARD["templating"]["list"]} == {"datasource", "name", "destination"}


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in _PANELS}) == len(_PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in _PANELS:
        at = panel["gridPos"]
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_thresholds_in_colour_are_those_of_the_alerts() -> None:
    """The numbers of the alert rules, for what the dashboard colours by the same."""
    rules = _rules()
    for number, rule in ((90000, "25 * 3600"), (108000, "30 * 3600"), (35 * 86400, "35 * 86400"), (10800, "3 * 3600"), (0.5, "0.5")):
        assert f"> {rule}\n" in rules
        assert any(step["value"] == number for panel in _PANELS for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])), rule


def test_every_metric_is_one_that_the_module_writes() -> None:
    asked = set(_METRIC.findall(json.dumps(list(_expressions())) + _rules()))
    written = {f"{_PREFIX}{metric.name}" for metric in _METRICS}
    assert asked <= written
    # And what it writes is shown.
    assert written <= asked


def test_every_state_is_one_that_the_module_writes() -> None:
    found = set(re.findall(r'state="(\w+)"', _rules()))
    assert found == {"valid", "invalid", "broken", "future"}
    assert found < set(STATES)
    assert (EXIT_CODES["warning"], EXIT_CODES["critical"], EXIT_CODES["unknown"]) == (1, 2, 3)
