# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spelling for each name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import canonical_name, qualified_name, quote_if_needed

words = st.one_of(st.text(min_size=1, max_size=8), st.text('a".\n $', min_size=1, max_size=6))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("users", "users"),
        ("_prisma_migrations", "_prisma_migrations"),
        ("a1$", "a1$"),
        ("order", "order"),
        ("Users", '"Users"'),
        ("1a", '"1a"'),
        ("a b", '"a b"'),
        ('a"b', '"a""b"'),
        ("été", '"été"'),
        ("users\n", '"users\n"'),
        ("", '""'),
    ],
)
def test_only_plain_lower_case_goes_without_quotes(name: str, expected: str) -> None:
    assert quote_if_needed(name) == expected


@given(words, words)
def test_the_manifest_s_own_spelling_stays_as_it_is(schema: str, name: str) -> None:
    assert canonical_name(qualified_name(schema, name)) == qualified_name(schema, name)


@given(words, words, words, words)
def test_different_names_never_share_a_spelling(schema: str, name: str, other_schema: str, other_name: str) -> None:
    assert (qualified_name(schema, name) == qualified_name(other_schema, other_name)) == ((schema, name) == (other_schema, other_name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('public."order"', "public.order"),
        ('"public"."users"', "public.users"),
        ('"DATA".users_id_seq', '"DATA".users_id_seq'),
        ('"a.b"."c""d"', '"a.b"."c""d"'),
        ("users", "users"),
    ],
)
def test_names_that_a_program_quoted_by_its_own_rules(text: str, expected: str) -> None:
    assert canonical_name(text) == expected
