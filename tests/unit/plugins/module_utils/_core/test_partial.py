# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup does not hold is a sentence, and what was only made after it is not taken for left out."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import partial
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import parse_list
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation, omissions
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest, relation

CONTENTS = parse_list(""";
;     Dump Version: 1.16-0
218; 1259 16387 TABLE public users postgres
219; 1259 16388 TABLE public events postgres
220; 1259 16389 TABLE public parted postgres
3360; 0 16387 TABLE DATA public users postgres
""")
UNKNOWN = {"schemas": None, "exclude_schemas": None, "exclude_tables": None, "exclude_table_data": None}


def omitted(*relations: Relation, in_recovery: bool = False) -> list[dict[str, str]]:
    return omissions(relations, frozenset(), in_recovery)[0]


AUDIT = relation("audit", excluded_by="exclude_tables")
EVENTS = relation("events", excluded_by="exclude_table_data")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, None),
        ({"omitted": omitted(relation(kind="m"), relation(kind="f"), relation(persistence="t"), relation(extension="postgis"))}, None),
        ({"selection": UNKNOWN}, None),
        (
            {"selection": {"exclude_tables": ["audit"]}, "omitted": omitted(AUDIT)},
            "does not hold all of its source (it was taken with exclude_tables audit): it has nothing of table public.audit.",
        ),
        (
            {"selection": {"exclude_tables": ["a*"], "exclude_table_data": ["events"]}, "omitted": omitted(AUDIT, EVENTS)},
            "exclude_tables a*, exclude_table_data events): it has nothing of table public.audit, and no rows of table public.events.",
        ),
        (
            {"selection": {"schemas": ["app"]}},
            "(it was taken with schemas app): it has nothing of what belongs to no schema, such as extensions and publications.",
        ),
        ({"selection": {"exclude_schemas": ["x"]}}, "need not hold all of its source (it was taken with exclude_schemas x)."),
        ({"omitted": omitted(relation(persistence="u"), in_recovery=True)}, "does not hold all of its source: it has no rows of table public.users."),
        (
            {"selection": {"exclude_tables": ["*"]}, "omitted": omitted(*(relation(f"t{number}", excluded_by="exclude_tables") for number in range(12)))},
            "table public.t9 and 2 more.",
        ),
    ],
)
def test_what_a_backup_does_not_hold_is_said(changes: dict[str, t.Any], sentence: str | None) -> None:
    found = partial.missing_sentences(manifest(**changes))
    assert len(found) == (sentence is not None), found
    assert sentence is None or found[0].endswith(sentence), found


def test_nobody_knows_what_an_archive_without_a_manifest_left_out() -> None:
    assert partial.missing_sentences(None) == []
    assert partial.selection_of(None) is None
    assert partial.selection_of(manifest(selection=UNKNOWN)) is None


@pytest.mark.parametrize(
    ("live", "named", "gone"),
    [
        (AUDIT, [], True),
        # An unqualified pattern may mean another schema in the live database.
        (relation("audit"), omitted(AUDIT), True),
        (relation("later"), [], False),
        (relation(excluded_by="exclude_tables"), [], False),
        (relation("audit", excluded_by="exclude_tables", extension="postgis"), [], False),
        (relation("audit", excluded_by="exclude_tables", persistence="t"), [], False),
        (relation("audit", excluded_by="schemas"), [], False),
    ],
)
def test_what_was_left_out_as_a_whole(live: Relation, named: list[dict[str, str]], gone: bool) -> None:
    assert partial.not_archived([live], manifest(omitted=named), CONTENTS) == ([live] if gone else [])


@pytest.mark.parametrize(
    ("live", "selection", "named", "emptied"),
    [
        (relation("events"), {}, omitted(EVENTS), True),
        (relation("users"), {}, omitted(EVENTS), False),
        (relation("audit"), {}, omitted(AUDIT), False),
        # It was partitioned then, and the backup has its partitions.
        (relation("parted"), {}, omitted(EVENTS), False),
        (relation("events"), UNKNOWN, [], True),
        (relation("events", kind="p"), UNKNOWN, [], False),
        (relation("users"), UNKNOWN, [], False),
        (relation("later"), UNKNOWN, [], False),
    ],
)
def test_whose_rows_were_left_out(live: Relation, selection: dict[str, t.Any], named: list[dict[str, str]], emptied: bool) -> None:
    assert partial.archived_without_rows([live], manifest(selection=selection, omitted=named), CONTENTS) == ([live] if emptied else [])


def test_without_a_manifest_the_archive_says_whose_rows_it_lacks() -> None:
    assert partial.archived_without_rows([relation("events"), relation("users")], None, CONTENTS) == [relation("events")]


def test_a_loss_is_named_for_people() -> None:
    assert not partial.Loss()
    assert str(partial.Loss(("schema x", "table public.audit"), ("table public.events",))) == "schema x, table public.audit and the rows of table public.events"
    assert str(partial.Loss((), ("table public.events",))) == "the rows of table public.events"
    assert "Set allow_partial to true" in partial.partial_refusal("b", "d", partial.Loss(("schema x",)))
