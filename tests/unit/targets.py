# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target of a restore as plain data, with what a test changes."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Capabilities, Target
from ansible_collections.workon.postgresql_backup.tests.unit.facts import server


def capabilities(**changes: t.Any) -> Capabilities:
    facts: dict[str, t.Any] = {"superuser": False, "createdb": True, "maintenance_database": "postgres", "maintenance_problem": None}
    return Capabilities(**{**facts, **changes})


def target(**changes: t.Any) -> Target:
    """Return a staging database that belongs to the role that restores."""
    facts: dict[str, t.Any] = {
        "database": "workon",
        "exists": True,
        "oid": 16384,
        "owner": "backup",
        "owned": True,
        "template": False,
        "allows_connections": True,
        "comment": DatabaseComment(environment="staging"),
        "size": 8000,
        "empty": False,
        "hosts": ("db.example.com",),
        "server": server(),
        "capabilities": capabilities(),
    }
    return Target(**{**facts, **changes})


def absent(**changes: t.Any) -> Target:
    """Return a target that does not exist yet."""
    facts: dict[str, t.Any] = {"exists": False, "oid": 0, "owner": "", "owned": False, "allows_connections": False, "comment": DatabaseComment(), "size": 0}
    return target(**{**facts, **changes})
