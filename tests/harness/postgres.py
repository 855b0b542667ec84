# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private PostgreSQL server on a loopback port."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

import psycopg2

from harness import process
from harness.account import Account, give, private_directory, service_account
from harness.installations import Installation, find_installations, installation
from harness.ports import free_port
from harness.waiting import NotYet, wait_for

__all__ = ["Installation", "PostgresServer", "Standby", "find_installations", "installation"]

_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class PostgresServer:
    """A server of its own: created and started on entering, stopped and removed on leaving.

    ``directory`` holds the data; without one, or where the service account cannot reach it, a temporary one does. The superuser must
    give its password on every connection (scram). ``settings`` are server settings and may be changed between stop() and start().
    """

    def __init__(
        self,
        installation: Installation | None = None,
        directory: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        superuser: str = "postgres",
        password: str | None = None,
    ) -> None:
        self.installation = installation or find_installations()[-1]
        self.settings = dict(settings or {})
        self.host = host
        self.port = free_port(host)
        self.superuser = superuser
        self.password = password or secrets.token_hex(12)
        self._account = service_account()
        self._wanted_directory = directory
        self._private: Path | None = None
        self._child: process.Child | None = None
        self.directory: Path
        self.socket_directory: Path

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C too: what was begun has to go
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop("immediate")
        self.remove()

    def start(self, *, seconds: float = 60.0) -> None:
        """Create the cluster if there is none yet, start the server and wait until it answers a query."""
        self._make_room()
        if not (self.directory / "PG_VERSION").exists():
            self._create_cluster()
        options = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory),
            **self.settings,
        }
        self._child = process.Child(
            [self._program("postgres"), "-D", self.directory, *(f"--{name}={value}" for name, value in options.items())],
            self._log,
            account=self._account,
            environment=self._environment(),
            when_orphaned=signal.SIGQUIT,
        )
        try:
            wait_for(self._require_answer, f"PostgreSQL {self.installation.version} on port {self.port}", seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error} Its last words:\n{self.last_words()}") from error

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server; its data stay for the next start()."""
        if self._child:
            self._child.stop(_STOP_SIGNALS[mode])

    def kill(self) -> None:
        """End the server and all its sessions at once (SIGKILL), as a power cut would."""
        if self._child:
            self._child.kill()

    def restart(self) -> None:
        """Stop and start on the same port with the same data."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Delete the data and everything temporary of a stopped server."""
        if self._private:
            shutil.rmtree(self.directory, ignore_errors=True)
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None

    @property
    def running(self) -> bool:
        """Whether the server process lives."""
        return self._child is not None and self._child.running

    def url(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """Return a connection URL, the superuser's unless told otherwise; every part is quoted."""
        user, password = (self.superuser, self.password) if user is None else (user, password)
        secret = "" if password is None else ":" + quote(password, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{quote(user, safe='')}{secret}@{host}:{self.port}/{quote(database, safe='')}"

    def connect(self, database: str = "postgres", user: str | None = None, password: str | None = None, **options: Any) -> Any:
        """Return an open psycopg2 connection in autocommit mode."""
        user, password = (self.superuser, self.password) if user is None else (user, password)
        connection = psycopg2.connect(host=self.host, port=self.port, dbname=database, user=user, password=password, **{"connect_timeout": 10, **options})
        connection.autocommit = True
        return connection

    def standby(self, directory: Path | None = None, *, settings: Mapping[str, str] | None = None) -> Standby:
        """Return a streaming hot standby of this running server, to be entered or started."""
        return Standby(self, directory, settings=settings)

    @property
    def bin_dir(self) -> Path:
        """The directory of its programs, where whoever starts another server can reach them, too."""
        return _reachable_bin_dir(self.installation, self._account)

    def last_words(self) -> str:
        """Return the end of the server's log."""
        return self._child.last_words() if self._child else ""

    def _make_room(self) -> None:
        if self._private:
            return
        self._private = private_directory("pg-", self._account)
        self._log = self._private / "server.log"
        # Apart from the data: the path of a socket may have 107 bytes only.
        self.socket_directory = self._private / "socket"
        self.socket_directory.mkdir()
        give(self.socket_directory, self._account)
        self.directory = self._private / "data"
        if self._wanted_directory:
            self._wanted_directory.mkdir(parents=True, exist_ok=True)
            if self._account is None or self._account.can_reach(self._wanted_directory):
                self.directory = self._wanted_directory
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o700)
        give(self.directory, self._account)

    def _create_cluster(self) -> None:
        assert self._private
        password_file = self._private / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password + "\n")
        give(password_file, self._account)
        try:
            process.run(
                [
                    self._program("initdb"),
                    f"--pgdata={self.directory}",
                    f"--username={self.superuser}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                ],
                account=self._account,
                environment=self._environment(),
            )
        finally:
            password_file.unlink()

    def _program(self, name: str) -> Path:
        return self.bin_dir / name

    def _environment(self) -> dict[str, str]:
        # A server must not inherit who the developer is (PGHOST, PGPASSWORD, ...), nor a home that its account cannot enter.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        # The prebuilt modules (walreceiver, postgres_fdw) would otherwise load the system's libpq, an older one.
        libraries = self.bin_dir.parent / "lib"
        return ours | {"HOME": "/", "LC_ALL": "C.UTF-8", "TZ": "UTC", "LD_LIBRARY_PATH": str(libraries)}

    def _require_answer(self) -> None:
        assert self._child
        self._child.require_running()
        try:
            connection = self.connect(connect_timeout=2)
        except psycopg2.OperationalError as error:
            raise NotYet(str(error).strip()) from error
        connection.close()


class Standby(PostgresServer):
    """A hot standby that streams from ``primary``, which must run."""

    def __init__(self, primary: PostgresServer, directory: Path | None = None, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(
            primary.installation,
            directory,
            settings={**primary.settings, **(settings or {})},
            host=primary.host,
            superuser=primary.superuser,
            password=primary.password,
        )
        self.primary = primary

    def catch_up(self, *, seconds: float = 30.0) -> None:
        """Wait until everything that the primary has written so far is visible here."""
        written = _ask(self.primary, "SELECT pg_current_wal_flush_lsn()")

        def probe() -> None:
            if not _ask(self, f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"):
                raise NotYet(f"It has not replayed up to {written}.")

        wait_for(probe, "The standby catches up", seconds=seconds)

    def _create_cluster(self) -> None:
        # The password travels by environment and ends in the standby's own configuration file, never in argv.
        process.run(
            [
                self._program("pg_basebackup"),
                f"--pgdata={self.directory}",
                f"--host={self.primary.host}",
                f"--port={self.primary.port}",
                f"--username={self.primary.superuser}",
                "--no-password",
                "--write-recovery-conf",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--no-sync",
            ],
            account=self._account,
            environment=self._environment() | {"PGPASSWORD": self.primary.password},
        )


def _ask(server: PostgresServer, query: str) -> Any:
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]
    finally:
        connection.close()


@functools.cache
def _reachable_bin_dir(installation: Installation, account: Account | None) -> Path:
    """Return the programs' directory, or that of a copy where the account cannot reach it (a checkout below a closed home)."""
    if account is None or account.can_reach(installation.bin_dir):
        return installation.bin_dir
    copy = private_directory(f"pg{installation.major}-", account)
    process.remove_at_exit(copy)
    shutil.copytree(installation.bin_dir.parent, copy / "installation", symlinks=True)
    copy.chmod(0o755)
    (copy / "installation").chmod(0o755)
    return copy / "installation" / installation.bin_dir.name
