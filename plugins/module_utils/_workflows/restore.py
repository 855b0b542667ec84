# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Restore: save the live database, load a copy beside it, prove the copy, exchange the two. Up to the exchange the live database is as it was."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import time
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, RestoreMark, read_comment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, DatabaseError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.journal import Journal
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_entries import Skipped
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows import backup
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.checks import run_database_checks, run_http_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.exchange import Exchange, Renaming, carry_out_exchange
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.kept import exchange_databases_back, exchange_schemas_back, find_kept
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_in_transaction import TransactionRestore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import RestorePlan
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions, require_same_target
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_shadow import Shadow, ShadowLoader
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_verdicts import (
    failures,
    require_checks,
    require_proof,
    require_rights,
)

_UNTOUCHED = "The live database was not touched."


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What a run is given from outside: the time in UTC, a mask for secrets, a time limit, who is told of progress, and where journals are kept."""

    clock: t.Callable[[], dt.datetime]
    redact: Redact
    limit: TimeLimit
    progress: Progress
    store: Store | None


@dataclasses.dataclass(frozen=True)
class RestoreOutcome:
    """What came of a restore. ``previous`` is the name that the replaced database has now, ``safety`` the safety backup's address and key."""

    proof: Proof
    checks: tuple[CheckResult, ...]
    safety: dict[str, t.Any] | None
    previous: str | None
    notes: tuple[str, ...]
    duration: float
    skipped: tuple[Skipped, ...]


def carry_out_restore(plan: RestorePlan, sessions: RestoreSessions, surroundings: Surroundings, journal: Journal) -> RestoreOutcome:
    """Carry out a plan in the way that it chose. The journal ends in the store whatever happens."""
    began = time.monotonic()
    try:
        # Retention keeps what the journal of a recent restore names.
        journal.reach("locked", strategy=plan.strategy.name, backup=plan.source.address)
        saved = _save(plan, sessions, surroundings, journal)
        if plan.strategy.name == "swap":
            outcome = _Swap(plan, sessions, surroundings, journal).carry_out()
        else:
            outcome = _in_transaction(plan, sessions, surroundings, journal)
        journal.reach("done")
    except BaseException as error:
        # The first cause counts, and the time limit makes everything else fail.
        journal.reach("failed", problem=surroundings.redact(getattr(error, "message", "") or type(error).__name__))
        keep_journal(journal, surroundings.store)
        if not journal.reached("swapped"):
            surroundings.limit.check()
        if isinstance(error, BackupError):
            error.details.setdefault("states", journal.states())
            error.details.setdefault("restore_id", plan.restore_id)
        raise
    finally:
        if plan.keep:
            plan.keep.close()
    return dataclasses.replace(outcome, safety=saved, notes=(*plan.notes, *outcome.notes), duration=time.monotonic() - began)


def keep_journal(journal: Journal, store: Store | None) -> str | None:
    """Put the journal into the store, under a key that was never used; return the sentence about why not where that is refused."""
    if store is None:
        return None
    key = f"{store.prefix}restores/{journal.restore_id}.{format_time(journal.began).replace(':', '').replace('.', '')}.jsonl"
    try:
        store.put(key, journal.lines(), "application/jsonl")
    except BackupError as error:
        return f"The journal was not kept in the store, only in this result: {error.message}"
    return None


def _save(plan: RestorePlan, sessions: RestoreSessions, surroundings: Surroundings, journal: Journal) -> dict[str, t.Any] | None:
    """Take the safety backup: published and proved before anything is created."""
    if plan.safety is None:
        return None
    if surroundings.store is None or sessions.live is None:
        raise BackupError("The safety backup that was planned cannot be taken. Nothing was touched.")
    taken = backup.carry_out(
        plan.safety,
        sessions.live,
        surroundings.store,
        clock=surroundings.clock,
        redact=surroundings.redact,
        limit=surroundings.limit,
        progress=surroundings.progress,
    )
    facts = {"key": taken.manifest.key, "address": taken.address, "backup_id": taken.manifest.backup_id, "size": taken.manifest.size}
    journal.reach("saved", **facts)
    return facts


