# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role schedule says the same thing in its specification, its defaults, its variables and the role install; times of cron become times of systemd."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import jinja2
import pytest
import yaml
from ansible.plugins.filter.core import FilterModule
from ansible.plugins.test.core import TestModule as JinjaTests

from harness.paths import CHECKOUT

_ROLES = CHECKOUT / "roles"
_ROLE = _ROLES / "schedule"


def _load(name: str, role: str = "schedule") -> Any:
    return yaml.safe_load((_ROLES / role / name).read_text())


_SPEC = {name.removeprefix("schedule_"): option for name, option in _load("meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()}
_DEFAULTS = {name.removeprefix("schedule_"): value for name, value in _load("defaults/main.yml").items()}
_VARS = _load("vars/main.yml")
_FROM_THE_INVENTORY = {"type": "schedule_type", "databases": "databases", "jobs": "schedule", "on_failure": "on_failure"}


def test_every_variable_has_a_default() -> None:
    assert set(_SPEC) == set(_DEFAULTS)


@pytest.mark.parametrize("name", sorted(_SPEC))
def test_a_default_is_as_specified_or_the_inventory_s(name: str) -> None:
    if name in _FROM_THE_INVENTORY:
        assert f"postgresql_backup_{_FROM_THE_INVENTORY[name]}" in _DEFAULTS[name]
    else:
        assert _DEFAULTS[name] == _SPEC[name]["default"]


def test_the_times_are_as_specified() -> None:
    assert str(_SPEC["jobs"]["default"]) in _DEFAULTS["jobs"]
    assert set(_SPEC["jobs"]["options"]) == set(_VARS["__schedule_kinds"])


@pytest.mark.parametrize("name", ["home", "configuration", "state_directory", "logs", "user"])
def test_both_roles_mean_the_same_places(name: str) -> None:
    assert _VARS[f"__schedule_{name}"] == _load("vars/main.yml", "install")[f"__install_{name}"]


def test_both_roles_call_databases_alike() -> None:
    theirs = _load("vars/main.yml", "install")["__install_names"]
    assert _VARS["__schedule_names"] == theirs.replace("install_databases", "schedule_databases")


@pytest.mark.parametrize("kind", sorted(_VARS["__schedule_kinds"]))
def test_a_job_is_a_playbook_of_the_collection_and_its_variables_are_the_role_s(kind: str) -> None:
    job = _VARS["__schedule_kinds"][kind]
    assert (CHECKOUT / "playbooks" / f"{job['playbook'].rpartition('.')[2]}.yml").exists()
    assert set(job["variables"]) <= set(_load("meta/argument_specs.yml", kind)["argument_specs"]["main"]["options"])


def _planned(cron: str, *, local: bool = False) -> dict[str, Any]:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_ROLE / "templates"), autoescape=False)
    environment.filters.update(FilterModule().filters())
    environment.tests.update(JinjaTests().tests())
    text = environment.get_template("jobs.j2").render(
        __schedule_names=["workon"], __schedule_entries=[{"schedule": {"verify": ""}}], schedule_jobs={"backup": cron, "verify": "1 1 1 1 *"},
        schedule_local_time=local,
    )  # fmt: skip
    jobs: list[dict[str, Any]] = json.loads(text)
    assert len(jobs) == 1
    return jobs[0]


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("0 3 * * *", "*-*-* 3:0:00 UTC"),
        ("* * * * *", "*-*-* *:*:00 UTC"),
        ("*/15 * * * *", "*-*-* *:0/15:00 UTC"),
        ("15 */6 * * *", "*-*-* 0/6:15:00 UTC"),
        ("5,35 8-18 * * 1-5", "Mon..Fri *-*-* 8..18:5,35:00 UTC"),
        ("30 4 1 * *", "*-*-1 4:30:00 UTC"),
        ("30 4 1,15 */3 *", "*-1/3-1,15 4:30:00 UTC"),
        ("0 0 * * 0", "Sun *-*-* 0:0:00 UTC"),
        ("0 0 * * 7", "Sun *-*-* 0:0:00 UTC"),
        ("0 0 * * sat,sun", "Sat,Sun *-*-* 0:0:00 UTC"),
    ],
)
def test_a_time_of_cron_becomes_one_of_systemd(cron: str, calendar: str) -> None:
    assert _planned(cron)["calendar"] == calendar
    assert _planned(cron, local=True)["calendar"] == calendar.removesuffix(" UTC")
    if program := shutil.which("systemd-analyze"):
        subprocess.run([program, "calendar", calendar], check=True, capture_output=True)


# Tried with Debian's cron 3.0pl1-162: it takes each of these.
@pytest.mark.parametrize(
    "cron",
    [
        "0 3 * * *",
        "*/15 * * * *",
        "59 23 31 12 7",
        "0,30 1-2,4 * * *",
        "1-5/2 */6 * * *",
        "0 0 1-15 * *",
        "0 0 * jan-mar,6 *",
        "0 0 * JAN Sun",
        "0 0 * * mon,wed-fri",
        "05 03 01 01 *",
        " 0  3 * * *\n",
    ],
)
def test_a_time_that_cron_runs_is_taken(cron: str) -> None:
    assert _planned(cron)["sound"]


# And for one of these it leaves out the whole crontab, or, for the ranges that end before they begin, never runs the job.
@pytest.mark.parametrize(
    "cron",
    [
        "0 24 * * *",
        "60 3 * * *",
        "0 3 0 * *",
        "0 3 32 * *",
        "0 3 * 0 *",
        "0 3 * 13 *",
        "0 3 * * 8",
        "0 3 * * tuesday",
        "5/10 * * * *",
        "*/0 * * * *",
        "0 3 * *",
        "0 3 * * * *",
        "0 3 * * mon-",
        "-1 3 * * *",
        "@daily",
        "0 22-4 * * *",
        "0 3 * * fri-mon",
        "0 3 * nov-feb *",
        "* * * * *\n0 0 * * * root true",
    ],
)
def test_a_time_that_cron_does_not_run_is_refused(cron: str) -> None:
    assert not _planned(cron)["sound"]


def test_a_unit_is_called_by_its_database_and_job() -> None:
    assert _planned("0 3 * * *")["unit"] == "postgresql-backup-workon-backup"
