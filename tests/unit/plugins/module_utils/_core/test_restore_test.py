# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore test runs only where it is meant to, and its verdict never takes ignorance for success."""

from __future__ import annotations

import datetime as dt

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import restore_test as core
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, RestoreMark
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import (
    BackupError,
    DatabaseError,
    LoadError,
    RefusedError,
    StoreError,
    TimeLimitError,
    VerificationError,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import beside
from ansible_collections.workon.postgresql_backup.tests.unit.facts import restore_test

NOW = dt.datetime(2026, 1, 8, 12, tzinfo=dt.timezone.utc)
STAGING, PRODUCTION, UNTAGGED = DatabaseComment(environment="staging"), DatabaseComment(environment="production"), DatabaseComment()


@pytest.mark.parametrize(
    ("environment", "allowed", "database", "comment", "says"),
    [
        ("staging", False, "app", STAGING, []),
        ("staging", False, "postgres", UNTAGGED, []),
        ("staging", False, "app", None, []),
        ("production", True, "app", PRODUCTION, []),
        ("production", True, "app", UNTAGGED, []),
        (None, False, "app", STAGING, ["Set environment to"]),
        ("testing", False, "app", STAGING, ["is tagged staging"]),
        ("staging", False, "app", UNTAGGED, ["carries no environment tag", "production's"]),
        ("staging", False, "app", PRODUCTION, ["is tagged production", "production's"]),
        ("staging", True, "app", PRODUCTION, ["is tagged production"]),
        ("production", False, "app", PRODUCTION, ["production's"]),
        ("live", False, "postgres", UNTAGGED, ["production's"]),
    ],
)
def test_where_it_may_run(environment: str | None, allowed: bool, database: str, comment: DatabaseComment | None, says: list[str]) -> None:
    refusals = core.server_refusals(environment, allowed, database, comment)
    assert len(refusals) == len(says)
    for refusal, part in zip(refusals, says, strict=True):
        assert part in refusal


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (VerificationError("Rows differ."), "failed"),
        (core.about_the_archive(LoadError("The archive could not be loaded: duplicate key value.")), "failed"),
        (core.about_the_archive(LoadError("The archive could not be loaded: could not extend file: No space left on device.")), "could_not_verify"),
        (core.about_the_archive(LoadError("The archive could not be loaded: server closed the connection unexpectedly.")), "could_not_verify"),
        (core.about_the_archive(TimeLimitError("The restore test did not end.")), "could_not_verify"),
        (RefusedError(["The server has no extension x."]), "could_not_verify"),
        (DatabaseError("The connection was lost."), "could_not_verify"),
        (StoreError("The store is down."), "could_not_verify"),
        (BackupError("Whatever it was."), "could_not_verify"),
    ],
)
def test_what_an_error_says_about_the_backup(error: BackupError, verdict: str) -> None:
    assert core.verdict_of(error) == verdict


def test_what_was_not_compared_has_not_passed() -> None:
    assert core.unproved_reasons(Proof("none", (), (), ("The manifest holds no rows to compare.",))) == [
        "It could be loaded, but not be compared: The manifest holds no rows to compare."
    ]
    assert core.unproved_reasons(Proof("counts", (), (), ("Rows were counted, their content was not compared.",))) == []


def mark(**changes: str) -> RestoreMark:
    facts = {"restore_id": "abcdef01-0", "role": "shadow", "state": "loading", "database": "restore_test_app", "backup": "b", "options": core.MARK}
    return RestoreMark(**{**facts, "since": "2026-01-07T11:00:00.000Z", "target_oid": 0, **changes})  # type: ignore[arg-type]


OURS = beside("restore_test_app", "shadow", "abcdef01-0")


@pytest.mark.parametrize(
    ("database", "found", "old"),
    [
        (OURS, mark(), True),
        (OURS, mark(since="2026-01-08T11:00:00.000Z"), False),
        (OURS, mark(options="0123456789abcdef"), False),
        (OURS, mark(role="live"), False),
        ("restore_test_app", mark(), False),
        ("somebody_s", mark(), False),
        (OURS, None, False),
    ],
    ids=["old", "young", "of a restore", "live", "the name itself", "renamed", "unmarked"],
)
def test_what_is_swept(database: str, found: RestoreMark | None, old: bool) -> None:
    assert core.is_old_scratch(database, found, NOW - dt.timedelta(hours=24)) is old


def test_its_name_fits_whatever_the_backups_are_called() -> None:
    assert core.scratch_name("app") == "restore_test_app"
    assert len(core.scratch_name("a" * 100)) == 63


@pytest.mark.parametrize("backup", ["/tmp/a.dump", "./a.dump", "../a.dump", "~/a.dump", "s3://other/a.dump"])
def test_only_what_is_in_the_catalog_is_tested(backup: str) -> None:
    assert "pg_backup_adopt" in (core.backup_refusal(backup) or "")
    assert core.backup_refusal("latest") is core.backup_refusal("before:2026-01-08T10:30:00Z") is core.backup_refusal("app_2026-01-08_103000.dump") is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {},
            (
                "Passed: s3://b/k was restored on a private PostgreSQL 17.2 in 25.5 s (1 tables with 4 rows, rows and content equal; 7.6 MiB). "
                "Its data were 29 min 59 s old."
            ),
        ),
        (
            {"verdict": "failed", "reasons": ["Row lost."], "server": {"version": "17.2", "address": "db:5432", "private": False}},
            "Failed: s3://b/k on the server db:5432 (PostgreSQL 17.2). Row lost.",
        ),
        ({"verdict": "could_not_verify", "reasons": ["No disk."]}, "Could not verify: s3://b/k on a private PostgreSQL 17.2. No disk."),
    ],
)
def test_the_verdict_in_one_sentence(changes: dict[str, object], says: str) -> None:
    result = core.restore_test_result(restore_test(**changes), record_key="r", address="s3://b/k", proof=None, notes=[], left_behind=[], dropped=[])
    assert result["msg"] == says
