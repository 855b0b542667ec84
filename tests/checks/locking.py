# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the lock files: resolve each environment on each of its Pythons, and merge."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from checks.environments import Environment, create
from checks.interpreters import find_python
from harness.fetching import say

_HEADER = """\
# Every package of the environment "{name}", as resolved for Python {pythons}. Written by: nox -s lock -- {name}
"""


def write_lock(environment: Environment) -> None:
    """Resolve the newest versions that fit; every Python of the environment must be here."""
    missing = [version for version in environment.pythons if not find_python(version)]
    if missing:
        raise LookupError(f"{environment.name} cannot be locked here: it needs Python {' and '.join(missing)} too.")
    say(f"Locking {environment.name} ...")
    resolved = {version: _resolve(environment, version) for version in sorted(environment.pythons, key=_number)}
    header = _HEADER.format(name=environment.name, pythons=", ".join(resolved))
    environment.lock.write_text(header + "".join(f"{line}\n" for line in merge(resolved)))


def merge(resolved: dict[str, dict[str, str]]) -> list[str]:
    """Return one line per pin; what is not the same on every Python gets a marker.

    ``resolved`` maps Python versions, oldest first, to names and versions. The newest Python's marker is open upwards.
    """
    newest = list(resolved)[-1]
    lines = []
    for name in sorted({name for pins in resolved.values() for name in pins}):
        pins = {python: packages.get(name) for python, packages in resolved.items()}
        if len(set(pins.values())) == 1:
            lines.append(f"{name}=={pins[newest]}")
            continue
        for python, pin in pins.items():
            if pin:
                relation = ">=" if python == newest else "=="
                lines.append(f'{name}=={pin} ; python_version {relation} "{python}"')
    return lines


def _resolve(environment: Environment, version: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as temporary:
        create(Path(temporary), version, list(environment.requirements))
        frozen = subprocess.run([f"{temporary}/bin/python", "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("==", 1) for line in frozen.splitlines())


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
