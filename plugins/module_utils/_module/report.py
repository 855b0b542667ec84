# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What the reader of a report wants, from a module's options."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report import Wishes
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.retention import policy_from


def wishes_from(params: t.Mapping[str, t.Any]) -> Wishes:
    """Return the wishes that the options mean; without a rule that keeps there is no policy to tell of."""
    policy = policy_from(params)
    given = policy.keep_within is not None or any(policy.counts().values())
    return Wishes(params["title"], params["limit"], policy.zone, policy if given else None)
