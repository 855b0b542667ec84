# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What stands in the way of a deletion in a bucket, and what a deletion leaves behind there."""

from __future__ import annotations

import dataclasses
import datetime as dt

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time


@dataclasses.dataclass(frozen=True)
class ObjectLock:
    """What a bucket with Object Lock says of one object."""

    mode: str | None
    until: dt.datetime | None
    legal_hold: bool

    def reason(self, now: dt.datetime) -> str | None:
        """Return why the object may not be deleted now, or None."""
        if self.legal_hold:
            return "It is under a legal hold."
        if self.mode and self.until and self.until > now:
            return f"It is locked until {format_time(self.until)} ({self.mode})."
        return None


@dataclasses.dataclass(frozen=True)
class HiddenVersion:
    """A version behind a delete marker, or (``marker``) such a marker itself."""

    key: str
    version_id: str
    size: int
    modified: dt.datetime
    marker: bool
