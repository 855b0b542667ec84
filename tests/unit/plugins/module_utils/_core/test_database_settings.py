# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of an application's own parameters are secrets; their names are not."""

from __future__ import annotations

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_settings import hidden_settings, without_secrets

READ = {
    "owner": "app",
    "settings": [
        {"role": None, "settings": ["TimeZone=UTC", "app.jwt_secret=abc=d", "work_mem=4MB"]},
        {"role": "web", "settings": ["app.key=x", "search_path=caf\udce9"]},
    ],
}
TOLD = {
    "owner": "app",
    "settings": [
        {"role": None, "settings": ["TimeZone=UTC", "work_mem=4MB"], "hidden": ["app.jwt_secret"]},
        {"role": "web", "settings": [], "hidden": ["app.key", "search_path"]},
    ],
}


def test_values_of_parameters_with_a_dot_are_left_out_and_so_is_what_is_no_text() -> None:
    assert without_secrets(READ) == TOLD


def test_what_was_left_out_stays_so() -> None:
    assert without_secrets(TOLD) == TOLD
    assert without_secrets({}) == {}


def test_what_was_left_out_is_known_by_role_and_name() -> None:
    assert hidden_settings(TOLD) == [(None, "app.jwt_secret"), ("web", "app.key"), ("web", "search_path")]
    assert hidden_settings(READ) == hidden_settings({}) == []
