# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a restore says what would happen or has happened, what could not be proved, and how to go back."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_result import (
    backup_facts,
    compared_tables,
    finalized_result,
    plan_result,
    restored_result,
    rolled_back_result,
    window,
)
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY, STARTED, manifest
from ansible_collections.workon.postgresql_backup.tests.unit.targets import absent, target

ROWS = ({"table": "public.users", "rows_in_backup": 40, "rows_restored": 40, "content": "equal"},)
PROOF = Proof("content", ROWS, (), ())


def facts(**changes: t.Any) -> dict[str, t.Any]:
    """Return what a plan and an account have in common."""
    common: dict[str, t.Any] = {
        "target": target().as_dict(),
        "backup": backup_facts(f"s3://bucket/{KEY}", 3_000_000, manifest(), "a" * 64),
        "strategy": {"name": "swap", "why": "it may"},
        "safety_plan": "s3://bucket/safety.dump",
        "confirm": None,
        "data_loss_window": window(STARTED, STARTED + dt.timedelta(hours=7, minutes=29)),
    }
    return {**common, **changes}


def restored(**changes: t.Any) -> dict[str, t.Any]:
    arguments: dict[str, t.Any] = {
        "proof": PROOF,
        "checks": [{"passed": True}, {"passed": False}],
        "safety": {"key": "workon_2026-01-08_103500.dump", "address": "s3://bucket/workon_2026-01-08_103500.dump"},
        "previous": "workon__p_12345678",
        "notes": ["A note."],
        "states": [{"state": "done"}],
        "duration": 12.34567,
        "tables": None,
    }
    return restored_result(facts(), **{**arguments, **changes})


def test_a_backup_with_its_manifest_and_without() -> None:
    known = backup_facts("/b/x.dump", 5, manifest(environment="staging", prisma={"last": "1_a"}), "a" * 64)
    assert (known["manifest"], known["key"], known["environment"], known["prisma"]) == (True, KEY, "staging", {"last": "1_a"})
    assert (known["backup_id"], known["snapshot_at"]) == (manifest().backup_id, manifest().snapshot_at)
    assert backup_facts("/b/x.dump", 5, None, "a" * 64) == {
        **dict.fromkeys(known),
        "address": "/b/x.dump",
        "size": 5,
        "sha256": "a" * 64,
        "manifest": False,
    }


def test_the_window_of_lost_writes() -> None:
    assert window(None, STARTED) is None
    assert window(STARTED, STARTED + dt.timedelta(seconds=26999.4)) == {
        "from": "2026-01-08T10:30:00.000Z",
        "to": "2026-01-08T17:59:59.400Z",
        "seconds": 26999,
        "text": "7 h 29 min",
    }
    # A clock that is behind does not make a backup of the future.
    assert (window(STARTED, STARTED - dt.timedelta(hours=1)) or {})["seconds"] == 0


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, ["The database workon (staging) would be restored from s3://bucket/", ", which holds the state of 7 h 29 min ago: loaded beside it, proved"]),
        ({"target": absent().as_dict()}, ["The database workon (does not exist yet) would"]),
        ({"target": target(comment=DatabaseComment()).as_dict()}, ["The database workon (without a tag) would"]),
        ({"strategy": {"name": "schema_swap", "why": ""}}, ["loaded into new schemas"]),
        ({"strategy": {"name": "in_place", "why": ""}}, ["replaced object by object"]),
        ({"safety_plan": "none, there is nothing to lose"}, ["Safety backup: none, there is nothing to lose."]),
        ({"confirm": "restore x into workon@1"}, [" To go on, set confirm to: restore x into workon@1"]),
        ({"data_loss_window": None}, [f"{KEY}: loaded beside it"]),
    ],
)
def test_a_plan_in_one_sentence(changes: dict[str, t.Any], parts: list[str]) -> None:
    result = plan_result(facts(**changes), None)
    assert result["changed"] is True
    assert result["msg"].startswith("Every safeguard passed, and the archive was read to its end.")
    for part in parts:
        assert part in result["msg"]
    assert "diff" not in result


