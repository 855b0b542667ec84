# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The sessions of a restore: one in a maintenance database, which outlives every rename, and one in the target as long as that is needed."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import ServerFacts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Capabilities, Target
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, databases, target_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.databases import ServerDatabase
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

# Every server has these two, unless somebody dropped or closed them.
_MAINTENANCE = ("postgres", "template1")


class RestoreSessions:
    """Sessions on the target's server. ``maintenance`` is None where no other database can be reached, ``live`` where the target does not exist."""

    def __init__(self, login: Login, maintenance_database: str | None) -> None:
        self._stack = contextlib.ExitStack()
        self.maintenance, self.problem = self._open_maintenance(login, maintenance_database)
        self.live: Session | None = None
        pinned = self.maintenance.pinned_login if self.maintenance else login
        # On one server from the first session to the last, where the login names several.
        self.login = dataclasses.replace(pinned, database=login.database)
        found = databases.find_database(self.maintenance, login.database) if self.maintenance else None
        if self.maintenance is None or (found and found.allows_connections):
            self.live = self._stack.enter_context(Session(self.login))
            self.login = self.live.pinned_login

    def __enter__(self) -> RestoreSessions:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def any(self) -> Session:
        """A session for what is the same in every database."""
        return t.cast(Session, self.maintenance or self.live)

    def pooler_hint(self, server: ServerFacts) -> str | None:
        """Say why a pooler seems to be between us and the server, where it is not known already.

        One that keeps its clients apart does for a backup. But it keeps sessions open in the databases that are renamed, and passes no settings on.
        """
        if self.login.pooler_hint or server.pooled or self.any.is_direct:
            return self.login.pooler_hint
        return "the server process is not the one that was announced at connect time"

    def close_live(self) -> None:
        """Leave the target, so that it can be renamed."""
        if self.live:
            self.live.close()
            self.live = None

    def login_to(self, database: str) -> Login:
        """Return the login for another database of the server."""
        return dataclasses.replace(self.login, database=database)

    def _open_maintenance(self, login: Login, wanted: str | None) -> tuple[Session | None, str | None]:
        problem = None
        for name in (wanted,) if wanted else _MAINTENANCE:
            if name == login.database:
                continue
            try:
                return self._stack.enter_context(Session(dataclasses.replace(login, database=name))), None
            except DatabaseError as error:
                problem = problem or error.message
        return None, problem or "the target is the only database that could be used"


def read_target(sessions: RestoreSessions, available_disk: int | None) -> Target:
    """Ask the server everything about the target that a decision depends on."""
    server = database_facts.read_server(sessions.any)
    name = sessions.login.database
    found = databases.find_database(sessions.any, name)
    superuser, createdb = target_facts.read_rights(sessions.any)
    slots, subscriptions, prepared = target_facts.read_what_hangs_on(sessions.any, name, found.oid) if found else ((), (), ())
    return Target(
        database=name,
        exists=found is not None,
        oid=found.oid if found else 0,
        owner=found.owner if found else "",
        owned=found is not None and (found.owned or superuser),
        template=found is not None and found.template,
        allows_connections=found is not None and found.allows_connections,
        comment=found.comment if found else DatabaseComment(),
        size=databases.database_size(sessions.any, found.oid) if found else 0,
        empty=sessions.live is not None and target_facts.is_empty(sessions.live),
        # hostaddr decides where a connection goes, whatever the host is called.
        hosts=(*(host for host, _port in sessions.login.hosts), *filter(None, dict(sessions.login.parameters).get("hostaddr", "").split(","))),
        server=_without_the_session_s_own(server),
        capabilities=Capabilities(superuser, createdb, sessions.maintenance.login.database if sessions.maintenance else None, sessions.problem),
        newest_table=target_facts.read_newest_table(sessions.live) if sessions.live else 0,
        schemas=target_facts.read_schemas(sessions.live) if sessions.live else "",
        free_disk=available_disk if available_disk is not None else target_facts.read_free_disk(sessions.any),
        replication_slots=slots,
        subscriptions=subscriptions,
        prepared_transactions=prepared,
    )


def require_same_target(sessions: RestoreSessions, target: Target) -> ServerDatabase | None:
    """Return the target as it is now; raise when its name means another database than it did when the plan was made."""
    found = databases.find_database(sessions.any, target.database)
    if (found.oid if found else 0) != target.oid:
        raise DatabaseError(
            f"The name {target.database} means another database now than when this run began: somebody renamed, dropped or created it. "
            "Nothing was exchanged. Look at the server, and run again."
        )
    if found and found.comment.environment != target.comment.environment:
        raise DatabaseError(
            f"The database {target.database} was tagged {found.comment.environment or 'with nothing'} while this run was at work; it was planned for "
            f"{target.comment.environment or 'an untagged one'}. Nothing was exchanged. Check the target, and run again."
        )
    return found


def _without_the_session_s_own(server: ServerFacts) -> ServerFacts:
    """Return the facts without those that are about the database of the session that was asked."""
    return dataclasses.replace(server, database="", database_oid=0, size=0)