class _Swap:
    """One restore by swap, from whatever state an interrupted run left it in."""

    def __init__(self, plan: RestorePlan, sessions: RestoreSessions, surroundings: Surroundings, journal: Journal) -> None:
        self._plan, self._sessions, self._surroundings, self._journal = plan, sessions, surroundings, journal
        self._loader = ShadowLoader(plan, sessions, redact=surroundings.redact, limit=surroundings.limit, progress=surroundings.progress)
        self._notes: list[str] = list(plan.predecessors.sentences())

    @property
    def _maintenance(self) -> Session:
        return t.cast(Session, self._sessions.maintenance)

    def carry_out(self) -> RestoreOutcome:
        plan = self._plan
        self._sessions.close_live()
        for stale in plan.predecessors.stale:
            databases.drop_copy(self._maintenance, stale.oid, stale.name)
        if plan.predecessors.swapped:
            return self._finish(*self._look_at_swapped())
        shadow = self._loaded_shadow()
        try:
            proof, checks = self._prove(shadow)
            databases.write_comment(self._maintenance, shadow.name, DatabaseComment(restore=self._mark("shadow", "proved")))
            self._journal.reach("proved", database=shadow.name)
            self._surroundings.limit.check()
            previous = self._exchange(shadow)
        except BaseException as error:
            self._drop(shadow, error)
            raise
        self._journal.reach("swapped", previous=previous)
        return self._finish(proof, checks, previous)

    def _loaded_shadow(self) -> Shadow:
        """Return the shadow with everything in it: the one that an interrupted run had proved, or a new one."""
        plan = self._plan
        if plan.predecessors.proved:
            found = plan.predecessors.proved
            self._journal.reach("loaded", database=found.name, found=True)
            return Shadow(found.oid, found.name, self._sessions.login_to(found.name))
        shadow = self._loader.create(self._mark("shadow", "loading"))
        try:
            self._journal.reach("created", database=shadow.name)
            self._loader.load(shadow)
            self._journal.reach("loaded", database=shadow.name)
        except BaseException as error:
            self._drop(shadow, error)
            raise
        return shadow

    def _prove(self, shadow: Shadow) -> tuple[Proof, list[CheckResult]]:
        """Prove the content and run the checks; raise when anything is not as it should be."""
        plan = self._plan
        proof = self._loader.prove(shadow)
        require_proof(proof, _UNTOUCHED)
        lost = self._loader.lost(shadow)
        require_rights(lost, plan.ownership, _UNTOUCHED)
        self._notes += lost.sentences
        with Session(shadow.login) as session:
            checks = run_database_checks(plan.request.checks, session, self._surroundings.clock())
        require_checks(checks, _UNTOUCHED)
        return proof, checks

    def _exchange(self, shadow: Shadow) -> str | None:
        """Exchange the names of the live database and the shadow; return the name that the former has then."""
        plan = self._plan
        live = require_same_target(self._sessions, plan.target)
        name = plan.target.database
        comment = DatabaseComment(
            text=live.comment.text if live else read_comment(plan.properties.get("comment")).text,
            environment=live.comment.environment if live else plan.request.permissions.environment,
            restore=self._mark("live", "swapped", partner_oid=live.oid if live else 0),
        )
        leaves = None
        if live:
            before = dataclasses.replace(live.comment, restore=self._mark("previous", "kept", partner_oid=shadow.oid))
            leaves = Renaming(live.oid, name, beside(name, "previous", plan.restore_id), before)
        carry_out_exchange(
            self._maintenance,
            Exchange(leaves, Renaming(shadow.oid, shadow.name, name, comment), tuple(self._loader.database_statements(shadow.name))),
        )
        return leaves.new_name if leaves else None

    def _look_at_swapped(self) -> tuple[Proof, list[CheckResult], str | None]:
        """Return what can still be said of a swap that an interrupted run made: it was proved before."""
        plan = self._plan
        with Session(self._sessions.login) as session:
            checks = run_database_checks(plan.request.checks, session, self._surroundings.clock())
        proof = self._loader.prove(Shadow(plan.target.oid, plan.target.database, self._sessions.login))
        if not proof.holds:
            # Its users have been at work since; that it was equal is why it was swapped in.
            since = f"The content was proved before the swap. The live database has changed since: {' '.join(proof.differences[:10])}"
            proof = Proof("none", proof.tables, (), (since, "To restore it anew, run again."))
        return proof, checks, plan.predecessors.replaced

    def _finish(self, proof: Proof, checks: list[CheckResult], previous: str | None) -> RestoreOutcome:
        """Look at the live database as its users do; where they would find it broken, swap back and fail."""
        plan = self._plan
        name = plan.target.database
        with self._saying_what_is_live():
            try:
                # Not by a session of its own: right after the exchange everybody connects, and a full server is no reason to swap back.
                live = t.cast(databases.ServerDatabase, databases.find_database(self._maintenance, name))
                answers = run_http_checks(plan.request.checks, clock=time.monotonic, pause=_pause)
                require_checks((*checks, *answers), "")
            except BackupError as error:
                self._swap_back(previous, error)
                raise
            mark = t.cast(RestoreMark, live.comment.restore)
            databases.write_comment(self._maintenance, name, dataclasses.replace(live.comment, restore=dataclasses.replace(mark, state="done")))
        self._journal.reach("checked")
        return RestoreOutcome(proof, (*checks, *answers), None, previous, (*self._notes, *self._loader.notes), 0.0, plan.skipped)

    @contextlib.contextmanager
    def _saying_what_is_live(self) -> t.Iterator[None]:
        """Whoever reads of an error after the swap wants to know first which database is live."""
        try:
            yield
        except BackupError as error:
            if not self._journal.reached("swapped_back"):
                error.message += f" The live database {self._plan.target.database} is the restored one since the swap. Run again to finish."
            raise

    def _swap_back(self, previous: str | None, error: BackupError) -> None:
        """Give the name back to the database that had it; what was restored is kept aside for whoever looks into it."""
        plan = self._plan
        name = plan.target.database
        restored = databases.find_database(self._maintenance, name)
        before = next((kept for kept in find_kept(self._maintenance, None, plan.target) if kept.name == previous), None)
        if restored is None or before is None:
            error.message += " There is no previous database to go back to."
            return
        try:
            rejected = exchange_databases_back(self._maintenance, restored, before, name, self._mark("rejected", "failed", partner_oid=before.oid))
        except BackupError as second:
            error.message += f" It could not be swapped back: {second.message}"
            return
        self._journal.reach("swapped_back", rejected=rejected)
        error.message += f" The live database is again the one from before; what was restored is kept as {rejected}, until state finalized drops it."
        error.details["rejected"] = rejected

    def _drop(self, shadow: Shadow, error: BaseException) -> None:
        left = self._loader.drop(shadow)
        if left and isinstance(error, BackupError):
            error.message += f" The copy {left} could not be dropped; the next run drops it, or DROP DATABASE does."
            error.details["left_behind"] = [left]

    def _mark(self, role: t.Any, state: str, *, partner_oid: int = 0) -> RestoreMark:
        plan = self._plan
        return RestoreMark(
            restore_id=plan.restore_id,
            role=role,
            state=state,
            database=plan.target.database,
            target_oid=plan.target.oid,
            backup=plan.source.backup_id,
            since=format_time(self._surroundings.clock()),
            partner_oid=partner_oid,
            options=plan.options,
            replaced=plan.predecessors.confirmed_for(plan.target),
        )


