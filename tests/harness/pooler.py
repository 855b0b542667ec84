# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PgBouncer in front of a server: from the system, else from the system's own package archive, unpacked into the cache."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Literal

import psycopg2

from harness.account import give, private_directory, service_account
from harness.debian_packages import DebianProgram
from harness.ports import free_port
from harness.postgres import PostgresServer
from harness.process import Child
from harness.waiting import NotYet, wait_for

# What PgBouncer needs beyond a minimal system comes with it.
_PGBOUNCER = DebianProgram("PgBouncer", "usr/sbin/pgbouncer", ("pgbouncer", "libc-ares2", "libevent-2.1-7"), 5)


@functools.cache
def find_pgbouncer() -> Path | None:
    """Return a PgBouncer that runs, or None where there is none and none can be had."""
    return _PGBOUNCER.find()


class PgBouncer:
    """A pooler that lets every user of ``server`` in by the server's own password, which it knows of the superuser only."""

    def __init__(self, server: PostgresServer, mode: Literal["transaction", "session", "statement"]) -> None:
        self._server, self._mode = server, mode
        self._account = service_account()
        self._directory = private_directory("pgbouncer-", self._account)
        self._child: Child | None = None
        self.port = free_port()

    def __enter__(self) -> PgBouncer:
        program = find_pgbouncer()
        assert program
        secret = self._server.password.replace('"', '""')
        self._write("users", f'"{self._server.superuser}" "{secret}"\n')
        self._write(
            "pgbouncer.ini",
            f"""[databases]
* = host={self._server.host} port={self._server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self._directory}/users
pool_mode = {self._mode}
ignore_startup_parameters = extra_float_digits
""",
        )
        if not self._account_reaches(program):
            program = Path(shutil.copy(program, self._directory))
            program.chmod(0o755)
        self._child = Child([program, self._directory / "pgbouncer.ini"], self._directory / "log", account=self._account, environment=_PGBOUNCER.environment())
        wait_for(self._require_answer, "PgBouncer")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._child:
            self._child.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _account_reaches(self, program: Path) -> bool:
        return self._account is None or self._account.can_reach(program)

    def _write(self, name: str, text: str) -> None:
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        give(path, self._account)

    def _require_answer(self) -> None:
        assert self._child
        self._child.require_running()
        try:
            psycopg2.connect(
                host="127.0.0.1", port=self.port, dbname="postgres", user=self._server.superuser, password=self._server.password, connect_timeout=2
            ).close()
        except psycopg2.OperationalError as error:
            raise NotYet(str(error)) from error
