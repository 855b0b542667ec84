# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How this machine reaches package registries, handed to containers as files: nothing of it is in an image or in the repository.

A company's mirror, its certificate authority, a proxy: what pip and apt of this machine are set to is what those of the containers are set to.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.paths import CACHE

_DIRECTORY = CACHE / "molecule" / "reach"
_INSIDE = "/run-reach"
# What containers read, by its name in the directory.
_PLACES = {"apt.conf": "/etc/apt/apt.conf.d/90reach", "pip.conf": "/etc/pip.conf"}
_APT = re.compile(r"^Acquire::(Check-|Retries|ForceIPv|https?::)[^\n]+;$", re.MULTILINE)
# What names a file or folder of this machine, and what pip does here that is nobody's business there.
_PIP_LEFT = {"cert", "client-cert", "find-links", "cache-dir", "target", "prefix", "user", "root", "log", "require-virtualenv", "break-system-packages"}


def write() -> None:
    """Write the files anew."""
    _DIRECTORY.mkdir(parents=True, exist_ok=True)
    _DIRECTORY.chmod(0o700)
    bundle = _certificates()
    if bundle:
        shutil.copyfile(bundle, _DIRECTORY / "ca.crt")
    # World-readable inside: apt downloads as a user of its own. The directory around them is closed.
    (_DIRECTORY / "apt.conf").write_text("".join(f"{line}\n" for line in _apt_lines()))
    settings = {name: value for name, value in _pip_settings().items() if name not in _PIP_LEFT}
    if bundle:
        settings["cert"] = f"{_INSIDE}/ca.crt"
    # Shared by all containers (molecule/default/create.yml).
    settings["cache-dir"] = "/var/cache/pip"
    (_DIRECTORY / "pip.conf").write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in sorted(settings.items())))


def volumes() -> list[str]:
    """Return the options of ``run`` which hand the files to a container."""
    pairs = [(_DIRECTORY, _INSIDE), *((_DIRECTORY / name, place) for name, place in _PLACES.items())]
    return [f"--volume={source}:{place}:ro" for source, place in pairs]


def apt_options() -> list[str]:
    """Return the settings of apt as options of mmdebstrap."""
    return [f"--aptopt={line}" for line in _apt_lines()]


@functools.cache
def mirror_arguments() -> list[str]:
    """Return the mirror of Debian that this machine uses, as a last argument of mmdebstrap; none if it is unknown."""
    if not shutil.which("apt-get"):
        return []
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in answer.stdout.split() if re.search(r"/debian/?$", line)]
    return found[:1]


@functools.cache
def _apt_lines() -> list[str]:
    if not shutil.which("apt-config"):
        return []
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    return [found[0] for found in _APT.finditer(dump) if not found[0].endswith('"";')]


def _pip_settings() -> dict[str, str]:
    """Return what pip is set to by its files and its environment variables, which come before the files."""
    answer = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    by_source: dict[str, dict[str, str]] = {}
    for line in answer.stdout.splitlines():
        name, _equals, value = line.partition("=")
        source, _dot, key = name.rpartition(".")
        by_source.setdefault(source, {})[key] = str(ast.literal_eval(value)).replace("\n", "\n  ")
    environment = by_source.pop(":env:", {})
    return {**by_source.get("global", {}), **by_source.get("install", {}), **environment}


def _certificates() -> Path | None:
    named = [os.environ.get(name) for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")]
    usual = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
    return next((Path(path) for path in [*named, *usual] if path and Path(path).is_file()), None)


if __name__ == "__main__":
    write()
    print("\n".join(volumes()))
