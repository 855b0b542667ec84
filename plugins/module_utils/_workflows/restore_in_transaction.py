# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Placeholder while being written."""

from __future__ import annotations

import typing as t


def schema_swap_obstacles(session: t.Any, opened: t.Any) -> list[str]:
    return ["not built yet"]


def in_place_obstacles(session: t.Any, opened: t.Any, *, allow_residue: bool) -> list[str]:
    return ["not built yet"]


def restore_in_transaction(*a: t.Any, **k: t.Any) -> t.Any:
    raise NotImplementedError
