# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The folder of an application's Prisma migrations, read into plain data."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

_SCRIPT = "migration.sql"
_REMEDY = "Set prisma to the folder of migrations on the host that runs the module (usually prisma/migrations), or to sql to do without it."


def read_migrations(folder: str) -> dict[str, bytes]:
    """Return ``{name: content of its migration.sql}``, in the order of names, which is the order of application."""
    try:
        with os.scandir(folder) as entries:
            # As Prisma does it: every directory is a migration, and files beside them (migration_lock.toml) are none.
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        raise BackupError(f"The folder of Prisma migrations {folder} cannot be read: {_reason(error)}. {_REMEDY}") from error
    if not names:
        raise BackupError(f"The folder {folder} holds no Prisma migration, which would be a directory with a {_SCRIPT}. {_REMEDY}")
    return dict(_scripts(folder, names))


def _scripts(folder: str, names: t.Iterable[str]) -> t.Iterator[tuple[str, bytes]]:
    for name in names:
        try:
            with open(os.path.join(folder, name, _SCRIPT), "rb") as script:
                yield name, script.read()
        except OSError as error:
            raise BackupError(f"The Prisma migration {os.path.join(folder, name)} has no {_SCRIPT} that can be read: {_reason(error)}. {_REMEDY}") from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
