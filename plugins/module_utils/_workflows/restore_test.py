# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Restore test: restore a backup into a scratch database, prove it, drop it, and put a record beside the backup.

What cannot be verified has not passed. Whatever happens, nothing but the record is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import time
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import restore_test
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import RestoreMark
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, DatabaseError, RefusedError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, format_time, parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.safeguards import Permissions
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, databases, locks, programs, target_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.private_server import PrivateServer, find_server_programs
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.checks import run_database_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import TimeLimit
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore import Surroundings
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import RestorePlan, RestorePlanner, RestoreRequest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_shadow import Shadow, ShadowLoader
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import OpenedArchive, Source, find_source, open_archive
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_test_records import keep_record
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_verdicts import require_checks, require_proof


@dataclasses.dataclass(frozen=True)
class RestoreTestRequest:
    """What to test and where. ``login`` names a server and any database of it (None: a private server); ``restore`` has the rest, as of a restore."""

    restore: RestoreRequest
    login: Login | None
    application_name: str
    environment: str | None
    allow_production: bool
    maintenance_database: str | None
    scratch_ttl: Duration
    hostname: str

    @property
    def name(self) -> str | None:
        return self.restore.name


class _NotBegun(RefusedError):
    """The server is not meant for this, or busy with it: that says nothing about the backup, and is not recorded beside it."""


@dataclasses.dataclass
class _Findings:
    """What a test has found so far: complete only where it passed."""

    server: dict[str, t.Any]
    proof: Proof | None = None
    checks: t.Sequence[CheckResult] = ()
    database_size: int | None = None
    rto: float | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    dropped: list[str] = dataclasses.field(default_factory=list)
    left_behind: list[str] = dataclasses.field(default_factory=list)


def run_restore_test(request: RestoreTestRequest, store: Store, surroundings: Surroundings, test_id: str, *, planning: bool) -> dict[str, t.Any]:
    """Return the result of a test that passed; raise with the same facts when it did not. ``planning`` stops before anything is written.

    The record goes into ``store``, which is also where the backup is.
    """
    refusal = restore_test.backup_refusal(request.restore.backup)
    if refusal:
        raise RefusedError([refusal], verdict="could_not_verify", reasons=[refusal])
    try:
        source = find_source(request.restore.backup, request.name, store, lambda _bucket, _directory, _prefix: store)
    except BackupError as error:
        # There is nothing to put a record beside.
        error.details.update(verdict="could_not_verify", reasons=[error.message])
        raise
    started = surroundings.clock()
    findings = _Findings({"version": "unknown", "address": "", "private": request.login is None})
    problem: BackupError | None = None
    try:
        _Trial(request, source, surroundings, test_id, findings).run(planning=planning)
        surroundings.limit.check()
    except _NotBegun as error:
        error.details.update(verdict="could_not_verify", reasons=error.refusals)
        raise
    except BackupError as error:
        problem = _first_cause(error, surroundings.limit)
    record = _record(test_id, source, started, surroundings.clock(), findings, problem)
    if planning and problem is None:
        return restore_test.planned_result(record, address=source.address, notes=_notes(request, source, findings), dropped=findings.dropped)
    key, not_kept = ("", None) if planning else _kept(store, record)
    result = restore_test.restore_test_result(
        record,
        record_key=key,
        address=source.address,
        proof=findings.proof,
        notes=_notes(request, source, findings),
        left_behind=findings.left_behind,
        dropped=findings.dropped,
    )
    if not_kept or not record.passed:
        details = {name: value for name, value in result.items() if name not in ("msg", "warnings")}
        extra = f" The record of it could not be kept: {not_kept}" if not_kept else ""
        raise VerificationError(f"{result['msg']}{extra}", **{**details, "changed": bool(key)})
    return result


