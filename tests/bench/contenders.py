# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to make a backup that are measured against each other."""

from __future__ import annotations

import abc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measuring import Command
from harness.paths import CHECKOUT
from harness.postgres import PostgresServer
from harness.stores import StoreServer

BUCKET = "bench"
NAIVE_KEY = "naive.dump"
_MODULES = "ansible_collections.workon.postgresql_backup.plugins.modules"
_FOREIGN = ("PG", "AWS_", "BACKUP_S3_", "DATABASE_URL", "PYTHON", "ANSIBLE_")


@dataclass(frozen=True)
class Surroundings:
    """Where the contenders work: the servers, and a private directory for everything that is no temporary file."""

    server: PostgresServer
    store: StoreServer
    scratch: Path

    def environment(self) -> dict[str, str]:
        """Return an environment without any of the developer's settings for PostgreSQL, S3, Python and Ansible."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        return ours | {"PYTHONPATH": str(self.collections()), "PYTHONPYCACHEPREFIX": str(self.scratch / "pycache"), "HOME": str(self.scratch)}

    def collections(self) -> Path:
        """Return a directory in which this checkout lies as an installed collection does."""
        tree = self.scratch / "collections"
        link = tree / "ansible_collections" / "workon" / "postgresql_backup"
        if not link.exists():
            link.parent.mkdir(parents=True)
            link.symlink_to(CHECKOUT, target_is_directory=True)
        return tree

    def module(self, module: str, database: str, *, with_store: bool = True, **options: Any) -> Command:
        """Return the command that runs a module as Ansible runs it on a host: one Python process that reads its arguments from standard input."""
        store = {
            "bucket": BUCKET,
            "endpoint_url": self.store.endpoint_url,
            "region": self.store.region,
            "access_key": self.store.access_key,
            "secret_key": self.store.secret_key,
            "pg_bin_dir": str(self.server.installation.bin_dir),
        }
        arguments = {"database_url": self.server.url(database), **(store if with_store else {}), **options}
        return Command([sys.executable, "-m", f"{_MODULES}.{module}"], json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())

    def client_environment(self) -> dict[str, str]:
        """Return an environment in which pg_dump, pg_restore and the AWS client find password and keys."""
        return self.environment() | {
            "PGPASSWORD": self.server.password,
            "AWS_ACCESS_KEY_ID": self.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self.store.secret_key,
            "AWS_DEFAULT_REGION": self.store.region,
        }

    def client(self, program: str, database: str, *arguments: str) -> Command:
        """Return the command that runs a client program of the server on one of its databases."""
        login = [f"--host={self.server.host}", f"--port={self.server.port}", f"--username={self.server.superuser}", f"--dbname={database}", "--no-password"]
        return Command([str(self.server.installation.program(program)), *login, *arguments])

    def copy(self, source: str, destination: str) -> Command:
        """Return the command that copies with the AWS client."""
        return Command([sys.executable, "-m", "awscli", "s3", "cp", source, destination, "--only-show-errors", f"--endpoint-url={self.store.endpoint_url}"])


class Contender(abc.ABC):
    """One way to bring a database into the bucket."""

    letter: str
    title: str

    def __init__(self, surroundings: Surroundings) -> None:
        self._at = surroundings

    @abc.abstractmethod
    def commands(self, database: str, temporary: Path) -> Sequence[Command]:
        """Return what is run, in this order; temporary files go below ``temporary``."""

    @abc.abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Return the whole environment of these commands."""

    def archive_size(self) -> int:
        """Return the bytes of the archive in the bucket; there must be exactly one."""
        client = self._at.store.client()
        sizes = [item["Size"] for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []) if item["Key"].endswith(".dump")]
        if len(sizes) != 1:
            raise RuntimeError(f"{self.title}: there should be one archive in the bucket, there are {len(sizes)}.")
        return int(sizes[0])

    def clean(self) -> None:
        """Empty the bucket."""
        client = self._at.store.client()
        for key in self._at.store.keys(BUCKET):
            client.delete_object(Bucket=BUCKET, Key=key)


class Naive(Contender):
    """What a shell script does: pg_dump into a temporary file with its defaults, then the AWS command line client."""

    letter = "A"
    title = "pg_dump -Fc to a file, aws s3 cp"

    def commands(self, database: str, temporary: Path) -> Sequence[Command]:
        file = str(temporary / "archive.dump")
        return [self._at.client("pg_dump", database, "--format=custom", f"--file={file}"), self._at.copy(file, f"s3://{BUCKET}/{NAIVE_KEY}")]

    def environment(self) -> Mapping[str, str]:
        return self._at.client_environment()


class Ours(Contender):
    """The module pg_backup."""

    def __init__(self, surroundings: Surroundings, letter: str, title: str, **options: Any) -> None:
        super().__init__(surroundings)
        self.letter, self.title, self._options = letter, title, options

    def commands(self, database: str, temporary: Path) -> Sequence[Command]:
        return [self._at.module("pg_backup", database, **self._options)]

    def environment(self) -> Mapping[str, str]:
        return self._at.environment()
