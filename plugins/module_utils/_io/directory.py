# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A local directory as a store: the layout of a bucket, files of mode 0600, never half a file under a final name."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import stat
import tempfile
import typing as t
import uuid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject, UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.versions import HiddenVersion, ObjectLock
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import StoreFacts

_CHUNK = 1024 * 1024
_PARTIAL = ".partial"
_RECORDS = ".dump.tests"
_BACKUP_ID = "backup-id"
# An extended attribute of the file, where the file system has them.
_MARK = "user.postgresql_backup.backup-id"


class DirectoryStore:
    """One prefix of one directory."""

    def __init__(self, directory: str, prefix: str = "") -> None:
        self._root = os.path.abspath(os.path.expanduser(directory))
        self.prefix = naming.normalize_prefix(prefix)
        self._folder = os.path.join(self._root, self.prefix)
        self.location = self._folder

    def address(self, key: str) -> str:
        return os.path.join(self._root, key)

    def probe(self, key: str, *, write: bool) -> StoreFacts:
        if not os.path.isdir(self._root):
            raise StoreError(f"The directory {self._root} does not exist. Create it (mode 0700), or set directory to one that exists.")
        if not write:
            return StoreFacts("directory", self.location, False, "supported", None, None)
        with _translated("write to", self._folder):
            self._probe_writing()
        return StoreFacts("directory", self.location, True, "supported", None, None)

    def exists(self, key: str) -> bool:
        return os.path.lexists(self.address(key))

    def list_objects(self, starts_with: str = "", *, deep: bool = False) -> list[StoredObject]:
        return [
            StoredObject(self.prefix + name, status.st_size, _time(status.st_mtime))
            for name, status in self._files(starts_with, deep)
            if not name.endswith(_PARTIAL)
        ]

    def list_unfinished(self, starts_with: str = "") -> list[UnfinishedUpload]:
        return [
            UnfinishedUpload(self.prefix + name.rpartition(".dump")[0].lstrip(".") + ".dump", name, _time(status.st_mtime))
            for name, status in self._files("")
            if name.endswith(_PARTIAL) and name.lstrip(".").startswith(starts_with)
        ]

    def read(self, key: str) -> bytes:
        return b"".join(self.stream(key))

    def stream(self, key: str) -> t.Iterator[bytes]:
        with _translated("read", self.address(key)), open(self.address(key), "rb") as stored:
            while chunk := stored.read(_CHUNK):
                yield chunk

    def put(self, key: str, content: bytes, content_type: str) -> None:
        upload = self.start_upload(key, _CHUNK, {})
        try:
            for start in range(0, len(content), upload.part_size):
                chunk = content[start : start + upload.part_size]
                part = upload.next_part()
                part.view[: len(chunk)] = chunk
                upload.send(part, len(chunk))
            upload.complete("")
        except BaseException:
            upload.abort()
            raise

    def start_upload(self, key: str, part_size: int, metadata: t.Mapping[str, str]) -> DirectoryUpload:
        if self.exists(key):
            raise _exists(self.address(key))
        with _translated("write to", os.path.dirname(self.address(key))):
            self._make_folders(key)
            draft = _Draft(self._folder, key)
            _mark(draft.descriptor, metadata.get(_BACKUP_ID))
            return DirectoryUpload(draft, self.address(key), min(part_size, _CHUNK))

    def delete(self, key: str) -> None:
        with _translated("delete", self.address(key)), contextlib.suppress(FileNotFoundError):
            os.unlink(self.address(key))

    def pruner(self) -> DirectoryPruner:
        return DirectoryPruner(self)

    def _files(self, starts_with: str, deep: bool = False) -> list[tuple[str, os.stat_result]]:
        found = []
        folder, _slash, start = starts_with.rpartition("/")
        with _translated("list", self._folder):
            for base_name in (name for name in self._names(folder) if name.startswith(start)):
                name = f"{folder}/{base_name}" if folder else base_name
                path = os.path.join(self._folder, name)
                # A file can go while its folder is listed.
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(path)
                    if stat.S_ISREG(status.st_mode):
                        found.append((name, status))
                    elif deep and stat.S_ISDIR(status.st_mode) and not os.path.islink(path):
                        found += self._files(f"{name}/", deep)
        return found

    def _names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self._folder, folder)))
        except FileNotFoundError:
            # A prefix comes into being with its first object.
            if os.path.isdir(self._root):
                return []
            raise

    def _probe_writing(self) -> None:
        """Publish an empty file the way archives are published, and remove it with the folders that were made for it."""
        key = f"{self.prefix}{naming.PROBE_NAME}.{uuid.uuid4().hex[:8]}"
        path = self.address(key)
        made = [folder for folder in self._folders(key) if not os.path.isdir(folder)]
        self._make_folders(key)
        draft = _Draft(self._folder, key)
        try:
            draft.publish(path)
            os.unlink(path)
        finally:
            draft.discard()
            for folder in reversed(made):
                # Another run may have put something there meanwhile.
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def _make_folders(self, key: str) -> None:
        # One by one: makedirs gives its mode to the last folder alone.
        for folder in self._folders(key):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)

    def _folders(self, key: str) -> list[str]:
        """Return the folders of a key, the outermost first."""
        parts = key.split("/")[:-1]
        return [os.path.join(self._root, *parts[: depth + 1]) for depth in range(len(parts))]