def test_a_plan_shows_rows_now_and_then() -> None:
    tables = compared_tables(manifest(), {"public.users": 41, "public.new": 1})
    assert tables == [
        {"table": "public.missions", "rows_now": None, "rows_in_backup": 2},
        {"table": "public.new", "rows_now": 1, "rows_in_backup": None},
        {"table": "public.users", "rows_now": 41, "rows_in_backup": 40},
    ]
    result = plan_result(facts(), tables)
    assert result["tables"] == tables
    assert result["diff"] == {
        "before_header": "workon now",
        "after_header": "workon as of 2026-01-08T10:30:00.500Z",
        "before": "public.new: 1 rows\npublic.users: 41 rows\n",
        "after": "public.missions: 2 rows\npublic.users: 40 rows\nwrites of the last 7 h 29 min are not in it\n",
    }
    foreign = facts(backup=backup_facts("/b/x.dump", 5, None, "a" * 64), data_loss_window=None)
    assert plan_result(foreign, compared_tables(None, {"public.users": 41}))["diff"] == {
        "before_header": "workon now",
        "after_header": "workon as of /b/x.dump",
        "before": "public.users: 41 rows\n",
        "after": "when its state is from is not known\n",
    }


@pytest.mark.parametrize(
    ("proof", "part"),
    [
        (PROOF, "by swap: rows and content of 1 tables equal the manifest, 1 of 2 checks passed."),
        (Proof("counts", ROWS, (), ("Not compared.",)), "the rows of 1 tables equal the manifest, their content was not compared"),
        (Proof("none", ROWS, (), ("No manifest.",)), "its content could not be compared with a manifest"),
    ],
)
def test_an_account_claims_no_more_than_was_proved(proof: Proof, part: str) -> None:
    result = restored(proof=proof)
    assert part in result["msg"]
    assert result["warnings"] == ["A note.", *proof.unproved]
    assert result["proof"] == {"level": proof.level, "tables": list(ROWS), "differences": [], "unproved": list(proof.unproved)}
    assert result["duration"] == 12.346
    assert "in 12.3 s" in result["msg"]


@pytest.mark.parametrize(
    ("changes", "way_back"),
    [
        ({}, "Run again with state rolled_back: what is kept as workon__p_12345678 takes its place again at once."),
        ({"previous": None}, "Run again with backup s3://bucket/workon_2026-01-08_103500.dump and same_database true."),
        ({"previous": None, "safety": None}, None),
    ],
)
def test_the_way_back(changes: dict[str, t.Any], way_back: str | None) -> None:
    result = restored(**changes)
    assert result["go_back"] == way_back
    assert ("What was there before is kept as workon__p_12345678." in result["msg"]) is (result["previous"] is not None)


def test_an_account_shows_rows_only_where_they_were_counted() -> None:
    assert "diff" not in restored()
    assert restored(tables=compared_tables(manifest(), {}))["diff"]["before"] == ""


@pytest.mark.parametrize(
    ("previous", "rejected", "confirm", "check_mode", "message"),
    [
        ([], [], None, False, "The database workon has nothing from before a restore, so there is nothing to roll back."),
        ([], [], None, True, "The database workon has nothing from before a restore, so there is nothing to roll back."),
        (["p"], ["x"], None, False, "The database workon is again as it was before the restore. What was restored is kept as x."),
        (["p"], [], None, False, "The database workon is again as it was before the restore."),
        (["p", "q"], [], None, True, "In the database workon what is kept as p, q would take the place of what was restored."),
        (
            ["p"],
            [],
            "roll back",
            True,
            "In the database workon what is kept as p would take the place of what was restored. To go on, set confirm to: roll back",
        ),
    ],
)
def test_a_rollback(previous: list[str], rejected: list[str], confirm: str | None, check_mode: bool, message: str) -> None:
    result = rolled_back_result(database="workon", restore_id="3f2a", previous=previous, rejected=rejected, confirm=confirm, check_mode=check_mode)
    assert result["msg"] == message
    assert result["changed"] is bool(previous)
    assert (result["previous"], result["rejected"]) == (", ".join(previous) or None, ", ".join(rejected) or None)
    assert (result["diff"]["before"] != result["diff"]["after"]) is bool(previous)


def test_what_was_dropped_and_what_is_kept() -> None:
    kept = [{"kind": "database", "name": "q", "until": "2026-01-11T10:30:00.000Z"}]
    result = finalized_result(database="workon", dropped=["p"], kept=kept, check_mode=False)
    assert result["msg"] == "Dropped p of earlier restores into workon. Kept: q until 2026-01-11T10:30:00.000Z."
    assert (result["changed"], result["dropped"], result["kept"]) == (True, ["p"], kept)
    assert result["diff"] == {"before": "p\n", "after": ""}
    nothing = finalized_result(database="workon", dropped=[], kept=[], check_mode=True)
    assert (nothing["msg"], nothing["changed"]) == ("Would drop nothing of earlier restores into workon.", False)