class _Trial:
    """One backup, restored and proved on one server."""

    def __init__(self, request: RestoreTestRequest, source: Source, surroundings: Surroundings, test_id: str, findings: _Findings) -> None:
        self._request, self._source, self._surroundings = request, source, surroundings
        self._test_id, self._findings = test_id, findings
        self._manifest = t.cast(Manifest, source.manifest)

    def run(self, *, planning: bool) -> None:
        """Restore, prove and drop; raise for whatever speaks against the backup, or keeps it from being judged."""
        with self._server() as login, self._sessions(login) as sessions:
            server = database_facts.read_server(sessions.any)
            self._findings.server.update(version=server.version, address=f"{server.address}:{server.port}" if not self._private else self._request.hostname)
            self._refuse(sessions)
            if not planning:
                self._sweep(sessions)
            began = time.monotonic()
            # Before the plan, to which an archive that cannot be opened is one refusal among others.
            opened = open_archive(self._source, server.major, self._clients, self._surroundings.redact)
            if self._private:
                self._create_roles(sessions.any, opened)
            plan = self._plan(sessions, opened, planning=planning)
            self._findings.notes += plan.notes
            try:
                if not planning:
                    self._restore(plan, sessions)
                    self._findings.rto = round(time.monotonic() - began, 3)
            finally:
                if plan.keep:
                    plan.keep.close()
        reasons = restore_test.unproved_reasons(self._findings.proof) if self._findings.proof else []
        if reasons:
            raise BackupError(" ".join(reasons))

    @property
    def _private(self) -> bool:
        return self._request.login is None

    @functools.cached_property
    def _clients(self) -> list[Client]:
        """The installed programs, looked for when they are first needed: a server that is refused comes before them."""
        return programs.find_clients(self._request.restore.pg_bin_dir)

    @contextlib.contextmanager
    def _server(self) -> t.Iterator[Login]:
        """Give the login of the server to test on."""
        request = self._request
        if request.login:
            yield request.login
            return
        major = int(self._manifest.source.get("server_version_num") or 0) // 10000
        with PrivateServer(find_server_programs(self._clients, major), request.restore.spool_directory, self._surroundings.redact) as server:
            yield server.login(request.application_name)

    def _sessions(self, login: Login) -> RestoreSessions:
        scratch = dataclasses.replace(login, database=restore_test.scratch_name(self._manifest.name))
        return RestoreSessions(scratch, self._request.maintenance_database or login.database)

    def _refuse(self, sessions: RestoreSessions) -> None:
        """Refuse a server that is not meant for this, all reasons together."""
        refusals = []
        if self._request.login:
            named = databases.find_database(sessions.any, self._request.login.database)
            refusals = restore_test.server_refusals(
                self._request.environment, self._request.allow_production, self._request.login.database, named.comment if named else None
            )
        scratch = databases.find_database(sessions.any, sessions.login.database)
        if scratch:
            refusals.append(restore_test.exists_refusal(scratch.name))
        holder = locks.holder_anywhere(sessions.any, locks.restore_lock(sessions.login.database))
        if holder:
            refusals.append(f"Another restore test of {self._manifest.name} is running on this server ({holder}). Wait for its end.")
        if refusals:
            raise _NotBegun(refusals)

    def _sweep(self, sessions: RestoreSessions) -> None:
        """Drop what tests of other names that were killed have left; those of this name go with the plan."""
        session = sessions.any
        limit = self._request.scratch_ttl.before(self._surroundings.clock(), dt.timezone.utc)
        for found in databases.list_databases(session):
            mark = found.comment.restore
            if mark is None or not found.owned or mark.database == sessions.login.database or not restore_test.is_old_scratch(found.name, mark, limit):
                continue
            if locks.holder_anywhere(session, locks.restore_lock(mark.database)) is None:
                databases.drop_copy(session, found.oid, found.name)
                self._findings.dropped.append(found.name)

    def _create_roles(self, session: Session, opened: OpenedArchive) -> None:
        """Give a private server the roles that the archive names, so that owners, privileges and policies are restored, too."""
        named = {*opened.demands.roles, *opened.demands.owners, *opened.demands.definition_roles, *opened.contents.large_object_owners, *self._manifest.roles}
        owner = self._manifest.database.get("owner")
        for role in sorted({*named, *([owner] if owner else [])} - target_facts.read_role_names(session) - {"public"}):
            session.execute(f"CREATE ROLE {quote_identifier(role)}")

    def _plan(self, sessions: RestoreSessions, opened: OpenedArchive, *, planning: bool) -> RestorePlan:
        surroundings = self._surroundings
        permissions = Permissions(restore_test.ENVIRONMENT, protected_hosts=self._request.restore.permissions.protected_hosts)
        restore = dataclasses.replace(self._request.restore, permissions=permissions, strategy="swap")
        if self._private:
            restore = dataclasses.replace(restore, no_tablespaces=True, unrestorable="attempt")
        planner = RestorePlanner(restore, sessions, None, _no_other_store, self._test_id, found=(self._source, opened))
        return planner.plan(surroundings.clock(), planning=planning, redact=surroundings.redact, limit=surroundings.limit, progress=surroundings.progress)

    def _restore(self, plan: RestorePlan, sessions: RestoreSessions) -> None:
        """Create, load and prove the scratch database, and drop it, whatever comes of it."""
        maintenance = t.cast(Session, sessions.maintenance)
        for stale in plan.predecessors.stale:
            databases.drop_copy(maintenance, stale.oid, stale.name)
            self._findings.dropped.append(stale.name)
        loader, shadow = self._create(plan, sessions)
        try:
            self._prove(plan, loader, shadow)
            self._findings.database_size = databases.database_size(maintenance, shadow.oid)
        finally:
            left = loader.drop(shadow)
            if left:
                self._findings.left_behind.append(left)
        if plan.ownership.mode == "operator":
            self._findings.notes.append(f"Owners and privileges were not tested: {plan.ownership.why}.")
        self._findings.notes += loader.notes

    def _create(self, plan: RestorePlan, sessions: RestoreSessions) -> tuple[ShadowLoader, Shadow]:
        """Create the scratch database; on a private server with a plain locale where this host lacks the source's."""
        loader = self._loader(plan, sessions)
        mark = self._mark(plan)
        try:
            return loader, loader.create(mark)
        except BackupError as error:
            if not self._private or not isinstance(error.__cause__, DatabaseError):
                raise
            self._findings.notes.append(f"The scratch database has the locale C, because this host lacks the source's: {error.__cause__.message}")
        plain = {**plan.properties, "locale": {"provider": "c", "collate": "C", "ctype": "C"}}
        loader = self._loader(dataclasses.replace(plan, properties=plain), sessions)
        return loader, loader.create(mark)

    def _loader(self, plan: RestorePlan, sessions: RestoreSessions) -> ShadowLoader:
        surroundings = self._surroundings
        return ShadowLoader(plan, sessions, redact=surroundings.redact, limit=surroundings.limit, progress=surroundings.progress)

    def _prove(self, plan: RestorePlan, loader: ShadowLoader, shadow: Shadow) -> None:
        try:
            loader.load(shadow)
        except BackupError as error:
            raise restore_test.about_the_archive(error) from error
        self._findings.proof = loader.prove(shadow)
        require_proof(self._findings.proof, "")
        with Session(shadow.login) as session:
            # The data are as old as the backup; what was too old then is what counts.
            self._findings.checks = run_database_checks(plan.request.checks, session, plan.snapshot_at or self._surroundings.clock())
        require_checks(self._findings.checks, "")

    def _mark(self, plan: RestorePlan) -> RestoreMark:
        return RestoreMark(
            restore_id=plan.restore_id,
            role="shadow",
            state="loading",
            database=plan.target.database,
            target_oid=0,
            backup=self._source.backup_id,
            since=format_time(self._surroundings.clock()),
            options=restore_test.MARK,
        )


