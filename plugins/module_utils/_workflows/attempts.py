# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Refusals collected, so that a person sees all of them at once."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, RefusedError


class Attempts:
    """What a plan tried and what spoke against it."""

    def __init__(self) -> None:
        self._refusals: list[str] = []

    def refuse(self, sentence: str | None) -> None:
        """Note a reason against the plan; None is none, and one that was given already is not repeated."""
        if sentence and sentence not in self._refusals:
            self._refusals.append(sentence)

    def refuse_all(self, sentences: t.Iterable[str]) -> None:
        """Note several."""
        for sentence in sentences:
            self.refuse(sentence)

    def call(self, function: t.Callable[[], t.Any]) -> t.Any:
        """Return the function's value, or None with its error among the refusals."""
        try:
            return function()
        except RefusedError as error:
            self.refuse_all(error.refusals)
        except BackupError as error:
            self.refuse(error.message)
        return None

    def raise_refusals(self) -> None:
        """Raise if anything speaks against the plan."""
        if self._refusals:
            raise RefusedError(self._refusals)
