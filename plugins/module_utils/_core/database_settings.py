# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Settings of a database (``ALTER DATABASE ... SET``): which of their values may be shown and recorded.

Applications keep secrets in parameters of their own, whose names have a dot, such as ``app.jwt_secret``. The value of one is nobody's business but the
server's and the archive's; that there is such a setting is told.
"""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import printable

HIDDEN = "hidden"
"""The key of an entry under which the names of parameters are whose values were left out."""


def without_secrets(properties: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return a database's properties, as read or as recorded, with the names alone of those settings whose values are not told."""
    if "settings" not in properties:
        return dict(properties)
    return {**properties, "settings": [_told(entry) for entry in properties["settings"]]}


def hidden_settings(properties: t.Mapping[str, t.Any]) -> list[tuple[str | None, str]]:
    """Return role (None: all) and parameter of each setting whose value was left out."""
    return [(entry["role"], parameter) for entry in properties.get("settings", ()) for parameter in entry.get(HIDDEN, ())]


def _told(entry: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    shown = [text for text in entry["settings"] if _may_be_told(text)]
    hidden = [text.partition("=")[0] for text in entry["settings"] if not _may_be_told(text)]
    return {**entry, "settings": shown, HIDDEN: [*entry.get(HIDDEN, ()), *hidden]}


def _may_be_told(text: str) -> bool:
    # What is no text would be another value when it is printed.
    return "." not in text.partition("=")[0] and printable(text) == text
