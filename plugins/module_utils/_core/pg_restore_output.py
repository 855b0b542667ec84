# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What pg_restore prints when it goes on after an error: whether all that went wrong is known to mean nothing."""

from __future__ import annotations

import re
import typing as t

_ERROR = "error: "
_UNKNOWN_PARAMETER = 'unrecognized configuration parameter "transaction_timeout"'
# What follows an error in other lines is the statement, or the row that it was about.
_OF_THE_PROGRAM = re.compile(r"(pg_restore: )?(error|warning|from TOC entry|while |hint)\b")
_IGNORED = re.compile(r"warning: errors ignored on restore: (?P<count>\d+)")
# Its own session sets the timeout, and again when it takes over from its jobs; what the sessions of the jobs begin with it prints but does not count.
_COUNTED_AT_MOST = 2


def is_only_about_unknown_parameter(messages: t.Sequence[str]) -> bool:
    """Say whether every error was that an older server does not know a timeout which newer client programs set, and nothing else went wrong.

    An error about anything in the archive would be printed, and counted on top. Jobs share the output and can write into each other's lines.
    """
    errors = [message for message in messages if _ERROR in message]
    counted = [int(found["count"]) for message in messages if (found := _IGNORED.match(message))]
    if not errors or not all(_UNKNOWN_PARAMETER in message for message in errors) or len(counted) != 1:
        return False
    return 1 <= counted[0] <= min(_COUNTED_AT_MOST, len(errors))


def telling(messages: t.Iterable[str]) -> list[str]:
    """Return the messages without those that are known to mean nothing, and without statements and rows of the archive, which may hold secrets."""
    return [message for message in messages if _OF_THE_PROGRAM.match(message) and _UNKNOWN_PARAMETER not in message]
