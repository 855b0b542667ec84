# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Where a restore goes: what is known of the target database, its server and this role's rights, and which strategies they allow."""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import RefusedError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import ServerFacts, some

Strategy = t.Literal["swap", "schema_swap", "in_place"]


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """What this role may do on the server. ``maintenance_database`` is another database that it can connect to, ``maintenance_problem`` why there is none."""

    superuser: bool
    createdb: bool
    maintenance_database: str | None
    maintenance_problem: str | None

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Target:
    """The database restored into, existing or not.

    ``empty`` says that it holds no object of anybody, so that nothing can be lost. ``size`` is in bytes, ``free_disk`` what its server's disk has free
    where that can be known. ``newest_table`` is the highest OID of its tables, ``schemas`` the OIDs of its schemas, each with the transaction that last
    changed it. The last three name what would stay behind with a renamed database.
    """

    database: str
    exists: bool
    oid: int
    owner: str
    owned: bool
    template: bool
    allows_connections: bool
    comment: DatabaseComment
    size: int
    empty: bool
    hosts: tuple[str, ...]
    server: ServerFacts
    capabilities: Capabilities
    free_disk: int | None = None
    newest_table: int = 0
    schemas: str = ""
    replication_slots: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    prepared_transactions: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Return eight digits that mean this database on this server as it is until the next restore: not the one that bears its name afterwards,
        nor the same one when a restore was rolled back."""
        mark = self.comment.restore
        facts = (self.server.system_identifier, self.server.address, self.server.port, self.database, self.oid, mark and (mark.restore_id, mark.since))
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]

    @property
    def inner_fingerprint(self) -> str:
        """Return eight digits that also tell the database before a restore within it from the one after: that makes every table anew, or schemas change
        their names, which no rollback makes undone."""
        return hashlib.sha256(repr((self.fingerprint, self.newest_table, self.schemas)).encode()).hexdigest()[:8]

    def as_dict(self) -> dict[str, t.Any]:
        """Return the target for people and later tasks."""
        return {
            "database": self.database,
            "exists": self.exists,
            "oid": self.oid or None,
            "owner": self.owner or None,
            "environment": self.comment.environment,
            "host": self.server.address,
            "port": self.server.port,
            "server_version": self.server.version,
            "role": self.server.user,
            "size": self.size,
            "free_disk": self.free_disk,
            "fingerprint": self.fingerprint,
            "capabilities": self.capabilities.as_dict(),
        }


@dataclasses.dataclass(frozen=True)
class ChosenStrategy:
    """How the content gets into the target, and why in this way."""

    name: Strategy
    why: str


def swap_obstacles(target: Target) -> list[str]:
    """Return what keeps this role from loading a second database and exchanging the names."""
    obstacles = []
    if target.capabilities.maintenance_database is None:
        obstacles.append(f"no other database of the server can be reached to rename from ({target.capabilities.maintenance_problem})")
    if not target.capabilities.superuser and not target.capabilities.createdb:
        obstacles.append(f"the role {target.server.user} has no CREATEDB")
    if target.exists and not target.owned:
        obstacles.append(f"the role {target.server.user} does not own the database {target.database} (its owner is {target.owner})")
    return obstacles


def choose_strategy(wanted: str, target: Target, schema_obstacles: t.Callable[[], list[str]], in_place_obstacles: t.Callable[[], list[str]]) -> ChosenStrategy:
    """Return the strategy to use, or refuse with what is in the way of each.

    ``auto`` prefers the swap, then the schema swap, then the restore in place. The obstacles of the latter two are asked for only when they matter.
    """
    swap = swap_obstacles(target)
    if wanted == "swap" or (wanted == "auto" and not target.exists):
        if swap:
            raise RefusedError([f"The swap is not possible: {'; '.join(swap)}. Use a role that can{'' if not target.exists else ', or set strategy to auto'}."])
        return ChosenStrategy("swap", "asked for" if wanted == "swap" else "the database does not exist yet")
    if not target.exists:
        raise RefusedError([f"strategy is {wanted}, but the database {target.database} does not exist. Set strategy to swap or auto, which create it."])
    if wanted == "auto" and not swap:
        return ChosenStrategy("swap", f"the role {target.server.user} may create a database and rename this one")
    because = f"no swap, because {'; '.join(swap)}"
    schema = schema_obstacles() if wanted != "in_place" else []
    if wanted == "schema_swap" or (wanted == "auto" and not schema):
        if schema:
            raise RefusedError([f"The schema swap is not possible: {'; '.join(schema)}. Set strategy to auto or in_place, or remove what is in the way."])
        return ChosenStrategy("schema_swap", "asked for" if wanted == "schema_swap" else because)
    in_place = in_place_obstacles()
    if not in_place:
        return ChosenStrategy("in_place", "asked for" if wanted == "in_place" else f"{because}; no schema swap, because {'; '.join(schema)}")
    if wanted == "in_place":
        raise RefusedError([f"The restore in place is not possible: {'; '.join(in_place)}."])
    raise RefusedError(
        [
            (
                f"No strategy is possible with the role {target.server.user}. Swap: {'; '.join(swap)}. Schema swap: {'; '.join(schema)}. "
                f"In place: {'; '.join(in_place)}. Best use a role that owns the database and has CREATEDB."
            )
        ]
    )


def left_behind(target: Target) -> str | None:
    """Name what belongs to the database's OID and would not follow its name."""
    things = []
    if target.replication_slots:
        things.append(some("replication slot", target.replication_slots))
    if target.subscriptions:
        things.append(some("subscription", target.subscriptions))
    return " and ".join(things) or None
