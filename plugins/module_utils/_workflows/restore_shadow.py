# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The database beside the live one: created, loaded, proved. Whatever goes wrong here, the live database has not been touched."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import threading
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import pg_restore_load_command
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import sets_unknown_parameter
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, RestoreMark
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_settings import hidden_settings
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, DatabaseError, LoadError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.inherited import inherited_properties
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.pg_restore_output import is_only_about_unknown_parameter, telling
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import ObjectPrivileges, database_statements, setting_statement
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof, prove
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_entries import list_lines
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.shadow import create_statement
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases, privilege_facts, programs, target_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.content import analyze_parents, read_content_side_by_side
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_owners import (
    LostRights,
    keep_rights,
    lost_rights,
    set_as_before,
    set_from_archive,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_plan import RestorePlan
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import HeadFile, feed_again, settings_in

# Whatever the server, the database or the role sets, a load that takes hours must not be ended by it, and must be allowed to write.
_SESSION_OPTIONS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "off",
}
_IDLE_SESSION_TIMEOUT_SINCE = 14
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclasses.dataclass(frozen=True)
class Shadow:
    """The database beside the live one."""

    oid: int
    name: str
    login: Login


class ShadowLoader:
    """Makes one shadow. Every step may fail; ``drop`` then removes all of it."""

    def __init__(self, plan: RestorePlan, sessions: RestoreSessions, *, redact: Redact, limit: TimeLimit, progress: Progress) -> None:
        self._plan, self._sessions = plan, sessions
        self._redact, self._limit, self._progress = redact, limit, progress
        self._statements: list[str] | None = None
        self.notes: list[str] = []

    @property
    def _maintenance(self) -> Session:
        return t.cast(Session, self._sessions.maintenance)

    def create(self, mark: RestoreMark) -> Shadow:
        """Create the shadow: closed until its comment says whose it is."""
        plan = self._plan
        name = beside(plan.target.database, "shadow", plan.restore_id)
        statement = create_statement(name, plan.properties, plan.properties.get("owner"), plan.target.server.major)
        try:
            self._maintenance.execute(statement)
        except DatabaseError as error:
            raise BackupError(
                f"The database {name} for the restored copy could not be created: {error.message} "
                f"If it is the locale or the tablespace, create the database {plan.target.database} as it should be, and restore into it."
            ) from error
        found = t.cast(databases.ServerDatabase, databases.find_database(self._maintenance, name))
        try:
            databases.write_comment(self._maintenance, name, DatabaseComment(restore=mark))
            databases.open_database(self._maintenance, name)
            self.database_statements(name)
        except BaseException:
            with contextlib.suppress(BackupError):
                databases.drop_database(self._maintenance, found.oid, name)
            raise
        return Shadow(found.oid, name, self._sessions.login_to(name))

    def database_statements(self, name: str) -> list[str]:
        """Return the statements that give a shadow the live database's privileges, limit and settings; a new database gets what it can have of the source's."""
        if self._statements is None:
            self._statements = self._rehearsed(name)
        return self._statements

    def _rehearsed(self, name: str) -> list[str]:
        """Try what the swap will do to the shadow, and undo it: a setting that this role may not make is found before the load, not after."""
        possible = []
        for statement in self._wanted_statements(name):
            refused = privilege_facts.refused_statements(self._maintenance, [statement])
            if refused and self._plan.target.exists:
                raise BackupError(
                    f"The properties of the live database could not be given to its copy by the role {self._plan.target.server.user}: {' '.join(refused)} "
                    "Use a role that may, such as the one that made these settings, or take them away from the database first."
                )
            if refused:
                self.notes.append(f"A property of the source database could not be given to the new one: {' '.join(refused)}")
            else:
                possible.append(statement)
        return possible

    def _wanted_statements(self, name: str) -> list[str]:
        plan = self._plan
        if plan.target.exists:
            return database_statements(plan.properties, name)
        owner = plan.properties.get("owner") or plan.target.server.user
        properties, notes = inherited_properties(plan.properties, owner, target_facts.read_role_names(self._maintenance))
        self.notes += notes
        return [*database_statements(properties, name), *self._hidden_settings(properties, name)]

    def _hidden_settings(self, properties: dict[str, t.Any], name: str) -> list[str]:
        """Return the statements for the settings of which the manifest has the names alone: what they may not be told of is in the archive."""
        hidden = hidden_settings(properties)
        archived = {(found.role, found.parameter): found.value for found in settings_in(self._plan.opened, self._redact)} if hidden else {}
        if missing := sorted({parameter for role, parameter in hidden if (role, parameter) not in archived}):
            self.notes.append(f"The archive does not hold these settings of the source database, so the new one is without them: {', '.join(missing)}.")
        return [setting_statement(name, role, parameter, archived[role, parameter]) for role, parameter in hidden if (role, parameter) in archived]

    def load(self, shadow: Shadow) -> None:
        """Load the archive: from its file with several jobs, else as a stream, whose indexes are then built by several jobs from the archive's first bytes."""
        plan = self._plan
        if plan.keep:
            self._pg_restore(shadow, plan.keep.path, (plan.keep.descriptor,), jobs=plan.jobs)
            plan.keep.require_unchanged()
        else:
            self._load_stream(shadow)
        self._set_owners(shadow)

    def prove(self, shadow: Shadow) -> Proof:
        """Read everything back, make statistics, and compare with the manifest."""
        plan = self._plan
        found = read_content_side_by_side(shadow.login, plan.method, plan.jobs, limit=self._limit, progress=self._progress, analyze=True)
        with Session(shadow.login) as session:
            analyze_parents(session)
        return prove(plan.source.manifest, found, plan.method)

    def lost(self, shadow: Shadow) -> LostRights:
        """Say which roles could do something in the live database that they cannot do in the shadow."""
        if not self._plan.target.exists:
            return LostRights()
        with Session(shadow.login) as session:
            return lost_rights(self._before(), privilege_facts.read_privileges(session))

    def drop(self, shadow: Shadow) -> str | None:
        """Drop a shadow; return its name if it may still be there, which is then for a person to drop."""
        try:
            databases.drop_copy(self._maintenance, shadow.oid, shadow.name)
        except BackupError:
            # The session may have gone with the server; the server may be back.
            with contextlib.suppress(BackupError), Session(self._maintenance.login) as again:
                databases.drop_copy(again, shadow.oid, shadow.name)
                return None
            return shadow.name
        return None

    def _before(self) -> list[ObjectPrivileges]:
        """Return owners and privileges of the live database."""
        with Session(self._sessions.login) as live:
            return privilege_facts.read_privileges(live)

    def _load_stream(self, shadow: Shadow) -> None:
        plan = self._plan
        with contextlib.closing(HeadFile(plan.opened.head)) as head:
            self._pg_restore(shadow, None, (), sections=("pre-data", "data"))
            self._pg_restore(shadow, head.path, (head.descriptor,), sections=("post-data",), jobs=plan.jobs)

    def _pg_restore(self, shadow: Shadow, path: str | None, descriptors: tuple[int, ...], *, sections: tuple[str, ...] = (), jobs: int = 1) -> None:
        """Run pg_restore once; without a path the archive is read from the store into its standard input."""
        plan = self._plan
        client = plan.opened.client
        tolerant = sets_unknown_parameter(client, plan.target.server.major)
        lines = list_lines(plan.opened.contents, plan.skipped)
        with contextlib.ExitStack() as cleanup:
            credentials = programs.Credentials(shadow.login)
            cleanup.callback(credentials.close)
            given = [*credentials.descriptors, *descriptors]
            list_path = None
            if lines is not None:
                listed = programs.list_file(lines)
                cleanup.callback(os.close, listed)
                given.append(listed)
                list_path = f"/dev/fd/{listed}"
            program = programs.Program(
                pg_restore_load_command(
                    client,
                    path,
                    sections=sections,
                    jobs=jobs,
                    exit_on_error=not tolerant,
                    list_path=list_path,
                    with_owners=plan.ownership.with_owners,
                    with_tablespaces=not plan.request.no_tablespaces,
                ),
                redact=self._redact,
                environment={**credentials.environment, "PGOPTIONS": self._session_options(shadow.login)},
                descriptors=given,
                stdin=subprocess.DEVNULL if path else subprocess.PIPE,
            )
            cleanup.callback(program.close)
            self._limit.on_expiry(program.kill)
            with self._watched(shadow):
                if path is None:
                    feed_again(plan.source, plan.verified, program, self._limit)
                status = program.wait()
        self._limit.check()
        if status != 0 and not (tolerant and is_only_about_unknown_parameter(program.messages())):
            raise LoadError(f"The archive could not be loaded: {program.failure(status, telling(program.messages()))}.")

    @contextlib.contextmanager
    def _watched(self, shadow: Shadow) -> t.Iterator[None]:
        """Tell how large the shadow has become while something else is waited for."""
        expected = int((self._plan.source.manifest.source.get("database_size") if self._plan.source.manifest else None) or self._plan.target.size)
        ended = threading.Event()

        def watch() -> None:
            with contextlib.suppress(BackupError), Session(self._maintenance.login) as session:
                while not ended.wait(_SECONDS_BETWEEN_LOOKS):
                    self._progress("load", databases.database_size(session, shadow.oid), expected)

        watcher = threading.Thread(target=watch, name="size of the shadow", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _session_options(self, login: Login) -> str:
        """Return libpq's ``options`` for pg_restore: the login's own, then ours."""
        options = dict(_SESSION_OPTIONS)
        if self._plan.target.server.major >= _IDLE_SESSION_TIMEOUT_SINCE:
            options["idle_session_timeout"] = "0"
        ours = " ".join(f"-c {name}={value}" for name, value in options.items())
        return f"{dict(login.parameters).get('options', '')} {ours}".strip()

    def _set_owners(self, shadow: Shadow) -> None:
        """Set owners and privileges where pg_restore did not."""
        plan = self._plan
        with Session(shadow.login) as session:
            set_from_archive(plan, session, self._redact)
            if plan.ownership.mode == "live":
                set_as_before(plan, session, self._before())
            elif plan.ownership.keeps_rights:
                session.execute("BEGIN")
                self.notes += keep_rights(plan, session, self._before())
                session.execute("COMMIT")
