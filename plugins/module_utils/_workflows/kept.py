# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What restores have kept: databases and schemas that were swapped out, or in and back out. Only what carries the mark of a restore counts."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, RestoreMark
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import beside, is_beside
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases, schemas
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.databases import ServerDatabase
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.schemas import DatabaseSchema
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.exchange import Exchange, Renaming, carry_out_exchange
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.schema_locks import lock_out_users

_KEPT_ROLES = ("previous", "rejected")
# Of this side between two statements of a transaction: an instant, but for waiting for a lock by trying again.
_LONGEST_PAUSE = 60


@dataclasses.dataclass(frozen=True)
class Kept:
    """A database or a schema that a restore has kept."""

    kind: t.Literal["database", "schema"]
    oid: int
    name: str
    comment: DatabaseComment

    @property
    def mark(self) -> RestoreMark:
        return t.cast(RestoreMark, self.comment.restore)


def find_kept(session: Session, live: Session | None, target: Target) -> list[Kept]:
    """Return what restores into this target have kept, the newest first."""
    found = [
        Kept("database", database.oid, database.name, database.comment)
        for database in databases.list_databases(session)
        if _is_kept(database.comment, database.name)
        and t.cast(RestoreMark, database.comment.restore).database == target.database
        and database.name != target.database
    ]
    if live:
        found += [Kept("schema", schema.oid, schema.name, schema.comment) for schema in schemas.list_schemas(live) if is_kept_schema(schema)]
    return sorted(found, key=lambda kept: kept.mark.since, reverse=True)


def exchange_databases_back(session: Session, restored: ServerDatabase | None, before: Kept, name: str, mark: RestoreMark) -> str | None:
    """Give a name back to the database that had it before a restore; return the name that the restored one gets (None: it is gone).

    ``mark`` is the restored one's. The other is marked, too: what was confirmed for the restore that is undone must not open the door again.
    """
    back = dataclasses.replace(before.mark, role="live", state="rolled_back", since=mark.since, partner_oid=0)
    comes = Renaming(before.oid, before.name, name, dataclasses.replace(before.comment, restore=back))
    if restored is None:
        carry_out_exchange(session, Exchange(None, comes))
        return None
    aside = beside(name, "rejected", mark.restore_id)
    carry_out_exchange(session, Exchange(Renaming(restored.oid, name, aside, dataclasses.replace(restored.comment, restore=mark)), comes))
    return aside


def require_successors(before: t.Sequence[Kept], present: t.Mapping[str, DatabaseSchema]) -> None:
    """Require that the names of what one restore has kept belong to nobody, or to what that restore put in its place."""
    for kept in before:
        name = kept.mark.database
        if name in present and present[name].oid != kept.mark.partner_oid:
            raise BackupError(
                f"The schema {name} is not the one that the restore put in the place of {kept.name}: somebody dropped and created it, or renamed another one. "
                f"So what the restore has kept ({', '.join(one.name for one in before)}) cannot take the place of what is there now, and nothing was changed. "
                "Exchange the names by hand (ALTER SCHEMA ... RENAME TO) if that is meant; state finalized drops what is kept."
            )


def exchange_schemas_back(session: Session, before: t.Sequence[Kept], since: str, lock_wait_timeout: int) -> list[str]:
    """Give their names back to the schemas of one restore, in one transaction; return the names that the restored ones get."""
    session.execute("BEGIN")
    session.limit_pauses(_LONGEST_PAUSE)
    session.execute(f"SET LOCAL lock_timeout = {lock_wait_timeout * 1000}")
    aside: dict[str, str] = {}
    moved: dict[str, str] = {}
    present = {schema.name: schema for schema in schemas.list_schemas(session)}
    require_successors(before, present)
    lock_out_users(session, [kept.mark.database for kept in before], lock_wait_timeout)
    for kept in before:
        name = kept.mark.database
        if name in present:
            aside[name] = beside(name, "rejected", kept.mark.restore_id)
            schemas.rename_schema(session, name, aside[name])
            moved |= dict.fromkeys(kept.mark.extensions, name)
            mark = dataclasses.replace(kept.mark, role="rejected", state="rolled_back", since=since, target_oid=present[name].oid, partner_oid=kept.oid)
            schemas.write_schema_comment(session, aside[name], dataclasses.replace(present[name].comment, restore=mark))
        schemas.rename_schema(session, kept.name, name)
        schemas.write_schema_comment(session, name, dataclasses.replace(kept.comment, restore=None))
    _outlive(session, [schema for schema in present.values() if schema.oid not in {one.oid for one in before}])
    # What the restore created stays with what it restored: those from before do not need it, and not everybody may move it.
    for extension in schemas.list_extensions(session):
        home = moved.get(extension.name)
        if home and extension.schema == aside[home]:
            session.execute(f"ALTER EXTENSION {quote_identifier(extension.name)} SET SCHEMA {quote_identifier(home)}")
    session.execute("COMMIT")
    return sorted(aside.values())


