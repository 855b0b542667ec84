# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.ownership import Roles, choose_ownership


def roles(*existing: str, settable: frozenset[str] | None = None) -> Roles:
    return Roles(frozenset({"owner", "app"}), frozenset({"owner"}), frozenset(existing), settable)


@pytest.mark.parametrize(
    ("wanted", "found", "role_map", "exists", "mode"),
    [
        ("auto", roles("owner", "app"), {}, True, "archive"),
        ("auto", roles("owner", "app"), {}, False, "archive"),
        ("auto", roles("owner"), {}, True, "live"),
        # A role that is only granted something need not be settable, an owner must.
        ("auto", roles("owner", "app", settable=frozenset({"owner"})), {}, True, "archive"),
        ("auto", roles("owner", "app", settable=frozenset({"app"})), {}, True, "live"),
        ("auto", roles("owner_2", "app"), {"owner": "owner_2"}, True, "mapped"),
        ("archive", roles("owner", "app"), {}, True, "archive"),
        ("live", roles(), {}, True, "live"),
        ("operator", roles(), {}, False, "operator"),
    ],
)
def test_the_way_that_is_chosen(wanted: str, found: Roles, role_map: dict[str, str], exists: bool, mode: str) -> None:
    assert choose_ownership(wanted, found, role_map, target_exists=exists).mode == mode


@pytest.mark.parametrize(
    ("wanted", "found", "role_map", "exists", "sentence"),
    [
        ("auto", roles("owner"), {}, False, "the server has no role app. .*role_map, or set ownership to operator"),
        ("archive", roles("app"), {}, True, "no role owner.* or set ownership to live or operator"),
        ("archive", roles("owner", "app", settable=frozenset()), {}, True, "may not give objects to owner"),
        ("auto", roles("owner", "app"), {"owner": "typo"}, True, "no role typo"),
        ("live", roles(), {}, False, "no live database"),
    ],
)
def test_what_is_refused(wanted: str, found: Roles, role_map: dict[str, str], exists: bool, sentence: str) -> None:
    with pytest.raises(BackupError, match=sentence):
        choose_ownership(wanted, found, role_map, target_exists=exists)
