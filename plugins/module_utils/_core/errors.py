# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The one exception family of the collection.

Everything below a module's ``main()`` raises these; only ``main()`` turns them into a failed result.
"""

from __future__ import annotations


class BackupError(Exception):
    """A failure with a sentence for the user and fields for the module's result.

    ``message`` says what was refused or failed, why, and what to set to proceed. It never holds a secret.
    ``details`` become top-level keys of the failed result, so their values must be plain data.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class RefusedError(BackupError):
    """A preflight refused the run: nothing was started and nothing was written."""

    def __init__(self, refusals: list[str], **details: object) -> None:
        self.refusals = list(refusals)
        super().__init__(" ".join(self.refusals), refusals=self.refusals, **details)


class VerificationError(BackupError):
    """Something was made but could not be proved, which counts as a failure."""


class StoreError(BackupError):
    """The store answered with an error, or with something that cannot be trusted."""


class DatabaseError(BackupError):
    """The database server refused, failed or went away."""


class ProgramError(BackupError):
    """A client program is missing, unsuitable, or ended with an error."""


class LoadError(BackupError):
    """An archive could not be loaded into a database."""


class TimeLimitError(BackupError):
    """The run's own time limit was reached."""
