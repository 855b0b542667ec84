# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason not to start has a sentence, and every row that is not in the archive has a reason."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import preflight
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation
from ansible_collections.workon.postgresql_backup.tests.unit.facts import relation, server

relations = st.builds(
    relation,
    oid=st.integers(1, 20),
    kind=st.sampled_from("rpfmS"),
    persistence=st.sampled_from("put"),
    extension=st.sampled_from([None, "postgis"]),
    excluded_by=st.sampled_from([None, "schemas", "exclude_schemas", "exclude_tables", "exclude_table_data"]),
)


def refusals(*found: Relation, large_objects: int = 0) -> list[str]:
    return preflight.privilege_refusals(found, large_objects, "Backup")


def test_the_major_of_a_server() -> None:
    assert [server(version_num=number).major for number in (130022, 160004, 180000)] == [13, 16, 18]


@pytest.mark.parametrize(
    ("pooled", "hint", "part"),
    [(True, None, "it gives one server process to several connections"), (False, "its port is 6432", "its port is 6432"), (True, "its port is 6432", "6432")],
)
def test_a_pooler_is_refused_with_its_reason(pooled: bool, hint: str | None, part: str) -> None:
    refusal = preflight.pooler_refusal(server(pooled=pooled), hint)
    assert refusal is not None
    assert part in refusal
    assert "DIRECT_URL" in refusal


def test_a_direct_connection_passes() -> None:
    assert preflight.pooler_refusal(server(), None) is None


def test_a_role_that_may_read_everything_passes() -> None:
    assert refusals(relation(), relation("users_id_seq", kind="S"), relation("parts", kind="p")) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema_usable": False, "schema": "Odd"}, 'The role Backup has no USAGE on schema "Odd". Grant it (GRANT USAGE ON SCHEMA ... TO "Backup")'),
        ({"readable": False}, 'The role Backup has no SELECT on table public.users. Grant it (on PostgreSQL 14 and newer: GRANT pg_read_all_data TO "Backup")'),
        ({"readable": False, "kind": "p"}, "has no SELECT on table public.users."),
        ({"readable": False, "kind": "S"}, "has no SELECT on sequence public.users. Grant it, or leave the sequences out"),
        ({"row_security": True}, "Row security hides rows of table public.users from the role Backup, so a backup would be incomplete. Use the owner or"),
        ({"readable": False, "excluded_by": "exclude_table_data"}, "has no SELECT on table public.users"),
    ],
)
def test_what_the_role_may_not_read_is_refused(changes: dict[str, t.Any], sentence: str) -> None:
    (refusal,) = refusals(relation(**changes))
    assert sentence in refusal


@pytest.mark.parametrize(
    "changes",
    [
        {"excluded_by": "exclude_tables"},
        {"excluded_by": "schemas"},
        {"extension": "postgis"},
        {"persistence": "t"},
        {"kind": "f"},
        {"kind": "m"},
    ],
)
def test_what_is_not_read_needs_no_privilege(changes: dict[str, t.Any]) -> None:
    assert refusals(relation(readable=False, schema_usable=False, row_security=True, **changes)) == []


def test_each_object_is_refused_for_its_first_reason_only() -> None:
    (refusal,) = refusals(relation(schema_usable=False, readable=False, row_security=True))
    assert "USAGE" in refusal


def test_many_objects_are_counted_and_the_first_ten_named() -> None:
    (refusal,) = refusals(*(relation(f"t{number:02}", readable=False) for number in range(13)))
    assert "no SELECT on 13 tables: public.t00, " in refusal
    assert "public.t09 and 3 more" in refusal
    assert "t10" not in refusal


def test_all_kinds_of_refusals_come_together() -> None:
    found = refusals(
        relation(schema="a", schema_usable=False), relation(readable=False), relation(kind="S", readable=False), relation(row_security=True), large_objects=3
    )
    assert [part in refusal for part, refusal in zip(("USAGE", "table", "sequence", "Row security", "3 large object(s)"), found, strict=True)] == [True] * 5