def _record(test_id: str, source: Source, started: dt.datetime, finished: dt.datetime, findings: _Findings, problem: BackupError | None) -> RestoreTest:
    manifest = t.cast(Manifest, source.manifest)
    rows = findings.proof.tables if findings.proof else None
    return RestoreTest(
        test_id=test_id,
        backup_id=manifest.backup_id,
        key=source.key,
        name=manifest.name,
        verdict=restore_test.verdict_of(problem) if problem else "passed",
        reasons=_reasons(problem) if problem else [],
        started_at=format_time(started),
        finished_at=format_time(finished),
        snapshot_at=manifest.snapshot_at,
        rto=findings.rto,
        rpo=round((started - parse_time(manifest.snapshot_at, "snapshot_at")).total_seconds(), 3),
        level=findings.proof.level if findings.proof else None,
        tables=len(rows) if rows is not None else None,
        rows=sum(row["rows_restored"] or 0 for row in rows) if rows is not None else None,
        archive_size=manifest.size,
        database_size=findings.database_size,
        checks=[check.as_dict() for check in findings.checks],
        server=dict(findings.server),
    )


def _reasons(problem: BackupError) -> list[str]:
    return problem.refusals if isinstance(problem, RefusedError) else [problem.message]


def _first_cause(error: BackupError, limit: TimeLimit) -> BackupError:
    """Return the time limit's own error where that has made everything else fail."""
    try:
        limit.check()
    except BackupError as expired:
        return expired
    return error


def _kept(store: Store, record: RestoreTest) -> tuple[str, str | None]:
    """Put the record into the store; return its key, or why there is none."""
    try:
        return keep_record(store, record), None
    except BackupError as error:
        return "", error.message


def _notes(request: RestoreTestRequest, source: Source, findings: _Findings) -> list[str]:
    notes = [*source.notes, *findings.notes]
    if request.restore.checks.http:
        notes.append("The checks over HTTP were left out: no application serves the scratch database.")
    if findings.left_behind:
        notes.append(f"The scratch database {', '.join(findings.left_behind)} could not be dropped; the next test drops it, or DROP DATABASE does.")
    return list(dict.fromkeys(notes))


def _no_other_store(_bucket: str | None, _directory: str | None, _prefix: str) -> t.NoReturn:
    raise BackupError("A restore test reads the store that it was given, and no other.")
