# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options of a restore test, and what they mean."""

from __future__ import annotations

import os
import socket
import typing as t
import uuid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import restore_test
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import check_secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import check_environment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import parse_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import login_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.restore import RESTORE_SPEC, request_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import TimeLimit, silent
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore import Surroundings
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_test import RestoreTestRequest, run_restore_test

_OF_A_RESTORE = (
    "backup",
    "name",
    "allow_production",
    "protected_hosts",
    "role_map",
    "exclude_extensions",
    "unrestorable",
    "no_tablespaces",
    "jobs",
    "spool_directory",
    "available_disk",
    "maintenance_database",
    "timeout",
    "pg_bin_dir",
    "checks",
)

RESTORE_TEST_SPEC: dict[str, dict[str, t.Any]] = {
    **{option: RESTORE_SPEC[option] for option in _OF_A_RESTORE},
    "environment": {"type": "str"},
    "ownership": {"type": "str", "choices": ["auto", "archive", "operator"], "default": "auto"},
    "scratch_ttl": {"type": "str", "default": "24h"},
}

# The environment is not asked: a test on somebody's server, because a variable happened to be set, is not what was meant.
_NAMES_A_SERVER = ("database_url", "login_host", "login_port", "login_user", "login_unix_socket")


def test_restore(params: t.Mapping[str, t.Any], secrets: Secrets, *, check_mode: bool) -> dict[str, t.Any]:
    """Test a backup and return the module's result; in check mode only plan it."""
    secrets.add(*check_secrets(params["checks"]))
    application_name = f"workon.postgresql_backup restore test on {socket.gethostname()}, process {os.getpid()}"
    named = any(params[option] for option in _NAMES_A_SERVER)
    if params["environment"] is not None:
        check_environment(params["environment"])
    request = RestoreTestRequest(
        restore=request_from(
            {
                **{option: spec.get("default") for option, spec in RESTORE_SPEC.items()},
                **{option: params[option] for option in RESTORE_TEST_SPEC},
                "environment": restore_test.ENVIRONMENT,
                "allow_production": False,
                "ownership": "where_possible" if params["ownership"] == "auto" else params["ownership"],
            }
        ),
        login=login_from(params, application_name, secrets) if named else None,
        application_name=application_name,
        environment=params["environment"],
        allow_production=params["allow_production"],
        maintenance_database=params["maintenance_database"],
        scratch_ttl=parse_duration(params["scratch_ttl"], "scratch_ttl"),
        hostname=socket.gethostname(),
    )
    store = open_store(params, secrets)
    with TimeLimit(params["timeout"], "restore test") as limit:
        return run_restore_test(request, store, Surroundings(utc_now, secrets.redact, limit, silent, None), str(uuid.uuid4()), planning=check_mode)
