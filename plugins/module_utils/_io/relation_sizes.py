# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Questions about the room that relations take on the server's disk."""

from __future__ import annotations

from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

# Null where the table has gone since the transaction's snapshot.
_TABLE_SIZES = """
SELECT c.oid::bigint, pg_catalog.pg_table_size(c.oid), pg_catalog.pg_indexes_size(c.oid)
  FROM pg_catalog.pg_class AS c WHERE c.relkind = 'r'
"""


def read_table_sizes(session: Session) -> dict[int, dict[str, int]]:
    """Return ``{oid: {"size", "index_size"}}`` of every table in bytes; the size is that of its rows, those kept out of line included."""
    return {oid: {"size": int(size or 0), "index_size": int(indexes or 0)} for oid, size, indexes in session.rows(_TABLE_SIZES)}