@pytest.mark.parametrize(("tables", "refused"), [(0, False), (20, False), (21, True)])
def test_more_tables_than_the_lock_table_holds_are_refused(tables: int, refused: bool) -> None:
    found = [relation(kind=kind) for kind, _number in zip("rp" * 20, range(tables), strict=False)]
    unlocked = [relation(kind=kind) for kind in "Smf" * 30]
    refusal = preflight.lock_refusal([*found, *unlocked], server(lock_slots=10))
    assert bool(refusal) is refused
    assert not refused or f"has {tables} tables to lock, and the server's lock table is made for 10. Raise max_locks_per_transaction" in str(refusal)


@pytest.mark.parametrize("skew", [None, 0.0, 300.0, -300.0])
def test_a_clock_within_five_minutes_passes(skew: float | None) -> None:
    assert preflight.clock_refusal(skew, "the store's") is None


@pytest.mark.parametrize(("skew", "words"), [(301.0, "301 seconds behind the store's"), (-3600.4, "3600 seconds ahead of the store's")])
def test_a_clock_that_is_off_is_refused_with_its_direction(skew: float, words: str) -> None:
    assert words in str(preflight.clock_refusal(skew, "the store's"))


@pytest.mark.parametrize(
    ("changes", "in_recovery", "kind", "reason"),
    [
        ({"persistence": "t"}, False, "table", "temporary"),
        ({"extension": "postgis"}, False, "table", "belongs to the extension postgis"),
        ({"excluded_by": "exclude_table_data"}, False, "table", "its rows are left out by exclude_table_data; its definition is in the archive"),
        ({"excluded_by": "exclude_schemas"}, False, "table", "left out by exclude_schemas"),
        ({"kind": "f"}, False, "foreign table", "its rows are on a foreign server"),
        ({"kind": "m"}, False, "materialized view", "a restore computes it again"),
        ({"persistence": "u"}, True, "table", "unlogged: a standby has none of its rows"),
    ],
)
def test_rows_that_are_not_in_the_archive_have_a_reason(changes: dict[str, t.Any], in_recovery: bool, kind: str, reason: str) -> None:
    omitted, unexplained = preflight.omissions([relation(**changes)], frozenset(), in_recovery)
    assert unexplained == []
    assert [(entry["kind"], entry["name"]) for entry in omitted] == [(kind, "public.users")]
    assert reason in omitted[0]["reason"]


@pytest.mark.parametrize("changes", [{}, {"persistence": "u"}, {"row_security": True}])
def test_a_table_that_is_missing_without_a_reason_is_unexplained(changes: dict[str, t.Any]) -> None:
    assert preflight.omissions([relation(**changes)], frozenset(), False) == ([], ["public.users"])


@given(st.lists(relations, max_size=8), st.frozensets(st.integers(1, 20)), st.booleans())
def test_nothing_that_could_hold_rows_goes_without_a_word(found: list[Relation], dumped: frozenset[int], in_recovery: bool) -> None:
    omitted, unexplained = preflight.omissions(found, dumped, in_recovery)
    silent = [one for one in found if one.oid in dumped or one.kind in "pS"]
    assert len(omitted) + len(unexplained) + len(silent) == len(found)
    assert all(entry["reason"] for entry in omitted)


def test_a_warning_of_pg_dump_becomes_a_fact() -> None:
    messages = ["warning: subscriptions not dumped because current user is not a superuser", "warning: something else"]
    assert [entry["kind"] for entry in preflight.omitted_by_messages(messages)] == ["subscription"]
    assert preflight.omitted_by_messages(messages[1:]) == []


def test_names_in_refusals_can_be_pasted_into_sql() -> None:
    assert dataclasses.replace(relation(), schema="Odd", name='a"b').full_name == '"Odd"."a""b"'
