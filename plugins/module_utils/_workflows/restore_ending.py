# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""After a restore: go back to the database from before at once, or drop what is kept of it. Only what carries the mark of a restore is ever dropped."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import preflight, safeguards
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import RestoreMark, check_environment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target, swap_obstacles
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.databases import ServerDatabase
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.attempts import Attempts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.exchange import Exchange, Renaming, carry_out_exchange
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore import exchange_back
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import lock_refusal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions, read_target


@dataclasses.dataclass(frozen=True)
class RollbackPlan:
    """What goes back: the database that has the name now, and the one from before. Nothing, when there was no restore or it was rolled back."""

    target: Target
    restore_id: str | None
    current: ServerDatabase | None
    previous: ServerDatabase | None
    phrase: str | None

    @property
    def needed(self) -> bool:
        return self.previous is not None


@dataclasses.dataclass(frozen=True)
class FinalPlan:
    """What is dropped, what is kept until when, by name."""

    target: Target
    dropped: tuple[ServerDatabase, ...]
    kept: tuple[tuple[ServerDatabase, str], ...]


def plan_rollback(permissions: safeguards.Permissions, sessions: RestoreSessions, *, planning: bool) -> RollbackPlan:
    """Find the database from before the last restore, with every safeguard of a restore."""
    attempts, target = _guarded(permissions, sessions)
    current = databases.find_database(sessions.any, target.database)
    mark = current.comment.restore if current else None
    previous = _previous_of(sessions.any, target, current)
    if previous is None:
        attempts.raise_refusals()
        return RollbackPlan(target, mark.restore_id if mark else None, current, None, None)
    restore_id = t.cast(RestoreMark, previous.comment.restore).restore_id
    phrase = safeguards.rollback_phrase(restore_id, target)
    attempts.refuse(safeguards.confirmation_refusal(permissions, target, phrase, planning=planning))
    attempts.raise_refusals()
    return RollbackPlan(target, restore_id, current, previous, phrase)


def carry_out_rollback(plan: RollbackPlan, sessions: RestoreSessions, now: dt.datetime) -> str | None:
    """Exchange the names back; return the name that the restored database has then, None where it was gone already."""
    session, name = t.cast(Session, sessions.maintenance), plan.target.database
    sessions.close_live()
    previous = t.cast(ServerDatabase, plan.previous)
    mark = t.cast(RestoreMark, previous.comment.restore)
    if plan.current is None:
        # Somebody dropped or renamed the restored one by hand: the name is free.
        carry_out_exchange(session, Exchange(None, Renaming(previous.oid, previous.name, name, dataclasses.replace(previous.comment, restore=None))))
        return None
    rejected = dataclasses.replace(mark, role="rejected", state="rolled_back", since=format_time(now), partner_oid=previous.oid)
    return exchange_back(session, plan.current, previous, name, rejected)


def plan_final(permissions: safeguards.Permissions, sessions: RestoreSessions, keep_previous: float, now: dt.datetime) -> FinalPlan:
    """Find what finished restores into this database left, and which of it is older than ``keep_previous`` hours."""
    attempts, target = _guarded(permissions, sessions)
    attempts.raise_refusals()
    dropped: list[ServerDatabase] = []
    kept: list[tuple[ServerDatabase, str]] = []
    for database in databases.list_databases(sessions.any):
        mark = database.comment.restore
        if mark is None or mark.database != target.database or mark.role not in ("previous", "rejected") or database.oid == target.oid:
            continue
        until = parse_time(mark.since, "since in the comment") + dt.timedelta(hours=keep_previous)
        if until <= now:
            dropped.append(database)
        else:
            kept.append((database, format_time(until)))
    return FinalPlan(target, tuple(dropped), tuple(kept))


def carry_out_final(plan: FinalPlan, sessions: RestoreSessions) -> None:
    """Drop what the plan names."""
    for database in plan.dropped:
        databases.drop_database(sessions.any, database.oid)


def _guarded(permissions: safeguards.Permissions, sessions: RestoreSessions) -> tuple[Attempts, Target]:
    """Return the target with the refusals that hold for whatever changes a database's name or existence."""
    check_environment(permissions.environment)
    attempts = Attempts()
    target = read_target(sessions, None)
    attempts.refuse(preflight.pooler_refusal(target.server, sessions.login.pooler_hint))
    attempts.refuse_all(safeguards.condition_refusals(target))
    attempts.refuse(safeguards.protected_host_refusal(permissions, target))
    attempts.refuse_all(safeguards.environment_refusals(permissions, target))
    obstacles = swap_obstacles(target)
    if obstacles:
        attempts.refuse(f"This needs the rights that the swap needs: {'; '.join(obstacles)}.")
    if not target.server.pooled:
        attempts.refuse(lock_refusal(sessions, target))
    return attempts, target


def _previous_of(session: Session, target: Target, current: ServerDatabase | None) -> ServerDatabase | None:
    """Return the database that the last restore swapped out; where the name is free, the one that had it last."""
    candidates = [
        database
        for database in databases.list_databases(session)
        if (mark := database.comment.restore) and mark.role == "previous" and mark.database == target.database
    ]
    if current is None:
        return max(candidates, key=lambda database: t.cast(RestoreMark, database.comment.restore).since, default=None)
    mark = current.comment.restore
    if mark is None or mark.role != "live":
        return None
    found = next((database for database in candidates if database.oid == mark.partner_oid), None)
    if found is None and mark.partner_oid:
        raise BackupError(
            f"The database {target.database} was restored, and the one from before was dropped since (state finalized drops it), "
            "so there is nothing to go back to. Restore the safety backup instead."
        )
    return found
