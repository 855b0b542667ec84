# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Advisory locks: what keeps two runs from working on one database at a time. They end with their session, however that ends."""

from __future__ import annotations

import dataclasses
import hashlib

from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.shared_text import bytes_of, decoded_name

# Any fixed number serves, as long as every run uses the same; advisory locks are per database by nature.
_CLASS = 1466906190
_BACKUP = 20260108

_HOLDERS = f"""
SELECT a.pid, {bytes_of("a.usename")}, a.application_name,
       pg_catalog.host(a.client_addr), pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a USING (pid)
 WHERE l.locktype = 'advisory' AND l.classid::bigint = %(class)s AND l.objid::bigint = %(object)s AND l.objsubid = 2 AND l.granted
   AND l.pid <> pg_catalog.pg_backend_pid()
"""
_OF_THIS_DATABASE = " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"


@dataclasses.dataclass(frozen=True)
class Lock:
    """One thing that one run at a time may do; ``number`` is a positive 31 bit integer."""

    number: int


BACKUP = Lock(_BACKUP)
"""Backing up the database that the session is connected to."""


def restore_lock(database: str) -> Lock:
    """Return the lock of restoring into a database of this name, which need not exist; it is taken in whichever database a run can reach."""
    return Lock(int.from_bytes(hashlib.sha256(f"restore {database}".encode()).digest()[:4], "big") >> 1)


def try_lock(session: Session, lock: Lock) -> bool:
    """Take a lock if nobody has it."""
    return bool(session.row("SELECT pg_catalog.pg_try_advisory_lock(%(class)s, %(object)s)", _parameters(lock))[0])


def lock_holder(session: Session, lock: Lock) -> str:
    """Say who else holds a lock of the session's database, as far as this role may see."""
    return _described(session, _HOLDERS + _OF_THIS_DATABASE, lock) or "a session that has just ended"


def holder_anywhere(session: Session, lock: Lock) -> str | None:
    """Say who else holds a lock of this kind in any database of the server; None if nobody does.

    Two runs that took it in different databases both hold it. Each that looks after it has taken its own sees the other.
    """
    return _described(session, _HOLDERS, lock)


def _described(session: Session, query: str, lock: Lock) -> str | None:
    holders = session.rows(query, _parameters(lock))
    if not holders:
        return None
    pid, user, application, address, since = holders[0]
    return (
        f"server process {pid}, role {decoded_name(session, user) if user else 'unknown'}, {application or 'no application name'}, "
        f"from {address or 'the local socket'}, since {since or 'unknown'}"
    )


def _parameters(lock: Lock) -> dict[str, int]:
    return {"class": _CLASS, "object": lock.number}