def _outlive(session: Session, others: t.Iterable[DatabaseSchema]) -> None:
    """Say in what earlier restores have kept that it is not what comes back next: what replaced it is live again, and to repeat a rollback changes nothing.

    It is said there and not in what came back, whose comment goes along with dumps. Who does not own it could not bring it back either.
    """
    for schema in others:
        if schema.owned and is_kept_schema(schema) and (mark := t.cast(RestoreMark, schema.comment.restore)).role == "previous":
            outlived = dataclasses.replace(mark, state="outlived")
            schemas.write_schema_comment(session, schema.name, dataclasses.replace(schema.comment, restore=outlived))


def drop_kept(session: Session, live: Session | None, kept: t.Iterable[Kept]) -> None:
    """Drop what restores have kept, after another look at whose it is. Schemas go together, as they refer to each other."""
    within: list[Kept] = []
    for one in kept:
        if one.kind == "schema":
            within.append(one)
            continue
        found = databases.database_by_oid(session, one.oid)
        if found and _is_kept(found.comment, found.name):
            databases.drop_copy(session, one.oid, one.name)
    if within:
        _drop_schemas(t.cast(Session, live), {one.oid for one in within})


def require_no_dependents(session: Session, names: t.Mapping[int, str]) -> None:
    """Require that nothing elsewhere depends on what is in these schemas, by OID: it followed them when they were swapped out, and would go with them."""
    dependents = schemas.find_dependents(session, names) if names else []
    if dependents:
        raise BackupError(
            f"What is kept as {', '.join(sorted(names.values()))} cannot be dropped, because that would take along what is elsewhere and depends on it: "
            f"{'; '.join(dependents)}. Make these anew, so that they use what is in the present schemas, or drop them, and run again. "
            "To keep them and what they depend on, set keep_previous to more hours."
        )


def _drop_schemas(session: Session, oids: t.Collection[int]) -> None:
    """Drop schemas with all that is in them, and nothing that is not."""
    found = {schema.oid: schema.name for schema in schemas.list_schemas(session) if schema.oid in oids and is_kept_schema(schema)}
    if not found:
        return
    session.execute("BEGIN")
    session.limit_pauses(_LONGEST_PAUSE)
    try:
        require_no_dependents(session, found)
        session.execute(f"DROP SCHEMA {', '.join(quote_identifier(name) for name in found.values())} CASCADE")
        session.execute("COMMIT")
    except BackupError:
        with contextlib.suppress(BackupError):
            session.execute("ROLLBACK")
        raise


def _is_kept(comment: DatabaseComment, name: str) -> bool:
    """Say whether a restore has kept this, and nobody has given it another name since: then it is somebody's."""
    mark = comment.restore
    return mark is not None and mark.role in _KEPT_ROLES and is_beside(name, mark.database, mark.role)


def list_schemas_in_use(session: Session) -> list[str]:
    """Return the names of the schemas that are people's and hold what is in use: not those that restores have put aside, which state finalized drops."""
    return [schema.name for schema in schemas.list_schemas(session) if not is_kept_schema(schema)]


def is_kept_schema(schema: DatabaseSchema) -> bool:
    """Say whether a restore has kept this very schema: unlike a database's, a schema's comment goes along with dumps, into other databases."""
    return _is_kept(schema.comment, schema.name) and t.cast(RestoreMark, schema.comment.restore).target_oid == schema.oid
