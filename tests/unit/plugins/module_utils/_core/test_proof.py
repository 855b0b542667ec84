# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs from the manifest is a sentence, and what could not be compared is never called equal."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import TableFingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Content, method_to_read, prove
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest

TABLES = {"public.users": TableFingerprint(40, "7"), "public.missions": TableFingerprint(2, "9")}
MANIFEST = manifest(
    sequences={"public.s": {"last_value": 7, "is_called": True}},
    large_objects={"count": 2, "content": "5"},
    prisma={"last": "2_b", "applied": 2, "failed": []},
    omitted=[{"kind": "table", "name": "public.sessions", "reason": "its rows are left out"}],
    defects={"invalid_indexes": ["public.broken"], "unvalidated_constraints": ["public.old"]},
)


def content(**changes: t.Any) -> Content:
    facts: dict[str, t.Any] = {
        "tables": TABLES,
        "of_extensions": frozenset(),
        "sequences": {"public.s": {"last_value": 7, "is_called": True}},
        "large_objects": {"count": 2, "content": "5"},
        "defects": {"invalid_indexes": [], "unvalidated_constraints": []},
        "prisma": {"last": "2_b", "applied": 2, "failed": []},
    }
    return Content(**{**facts, **changes})


def test_what_is_equal_holds() -> None:
    proof = prove(MANIFEST, content(), "record")
    assert proof.holds
    assert proof.level == "content"
    assert proof.unproved == ()
    assert proof.tables[1] == {"table": "public.users", "rows_in_backup": 40, "rows_restored": 40, "content": "equal"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tables": {"public.users": TABLES["public.users"]}}, "Table public.missions is missing."),
        ({"tables": {**TABLES, "public.users": TableFingerprint(39, "7")}}, "Table public.users has 39 rows instead of 40."),
        ({"tables": {**TABLES, "public.users": TableFingerprint(40, "8")}}, "Table public.users has the expected 40 rows, but their content differs."),
        ({"tables": {**TABLES, "public.new": TableFingerprint(0, "0")}}, "Table public.new is there but not expected."),
        ({"sequences": {}}, "Sequence public.s is missing."),
        ({"sequences": {"public.s": {"last_value": 8, "is_called": True}}}, "Sequence public.s is at 8 instead of 7."),
        ({"sequences": {"public.s": {"last_value": 7, "is_called": False}}}, "Sequence public.s is at 7 (not used yet) instead of 7."),
        ({"large_objects": {"count": 1, "content": "5"}}, "There are 1 large objects instead of 2."),
        ({"large_objects": {"count": 2, "content": "6"}}, "The 2 large objects are there, but their content differs."),
        ({"defects": {"invalid_indexes": ["public.i"], "unvalidated_constraints": []}}, "The index public.i is invalid, and was not before."),
        ({"defects": {"invalid_indexes": [], "unvalidated_constraints": ["public.c"]}}, "The constraint public.c is not validated, and was before."),
        ({"prisma": {"last": "1_a", "applied": 1, "failed": []}}, "Prisma's migrations end with 1_a instead of 2_b."),
    ],
)
def test_each_difference_is_a_sentence(changes: dict[str, t.Any], sentence: str) -> None:
    assert prove(MANIFEST, content(**changes), "record").differences == (sentence,)


@pytest.mark.parametrize(
    "changes",
    [
        {"tables": {**TABLES, "public.sessions": TableFingerprint(0, "0")}},
        {"tables": {**TABLES, "public.spatial": TableFingerprint(9, "0")}, "of_extensions": frozenset({"public.spatial"})},
        {"sequences": {"public.s": {"last_value": 7, "is_called": True}, "public.of_extension": {"last_value": 1, "is_called": False}}},
        {"defects": {"invalid_indexes": ["public.broken"], "unvalidated_constraints": ["public.old"]}},
        {"prisma": None},
    ],
)
def test_what_the_source_had_or_left_out_is_no_difference(changes: dict[str, t.Any]) -> None:
    assert prove(MANIFEST, content(**changes), "record").holds


def test_a_restore_in_place_may_leave_other_tables() -> None:
    assert prove(MANIFEST, content(tables={**TABLES, "public.new": TableFingerprint(1, "1")}), "record", extras_allowed=True).holds


def test_counts_are_no_proof_of_content() -> None:
    counted = {name: dataclasses.replace(found, content=None) for name, found in TABLES.items()}
    proof = prove(MANIFEST, content(tables=counted), "counts")
    assert proof.holds
    assert proof.level == "counts"
    assert proof.unproved == ("Rows were counted, their content was not compared.",)
    assert {row["content"] for row in proof.tables} == {"not compared"}
    assert not prove(MANIFEST, content(tables={**counted, "public.users": TableFingerprint(39, None)}), "counts").holds


def test_without_a_manifest_it_is_said_what_nobody_could_prove() -> None:
    proof = prove(None, content(), "counts")
    assert proof.level == "none"
    assert "has no manifest" in proof.unproved[0]
    assert proof.tables[0]["content"] == "not compared"
    assert not prove(None, content(defects={"invalid_indexes": ["public.i"], "unvalidated_constraints": ["public.c"]}), "counts").holds


def test_nothing_compared_is_said() -> None:
    assert prove(MANIFEST, content(tables={}), "none").unproved == ("Rows and content were not compared: fingerprint is none.",)
    unread = dataclasses.replace(MANIFEST, fingerprint={"method": "none"}, tables={})
    assert prove(unread, content(), "counts").level == "none"
    assert "taken with fingerprint none" in prove(unread, content(), "counts").unproved[0]


@pytest.mark.parametrize(
    ("recorded", "wanted", "method"),
    [
        ("record", "content", "record"),
        ("text", "content", "text"),
        ("counts", "content", "counts"),
        ("none", "content", "counts"),
        ("record", "counts", "counts"),
        ("record", "none", "none"),
    ],
)
def test_no_more_is_read_than_can_be_compared(recorded: str, wanted: t.Any, method: str) -> None:
    assert method_to_read(manifest(fingerprint={"method": recorded}), wanted) == method
    assert method_to_read(None, wanted) == ("none" if wanted == "none" else "counts")
