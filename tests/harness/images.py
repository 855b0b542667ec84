# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container images of the Molecule scenarios, built here where no registry answers: ``python -m harness.images [name ...]``.

A base is bootstrapped from the Debian archive, a recipe of molecule/images runs in it, and the result is committed. An image carries the hash of
all that went into it, and is left alone as long as that is the same. How this machine reaches the archive stays on this machine (``harness.reach``).
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import reach, tools
from harness.fetching import locked, say
from harness.paths import CACHE, CHECKOUT

# Nobody's registry: these names are of this machine only.
_PREFIX = "localhost/workon-molecule"
_LABEL = "workon.content"
_RECIPES = CHECKOUT / "molecule" / "images"
# Raise it when what this file does to an image changes.
_GENERATION = "1"


@dataclass(frozen=True)
class _Debian:
    """A minimal Debian, from its archive; a registry's image of it where this machine cannot bootstrap one."""

    suite: str
    seconds: int = 60

    @property
    def name(self) -> str:
        return f"debian-{self.suite}"

    def content(self) -> str:
        return _digest(_GENERATION, self.suite, *reach.mirror_arguments())

    def make(self, engine: Engine, labels: list[str]) -> None:
        if not shutil.which("mmdebstrap"):
            engine.run("pull", f"docker.io/library/debian:{self.suite}-slim")
            engine.derive(f"docker.io/library/debian:{self.suite}-slim", "true", [], self.name, labels)
            return
        with tempfile.TemporaryDirectory(prefix="debian-") as directory:
            tarball = Path(directory) / "base.tar"
            _run("mmdebstrap", "--quiet", "--variant=minbase", *reach.apt_options(), self.suite, str(tarball), *reach.mirror_arguments())
            engine.load(tarball, self.name, labels)


@dataclass(frozen=True)
class _Derived:
    """What a recipe makes of a base; the changes are those of a Containerfile."""

    name: str
    base: _Debian
    recipe: str
    arguments: tuple[str, ...]
    changes: tuple[str, ...]
    seconds: int = 60

    def content(self) -> str:
        recipe = (_RECIPES / self.recipe).read_text()
        return _digest(_GENERATION, self.base.content(), recipe, *self.arguments, *self.changes)

    def make(self, engine: Engine, labels: list[str]) -> None:
        _ensure(engine, self.base)
        # The recipe is an argument and not a mounted file, because an engine may run on another machine.
        recipe = (_RECIPES / self.recipe).read_text()
        engine.derive(engine.reference(self.base.name), recipe, list(self.arguments), self.name, [*self.changes, *labels])


@dataclass(frozen=True)
class _Minio:
    """The server's program, in the newest Debian there is here: it is linked to the C library of this machine, or to an older one."""

    name: str = "minio"
    base: _Debian = _Debian("trixie")
    seconds: int = 10

    def content(self) -> str:
        return _digest(_GENERATION, self.base.content(), tools.pinned_version("minio"))

    def make(self, engine: Engine, labels: list[str]) -> None:
        program = tools.ensure("minio")
        _ensure(engine, self.base)
        changes = ['ENTRYPOINT ["/usr/local/bin/minio"]', 'CMD ["server", "--address=:9000", "/srv"]', *labels]
        engine.derive(engine.reference(self.base.name), "chmod 755 /usr/local/bin/minio", [], self.name, changes, {program: "/usr/local/bin/minio"})


_Image = _Debian | _Derived | _Minio


class Engine:
    """Podman or Docker, by its command line: what is used here is the same in both."""

    def __init__(self, program: str) -> None:
        self._program = program

    def run(self, *arguments: str) -> str:
        """Run one of its commands and return what it printed."""
        return _run(self._program, *arguments)

    def reference(self, name: str) -> str:
        """Return the full name of one of our images."""
        return f"{_PREFIX}-{name}:latest"

    def content(self, name: str) -> str:
        """Return the hash that an image was made from, empty if it is not there."""
        command = [self._program, "image", "inspect", "--format", f'{{{{index .Config.Labels "{_LABEL}"}}}}', self.reference(name)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return answer.stdout.strip() if answer.returncode == 0 else ""

    def load(self, tarball: Path, name: str, changes: list[str]) -> None:
        """Make an image of a file system."""
        self.run("import", *_as_options(changes), str(tarball), self.reference(name))

    def derive(self, base: str, recipe: str, arguments: list[str], name: str, changes: list[str], files: Mapping[Path, str] | None = None) -> None:
        """Make an image by running a shell script in another, with the network and the package settings of this machine, and with files of ours."""
        container = f"workon-molecule-build-{uuid.uuid4().hex[:12]}"
        try:
            self.run("create", "--name", container, "--network=host", *reach.volumes(), base, "sh", "-euc", recipe, name, *arguments)
            for source, place in (files or {}).items():
                self.run("cp", str(source), f"{container}:{place}")
            self.run("start", "--attach", container)
            self.run("commit", *_as_options(changes), container, self.reference(name))
        finally:
            subprocess.run([self._program, "rm", "--force", "--volumes", container], capture_output=True, check=False)


def _postgresql(major: int, suite: str) -> _Derived:
    changes = ("USER postgres", 'ENTRYPOINT ["/usr/local/bin/serve"]', "CMD []", f"ENV PATH=/usr/lib/postgresql/{major}/bin:/usr/bin:/bin", "STOPSIGNAL SIGINT")
    return _Derived(f"postgresql-{major}", _Debian(suite), "postgresql.sh", (str(major),), changes, 60)


def _backup_host(suite: str) -> _Derived:
    changes = ('CMD ["/sbin/init"]', "ENTRYPOINT []", "STOPSIGNAL SIGRTMIN+3")
    return _Derived(f"host-{suite}", _Debian(suite), "host.sh", (), changes, 60)


_IMAGES: tuple[_Image, ...] = (
    _Minio(),
    _postgresql(13, "bullseye"),
    _postgresql(15, "bookworm"),
    _postgresql(17, "trixie"),
    _backup_host("bookworm"),
    _backup_host("trixie"),
)


def _ensure(engine: Engine, image: _Image) -> bool:
    """Make an image unless it is there, and say whether it was made."""
    # One at a time: two builds would only be in each other's way.
    with locked(CACHE / "molecule" / f"image-{image.name}"):
        content = image.content()
        if engine.content(image.name) == content:
            return False
        say(f"Building the image {image.name}, about {image.seconds} s ...")
        started = time.monotonic()
        image.make(engine, [f"LABEL {_LABEL}={content}"])
        say(f"  {engine.reference(image.name)} is there, after {time.monotonic() - started:.0f} s")
        return True


def _as_options(changes: list[str]) -> list[str]:
    return [f"--change={change}" for change in changes]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} failed with status {result.returncode}:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")
    return result.stdout


def main() -> int:
    """Make the images that are named, or all of them, and print the names of those that were made."""
    names = [image.name for image in _IMAGES]
    parser = argparse.ArgumentParser(prog="python -m harness.images", description=__doc__)
    parser.add_argument("--engine", default="podman", choices=["podman", "docker"])
    parser.add_argument("names", nargs="*", metavar="name", help=f"Among {', '.join(names)}.")
    options = parser.parse_args()
    unknown = set(options.names) - set(names)
    if unknown:
        parser.error(f"There is no image {', '.join(sorted(unknown))}. There are {', '.join(names)}.")
    engine = Engine(options.engine)
    reach.write()
    for image in _IMAGES:
        if (not options.names or image.name in options.names) and _ensure(engine, image):
            print(image.name)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError) as error:
        sys.exit(f"{error}")
