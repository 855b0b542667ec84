# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether containers can run here, and how Molecule is to be called."""

from __future__ import annotations

import os
import shutil
import subprocess

from harness.paths import CHECKOUT


def engine() -> str:
    """Return the engine that MOLECULE_ENGINE names, else podman."""
    return os.environ.get("MOLECULE_ENGINE") or "podman"


def obstacle() -> str:
    """Return why no container can run here, in a sentence, or nothing. Podman is installed where it is missing and that is possible."""
    program = engine()
    may_install = program == "podman" and os.geteuid() == 0 and shutil.which("apt-get")
    if os.geteuid() != 0 and program == "podman":
        return "The scenarios need root, because systemd runs in their containers. Become root, or set MOLECULE_ENGINE=docker where Docker runs."
    if may_install:
        # It does nothing where containers start already, and says what it does.
        result = subprocess.run([CHECKOUT / "molecule" / "install-podman"], stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode:
            return f"Podman cannot run containers here: {_last_line(result.stderr)}"
        return ""
    if not shutil.which(program):
        return f"There is no {program}, and no way to install it here. Install it, or set MOLECULE_ENGINE."
    answer = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    return f"{program} does not answer: {_last_line(answer.stderr)}" if answer.returncode else ""


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "It gave no reason.")
