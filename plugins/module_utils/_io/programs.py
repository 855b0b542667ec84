# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The PostgreSQL client programs of this host: finding them, running them, ending them."""

# Ansible's run_command keeps all output in memory and waits for the end; archives have to stream, and be stopped.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import re
import signal
import subprocess
import tempfile
import threading
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import ZSTD_SINCE_MAJOR, Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import ProgramError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login, client_environment, password_file_line

# Versioned directories come before PATH: Debian's /usr/bin/pg_dump is a wrapper that picks a version by the clusters of this host.
_VERSIONED_DIRECTORIES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # PGDG on RHEL and its family
    "/usr/lib/postgresql[0-9]*/bin",  # SUSE
    "/usr/libexec/postgresql[0-9]*",  # Alpine
    "/opt/homebrew/opt/postgresql@*/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>\d+)\S*)")
_NOT_FOR_CHILDREN = ("PG", "DATABASE_URL", "AWS_", "BACKUP_S3_")
_SECONDS_TO_END = 3.0
_KEPT_STDERR = 64 * 1024


def find_clients(pg_bin_dir: str | None) -> list[Client]:
    """Return the installed sets of client programs, the preferred ones first; only ``pg_bin_dir`` counts when it is given."""
    if pg_bin_dir:
        client = _client_in(pg_bin_dir)
        if client is None:
            raise ProgramError(f"pg_bin_dir is {pg_bin_dir}, but there is no working pg_dump and pg_restore in it. Set pg_bin_dir to their directory.")
        return [client]
    directories = [directory for pattern in _VERSIONED_DIRECTORIES for directory in sorted(glob.glob(pattern))]
    directories += [directory for directory in os.environ.get("PATH", "").split(os.pathsep) if directory]
    # /bin is often /usr/bin under another name.
    distinct: dict[str, str] = {}
    for directory in directories:
        distinct.setdefault(os.path.realpath(directory), directory)
    found = (_client_in(directory) for directory in distinct.values())
    return [client for client in found if client is not None]


def is_there(program: str) -> bool:
    """Say whether a program is installed and may be run."""
    return os.access(program, os.X_OK)


def with_compressions(client: Client) -> Client:
    """Return the client with what its build can compress; before 16 every build has gzip alone."""
    if client.major < ZSTD_SINCE_MAJOR:
        return client
    offered = {method for method in ("gzip", "lz4", "zstd") if _offers(client, method)}
    return dataclasses.replace(client, compressions=frozenset({"none", *offered}))


def _client_in(directory: str) -> Client | None:
    program = os.path.join(directory, "pg_dump")
    if not os.access(program, os.X_OK) or not os.access(os.path.join(directory, "pg_restore"), os.X_OK):
        return None
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(answer.stdout)
    return Client(major=int(found["major"]), version=found["version"], bin_dir=directory) if found else None


def knows_option(program: str, option: str) -> bool:
    """Say whether a program names an option in its help."""
    answer = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL, env=_plain_environment())
    return option in answer.stdout


