# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What is told of a live database: which tables it takes in, what keeps a role from reading them, and the facts as plain data."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Collection, Sequence

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.comparison import Comparison
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import read_comment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_settings import without_secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import quote_if_needed
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation, ServerFacts, some
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Content
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target, swap_obstacles
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size


@dataclasses.dataclass(frozen=True)
class DatabaseInfo:
    """Everything that was read, in one snapshot. ``properties``, ``extensions``, ``roles`` and ``omitted`` are as in a manifest.

    ``target`` is the same database as a restore sees it. ``tables`` are those in ``content``, also where no row of them was read; ``sizes`` are by their
    names.
    """

    server: ServerFacts
    target: Target
    snapshot_at: str
    properties: dict[str, t.Any]
    method: fingerprint.Method
    tables: tuple[str, ...]
    sizes: dict[str, dict[str, int]]
    content: Content
    extensions: dict[str, str]
    roles: tuple[str, ...]
    omitted: tuple[dict[str, str], ...]
    comparison: Comparison | None
    checks: tuple[CheckResult, ...]


def tables_of(relations: Sequence[Relation], backed_up: Collection[str], *, in_recovery: bool) -> list[Relation]:
    """Return the tables whose rows a backup would hold, and those that one held (an extension may have its own dumped)."""
    return [
        relation
        for relation in relations
        if relation.kind == "r"
        and relation.persistence != "t"
        and not (relation.persistence == "u" and in_recovery)
        and (not relation.extension or relation.full_name in backed_up)
    ]


def reading_refusals(
    tables: Sequence[Relation], sequences: Sequence[Relation], unreadable_large_objects: int, user: str, method: fingerprint.Method
) -> list[str]:
    """Name everything that this role may not read as closely as it was asked to."""
    if method == "none":
        return []
    refusals = []
    relations = [*tables, *sequences]
    schemas = sorted({quote_if_needed(relation.schema) for relation in relations if not relation.schema_usable})
    unreadable = {
        "schema": schemas,
        "table": [table.full_name for table in tables if table.schema_usable and not table.readable],
        "sequence": [sequence.full_name for sequence in sequences if sequence.schema_usable and not sequence.readable],
    }
    named = [some(noun, names) for noun, names in unreadable.items() if names]
    if named:
        refusals.append(
            f"The role {user} may not read {'; '.join(named)}. Grant it (on PostgreSQL 14 and newer: GRANT pg_read_all_data TO {quote_if_needed(user)}), "
            "or set fingerprint to none, which reads no rows."
        )
    secured = [table.full_name for table in tables if table.readable and table.row_security]
    if secured:
        refusals.append(
            f"Row security hides rows of {some('table', secured)} from the role {user}, so they cannot be counted. "
            f"Use the owner or a role with BYPASSRLS (ALTER ROLE {quote_if_needed(user)} BYPASSRLS), or set fingerprint to none, which reads no rows."
        )
    if unreadable_large_objects and method != "counts":
        refusals.append(
            f"The role {user} may not read {unreadable_large_objects} large object(s). "
            f"Grant SELECT ON LARGE OBJECT to {quote_if_needed(user)}, use their owner or a superuser, or set fingerprint to counts."
        )
    return refusals


def info_result(info: DatabaseInfo) -> dict[str, t.Any]:
    """Return the facts as a module's result."""
    comment = read_comment(info.properties["comment"])
    return {
        "changed": False,
        "msg": _sentence(info),
        "database": info.server.database,
        "server": _server(info.server),
        "snapshot_at": info.snapshot_at,
        "size": info.server.size,
        "properties": without_secrets(info.properties),
        "environment": comment.environment,
        "counts_as_production": comment.counts_as_production,
        "tag_problem": comment.problem,
        "restore": comment.restore.as_dict() if comment.restore else None,
        "fingerprint": {"recipe": fingerprint.RECIPE, "method": info.method, "server_version": info.server.version},
        "tables": {name: {**_fingerprint(info.content, name), **info.sizes[name]} for name in sorted(info.tables)},
        "sequences": info.content.sequences if info.method != "none" else None,
        "large_objects": info.content.large_objects,
        "extensions": info.extensions,
        "roles": list(info.roles),
        "prisma": info.content.prisma,
        "defects": info.content.defects,
        "omitted": list(info.omitted),
        "capabilities": _capabilities(info),
        "difference": info.comparison.as_dict() if info.comparison else None,
        "checks": [check.as_dict() for check in info.checks],
    }


def require_checks(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the result, or raise it as a failed one that names the checks which failed."""
    failed = [check for check in result["checks"] if not check["passed"]]
    if failed:
        facts = {name: value for name, value in result.items() if name != "msg"}
        sentences = " ".join(f"{check['name']}: {check['detail']}" for check in failed)
        raise VerificationError(f"{len(failed)} of {len(result['checks'])} checks of the database {result['database']} failed. {sentences}", **facts)
    return result


def _server(server: ServerFacts) -> dict[str, t.Any]:
    return {
        "host": server.address,
        "port": server.port,
        "version": server.version,
        "version_num": server.version_num,
        "system_identifier": server.system_identifier,
        "database_oid": server.database_oid,
        "role": server.user,
        "tls": server.ssl,
        "clock_skew": round(server.clock_skew, 3),
    }


def _capabilities(info: DatabaseInfo) -> dict[str, t.Any]:
    target = info.target
    return {
        **target.capabilities.as_dict(),
        "owner": target.owned,
        "standby": info.server.in_recovery,
        "pooler": info.server.pooled,
        "free_disk": target.free_disk,
        "replication_slots": list(target.replication_slots),
        "subscriptions": list(target.subscriptions),
        "prepared_transactions": list(target.prepared_transactions),
        "swap_obstacles": swap_obstacles(target),
    }


def _fingerprint(content: Content, name: str) -> dict[str, t.Any]:
    found = content.tables.get(name)
    return {"rows": found.rows if found else None, "content": found.content if found else None}


def _sentence(info: DatabaseInfo) -> str:
    comment = read_comment(info.properties["comment"])
    count = f"{len(info.tables)} {'table' if len(info.tables) == 1 else 'tables'}"
    if info.method != "none":
        count = f"{count} with {sum(found.rows for found in info.content.tables.values())} rows"
    tag = "an unreadable environment tag" if comment.problem else comment.environment or "no environment tag"
    told = f"The database {info.server.database} (PostgreSQL {info.server.version}, {tag}) holds {count} in {human_size(info.server.size)}."
    if info.comparison:
        told = f"{told} {info.comparison.sentence()}"
    if info.checks:
        told = f"{told} {sum(1 for check in info.checks if check.passed)} of {len(info.checks)} checks passed."
    return told
