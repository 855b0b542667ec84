# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers for the system tests, started once; fresh databases and stores for each test."""

from __future__ import annotations

import contextlib
import importlib
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
pytest.register_assert_rewrite("harness.ansible_runner", "system.playing", "system.restoring", "system.scenes")

from checks.tree import linked_tree

sys.path.insert(0, str(linked_tree()))
# A tree that was laid out only now is remembered as missing.
importlib.invalidate_caches()

from harness import stores
from harness.ansible_runner import AnsibleRunner
from harness.fetching import say
from harness.postgres import PostgresServer, installation
from harness.warm_python import read_botocore_data_once
from system.scenes import MAJORS, PASSWORD, STORE_SECRET, Bucket, Database, Folder, Verdict

read_botocore_data_once()

# No test judges durability, and a disk that is waited for only makes them slow. What autovacuum does in between two looks would be taken for a change;
# test_databases.py has a server where it is at work.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    config.addinivalue_line("markers", "every_major: runs on each PostgreSQL version instead of the newest alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that touches PostgreSQL on the newest version; one marked ``every_major`` on all of them."""
    if "pg" in metafunc.fixturenames:
        chosen = MAJORS if metafunc.definition.get_closest_marker("every_major") else MAJORS[-1:]
        metafunc.parametrize("pg", chosen, indirect=True, ids=[f"pg{major}" for major in chosen])


@pytest.fixture(scope="session")
def _resources() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def postgres(_resources: contextlib.ExitStack) -> Callable[[int], PostgresServer]:
    """Return the server of a major version, started on first use."""
    started: dict[int, PostgresServer] = {}

    def get(major: int) -> PostgresServer:
        if major not in started:
            started[major] = _resources.enter_context(PostgresServer(installation(major), settings=_SETTINGS, password=PASSWORD))
        return started[major]

    return get


@pytest.fixture
def pg(request: pytest.FixtureRequest, postgres: Callable[[int], PostgresServer]) -> PostgresServer:
    """The server under test, running."""
    found = postgres(request.param)
    if not found.running:
        found.start()
    return found


@pytest.fixture
def make_database(request: pytest.FixtureRequest) -> Iterator[Callable[..., Database]]:
    """Create databases that are dropped at the test's end."""
    made: list[Database] = []

    def make(server: PostgresServer, name: str = "", *options: str) -> Database:
        made.append(Database(server, name or f"test_{secrets.token_hex(4)}"))
        return made[-1].create(*options)

    yield make
    for database in made:
        if database.server.running:
            database.drop()


@pytest.fixture
def database(pg: PostgresServer, make_database: Callable[..., Database]) -> Database:
    """A fresh, empty database."""
    return make_database(pg)


@pytest.fixture(scope="session")
def store_server(_resources: contextlib.ExitStack) -> Callable[[str], stores.StoreServer]:
    """Return the S3 server of a class name of harness.stores, started on first use (or again, where a test ended it)."""
    started: dict[str, stores.StoreServer] = {}

    def get(kind: str) -> stores.StoreServer:
        if kind not in started:
            found = stores.MinIO(kms=True) if kind == "MinIO" else getattr(stores, kind)()
            found.secret_key = STORE_SECRET
            started[kind] = _resources.enter_context(found)
        if not started[kind].running:
            # Versitygw died once in the middle of a run, and every later test of it failed for that.
            say(f"{kind} has ended by itself and is started again. It said last:\n{started[kind].last_words()}")
            started[kind].restart()
        return started[kind]

    return get


@pytest.fixture
def minio(store_server: Callable[[str], stores.StoreServer]) -> stores.StoreServer:
    """A MinIO that can encrypt."""
    return store_server("MinIO")


@pytest.fixture
def make_bucket() -> Callable[[stores.StoreServer], Bucket]:
    """Create fresh buckets."""
    return lambda server: Bucket(server, server.make_bucket(f"backups-{secrets.token_hex(4)}"))


@pytest.fixture
def bucket(minio: stores.StoreServer, make_bucket: Callable[[stores.StoreServer], Bucket]) -> Bucket:
    """A fresh bucket of MinIO."""
    return make_bucket(minio)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A fresh directory as a store."""
    path = tmp_path / "store"
    path.mkdir(mode=0o700)
    return Folder(path)


@pytest.fixture
def ansible() -> Iterator[AnsibleRunner]:
    """Runs modules; whatever still runs at the test's end is ended."""
    runner = AnsibleRunner([PASSWORD, STORE_SECRET])
    yield runner
    runner.stop_all()


@pytest.fixture
def whole_ansible() -> Iterator[AnsibleRunner]:
    """Runs modules through the ``ansible`` program."""
    runner = AnsibleRunner([PASSWORD, STORE_SECRET], whole=True)
    yield runner
    runner.stop_all()


@pytest.fixture
def verdict() -> Verdict:
    """What must hold after every failure."""
    return Verdict()
