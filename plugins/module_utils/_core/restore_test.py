# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a restore test may touch, what its outcome is called, and what is said of it."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, RestoreMark, is_production
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, LoadError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import parse_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import LONGEST_NAME, is_beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RestoreTest, Verdict
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.safeguards import human_duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size

MARK = "restore test"
"""What stands in the mark of a scratch database in the place of a restore's options: no restore ever goes on with it."""

ENVIRONMENT = "restore-test"
"""The environment of scratch databases, whatever their server is for: what they hold never takes the place of anything."""

_SCRATCH = "restore_test_"
_EVERYBODY_S = ("postgres", "template1")

# What pg_restore says where the server could not go on: it tells nothing about the archive.
_SERVER_TROUBLE = (
    "No space left on device",
    "could not extend file",
    "out of memory",
    "out of shared memory",
    "too many clients",
    "remaining connection slots",
    "terminating connection",
    "server closed the connection",
    "the database system is",
    "could not connect",
    "connection to server",
    "was ended by signal",
)


def scratch_name(name: str) -> str:
    """Return what the scratch database of a name's restore tests is called, before the part that is each run's own."""
    return (_SCRATCH + name)[:LONGEST_NAME]


def is_old_scratch(database: str, mark: RestoreMark | None, limit: dt.datetime) -> bool:
    """Say whether a database is a scratch database of ours, made before ``limit``."""
    return (
        mark is not None
        and (mark.role, mark.options) == ("shadow", MARK)
        and is_beside(database, mark.database, "shadow")
        and parse_time(mark.since, "since in the comment") < limit
    )


def backup_refusal(backup: str) -> str | None:
    """Refuse what is not in the catalog: the record of the test has to lie beside the backup."""
    if not backup.startswith(("/", "./", "../", "~", "s3://")):
        return None
    return (
        f"backup is {backup}, which is not a backup of the store's catalog, so that nobody would find the record of its test. "
        "Set backup to latest, before:<time> or a key; adopt a dump of somebody else first (pg_backup_adopt)."
    )


def server_refusals(environment: str | None, allow_production: bool, database: str, comment: DatabaseComment | None) -> list[str]:
    """Refuse a server that is not what the play speaks of, and production's without permission.

    ``database`` is the one that the login names and ``comment`` its own (None: it does not exist). What every server has, tells nothing.
    """
    if environment is None:
        return [
            (
                "A server to test on is named, but not what it is for. Set environment to what its databases are for, such as staging, "
                "or leave the server out: then the test runs on a private one."
            )
        ]
    refusals = []
    telling = comment if comment and database not in _EVERYBODY_S else None
    if telling and telling.environment != environment and not (telling.environment is None and is_production(environment)):
        tag = f"is tagged {telling.environment}" if telling.environment else "carries no environment tag and therefore counts as production"
        refusals.append(
            f"environment is {environment}, but the database {database} on the server to test on {tag}. "
            "Check the server; if it is right, correct environment, or tag the database (pg_environment)."
        )
    if (is_production(environment) or (telling and telling.counts_as_production)) and not allow_production:
        refusals.append(
            "The server to test on is production's: a restore test would take its disk, memory and processors from it. "
            "Test on another server or on a private one, or set allow_production to true."
        )
    return refusals


def exists_refusal(database: str) -> str:
    """Refuse a name that somebody uses."""
    return (
        f"The server has a database {database}, the name under which restore tests of these backups run, and it is not one of theirs. "
        "It was not touched. Rename it, or test on another server."
    )


def about_the_archive(error: BackupError) -> BackupError:
    """Return what a failed load says about the archive: a verification error, unless it was the server that could not go on."""
    if not isinstance(error, LoadError) or any(trouble in error.message for trouble in _SERVER_TROUBLE):
        return error
    return VerificationError(error.message, **error.details)


def verdict_of(error: BackupError) -> Verdict:
    """Say what an error means for the backup: that it does not restore, or that nobody knows."""
    return "failed" if isinstance(error, VerificationError) else "could_not_verify"


def unproved_reasons(proof: Proof) -> list[str]:
    """Return why a test that found no difference still proves nothing."""
    if proof.level != "none":
        return []
    return [f"It could be loaded, but not be compared: {' '.join(proof.unproved)}"]


def restore_test_result(
    record: RestoreTest, *, record_key: str, address: str, proof: Proof | None, notes: t.Sequence[str], left_behind: t.Sequence[str], dropped: t.Sequence[str]
) -> dict[str, t.Any]:
    """Return a finished test as a module's result."""
    return {
        "changed": True,
        "msg": _sentence(record, address),
        **_facts(record, address),
        "record": record_key,
        "proof": proof.as_dict() if proof else None,
        "dropped": list(dropped),
        "left_behind": list(left_behind),
        "warnings": list(notes),
    }


def planned_result(record: RestoreTest, *, address: str, notes: t.Sequence[str], dropped: t.Sequence[str]) -> dict[str, t.Any]:
    """Return what check mode found: every safeguard passed, the archive read to its end."""
    facts = {**_facts(record, address), "verdict": "planned"}
    return {
        "changed": True,
        "msg": f"Every safeguard passed and {address} was read to its end. It would be restored on {_where(record)}, proved and dropped.",
        **facts,
        "record": None,
        "proof": None,
        "dropped": list(dropped),
        "left_behind": [],
        "warnings": list(notes),
    }


def _facts(record: RestoreTest, address: str) -> dict[str, t.Any]:
    return {
        "verdict": record.verdict,
        "reasons": record.reasons,
        "backup": {"key": record.key, "address": address, "backup_id": record.backup_id, "name": record.name, "snapshot_at": record.snapshot_at},
        "test_id": record.test_id,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "rto": record.rto,
        "rpo": record.rpo,
        "level": record.level,
        "tables": record.tables,
        "rows": record.rows,
        "archive_size": record.archive_size,
        "database_size": record.database_size,
        "checks": record.checks,
        "server": record.server,
    }


def _sentence(record: RestoreTest, address: str) -> str:
    if record.verdict == "passed":
        compared = {"content": "rows and content equal", "counts": "rows counted and equal"}.get(record.level or "", "loaded")
        checks = f", {len(record.checks)} checks passed" if record.checks else ""
        return (
            f"Passed: {address} was restored on {_where(record)} in {record.rto or 0:.1f} s "
            f"({record.tables} tables with {record.rows} rows, {compared}{checks}; {human_size(record.database_size or 0)}). "
            f"Its data were {human_duration(record.rpo or 0)} old."
        )
    what = "Failed" if record.verdict == "failed" else "Could not verify"
    return f"{what}: {address} on {_where(record)}. {' '.join(record.reasons)}"


def _where(record: RestoreTest) -> str:
    server = record.server
    return f"a private PostgreSQL {server['version']}" if server["private"] else f"the server {server['address']} (PostgreSQL {server['version']})"
