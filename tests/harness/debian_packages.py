# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the system, else of the system's own package archive: unpacked into the cache, never installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.fetching import cached, say
from harness.paths import CACHE


@dataclass(frozen=True)
class DebianProgram:
    """A program that ``packages`` hold at ``path``; ``title`` is what people call it, ``seconds`` about how long fetching it takes."""

    title: str
    path: str
    packages: tuple[str, ...]
    seconds: int

    @property
    def name(self) -> str:
        return Path(self.path).name

    def find(self) -> Path | None:
        """Return the program where it runs, or None where there is none and none can be had."""
        on_path = shutil.which(self.name)
        if on_path:
            return Path(on_path)
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            return None
        announcement = f"Downloading {self.title} with apt into {CACHE.name}/ (nothing is installed), about {self.seconds} s ..."
        try:
            program = cached(self._tree, announcement, self._unpack) / self.path
        except (RuntimeError, OSError) as error:
            say(f"{self.title} is left out. {error}")
            return None
        answer = subprocess.run([program, "--version"], capture_output=True, check=False, env=self.environment())
        return program if answer.returncode == 0 else None

    def environment(self) -> dict[str, str]:
        """Return the environment that the program runs in: ours, and the libraries that were unpacked with it."""
        libraries = [str(path) for path in self._tree.glob("usr/lib/*-linux-gnu*")]
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)} if libraries else dict(os.environ)

    @property
    def _tree(self) -> Path:
        return CACHE / "tools" / self.packages[0]

    def _unpack(self, directory: Path) -> Path:
        with tempfile.TemporaryDirectory() as downloads:
            # apt drops its privileges for downloads where it can, and then must be able to write.
            os.chmod(downloads, 0o777)
            command = ["apt-get", "download", *self.packages]
            answer = subprocess.run(command, cwd=downloads, capture_output=True, text=True, check=False)
            if answer.returncode and os.geteuid() == 0:
                # A new machine has no lists of packages yet.
                subprocess.run(["apt-get", "update"], capture_output=True, check=False)
                answer = subprocess.run(command, cwd=downloads, capture_output=True, text=True, check=False)
            if answer.returncode:
                raise RuntimeError(f"{' '.join(command)}: {answer.stderr.strip()}")
            for archive in Path(downloads).glob("*.deb"):
                subprocess.run(["dpkg-deb", "--extract", archive, directory / "tree"], check=True)
        return directory / "tree"
