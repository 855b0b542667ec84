# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What must be true before a backup starts, and the sentence for each thing that is not."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name, quote_if_needed

MAXIMUM_CLOCK_SKEW = 300
_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class ServerFacts:
    """What the server says of itself and of this connection. ``lock_slots`` is how many object locks its shared table is made for."""

    version_num: int
    version: str
    database: str
    database_oid: int
    user: str
    superuser: bool
    in_recovery: bool
    system_identifier: str | None
    size: int
    lock_slots: int
    clock_skew: float
    pooled: bool
    address: str
    port: int
    ssl: bool

    @property
    def major(self) -> int:
        return self.version_num // 10000


@dataclasses.dataclass(frozen=True)
class Relation:
    """A table-like object or sequence. ``kind`` is pg_class.relkind, ``persistence`` is relpersistence (p, u or t).

    ``excluded_by`` names the option that leaves out the object (or only its rows: ``exclude_table_data``), ``extension`` its owner.
    """

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    extension: str | None
    excluded_by: str | None
    readable: bool
    schema_usable: bool
    row_security: bool

    @property
    def full_name(self) -> str:
        return qualified_name(self.schema, self.name)


def pooler_refusal(facts: ServerFacts, hint: str | None) -> str | None:
    """Refuse a connection pooler: the exported snapshot would belong to a backend that pg_dump never meets."""
    if not facts.pooled and not hint:
        return None
    why = hint or "it gives one server process to several connections"
    return (
        f"The connection goes through a connection pooler ({why}), through which a consistent snapshot cannot be shared with pg_dump. "
        "Set database_url or login_host and login_port to the server's direct address (Prisma users have it as DIRECT_URL)."
    )


def privilege_refusals(relations: t.Sequence[Relation], unreadable_large_objects: int, user: str) -> list[str]:
    """Name everything in the selection that this role may not read; pg_dump would stop at the first."""
    wanted = [relation for relation in relations if _must_be_read(relation)]
    refusals = []
    schemas = sorted({relation.schema for relation in wanted if not relation.schema_usable})
    if schemas:
        refusals.append(
            f"The role {user} has no USAGE on {some('schema', [quote_if_needed(name) for name in schemas])}. "
            f"Grant it (GRANT USAGE ON SCHEMA ... TO {quote_if_needed(user)}), or leave the schemas out with exclude_schemas."
        )
    tables = [relation.full_name for relation in wanted if relation.schema_usable and not relation.readable and relation.kind != "S"]
    if tables:
        refusals.append(
            f"The role {user} has no SELECT on {some('table', tables)}. "
            f"Grant it (on PostgreSQL 14 and newer: GRANT pg_read_all_data TO {quote_if_needed(user)}), or leave the tables out with exclude_tables."
        )
    sequences = [relation.full_name for relation in wanted if relation.schema_usable and not relation.readable and relation.kind == "S"]
    if sequences:
        refusals.append(f"The role {user} has no SELECT on {some('sequence', sequences)}. Grant it, or leave the sequences out with exclude_tables.")
    secured = [relation.full_name for relation in wanted if relation.readable and relation.row_security]
    if secured:
        refusals.append(
            f"Row security hides rows of {some('table', secured)} from the role {user}, so a backup would be incomplete. "
            f"Use the owner or a role with BYPASSRLS (ALTER ROLE {quote_if_needed(user)} BYPASSRLS), or leave the tables out with exclude_tables."
        )
    if unreadable_large_objects:
        refusals.append(
            f"The role {user} may not read {unreadable_large_objects} large object(s). "
            f"Grant SELECT ON LARGE OBJECT to {quote_if_needed(user)}, or use their owner or a superuser."
        )
    return refusals


def lock_refusal(relations: t.Sequence[Relation], facts: ServerFacts) -> str | None:
    """Refuse what the server's lock table cannot hold: pg_dump locks every table at once and would fail half-way through.

    The table has slack in practice, so only twice its nominal size is refused.
    """
    count = sum(1 for relation in relations if _must_be_read(relation) and relation.kind in "rp")
    if count <= facts.lock_slots * 2:
        return None
    return (
        f"The database has {count} tables to lock, and the server's lock table is made for {facts.lock_slots}. "
        "Raise max_locks_per_transaction on the server, or back the schemas up one by one with schemas."
    )


