# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments in the cache, each exactly what its lock file says.

A lock file in ``tests/constraints`` pins everything, what is pulled in by others included. ``nox -s lock`` writes them anew.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from checks.interpreters import find_python
from harness.fetching import locked, say
from harness.paths import CACHE, CHECKOUT

LOCKS = CHECKOUT / "tests" / "constraints"

_LIBRARIES = ("boto3", "psycopg2-binary")
# Of pg_backup_report alone.
_REPORTING = ("jinja2", "matplotlib")
_TESTING = ("pytest", "hypothesis")


@dataclass(frozen=True)
class Environment:
    """What to install, and the Pythons it is made for, the preferred one first."""

    name: str
    requirements: tuple[str, ...]
    pythons: tuple[str, ...]

    @property
    def lock(self) -> Path:
        """The file that pins every package."""
        return LOCKS / f"{self.name}.txt"

    @property
    def python(self) -> str | None:
        """The version that is used on this machine, None if there is none of them."""
        return next((version for version in self.pythons if find_python(version)), None)


def _ansible(series: str, *pythons: str) -> Environment:
    requirements = (f"ansible-core~={series}.0", *_LIBRARIES, *_REPORTING, *_TESTING, "aiosmtpd", "pytest-xdist")
    return Environment(f"ansible-{series}", requirements, pythons)


OLDEST = _ansible("2.18", "3.11", "3.12", "3.13")
MIDDLE = _ansible("2.19", "3.11")
NEWEST = _ansible("2.21", "3.13", "3.12")
TARGET = Environment("target", (*_LIBRARIES, *_TESTING), ("3.10",))
LINT = Environment(
    "lint",
    ("ansible-core", "ansible-lint", "antsibull-changelog", "antsibull-docs", "mypy", "reuse", "ruff", "yamllint", *_LIBRARIES, *_TESTING),
    ("3.13", "3.12", "3.11"),
)
# It holds old versions of what others want new.
IMPORTER = Environment("importer", ("galaxy-importer", "ansible-core"), ("3.12", "3.13", "3.11"))
# The AWS client pins its own botocore.
BENCH = Environment("bench", ("ansible-core", "awscli", *_LIBRARIES), ("3.13", "3.12", "3.11"))
MOLECULE = Environment("molecule", ("molecule", "ansible-core"), ("3.13", "3.12"))
NOX = Environment("nox", ("nox",), ("3.11", "3.12", "3.13"))

ALL = (OLDEST, MIDDLE, NEWEST, TARGET, LINT, IMPORTER, BENCH, MOLECULE, NOX)


def newest_ansible() -> Environment:
    """Return the environment of the newest ansible-core that has a Python here."""
    return NEWEST if NEWEST.python else MIDDLE


def ensure(environment: Environment, python: str | None = None) -> Path:
    """Return the ``bin`` directory of this environment, made if it is not there or no longer what its lock says."""
    version = python or environment.python
    if version is None:
        raise LookupError(f"The environment {environment.name} needs Python {' or '.join(environment.pythons)}, and there is none.")
    directory = CACHE / "environments" / f"{environment.name}-py{version}"
    stamp = directory / ".lock-hash"
    wanted = hashlib.sha256(environment.lock.read_bytes()).hexdigest()
    with locked(directory):
        if not stamp.exists() or stamp.read_text() != wanted:
            started = time.monotonic()
            say(f"Installing {environment.lock.relative_to(CHECKOUT)} for Python {version} into {CACHE.name}/ ...")
            create(directory, version, ["--no-deps", "--requirement", str(environment.lock)])
            stamp.write_text(wanted)
            say(f"  {directory.name} is there, after {time.monotonic() - started:.0f} s")
    return directory / "bin"


def create(directory: Path, version: str, install: list[str]) -> None:
    """Make a fresh environment in ``directory`` and let its pip install."""
    shutil.rmtree(directory, ignore_errors=True)
    _run(str(find_python(version)), "-m", "venv", str(directory))
    _run(str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *install)


def _run(*command: str) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}")
