# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of restores act on: a database to restore into, a store with its backups, and what must hold after a restore that failed.

Everything is asked of the server and the store themselves, past the code under test.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_SPEC
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.restore import RESTORE_SPEC, restore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_SPEC, STORE_WRITE_SPEC
from harness.ansible_runner import AnsibleRunner, Outcome, Running
from harness.waiting import NotYet, wait_for
from system.scenes import PASSWORD, Database, Store, Verdict, quoted

_TAG = re.compile(r"\[workon\.postgresql_backup (?P<facts>\{.*\})\]")
_NAME = re.compile(r".*__[rpx]_[0-9a-f]{8}", re.DOTALL)
_JOURNAL = re.compile(r"(.*/)?restores/[0-9a-f-]+\.[0-9TZ-]+\.jsonl")

_TABLES = """
SELECT nspname, relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
 WHERE relkind = 'r' AND relpersistence <> 't' AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
_SEQUENCES = "SELECT nspname, relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE relkind = 'S' ORDER BY 1, 2"
_PROPERTIES = "SELECT to_jsonb(d) - '{datacl,datfrozenxid,datminmxid}'::text[] FROM pg_database AS d WHERE datname = current_database()"
# Whether written out or left to the default.
_GRANTS = """
SELECT array(SELECT unnest(coalesce(datacl, acldefault('d', datdba)))::text ORDER BY 1) FROM pg_database WHERE datname = current_database()
"""
_COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
_SETTINGS = """
SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting
 WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""
# As bytes: a comment is in the encoding of whoever wrote it.
_DATABASES = "SELECT oid::bigint, datname::text, textsend(shobj_description(oid, 'pg_database')) FROM pg_database ORDER BY oid"
_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'workon.postgresql_backup restore%'"


@dataclass(frozen=True)
class ListedDatabase:
    """A database as its server lists it."""

    oid: int
    name: str
    comment: str | None

    @property
    def tag(self) -> dict[str, Any]:
        """What the comment says in our words."""
        found = _TAG.search(self.comment or "")
        tag: dict[str, Any] = json.loads(found["facts"]) if found else {}
        return tag

    @property
    def mark(self) -> dict[str, Any]:
        """Its part in a restore; empty where it has none."""
        found: dict[str, Any] = self.tag.get("restore", {})
        return found

    @property
    def beside(self) -> bool:
        """Whether its comment or its name says that a restore made it or put it aside."""
        return self.mark.get("role", "live") != "live" or bool(_NAME.fullmatch(self.name))


@dataclass(frozen=True)
class Look:
    """How things were at a moment: the live database's OID and fingerprint, the databases of its server, the keys in the store."""

    oid: int | None
    fingerprint: dict[str, Any]
    databases: tuple[ListedDatabase, ...]
    stored: tuple[str, ...]


