# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print those of the requirements given that this Python's libraries do not meet. It asks no package registry, so it can be run at any time."""

from __future__ import annotations

import sys
from importlib import metadata

# Every virtual environment has pip, and nothing else that reads requirements.
from pip._vendor.packaging.requirements import Requirement


def installed(name: str) -> str | None:
    """Return the version that is installed, if any."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


for text in sys.argv[1:]:
    requirement = Requirement(text)
    if requirement.marker is None or requirement.marker.evaluate():
        version = installed(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            sys.stdout.write(f"{text} (installed: {version or 'none'})\n")
