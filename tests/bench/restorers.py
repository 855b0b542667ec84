# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to restore a database that exists and is full, as in life, measured against each other."""

from __future__ import annotations

import abc
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contenders import BUCKET, NAIVE_KEY, Naive, Ours, Surroundings
from bench.measuring import Command, Cost

_ENVIRONMENT = "bench"
# A file system that never has room, so that the archive is streamed.
_NO_ROOM = "/proc"
Run = Callable[[Callable[[Path], Sequence[Command]], Mapping[str, str]], Cost]
"""Called as ``run(commands, environment)``: runs commands, which are told the directory for temporary files, and returns their cost."""


class Restorer(abc.ABC):
    """One way to bring the database back to the state of its backup."""

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

    def states(self, cost: Cost) -> dict[str, float]:
        """Return the seconds of each state that the restore went through, in their order, if it tells."""
        return {}


class NaiveRestore(Restorer):
    """What a shell script does: the AWS command line client into a temporary file, then pg_restore into the live database."""

    def __init__(self, surroundings: Surroundings, letter: str, title: str, *, of_ours: bool = False) -> None:
        super().__init__(surroundings)
        self.letter, self.title, self._of_ours = letter, title, of_ours

    def commands(self, database: str, temporary: Path) -> Sequence[Command]:
        file = str(temporary / "archive.dump")
        key = _our_key(self._at) if self._of_ours else NAIVE_KEY
        return [self._at.copy(f"s3://{BUCKET}/{key}", file), self._at.client("pg_restore", database, "--clean", "--if-exists", file)]

    def environment(self) -> Mapping[str, str]:
        return self._at.client_environment()


class OurRestore(Restorer):
    """The module pg_restore_safe."""

    def __init__(
        self, surroundings: Surroundings, letter: str, title: str, *, safety: bool = False, spool_directory: str | None = None, **options: Any
    ) -> None:
        super().__init__(surroundings)
        self.letter, self.title = letter, title
        self._options = {**options, **({} if safety else {"skip_safety_backup": "i_accept_data_loss"})}
        if spool_directory:
            self._options["spool_directory"] = spool_directory

    def commands(self, database: str, temporary: Path) -> Sequence[Command]:
        return [self._at.module("pg_restore_safe", database, environment=_ENVIRONMENT, name=database, same_database=True, **self._options)]

    def environment(self) -> Mapping[str, str]:
        return self._at.environment()

    def states(self, cost: Cost) -> dict[str, float]:
        # The result is one line; a library may have said something beside it.
        result = json.loads(next(line for line in cost.outputs[-1].splitlines() if line.startswith(b"{")))
        states = {reached["state"]: float(reached["seconds"]) for reached in result["states"] if reached["state"] != "locked"}
        return {"read": cost.wall - float(result["duration"]), **states}


def restorers(surroundings: Surroundings) -> list[Restorer]:
    """Return all ways to restore."""
    return [
        NaiveRestore(surroundings, "F", "aws s3 cp, pg_restore --clean in place"),
        OurRestore(surroundings, "G", "pg_restore_safe: content proved"),
        OurRestore(surroundings, "H", "pg_restore_safe: the same after a safety backup", safety=True),
        OurRestore(surroundings, "I", "pg_restore_safe without proof", fingerprint="none"),
        OurRestore(surroundings, "J", "pg_restore_safe: content proved, no temporary disk", spool_directory=_NO_ROOM),
        NaiveRestore(surroundings, "K", "as F, of the archive that pg_backup made", of_ours=True),
    ]


class Scene:
    """A full database of which there are two backups, one of the shell script and one of ours; after each restore it is made so again."""

    def __init__(self, surroundings: Surroundings, database: str, run: Run) -> None:
        self.database = database
        self._at, self._run = surroundings, run
        naive, ours = Naive(surroundings), Ours(surroundings, "B", "pg_backup")
        # What was measured before may have left something.
        naive.clean()
        run(functools.partial(naive.commands, database), naive.environment())
        run(functools.partial(ours.commands, database), ours.environment())
        self._kept = set(surroundings.store.keys(BUCKET))
        self._ours("pg_environment", environment=_ENVIRONMENT, with_store=False)
        # Also the first run of the module, which compiles it.
        self.tidy()

    def tidy(self) -> None:
        """Drop what restores have kept, and everything in the bucket but the two backups."""
        self._ours("pg_restore_safe", environment=_ENVIRONMENT, state="finalized", keep_previous=0)
        client = self._at.store.client()
        for key in set(self._at.store.keys(BUCKET)) - self._kept:
            client.delete_object(Bucket=BUCKET, Key=key)

    def archive_size(self, restorer: Restorer) -> int:
        """Return the bytes of the archive that a restorer takes."""
        return self._size(NAIVE_KEY if restorer.letter == "F" else _our_key(self._at))

    def _ours(self, module: str, **options: Any) -> None:
        self._run(lambda _temporary: [self._at.module(module, self.database, **options)], self._at.environment())

    def _size(self, key: str) -> int:
        return int(self._at.store.client().head_object(Bucket=BUCKET, Key=key)["ContentLength"])


def _our_key(surroundings: Surroundings) -> str:
    """Return the key of the first archive of ours in the bucket; a safety backup would be a later one."""
    return min(key for key in surroundings.store.keys(BUCKET) if key.endswith(".dump") and key != NAIVE_KEY)
