# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Pythons that really run."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@functools.cache
def find_python(version: str) -> Path | None:
    """Return a Python of this version (``3.12``) that can make environments, or None."""
    for candidate in _candidates(version):
        if _answers(candidate, version):
            return candidate
    return None


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable).resolve()
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(directory) / f"python{version}"
    yield from sorted(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob(f"versions/{version}.*/bin/python{version}"))


def _answers(python: Path, version: str) -> bool:
    # A version manager's shim exists for versions that are not active, and exits with 127.
    question = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([str(python), "-c", question], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version
