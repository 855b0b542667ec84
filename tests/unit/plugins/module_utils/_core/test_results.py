# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results: the facts as plain data, and one sentence that does not claim more than was proved."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog, UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.results import backup_result, catalog_result, plan_result
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY, STARTED, manifest, stored


def result(duration: float = 2.0, **changes: t.Any) -> dict[str, t.Any]:
    return backup_result(manifest(**changes), f"s3://bucket/{KEY}", {"kind": "s3"}, duration)


def test_a_backup_is_told_in_one_sentence() -> None:
    assert result()["msg"] == (
        f"Backed up the database workon (2 tables with 42 rows) as s3://bucket/{KEY}: "
        "1000 B in 2.0 s, hashed and decoded, rows and content of every table recorded."
    )


@pytest.mark.parametrize(
    ("method", "level", "ending"),
    [
        ("text", "decode", "hashed and decoded, rows and content of every table recorded."),
        ("counts", "hash", "hashed, rows of every table counted."),
        ("none", "hash", "hashed, content not recorded."),
    ],
)
def test_the_sentence_claims_what_was_proved(method: str, level: str, ending: str) -> None:
    assert result(fingerprint={"method": method}, verification={"level": level})["msg"].endswith(f" s, {ending}")


def test_rows_that_nobody_counted_are_not_told() -> None:
    message = result(fingerprint={"method": "none"}, tables={})["msg"]
    assert "(all tables selected)" in message
    assert "rows" not in message


def test_a_backup_s_facts_are_the_manifest_s() -> None:
    found = result(pinned=True, warnings=["look"])
    assert found["changed"] is True
    assert found["backup"] == {**manifest(pinned=True, warnings=["look"]).as_dict(), "address": f"s3://bucket/{KEY}"}
    assert found["warnings"] == ["look"]
    assert found["store"] == {"kind": "s3"}
    assert found["diff"]["after"].split() == [KEY, f"{KEY}.manifest.json"]
    assert found["diff"]["before"] == ""


def test_secrets_that_an_older_version_recorded_are_not_told() -> None:
    found = result(database={"owner": "app", "settings": [{"role": None, "settings": ["app.key=secret", "jit=off"]}]})
    assert found["backup"]["database"]["settings"] == [{"role": None, "settings": ["jit=off"], "hidden": ["app.key"]}]


@pytest.mark.parametrize(("duration", "database", "archive"), [(2.0, 4000, 500), (0.0, 8_000_000, 1_000_000)])
def test_throughput_is_in_bytes_a_second(duration: float, database: int, archive: int) -> None:
    assert result(duration)["throughput"] == {"database_bytes_per_second": database, "archive_bytes_per_second": archive}


def test_a_plan_is_told_as_what_would_be_done() -> None:
    plan = {
        "key": KEY,
        "database": "workon",
        "tables": 2,
        "estimated_size": 8 * 1024 * 1024,
        "address": f"/backups/{KEY}",
        "client": {"version": "16.4"},
        "compression": "zstd:1",
    }
    found = plan_result(plan, {"kind": "directory"}, ["look"])
    assert found["msg"] == (
        f"Every safeguard passed. The database workon (2 tables, at most about 8.0 MiB) would be backed up as /backups/{KEY} "
        "with pg_dump 16.4 and zstd:1 compression."
    )
    assert (found["changed"], found["plan"], found["warnings"], found["store"]) == (True, plan, ["look"], {"kind": "directory"})
    assert found["diff"]["after"].startswith(KEY)


def backup(key: str = KEY, found: Manifest | None = None, problems: tuple[str, ...] = ()) -> Backup:
    return Backup(key, "workon", STARTED, found, 1000, problems)


CATALOG = Catalog(
    backups=(backup("b.dump", manifest()), backup("a.dump", problems=("too short",))),
    orphans=(stored("o.dump"),),
    broken=(backup("x.dump", problems=("missing",)),),
    foreign=(stored("f1"), stored("f2")),
    unfinished=(UnfinishedUpload("u.dump", "1", None),),
)


def test_a_catalog_is_counted_as_a_whole_and_shown_as_asked() -> None:
    found = catalog_result(CATALOG, CATALOG.backups[:1])
    assert found["changed"] is False
    assert found["counts"] == {"backups": 2, "valid": 1, "orphans": 1, "broken": 1, "foreign": 2, "unfinished": 1}
    assert [entry["key"] for entry in found["backups"]] == ["b.dump"]
    assert found["msg"] == "1 valid of 2 backups, 1 shown."


def test_everything_that_is_no_backup_is_listed_apart() -> None:
    found = catalog_result(CATALOG, [])
    kinds = ("backups", "orphans", "broken", "foreign", "unfinished")
    assert {kind: [entry["key"] for entry in found[kind]] for kind in kinds} == {
        "backups": [],
        "orphans": ["o.dump"],
        "broken": ["x.dump"],
        "foreign": ["f1", "f2"],
        "unfinished": ["u.dump"],
    }


def test_invalid_backups_are_named_in_the_sentence() -> None:
    assert catalog_result(CATALOG, CATALOG.backups)["msg"] == "1 valid of 2 backups, 2 shown. Not valid: a.dump."
