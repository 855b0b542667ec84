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
_MODULE = "ansible_collections.workon.postgresql_backup.plugins.modules.pg_backup"
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
        server, store = self._at.server, self._at.store
        pg_dump = [str(server.installation.program("pg_dump")), "--format=custom", f"--file={file}", "--no-password"]
        upload = [sys.executable, "-m", "awscli", "s3", "cp", file, f"s3://{BUCKET}/naive.dump", "--only-show-errors", f"--endpoint-url={store.endpoint_url}"]
        return [Command([*pg_dump, f"--host={server.host}", f"--port={server.port}", f"--username={server.superuser}", database]), Command(upload)]

    def environment(self) -> Mapping[str, str]:
        return self._at.environment() | {
            "PGPASSWORD": self._at.server.password,
            "AWS_ACCESS_KEY_ID": self._at.store.access_key,
            "AWS_SECRET_ACCESS_KEY": self._at.store.secret_key,
            "AWS_DEFAULT_REGION": self._at.store.region,
        }


class Ours(Contender):
    """The module pg_backup, run as Ansible runs it on a host: one Python process that reads its arguments from standard input."""

    def __init__(self, surroundings: Surroundings, letter: str, title: str, **options: Any) -> None:
        super().__init__(surroundings)
        self.letter, self.title, self._options = letter, title, options

    def commands(self, database: str, temporary: Path) -> Sequence[Command]:
        arguments = {
            "database_url": self._at.server.url(database),
            "pg_bin_dir": str(self._at.server.installation.bin_dir),
            "bucket": BUCKET,
            "endpoint_url": self._at.store.endpoint_url,
            "region": self._at.store.region,
            "access_key": self._at.store.access_key,
            "secret_key": self._at.store.secret_key,
            **self._options,
        }
        return [Command([sys.executable, "-m", _MODULE], json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())]

    def environment(self) -> Mapping[str, str]:
        return self._at.environment()
