# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Run checks, one after the other, so that each has a result whatever happens to the others. Nothing here writes, and nothing waits for ever."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import checks as vocabulary
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import Check, CheckResult, Checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, DatabaseError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.prisma import read_status
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, http_request
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.prisma_folder import read_migrations

Fetch = t.Callable[[str, t.Iterable[tuple[str, str]], float], vocabulary.HttpResponse]

_QUERY_CANCELED = "57014"
_SYNTAX_ERROR = "42601"
_SAVEPOINT = "workon_check"

# In seconds: between two attempts, and what an answer may take at least and at most.
_PAUSE = 1.0
_SHORTEST_ATTEMPT, _LONGEST_ATTEMPT = 1.0, 10.0


def run_database_checks(checks: Checks, session: Session, now: dt.datetime, *, in_transaction: bool = False) -> list[CheckResult]:
    """Return the result of every check but those over HTTP. Ages are told as of ``now``.

    With ``in_transaction`` they run inside the transaction that the caller has opened, which goes on as it was before; else in their own.
    """
    asking = _Asking(session, checks.timeout, in_transaction)
    return [
        *(_result(check, functools.partial(_check_presence, check, asking)) for check in checks.tables_present),
        *(_result(check, functools.partial(_check_rows, check, asking)) for check in checks.min_rows),
        *(_result(check, functools.partial(_check_age, check, asking, now)) for check in checks.max_age),
        *(_result(check, functools.partial(_check_answer, check, asking)) for check in checks.sql),
        *(_result(check, functools.partial(_check_prisma, check, asking)) for check in (checks.prisma,) if check),
    ]


def run_http_checks(
    checks: Checks,
    *,
    clock: t.Callable[[], float],
    pause: t.Callable[[float], None],
    fetch: Fetch = http_request.get,
) -> list[CheckResult]:
    """Return the result of every check over HTTP, each tried until it passes or its time is over.

    ``clock`` tells seconds that never go back, ``pause`` waits for so many.
    """
    return [_insist(check, clock, pause, fetch) for check in checks.http]


@dataclasses.dataclass(frozen=True)
class _Asking:
    """How the database is asked."""

    session: Session
    timeout: int
    in_transaction: bool

    @contextlib.contextmanager
    def our_questions(self) -> t.Iterator[Session]:
        """Read with nobody's functions but the built-in ones, and get an error instead of the rows that row security leaves."""
        with self._read_only():
            self.session.execute("SET LOCAL search_path = pg_catalog")
            self.session.execute("SET LOCAL row_security = off")
            yield self.session

    @contextlib.contextmanager
    def their_questions(self) -> t.Iterator[Session]:
        """Read as the role reads that logs in here, whatever this session has set since."""
        with self._read_only():
            self.session.execute("SET LOCAL search_path TO DEFAULT")
            yield self.session

    @contextlib.contextmanager
    def _read_only(self) -> t.Iterator[None]:
        if self.in_transaction:
            begin, undo = f"SAVEPOINT {_SAVEPOINT}", [f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}", f"RELEASE SAVEPOINT {_SAVEPOINT}"]
        else:
            begin, undo = "BEGIN ISOLATION LEVEL REPEATABLE READ", ["ROLLBACK"]
        self.session.execute(begin)
        try:
            # Inside of a savepoint it holds until the savepoint's end, and nothing in there can take it back.
            self.session.execute("SET TRANSACTION READ ONLY")
            self.session.execute(f"SET LOCAL statement_timeout = {self.timeout * 1000}")
            yield
        except DatabaseError as error:
            raise DatabaseError(_explained(error, self.timeout)) from error
        finally:
            # Where the connection is lost there is nothing to undo, and the first error tells more.
            with contextlib.suppress(DatabaseError):
                for statement in undo:
                    self.session.execute(statement)


def _result(check: Check, judge: t.Callable[[], CheckResult]) -> CheckResult:
    """Judge a check; whatever keeps it from being judged has failed it."""
    try:
        return judge()
    except BackupError as error:
        return vocabulary.failed(check, error.message)
    except (ValueError, ArithmeticError) as error:
        return vocabulary.failed(check, f"It asks for or gives a value that Python does not have: {error}. In a query, cast it to text.")