def clock_deviation(skew: float | None, whose: str, maximum: float = MAXIMUM_CLOCK_SKEW) -> str | None:
    """Say how far this host's clock is off, as the beginning of a sentence; nothing where it is right, or cannot be compared."""
    if skew is None or abs(skew) <= maximum:
        return None
    direction = "ahead of" if skew < 0 else "behind"
    return f"This host's clock is {abs(skew):.0f} seconds {direction} {whose}"


def clock_refusal(skew: float | None, whose: str) -> str | None:
    """Refuse a clock that is off by more than five minutes: names, ages and retention would be wrong."""
    deviation = clock_deviation(skew, whose)
    return deviation and f"{deviation}. Correct the clock (NTP) before taking backups: names and ages come from it."


def omissions(relations: t.Sequence[Relation], dumped: t.Collection[int], in_recovery: bool) -> tuple[list[dict[str, str]], list[str]]:
    """Compare the catalog with the archive: ``(omitted, unexplained)``.

    ``omitted`` has one entry ``{"kind", "name", "reason"}`` for each object whose rows are not in the archive; ``unexplained`` names the tables
    for which no reason is known, which the caller must treat as a failed backup.
    """
    omitted: list[dict[str, str]] = []
    unexplained: list[str] = []
    for relation in relations:
        if relation.oid in dumped or relation.kind in "pS":
            continue
        reason = _reason(relation, in_recovery)
        if reason:
            omitted.append({"kind": _KINDS[relation.kind], "name": relation.full_name, "reason": reason})
        else:
            unexplained.append(relation.full_name)
    return omitted, unexplained


def omitted_by_messages(messages: t.Sequence[str]) -> list[dict[str, str]]:
    """Return the omissions that pg_dump only warns about, so that a warning nobody reads becomes a fact of the backup."""
    return [
        {"kind": "subscription", "name": "all", "reason": "pg_dump leaves subscriptions out for a role that is not a superuser"}
        for message in messages
        if "subscriptions not dumped" in message
    ]


def leaves_out_all(omission: t.Mapping[str, str]) -> bool:
    """Say whether an omission of a manifest is of an object that somebody chose to leave out as a whole."""
    return omission["reason"].startswith(_LEFT_OUT)


def leaves_out_rows(omission: t.Mapping[str, str]) -> bool:
    """Say whether an omission of a manifest is of a table that had rows of its own, and of which only the definition is in the archive."""
    return omission["reason"].startswith((_ROWS_LEFT_OUT, _UNLOGGED))


_KINDS = {"r": "table", "f": "foreign table", "m": "materialized view"}
# Manifests hold the sentences that begin so.
_LEFT_OUT = "left out by "
_ROWS_LEFT_OUT = "its rows are left out by "
_UNLOGGED = "unlogged: "


def _reason(relation: Relation, in_recovery: bool) -> str | None:
    if relation.persistence == "t":
        return "temporary: it belongs to a running session"
    if relation.extension:
        return f"belongs to the extension {relation.extension}, which creates it again"
    if relation.excluded_by == "exclude_table_data":
        return f"{_ROWS_LEFT_OUT}{relation.excluded_by}; its definition is in the archive"
    if relation.excluded_by:
        return f"{_LEFT_OUT}{relation.excluded_by}"
    if relation.kind == "f":
        return "its rows are on a foreign server; its definition is in the archive"
    if relation.kind == "m":
        return "not stored: a restore computes it again from its query"
    if relation.persistence == "u" and in_recovery:
        return f"{_UNLOGGED}a standby has none of its rows; its definition is in the archive"
    return None


def _must_be_read(relation: Relation) -> bool:
    """Say whether pg_dump locks or reads the object; leaving out only the rows of a table still locks it."""
    if relation.persistence == "t" or relation.extension or relation.kind not in "rpS":
        return False
    return relation.excluded_by in (None, "exclude_table_data")


def some(noun: str, names: t.Sequence[str]) -> str:
    """Name a few of many things of one kind in a sentence."""
    return f"{noun if len(names) == 1 else f'{len(names)} {noun}s:'} {few(names)}"


def few(names: t.Sequence[str]) -> str:
    """Name a few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
