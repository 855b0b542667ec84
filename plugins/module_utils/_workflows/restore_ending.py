# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""After a restore: go back at once to what was there before, or drop what is kept of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import preflight, safeguards
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import RestoreMark, check_environment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target, swap_obstacles
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases, schemas
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.databases import ServerDatabase
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.schemas import DatabaseSchema
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.attempts import Attempts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.kept import (
    Kept,
    drop_kept,
    exchange_databases_back,
    exchange_schemas_back,
    find_kept,
    require_no_dependents,
    require_successors,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import lock_refusal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions, read_target


@dataclasses.dataclass(frozen=True)
class RollbackPlan:
    """What comes back: one database, or the schemas of one restore. Nothing, when there was no restore or it was rolled back already."""

    target: Target
    current: ServerDatabase | None
    previous: tuple[Kept, ...] = ()
    phrase: str | None = None

    @property
    def restore_id(self) -> str | None:
        return self.previous[0].mark.restore_id if self.previous else None


@dataclasses.dataclass(frozen=True)
class FinalPlan:
    """What is dropped, and what is kept until when."""

    target: Target
    dropped: tuple[Kept, ...]
    kept: tuple[tuple[Kept, str], ...]


def plan_rollback(permissions: safeguards.Permissions, sessions: RestoreSessions, *, planning: bool) -> RollbackPlan:
    """Find what the last restore replaced, with every safeguard of a restore."""
    attempts, target = _guarded(permissions, sessions)
    current = databases.find_database(sessions.any, target.database)
    previous = attempts.call(lambda: _replaced_last(find_kept(sessions.any, sessions.live, target), current, sessions.live))
    if not previous:
        attempts.raise_refusals()
        return RollbackPlan(target, current)
    if previous[0].kind == "database":
        attempts.refuse(_rights_refusal(target))
        if current is None:
            attempts.refuse_all(safeguards.tag_refusals(permissions, target, previous[0].name, previous[0].comment, "brought back"))
    phrase = safeguards.rollback_phrase(previous[0].mark.restore_id, target)
    attempts.refuse(safeguards.confirmation_refusal(permissions, target, phrase, planning=planning))
    attempts.raise_refusals()
    return RollbackPlan(target, current, previous, phrase)


def carry_out_rollback(plan: RollbackPlan, sessions: RestoreSessions, now: dt.datetime, lock_wait_timeout: int) -> list[str]:
    """Exchange the names back; return the names that what was restored has then."""
    if plan.previous[0].kind == "schema":
        return exchange_schemas_back(t.cast(Session, sessions.live), plan.previous, format_time(now), lock_wait_timeout)
    sessions.close_live()
    before = plan.previous[0]
    mark = dataclasses.replace(before.mark, role="rejected", state="rolled_back", since=format_time(now), partner_oid=before.oid)
    rejected = exchange_databases_back(t.cast(Session, sessions.maintenance), plan.current, before, plan.target.database, mark)
    return [rejected] if rejected else []


def plan_final(permissions: safeguards.Permissions, sessions: RestoreSessions, keep_previous: float, now: dt.datetime) -> FinalPlan:
    """Find what finished restores into this database have kept, and which of it is older than ``keep_previous`` hours."""
    attempts, target = _guarded(permissions, sessions)
    dropped: list[Kept] = []
    kept: list[tuple[Kept, str]] = []
    present = find_kept(sessions.any, sessions.live, target)
    attempts.refuse(safeguards.final_refusal(target, [found.name for found in present], [found.name for found in present if found.mark.role == "previous"]))
    for found in present:
        until = parse_time(found.mark.since, "since in the comment") + dt.timedelta(hours=keep_previous)
        if until <= now:
            dropped.append(found)
        else:
            kept.append((found, format_time(until)))
    for found in dropped:
        if found.kind == "database":
            attempts.refuse(_rights_refusal(target))
            attempts.refuse_all(safeguards.tag_refusals(permissions, target, found.name, found.comment, "dropped"))
    within = {found.oid: found.name for found in dropped if found.kind == "schema"}
    if within:
        attempts.call(lambda: require_no_dependents(t.cast(Session, sessions.live), within))
    attempts.raise_refusals()
    return FinalPlan(target, tuple(dropped), tuple(kept))


def carry_out_final(plan: FinalPlan, sessions: RestoreSessions) -> None:
    """Drop what the plan names."""
    drop_kept(sessions.any, sessions.live, plan.dropped)


def _guarded(permissions: safeguards.Permissions, sessions: RestoreSessions) -> tuple[Attempts, Target]:
    """Return the target with the refusals that hold for whatever changes names or drops."""
    check_environment(permissions.environment)
    attempts = Attempts()
    target = read_target(sessions, None)
    attempts.refuse(preflight.pooler_refusal(target.server, sessions.pooler_hint(target.server)))
    attempts.refuse_all(safeguards.condition_refusals(target))
    attempts.refuse(safeguards.protected_host_refusal(permissions, target))
    attempts.refuse_all(safeguards.environment_refusals(permissions, target))
    if not target.server.pooled:
        attempts.refuse(lock_refusal(sessions, target))
    return attempts, target


def _rights_refusal(target: Target) -> str | None:
    obstacles = swap_obstacles(target)
    return f"This needs the rights that a swap needs: {'; '.join(obstacles)}." if obstacles else None


def _replaced_last(kept: list[Kept], current: ServerDatabase | None, live: Session | None) -> tuple[Kept, ...]:
    """Return what the last restore replaced and nothing has brought back since; raise where that cannot be told."""
    mark = current.comment.restore if current and current.comment.restore and current.comment.restore.role == "live" else None
    # What is kept inside of the live database was kept after that itself was swapped in.
    if live and any(found.kind == "schema" for found in kept):
        return _replaced_schemas(kept, mark, {schema.name: schema for schema in schemas.list_schemas(live)})
    return _replaced_database([found for found in kept if found.mark.role == "previous"], current, mark)


def _replaced_schemas(kept: list[Kept], mark: RestoreMark | None, present: t.Mapping[str, DatabaseSchema]) -> tuple[Kept, ...]:
    """Return the schemas that the last restore within the database replaced, all of them; none where they or the whole database came back since."""
    waiting = [found for found in kept if found.kind == "schema" and found.mark.role == "previous" and found.mark.state != "outlived"]
    if not waiting or (mark and mark.state == "rolled_back" and mark.since > waiting[0].mark.since):
        return ()
    previous = tuple(found for found in waiting if found.mark.restore_id == waiting[0].mark.restore_id)
    require_successors(previous, present)
    return previous


def _replaced_database(previous: list[Kept], current: ServerDatabase | None, mark: RestoreMark | None) -> tuple[Kept, ...]:
    """Return the database that the last restore replaced; ``mark`` is that of the live one, if a restore made it live."""
    found = [kept for kept in previous if current is None or (mark and kept.oid == mark.partner_oid)]
    if found or current is None or not (previous or mark) or (mark and mark.state == "rolled_back"):
        return tuple(found[:1])
    if mark and mark.partner_oid:
        raise BackupError(
            f"The database {current.name} was restored, and the one from before was dropped since (state finalized drops it), "
            "so there is nothing to go back to. Restore the safety backup instead."
        )
    if not previous:
        return ()
    raise BackupError(
        f"Restores have kept {', '.join(kept.name for kept in previous)}, but nothing says that the database {current.name} took the place of one of them: "
        "its comment was overwritten, or it was made anew since. So none of them is brought back. Exchange the names by hand "
        "(ALTER DATABASE ... RENAME TO), or restore a safety backup; state finalized drops what is kept."
    )
