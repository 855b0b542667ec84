# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Set or take away a database's environment tag: look, refuse, write, in one transaction. Check mode stops before the write."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import check_server_version
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.environment import (
    EnvironmentChange,
    EnvironmentRequest,
    tag_refusal,
    wanted_comment,
    write_refusals,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError, RefusedError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import ServerFacts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, databases
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

# A comment waits for whoever renames the database, copies it or writes its comment; none of them takes long.
_LOCK_WAIT = 5
_LOCK_NOT_AVAILABLE = "55P03"


def change_environment(request: EnvironmentRequest, session: Session, *, check_mode: bool) -> EnvironmentChange:
    """Return the change that was made, or in check mode would be; raise all refusals together.

    A pooler does no harm: everything happens in one transaction, and while it is open nobody can give the database's name to another one.
    """
    server = database_facts.read_server(session)
    check_server_version(server.version_num, server.version)
    # A role or database may have read-only transactions by default; a standby has no others.
    access = "READ ONLY" if check_mode or server.in_recovery else "READ WRITE"
    session.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ {access}")
    session.set_local("search_path", "pg_catalog")
    change = _plan(request, session, server)
    if change.changed and not check_mode:
        _write(change, session)
    session.execute("COMMIT")
    return change


def _plan(request: EnvironmentRequest, session: Session, server: ServerFacts) -> EnvironmentChange:
    database = t.cast(databases.ServerDatabase, databases.find_database(session, server.database))
    found = database.comment
    change = EnvironmentChange(database.name, database_facts.read_database(session)["comment"], found, wanted_comment(found, request))
    refusal = tag_refusal(database.name, found, request)
    refusals = [refusal] if refusal else []
    if change.changed:
        refusals += write_refusals(database.name, database.owner, owned=database.owned, user=server.user, in_recovery=server.in_recovery)
    if refusals:
        raise RefusedError(refusals, database=database.name, environment=found.environment)
    return change


def _write(change: EnvironmentChange, session: Session) -> None:
    session.set_local("lock_timeout", f"{_LOCK_WAIT}s")
    try:
        databases.write_comment(session, change.database, change.after)
    except DatabaseError as error:
        if error.details.get("sqlstate") != _LOCK_NOT_AVAILABLE:
            raise
        raise DatabaseError(
            f"The comment of the database {change.database} could not be written within {_LOCK_WAIT} seconds, because another session renames the database, "
            "copies it or writes its comment. Nothing was changed. Run again when that is done."
        ) from error
