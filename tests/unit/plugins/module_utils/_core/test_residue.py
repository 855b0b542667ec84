# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import parse_list
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.residue import LiveObject, residue, schemas_of

CONTENTS = parse_list(""";
;     Dump Version: 1.16-0
6; 2615 16385 SCHEMA - shop postgres
218; 1259 16387 TABLE public users app owner
217; 1259 16386 SEQUENCE public users_id_seq postgres
219; 1259 16388 VIEW shop all users postgres
220; 1255 16389 FUNCTION public note(integer, text) postgres
221; 1247 16390 DOMAIN public email postgres
3360; 0 16387 TABLE DATA public users postgres
""")


def thing(kind: str, schema: str, name: str) -> LiveObject:
    return LiveObject(kind, schema, name, True)


@pytest.mark.parametrize(
    ("live", "left"),
    [
        (thing("SEQUENCE", "public", "users_id_seq"), False),
        (thing("VIEW", "shop", "all users"), False),
        # A materialized view in place of the view is in the way of it and goes.
        (thing("MATERIALIZED VIEW", "shop", "all users"), False),
        (thing("FUNCTION", "public", "note(integer, text)"), False),
        (thing("DOMAIN", "public", "email"), False),
        (thing("TABLE", "public", "contracts"), True),
        (thing("TABLE", "shop", "users"), True),
        (thing("TABLE", "public", "user"), True),
        (thing("FUNCTION", "public", "note(integer)"), True),
        (thing("FUNCTION", "public", "note"), True),
        (thing("TYPE", "public", "users"), True),
    ],
)
def test_what_the_archive_does_not_know_would_stay(live: LiveObject, left: bool) -> None:
    assert residue([live], CONTENTS) == ([live] if left else [])


def test_things_are_named_for_people() -> None:
    assert str(thing("TABLE", "public", "Users")) == 'table public."Users"'
    assert str(thing("FUNCTION", "public", "note(integer)")) == "function public.note(integer)"


def test_the_schemas_of_an_archive() -> None:
    assert schemas_of(CONTENTS, {"shop"}) == {"public", "shop"}
    assert schemas_of(parse_list(";     Dump Version: 1.16-0\n219; 1259 16388 VIEW shop v postgres\n"), {"shop"}) == {"shop"}


def test_a_schema_of_an_extension_alone_is_not_the_archive_s() -> None:
    listing = """;     Dump Version: 1.16-0
6; 2615 16385 SCHEMA - ext postgres
2; 3079 16390 EXTENSION - citext \n"""
    assert schemas_of(parse_list(listing), {"ext"}) == set()