@dataclass
class Scene:
    """A database to restore into and a store with backups of the name ``name``; ``user`` is the role that restores (None: the superuser)."""

    ansible: AnsibleRunner
    database: Database
    store: Store
    environment: str = "staging"
    user: str | None = None
    name: str = "app"
    more: dict[str, Any] = field(default_factory=dict)

    def options(self, **overriding: Any) -> dict[str, Any]:
        """Return the options of a restore from the newest backup; None leaves one out."""
        options = {
            **self.database.options(self.user),
            **self.store.options,
            "environment": self.environment,
            "name": self.name,
            "same_database": True,
            **self.more,
            **overriding,
        }
        return {name: value for name, value in options.items() if value is not None}

    def start(self, *, check: bool = False, **options: Any) -> Running:
        """Start pg_restore_safe."""
        return self.ansible.start("pg_restore_safe", check=check, **self.options(**options))

    def restore(self, *, check: bool = False, diff: bool = False, **options: Any) -> Outcome:
        """Run pg_restore_safe to its end."""
        return self.ansible.run("pg_restore_safe", check=check, diff=diff, **self.options(**options))

    def roll_back(self, *, check: bool = False, **options: Any) -> Outcome:
        """Run pg_restore_safe with state rolled_back."""
        return self.restore(check=check, state="rolled_back", **options)

    def finalize(self, *, check: bool = False, **options: Any) -> Outcome:
        """Run pg_restore_safe with state finalized."""
        return self.restore(check=check, state="finalized", **options)

    def plan(self, **options: Any) -> dict[str, Any]:
        """Return what check mode returns, or raise its error, without the cost of a run: it writes nothing that would have to be run."""
        # A backup's key has its second in it, and a plan for the same second is refused: tests are faster than people.
        wait_for(self._second_of_the_last_backup_has_passed, "The next second", seconds=5)
        specs = {**POSTGRESQL_SPEC, **STORE_SPEC, **STORE_WRITE_SPEC, **RESTORE_SPEC}
        params = {name: spec.get("default") for name, spec in specs.items()}
        nobody = cast(Any, SimpleNamespace(no_log_values=set()))
        return restore({**params, **self.options(**options)}, Secrets(nobody), check_mode=True, diff_mode=False)

    def _second_of_the_last_backup_has_passed(self) -> None:
        if any(f"_{dt.datetime.now(dt.UTC):%Y-%m-%d_%H%M%S}." in key for key in self.store.listing()):
            raise NotYet("There is a backup of this second.")

    def refusals(self, **options: Any) -> list[str]:
        """Return every reason that speaks against a restore with these options; none where it would begin."""
        try:
            self.plan(**options)
        except BackupError as error:
            return list(cast(list[str], error.details.get("refusals", [error.message])))
        return []

    def back_up(self, **options: Any) -> dict[str, Any]:
        """Take a backup of the database as its superuser and return its manifest."""
        given = {**self.database.options(), **self.store.options, "name": self.name, "environment": self.environment, **options}
        manifest: dict[str, Any] = self.ansible.run("pg_backup", **given).require_success()["backup"]
        return manifest

    def tag(self, environment: str | None = None) -> Scene:
        """Tag the database with its environment as pg_environment would, without the cost of a run."""
        return self.comment(f"[workon.postgresql_backup {json.dumps({'environment': environment or self.environment})}]")

    def comment(self, text: str | None) -> Scene:
        """Write the database's comment."""
        with Database(self.database.server, "postgres").connected() as connection, connection.cursor() as cursor:
            cursor.execute(f"COMMENT ON DATABASE {quoted(self.database.name).replace('%', '%%')} IS %s", [text])
        return self

    def look(self) -> Look:
        """Return how things are."""
        listed = self.databases()
        oid = next((found.oid for found in listed if found.name == self.database.name), None)
        return Look(oid, fingerprint(self.database) if oid else {}, listed, tuple(self.store.listing()))

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that the live database is and holds."""
        return fingerprint(self.database)

    def databases(self) -> tuple[ListedDatabase, ...]:
        """Return the databases of the server."""
        found = Database(self.database.server, "postgres").rows(_DATABASES)
        return tuple(ListedDatabase(oid, name, comment and bytes(comment).decode(errors="backslashreplace")) for oid, name, comment in found)

    def beside(self) -> list[ListedDatabase]:
        """Return the databases that restores into this one have made or put aside."""
        return [found for found in self.databases() if found.beside and self._is_of_this(found)]

    def journals(self) -> list[list[dict[str, Any]]]:
        """Return the journals in the store, each as its lines, in the order of their keys."""
        return [[json.loads(line) for line in self.store.read(key).splitlines()] for key in self.store.listing() if _JOURNAL.fullmatch(key)]

    def nothing_left(self, outcome: Outcome, before: Look, *, says: tuple[str, ...] = (), wrote: bool = False) -> None:
        """Require a failure with a sentence that has ``says`` in it, after which the live database is as it was, and nothing is left but what it names.

        ``wrote`` permits what a restore stores before it fails: a valid safety backup, and a journal.
        """
        assert outcome.failed, f"pg_restore_safe did not fail: {outcome.message}"
        assert re.search(r"\w [^.]+.*\.$| It said: ", outcome.message, re.DOTALL), f"Not a sentence: {outcome.message!r}"
        assert "did not expect" not in outcome.message, f"{outcome.message}\n{outcome.result.get('exception')}"
        for fragment in says:
            assert fragment in outcome.message, f"{fragment!r} is not in: {outcome.message}"
        Verdict().clean_host(outcome)
        self.untouched(before, named_in=outcome.message, wrote=wrote)

    def untouched(self, before: Look, *, named_in: str = "", wrote: bool = False) -> None:
        """Require that the live database is as it was, and that no database came or went but those of ours that a message names."""
        self.no_sessions()
        after = self.look()
        assert after.oid == before.oid, f"The live database was {before.oid} and is {after.oid}."
        changed = sorted(fact for fact in {*before.fingerprint, *after.fingerprint} if before.fingerprint.get(fact) != after.fingerprint.get(fact))
        differences = [f"{fact}: {before.fingerprint.get(fact)} -> {after.fingerprint.get(fact)}" for fact in changed]
        assert not differences, f"The live database changed: {'; '.join(differences)}"
        came = [found for found in after.databases if found not in before.databases and not _names(named_in, found.name)]
        assert not came, f"Left and not named: {came}"
        went = [found for found in before.databases if found not in after.databases and not found.beside]
        assert not went, f"Gone, and not ours: {went}"
        self.clean_store(before, wrote=wrote)

    def clean_store(self, before: Look, *, wrote: bool) -> None:
        """Require that nothing is unfinished in the store, and that only what a restore stores before it fails was added, if anything."""
        assert not self.store.unfinished(), self.store.unfinished()
        listing = self.store.listing()
        assert not set(before.stored) - set(listing), f"Gone from the store: {set(before.stored) - set(listing)}"
        added = {key for key in listing if key not in before.stored}
        if not wrote:
            assert not added, f"Written to the store: {added}"
        for key in [key for key in added if key.endswith(".manifest.json")]:
            manifest = json.loads(self.store.read(key))
            archive = key.removesuffix(".manifest.json")
            assert manifest["reason"] == "pre_restore", f"{key} is {manifest['reason']}"
            assert hashlib.sha256(self.store.read(archive)).hexdigest() == manifest["archive"]["sha256"], f"{archive} is not what its manifest says"
            added -= {key, archive}
        strange = [key for key in added if not _JOURNAL.fullmatch(key)]
        assert not strange, f"Neither safety backup nor journal: {strange}"

    def no_sessions(self) -> None:
        """Require that no session of a restore is left on the server; one whose client is gone may need a moment to notice."""
        maintenance = Database(self.database.server, "postgres")

        def probe() -> None:
            if found := maintenance.rows(_OURS):
                raise NotYet(f"There are {found}.")

        wait_for(probe, "The sessions of the restore end", seconds=10)

    def no_secrets(self) -> None:
        """Require that neither what the store holds beside archives nor the comments of databases hold a secret."""
        for found in self.databases():
            self.ansible.require_no_secret(found.comment or "")
        for key in self.store.listing():
            if not key.endswith(".dump"):
                self.ansible.require_no_secret(self.store.read(key).decode())

    def drop_beside(self) -> None:
        """Drop what restores into this database have left, whatever state they were in."""
        for found in self.beside():
            Database(self.database.server, found.name).drop()

    def _is_of_this(self, found: ListedDatabase) -> bool:
        return found.mark.get("database") == self.database.name or self.database.name.encode().startswith(found.name.encode()[:-12])


@contextlib.contextmanager
def scenes(ansible: AnsibleRunner) -> Iterator[Callable[..., Scene]]:
    """Yield a maker of scenes, ``make(database, store, **fields)``; what their restores have left is dropped at the end."""
    made: list[Scene] = []

    def make(database: Database, store: Store, **fields: Any) -> Scene:
        made.append(Scene(ansible, database, store, **fields))
        return made[-1]

    try:
        yield make
    finally:
        # What still runs would make more of it.
        ansible.stop_all()
        for scene in made:
            if scene.database.server.running:
                scene.drop_beside()


class Unhurried(Database):
    """A database whose own settings, such as a statement_timeout, do not hold for who looks at it or changes it here."""

    settings = " ".join(
        f"-c {setting}"
        for setting in (
            "statement_timeout=0",
            "lock_timeout=0",
            "idle_in_transaction_session_timeout=0",
            "idle_session_timeout=0",
            "default_transaction_read_only=off",
            "search_path=public",
        )
    )

    def __init__(self, database: Database) -> None:
        super().__init__(database.server, database.name)

    @contextlib.contextmanager
    def connected(self, user: str | None = None) -> Iterator[Any]:
        connection = self.server.connect(self.name, user, PASSWORD if user else None, options=self.settings)
        try:
            yield connection
        finally:
            connection.close()


def fingerprint(of: Database) -> dict[str, Any]:
    """Return everything that a database is and holds: each table's rows, sequences, large objects, definitions with owners and grants, and its properties."""
    database = Unhurried(of)
    found: dict[str, Any] = {f"rows of {schema}.{name}": digest for (schema, name), digest in _contents(database).items()}
    found["definitions"] = _definitions(database)
    with database.connected() as connection, connection.cursor() as cursor:

        def rows(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            return list(cursor.fetchall())

        for schema, name in rows(_SEQUENCES):
            found[f"sequence {schema}.{name}"] = rows(f"SELECT last_value, is_called FROM {quoted(schema)}.{quoted(name)}")
        found["large objects"] = rows("SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid")
        for fact, query in (("properties", _PROPERTIES), ("grants", _GRANTS), ("comment", _COMMENT)):
            ((found[fact],),) = rows(query)
        found["settings"] = rows(_SETTINGS)
    return found


def _contents(database: Database) -> dict[tuple[str, str], tuple[int, str]]:
    """Return the number of rows of each table with a digest of their sorted text."""
    found = {}
    with database.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET timezone = 'UTC'; SET extra_float_digits = 3; SET search_path = pg_catalog; SET row_security = off")
        cursor.execute(_TABLES)
        for schema, name in cursor.fetchall():
            counter = _Counter()
            cursor.copy_expert(f'COPY (SELECT t FROM ONLY {quoted(schema)}.{quoted(name)} AS t ORDER BY t::text COLLATE "C") TO STDOUT', counter)
            found[schema, name] = (counter.rows, counter.digest.hexdigest())
    return found


class _Counter:
    def __init__(self) -> None:
        self.rows, self.digest = 0, hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self.rows += chunk.count(b"\n")
        self.digest.update(chunk)


def _definitions(database: Database) -> list[str]:
    """Return what pg_dump prints of everything but rows."""
    server = database.server
    login = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser, "PGPASSWORD": server.password, "PGDATABASE": database.name}
    login["PGOPTIONS"] = Unhurried.settings
    command = [server.installation.program("pg_dump"), "--schema-only"]
    answer = subprocess.run(command, env={**os.environ, **login}, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    # One of its lines holds a word that is another one each time.
    return [line for line in answer.stdout.split("\n") if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]


def _names(text: str, name: str) -> bool:
    """Say whether a text has a name in it as a word of its own."""
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))
