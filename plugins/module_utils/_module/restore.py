# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options of a restore, and what each ``state`` does with them."""

from __future__ import annotations

import os
import socket
import typing as t
import uuid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CHECKS_SPEC, check_secrets, parse_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import is_production
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.journal import Journal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.partial import missing_sentences
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_result import (
    backup_facts,
    compared_tables,
    finalized_result,
    plan_result,
    restored_result,
    rolled_back_result,
    window,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.safeguards import Permissions
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import login_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.content import count_rows
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import TimeLimit, silent
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore import Surroundings, carry_out_restore, keep_journal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_ending import (
    carry_out_final,
    carry_out_rollback,
    plan_final,
    plan_rollback,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import RestorePlan, RestorePlanner, RestoreRequest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions

RESTORE_SPEC: dict[str, dict[str, t.Any]] = {
    "state": {"type": "str", "choices": ["restored", "rolled_back", "finalized"], "default": "restored"},
    "backup": {"type": "str", "default": "latest"},
    "name": {"type": "str"},
    "environment": {"type": "str", "required": True},
    "allow_production": {"type": "bool", "default": False},
    "confirm": {"type": "str"},
    "protected_hosts": {"type": "list", "elements": "str", "default": []},
    "same_database": {"type": "bool", "default": False},
    "allow_cross_environment": {"type": "bool", "default": False},
    "allow_older_server": {"type": "bool", "default": False},
    "acknowledge_replication": {"type": "bool", "default": False},
    "allow_partial": {"type": "bool", "default": False},
    "skip_safety_backup": {"type": "str"},
    "safety_name": {"type": "str"},
    "strategy": {"type": "str", "choices": ["auto", "swap", "schema_swap", "in_place"], "default": "auto"},
    "ownership": {"type": "str", "choices": ["auto", "archive", "live", "operator"], "default": "auto"},
    "role_map": {"type": "dict", "default": {}},
    "exclude_extensions": {"type": "list", "elements": "str", "default": []},
    "unrestorable": {"type": "str", "choices": ["refuse", "skip", "attempt"], "default": "refuse"},
    "no_tablespaces": {"type": "bool", "default": False},
    "allow_residue": {"type": "bool", "default": False},
    "fingerprint": {"type": "str", "choices": ["content", "counts", "none"], "default": "content"},
    "jobs": {"type": "int"},
    "spool_directory": {"type": "path"},
    "available_disk": {"type": "int"},
    "keep_previous": {"type": "float", "default": 72.0},
    "maintenance_database": {"type": "str"},
    "lock_wait_timeout": {"type": "int", "default": 60},
    "timeout": {"type": "int"},
    "pg_bin_dir": {"type": "path"},
    **CHECKS_SPEC,
}

# Ten years, in hours.
_LONGEST_KEPT = 87600

_PERMISSIONS = (
    "environment",
    "allow_production",
    "confirm",
    "same_database",
    "allow_cross_environment",
    "allow_older_server",
    "acknowledge_replication",
    "allow_partial",
    "skip_safety_backup",
)
_AS_THEY_ARE = (
    "backup",
    "name",
    "strategy",
    "ownership",
    "unrestorable",
    "no_tablespaces",
    "allow_residue",
    "safety_name",
    "jobs",
    "spool_directory",
    "fingerprint",
    "available_disk",
    "lock_wait_timeout",
    "pg_bin_dir",
)


def nobody_listens(state: str) -> None:
    """A module has nobody to tell of states before its end."""


def restore(
    params: t.Mapping[str, t.Any], secrets: Secrets, *, check_mode: bool, diff_mode: bool, listener: t.Callable[[str], None] = nobody_listens
) -> dict[str, t.Any]:
    """Do what ``state`` says and return the module's result; in check mode only plan it. ``listener`` is told each state that a restore reaches."""
    secrets.add(*check_secrets(params["checks"]))
    login = login_from(params, f"workon.postgresql_backup restore on {socket.gethostname()}, process {os.getpid()}", secrets)
    permissions = permissions_from(params)
    if not 0 <= params["keep_previous"] <= _LONGEST_KEPT:
        raise BackupError(f"keep_previous is {params['keep_previous']}; it is a number of hours. Set it to 0 or more, {_LONGEST_KEPT} at most.")
    with RestoreSessions(login, params["maintenance_database"]) as sessions:
        if params["state"] == "rolled_back":
            return _roll_back(permissions, sessions, params["lock_wait_timeout"], check_mode)
        if params["state"] == "finalized":
            return _finalize(permissions, sessions, params["keep_previous"], check_mode)
        return _restore(params, secrets, sessions, check_mode, diff_mode, listener)


def permissions_from(params: t.Mapping[str, t.Any]) -> Permissions:
    """Return what the options say may happen."""
    return Permissions(protected_hosts=tuple(params["protected_hosts"]), **{option: params[option] for option in _PERMISSIONS})


def request_from(params: t.Mapping[str, t.Any]) -> RestoreRequest:
    """Return what the options ask for."""
    if params["jobs"] is not None and not 1 <= params["jobs"] <= 64:
        raise BackupError(f"jobs is {params['jobs']}; it is how many connections load at a time. Set it to a number from 1 to 64, or leave it out.")
    return RestoreRequest(
        permissions=permissions_from(params),
        role_map={str(old): str(new) for old, new in params["role_map"].items()},
        exclude_extensions=tuple(params["exclude_extensions"]),
        checks=parse_checks(params["checks"]),
        **{option: params[option] for option in _AS_THEY_ARE},
    )


def _restore(
    params: t.Mapping[str, t.Any],
    secrets: Secrets,
    sessions: RestoreSessions,
    check_mode: bool,
    diff_mode: bool,
    listener: t.Callable[[str], None],
) -> dict[str, t.Any]:
    request = request_from(params)
    store = open_store(params, secrets) if params["bucket"] or params["directory"] or os.environ.get("BACKUP_S3_BUCKET") else None

    def store_for(bucket: str | None, directory: str | None, prefix: str) -> Store:
        return open_store({**params, "bucket": bucket, "directory": directory, "prefix": prefix}, secrets)

    restore_id = str(uuid.uuid4())
    with TimeLimit(params["timeout"], "restore") as limit:
        planner = RestorePlanner(request, sessions, store, store_for, restore_id)
        plan = planner.plan(utc_now(), planning=check_mode, redact=secrets.redact, limit=limit, progress=silent)
        tables = compared_tables(plan.source.manifest, _rows_now(sessions)) if check_mode or diff_mode else None
        if check_mode:
            return plan_result(_facts(plan), tables)
        journal = Journal(restore_id, utc_now, listener)
        outcome = carry_out_restore(plan, sessions, Surroundings(utc_now, secrets.redact, limit, silent, store), journal)
        not_kept = keep_journal(journal, store)
    return restored_result(
        {**_facts(plan), "skipped_entries": [found.as_dict() for found in outcome.skipped]},
        proof=outcome.proof,
        checks=[check.as_dict() for check in outcome.checks],
        safety=outcome.safety,
        previous=outcome.previous,
        notes=[*outcome.notes, *([not_kept] if not_kept else [])],
        states=journal.states(),
        duration=outcome.duration,
        tables=tables,
    )


def _facts(plan: RestorePlan) -> dict[str, t.Any]:
    """Return what a plan and an account have in common."""
    return {
        "restore_id": plan.restore_id,
        "target": plan.target.as_dict(),
        "backup": backup_facts(plan.source.address, plan.source.size, plan.source.manifest, plan.verified.sha256),
        "strategy": {"name": plan.strategy.name, "why": plan.strategy.why},
        "ownership": {"mode": plan.ownership.mode, "why": plan.ownership.why},
        # Not "skipped": by that word Ansible takes the whole task for one that was not run.
        "skipped_entries": [found.as_dict() for found in plan.skipped],
        "safety_plan": f"{plan.safety.address}" if plan.safety else f"none, {plan.safety_why}",
        "confirm": plan.phrase if plan.target_is_production else None,
        "data_loss_window": window(plan.snapshot_at, plan.now),
        "jobs": plan.jobs,
        "client": {"version": plan.opened.client.version, "bin_dir": plan.opened.client.bin_dir},
        "interrupted": plan.predecessors.sentences(),
        "warnings": [*plan.notes, *missing_sentences(plan.source.manifest)],
    }


def _rows_now(sessions: RestoreSessions) -> dict[str, int]:
    """Count the rows of the live database, as far as this role may."""
    return count_rows(sessions.live) if sessions.live else {}


def _roll_back(permissions: Permissions, sessions: RestoreSessions, lock_wait_timeout: int, check_mode: bool) -> dict[str, t.Any]:
    plan = plan_rollback(permissions, sessions, planning=check_mode)
    rejected = carry_out_rollback(plan, sessions, utc_now(), lock_wait_timeout) if plan.previous and not check_mode else []
    return rolled_back_result(
        database=plan.target.database,
        restore_id=plan.restore_id,
        previous=[kept.name for kept in plan.previous],
        rejected=rejected,
        confirm=plan.phrase if is_production(permissions.environment) else None,
        check_mode=check_mode,
    )


def _finalize(permissions: Permissions, sessions: RestoreSessions, keep_previous: float, check_mode: bool) -> dict[str, t.Any]:
    plan = plan_final(permissions, sessions, keep_previous, utc_now())
    if not check_mode:
        carry_out_final(plan, sessions)
    return finalized_result(
        database=plan.target.database,
        dropped=[found.name for found in plan.dropped],
        kept=[{"name": found.name, "until": until} for found, until in plan.kept],
        check_mode=check_mode,
    )
