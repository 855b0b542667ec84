# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which account a server runs under: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """An unprivileged account of this machine."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Say whether this account may walk down to ``path`` (which must exist) and read it."""
        path = path.resolve()
        return all(self._has(directory, 0o1) for directory in path.parents) and self._has(path, 0o5 if path.is_dir() else 0o4)

    def _has(self, path: Path, wanted: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            mode = status.st_mode >> 6
        elif status.st_gid == self.gid:
            mode = status.st_mode >> 3
        else:
            mode = status.st_mode
        return stat.S_IMODE(mode) & wanted == wanted


def service_account() -> Account | None:
    """Return the account to switch to, or None where this process is unprivileged already."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise RuntimeError("PostgreSQL refuses to run as root, and there is neither a user 'postgres' nor 'nobody' to run it as.")


def private_directory(prefix: str, account: Account | None) -> Path:
    """Make a temporary directory that belongs to ``account`` and that it can reach; the caller removes it."""
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        if account is None or account.can_reach(Path(base)):
            directory = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            give(directory, account)
            return directory
    raise RuntimeError(f"The user {account.name if account else ''!r} can reach no temporary directory.")


def give(path: Path, account: Account | None) -> None:
    """Make ``account`` the owner of ``path``."""
    if account is not None:
        shutil.chown(path, account.uid, account.gid)
