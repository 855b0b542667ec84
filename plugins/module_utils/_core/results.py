# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What modules return: facts as plain data, and one sentence for people."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Entry
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size

_PROOFS = {
    "record": "rows and content of every table recorded",
    "text": "rows and content of every table recorded",
    "counts": "rows of every table counted",
    "none": "content not recorded",
}


def backup_result(manifest: Manifest, address: str, store: dict[str, t.Any], duration: float) -> dict[str, t.Any]:
    """Return a taken backup as a module's result; ``duration`` is in seconds."""
    seconds = max(duration, 0.001)
    proof = _PROOFS[manifest.fingerprint["method"]]
    checked = "hashed and decoded" if manifest.verification["level"] == "decode" else "hashed"
    rows = sum(found["rows"] for found in manifest.tables.values())
    content = f"{len(manifest.tables)} tables with {rows} rows" if manifest.fingerprint["method"] != "none" else "all tables selected"
    return {
        "changed": True,
        "msg": (
            f"Backed up the database {manifest.source['database']} ({content}) as {address}: "
            f"{human_size(manifest.size)} in {duration:.1f} s, {checked}, {proof}."
        ),
        "backup": {**manifest.as_told(), "address": address},
        "warnings": manifest.warnings,
        "store": store,
        "duration": round(duration, 3),
        "throughput": {
            "database_bytes_per_second": int(manifest.source["database_size"] / seconds),
            "archive_bytes_per_second": int(manifest.size / seconds),
        },
        "diff": _diff(manifest.key),
    }


def plan_result(plan: dict[str, t.Any], store: dict[str, t.Any], warnings: list[str]) -> dict[str, t.Any]:
    """Return a plan as a module's result in check mode."""
    return {
        "changed": True,
        "msg": (
            f"Every safeguard passed. The database {plan['database']} ({plan['tables']} tables, at most about {human_size(plan['estimated_size'])}) "
            f"would be backed up as {plan['address']} with pg_dump {plan['client']['version']} and {plan['compression']} compression."
        ),
        "plan": plan,
        "warnings": warnings,
        "store": store,
        "diff": _diff(plan["key"]),
    }


def _diff(key: str) -> dict[str, str]:
    return {"before_header": "store", "after_header": "store", "before": "", "after": f"{key}\n{key}.manifest.json\n"}


def adoption_result(manifest: Manifest, address: str, *, adopted: bool, planned: bool) -> dict[str, t.Any]:
    """Return an adopted archive as a module's result; ``adopted`` is False where it had a manifest already."""
    did = "is a backup already" if not adopted else "would be adopted" if planned else "was adopted"
    found = f": {human_size(manifest.size)}, decoded to its end; what is in its tables is not known" if adopted else ""
    return {
        "changed": adopted,
        "msg": f"{address} {did}{found}.",
        "backup": {**manifest.as_told(), "address": address},
        "diff": {"before_header": "store", "after_header": "store", "before": "", "after": f"{manifest.key}.manifest.json\n"} if adopted else {},
    }


def catalog_result(catalog: Catalog, shown: t.Sequence[Backup], notes: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """Return a catalog as a module's result; ``shown`` are the backups that were asked for, ``notes`` sentences about how they were found."""
    valid = len(catalog.valid_backups())
    counts = {
        "backups": len(catalog.backups),
        "valid": valid,
        "orphans": len(catalog.orphans),
        "broken": len(catalog.broken),
        "foreign": len(catalog.foreign),
        "unfinished": len(catalog.unfinished),
    }
    invalid = [backup for backup in shown if not backup.valid]
    verdict = f" Not valid: {', '.join(backup.key for backup in invalid)}." if invalid else ""
    return {
        "changed": False,
        "msg": f"{valid} valid of {len(catalog.backups)} backups, {len(shown)} shown.{verdict}",
        "backups": [backup.as_dict() for backup in shown],
        "orphans": [stored.as_dict() for stored in catalog.orphans],
        "broken": [backup.as_dict() for backup in catalog.broken],
        "foreign": [stored.as_dict() for stored in catalog.foreign],
        "unfinished": [upload.as_dict() for upload in catalog.unfinished],
        "counts": counts,
        "warnings": list(notes),
    }


def retention_result(entries: t.Sequence[Entry], foreign: t.Mapping[str, int], outcome: dict[str, t.Any] | None) -> dict[str, t.Any]:
    """Return what retention decided (``outcome`` is None: check mode) or did as a module's result."""
    going = [entry for entry in entries if entry.verdict == "delete"]
    alarms = [f"{entry.key}: {' '.join(entry.reasons)}" for entry in entries if entry.alarm]
    return {
        "changed": bool(going),
        "msg": _retention_sentence(entries, going, outcome),
        "plan": [entry.as_dict() for entry in entries],
        "foreign": dict(foreign),
        "alarms": alarms,
        "warnings": alarms,
        "diff": {"prepared": retention_table(entries, foreign)},
        **(outcome or {}),
    }


def _retention_sentence(entries: t.Sequence[Entry], going: t.Sequence[Entry], outcome: dict[str, t.Any] | None) -> str:
    backups = sum(entry.kind == "backup" for entry in entries)
    leaving = [entry for entry in going if entry.kind == "backup"]
    counts = {
        "archives and records without a backup": sum(entry.kind in ("orphan", "record") for entry in going),
        "unfinished uploads": sum(entry.kind == "unfinished" for entry in going),
        "hidden backups": sum(entry.kind == "hidden" for entry in going),
    }
    if not going:
        return f"Nothing to delete; {backups} backups stay."
    did = "Would delete" if outcome is None else "Deleted"
    also = "".join(f", {count} {what}" for what, count in counts.items() if count)
    hidden = " The bucket keeps versions, so deleted backups are only hidden." if leaving and outcome and outcome["permanently"] is False else ""
    return f"{did} {len(leaving)} of {backups} backups ({human_size(sum(entry.size or 0 for entry in leaving))}){also}.{hidden}"


def retention_table(entries: t.Sequence[Entry], foreign: t.Mapping[str, int]) -> str:
    """Return a table of everything with its verdict and reasons, for people."""
    lines = []
    for name in foreign:
        mine = [entry for entry in entries if entry.name == name]
        counts = ", ".join(f"{verdict} {sum(entry.verdict == verdict for entry in mine)}" for verdict in ("keep", "delete", "ignore"))
        lines.append(f"{name}: {counts}" + (f"; {foreign[name]} other objects" if foreign[name] else ""))
        for entry in mine:
            size = human_size(entry.size) if entry.size is not None else ""
            lines.append(f"  {entry.verdict:<6}  {entry.kind:<10}  {entry.key}  {size:>10}  {'; '.join(entry.reasons)}")
    return "\n".join(lines) + "\n"
