# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""How large the parts of an upload must be, and how many connections work at a time, decided before the first byte is sent."""

from __future__ import annotations

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

MIB = 1024 * 1024
MINIMUM_PART_SIZE = 5 * MIB
DEFAULT_PART_SIZE = 8 * MIB
MAXIMUM_PART_SIZE = 5 * 1024 * MIB
# Every S3 server allows 10,000 parts at most; parts stay equal because some stores demand it, so the size is chosen up front.
MAXIMUM_PARTS = 10_000
# An estimate from the database's size can be wrong; an archive twice as large as the estimate must still fit.
_HEADROOM = 2
_MOST_JOBS = 8
# Of the connections that nobody uses: the applications of the server's other databases, and of the live one, go on and open more.
_SHARE_FOR_JOBS = 3


def choose_part_size(estimated_bytes: int, wanted: int | None = None) -> int:
    """Return the bytes of one part: as wanted, else 8 MiB or the smallest whole MiB with which twice the estimate fits into 10,000 parts."""
    if wanted is not None:
        if not MINIMUM_PART_SIZE <= wanted <= MAXIMUM_PART_SIZE:
            raise BackupError(f"part_size is {wanted} bytes; S3 takes parts of 5 MiB to 5 GiB. Set part_size to a size between these, or leave it out.")
        return wanted
    needed = -(-estimated_bytes * _HEADROOM // MAXIMUM_PARTS)
    return min(MAXIMUM_PART_SIZE, max(DEFAULT_PART_SIZE, -(-needed // MIB) * MIB))


def largest_archive(part_size: int) -> int:
    """Return the bytes of the largest archive that parts of this size can hold."""
    return part_size * MAXIMUM_PARTS


def default_jobs(processors: int, free_connections: int) -> int:
    """Return how many connections load and prove at a time where nobody said so; ``free_connections`` are those that this role could open now."""
    return max(1, min(processors, _MOST_JOBS, free_connections // _SHARE_FOR_JOBS))


def human_size(size: float) -> str:
    """Write a size in bytes for people, in binary units."""
    if size < 1024:
        return f"{int(size)} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
