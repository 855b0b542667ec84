# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Take one backup: look and plan, then dump, prove and publish in one pass. Check mode is the plan alone."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import subprocess
import threading
import time
import typing as t
import uuid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint, naming, preflight, sizing
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection, pg_dump_command, pg_dumpall_globals_command
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import (
    Client,
    Compression,
    check_server_version,
    choose_client,
    choose_compression,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_settings import without_secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import canonical_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest, dump_manifest, format_time, load_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, locks, programs
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store, StoreFacts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.archive_stream import (
    BackgroundTask,
    Redact,
    StreamedArchive,
    stream_archive,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.attempts import Attempts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.fingerprints import (
    read_fingerprints,
    read_large_objects,
    require_not_rewritten,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import Progress, TimeLimit

_SNAPSHOT_TO_COME = "<exported when the backup starts>"
# A key is dated to the second, and a run just before may have taken this one.
_SECONDS_TO_A_FREE_KEY = 3


@dataclasses.dataclass(frozen=True)
class BackupRequest:
    """What the user asked for. Sizes in bytes, times in seconds."""

    name: str | None
    environment: str | None
    reason: str
    pinned: bool
    labels: dict[str, str]
    selection: Selection
    globals: bool
    compression: str
    compression_level: int | None
    part_size: int | None
    lock_wait_timeout: int
    fingerprint: t.Literal["none", "counts", "content"]
    verify: t.Literal["hash", "decode"]
    pg_bin_dir: str | None


@dataclasses.dataclass(frozen=True)
class BackupPlan:
    """Everything decided before the first byte; only the snapshot is still to come."""

    request: BackupRequest
    name: str
    key: str
    address: str
    started: dt.datetime
    server: preflight.ServerFacts
    client: Client
    compression: Compression
    part_size: int
    method: fingerprint.Method
    store: StoreFacts
    tables: int
    omitted: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, t.Any]:
        """Return the plan for people: no secret is in it, because none was ever put in."""
        return {
            "key": self.key,
            "address": self.address,
            "database": self.server.database,
            "server_version": self.server.version,
            "estimated_size": self.server.size,
            "tables": self.tables,
            "client": {"version": self.client.version, "bin_dir": self.client.bin_dir},
            "compression": str(self.compression),
            "part_size": self.part_size,
            "fingerprint": self.method,
            "verify": self.request.verify,
            "omitted": list(self.omitted),
            "command": self.command(_SNAPSHOT_TO_COME),
        }

    def command(self, snapshot: str) -> list[str]:
        return pg_dump_command(self.client, self.compression, self.request.selection, lock_wait_timeout=self.request.lock_wait_timeout, snapshot=snapshot)


@dataclasses.dataclass(frozen=True)
class BackupResult:
    """A published backup and how long it took in seconds."""

    manifest: Manifest
    address: str
    duration: float


def plan_backup(request: BackupRequest, session: Session, store: Store, now: dt.datetime) -> BackupPlan:
    """Run every safeguard and decide everything; raise all refusals together.

    The session holds the database's backup lock afterwards, for as long as it lives.
    """
    server = database_facts.read_server(session)
    check_server_version(server.version_num, server.version)
    name = naming.check_name(request.name) if request.name else naming.default_name(server.database)
    relations = database_facts.read_relations(session, request.selection)
    attempt = Attempts()
    attempt.refuse(preflight.pooler_refusal(server, session.login.pooler_hint))
    attempt.refuse(_lock_refusal(session, server))
    for refusal in preflight.privilege_refusals(relations, database_facts.count_unreadable_large_objects(session, server), server.user):
        attempt.refuse(refusal)
    attempt.refuse(preflight.lock_refusal(relations, server))
    attempt.refuse(_selection_refusal(request.selection, relations))
    client = attempt.call(lambda: programs.with_compressions(choose_client(server.major, programs.find_clients(request.pg_bin_dir))))
    compression = attempt.call(lambda: choose_compression(request.compression, request.compression_level, t.cast(Client, client))) if client else None
    if client and request.globals and not programs.is_there(client.pg_dumpall):
        attempt.refuse(f"globals is true, but there is no pg_dumpall in {client.bin_dir}. Install it, or set globals to false.")
    part_size = attempt.call(lambda: sizing.choose_part_size(server.size, request.part_size))
    facts = attempt.call(lambda: store.probe(naming.archive_key(store.prefix, name, now), write=True))
    if facts:
        attempt.refuse(preflight.clock_refusal(facts.clock_skew, "the store's"))
        now = attempt.call(lambda: wait_for_a_free_key(store, name, now)) or now
    attempt.raise_refusals()
    key = naming.archive_key(store.prefix, name, now)
    dumped = {relation.oid for relation in relations if relation.kind == "r" and not relation.excluded_by and not relation.extension}
    omitted, _unexplained = preflight.omissions(relations, dumped - _without_rows(relations, server), server.in_recovery)
    return BackupPlan(
        request=request,
        name=name,
        key=key,
        address=store.address(key),
        started=now,
        server=server,
        client=t.cast(Client, client),
        compression=t.cast(Compression, compression),
        part_size=t.cast(int, part_size),
        method=fingerprint.choose_method(request.fingerprint, server.version_num),
        store=t.cast(StoreFacts, facts),
        tables=len(dumped),
        omitted=tuple(omitted),
        warnings=tuple(_plan_warnings(server, session, t.cast(Client, client), len(dumped))),
    )


def wait_for_a_free_key(store: Store, name: str, now: dt.datetime) -> dt.datetime:
    """Return the moment that dates the backup: now, or the next second that no other backup of the name has, once it is there."""
    began = time.monotonic()
    for seconds in range(_SECONDS_TO_A_FREE_KEY + 1):
        moment = now.replace(microsecond=0) + dt.timedelta(seconds=seconds) if seconds else now
        key = naming.archive_key(store.prefix, name, moment)
        if not store.exists(key):
            time.sleep(max(0.0, (moment - now).total_seconds() - (time.monotonic() - began)))
            return moment
    raise BackupError(f"The key {store.address(key)} exists already, and so do those of the seconds before it. Run again in a minute, or set another name.")


def carry_out(
    plan: BackupPlan, session: Session, store: Store, *, clock: t.Callable[[], dt.datetime], redact: Redact, limit: TimeLimit, progress: Progress
) -> BackupResult:
    """Dump, prove and publish; on any failure nothing is published. ``clock`` returns the time in UTC."""
    began = time.monotonic()
    limit.on_expiry(session.cancel)
    backup_id = str(uuid.uuid4())
    credentials = programs.Credentials(session.pinned_login)
    try:
        # All that can wait for others comes before the snapshot: the longer it is open before pg_dump locks, the more can be truncated under it.
        globals_sql = _dump_globals(plan, credentials, redact, limit) if plan.request.globals else None
        upload = store.start_upload(plan.key, plan.part_size, {"backup-id": backup_id})
        limit.on_expiry(upload.cancel)
        published = False
        try:
            snapshot = session.begin_snapshot(plan.request.lock_wait_timeout)
            # Read after the export: "before this time" then never takes in what came after it.
            snapshot_at = format_time(clock())
            relations = database_facts.read_relations(session, plan.request.selection)
            described = _describe_database(session)
            with _saying_nothing_was_published():
                archive, tables, large_objects, messages = _dump_and_prove(plan, session, snapshot, credentials, upload, redact, limit, progress)
            omitted = _require_complete(relations, archive.contents, plan, messages)
            # The snapshot must have outlived the dump, or dump and fingerprints may be of different moments.
            session.execute("COMMIT")
            limit.check()
            encryption = upload.complete(archive.sha256)
            published = True
        finally:
            if not published:
                _abort(upload)
        try:
            stored_globals = _store_globals(store, plan.key, globals_sql)
            manifest = Manifest(
                backup_id=backup_id,
                key=plan.key,
                name=plan.name,
                reason=plan.request.reason,
                pinned=plan.request.pinned,
                labels=plan.request.labels,
                environment=plan.request.environment,
                started_at=format_time(plan.started),
                snapshot_at=snapshot_at,
                finished_at=format_time(clock()),
                source=_source(plan.server),
                client={"version": plan.client.version},
                archive={
                    "format": "custom",
                    "version": archive.contents.archive_version,
                    "compression": str(plan.compression),
                    "entries": len(archive.contents.entries),
                    "size": archive.size,
                    "sha256": archive.sha256,
                },
                selection=plan.request.selection.as_dict(),
                fingerprint={"recipe": fingerprint.RECIPE, "method": plan.method, "server_version": plan.server.version},
                tables={name: dataclasses.asdict(found) for name, found in sorted(tables.items())},
                sequences={canonical_name(name): value for name, value in archive.sequences.items()},
                large_objects=large_objects,
                globals=stored_globals,
                omitted=omitted,
                warnings=[*plan.warnings, *messages],
                encryption={"client_side": None, **encryption},
                verification={"level": plan.request.verify, "at": format_time(clock())},
                **described,
            )
            store.put(naming.manifest_key(plan.key), dump_manifest(manifest), "application/json")
        except BaseException:
            _withdraw(store, plan, backup_id)
            raise
    finally:
        credentials.close()
    return BackupResult(manifest, store.address(plan.key), time.monotonic() - began)


def _dump_and_prove(
    plan: BackupPlan,
    session: Session,
    snapshot: str,
    credentials: programs.Credentials,
    upload: t.Any,
    redact: Redact,
    limit: TimeLimit,
    progress: Progress,
) -> tuple[StreamedArchive, dict[str, fingerprint.TableFingerprint], dict[str, t.Any], list[str]]:
    """Stream the archive while the fingerprints of what it lists are read beside it, in the same snapshot."""
    with contextlib.ExitStack() as cleanup:
        dump = programs.Program(
            plan.command(snapshot),
            redact=redact,
            environment=credentials.environment,
            descriptors=credentials.descriptors,
            stdout=subprocess.PIPE,
        )
        cleanup.callback(dump.close)
        limit.on_expiry(dump.kill)
        beside = cleanup.enter_context(Session(session.pinned_login))
        proof = BackgroundTask("fingerprints")
        stopped = threading.Event()

        def stop_proof() -> None:
            # Again and again: a cancel that arrives between two statements is lost.
            stopped.set()
            while proof.running(1.0):
                beside.cancel()

        cleanup.callback(stop_proof)
        # The first to go, so that nobody waits for its locks while the proof ends.
        cleanup.callback(dump.kill)
        limit.on_expiry(stop_proof)

        def proof_progress(step: str, done: int, total: int) -> None:
            if stopped.is_set():
                raise BackupError("The proof was stopped because the dump had failed.")
            progress(step, done, total)

        def read_beside(contents: ArchiveContents) -> tuple[dict[str, fingerprint.TableFingerprint], dict[str, t.Any]]:
            try:
                wait = plan.request.lock_wait_timeout
                tables = read_fingerprints(beside, snapshot, plan.method, contents.table_data, wait, proof_progress)
                if not contents.large_objects:
                    return tables, {"count": 0, "content": None}
                return tables, read_large_objects(beside, snapshot, plan.method, wait, proof_progress)
            except BaseException:
                # There is no use in finishing a dump that cannot be proved.
                proof.failed = True
                dump.kill()
                raise

        def start_proof(contents: ArchiveContents) -> None:
            require_not_rewritten(session, contents.table_data)
            if plan.method != "none":
                proof.start(lambda: read_beside(contents))

        try:
            archive = stream_archive(
                dump,
                upload,
                plan.client,
                decode=plan.request.verify == "decode",
                redact=redact,
                limit=limit,
                progress=progress,
                estimated_size=plan.server.size,
                on_contents=start_proof,
            )
        except BackupError:
            # The first cause counts: at the time limit everything else fails too, and a proof that fails ends the dump.
            limit.check()
            if proof.failed:
                proof.result()
            _explain_lock_timeout(dump, plan.request.lock_wait_timeout)
            # A server that went away took this session too, whose sentence says where it was.
            session.execute("SELECT 1")
            raise
        try:
            found = proof.result()
        except BackupError:
            limit.check()
            raise
        tables, large_objects = found or ({}, {"count": None, "content": None})
        limit.check()
        return archive, tables, large_objects, dump.messages()


@contextlib.contextmanager
def _saying_nothing_was_published() -> t.Iterator[None]:
    """What is found wrong with an archive or its database means that there is no backup; who finds it does not know what it was read for."""
    try:
        yield
    except VerificationError as error:
        error.message += " Nothing was published."
        raise


def _explain_lock_timeout(dump: programs.Program, seconds: int) -> None:
    """Raise the sentence for a dump that ended because a table was locked; pg_dump says it in words of the server that name no option."""
    said = " ".join(dump.messages())
    if "LOCK TABLE" in said and "timeout" in said:
        raise BackupError(
            f"pg_dump waited longer than lock_wait_timeout ({seconds} seconds) for a table that another session has locked. Nothing was published. "
            f"Set lock_wait_timeout to more seconds, or end that session. It said: {said}"
        )


def _lock_refusal(session: Session, server: preflight.ServerFacts) -> str | None:
    if server.pooled or locks.try_lock(session, locks.BACKUP):
        return None
    return (
        f"Another backup of the database {server.database} is running ({locks.lock_holder(session, locks.BACKUP)}). "
        "Wait for its end; one backup of a database runs at a time."
    )


def _selection_refusal(selection: Selection, relations: t.Sequence[preflight.Relation]) -> str | None:
    """Refuse ``schemas`` that select nothing: a backup of nothing is the classic disaster."""
    if selection.schemas and all(relation.excluded_by for relation in relations):
        return f"schemas ({', '.join(selection.schemas)}) select no table or sequence of this database, so the backup would be empty. Correct schemas."
    return None


def _without_rows(relations: t.Sequence[preflight.Relation], server: preflight.ServerFacts) -> set[int]:
    return {relation.oid for relation in relations if relation.persistence == "t" or (relation.persistence == "u" and server.in_recovery)}


def _plan_warnings(server: preflight.ServerFacts, session: Session, client: Client, tables: int) -> t.Iterator[str]:
    if not tables:
        yield f"The database {server.database} has no table with rows of its own, so the backup holds definitions only. Check that it is the right database."
    if client.major > server.major:
        yield f"The archive is made by pg_dump {client.version}, so only pg_restore {client.major} and newer can read it (the server is {server.version})."
    skewed = preflight.clock_refusal(server.clock_skew, "the database server's")
    if skewed:
        yield skewed
    yield from session.login.notes


def _describe_database(session: Session) -> dict[str, t.Any]:
    # Whoever may create functions in a schema of the default path could put theirs in the place of a built-in one, and have it run as us.
    session.set_local("search_path", "pg_catalog")
    return {
        "extensions": database_facts.read_extensions(session),
        "roles": database_facts.read_roles(session),
        "database": without_secrets(database_facts.read_database(session)),
        "prisma": database_facts.read_prisma(session, session.login.schema),
        "defects": database_facts.read_defects(session),
    }


def _source(server: preflight.ServerFacts) -> dict[str, t.Any]:
    return {
        "host": server.address,
        "port": server.port,
        "database": server.database,
        "database_oid": server.database_oid,
        "database_size": server.size,
        "system_identifier": server.system_identifier,
        "server_version": server.version,
        "server_version_num": server.version_num,
        "in_recovery": server.in_recovery,
        "role": server.user,
        "tls": server.ssl,
    }


def _require_complete(
    relations: t.Sequence[preflight.Relation], contents: ArchiveContents, plan: BackupPlan, messages: t.Sequence[str]
) -> list[dict[str, str]]:
    """Return what the archive leaves out and why; a table that is missing without a reason fails the backup."""
    omitted, unexplained = preflight.omissions(relations, contents.table_data, plan.server.in_recovery)
    if unexplained:
        raise VerificationError(
            f"The archive has no rows of {', '.join(unexplained[:10])}, and no option leaves them out. Nothing was published.", unexplained=unexplained
        )
    return [*omitted, *preflight.omitted_by_messages(messages)]


def _dump_globals(plan: BackupPlan, credentials: programs.Credentials, redact: Redact, limit: TimeLimit) -> bytes:
    """Return the SQL of roles and tablespaces; they are of the server, so no snapshot of the database holds them."""
    program = programs.Program(
        [*pg_dumpall_globals_command(plan.client), f"--database={plan.server.database}"],
        redact=redact,
        environment=credentials.environment,
        descriptors=credentials.descriptors,
        stdout=subprocess.PIPE,
    )
    limit.on_expiry(program.kill)
    try:
        content = b"".join(iter(lambda: program.stdout.read(65536), b""))
        status = program.wait()
    finally:
        program.close()
    limit.check()
    if status != 0:
        raise BackupError(f"Roles and tablespaces were not dumped: {program.failure(status)}. Set globals to false to leave them out.")
    return content


def _store_globals(store: Store, archive_key: str, content: bytes | None) -> dict[str, t.Any] | None:
    if content is None:
        return None
    key = naming.globals_key(archive_key)
    store.put(key, content, "application/sql")
    return {"key": key, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _abort(upload: t.Any) -> None:
    """Throw the upload away; a store that is gone keeps it as unfinished, which the catalog lists, and must not hide the first error."""
    with contextlib.suppress(BackupError):
        upload.abort()


def _withdraw(store: Store, plan: BackupPlan, backup_id: str) -> None:
    """Remove what is visible of a backup that failed after its archive was published, as far as it is ours beyond doubt; the rest stays an orphan."""
    manifest_key = naming.manifest_key(plan.key)
    # The manifest first: it may have been written although the store's answer said otherwise or never came.
    with contextlib.suppress(BackupError):
        if store.exists(manifest_key) and load_manifest(store.read(manifest_key), plan.key).backup_id == backup_id:
            store.delete(manifest_key)
    if plan.store.conditional_writes != "supported":
        return
    for key in (naming.globals_key(plan.key), plan.key):
        with contextlib.suppress(BackupError):
            store.delete(key)
