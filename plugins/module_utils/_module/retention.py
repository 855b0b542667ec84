# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options that say how much to keep, in restic's words, and the policy they mean."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import parse_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Policy
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.timezones import find_timezone

_COUNTS = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
_DURATIONS = ("keep_within", "keep_safety", "keep_incident", "abort_uploads_after", "orphan_grace", "require_restore_test")

POLICY_SPEC: dict[str, dict[str, t.Any]] = {
    "keep_within": {"type": "str"},
    **{option: {"type": "int", "default": 0} for option in _COUNTS},
    "timezone": {"type": "str", "default": "UTC"},
    "min_keep": {"type": "int", "default": 3},
    "max_delete_percent": {"type": "int", "default": 50},
    "keep_safety": {"type": "str", "default": "90d"},
    "keep_incident": {"type": "str"},
    "pinned_labels": {"type": "dict", "default": {}},
    "abort_uploads_after": {"type": "str", "default": "24h"},
    "orphan_grace": {"type": "str", "default": "48h"},
    "require_restore_test": {"type": "str"},
}


def policy_from(params: t.Mapping[str, t.Any]) -> Policy:
    """Return the policy that the options mean; whether it means anything is decided later."""
    durations: dict[str, t.Any] = {option: parse_duration(params[option], option) for option in _DURATIONS if params[option]}
    return Policy(
        **durations,
        **{option: params[option] for option in _COUNTS},
        zone=find_timezone(params["timezone"]),
        min_keep=params["min_keep"],
        max_delete_percent=params["max_delete_percent"],
        # Labels are text in a manifest, whatever they were in YAML.
        pinned_labels={str(label): str(value) for label, value in params["pinned_labels"].items()},
    )
