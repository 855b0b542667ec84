# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Read what a database holds so that it can be compared with a manifest: side by side in a fresh database, or inside of an open transaction."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import TableFingerprint, quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Content
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.relation_sizes import read_table_sizes
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.fingerprints import read_fingerprints, read_large_objects
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit

# What nobody else works on is not waited for.
_LOCK_WAIT = 60


def read_content(session: Session, method: fingerprint.Method, progress: Progress, *, schemas: t.Collection[str] | None = None) -> Content:
    """Read everything through one session, in its open transaction if there is one; ``schemas`` limits it to these."""
    relations = _tables(session, schemas)
    oids = [relation.oid for relation in relations]
    tables = read_fingerprints(session, None, method, oids, _LOCK_WAIT, progress) if method != "none" else {}
    large_objects = read_large_objects(session, None, method, _LOCK_WAIT, progress)
    return _content(session, relations, tables, large_objects)


def read_content_side_by_side(login: Login, method: fingerprint.Method, jobs: int, *, limit: TimeLimit, progress: Progress, analyze: bool) -> Content:
    """Read everything of a database that nobody else uses through several sessions, the largest table first; with ``analyze`` have its statistics made."""
    with Session(login) as session:
        relations = _tables(session, None)
        sizes = {oid: found["size"] for oid, found in read_table_sizes(session).items()}
        work = _Work(relations, sizes, method, analyze)
        with concurrent.futures.ThreadPoolExecutor(jobs, thread_name_prefix="proof") as pool:
            workers = [pool.submit(work.run, login, limit, progress) for _worker in range(jobs)]
        failures = [worker.exception() for worker in workers]
        limit.check()
        for failure in failures:
            if failure is not None:
                raise failure
        return _content(session, relations, work.tables, work.large_objects)


def count_rows(session: Session) -> dict[str, int]:
    """Count the rows of every table that this role may read, all of it."""
    oids = [relation.oid for relation in _tables(session, None) if relation.readable and relation.schema_usable and not relation.row_security]
    return {name: found.rows for name, found in read_fingerprints(session, None, "counts", oids, _LOCK_WAIT, _nothing).items()}


class _Work:
    """Tables to be read, the largest first, and what was found; taken from by several threads."""

    def __init__(self, relations: t.Sequence[Relation], sizes: t.Mapping[int, int], method: fingerprint.Method, analyze: bool) -> None:
        self._method, self._analyze = method, analyze
        self.tables: dict[str, TableFingerprint] = {}
        self.large_objects: dict[str, t.Any] = {"count": None, "content": None}
        self._waiting: queue.SimpleQueue[Relation | None] = queue.SimpleQueue()
        for relation in sorted(relations, key=lambda relation: -sizes.get(relation.oid, 0)):
            self._waiting.put(relation)
        # The large objects are one piece of work.
        self._waiting.put(None)
        self._total = len(relations)
        self._stopped = threading.Event()

    def run(self, login: Login, limit: TimeLimit, progress: Progress) -> None:
        """Take pieces of work until there are none, or another thread has failed."""
        try:
            with Session(login) as session:
                limit.on_expiry(session.cancel)
                while not self._stopped.is_set():
                    limit.check()
                    try:
                        relation = self._waiting.get_nowait()
                    except queue.Empty:
                        return
                    self._do(session, relation, progress)
        except BaseException:
            self._stopped.set()
            raise

    def _do(self, session: Session, relation: Relation | None, progress: Progress) -> None:
        if relation is None:
            self.large_objects = read_large_objects(session, None, self._method, _LOCK_WAIT, progress)
            return
        if self._method != "none":
            self.tables.update(read_fingerprints(session, None, self._method, [relation.oid], _LOCK_WAIT, _nothing))
            progress("prove", len(self.tables), self._total)
        if self._analyze:
            _analyze(session, relation)


def analyze_parents(session: Session) -> None:
    """Make the statistics of partitioned tables and materialized views, which hold no rows of the archive's own."""
    analyze(session, None, kinds="pm")


def analyze(session: Session, schemas: t.Collection[str] | None, *, kinds: str = "rpm") -> None:
    """Make the statistics of what has these kinds of pg_class.relkind, in these schemas or all."""
    for relation in database_facts.read_relations(session, Selection()):
        if relation.kind in kinds and not relation.extension and (schemas is None or relation.schema in schemas):
            _analyze(session, relation)


def _analyze(session: Session, relation: Relation) -> None:
    session.execute(f"ANALYZE {quote_identifier(relation.schema)}.{quote_identifier(relation.name)}")


def _tables(session: Session, schemas: t.Collection[str] | None) -> list[Relation]:
    """Return the tables that hold rows of an archive."""
    return [
        relation
        for relation in database_facts.read_relations(session, Selection())
        if relation.kind == "r" and relation.persistence != "t" and (schemas is None or relation.schema in schemas)
    ]


def _content(session: Session, relations: t.Iterable[Relation], tables: dict[str, TableFingerprint], large_objects: dict[str, t.Any]) -> Content:
    return Content(
        tables=tables,
        of_extensions=frozenset(relation.full_name for relation in relations if relation.extension),
        sequences=database_facts.read_sequences(session),
        large_objects=large_objects,
        defects=database_facts.read_defects(session),
        prisma=database_facts.read_prisma(session, session.login.schema),
    )


def _nothing(step: str, done: int, total: int) -> None:
    """Show nothing: the caller counts."""
