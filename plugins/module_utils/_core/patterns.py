# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The name patterns of pg_dump's ``--table`` and ``--schema`` options, as regular expressions for the server.

Source of the rules: "Patterns" in the psql reference page. They are repeated here only to look at privileges before anything starts;
what was dumped is read from the archive itself.
"""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

_SPECIAL = re.compile(r"[][|*+?()^$.{}\\]")


@dataclasses.dataclass(frozen=True)
class NamePattern:
    """A pattern's anchored regular expressions; ``schema`` is None when the pattern names none (then the search path decides)."""

    schema: str | None
    name: str


def parse_pattern(pattern: str, option: str, *, qualified: bool) -> NamePattern:
    """Read one pattern; ``qualified`` says whether it may name a schema before a dot."""
    parts: list[str] = [""]
    quoted = False
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == '"':
            if quoted and pattern[position + 1 : position + 2] == '"':
                parts[-1] += '"'
                position += 1
            else:
                quoted = not quoted
        elif quoted:
            parts[-1] += _SPECIAL.sub(lambda found: "\\" + found[0], char)
        elif char == "*":
            parts[-1] += ".*"
        elif char == "?":
            parts[-1] += "."
        elif char == ".":
            parts.append("")
        elif char == "$":
            parts[-1] += r"\$"
        elif pattern.startswith("[]", position):
            # pg_dump takes it for the name of an array type, never for an empty set.
            parts[-1] += r"\["
        else:
            # Only these letters are folded in an encoding of several bytes, by PostgreSQL and pg_dump alike.
            parts[-1] += char.lower() if char.isascii() else char
        position += 1
    if quoted:
        raise BackupError(f"{option} holds the pattern {pattern!r}, whose double quote is never closed. Close it, or double it to mean itself.")
    if any(not part for part in parts):
        raise BackupError(f"{option} holds the pattern {pattern!r}, which names nothing on one side of a dot. Write schema.table, or quote the dot.")
    if len(parts) > (2 if qualified else 1):
        raise BackupError(
            f"{option} holds the pattern {pattern!r}, which has too many dots. "
            + ("Write schema.table; the database is given by database." if qualified else "Write a schema's name; quote a dot that belongs to it.")
        )
    return NamePattern(_anchored(parts[0]) if len(parts) == 2 else None, _anchored(parts[-1]))


def _anchored(expression: str) -> str:
    return f"^({expression})$"
