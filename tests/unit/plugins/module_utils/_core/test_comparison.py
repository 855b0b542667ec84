# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.comparison import Comparison, compare, reading_method
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import RECIPE, TableFingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Content
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY, manifest

NOW = dt.datetime(2026, 1, 8, 13, 32, 0, 500000, tzinfo=dt.timezone.utc)
PRISMA = {"last": "2_more", "applied": 2, "failed": []}


def backup(**changes: t.Any) -> Manifest:
    facts: dict[str, t.Any] = {
        "fingerprint": {"method": "record", "recipe": RECIPE},
        "tables": {"public.users": {"rows": 40, "content": "7"}, "public.missions": {"rows": 2, "content": "9"}},
        "sequences": {"public.users_id_seq": {"last_value": 40, "is_called": True}},
        "large_objects": {"count": 1, "content": "5"},
        "extensions": {"plpgsql": "1.0", "citext": "1.5"},
        "database": {"encoding": "UTF8"},
        "prisma": PRISMA,
        "defects": {"invalid_indexes": [], "unvalidated_constraints": []},
    }
    return manifest(**{**facts, **changes})


def content(**changes: t.Any) -> Content:
    facts: dict[str, t.Any] = {
        "tables": {"public.users": TableFingerprint(40, "7"), "public.missions": TableFingerprint(2, "9")},
        "of_extensions": frozenset(),
        "sequences": {"public.users_id_seq": {"last_value": 40, "is_called": True}},
        "large_objects": {"count": 1, "content": "5"},
        "defects": {"invalid_indexes": [], "unvalidated_constraints": []},
        "prisma": PRISMA,
    }
    return Content(**{**facts, **changes})


def compared(manifest: Manifest | None = None, found: Content | None = None, method: t.Any = "record", **changes: t.Any) -> Comparison:
    facts: dict[str, t.Any] = {"encoding": "UTF8", "extensions": {"plpgsql": "1.0", "citext": "1.5"}, "server_version": "17.5", "now": NOW}
    return compare(manifest or backup(), found or content(), method, **{**facts, **changes})


def test_nothing_has_changed() -> None:
    found = compared()
    assert found.differences == found.not_compared == ()
    assert found.tables["public.users"] == {"rows_in_backup": 40, "rows_now": 40, "state": "same"}
    assert (found.sequences, found.extensions) == ({}, {})
    told = found.as_dict()
    assert (told["same"], told["level"]) == (True, "content")
    assert found.sentence() == f"It is as in the backup {KEY}, whose content is 3 h 2 min old: every row of every table was compared."


def test_the_age_is_that_of_the_content() -> None:
    assert compared().as_dict()["age"] == {"seconds": 3 * 3600 + 120, "for_people": "3 h 2 min"}


def test_the_backup_is_named() -> None:
    assert compared(backup(environment="production")).backup == {
        "key": KEY,
        "backup_id": backup().backup_id,
        "name": "workon",
        "environment": "production",
        "snapshot_at": "2026-01-08T10:30:00.500Z",
        "database": "workon",
        "host": None,
    }


@pytest.mark.parametrize(
    ("tables", "name", "expected"),
    [
        ({"public.users": TableFingerprint(39, "6")}, "public.users", {"rows_in_backup": 40, "rows_now": 39, "state": "changed"}),
        ({"public.users": TableFingerprint(40, "8")}, "public.users", {"rows_in_backup": 40, "rows_now": 40, "state": "changed"}),
        ({"public.users": None}, "public.users", {"rows_in_backup": 40, "rows_now": None, "state": "missing"}),
        ({"public.added": TableFingerprint(1, "1")}, "public.added", {"rows_in_backup": None, "rows_now": 1, "state": "new"}),
    ],
)
def test_a_table_that_differs(tables: dict[str, TableFingerprint | None], name: str, expected: dict[str, t.Any]) -> None:
    present = {key: facts for key, facts in {**content().tables, **tables}.items() if facts}
    found = compared(found=content(tables=present))
    assert found.tables[name] == expected
    assert found.tables["public.missions"]["state"] == "same"
    assert found.as_dict()["same"] is False
    assert [sentence for sentence in found.differences if name in sentence] == list(found.differences) != []


def test_what_the_backup_left_out_is_not_new() -> None:
    tables = {**content().tables, "public.sessions": TableFingerprint(9, "1")}
    omitted = [{"kind": "table", "name": "public.sessions", "reason": "left out by exclude_tables"}]
    found = compared(backup(omitted=omitted), content(tables=tables))
    assert "public.sessions" not in found.tables
    assert found.differences == ()


def test_the_sentence_counts_what_differs() -> None:
    tables = {"public.users": TableFingerprint(39, "6"), "public.a": TableFingerprint(0, "0"), "public.b": TableFingerprint(0, "0")}
    found = compared(found=content(tables=tables))
    assert found.sentence().endswith("whose content is 3 h 2 min old: tables 1 changed, 1 missing, 2 new; 4 differences in all.")
    only_sequence = compared(found=content(sequences={}))
    assert only_sequence.sentence().endswith("old: 1 difference in all.")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"public.users_id_seq": {"last_value": 41, "is_called": True}}, {"last_value": 41, "is_called": True}),
        ({"public.users_id_seq": {"last_value": 40, "is_called": False}}, {"last_value": 40, "is_called": False}),
        ({}, None),
    ],
)
def test_a_sequence_that_differs(now: dict[str, t.Any], expected: t.Any) -> None:
    found = compared(found=content(sequences=now))
    assert found.sequences == {"public.users_id_seq": {"in_backup": {"last_value": 40, "is_called": True}, "now": expected}}
    assert len(found.differences) == 1