def _in_transaction(plan: RestorePlan, sessions: RestoreSessions, surroundings: Surroundings, journal: Journal) -> RestoreOutcome:
    """Restore inside of the target, in one transaction that is committed only when its content is proved."""
    restore = TransactionRestore(plan, sessions, clock=surroundings.clock, redact=surroundings.redact, limit=surroundings.limit, progress=surroundings.progress)
    result = restore.carry_out(journal)
    answers = run_http_checks(plan.request.checks, clock=time.monotonic, pause=_pause)
    failed = [answer for answer in answers if not answer.passed]
    if failed and result.previous_schemas:
        raise _schemas_swapped_back(plan, sessions, surroundings, failed, result.previous_schemas)
    require_checks(answers, "The restore was committed; the safety backup holds the state from before.")
    journal.reach("checked")
    return RestoreOutcome(result.proof, (*result.checks, *answers), None, ", ".join(result.previous_schemas) or None, tuple(result.notes), 0.0, result.skipped)


def _schemas_swapped_back(
    plan: RestorePlan, sessions: RestoreSessions, surroundings: Surroundings, failed: t.Sequence[CheckResult], previous: t.Sequence[str]
) -> VerificationError:
    """Give the schemas from before, which are called ``previous``, their names back; return the error that says so, or that they have not got them."""
    checks = [result.as_dict() for result in failed]
    try:
        with Session(sessions.login) as session:
            kept = [found for found in find_kept(session, session, plan.target) if found.kind == "schema" and found.mark.restore_id == plan.restore_id]
            rejected = ", ".join(exchange_schemas_back(session, kept, format_time(surroundings.clock()), plan.request.lock_wait_timeout))
    except BackupError as error:
        # Of a connection that was lost it is not known whether it was at the commit.
        lost = isinstance(error, DatabaseError) and "sqlstate" not in error.details
        named = ", ".join(previous)
        kept_as = f"As long as {named} are there" if lost else f"Those from before are kept as {named}"
        return VerificationError(
            f"{failures(failed)} The schemas could not be swapped back: {error.message} "
            f"{kept_as}, the live schemas of {plan.target.database} are the restored ones, and state rolled_back brings those from before back.",
            checks=checks,
        )
    return VerificationError(
        f"{failures(failed)} The schemas are again those from before; what was restored is kept as {rejected}, until state finalized drops it.",
        rejected=rejected,
        checks=checks,
    )


def _pause(seconds: float) -> None:
    time.sleep(seconds)
