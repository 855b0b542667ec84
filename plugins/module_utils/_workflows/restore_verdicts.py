# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What must be true of what was loaded before it takes the place of anything; each returns nothing, or raises with the facts."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.ownership import Ownership
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Proof
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_owners import LostRights

_SHOWN = 10


def require_proof(proof: Proof, consequence: str) -> None:
    """Require that the content is the backup's; ``consequence`` is what a failure means for the live database."""
    if not proof.holds:
        raise VerificationError(
            f"What was loaded is not what was backed up: {' '.join(proof.differences[:_SHOWN])} {consequence}".strip(), proof=proof.as_dict()
        )


def require_rights(lost: LostRights, ownership: Ownership, consequence: str) -> None:
    """Require that no role lost anything, where owners and privileges were to be those of the live database; no privilege, where they were to be kept."""
    counted = lost.sentences if ownership.mode == "live" else lost.privileges if ownership.keeps_rights else ()
    if counted:
        raise VerificationError(
            f"Roles would lose what they may do now: {' '.join(counted[:_SHOWN])} Set ownership to archive or operator if that is meant. {consequence}".strip(),
            lost_privileges=list(counted),
        )


def require_checks(results: t.Sequence[CheckResult], consequence: str) -> None:
    """Require that every check passed."""
    failed = [result for result in results if not result.passed]
    if failed:
        raise VerificationError(f"{failures(failed)} {consequence}".strip(), checks=[result.as_dict() for result in results])


def failures(failed: t.Sequence[CheckResult]) -> str:
    """Name failed checks, each with what it found."""
    return f"Not as it should be: {' '.join(f'{result.name}: {result.detail}' for result in failed)}"
