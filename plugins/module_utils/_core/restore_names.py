# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What the databases and schemas of a restore are called: the target's name, a letter for the part, eight digits of the restore's id."""

from __future__ import annotations

import re
import typing as t

Part = t.Literal["shadow", "previous", "rejected"]

# PostgreSQL cuts longer names without an error, and the cut name could be the live database's own.
LONGEST_NAME = 63
_LETTERS: dict[Part, str] = {"shadow": "r", "previous": "p", "rejected": "x"}
_SUFFIX = re.compile(r"__[rpx]_[0-9a-f]{8}")


def beside(name: str, part: Part, restore_id: str) -> str:
    """Return the name of a restore's part: never longer than a name may be, never the target's own."""
    suffix = f"__{_LETTERS[part]}_{restore_id.replace('-', '')[:8]}"
    base = name.encode()[: LONGEST_NAME - len(suffix)].decode(errors="ignore")
    return base + suffix


def is_beside(candidate: str, name: str, part: str) -> bool:
    """Say whether a name could be that part of some restore of this target."""
    suffix = candidate[-12:]
    return part in _LETTERS and bool(_SUFFIX.fullmatch(suffix)) and beside(name, part, suffix[-8:]) == candidate
