# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best strategy that the rights allow is chosen, and where none is, each one's obstacles are named."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import RefusedError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target, choose_strategy, left_behind, swap_obstacles
from ansible_collections.workon.postgresql_backup.tests.unit.targets import absent, capabilities, target

ABLE = target()
NO_CREATEDB = target(capabilities=capabilities(createdb=False))
NOT_OWNER = target(owned=False, owner="other")
ALONE = target(capabilities=capabilities(maintenance_database=None, maintenance_problem="no way"))


class Asked:
    """Obstacles that remember whether anybody asked for them."""

    def __init__(self, *obstacles: str) -> None:
        self.obstacles, self.asked = list(obstacles), False

    def __call__(self) -> list[str]:
        self.asked = True
        return self.obstacles


@pytest.mark.parametrize(
    ("found", "obstacles"),
    [
        (ABLE, []),
        (absent(), []),
        (NO_CREATEDB, ["the role backup has no CREATEDB"]),
        (target(capabilities=capabilities(superuser=True, createdb=False)), []),
        (NOT_OWNER, ["the role backup does not own the database workon (its owner is other)"]),
        (ALONE, ["no other database of the server can be reached to rename from (no way)"]),
        (
            target(owned=False, owner="other", capabilities=capabilities(createdb=False, maintenance_database=None)),
            [
                "no other database of the server can be reached to rename from (None)",
                "the role backup has no CREATEDB",
                "the role backup does not own the database workon (its owner is other)",
            ],
        ),
    ],
)
def test_what_keeps_a_role_from_the_swap(found: Target, obstacles: list[str]) -> None:
    assert swap_obstacles(found) == obstacles


@pytest.mark.parametrize(
    ("wanted", "found", "schema", "in_place", "name", "why"),
    [
        ("auto", ABLE, ["x"], ["y"], "swap", "the role backup may create a database and rename this one"),
        ("swap", ABLE, ["x"], ["y"], "swap", "asked for"),
        ("auto", absent(), ["x"], ["y"], "swap", "the database does not exist yet"),
        ("auto", NO_CREATEDB, [], ["y"], "schema_swap", "no swap, because the role backup has no CREATEDB"),
        ("auto", NO_CREATEDB, ["not its schema"], [], "in_place", "no swap, because the role backup has no CREATEDB; no schema swap, because not its schema"),
        ("schema_swap", ABLE, [], ["y"], "schema_swap", "asked for"),
        ("in_place", ABLE, ["x"], [], "in_place", "asked for"),
        ("in_place", ALONE, ["x"], [], "in_place", "asked for"),
    ],
)
def test_the_strategy_and_why(wanted: str, found: Target, schema: list[str], in_place: list[str], name: str, why: str) -> None:
    chosen = choose_strategy(wanted, found, Asked(*schema), Asked(*in_place))
    assert (chosen.name, chosen.why) == (name, why)


@pytest.mark.parametrize(
    ("wanted", "found", "sentence"),
    [
        ("swap", NO_CREATEDB, "The swap is not possible: the role backup has no CREATEDB. Use a role that can, or set strategy to auto."),
        ("auto", absent(capabilities=capabilities(createdb=False)), "The swap is not possible: the role backup has no CREATEDB. Use a role that can."),
        ("schema_swap", absent(), "strategy is schema_swap, but the database workon does not exist. Set strategy to swap or auto, which create it."),
        ("in_place", absent(), "strategy is in_place, but the database workon does not exist."),
        ("schema_swap", ABLE, "The schema swap is not possible: x. Set strategy to auto or in_place, or remove what is in the way."),
        ("in_place", ABLE, "The restore in place is not possible: y."),
        ("auto", NOT_OWNER, "No strategy is possible with the role backup. Swap: the role backup does not own"),
        ("auto", NOT_OWNER, "Schema swap: x. In place: y. Best use a role that owns the database and has CREATEDB."),
    ],
)
def test_what_is_not_possible_is_refused(wanted: str, found: Target, sentence: str) -> None:
    with pytest.raises(RefusedError) as raised:
        choose_strategy(wanted, found, Asked("x"), Asked("y"))
    assert len(raised.value.refusals) == 1
    assert sentence in raised.value.message


@pytest.mark.parametrize(
    ("wanted", "found", "asked"),
    [("auto", ABLE, (False, False)), ("swap", ABLE, (False, False)), ("auto", NO_CREATEDB, (True, False)), ("in_place", ABLE, (False, True))],
)
def test_obstacles_are_asked_for_only_where_they_matter(wanted: str, found: Target, asked: tuple[bool, bool]) -> None:
    schema, in_place = Asked(), Asked()
    choose_strategy(wanted, found, schema, in_place)
    assert (schema.asked, in_place.asked) == asked


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, None),
        ({"replication_slots": ("cdc",)}, "replication slot cdc"),
        ({"subscriptions": ("a", "b")}, "2 subscriptions: a, b"),
        ({"replication_slots": ("cdc",), "subscriptions": ("a",)}, "replication slot cdc and subscription a"),
        ({"prepared_transactions": ("x",)}, None),
    ],
)
def test_what_stays_with_the_replaced_database(changes: dict[str, t.Any], named: str | None) -> None:
    assert left_behind(target(**changes)) == named


def test_a_fingerprint_means_one_database_and_not_the_one_that_gets_its_name() -> None:
    assert len(target().fingerprint) == 8
    assert target(oid=16385).fingerprint != target().fingerprint == target(size=1, owner="other").fingerprint


def test_a_target_as_plain_data() -> None:
    facts = target(comment=DatabaseComment(environment="staging"), free_disk=5).as_dict()
    assert facts["fingerprint"] == target().fingerprint
    assert {name: facts[name] for name in ("database", "exists", "oid", "owner", "environment", "host", "port", "role", "free_disk")} == {
        "database": "workon",
        "exists": True,
        "oid": 16384,
        "owner": "backup",
        "environment": "staging",
        "host": "db.example.com",
        "port": 5432,
        "role": "backup",
        "free_disk": 5,
    }
    assert facts["capabilities"] == {"superuser": False, "createdb": True, "maintenance_database": "postgres", "maintenance_problem": None}
    nothing = absent().as_dict()
    assert (nothing["oid"], nothing["owner"], nothing["environment"]) == (None, None, None)
