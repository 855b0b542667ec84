# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay out ``ansible_collections/workon/postgresql_backup``, the only place where Ansible finds a collection."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.paths import CACHE, CHECKOUT

_PLACE = Path("ansible_collections", "workon", "postgresql_backup")
# The names under which ansible-test looks for the script: core 2.18 and 2.19, core 2.20 and 2.21.
_PIP_SCRIPTS = ("24_2", "25_2")
_SEED_PIP = '''\
"""Seed pip from the standard library, then install the version that was asked for."""
import subprocess
import sys
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *wanted])
'''
_NEVER = {".git", ".cache", "__pycache__"}


def linked_tree() -> Path:
    """Return the root of a tree whose collection is a link to the checkout: what one edits is what runs."""
    root = CACHE / "tree"
    place = root / _PLACE
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            place.symlink_to(os.path.relpath(CHECKOUT, place.parent))
    return root


@contextlib.contextmanager
def copied_tree() -> Iterator[Path]:
    """Yield the collection's directory in a temporary tree that holds a copy of what git would commit.

    ansible-test takes no link and, inside a work tree, only what git lists there: hence a copy, and elsewhere. A build from it packs
    no caches.
    """
    with tempfile.TemporaryDirectory(prefix="collection-") as root:
        place = Path(root) / _PLACE
        for path in _sources():
            copy = place / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / path, copy, follow_symlinks=False)
        yield place


def sanity_home(name: str) -> Path:
    """Return a private home for ansible-test, where its environments stay warm.

    They are made without pip, which ansible-test downloads as a script; a stand-in takes pip from the standard library instead, so that
    package registries are the only hosts needed.
    """
    home = CACHE / "sanity" / name
    scripts = home / ".ansible" / "test" / "cache"
    scripts.mkdir(parents=True, exist_ok=True)
    for version in _PIP_SCRIPTS:
        (scripts / f"get_pip_{version}.py").write_text(_SEED_PIP)
    return home


def _sources() -> list[Path]:
    command = ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
        paths = [Path(name) for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        # An unpacked archive of the sources, without git.
        paths = [path.relative_to(CHECKOUT) for path in CHECKOUT.rglob("*") if not _NEVER & set(path.relative_to(CHECKOUT).parts)]
    return [path for path in paths if (CHECKOUT / path).is_file()]
