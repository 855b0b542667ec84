# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every face of a verdict says the same, can be read by what reads it, and says nothing of what is not known."""

from __future__ import annotations

import dataclasses
import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import Health, NameHealth, Reason, Thresholds, combine, unknown
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health_text import (
    EXIT_CODES,
    nagios,
    one_line,
    plain_text,
    prometheus,
    without_moment,
)
from ansible_collections.workon.postgresql_backup.tests.unit.health import DAY, HOUR, NOW, backup, judged, orphan, record_of

SAMPLE = re.compile(r'(?P<name>[a-z_]+)\{(?P<labels>(?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)+)\} (?P<value>-?[0-9.e+-]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
EVERYTHING = [
    "last_success_timestamp_seconds",
    "last_size_bytes",
    "last_duration_seconds",
    "last_rows",
    "oldest_valid_timestamp_seconds",
    "size_delta_ratio",
    "catalog_backups",
    "last_restore_test_timestamp_seconds",
    "last_restore_test_success",
    "last_restore_test_duration_seconds",
    "last_passed_restore_test_timestamp_seconds",
    "health_status",
    "clock_skew_seconds",
    "health_check_timestamp_seconds",
    "info",
]


def health_of(*names: NameHealth, destination: str = "s3://backups/") -> Health:
    return combine(names, now=NOW, destination=destination)


def whole() -> NameHealth:
    """Return the verdict on a name of which everything is known."""
    newest, older = backup(HOUR, size=2000, rows=42, environment="production"), backup(DAY, size=1600, rows=40)
    return judged(newest, older, tests=[record_of(older, 2 * HOUR, "failed", rto=12.5), record_of(older, 3 * HOUR)], skew=-1.25)


def samples(metrics: str) -> dict[tuple[str, str], float]:
    """Return the values by the metric and by what its labels but name and destination say; read as Prometheus reads them."""
    found: dict[tuple[str, str], float] = {}
    for line in metrics.splitlines():
        if not line.startswith("#"):
            parts = SAMPLE.fullmatch(line)
            assert parts, line
            labels = dict(LABEL.findall(parts["labels"]))
            rest = ",".join(value for label, value in labels.items() if label not in ("name", "destination"))
            found[parts["name"].removeprefix("pgbackup_"), rest] = float(parts["value"])
    return found


def test_all_metrics_of_a_name_of_which_everything_is_known() -> None:
    found = samples(prometheus(health_of(whole())))
    assert list(dict.fromkeys(name for name, _labels in found)) == EVERYTHING
    assert found["last_success_timestamp_seconds", ""] == (NOW - HOUR).timestamp()
    assert found["last_size_bytes", ""] == 2000
    assert found["last_duration_seconds", ""] == 0
    assert found["last_rows", ""] == 42
    assert found["oldest_valid_timestamp_seconds", ""] == (NOW - DAY).timestamp()
    assert found["size_delta_ratio", ""] == 0.25
    assert found["catalog_backups", "valid"] == 2
    assert found["catalog_backups", "orphan"] == 0
    assert found["last_restore_test_timestamp_seconds", ""] == (NOW - 2 * HOUR).timestamp()
    assert found["last_restore_test_success", ""] == 0
    assert found["last_restore_test_duration_seconds", ""] == 12.5
    assert found["last_passed_restore_test_timestamp_seconds", ""] == (NOW - 3 * HOUR).timestamp()
    assert found["health_status", ""] == 2
    assert found["clock_skew_seconds", ""] == -1.25
    assert found["health_check_timestamp_seconds", ""] == NOW.timestamp()
    assert found["info", "workon,production"] == 1


def test_help_and_type_stand_once_before_the_samples_of_all_names() -> None:
    lines = prometheus(health_of(whole(), dataclasses.replace(whole(), name="shop"))).splitlines()
    for name in EVERYTHING:
        about = [number for number, line in enumerate(lines) if re.match(rf"(# (HELP|TYPE) )?pgbackup_{name}[ {{]", line)]
        assert about == list(range(about[0], about[-1] + 1))
        assert [line.split()[1] for line in lines[about[0] : about[0] + 2]] == ["HELP", "TYPE"]
        assert sum(lines[number].startswith("#") for number in about) == 2
        assert len(about) >= 4


def test_what_is_not_known_is_left_out_and_never_0() -> None:
    assert {name for name, _labels in samples(prometheus(health_of(unknown("app", "No."))))} == {"health_status", "health_check_timestamp_seconds"}
    assert samples(prometheus(health_of(unknown("app", "No."))))["health_status", ""] == 3
    without = {name for name, _labels in samples(prometheus(health_of(judged(skew=None))))}
    assert without == {"catalog_backups", "health_status", "health_check_timestamp_seconds"}
    uncounted = {name for name, _labels in samples(prometheus(health_of(judged(backup(tables={}, fingerprint={"method": "none"}, adopted={"at": "x"})))))}
    assert not uncounted & {"last_rows", "last_duration_seconds", "size_delta_ratio", "last_restore_test_success"}


def test_the_file_ends_with_a_newline_and_samples_have_no_time() -> None:
    metrics = prometheus(health_of(whole()))
    assert metrics.endswith("\n")
    assert not metrics.endswith("\n\n")
    assert all(len(line.rpartition("} ")[2].split()) == 1 for line in metrics.splitlines() if not line.startswith("#"))


HOSTILE = ['a"b', "a\\", "a\nb", "a\\nb", "{}", 'a",x="1', "ä 🐘", "a|b'c=d", "\r\x00"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_labels_come_back_as_they_were(text: str) -> None:
    each = judged(backup(source={"database": text}, environment=text))
    metrics = prometheus(health_of(dataclasses.replace(each, name=text), destination=text))
    for line in metrics.split("\n")[:-1]:
        if not line.startswith("#"):
            parts = SAMPLE.fullmatch(line)
            assert parts, line
            labels = {label: re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value) for label, value in LABEL.findall(parts["labels"])}
            assert labels["name"] == labels["destination"] == text
            assert labels.get("database", text) == labels.get("environment", text) == text


@given(st.text(min_size=1), st.text(), st.text())
def test_whatever_a_sentence_holds_each_face_keeps_its_form(name: str, sentence: str, destination: str) -> None:
    health = health_of(
        dataclasses.replace(judged(backup()), name=name, verdict="critical", reasons=(Reason("critical", "age", sentence),)), destination=destination
    )
    samples_of = [line for line in prometheus(health).split("\n") if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples_of[:-1])
    line = nagios(health, Thresholds())["line"]
    assert len(line.splitlines()) == 1
    assert line.count("|") == 1
    assert len(plain_text(health).split("\n")) == 5


@pytest.mark.parametrize(("verdict", "code"), [("ok", 0), ("warning", 1), ("critical", 2), ("unknown", 3)])
def test_the_exit_codes_are_nagios_s_and_the_metric_s(verdict: t.Any, code: int) -> None:
    health = health_of(dataclasses.replace(judged(backup()), verdict=verdict))
    assert EXIT_CODES[verdict] == nagios(health, Thresholds())["exit_code"] == samples(prometheus(health))["health_status", ""] == code


def test_the_line_of_a_plugin() -> None:
    health = health_of(judged(backup(size=1234)))
    assert nagios(health, Thresholds()) == {
        "line": (
            "PGBACKUP OK: app: the newest valid backup is 60 min old (1.2 KiB, 42 rows), 1 valid in the store, no restore test is known. "
            "| 'app_age'=3600s;90000;108000 'app_size'=1234B"
        ),
        "exit_code": 0,
        "perfdata": "'app_age'=3600s;90000;108000 'app_size'=1234B",
    }


def test_the_thresholds_in_the_numbers_are_those_that_were_judged_by() -> None:
    thresholds = Thresholds(max_age_critical=Duration("24h", hours=24), min_size=1_000_000, max_restore_test_age=Duration("7d", days=7))
    perfdata = nagios(health_of(whole()), thresholds)["perfdata"]
    assert perfdata == "'app_age'=3600s;86400;86400 'app_size'=2000B;;1000000: 'app_restore_test_age'=10800s;604800"


def test_without_numbers_there_is_no_bar() -> None:
    assert nagios(health_of(unknown("app", "It | was | shut.")), Thresholds())["line"] == "PGBACKUP UNKNOWN: It / was / shut."


@pytest.mark.parametrize(("name", "label"), [("a'b", "'a''b_age'"), ("a=b", "'a_b_age'"), ("a|b", "'a/b_age'")])
def test_a_label_of_perfdata_ends_where_it_should(name: str, label: str) -> None:
    assert nagios(health_of(dataclasses.replace(judged(backup()), name=name)), Thresholds())["perfdata"].startswith(f"{label}=3600s;")


def test_one_line_names_the_worst_and_counts_the_others() -> None:
    health = health_of(judged(backup(31 * HOUR), orphans=[orphan(3 * DAY)]))
    assert one_line(health).startswith("CRITICAL: The newest valid backup of app holds")
    assert one_line(health).endswith("(and 1 more)")


def test_the_text_says_everything() -> None:
    health = health_of(judged(backup(26 * HOUR)), unknown("shop", "The store is shut."))
    assert plain_text(health).splitlines() == [
        "UNKNOWN: backups in s3://backups/, judged at 2026-01-08T10:30:00.000Z",
        "",
        "WARNING  app: the newest valid backup is 26 h 0 min old (1000 B, 42 rows), 1 valid in the store, no restore test is known.",
        f"  - warning: {health.names[0].reasons[0].sentence}",
        "",
        "UNKNOWN  shop: no valid backup is known, the store was not read, no restore test is known.",
        "  - unknown: The store is shut.",
    ]


def test_only_the_moment_differs_between_two_looks() -> None:
    one, later = judged(backup(), skew=0.1), judged(backup(), skew=0.9)
    first = prometheus(combine([one], now=NOW, destination="d"))
    second = prometheus(combine([later], now=NOW + HOUR, destination="d"))
    assert first != second
    assert without_moment(first) == without_moment(second)
    assert without_moment(first) != without_moment(prometheus(combine([judged(backup(size=7))], now=NOW, destination="d")))
