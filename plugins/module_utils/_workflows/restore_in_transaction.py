# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Restore inside of the target, where no second database can be made: all of it in one transaction, committed only when its content is proved.

A schema swap renames the present schemas, loads the archive into new ones, and keeps the old. A restore in place drops and creates the archive's
objects. Nobody sees anything but the old state until the commit; whatever fails rolls all back. Whoever uses what is replaced waits for the commit: in
place while the archive is loaded, in a schema swap for an instant, once those who were in the middle of it have ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import subprocess
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import pg_restore_script_command
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import RestoreMark
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.journal import Journal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import some
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import ObjectPrivileges
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof, prove
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.residue import schemas_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_entries import (
    Skipped,
    about_schemas,
    extension_name,
    list_lines,
    outside_of_schemas,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import privilege_facts, programs, schemas
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.script_session import run_script
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import BackgroundTask, Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.checks import run_database_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.content import analyze, read_content
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.obstacles import find_residue
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_owners import (
    keep_rights,
    lost_rights,
    set_as_before,
    set_from_archive,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import RestorePlan
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import feed_again
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_verdicts import require_checks, require_proof, require_rights
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.schema_locks import lock_out_users

# Everybody waits for what the transaction has locked. Between its statements this side reads definitions, compares, and waits for a lock by trying again.
_LONGEST_PAUSE = 300


@dataclasses.dataclass(frozen=True)
class TransactionResult:
    """What was committed; ``previous_schemas`` are the names that replaced schemas have now."""

    proof: Proof
    checks: tuple[CheckResult, ...]
    previous_schemas: tuple[str, ...]
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]


class TransactionRestore:
    """One restore in one transaction."""

    def __init__(
        self, plan: RestorePlan, sessions: RestoreSessions, *, clock: t.Callable[[], dt.datetime], redact: Redact, limit: TimeLimit, progress: Progress
    ) -> None:
        self._plan, self._sessions = plan, sessions
        self._clock, self._redact, self._limit, self._progress = clock, redact, limit, progress
        self._schemas = schemas_of(plan.opened.contents, plan.opened.demands.schemas)
        self._renamed: dict[str, str] = {}
        self._moved: list[schemas.InstalledExtension] = []
        self._notes: list[str] = []
        self._left_out: list[Skipped] = []
        self._committing = False

    def carry_out(self, journal: Journal) -> TransactionResult:
        """Load, prove and commit, or roll back and raise."""
        try:
            return self._in_one_transaction(journal)
        except BackupError as error:
            if not self._committing:
                error.message += " All of it was undone; the database is as it was."
            elif not journal.reached("swapped"):
                error.message += (
                    " That was at the commit, and its answer was lost: the database is either as it was or restored, wholly. "
                    "Look which (pg_database_info with compare_with), before you run again."
                )
            raise

    def _in_one_transaction(self, journal: Journal) -> TransactionResult:
        plan = self._plan
        with Session(self._sessions.login) as session:
            self._limit.on_expiry(session.cancel)
            session.execute("BEGIN")
            session.limit_pauses(_LONGEST_PAUSE)
            session.execute(f"SET LOCAL lock_timeout = {plan.request.lock_wait_timeout * 1000}")
            if plan.strategy.name == "schema_swap":
                self._move_aside(session)
            else:
                self._note_residue(session)
            before = privilege_facts.read_privileges(session, list(self._renamed.values()) or self._schemas)
            self._load(session)
            # pg_restore's script has taken the limit away, rightly so for as long as it lasts: rows that are left out may take hours to read past.
            session.limit_pauses(_LONGEST_PAUSE)
            self._set_owners(session, before)
            journal.reach("loaded")
            proof, checks = self._prove(session, before)
            journal.reach("proved")
            self._mark_previous(session)
            lock_out_users(session, self._renamed.values(), plan.request.lock_wait_timeout, self._limit.check)
            self._limit.check()
            self._committing = True
            session.execute("COMMIT")
            journal.reach("swapped", previous=sorted(self._renamed.values()))
        if plan.safety and plan.strategy.name == "in_place":
            self._notes.append("Writes made after the safety backup had begun are in neither: a restore in place keeps nothing of what it replaces.")
        return TransactionResult(proof, tuple(checks), tuple(sorted(self._renamed.values())), tuple(self._notes), tuple(self._left_out))

    def _move_aside(self, session: Session) -> None:
        """Rename the present schemas, make room for the archive's, and bring along the extensions that live in them."""
        present = {found.name for found in schemas.list_schemas(session)}
        for name in sorted(self._schemas & present):
            self._renamed[name] = beside(name, "previous", self._plan.restore_id)
            schemas.rename_schema(session, name, self._renamed[name])
        at_home = self._at_home()
        self._moved = [extension for extension in schemas.list_extensions(session) if extension.schema in at_home]
        created = self._plan.opened.demands.schemas
        for name in sorted({at_home[extension.schema] for extension in self._moved} | (set(self._renamed) - created)):
            session.execute(f"CREATE SCHEMA {quote_identifier(name)}")
        for extension in self._moved:
            session.execute(f"ALTER EXTENSION {quote_identifier(extension.name)} SET SCHEMA {quote_identifier(at_home[extension.schema])}")
        left = sorted(present - self._schemas)
        if left:
            self._notes.append(f"The archive knows nothing of {some('schema', left)}, which stays as it is; what it refers to is now the schemas from before.")

    def _note_residue(self, session: Session) -> None:
        """Say what stays although the backup does not have it, which allow_residue has permitted."""
        unknown = [str(found) for found in find_residue(session, self._plan.opened)]
        if unknown:
            self._notes.append(f"The archive does not know {some('object', unknown)}, so that stays as it is.")

    def _load(self, session: Session) -> None:
        """Run the archive's SQL; the program's exit status counts as much as the server's answers."""
        plan = self._plan
        with contextlib.ExitStack() as cleanup:
            self._left_out = self._skipped(session)
            listed = programs.list_file(list_lines(plan.opened.contents, self._left_out) or [entry.line for entry in plan.opened.contents.entries])
            cleanup.callback(os.close, listed)
            program = programs.Program(
                pg_restore_script_command(
                    plan.opened.client,
                    plan.keep.path if plan.keep else None,
                    clean=plan.strategy.name == "in_place",
                    list_path=f"/dev/fd/{listed}",
                    with_owners=plan.ownership.with_owners,
                    with_tablespaces=not plan.request.no_tablespaces,
                ),
                redact=self._redact,
                descriptors=[listed, *([plan.keep.descriptor] if plan.keep else [])],
                stdin=subprocess.DEVNULL if plan.keep else subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            cleanup.callback(program.close)
            self._limit.on_expiry(program.kill)
            feeding = BackgroundTask("archive")
            if not plan.keep:
                feeding.start(lambda: feed_again(plan.source, plan.verified, program, self._limit))
            run_script(session, program.stdout.read, keep=lambda _statement: True)
            status = program.wait()
            feeding.result()
        if status != 0:
            raise BackupError(f"The archive could not be read to its end: {program.failure(status)}. Nothing was changed.")
        if plan.keep:
            plan.keep.require_unchanged()

    def _skipped(self, session: Session) -> list[Skipped]:
        """Return the entries that are left out: what belongs to the whole database, what is there already, what this role may not create."""
        plan = self._plan
        skipped = [*plan.skipped, *in_transaction_skips(session, plan.opened.contents, large_objects=plan.strategy.name == "in_place")]
        # In a schema swap those of the archive's are there that its extensions needed first.
        there = about_schemas(plan.opened.contents, [found.name for found in schemas.list_schemas(session)])
        return list(dict.fromkeys((*skipped, *there)))

    def _set_owners(self, session: Session, before: list[ObjectPrivileges]) -> None:
        """Give objects the owners and privileges that the plan chose; new schemas always those of the ones that they replace."""
        plan = self._plan
        set_from_archive(plan, session, self._redact)
        wanted = before if plan.ownership.mode == "live" else [found for found in before if found.kind == "schema" and self._renamed]
        if wanted:
            set_as_before(plan, session, wanted, schemas=self._schemas, renamed=self._at_home())
        if plan.ownership.keeps_rights:
            self._notes += keep_rights(plan, session, before, schemas=self._schemas, renamed=self._at_home())

    def _prove(self, session: Session, before: list[ObjectPrivileges]) -> tuple[Proof, list[CheckResult]]:
        plan = self._plan
        analyze(session, self._schemas)
        found = read_content(session, plan.method, self._progress, schemas=self._schemas)
        proof = prove(plan.source.manifest, found, plan.method, extras_allowed=plan.request.allow_residue)
        require_proof(proof, "")
        lost = lost_rights(before, privilege_facts.read_privileges(session, self._schemas), renamed=self._at_home())
        require_rights(lost, plan.ownership, "")
        self._notes += lost.sentences
        checks = run_database_checks(plan.request.checks, session, self._clock(), in_transaction=True)
        require_checks(checks, "")
        return proof, checks

    def _mark_previous(self, session: Session) -> None:
        """Say in the comments of the replaced schemas which restore they are from, so that it can be rolled back and they can be dropped."""
        plan = self._plan
        found = {schema.name: schema for schema in schemas.list_schemas(session)}
        for name, aside in self._renamed.items():
            mark = RestoreMark(
                restore_id=plan.restore_id,
                role="previous",
                state="kept",
                database=name,
                target_oid=found[aside].oid,
                backup=plan.source.backup_id,
                since=format_time(self._clock()),
                partner_oid=found[name].oid if name in found else 0,
                extensions=tuple(extension.name for extension in self._moved if extension.schema == aside),
            )
            schemas.write_schema_comment(session, aside, dataclasses.replace(found[aside].comment, restore=mark))

    def _at_home(self) -> dict[str, str]:
        """Return the name that each renamed schema had, and its successor has."""
        return {aside: name for name, aside in self._renamed.items()}


def in_transaction_skips(session: Session, contents: ArchiveContents, *, large_objects: bool) -> list[Skipped]:
    """Return the entries of the whole database that a restore of its schemas leaves alone; an extension that is not there yet is created."""
    installed = {extension.name for extension in schemas.list_extensions(session)}
    outside = outside_of_schemas(contents, large_objects=large_objects)
    return [found for found in outside if found.entry.kind != "EXTENSION" or extension_name(found.entry) in installed]
