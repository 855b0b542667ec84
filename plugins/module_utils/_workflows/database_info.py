# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Look at a live database, in one snapshot and without changing it, and beside a backup where one is named."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint, naming, preflight
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import Checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.comparison import Comparison, compare, reading_method
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import check_server_version
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_info import DatabaseInfo, reading_refusals, tables_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import RefusedError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Content
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.relation_sizes import read_table_sizes
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import Redact
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.catalog import CatalogRequest, inspect_catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.checks import run_database_checks, run_http_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.fingerprints import read_fingerprints, read_large_objects
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_sessions import RestoreSessions, read_target


@dataclasses.dataclass(frozen=True)
class DatabaseInfoRequest:
    """How closely to look, what must be true, and which backup to look beside; ``name`` is that of its database's backups."""

    fingerprint: t.Literal["none", "counts", "content"]
    lock_wait_timeout: int
    compare_with: str | None
    name: str | None
    checks: Checks


def inspect_database(
    request: DatabaseInfoRequest, session: Session, store: Store | None, *, clock: t.Callable[[], dt.datetime], redact: Redact, progress: Progress
) -> DatabaseInfo:
    """Return what a database holds. ``clock`` returns the time in UTC; without a store nothing can be compared."""
    server = database_facts.read_server(session)
    check_server_version(server.version_num, server.version)
    manifest = _find_manifest(request.compare_with, request.name, server, store, redact) if request.compare_with and store else None
    with RestoreSessions(session.pinned_login, None) as sessions:
        target = read_target(sessions, None)
    method = reading_method(manifest, request.fingerprint, server.version_num)
    snapshot = session.begin_snapshot(request.lock_wait_timeout)
    now = clock()
    # Whoever may create functions in a schema of the default path could put theirs in the place of a built-in one, and have it run as us.
    session.set_local("search_path", "pg_catalog")
    relations = database_facts.read_relations(session, Selection())
    tables = tables_of(relations, manifest.tables if manifest else (), in_recovery=server.in_recovery)
    _require_readable(session, server, relations, tables, method)
    properties = database_facts.read_database(session)
    extensions = database_facts.read_extensions(session)
    roles = tuple(database_facts.read_roles(session))
    sizes = read_table_sizes(session)
    omitted, _unexplained = preflight.omissions(relations, {table.oid for table in tables}, server.in_recovery)
    content = _read_content(session, snapshot, method, tables, request.lock_wait_timeout, progress)
    checks = run_database_checks(request.checks, session, now, in_transaction=True)
    session.execute("COMMIT")
    checks += run_http_checks(request.checks, clock=time.monotonic, pause=time.sleep)
    return DatabaseInfo(
        server=server,
        target=target,
        snapshot_at=format_time(now),
        properties=properties,
        method=method,
        tables=tuple(table.full_name for table in tables),
        sizes={table.full_name: sizes[table.oid] for table in tables},
        content=content,
        extensions=extensions,
        roles=roles,
        omitted=tuple(omitted),
        comparison=_compare(manifest, content, method, properties["encoding"], extensions, server, now),
        checks=tuple(checks),
    )


def _find_manifest(wanted: str, name: str | None, server: preflight.ServerFacts, store: Store, redact: Redact) -> Manifest:
    """Return the manifest of the valid backup that is meant. A key names its database's backups itself."""
    key = naming.parse_archive_name(wanted.rpartition("/")[2])
    name = name or (key.name if key else naming.default_name(server.database))
    _catalog, (backup,) = inspect_catalog(CatalogRequest(name, wanted, None, "size", option="compare_with"), store, [], redact)
    return t.cast(Manifest, backup.manifest)


def _require_readable(
    session: Session,
    server: preflight.ServerFacts,
    relations: t.Sequence[preflight.Relation],
    tables: t.Sequence[preflight.Relation],
    method: fingerprint.Method,
) -> None:
    sequences = [relation for relation in relations if relation.kind == "S"]
    refusals = reading_refusals(tables, sequences, database_facts.count_unreadable_large_objects(session, server), server.user, method)
    if refusals:
        raise RefusedError(refusals)


def _read_content(
    session: Session,
    snapshot: str,
    method: fingerprint.Method,
    tables: t.Sequence[preflight.Relation],
    lock_wait_timeout: int,
    progress: Progress,
) -> Content:
    # Beside the session that holds the snapshot, where the locks of the tables read are given back again and again: this database is in use.
    with Session(session.pinned_login) as beside:
        oids = [table.oid for table in tables]
        found = read_fingerprints(beside, snapshot, method, oids, lock_wait_timeout, progress) if method != "none" else {}
        large_objects = read_large_objects(beside, snapshot, method, lock_wait_timeout, progress)
    return Content(
        tables=found,
        of_extensions=frozenset(table.full_name for table in tables if table.extension),
        # Sequences heed no snapshot: these are the values of now.
        sequences=database_facts.read_sequences(session) if method != "none" else {},
        large_objects=large_objects,
        defects=database_facts.read_defects(session),
        prisma=database_facts.read_prisma(session, session.login.schema),
    )


def _compare(
    manifest: Manifest | None,
    content: Content,
    method: fingerprint.Method,
    encoding: str,
    extensions: dict[str, str],
    server: preflight.ServerFacts,
    now: dt.datetime,
) -> Comparison | None:
    if manifest is None:
        return None
    return compare(manifest, content, method, encoding=encoding, extensions=extensions, server_version=server.version, now=now)
