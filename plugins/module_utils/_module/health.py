# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options that say what is still good, and the thresholds they mean."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import parse_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import CriticalTable, Thresholds

_DURATIONS = ("max_age_warning", "max_age_critical", "max_restore_test_age", "max_unfinished_age", "max_orphan_age")
_NUMBERS = ("min_size", "max_size_delta", "max_clock_skew")

THRESHOLDS_SPEC: dict[str, dict[str, t.Any]] = {
    "max_age_warning": {"type": "str", "default": "25h"},
    "max_age_critical": {"type": "str", "default": "30h"},
    "min_size": {"type": "int", "default": 0},
    "max_size_delta": {"type": "int", "default": 50},
    "critical_tables": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "table": {"type": "str", "required": True},
            "min_rows": {"type": "int", "default": 1},
            "max_row_delta": {"type": "int", "default": 50},
        },
    },
    "max_restore_test_age": {"type": "str"},
    "max_clock_skew": {"type": "int", "default": 300},
    "max_unfinished_age": {"type": "str", "default": "24h"},
    "max_orphan_age": {"type": "str", "default": "48h"},
}


def thresholds_from(params: t.Mapping[str, t.Any]) -> Thresholds:
    """Return the thresholds that the options mean; whether they mean anything is decided later."""
    durations: dict[str, t.Any] = {option: parse_duration(params[option], option) for option in _DURATIONS if params[option]}
    tables = tuple(CriticalTable(**rule) for rule in params["critical_tables"])
    return Thresholds(**durations, **{option: params[option] for option in _NUMBERS}, critical_tables=tables)