def _check_presence(check: vocabulary.TablePresent, asking: _Asking) -> CheckResult:
    with asking.our_questions() as session:
        return vocabulary.judge_presence(check, _find_table(check.table, session))


def _check_rows(check: vocabulary.MinimumRows, asking: _Asking) -> CheckResult:
    with asking.our_questions() as session:
        table = _find_table(check.table, session)
        (counted,) = session.row(vocabulary.rows_statement(table, check.rows))
        return vocabulary.judge_rows(check, table, counted)


def _check_age(check: vocabulary.MaximumAge, asking: _Asking, now: dt.datetime) -> CheckResult:
    with asking.our_questions() as session:
        table = _find_table(check.table, session)
        types = session.rows(vocabulary.COLUMN_QUERY, {"schema": table.schema, "table": table.name, "column": check.column})
        (newest,) = session.row(vocabulary.newest_statement(table, check.column, types))
        return vocabulary.judge_age(check, table, newest, now)


def _check_answer(check: vocabulary.Query, asking: _Asking) -> CheckResult:
    with asking.their_questions() as session:
        return vocabulary.judge_answer(check, session.rows(vocabulary.query_statement(check)))


def _check_prisma(check: vocabulary.PrismaMigrations, asking: _Asking) -> CheckResult:
    folder = None if check.folder is None else read_migrations(check.folder)
    with asking.our_questions() as session:
        table = _prisma_table(database_facts.find_prisma_tables(session, session.login.schema))
        if folder is not None and not table.has_checksum:
            raise VerificationError(f"The table {table.name} has no checksums to compare with a folder of migrations. Set prisma to sql.")
        return vocabulary.judge_prisma(check, read_status(database_facts.read_migration_rows(session, table), folder))


def _find_table(table: vocabulary.TableName, session: Session) -> vocabulary.Found:
    found = [vocabulary.Found(*row) for row in session.rows(vocabulary.TABLES_QUERY, {"name": table.name})]
    return vocabulary.find_table(table, found, session.login.schema)


def _prisma_table(tables: t.Sequence[database_facts.PrismaTable]) -> database_facts.PrismaTable:
    if not tables:
        raise VerificationError("No table _prisma_migrations was found that is Prisma's and can be read. Set prisma to off where Prisma is not used.")
    if len(tables) > 1:
        raise VerificationError(
            f"There are several tables of Prisma's migrations: {', '.join(table.name for table in tables)}. "
            "Set database_url to a URL with the parameter schema, as Prisma's own."
        )
    return tables[0]


def _explained(error: DatabaseError, timeout: int) -> str:
    """Say what two errors mean here, which the server names in its own words."""
    state = error.details.get("sqlstate")
    if state == _QUERY_CANCELED:
        return f"It was stopped: it took longer than timeout ({timeout} seconds), or somebody cancelled it. Set timeout in checks to more seconds."
    if state == _SYNTAX_ERROR:
        return f"{error.message} A query must be one SELECT, VALUES or WITH that writes nothing."
    return error.message


def _insist(check: vocabulary.HttpRequest, clock: t.Callable[[], float], pause: t.Callable[[float], None], fetch: Fetch) -> CheckResult:
    deadline = clock() + check.within
    attempt = 1
    while True:
        seconds = min(max(deadline - clock(), _SHORTEST_ATTEMPT), _LONGEST_ATTEMPT)
        result = _result(check, functools.partial(_check_response, check, fetch, seconds))
        if result.passed:
            return result
        if clock() + _PAUSE > deadline:
            return dataclasses.replace(result, detail=f"{result.detail} It was asked {attempt} {'time' if attempt == 1 else 'times'}.")
        pause(_PAUSE)
        attempt += 1


def _check_response(check: vocabulary.HttpRequest, fetch: Fetch, seconds: float) -> CheckResult:
    return vocabulary.judge_response(check, fetch(check.url, check.headers, seconds))
