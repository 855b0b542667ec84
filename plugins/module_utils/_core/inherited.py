# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The properties of a database that does not exist yet: those of the backup's source, as far as this server has the roles that they name."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import parse_acl


def inherited_properties(recorded: t.Mapping[str, t.Any], owner: str, roles: t.Collection[str]) -> tuple[dict[str, t.Any], list[str]]:
    """Return the properties to give to a new database of this owner, and sentences about what of the recorded ones has no role here.

    ``recorded`` are the source's, as a manifest holds them (empty: there is no manifest).
    """
    notes = []
    acl = recorded.get("acl")
    if acl is not None:
        kept = [item for item in acl if all(grant.grantee is None or grant.grantee in roles for grant in parse_acl([item]) or ())]
        if len(kept) < len(acl):
            notes.append("Some privileges on the source database were of roles that this server does not have, and were left out.")
        acl = kept
    settings = [entry for entry in recorded.get("settings", ()) if entry["role"] is None or entry["role"] in roles]
    if len(settings) < len(recorded.get("settings", ())):
        notes.append("Some settings of the source database were of roles that this server does not have, and were left out.")
    limit = recorded.get("connection_limit")
    return {"owner": owner, "acl": acl, "settings": settings, "connection_limit": -1 if limit is None else limit}, notes
