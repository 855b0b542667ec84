# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Archives on this host's disk while they are restored: a private file without a name, or a file of the user's that is only looked at.

Both are given to client programs as ``/dev/fd/N``. A file without a name vanishes with the last process that has it open, however those end.
"""

from __future__ import annotations

import os
import tempfile

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, StoreError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import human_size

# Others write to the same disk meanwhile.
_HEADROOM = 1.05


class Spool:
    """An archive in a private file of mode 0600."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        try:
            with tempfile.TemporaryFile(dir=directory) as unnamed:
                self.descriptor = os.dup(unnamed.fileno())
        except OSError as error:
            raise BackupError(f"No temporary file could be made in {directory}: {error.strerror}. Set spool_directory to a directory to write to.") from error

    @property
    def path(self) -> str:
        """The path for a program that was given the descriptor."""
        return f"/dev/fd/{self.descriptor}"

    def write(self, chunk: bytes) -> None:
        """Append to the file."""
        written = 0
        while written < len(chunk):
            try:
                written += os.write(self.descriptor, memoryview(chunk)[written:])
            except OSError as error:
                raise BackupError(
                    f"The archive could not be kept in {self._directory}: {error.strerror}. Free space there, or set spool_directory to another directory."
                ) from error

    def require_unchanged(self) -> None:
        """Nobody else can reach this file."""

    def close(self) -> None:
        """Forget the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class LocalFile:
    """An archive that lies on this host already: opened once, and required to stay as it was when it was verified."""

    def __init__(self, file: str) -> None:
        self._file = file
        try:
            self.descriptor = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise StoreError(f"The archive {file} could not be opened: {error.strerror}. Check backup.") from error
        self._state = self._look()

    @property
    def path(self) -> str:
        """The path for a program that was given the descriptor."""
        return f"/dev/fd/{self.descriptor}"

    def write(self, chunk: bytes) -> None:
        """Do nothing: the bytes are there."""

    def require_unchanged(self) -> None:
        """Fail when the file was written to since it was opened."""
        if self._look() != self._state:
            raise StoreError(f"The file {self._file} was changed while it was restored. Nothing of it is kept. Run again once nobody writes to it.")

    def close(self) -> None:
        """Forget the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _look(self) -> tuple[int, int, int]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def has_room(directory: str, size: int) -> bool:
    """Say whether a file of this size in bytes fits there with something to spare."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize >= size * _HEADROOM


def spool_directory(wanted: str | None) -> str:
    """Return the directory for archives under way: the one asked for, else this host's for temporary files."""
    directory = wanted or tempfile.gettempdir()
    if not os.path.isdir(directory):
        raise BackupError(f"spool_directory is {directory}, which is not a directory. Create it (mode 0700), or set spool_directory to one that exists.")
    return directory


def describe_room(directory: str, size: int) -> str:
    """Say why an archive is streamed instead of kept."""
    return f"{directory} has no room for {human_size(size)}, so the archive is read twice instead of kept. Set spool_directory to a larger one to read it once."