class DirectoryPruner:
    """What retention needs of a directory, where deletions are for good and nothing is locked."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self.versioned: bool | None = False
        self.batch_delete: t.Literal["supported", "rejected"] | None = None

    def backup_id(self, key: str) -> str | None:
        with contextlib.suppress(AttributeError, OSError):
            return os.getxattr(self._store.address(key), _MARK).decode("utf-8", "replace")
        return None

    def lock(self, key: str, version_id: str | None = None) -> ObjectLock | None:
        return None

    def delete(self, keys: t.Sequence[str]) -> dict[str, str]:
        failures = {}
        for key in keys:
            try:
                self._store.delete(key)
            except StoreError as error:
                failures[key] = error.message
        for folder in {os.path.dirname(self._store.address(key)) for key in keys if key.endswith(".json")}:
            # The folder of a backup's records, when nothing is in it any more; never the store's own.
            if folder.endswith(_RECORDS):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        return failures

    def abort(self, upload: UnfinishedUpload) -> None:
        self._store.delete(self._store.prefix + upload.upload_id)

    def list_hidden(self, starts_with: str) -> list[HiddenVersion]:
        return []

    def read_hidden(self, version: HiddenVersion) -> bytes:
        raise StoreError(f"A directory keeps no versions, so there is none of {version.key}.")

    def purge(self, versions: t.Sequence[HiddenVersion]) -> dict[str, str]:
        return {}


class DirectoryPart:
    """A buffer that is written out when it is sent."""

    def __init__(self, size: int) -> None:
        self.view = memoryview(bytearray(size))


class DirectoryUpload:
    """A file without a name until it is complete and on the disk."""

    def __init__(self, draft: _Draft, path: str, part_size: int) -> None:
        self.part_size = part_size
        self._draft, self._path = draft, path
        self._part = DirectoryPart(part_size)
        self._size = 0

    def cancel(self) -> None:
        """Do nothing: nobody waits for a buffer here."""

    def next_part(self) -> DirectoryPart:
        return self._part

    def send(self, part: DirectoryPart, length: int) -> None:
        with _translated("write", self._path):
            written = 0
            while written < length:
                written += os.write(self._draft.descriptor, part.view[written:length])
        self._size += length

    def complete(self, sha256: str) -> dict[str, t.Any]:
        with _translated("write", self._path):
            self._draft.publish(self._path)
            shown = os.stat(self._path).st_size
        if shown != self._size:
            raise VerificationError(f"{self._path} was written with {self._size} bytes, but has {shown}. Nothing was published.")
        return {"server_side": None, "kms_key_id": None}

    def abort(self) -> None:
        with _translated("clean up", self._path):
            self._draft.discard()


class _Draft:
    """A file being written: without any name where the file system can do that, so that not even a killed process leaves one."""

    def __init__(self, folder: str, key: str) -> None:
        self._name: str | None = None
        try:
            self.descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", None) not in (None, errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
            base_name = key.rpartition("/")[2]
            self.descriptor, self._name = tempfile.mkstemp(prefix=f".{base_name}.", suffix=_PARTIAL, dir=folder)

    def publish(self, path: str) -> None:
        """Give the finished file its name, unless something has it; then make sure that both survive a power cut."""
        os.fsync(self.descriptor)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            source = self._name or f"/proc/self/fd/{self.descriptor}"
            # src_dir_fd is what makes Python follow the link in /proc to the unnamed file.
            os.link(source, path, src_dir_fd=folder, follow_symlinks=True)
            if self._name:
                os.unlink(self._name)
                self._name = None
            os.fsync(folder)
        finally:
            os.close(folder)
        self.discard()

    def discard(self) -> None:
        """Forget the file; harmless when it was published."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        if self._name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._name)
            self._name = None


@contextlib.contextmanager
def _translated(what: str, path: str) -> t.Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        help_text = {
            errno.ENOSPC: "Free space there, or set directory to another file system.",
            errno.EDQUOT: "Free space there, or raise the quota.",
            errno.EFBIG: "Raise this user's file size limit (ulimit -f), or set directory to a file system that takes files of this size.",
            errno.EPERM: "Set directory to a file system that has hard links (ext4, XFS and the like), and check its owner.",
            errno.EOPNOTSUPP: "Set directory to a file system that has hard links (ext4, XFS and the like).",
            errno.EACCES: "Set directory to one that this user may write to, or change its owner or mode.",
            errno.EROFS: "Set directory to one that is not mounted read-only.",
            errno.ENOENT: "Check directory and prefix.",
        }.get(error.errno or 0, "")
        # In the words of a bucket, so that callers need to know only one language.
        status = 404 if error.errno == errno.ENOENT else 0
        raise StoreError(f"Trying to {what} {path} failed: {error.strerror}. {help_text}".rstrip(), store_status=status) from error


def _mark(descriptor: int, backup_id: str | None) -> None:
    """Have a file say which backup it belongs to, as the metadata of an object does; without its manifest it is then still known as ours."""
    if backup_id:
        with contextlib.suppress(AttributeError, OSError):
            os.setxattr(descriptor, _MARK, backup_id.encode())


def _exists(path: str) -> StoreError:
    return StoreError(f"The key {path} exists already, and a backup is never overwritten. Run again in a second, or set another name.")


def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
