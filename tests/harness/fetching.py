# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch what is missing into the cache: once, atomically, and saying so."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.paths import CACHE


def cached(path: Path, announcement: str, produce: Callable[[Path], Path]) -> Path:
    """Return ``path`` inside the cache, made by ``produce`` if it is not there yet.

    ``produce`` gets an empty directory and returns what it made in it; that is renamed to ``path``. A second caller waits for the first.
    ``path`` holds the pinned version, so that a new pin is a new path.
    """
    if path.exists():
        return path
    with locked(path):
        if path.exists():
            return path
        say(announcement)
        started = time.monotonic()
        workshop = Path(tempfile.mkdtemp(prefix=".making-", dir=path.parent))
        try:
            produce(workshop).rename(path)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
        say(f"  {path.name} is there, after {time.monotonic() - started:.0f} s")
    return path


def download_wheel(requirement: str, directory: Path, *, python: str | None = None) -> Path:
    """Download exactly one wheel, without its dependencies, for this machine and, if given, for another Python."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    if python:
        command += ["--python-version", python]
    result = subprocess.run([*command, "--dest", str(directory), requirement], capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"Cannot download {requirement}:\n{result.stderr.strip()}")
    return next(directory.glob("*.whl"))


def unpack_wheel(wheel: Path, directory: Path) -> Path:
    """Unpack a wheel with its executable bits, which zipfile alone drops."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            unpacked = Path(archive.extract(entry, directory))
            permissions = entry.external_attr >> 16 & 0o777
            if permissions and not entry.is_dir():
                unpacked.chmod(permissions)
    wheel.unlink()
    return directory


def say(line: str) -> None:
    """Tell the person waiting; standard error, because standard output may be somebody's result."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the machine-wide right to make ``path``; its directory exists afterwards."""
    locks = CACHE / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (locks / path.name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
