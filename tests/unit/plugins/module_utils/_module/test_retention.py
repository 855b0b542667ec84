# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a policy become a policy, or a sentence that names the option."""

from __future__ import annotations

import datetime as dt
import typing as t
import zoneinfo

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Policy
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.retention import POLICY_SPEC, policy_from


def params(**changes: t.Any) -> dict[str, t.Any]:
    return {name: spec.get("default") for name, spec in POLICY_SPEC.items()} | changes


def test_what_is_not_set_is_the_policys_own_default() -> None:
    assert policy_from(params()) == Policy()


def test_every_option_arrives() -> None:
    policy = policy_from(
        params(keep_within="30d", keep_last=1, keep_hourly=2, keep_daily=3, keep_weekly=4, keep_monthly=5, keep_yearly=6, timezone="Europe/Berlin")
        | {"min_keep": 7, "max_delete_percent": 8, "keep_safety": "1y", "keep_incident": "2y", "pinned_labels": {"ticket": 7}}
        | {"abort_uploads_after": "1h", "orphan_grace": "2h"}
    )
    assert policy == Policy(
        keep_within=Duration("30d", days=30),
        keep_last=1,
        keep_hourly=2,
        keep_daily=3,
        keep_weekly=4,
        keep_monthly=5,
        keep_yearly=6,
        zone=zoneinfo.ZoneInfo("Europe/Berlin"),
        min_keep=7,
        max_delete_percent=8,
        keep_safety=Duration("1y", years=1),
        keep_incident=Duration("2y", years=2),
        pinned_labels={"ticket": "7"},
        abort_uploads_after=Duration("1h", hours=1),
        orphan_grace=Duration("2h", hours=2),
    )


@pytest.mark.parametrize("option", ["keep_within", "keep_safety", "keep_incident", "abort_uploads_after", "orphan_grace"])
def test_a_time_that_is_none_names_its_option(option: str) -> None:
    with pytest.raises(BackupError, match=f"^{option} is 'soon'"):
        policy_from(params(**{option: "soon"}))


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "Europe", "/etc/localtime"])
def test_a_time_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BackupError, match=r"^timezone is .*Set it to a name such as Europe/Berlin"):
        policy_from(params(timezone=name))


def test_utc_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "ZoneInfo", None)
    assert policy_from(params(timezone="UTC")).zone is dt.timezone.utc
