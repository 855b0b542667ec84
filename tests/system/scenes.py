# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system tests act on: databases and stores on real servers, and the verdict that every failure must pass.

SYSTEM_TEST_MAJORS chooses the PostgreSQL versions, for example ``15,17,18``; without it the oldest found and 17, or the two newest.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import HostPort
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store as OpenStore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_SPEC, open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.catalog import load_catalog
from harness.ansible_runner import Outcome
from harness.postgres import PostgresServer, find_installations
from harness.stores import StoreServer
from harness.waiting import NotYet, wait_for

# Each has every character that a URL, a password file, a shell or JSON must escape.
PASSWORD = "p@ss:w/rd%Canary7"
STORE_SECRET = "S3Kanary/Zebra+77"

MIB = 1024 * 1024


def _majors() -> tuple[int, ...]:
    wanted = os.environ.get("SYSTEM_TEST_MAJORS")
    if wanted:
        return tuple(sorted(int(major) for major in wanted.split(",")))
    found = [each.major for each in find_installations()]
    return (found[0], 17) if 17 in found[1:] else tuple(found[-2:])


MAJORS = _majors()


class Database:
    """One database of a real server, reached as its superuser unless told otherwise."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server, self.name = server, name
        self._roles: list[str] = []

    def create(self, *options: str) -> Database:
        """Create the database."""
        with self._maintenance() as cursor:
            cursor.execute(f"CREATE DATABASE {quoted(self.name)} TEMPLATE template0 {' '.join(options)}")
        return self

    def drop(self) -> None:
        """Drop the database and the roles made for it, whoever is connected."""
        with self._maintenance() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(self.name)} WITH (FORCE)")
            for role in self._roles:
                cursor.execute(f"DROP ROLE IF EXISTS {quoted(role)}")

    def options(self, user: str | None = None, **overriding: Any) -> dict[str, Any]:
        """Return the modules' options that mean this database, and the client programs of its server's version."""
        password = PASSWORD if user else None
        return {"database_url": self.server.url(self.name, user, password), "pg_bin_dir": str(self.server.installation.bin_dir), **overriding}

    def login(self, **overriding: Any) -> dict[str, Any]:
        """Return the same as single options instead of a URL."""
        return {
            "login_host": self.server.host,
            "login_port": self.server.port,
            "login_user": self.server.superuser,
            "login_password": self.server.password,
            "database": self.name,
            "pg_bin_dir": str(self.server.installation.bin_dir),
            **overriding,
        }

    def role(self, *attributes: str) -> str:
        """Create a role that may log in, with the canary as its password, and return its name."""
        name = f"role_{secrets.token_hex(4)}"
        with self._maintenance() as cursor:
            cursor.execute(f"CREATE ROLE {name} LOGIN {' '.join(attributes)} PASSWORD %s", [PASSWORD])
        self._roles.append(name)
        return name

    def execute(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with self.connected() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self.connected() as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def value(self, query: str, *parameters: Any) -> Any:
        """Return the one value of a query."""
        ((value,),) = self.rows(query, *parameters)
        return value

    @contextlib.contextmanager
    def connected(self, user: str | None = None) -> Iterator[Any]:
        """Hold a connection in autocommit mode."""
        connection = self.server.connect(self.name, user, PASSWORD if user else None)
        try:
            yield connection
        finally:
            connection.close()

    def session(self, user: str | None = None, *, schema: str | None = None) -> Session:
        """Return a connection as the collection opens it."""
        password = PASSWORD if user else self.server.password
        return Session(Login(self.name, (HostPort(self.server.host, self.server.port),), user or self.server.superuser, password, schema=schema))

    @contextlib.contextmanager
    def locked(self, table: str) -> Iterator[Any]:
        """Hold an ACCESS EXCLUSIVE lock on a table, so that pg_dump waits before its first row; yields what releases it."""
        with self.connected() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield lambda: cursor.execute("COMMIT")

    def wait_for_session(self, condition: str, *, seconds: float = 30.0, database: str | None = None) -> int:
        """Wait until a session meets a condition on pg_stat_activity, and return its process id: one of this database, or of any that is LIKE ``database``."""
        where = f"datname LIKE '{database}'" if database else "datname = current_database()"
        query = f"SELECT pid FROM pg_stat_activity WHERE {where} AND pid <> pg_backend_pid() AND ({condition})"

        def probe() -> int:
            found = self.rows(query)
            if not found:
                raise NotYet("There is none.")
            return int(found[0][0])

        return wait_for(probe, f"A session with {condition}", seconds=seconds)

    def sessions(self) -> int:
        """Count the sessions in this database, asked from another one."""
        with self._maintenance() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [self.name])
            return int(cursor.fetchone()[0])

    @contextlib.contextmanager
    def _maintenance(self) -> Iterator[Any]:
        connection = self.server.connect()
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


class Store(Protocol):
    """Where backups go. Listings are asked of the server or file system itself, past the code under test."""

    @property
    def options(self) -> dict[str, Any]:
        """The module options that mean this store."""

    def listing(self) -> list[str]:
        """Return all keys."""

    def unfinished(self) -> list[str]:
        """Return the keys of unfinished uploads."""

    def read(self, key: str) -> bytes:
        """Return an object."""

    def write(self, key: str, content: bytes) -> None:
        """Put or overwrite an object."""

    def delete(self, key: str) -> None:
        """Remove an object."""


@dataclass(frozen=True)
class Folder:
    """A directory as a store."""

    path: Path

    @property
    def options(self) -> dict[str, Any]:
        return {"directory": str(self.path)}

    def listing(self) -> list[str]:
        """Return every file, hidden and unfinished ones included."""
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if not path.is_dir())

    def unfinished(self) -> list[str]:
        return [key for key in self.listing() if key.endswith(".partial")]

    def read(self, key: str) -> bytes:
        return (self.path / key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        (self.path / key).write_bytes(content)

    def delete(self, key: str) -> None:
        (self.path / key).unlink()


@dataclass(frozen=True)
class Bucket:
    """A bucket of a real S3 server; modules may be told another address than the server's own, such as a proxy's."""

    server: StoreServer
    name: str
    endpoint_url: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        return {
            "bucket": self.name,
            "endpoint_url": self.endpoint_url or self.server.endpoint_url,
            "access_key": self.server.access_key,
            "secret_key": self.server.secret_key,
        }

    def through(self, endpoint_url: str) -> Bucket:
        """Return the same bucket as reached through a proxy."""
        return replace(self, endpoint_url=endpoint_url)

    def listing(self) -> list[str]:
        return sorted(self.server.keys(self.name))

    def unfinished(self) -> list[str]:
        return self.server.uploads(self.name)

    def read(self, key: str) -> bytes:
        content: bytes = self.server.client().get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self.server.client().put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.server.client().delete_object(Bucket=self.name, Key=key)


class Verdict:
    """What must hold after every failure, whatever went wrong."""

    def nothing_left(
        self,
        outcome: Outcome,
        store: Store,
        *,
        says: tuple[str, ...],
        before: tuple[str, ...] = (),
        unfinished: int | None = 0,
        reachable: bool = True,
    ) -> None:
        """Require a failure that left nothing: no object, no visible backup, no temporary file, no process; and a sentence with ``says`` in it.

        ``before`` are the objects that were there already, ``unfinished`` how many uploads the store must show (None: any number), ``reachable`` whether it can
        still be asked. That no secret was printed is required by the runner, of every run.
        """
        assert outcome.failed, f"{outcome.module} succeeded: {outcome.message}"
        assert re.search(r"\w [^.]+.*\.$| It said: ", outcome.message, re.DOTALL), f"Not a sentence: {outcome.message!r}"
        assert "did not expect" not in outcome.message, f"{outcome.message}\n{outcome.result.get('exception')}"
        for fragment in says:
            assert fragment in outcome.message, f"{fragment!r} is not in: {outcome.message}"
        self.clean_host(outcome)
        if reachable:
            self.clean_store(store, before=before, unfinished=unfinished)

    def clean_store(self, store: Store, *, before: tuple[str, ...] = (), unfinished: int | None = 0) -> None:
        """Require that a store holds what it held before, by its own account and as the catalog sees it."""
        assert [key for key in store.listing() if key not in store.unfinished()] == sorted(before)
        catalog = read_catalog(store)
        assert {backup.key for backup in catalog.backups} == {key.removesuffix(".manifest.json") for key in before if key.endswith(".manifest.json")}
        if unfinished is not None:
            assert len(store.unfinished()) == unfinished
            assert len(catalog.unfinished) == unfinished

    def clean_host(self, outcome: Outcome) -> None:
        """Require that nothing of a run is left on this host."""
        assert not outcome.leftovers, f"Left in TMPDIR: {outcome.leftovers}"
        assert not outcome.survivors, f"Still running: {outcome.survivors}"


def read_catalog(store: Store) -> Catalog:
    """Return the catalog that pg_backup_info would print, without the cost of an Ansible run; the module itself has tests of its own."""
    return load_catalog(opened(store), None)


def opened(store: Store, **more: Any) -> OpenStore:
    """Return a store as the modules open it, for what a test does in its own process."""
    options = dict.fromkeys(STORE_SPEC) | {name: spec["default"] for name, spec in STORE_SPEC.items() if "default" in spec}
    return open_store({**options, **store.options, **more}, _NoSecrets())  # type: ignore[arg-type]


class _NoSecrets:
    def add(self, *secrets: str | None) -> None:
        """Nothing is printed here."""


def archive_and_manifest(store: Store) -> tuple[str, dict[str, Any]]:
    """Return the key of the only backup in a store, and its manifest."""
    (manifest_key,) = (key for key in store.listing() if key.endswith(".manifest.json"))
    manifest: dict[str, Any] = json.loads(store.read(manifest_key))
    return manifest_key.removesuffix(".manifest.json"), manifest


def bulk(table: str, mebibytes: int) -> str:
    """Return the statement that makes a table whose archive has about this size when it is not compressed; the server stores next to nothing."""
    return f"CREATE TABLE {table} AS SELECT id, repeat('x', {MIB}) AS padding FROM generate_series(1, {mebibytes}) AS id"


def quoted(name: str) -> str:
    """Return a name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def in_thread(function: Callable[[], None]) -> threading.Thread:
    """Start a function beside the test."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread
