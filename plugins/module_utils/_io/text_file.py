# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A small file that others read while it is written: they find the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError


def read_text(path: str, option: str) -> str | None:
    """Return a file's text, or None where there is none."""
    with _translated("read", path, option):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return None


def replace_text(path: str, text: str, option: str, *, mode: int | None = 0o644) -> None:
    """Put a text into a file whose folder exists, in one step. Without a mode it keeps that of the file it replaces; a new one gets 0644."""
    folder, base_name = os.path.split(os.path.abspath(path))
    with _translated("write", path, option):
        if mode is None:
            mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644
        # With an ending of its own, so that nobody reads it for the file.
        descriptor, draft = tempfile.mkstemp(prefix=f".{base_name}.", suffix=".tmp", dir=folder)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.replace(draft, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise


@contextlib.contextmanager
def _translated(what: str, path: str, option: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(f"Trying to {what} {path} failed: {error.strerror}. Set {option} to a file in a folder that exists and can be written to.") from error
