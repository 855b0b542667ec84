# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""To whom restored objects belong and who may use them: as in the archive, with its roles mapped, as in the live database, or to whoever restores."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

Mode = t.Literal["archive", "mapped", "live", "operator"]


@dataclasses.dataclass(frozen=True)
class Ownership:
    """The way that was chosen, and why in a few words. ``keeps_rights``: no role may lose what it can do in the live database."""

    mode: Mode
    why: str
    keeps_rights: bool = False

    @property
    def with_owners(self) -> bool:
        """Whether pg_restore itself sets owners and privileges."""
        return self.mode == "archive"


@dataclasses.dataclass(frozen=True)
class Roles:
    """``demanded`` are all that the archive names, ``owners`` those of them that own; ``settable`` are those that this role may make owners (None: any)."""

    demanded: frozenset[str]
    owners: frozenset[str]
    existing: frozenset[str]
    settable: frozenset[str] | None

    def missing(self, role_map: t.Mapping[str, str]) -> list[str]:
        """Return the roles, after mapping, that the server does not have."""
        return sorted({role_map.get(role, role) for role in self.demanded} - self.existing)

    def not_settable(self, role_map: t.Mapping[str, str]) -> list[str]:
        """Return the owners, after mapping, that this role may not give objects to."""
        if self.settable is None:
            return []
        return sorted({role_map.get(role, role) for role in self.owners} - self.settable)


def choose_ownership(wanted: str, roles: Roles, role_map: t.Mapping[str, str], *, target_exists: bool) -> Ownership:
    """Return the way to set owners and privileges, or raise the sentence that says which roles are in the way.

    ``auto`` takes those of the archive where every role exists and may be set, else those of the live database; either way no role loses what it may do.
    ``where_possible`` takes those of the archive, too, else gives everything to whoever restores.
    """
    if wanted == "operator":
        return Ownership("operator", "asked for")
    if wanted == "live":
        if not target_exists:
            raise BackupError("ownership is live, but there is no live database to take owners and privileges from. Set ownership to archive or operator.")
        return Ownership("live", "asked for")
    missing, unsettable = roles.missing(role_map), roles.not_settable(role_map)
    if not missing and not unsettable:
        keeps = wanted == "auto" and target_exists
        if role_map:
            return Ownership("mapped", "role_map is set", keeps_rights=keeps)
        return Ownership("archive", "every role of the archive exists here and may be set", keeps_rights=keeps)
    problem = " and ".join(
        part
        for part in (
            f"the server has no role {', '.join(missing)}" if missing else "",
            f"this role may not give objects to {', '.join(unsettable)}" if unsettable else "",
        )
        if part
    )
    if wanted == "where_possible":
        return Ownership("operator", problem)
    if wanted == "auto" and not role_map and target_exists:
        return Ownership("live", f"{problem}, so owners and privileges are those of the live database")
    raise BackupError(
        f"Owners and privileges of the archive cannot be set: {problem}. Create the roles or grant them to the role that restores, map them with role_map, "
        f"or set ownership to {'live or ' if target_exists else ''}operator."
    )
