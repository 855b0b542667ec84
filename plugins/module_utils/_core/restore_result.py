# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a restore returns: the plan or the account as plain data, with one sentence for people and what to run to go back."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.safeguards import human_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size


def backup_facts(address: str, size: int, manifest: Manifest | None, sha256: str) -> dict[str, t.Any]:
    """Return what a result says of the backup that is restored."""
    return {
        "address": address,
        "size": size,
        "sha256": sha256,
        "backup_id": manifest.backup_id if manifest else None,
        "key": manifest.key if manifest else None,
        "name": manifest.name if manifest else None,
        "environment": manifest.environment if manifest else None,
        "snapshot_at": manifest.snapshot_at if manifest else None,
        "manifest": manifest is not None,
        "prisma": manifest.prisma if manifest else None,
    }


def window(snapshot_at: dt.datetime | None, now: dt.datetime) -> dict[str, t.Any] | None:
    """Return the time whose writes are not in the backup."""
    if snapshot_at is None:
        return None
    seconds = max((now - snapshot_at).total_seconds(), 0.0)
    return {"from": format_time(snapshot_at), "to": format_time(now), "seconds": round(seconds), "text": human_duration(seconds)}


def plan_result(facts: dict[str, t.Any], tables: t.Sequence[dict[str, t.Any]] | None) -> dict[str, t.Any]:
    """Return a plan as a module's result in check mode; ``facts`` are those of the result of a restore, as far as they are known before it."""
    target, backup, strategy = facts["target"], facts["backup"], facts["strategy"]
    loss = facts["data_loss_window"]
    steps = {
        "swap": "loaded beside it, proved, and exchanged with it",
        "schema_swap": "loaded into new schemas, proved, and exchanged with the present ones, in one transaction",
        "in_place": "replaced object by object and proved, in one transaction",
    }[strategy["name"]]
    confirm = f" To go on, set confirm to: {facts['confirm']}" if facts["confirm"] else ""
    now = (target["environment"] or "without a tag") if target["exists"] else "does not exist yet"
    return {
        **facts,
        "changed": True,
        "msg": (
            f"Every safeguard passed, and the archive was read to its end. "
            f"The database {target['database']} ({now}) would be restored from {backup['address']}"
            + (f", which holds the state of {loss['text']} ago" if loss else "")
            + f": {steps}. Safety backup: {facts['safety_plan']}.{confirm}"
        ),
        **_diff(facts, tables),
    }


def restored_result(
    facts: dict[str, t.Any],
    *,
    proof: Proof,
    checks: t.Sequence[dict[str, t.Any]],
    safety: dict[str, t.Any] | None,
    previous: str | None,
    notes: t.Sequence[str],
    states: t.Sequence[dict[str, t.Any]],
    duration: float,
    tables: t.Sequence[dict[str, t.Any]] | None,
) -> dict[str, t.Any]:
    """Return a finished restore as a module's result; ``duration`` is in seconds."""
    target, backup = facts["target"], facts["backup"]
    proved = {
        "content": f"rows and content of {len(proof.tables)} tables equal the manifest",
        "counts": f"the rows of {len(proof.tables)} tables equal the manifest, their content was not compared",
        "none": "its content could not be compared with a manifest",
    }[proof.level]
    way_back = f" What was there before is kept as {previous}." if previous else ""
    return {
        **facts,
        "changed": True,
        "msg": (
            f"Restored the database {target['database']} from {backup['address']} ({human_size(backup['size'])}) in {duration:.1f} s "
            f"by {facts['strategy']['name']}: {proved}, {sum(1 for check in checks if check['passed'])} of {len(checks)} checks passed.{way_back}"
        ),
        "proof": proof.as_dict(),
        "checks": list(checks),
        "safety_backup": safety,
        "previous": previous,
        "go_back": _go_back(facts, safety, previous),
        "states": list(states),
        "duration": round(duration, 3),
        "warnings": [*notes, *proof.unproved],
        **_diff(facts, tables),
    }


def rolled_back_result(
    *, database: str, restore_id: str | None, previous: t.Sequence[str], rejected: t.Sequence[str], confirm: str | None, check_mode: bool
) -> dict[str, t.Any]:
    """Return a rollback as a module's result; ``previous`` are the names of what comes back, none where there is nothing to go back to."""
    came_back, aside = ", ".join(previous), ", ".join(rejected)
    if not previous:
        message = f"The database {database} has nothing from before a restore, so there is nothing to roll back."
    elif check_mode:
        further = f" To go on, set confirm to: {confirm}" if confirm else ""
        message = f"In the database {database} what is kept as {came_back} would take the place of what was restored.{further}"
    else:
        kept = f" What was restored is kept as {aside}." if aside else ""
        message = f"The database {database} is again as it was before the restore.{kept}"
    return {
        "changed": bool(previous),
        "msg": message,
        "restore_id": restore_id,
        "previous": came_back or None,
        "rejected": aside or None,
        "confirm": confirm,
        "diff": {"before": f"{database}: restored\n" if previous else "", "after": f"{database}: from before the restore\n" if previous else ""},
    }


def finalized_result(*, database: str, dropped: t.Sequence[str], kept: t.Sequence[dict[str, str]], check_mode: bool) -> dict[str, t.Any]:
    """Return what was dropped of earlier restores, and what is kept until when."""
    verb = "Would drop" if check_mode else "Dropped"
    what = ", ".join(dropped) if dropped else "nothing"
    entries = ", ".join(f"{entry['name']} until {entry['until']}" for entry in kept)
    still = f" Kept: {entries}." if kept else ""
    return {
        "changed": bool(dropped),
        "msg": f"{verb} {what} of earlier restores into {database}.{still}",
        "dropped": list(dropped),
        "kept": list(kept),
        "diff": {"before": "".join(f"{name}\n" for name in dropped), "after": ""},
    }


def compared_tables(manifest: Manifest | None, rows_now: t.Mapping[str, int]) -> list[dict[str, t.Any]]:
    """Return rows per table, now and in the backup; ``rows_now`` are those of the live database."""
    in_backup = {name: int(facts["rows"]) for name, facts in manifest.tables.items()} if manifest else {}
    return [{"table": name, "rows_now": rows_now.get(name), "rows_in_backup": in_backup.get(name)} for name in sorted({*in_backup, *rows_now})]


def _go_back(facts: dict[str, t.Any], safety: dict[str, t.Any] | None, previous: str | None) -> str | None:
    """Say what to run to have the state from before again."""
    if previous:
        return f"Run again with state rolled_back: what is kept as {previous} takes its place again at once."
    return f"Run again with backup {safety['address']} and same_database true." if safety else None


def _diff(facts: dict[str, t.Any], tables: t.Sequence[dict[str, t.Any]] | None) -> dict[str, t.Any]:
    if tables is None:
        return {}
    loss = facts["data_loss_window"]
    lost = f"writes of the last {loss['text']} are not in it\n" if loss else "when its state is from is not known\n"
    return {
        "tables": list(tables),
        "diff": {
            "before_header": f"{facts['target']['database']} now",
            "after_header": f"{facts['target']['database']} as of {facts['backup']['snapshot_at'] or facts['backup']['address']}",
            "before": "".join(f"{row['table']}: {row['rows_now']} rows\n" for row in tables if row["rows_now"] is not None),
            "after": "".join(f"{row['table']}: {row['rows_in_backup']} rows\n" for row in tables if row["rows_in_backup"] is not None) + lost,
        },
    }
