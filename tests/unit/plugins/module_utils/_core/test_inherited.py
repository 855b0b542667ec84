# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.inherited import inherited_properties
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import database_statements

RECORDED = {
    "owner": "gone",
    "acl": ["gone=CTc/gone", "app=c/gone", '"odd role"=c/gone'],
    "connection_limit": 20,
    "settings": [{"role": None, "settings": ["search_path=shop"]}, {"role": "app", "settings": ["work_mem=64MB"]}, {"role": "gone", "settings": ["jit=off"]}],
}


def test_what_roles_of_this_server_have_is_taken_over() -> None:
    found, notes = inherited_properties(RECORDED, "operator", {"app", "operator"})
    assert found == {"owner": "operator", "acl": ["app=c/gone"], "connection_limit": 20, "settings": RECORDED["settings"][:2]}
    assert len(notes) == 2
    statements = database_statements(found, "workon")
    # As at the source, nobody else may connect.
    assert statements[0] == 'REVOKE ALL ON DATABASE "workon" FROM PUBLIC, "operator"'
    assert not any("TO PUBLIC" in statement for statement in statements)
    assert any('CONNECT ON DATABASE "workon" TO "app"' in statement for statement in statements)


def test_with_all_roles_nothing_is_left_out() -> None:
    found, notes = inherited_properties(RECORDED, "gone", {"app", "gone", "odd role"})
    assert found == RECORDED
    assert notes == []


def test_without_a_manifest_there_are_the_defaults() -> None:
    found, notes = inherited_properties({}, "operator", {"operator"})
    assert found == {"owner": "operator", "acl": None, "connection_limit": -1, "settings": []}
    assert notes == []
    assert any("TO PUBLIC" in statement for statement in database_statements(found, "workon"))
