# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A PostgreSQL server of our own for as long as something is tried on it: from the installed programs, reachable by this host's root and by us alone.

It has no network address, its files lie in one private directory, and it ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import tempfile
import time
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import HostPort
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, DatabaseError, ProgramError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import programs
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session

_PREFIX = "postgresql_backup_test_"
_SUPERUSER = "postgres"
_PORT = 5432
# The kernel's limit for the path of a socket, which ends with .s.PGSQL.5432.
_LONGEST_DIRECTORY = 90
_SECONDS_TO_START = 60.0
_SECONDS_TO_STOP = 10.0
_SECONDS_BETWEEN_LOOKS = 0.05
# A directory younger than this may be of a run that is just about to lock it.
_SECONDS_TO_LOCK = 3600.0

# Nothing of it has to survive anything: what is proved is proved while it runs.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(_PORT),
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "4GB",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "max_prepared_transactions": "0",
    "max_connections": "100",
    "maintenance_work_mem": "256MB",
    "logging_collector": "off",
    "log_min_messages": "fatal",
}


def find_server_programs(clients: t.Sequence[Client], major: int) -> Client:
    """Return the installation that has a server of this major version, else the next newer one; raise a sentence when there is none."""
    found = [client for client in clients if all(programs.is_there(os.path.join(client.bin_dir, name)) for name in ("initdb", "postgres"))]
    able = [server for server in found if server.major >= major]
    if not able:
        there = f"there is only {', '.join(str(server.major) for server in found)}" if found else "there is none"
        raise ProgramError(
            f"No PostgreSQL server {major} or newer is installed on this host to test the backup on; {there}. "
            f"Install the server programs (Debian: postgresql-{major}), set pg_bin_dir to their directory, "
            "or set database_url or login_host to a server to test on."
        )
    return min(able, key=lambda server: server.major)


class PrivateServer:
    """One server, from its creation to its removal; used as a context manager."""

    def __init__(self, server: Client, base: str | None, redact: t.Callable[[str], str]) -> None:
        self._server, self._redact = server, redact
        self._base = base or tempfile.gettempdir()
        self._account = _account()
        self._prefix = _as_account(self._account)
        self._stack = contextlib.ExitStack()
        self._directory = ""

    def __enter__(self) -> PrivateServer:
        try:
            remove_stale(self._base)
            self._directory = self._make_directory()
            self._initialize()
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def login(self, application_name: str) -> Login:
        """Return the login of its superuser."""
        return Login("postgres", (HostPort(self._directory, _PORT),), _SUPERUSER, parameters=(("application_name", application_name), ("sslmode", "disable")))

    def _make_directory(self) -> str:
        try:
            directory = tempfile.mkdtemp(prefix=_PREFIX, dir=self._base)
        except OSError as error:
            raise BackupError(
                f"No directory for a private server could be made in {self._base}: {error.strerror}. Set spool_directory to a directory to write to."
            ) from error
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        if len(directory) > _LONGEST_DIRECTORY:
            raise BackupError(f"The path {directory} is too long for a server's socket. Set spool_directory to a directory with a shorter path.")
        self._stack.enter_context(_locked(directory))
        if self._account:
            os.chown(directory, self._account.pw_uid, self._account.pw_gid)
        return directory

    def _initialize(self) -> None:
        command = ["initdb", "--pgdata", self._data, "--username", _SUPERUSER, "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C"]
        program = self._program(command)
        try:
            status = program.wait()
        finally:
            program.close()
        if status != 0:
            raise ProgramError(f"A private server could not be made in {self._base}: {' '.join(program.messages()[-3:])}")

    def _start(self) -> None:
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        program = self._program(["postgres", "-D", self._data, "-k", self._directory, *options])
        self._stack.callback(_stop, program)
        login = self.login("workon.postgresql_backup")
        deadline = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                Session(login).close()
            except DatabaseError as error:
                if program.ended or time.monotonic() > deadline:
                    said = " ".join(program.messages()[-3:])
                    raise ProgramError(f"A private server could not be started in {self._base}: {said or error.message}") from error
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            else:
                return

    @property
    def _data(self) -> str:
        return os.path.join(self._directory, "data")

    def _program(self, command: t.Sequence[str]) -> programs.Program:
        return programs.Program([*self._prefix, os.path.join(self._server.bin_dir, command[0]), *command[1:]], redact=self._redact)


def remove_stale(base: str) -> None:
    """Remove what runs that were killed have left: directories of ours that nobody holds."""
    account = _account()
    owners = {os.geteuid(), account.pw_uid if account else os.geteuid()}
    with os.scandir(base) as entries:
        found = [entry for entry in entries if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False)]
    for entry in found:
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            locked = os.path.exists(os.path.join(entry.path, "lock"))
            if status.st_uid in owners and (locked or time.time() - status.st_mtime > _SECONDS_TO_LOCK):
                with _locked(entry.path):
                    _end_server_of(os.path.join(entry.path, "data"))
                    shutil.rmtree(entry.path, ignore_errors=True)


@contextlib.contextmanager
def _locked(directory: str) -> t.Iterator[None]:
    """Hold a directory; the lock goes with its process. Raises BlockingIOError, an OSError, where another has it."""
    descriptor = os.open(os.path.join(directory, "lock"), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _end_server_of(data: str) -> None:
    """End a server that has outlived its run, if the process that its file names really works in its directory."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open(os.path.join(data, "postmaster.pid"), encoding="ascii") as file:
            pid = int(file.readline())
        if os.path.samefile(os.readlink(f"/proc/{pid}/cwd"), data):
            os.kill(pid, signal.SIGQUIT)


def _account() -> pwd.struct_passwd | None:
    """Return the account to run a server as, which refuses to run as root; None where we are another already."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ProgramError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody to run it as. Run as another user.")


def _as_account(account: pwd.struct_passwd | None) -> list[str]:
    """Return what stands before a command so that it runs as the account, and ends with us where setpriv knows how (since util-linux 2.33)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if account:
            raise ProgramError(
                "The program setpriv, with which root starts a server as another user, is not installed. Install util-linux, or run as another user."
            )
        return []
    switch = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"] if account else []
    return [setpriv, *(["--pdeathsig", "QUIT"] if programs.knows_option(setpriv, "--pdeathsig") else []), *switch, "--"]


def _stop(program: programs.Program) -> None:
    """Stop a server: at first so that it ends its sessions, then in any case."""
    if not program.ask_to_end(signal.SIGINT, _SECONDS_TO_STOP):
        program.ask_to_end(signal.SIGQUIT, _SECONDS_TO_STOP)
    program.close()
