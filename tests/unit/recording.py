# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for AnsibleModule that only remembers what must not be printed."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets


class RecordingModule:
    """The part of AnsibleModule that secrets are registered with."""

    def __init__(self) -> None:
        self.no_log_values: set[str] = set()


class RecordedSecrets(Secrets):
    """The real Secrets of a run, with a look at what was registered."""

    def __init__(self) -> None:
        self.module = RecordingModule()
        super().__init__(t.cast(t.Any, self.module))

    @property
    def registered(self) -> set[str]:
        return self.module.no_log_values
