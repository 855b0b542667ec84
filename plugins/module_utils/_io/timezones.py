# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Time zones by name, from this host's time zone database."""

from __future__ import annotations

import datetime as dt
import zoneinfo

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError


def find_timezone(name: str) -> dt.tzinfo:
    """Return the zone of this name; UTC needs no database."""
    if name == "UTC":
        return dt.timezone.utc
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BackupError(
            f"timezone is {name!r}, which the time zone database of this host does not have. Set it to a name such as Europe/Berlin or UTC, or install tzdata."
        ) from error