def test_a_sequence_that_is_new_is_no_difference() -> None:
    found = compared(found=content(sequences={**content().sequences, "public.b_seq": {"last_value": 1, "is_called": False}}))
    assert (found.sequences, found.differences) == ({}, ())


@pytest.mark.parametrize(
    ("now", "expected", "sentence"),
    [
        ({"plpgsql": "1.0", "citext": "1.6"}, {"citext": {"in_backup": "1.5", "now": "1.6"}}, "The extension citext has version 1.6 instead of 1.5."),
        ({"plpgsql": "1.0"}, {"citext": {"in_backup": "1.5", "now": None}}, "The extension citext is missing."),
        (
            {"plpgsql": "1.0", "citext": "1.5", "hstore": "1.8"},
            {"hstore": {"in_backup": None, "now": "1.8"}},
            "The extension hstore is there but not expected.",
        ),
    ],
)
def test_an_extension_that_differs(now: dict[str, str], expected: dict[str, t.Any], sentence: str) -> None:
    found = compared(extensions=now)
    assert found.extensions == expected
    assert found.differences == (sentence,)


def test_prisma_large_objects_and_versions_are_put_side_by_side() -> None:
    now = {"last": "1_init", "applied": 1, "failed": []}
    found = compared(found=content(prisma=now, large_objects={"count": 2, "content": "6"}))
    assert found.prisma == {"in_backup": PRISMA, "now": now}
    assert found.large_objects == {"in_backup": {"count": 1, "content": "5"}, "now": {"count": 2, "content": "6"}}
    assert found.server_version == {"in_backup": "16.4", "now": "17.5"}
    assert len(found.differences) == 2


COUNTED = content(
    tables={"public.users": TableFingerprint(40, None), "public.missions": TableFingerprint(2, None)}, large_objects={"count": 1, "content": None}
)


def test_where_rows_were_counted_no_more_is_claimed() -> None:
    found = compared(found=COUNTED, method="counts")
    assert found.tables["public.users"]["state"] == "same_rows"
    assert (found.level, found.as_dict()["same"]) == ("counts", True)
    assert "the number of rows of every table was compared" in found.sentence()
    assert len(found.not_compared) == 1


@pytest.mark.parametrize(
    ("changes", "encoding", "method", "says"),
    [
        ({"fingerprint": {"method": "record", "recipe": 99}}, "UTF8", "record", "recipe 99"),
        ({"fingerprint": {"method": "record"}}, "UTF8", "record", "recipe None"),
        ({"fingerprint": {"method": "record", "recipe": RECIPE}}, "UTF8", "text", "PostgreSQL 14"),
        ({"database": {"encoding": "LATIN1"}}, "UTF8", "record", "encoding of the backup is LATIN1"),
        (
            {"fingerprint": {"method": "counts", "recipe": RECIPE}, "tables": {name: {"rows": 40, "content": None} for name in ("public.users",)}},
            "UTF8",
            "record",
            "without content hashes",
        ),
    ],
)
def test_content_that_cannot_be_compared_is_said_and_not_called_changed(changes: dict[str, t.Any], encoding: str, method: str, says: str) -> None:
    found = compared(backup(**changes), content(tables={**content().tables, "public.users": TableFingerprint(40, "other")}), method, encoding=encoding)
    assert found.level == "counts"
    assert found.tables["public.users"]["state"] == "same_rows"
    assert says in found.not_compared[0]


@pytest.mark.parametrize(
    ("manifest", "method"),
    [
        (backup(fingerprint={"method": "none", "recipe": RECIPE}, tables={}), "record"),
        (backup(fingerprint={"method": "none", "recipe": RECIPE}, tables={}), "counts"),
        (backup(), "none"),
    ],
)
def test_without_rows_on_one_side_nothing_is_called_the_same(manifest: Manifest, method: str) -> None:
    read = content(tables={}, sequences={}) if method == "none" else content()
    found = compared(manifest, read, method)
    assert (found.level, found.as_dict()["same"]) == ("none", None)
    assert {table["state"] for table in found.tables.values()} <= {"not_compared"}
    assert found.differences == ()
    assert found.sequences == {}
    assert len(found.not_compared) == 1
    assert "Its rows were not compared" in found.sentence()


@pytest.mark.parametrize(
    ("recorded", "wanted", "version", "expected"),
    [
        (None, "content", 170000, "record"),
        (None, "content", 130000, "text"),
        (None, "counts", 170000, "counts"),
        ("record", "content", 170000, "record"),
        ("text", "content", 170000, "text"),
        ("text", "counts", 170000, "counts"),
        ("text", "none", 170000, "none"),
        ("record", "content", 130000, "text"),
        ("counts", "content", 170000, "record"),
        ("none", "content", 170000, "record"),
    ],
)
def test_how_tables_are_read(recorded: str | None, wanted: t.Any, version: int, expected: str) -> None:
    assert reading_method(backup(fingerprint={"method": recorded}) if recorded else None, wanted, version) == expected
