# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Before schemas change their names: wait until nobody is in the middle of using what is in them.

A rename waits for nobody. A statement that has found one of its tables under the old name would find the next under the new one, and what a
transaction has written but not committed would go, after a successful answer, into the tables that were put aside.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import schemas
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

# Less than the server's deadlock_timeout (1 s): where two wait for each other it is always this side that gives way, and never with an error for the other.
_LOCK_TIMEOUT_MS = 300
_SECONDS_BETWEEN_TRIES = 0.3
_INSUFFICIENT_PRIVILEGE = "42501"
_WORTH_ANOTHER_TRY = ("55P03", "40P01")


def lock_out_users(session: Session, names: t.Collection[str], seconds: int, check: t.Callable[[], None] = lambda: None) -> None:
    """Lock what the schemas hold until the transaction ends; raise ``DatabaseError`` if somebody holds on to it for ``seconds``.

    ``check`` is called between the tries and may raise. What is not this role's, or cannot be locked (functions, materialized views), is not waited for.
    """
    deadline = time.monotonic() + seconds
    views = True
    session.execute("SAVEPOINT before_the_locks")
    while True:
        session.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
        try:
            schemas.lock_relations(session, names, views=views)
            break
        except DatabaseError as error:
            state = error.details.get("sqlstate")
            if state == _INSUFFICIENT_PRIVILEGE and views:
                views = False
            elif state not in _WORTH_ANOTHER_TRY or time.monotonic() > deadline:
                raise
        # Takes the locks back, too, which lets those pass who wait for them.
        session.execute("ROLLBACK TO SAVEPOINT before_the_locks")
        time.sleep(_SECONDS_BETWEEN_TRIES)
        check()
    session.execute(f"SET LOCAL lock_timeout = {seconds * 1000}")
