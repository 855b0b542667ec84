# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Fingerprints of tables and large objects, read in the snapshot that the archive is made from."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress

# Each batch is a transaction of its own, so that the locks of 10,000 tables are never held at once on top of pg_dump's.
_BATCH = 200


def read_fingerprints(
    session: Session,
    snapshot: str | None,
    method: fingerprint.Method,
    oids: t.Collection[int],
    lock_wait_timeout: int,
    progress: Progress,
) -> dict[str, fingerprint.TableFingerprint]:
    """Return ``{qualified name: fingerprint}`` of the tables with these OIDs."""
    found: dict[str, fingerprint.TableFingerprint] = {}
    wanted = sorted(oids)
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        with session.shared_snapshot(snapshot, lock_wait_timeout):
            rows = session.rows(fingerprint.COLUMNS_QUERY, {"oids": batch})
            for table in fingerprint.tables_from_rows(rows):
                count, content = session.row(fingerprint.table_statement(table, method))
                found[qualified_name(table.schema, table.name)] = fingerprint.TableFingerprint(int(count), content)
                progress("fingerprint", len(found), len(wanted))
            # pg_dump's locks may be gone by now; our own hold until the end of the batch.
            require_not_rewritten(session, batch)
    return found


def require_not_rewritten(session: Session, oids: t.Collection[int]) -> None:
    """Fail when rows of the snapshot are gone: TRUNCATE and rewriting ALTER TABLE heed no snapshot, and would look like an empty table."""
    gone = database_facts.find_rewritten(session, oids)
    if gone:
        raise VerificationError(
            f"While it was read, {', '.join(gone[:10])} was truncated or rewritten, so its rows of the snapshot are gone. Run again when that work is done."
        )


def read_large_objects(session: Session, snapshot: str | None, method: fingerprint.Method, lock_wait_timeout: int, progress: Progress) -> dict[str, t.Any]:
    """Return ``{"count", "content"}`` of all large objects."""
    count, total, last = 0, 0, 0
    statement = fingerprint.large_objects_statement(method)
    while True:
        progress("large objects", count, 0)
        with session.shared_snapshot(snapshot, lock_wait_timeout):
            batch, content, reached = session.row(statement, {"after": last})
        if not batch:
            break
        count, total, last = count + int(batch), total + int(content or 0), int(reached)
    return {"count": count, "content": str(total) if method in ("record", "text") else None}
