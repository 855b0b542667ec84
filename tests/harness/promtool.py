# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus's own judge of metrics and rules: from the system, else from the system's own package archive, unpacked into the cache."""

from __future__ import annotations

import functools
from pathlib import Path

from harness.debian_packages import DebianProgram


@functools.cache
def promtool() -> Path | None:
    """Return a promtool that runs, or None where there is none and none can be had."""
    return DebianProgram("promtool", "usr/bin/promtool", ("prometheus",), 15).find()