def _offers(client: Client, method: str) -> bool:
    """Ask pg_dump itself: a method missing from the build is refused before it connects anywhere."""
    answer = subprocess.run(
        [client.pg_dump, f"--compress={method}", "--format=custom", "--host=/nonexistent", "--no-password"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
        env=_plain_environment(),
    )
    return "does not support compression" not in answer.stderr


class Credentials:
    """What a client program needs to connect: ``PG*`` variables and a password file without a name.

    The password file is an open, unnamed file that children reach through ``/dev/fd``; it vanishes with this process even when that is killed.
    """

    def __init__(self, login: Login) -> None:
        self._file: int | None = None
        self.environment = {**_plain_environment(), **client_environment(login)}
        if login.password is not None:
            self._file = unnamed_file(password_file_line(login.password).encode())
            self.environment["PGPASSFILE"] = f"/dev/fd/{self._file}"

    @property
    def descriptors(self) -> tuple[int, ...]:
        return () if self._file is None else (self._file,)

    def close(self) -> None:
        """Forget the password file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _plain_environment() -> dict[str, str]:
    """Return this process's environment without what says where databases and stores are, and with what."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_CHILDREN)}
    # Messages are matched and stored, so they must be in one language.
    return {**kept, "LC_ALL": "C"}


def unnamed_file(content: bytes) -> int:
    """Return the descriptor of a file in memory that has no name; a child that is given the descriptor finds it at ``/dev/fd/N``."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("postgresql_backup")
    else:
        with tempfile.TemporaryFile() as unnamed:
            descriptor = os.dup(unnamed.fileno())
    # libpq ignores a password file that others may read.
    os.fchmod(descriptor, 0o600)
    written = 0
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])
    return descriptor


def list_file(lines: t.Iterable[str]) -> int:
    """Return the descriptor of an unnamed file for a program that takes a list by path (``/dev/fd/N``)."""
    return unnamed_file("".join(f"{line}\n" for line in lines).encode())


def write_all(stream: t.IO[bytes], chunk: memoryview) -> None:
    """Write all of a chunk to a pipe, which takes as much at a time as it has room for."""
    written = 0
    while written < len(chunk):
        written += os.write(stream.fileno(), chunk[written:])


class Program:
    """One running child in a process group of its own, its standard error kept and passed through the redactor."""

    def __init__(
        self,
        command: t.Sequence[str],
        *,
        redact: t.Callable[[str], str],
        environment: t.Mapping[str, str] | None = None,
        descriptors: t.Sequence[int] = (),
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> None:
        self.name = os.path.basename(command[0])
        self._redact = redact
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env=_plain_environment() if environment is None else dict(environment),
                pass_fds=tuple(descriptors),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise ProgramError(f"{command[0]} could not be started: {error.strerror}. Set pg_bin_dir to the directory of working client programs.") from error
        self._stderr = bytearray()
        self._drain = threading.Thread(target=self._read_stderr, name=f"{self.name} stderr", daemon=True)
        self._drain.start()

    @property
    def stdin(self) -> t.IO[bytes]:
        return t.cast("t.IO[bytes]", self._process.stdin)

    @property
    def stdout(self) -> t.IO[bytes]:
        return t.cast("t.IO[bytes]", self._process.stdout)

    def wait(self) -> int:
        """Return the exit status once the program has ended (negative: the signal that ended it)."""
        status = self._process.wait()
        # Whatever it started may hold standard error open after it has ended.
        self._drain.join(_SECONDS_TO_END)
        return status

    @property
    def ended(self) -> bool:
        """Whether the program has ended."""
        return self._process.poll() is not None

    def ask_to_end(self, number: signal.Signals, seconds: float) -> bool:
        """Send a signal that means to end, and say whether the program did within this time."""
        if not self.ended:
            self._signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        return self.ended

    def kill(self) -> None:
        """End the program and everything it started."""
        if self._process.poll() is not None:
            # Its number may be a stranger's by now.
            return
        # Asked to end, pg_dump cancels its query; killed, it leaves a server process that waits for a lock and holds others.
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_END)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        """Make sure that nothing of the program is left."""
        if self._process.poll() is None:
            self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self.wait()

    def messages(self) -> list[str]:
        """Return what the program said on standard error, without its own name in front; complete once it has ended."""
        text = self._redact(self._stderr.decode("utf-8", "replace"))
        prefix = f"{self.name}: "
        return [line.removeprefix(prefix) for line in text.splitlines() if line.strip()]

    def failure(self, status: int, messages: t.Sequence[str] | None = None) -> str:
        """Say how the program ended and what it gave as the reason; ``messages`` are those of its messages that tell something (None: all)."""
        ended = f"was ended by signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"
        said = " ".join((self.messages() if messages is None else messages)[:5])
        return f"{self.name} {ended}" + (f": {said}" if said else "")

    def _read_stderr(self) -> None:
        stream = t.cast("t.IO[bytes]", self._process.stderr)
        while chunk := stream.read(8192):
            self._stderr += chunk
            if len(self._stderr) > _KEPT_STDERR:
                # The first lines name the cause; the rest is repetition.
                del self._stderr[_KEPT_STDERR:]
        stream.close()
