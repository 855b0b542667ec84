# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Plan a restore: every safeguard, the archive read to its end, and everything decided. Check mode is this and nothing more."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import os
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint, naming, partial, preflight, safeguards
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import Checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import check_server_version
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import check_environment, is_production
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, RefusedError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.ownership import Ownership, Roles, choose_ownership
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import method_to_read
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_entries import (
    Policy,
    Skipped,
    forbidden_entries,
    forbidden_refusal,
    left_out_extensions,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import ChosenStrategy, Target, choose_strategy
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import default_jobs
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, locks, privilege_facts, programs, target_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.spool import LocalFile, Spool, describe_room, has_room, spool_directory
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.attempts import Attempts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.backup import BackupPlan, BackupRequest, plan_backup
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.obstacles import in_place_obstacles, schema_swap_obstacles
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.partial import find_loss
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.predecessors import Predecessors, find_predecessors
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions, read_target
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import (
    OpenedArchive,
    Source,
    StoreFor,
    VerifiedArchive,
    find_source,
    open_archive,
    verify_archive,
)


@dataclasses.dataclass(frozen=True)
class RestoreRequest:
    """What the user asked for, in the words of the module's options. ``available_disk`` is in bytes."""

    backup: str
    name: str | None
    permissions: safeguards.Permissions
    strategy: str
    ownership: str
    role_map: dict[str, str]
    exclude_extensions: tuple[str, ...]
    unrestorable: Policy
    no_tablespaces: bool
    allow_residue: bool
    safety_name: str | None
    jobs: int | None
    spool_directory: str | None
    fingerprint: t.Literal["content", "counts", "none"]
    available_disk: int | None
    lock_wait_timeout: int
    checks: Checks
    pg_bin_dir: str | None


@dataclasses.dataclass(frozen=True)
class RestorePlan:
    """Everything decided before anything is written.

    ``properties`` are those of the database to create, ``safety`` the plan of the safety backup (None: ``safety_why`` says why there is none),
    ``keep`` the archive's bytes on this host (None: they are streamed), ``phrase`` what confirms this plan.
    """

    request: RestoreRequest
    restore_id: str
    now: dt.datetime
    target: Target
    properties: dict[str, t.Any]
    source: Source
    opened: OpenedArchive
    verified: VerifiedArchive
    strategy: ChosenStrategy
    ownership: Ownership
    skipped: tuple[Skipped, ...]
    safety: BackupPlan | None
    safety_why: str
    method: fingerprint.Method
    keep: Spool | LocalFile | None
    jobs: int
    phrase: str
    predecessors: Predecessors
    notes: tuple[str, ...]

    @property
    def target_is_production(self) -> bool:
        """Whether the phrase has to be repeated."""
        return is_production(self.request.permissions.environment)

    @property
    def options(self) -> str:
        """What tells a copy loaded by this plan from one that holds something else of the same backup."""
        return content_digest(self.request, self.ownership, self.skipped)

    @property
    def snapshot_at(self) -> dt.datetime | None:
        """The moment whose state the backup holds."""
        return parse_time(self.source.manifest.snapshot_at, "snapshot_at") if self.source.manifest else None


def content_digest(request: RestoreRequest, ownership: Ownership | None, skipped: t.Iterable[Skipped]) -> str:
    """Return a digest of what decides what a loaded copy holds: what was asked for, and what came of it with the rights of the role that restores."""
    asked = (request.ownership, sorted(request.role_map.items()), sorted(request.exclude_extensions), request.unrestorable, request.no_tablespaces)
    came = (ownership.mode if ownership else None, sorted(str(found.entry) for found in skipped))
    return hashlib.sha256(repr((asked, came)).encode()).hexdigest()[:16]


class RestorePlanner:
    """Makes one plan, in two steps: all that is cheap, whose refusals are reported together; then the archive, read to its end."""

    def __init__(
        self,
        request: RestoreRequest,
        sessions: RestoreSessions,
        store: Store | None,
        store_for: StoreFor,
        restore_id: str,
        *,
        found: tuple[Source, OpenedArchive] | None = None,
    ) -> None:
        """``found`` is the archive where somebody has found and opened it already."""
        self._request, self._sessions, self._store, self._store_for = request, sessions, store, store_for
        self._restore_id, self._found = restore_id, found
        self._attempts = Attempts()

    def plan(self, now: dt.datetime, *, planning: bool, redact: Redact, limit: TimeLimit, progress: Progress) -> RestorePlan:
        """Return the plan, or raise with every reason against it. ``planning`` says that nothing will follow, so that nothing need be kept."""
        request, attempts = self._request, self._attempts
        permissions = request.permissions
        check_environment(permissions.environment)
        target = read_target(self._sessions, request.available_disk)
        check_server_version(target.server.version_num, target.server.version)
        self._refuse_target(target)
        source, opened = self._found or self._find_archive(target, redact)
        strategy = self._choose_strategy(target, opened)
        ownership, skipped = self._refuse_demands(target, opened)
        options = content_digest(request, ownership, skipped)
        predecessors = find_predecessors(self._sessions.any, target, source.manifest.backup_id if source.manifest else None, options, now)
        if strategy and strategy.name != "swap":
            # What swaps have left is none of its business.
            predecessors = Predecessors(kept=predecessors.kept)
        confirmed = predecessors.confirmed_for(target) if strategy is None or strategy.name == "swap" else target.inner_fingerprint
        phrase = safeguards.restore_phrase(self._identity(source, opened), target.database, confirmed)
        attempts.refuse(safeguards.confirmation_refusal(permissions, target, phrase, planning=planning))
        attempts.refuse_all(safeguards.source_refusals(permissions, target, source.manifest))
        properties = self._properties(target, source)
        free_connections = target_facts.read_free_connections(self._sessions.any)
        disk_warning = None
        if strategy:
            # A copy that an interrupted run has loaded is there already.
            adds_a_copy = strategy.name != "in_place" and not predecessors.loaded
            self._refuse_strategy(target, source, properties, strategy, free_connections, adds_a_copy=adds_a_copy)
            disk_warning = safeguards.disk_warning(target, _needed_disk(target, source), adds_a_copy=adds_a_copy)
        needed, safety_why = safeguards.needs_safety_backup(permissions, target)
        if predecessors.swapped:
            needed, safety_why = False, "the swap has happened already; the previous database is kept"
        safety = attempts.call(lambda: self._plan_safety_backup(target, source, now)) if needed else None
        # Nothing is taken away where only what follows the swap is missing.
        permitted = self._refuse_loss(target, source, opened, strategy) if strategy and not predecessors.swapped else []
        attempts.raise_refusals()
        keep, notes = (None, ()) if planning else self._room(source)
        try:
            verified = verify_archive(source, opened, keep, redact=redact, limit=limit, progress=progress)
        except BaseException:
            if keep:
                keep.close()
            raise
        return RestorePlan(
            request=request,
            restore_id=self._restore_id,
            now=now,
            target=target,
            properties=properties,
            source=source,
            opened=opened,
            verified=verified,
            strategy=t.cast(ChosenStrategy, strategy),
            ownership=t.cast(Ownership, ownership),
            skipped=skipped,
            safety=safety,
            safety_why=safety_why,
            method=method_to_read(source.manifest, request.fingerprint),
            keep=keep,
            jobs=request.jobs or default_jobs(os.cpu_count() or 1, free_connections),
            phrase=phrase,
            predecessors=predecessors,
            notes=(*source.notes, *permitted, *notes, *self._sessions.login.notes, *filter(None, [disk_warning])),
        )

    @property
    def _live(self) -> Session:
        return t.cast(Session, self._sessions.live)

    def _find_archive(self, target: Target, redact: Redact) -> tuple[Source, OpenedArchive]:
        """Find and open the archive, or raise with everything that speaks against the plan so far."""
        request, attempts = self._request, self._attempts
        installed = attempts.call(lambda: programs.find_clients(request.pg_bin_dir))
        source = attempts.call(lambda: find_source(request.backup, request.name, self._store, self._store_for))
        opened = attempts.call(lambda: open_archive(source, target.server.major, installed, redact)) if source and installed is not None else None
        if source is None or opened is None:
            attempts.raise_refusals()
        return t.cast(Source, source), t.cast(OpenedArchive, opened)

    def _identity(self, source: Source, opened: OpenedArchive) -> str:
        """Return what a confirmation is bound to: the backup's id, else the archive's place and its beginning, which holds when it was made."""
        return source.backup_id if source.manifest else f"{source.backup_id} ({hashlib.sha256(opened.head).hexdigest()[:12]})"

    def _refuse_target(self, target: Target) -> None:
        attempts, permissions = self._attempts, self._request.permissions
        attempts.refuse(preflight.pooler_refusal(target.server, self._sessions.pooler_hint(target.server)))
        attempts.refuse_all(safeguards.condition_refusals(target))
        attempts.refuse(safeguards.protected_host_refusal(permissions, target))
        attempts.refuse_all(safeguards.environment_refusals(permissions, target))
        attempts.refuse(safeguards.safety_refusal(permissions, target))
        if not target.server.pooled:
            attempts.refuse(lock_refusal(self._sessions, target))

    def _choose_strategy(self, target: Target, opened: OpenedArchive) -> ChosenStrategy | None:
        try:
            return choose_strategy(
                self._request.strategy,
                target,
                lambda: schema_swap_obstacles(self._live, opened),
                lambda: in_place_obstacles(self._live, opened, allow_residue=self._request.allow_residue),
            )
        except RefusedError as error:
            self._attempts.refuse_all(error.refusals)
            return None

    def _refuse_demands(self, target: Target, opened: OpenedArchive) -> tuple[Ownership | None, tuple[Skipped, ...]]:
        """Compare what the archive demands with what the server has and this role may."""
        request, attempts, session = self._request, self._attempts, self._sessions.any
        extensions = target_facts.read_available_extensions(session)
        left_out = left_out_extensions(opened.contents, request.exclude_extensions)
        missing = sorted(set(opened.demands.extensions) - set(extensions) - set(request.exclude_extensions))
        tablespaces = [] if request.no_tablespaces else sorted(opened.demands.tablespaces - target_facts.read_usable_tablespaces(session))
        existing = target_facts.read_role_names(session)
        definition_roles = sorted(opened.demands.definition_roles - existing)
        attempts.refuse_all(safeguards.missing_refusals(extensions=missing, tablespaces=tablespaces, roles=definition_roles))
        forbidden = (
            []
            if request.unrestorable == "attempt"
            else forbidden_entries(
                opened.contents,
                superuser=target.capabilities.superuser,
                may_subscribe=target_facts.may_subscribe(session),
                extensions=extensions,
                for_all_tables=opened.demands.for_all_tables,
            )
        )
        excluded = {found.entry for found in left_out}
        forbidden = [found for found in forbidden if found.entry not in excluded]
        if request.unrestorable == "refuse":
            attempts.refuse(forbidden_refusal(forbidden, target.server.user))
        roles = Roles(
            demanded=opened.demands.roles | opened.contents.large_object_owners,
            owners=opened.demands.owners | opened.contents.large_object_owners,
            existing=existing,
            settable=privilege_facts.settable_roles(session),
        )
        ownership = attempts.call(lambda: choose_ownership(request.ownership, roles, request.role_map, target_exists=target.exists))
        return ownership, (*left_out, *forbidden)

    def _refuse_strategy(
        self, target: Target, source: Source, properties: dict[str, t.Any], strategy: ChosenStrategy, free_connections: int, *, adds_a_copy: bool
    ) -> None:
        attempts = self._attempts
        if strategy.name == "swap":
            # The others have one connection.
            attempts.refuse(safeguards.jobs_refusal(target, self._request.jobs, free_connections))
            attempts.refuse(safeguards.replication_refusal(self._request.permissions, target))
            attempts.refuse(safeguards.prepared_refusal(target))
        attempts.refuse(safeguards.disk_refusal(target, _needed_disk(target, source), adds_a_copy=adds_a_copy))
        attempts.refuse(
            safeguards.content_refusal(source.manifest, properties.get("encoding"), self._request.fingerprint, fingerprint.RECIPE, target.server.major)
        )

    def _refuse_loss(self, target: Target, source: Source, opened: OpenedArchive, strategy: ChosenStrategy) -> list[str]:
        """Refuse what a partial backup would take from the live database; return what to say where that is permitted."""
        live, wait = self._sessions.live, self._request.lock_wait_timeout
        loss = self._attempts.call(lambda: find_loss(live, opened, source.manifest, strategy.name, wait)) if live else None
        if loss and self._request.permissions.allow_partial:
            return [partial.permitted_note(loss)]
        self._attempts.refuse(partial.partial_refusal(source.address, target.database, loss) if loss else None)
        return []

    def _properties(self, target: Target, source: Source) -> dict[str, t.Any]:
        """Return the properties for the database to create: the live one's, else those of the backup's source, as far as this server has what they name."""
        if self._sessions.live:
            return database_facts.read_database(self._sessions.live)
        found = dict(source.manifest.database) if source.manifest else {}
        session = self._sessions.any
        roles = target_facts.read_role_names(session)
        settable = privilege_facts.settable_roles(session)
        if found.get("owner") not in (roles if settable is None else settable):
            found["owner"] = None
        if found.get("tablespace") not in target_facts.read_usable_tablespaces(session):
            found["tablespace"] = None
        return found

    def _plan_safety_backup(self, target: Target, source: Source, now: dt.datetime) -> BackupPlan:
        if self._store is None:
            raise BackupError(
                "The live database is backed up before it is replaced, and no store is named for that backup. Set bucket or directory, "
                f"or set skip_safety_backup to {safeguards.ACCEPTED_DATA_LOSS}."
            )
        request = BackupRequest(
            name=self._safety_name(target, source),
            environment=self._request.permissions.environment,
            reason="pre_restore",
            pinned=False,
            labels={"restore_id": self._restore_id},
            selection=Selection(),
            globals=False,
            compression="auto",
            compression_level=None,
            part_size=None,
            lock_wait_timeout=self._request.lock_wait_timeout,
            fingerprint="content",
            verify="decode",
            pg_bin_dir=self._request.pg_bin_dir,
        )
        if self._sessions.live is None:
            raise BackupError(f"The database {target.database} could not be connected to, so it cannot be saved first.")
        return plan_backup(request, self._sessions.live, self._store, now)

    def _safety_name(self, target: Target, source: Source) -> str:
        """Return the name of the target's own backups: never that of another database's, which would share one row of backups with it."""
        if self._request.safety_name:
            return self._request.safety_name
        if source.manifest and safeguards.is_same_database(source.manifest, target):
            return source.manifest.name
        name = f"{target.database}-{self._request.permissions.environment}"
        try:
            return naming.check_name(name)
        except BackupError:
            raise BackupError(
                f"The safety backup would be called {name!r}, which cannot be a name in a store. "
                "Set safety_name to letters, digits, dots, dashes and underscores, one name for each database."
            ) from None

    def _room(self, source: Source) -> tuple[Spool | LocalFile | None, tuple[str, ...]]:
        if source.local_path:
            return LocalFile(source.local_path), ()
        directory = spool_directory(self._request.spool_directory)
        if has_room(directory, source.size):
            return Spool(directory), ()
        return None, (describe_room(directory, source.size),)


def _needed_disk(target: Target, source: Source) -> int | None:
    """Return the bytes that the content takes on a server's disk, where that is known."""
    return (int(source.manifest.source.get("database_size") or 0) if source.manifest else target.size) or None


def lock_refusal(sessions: RestoreSessions, target: Target) -> str | None:
    """Take the lock of restoring into this database, or say who holds it."""
    session, lock = sessions.any, locks.restore_lock(target.database)
    holder = locks.holder_anywhere(session, lock) if locks.try_lock(session, lock) else locks.lock_holder(session, lock)
    if holder is None:
        return None
    return f"Another restore into the database {target.database} is running ({holder}). Wait for its end; one restore into a database runs at a time."
