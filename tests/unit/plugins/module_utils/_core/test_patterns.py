# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns mean to us what they mean to pg_dump. The expressions were compared with those that ``psql -E`` shows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.patterns import NamePattern, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "schema", "name"),
    [
        ("users", None, "^(users)$"),
        ("Users", None, "^(users)$"),
        ('"Users"', None, "^(Users)$"),
        ("public.users", "^(public)$", "^(users)$"),
        ('"My Schema"."a.b"', "^(My Schema)$", r"^(a\.b)$"),
        ("audit_*", None, "^(audit_.*)$"),
        ("A*?", None, "^(a.*.)$"),
        ('"a*?"', None, r"^(a\*\?)$"),
        ('"x""y"', None, '^(x"y)$'),
        ('pub"LIC"', None, "^(pubLIC)$"),
        ("a|b", None, "^(a|b)$"),
        ("[a-f]x+", None, "^([a-f]x+)$"),
        ("a[]", None, r"^(a\[])$"),
        ('"a[]"', None, r"^(a\[\])$"),
        ("Éa$b", None, r"^(Éa\$b)$"),
        ('"a$b"', None, r"^(a\$b)$"),
        ("*.*", "^(.*)$", "^(.*)$"),
    ],
)
def test_a_pattern_becomes_the_expression_that_pg_dump_sends(pattern: str, schema: str | None, name: str) -> None:
    assert parse_pattern(pattern, "exclude_tables", qualified=True) == NamePattern(schema, name)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_a_quoted_name_matches_itself_and_nothing_else(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    expression = parse_pattern(quoted, "exclude_tables", qualified=True).name
    assert re.fullmatch(expression[2:-2], name)
    assert not re.fullmatch(expression[2:-2], name + "x")
    assert not re.fullmatch(expression[2:-2], name[:-1])


@pytest.mark.parametrize(
    ("pattern", "qualified", "sentence"),
    [
        ('"users', True, "double quote is never closed"),
        ('a"b"c"', True, "double quote is never closed"),
        ("", True, "names nothing"),
        ("public.", True, "names nothing on one side of a dot"),
        (".users", True, "names nothing on one side of a dot"),
        ("a.b.c", True, "too many dots. Write schema.table"),
        ("a.b", False, "too many dots. Write a schema's name"),
    ],
)
def test_a_pattern_that_pg_dump_would_not_take_names_its_option(pattern: str, qualified: bool, sentence: str) -> None:
    with pytest.raises(BackupError, match=f"^exclude_tables holds the pattern .*{sentence}"):
        parse_pattern(pattern, "exclude_tables", qualified=qualified)
