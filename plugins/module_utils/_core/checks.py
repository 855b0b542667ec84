# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The one vocabulary of checks, which are assertions about a live database: how they are written, what is asked for each, and how the answer is judged.

Each check has a name for people, so that the results read like a checklist. A check that could not run has failed: whatever keeps it from
being judged is a BackupError here, whose sentence becomes the result's detail.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import RefusedError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name, quote_if_needed
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.prisma import PrismaStatus

DEFAULT_TIMEOUT = 60
DEFAULT_WITHIN = 30
_LONGEST = 24 * 3600

CHECKS_SPEC: dict[str, dict[str, t.Any]] = {
    "checks": {
        "type": "dict",
        "options": {
            "tables_present": {"type": "list", "elements": "raw"},
            "min_rows": {"type": "raw"},
            "max_age": {"type": "raw"},
            "sql": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str"},
                    "query": {"type": "str", "required": True},
                    # Required, because only so null can be told from nothing.
                    "expect": {"type": "raw", "required": True},
                },
            },
            "prisma": {"type": "path", "default": "off"},
            "http": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str"},
                    "url": {"type": "str", "required": True},
                    "status": {"type": "int", "default": 200},
                    "json": {"type": "raw"},
                    "within": {"type": "int", "default": DEFAULT_WITHIN},
                    "headers": {"type": "dict", "no_log": True},
                },
            },
            "timeout": {"type": "int", "default": DEFAULT_TIMEOUT},
        },
    }
}


# --- the vocabulary ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TableName:
    """A table as a user names it; without a schema it must be found in one place."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return quote_if_needed(self.name) if self.schema is None else qualified_name(self.schema, self.name)


@dataclass(frozen=True)
class TablePresent:
    """A table must be there."""

    kind: t.ClassVar[str] = "tables_present"
    name: str
    table: TableName


@dataclass(frozen=True)
class MinimumRows:
    """A table must have so many rows or more."""

    kind: t.ClassVar[str] = "min_rows"
    name: str
    table: TableName
    rows: int


@dataclass(frozen=True)
class MaximumAge:
    """The newest value of a column must be no older than so many seconds."""

    kind: t.ClassVar[str] = "max_age"
    name: str
    table: TableName
    column: str
    age: int


@dataclass(frozen=True)
class Query:
    """A query must give what is expected: one value, or a list of rows."""

    kind: t.ClassVar[str] = "sql"
    name: str
    query: str
    expect: t.Any


@dataclass(frozen=True)
class PrismaMigrations:
    """No migration may have failed; with a folder none may be edited or unknown either."""

    kind: t.ClassVar[str] = "prisma"
    name: str
    folder: str | None


@dataclass(frozen=True)
class HttpRequest:
    """A GET must be answered with this status, and with JSON that holds all of ``json``, within so many seconds of trying.

    ``headers`` may hold secrets, which whoever reads the options must register: see check_secrets.
    """

    kind: t.ClassVar[str] = "http"
    name: str
    url: str
    status: int = 200
    json: t.Any = None
    within: int = DEFAULT_WITHIN
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


Check: t.TypeAlias = "TablePresent | MinimumRows | MaximumAge | Query | PrismaMigrations | HttpRequest"


@dataclass(frozen=True)
class Checks:
    """Everything that is to be checked; ``timeout`` is how many seconds each question to the database may take."""

    tables_present: tuple[TablePresent, ...] = ()
    min_rows: tuple[MinimumRows, ...] = ()
    max_age: tuple[MaximumAge, ...] = ()
    sql: tuple[Query, ...] = ()
    prisma: PrismaMigrations | None = None
    http: tuple[HttpRequest, ...] = ()
    timeout: int = DEFAULT_TIMEOUT


@dataclass(frozen=True)
class CheckResult:
    """One line of the checklist; ``detail`` says in a sentence what was found, or why the check could not run."""

    name: str
    kind: str
    passed: bool
    detail: str

    def as_dict(self) -> dict[str, t.Any]:
        return {"name": self.name, "kind": self.kind, "passed": self.passed, "detail": self.detail}


def passed(check: Check, detail: str) -> CheckResult:
    return CheckResult(check.name, check.kind, True, detail)


def failed(check: Check, detail: str) -> CheckResult:
    return CheckResult(check.name, check.kind, False, detail)


# --- reading the option --------------------------------------------------------------------------------------------------------


def parse_checks(raw: Mapping[str, t.Any] | None) -> Checks:
    """Read the option ``checks``; everything that is wrong with it is refused at once."""
    if raw is None:
        return Checks()
    problems: list[str] = []
    option = _Entry("checks", raw, tuple(CHECKS_SPEC["checks"]["options"]), problems)
    checks = Checks(
        tables_present=tuple(_tables_present(option)),
        min_rows=tuple(_min_rows(option)),
        max_age=tuple(_max_age(option)),
        sql=tuple(_sql(option)),
        prisma=_prisma(option),
        http=tuple(_http(option)),
        timeout=option.whole_number("timeout", 1, _LONGEST, default=DEFAULT_TIMEOUT) or DEFAULT_TIMEOUT,
    )
    if problems:
        raise RefusedError(problems)
    return checks


def check_secrets(raw: t.Any) -> frozenset[str]:
    """Return what must be masked because of this option, valid or not: the values of all headers, and what a URL holds before its @."""
    requests = raw.get("http") if isinstance(raw, Mapping) else None
    if not isinstance(requests, (list, tuple)):
        return frozenset()
    return frozenset(secret for request in requests if isinstance(request, Mapping) for secret in _request_secrets(request) if secret)


def _request_secrets(request: Mapping[str, t.Any]) -> Iterator[str]:
    headers = request.get("headers")
    for value in headers.values() if isinstance(headers, Mapping) else ():
        # The word after "Bearer" alone is the secret as well.
        yield from (str(value), str(value).rpartition(" ")[2])
    userinfo = str(request.get("url")).partition("://")[2].rpartition("@")[0]
    yield from (userinfo, userinfo.partition(":")[2])


class _Entry:
    """A mapping that a user wrote; whatever is wrong with it is added to the problems of the whole option."""

    def __init__(self, place: str, content: t.Any, known: tuple[str, ...], problems: list[str]) -> None:
        self.place, self.problems = place, problems
        self.content: Mapping[str, t.Any] = content if isinstance(content, Mapping) else {}
        if self.content is not content:
            self.refuse("is not a mapping", f"Write it with the keys {', '.join(known)}")
        unknown = sorted(str(key) for key in self.content if key not in known)
        if unknown:
            self.refuse(f"has {', '.join(unknown)}, which means nothing there", f"Known are {', '.join(known)}")

    def refuse(self, what: str, remedy: str) -> None:
        self.problems.append(f"{self.place} {what}. {remedy}.")

    def given(self, key: str) -> t.Any:
        """Return a value, or None: an option that is not given is null to Ansible."""
        return self.content.get(key)

    def entries(self, key: str, known: tuple[str, ...], written_as: t.Callable[[t.Any], t.Any]) -> Iterator[_Entry]:
        """Return those entries of a list that are mappings; ``written_as`` turns the short form of an entry or of the whole list into the long one."""
        found = written_as(self.given(key))
        if found is None:
            return
        if not isinstance(found, (list, tuple)):
            self.refuse(f"has a {key} that is no list", f"Write a list of checks, each with the keys {', '.join(known)}")
            return
        for number, content in enumerate(found, start=1):
            entry = _Entry(f"Entry {number} of {self.place}.{key}", content, known, self.problems)
            if entry.content is content:
                yield entry

    def text(self, key: str, remedy: str) -> str | None:
        """Return a text that must be there."""
        value = self.given(key)
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return value.strip()
        self.refuse(f"has no {key}" if value is None or value == "" else f"has a {key} that is no usable text", remedy)
        return None

    def name(self, default: str) -> str:
        """Return the name for people."""
        if self.given("name") is None:
            return default
        return self.text("name", "Write a few words, or leave it out") or default

    def whole_number(self, key: str, minimum: int, maximum: int, default: int | None = None) -> int | None:
        """Return a number; what a template made of one is a text of digits."""
        value = self.given(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum:
            return value
        self.refuse(f"has no {key}" if value is None else f"has {key} {value!r}", f"Write a whole number from {minimum} to {maximum}")
        return None

    def name_parts(self, key: str, lengths: tuple[int, ...], remedy: str) -> list[str] | None:
        """Return the parts of a name that must have one of these numbers of parts."""
        text = self.text(key, remedy)
        if text is None:
            return None
        parts = _split_name(text)
        if len(parts) in lengths:
            return parts
        self.refuse(f"has {key} {text!r}, which is no such name", remedy)
        return None


_NAME_PART = r'"(?:[^"]|"")+"|[^".\s]+'
_NAME = re.compile(rf"(?:{_NAME_PART})(?:\.(?:{_NAME_PART}))*")
_QUOTES = "Put a name with capitals, dots or spaces into double quotes, and those into single quotes of YAML"
_TABLE_REMEDY = f"Write TABLE or SCHEMA.TABLE. {_QUOTES}"
_COLUMN_REMEDY = f"Write TABLE.COLUMN or SCHEMA.TABLE.COLUMN. {_QUOTES}"


def _split_name(text: str) -> list[str]:
    """Return the parts of a name as PostgreSQL reads them, in which only ASCII letters are folded; nothing where it is none."""
    if not _NAME.fullmatch(text):
        return []
    parts = re.findall(_NAME_PART, text)
    return [part[1:-1].replace('""', '"') if part.startswith('"') else "".join(char.lower() if char.isascii() else char for char in part) for part in parts]


def read_table_name(text: str) -> TableName | None:
    """Read a table's name as PostgreSQL would; None where it is none."""
    parts = _split_name(text)
    return _table_name(parts) if len(parts) in (1, 2) else None


def _table_name(parts: Sequence[str]) -> TableName:
    return TableName(parts[0] if len(parts) == 2 else None, parts[-1])


def _tables_present(option: _Entry) -> Iterator[TablePresent]:
    def written_as(value: t.Any) -> t.Any:
        return [{"table": entry} if isinstance(entry, str) else entry for entry in value] if isinstance(value, (list, tuple)) else value

    for entry in option.entries("tables_present", ("name", "table"), written_as):
        parts = entry.name_parts("table", (1, 2), _TABLE_REMEDY)
        if parts:
            table = _table_name(parts)
            yield TablePresent(entry.name(f"Table {table} is there"), table)


def _min_rows(option: _Entry) -> Iterator[MinimumRows]:
    def written_as(value: t.Any) -> t.Any:
        return [{"table": table, "rows": rows} for table, rows in value.items()] if isinstance(value, Mapping) else value

    for entry in option.entries("min_rows", ("name", "table", "rows"), written_as):
        parts = entry.name_parts("table", (1, 2), _TABLE_REMEDY)
        rows = entry.whole_number("rows", 0, 10**18)
        if parts and rows is not None:
            table = _table_name(parts)
            yield MinimumRows(entry.name(f"Table {table} has at least {_rows(rows)}"), table, rows)


def _max_age(option: _Entry) -> Iterator[MaximumAge]:
    def written_as(value: t.Any) -> t.Any:
        return [{"column": column, "age": age} for column, age in value.items()] if isinstance(value, Mapping) else value

    for entry in option.entries("max_age", ("name", "column", "age"), written_as):
        parts = entry.name_parts("column", (2, 3), _COLUMN_REMEDY)
        remedy = "Write a number of minutes, hours or days, as 30m, 24h or 7d"
        text = entry.text("age", remedy)
        age = _seconds(text) if text else None
        if text and age is None:
            entry.refuse(f"has age {text!r}, which is no duration", remedy)
        if parts and age is not None:
            table = _table_name(parts[:-1])
            yield MaximumAge(entry.name(f"The newest {table}.{quote_if_needed(parts[-1])} is at most {text} old"), table, parts[-1], age)


def _sql(option: _Entry) -> Iterator[Query]:
    for entry in option.entries("sql", _keys("sql"), lambda value: value):
        query = entry.text("query", "Write one SELECT")
        if "expect" not in entry.content:
            entry.refuse("has no expect", "Write the value that the query must give, or null")
        elif query is not None:
            yield Query(entry.name(f"{_cut(' '.join(query.split()), 60)} gives {_shown(entry.given('expect'))}"), query, entry.given("expect"))


def _prisma(option: _Entry) -> PrismaMigrations | None:
    value = option.given("prisma")
    # A bare off is false to YAML, which Ansible may have made a text of.
    if value is None or value is False or value in ("off", "False"):
        return None
    if not isinstance(value, str) or value in ("", "True") or "\0" in value:
        option.refuse(f"has prisma {value!r}, which says not what to compare", "Write off, sql, or the folder of migrations")
        return None
    return PrismaMigrations("Prisma's migrations are sound", None if value == "sql" else value)


def _http(option: _Entry) -> Iterator[HttpRequest]:
    for entry in option.entries("http", _keys("http"), lambda value: value):
        url = entry.text("url", "Write the address to ask, as https://www.example.com/healthz")
        problem = url_problem(url) if url else None
        if problem:
            entry.refuse(*problem)
        status = entry.whole_number("status", 100, 599, default=200)
        within = entry.whole_number("within", 0, _LONGEST, default=DEFAULT_WITHIN)
        headers = _headers(entry)
        if url and not problem and status is not None and within is not None:
            name = entry.name(f"GET {shown_url(url)} answers {status}")
            yield HttpRequest(name, url, status, entry.given("json"), within, headers)


def _keys(kind: str) -> tuple[str, ...]:
    return tuple(CHECKS_SPEC["checks"]["options"][kind]["options"])


def shown_url(url: str) -> str:
    """Return a URL for messages: without what may hold a secret, which are its user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def url_problem(url: str) -> tuple[str, str] | None:
    """Return what is wrong with a URL and what to do about it; it is not quoted, because it may hold a secret."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return "has a url with a space or a character that is not ASCII", "Percent-encode it"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return "has a url that is none", "Write it as https://www.example.com/healthz, with a port as in http://127.0.0.1:3000/healthz"
    if "@" in parts.netloc:
        return "has a url with a user or a password, which would be shown", "Leave them out, and set headers with Authorization"
    return None


def headers_are_sound(headers: t.Iterable[tuple[str, str]]) -> bool:
    """Say whether each header has a name and a value of one line that HTTP can carry."""
    return all(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and re.fullmatch(r"[\x20-\x7e\xa0-\xff]+", value) for name, value in headers)


def _headers(entry: _Entry) -> tuple[tuple[str, str], ...]:
    headers = entry.given("headers")
    if headers is None:
        return ()
    if not isinstance(headers, Mapping):
        entry.refuse("has headers that are not a mapping", "Write them as NAME: VALUE")
        return ()
    found = tuple((str(name), "" if value is None else str(value)) for name, value in headers.items())
    if not headers_are_sound(found):
        entry.refuse("has a header without a value, or with a character that no header has", "Write them as NAME: VALUE, each in one line")
    return found


def _seconds(duration: str) -> int | None:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", duration)
    return int(found[1]) * {"m": 60, "h": 3600, "d": 86400}[found[2]] if found else None


# --- tables --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """Something in the database that is called like a table, but for capitals; ``kind`` is pg_class.relkind."""

    schema: str
    name: str
    kind: str

    @property
    def full_name(self) -> str:
        return qualified_name(self.schema, self.name)

    @property
    def reference(self) -> str:
        """Return the name for SQL."""
        return f"{quote_identifier(self.schema)}.{quote_identifier(self.name)}"


# Once as it is as well: how letters beyond ASCII are folded depends on the collation.
TABLES_QUERY = """
SELECT n.nspname, c.relname, CAST(c.relkind AS pg_catalog.text)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE (c.relname = CAST(%(name)s AS pg_catalog.text)
       OR pg_catalog.lower(CAST(c.relname AS pg_catalog.text)) = pg_catalog.lower(CAST(%(name)s AS pg_catalog.text)))
  AND c.relkind IN ('r', 'p', 'f', 'm', 'v')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)'
ORDER BY 1, 2
"""

_TABLES = "rp"
_OTHERS = {"f": "a foreign table", "m": "a materialized view", "v": "a view"}


def find_table(table: TableName, found: Sequence[Found], preferred_schema: str | None) -> Found:
    """Return the one table that is meant; of several in different schemas the one in the preferred schema, else in ``public``."""
    called_so = [each for each in found if each.name == table.name and table.schema in (None, each.schema)]
    tables = [each for each in called_so if each.kind in _TABLES]
    for schema in (preferred_schema, "public"):
        if len(tables) > 1:
            tables = [each for each in tables if each.schema == schema] or tables
    if len(tables) == 1:
        return tables[0]
    if tables:
        raise VerificationError(f"There are several tables {table}: {_listed([each.full_name for each in tables])}. Write the schema before the name.")
    if called_so:
        raise VerificationError(f"{called_so[0].full_name} is {_OTHERS[called_so[0].kind]}, not a table. Ask for its content with sql.")
    alike = f" There is {_listed([each.full_name for each in found])}; write it so." if found else ""
    raise VerificationError(f"There is no table {table}.{alike}")


def judge_presence(check: TablePresent, table: Found) -> CheckResult:
    return passed(check, f"It is {table.full_name}.")


def rows_statement(table: Found, rows: int) -> str:
    """Return the query that counts the rows, but no further than it has to; run it without parameters."""
    return f"SELECT pg_catalog.count(*) FROM (SELECT FROM {table.reference} LIMIT {rows}) AS counted"


def judge_rows(check: MinimumRows, table: Found, counted: int) -> CheckResult:
    """Judge what rows_statement counted."""
    if counted >= check.rows:
        return passed(check, f"{table.full_name} has at least {_rows(check.rows)}.")
    return failed(check, f"{table.full_name} has {_rows(counted)}; at least {check.rows} must be there.")


COLUMN_QUERY = """
SELECT CAST(a.atttypid AS pg_catalog.int8), pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = CAST(%(schema)s AS pg_catalog.text) AND c.relname = CAST(%(table)s AS pg_catalog.text)
  AND a.attname = CAST(%(column)s AS pg_catalog.text) AND a.attnum > 0 AND NOT a.attisdropped
"""

# date, timestamp and timestamptz, by the OIDs of the built-in types: for another type a function of somebody else could be called.
_MOMENTS = frozenset({1082, 1114, 1184})


def newest_statement(table: Found, column: str, types: Sequence[tuple[t.Any, ...]]) -> str:
    """Return the query for the newest value as seconds since 1970, from what COLUMN_QUERY answered; run it without parameters.

    A type without a time zone is read as UTC, which is how Prisma stores its times.
    """
    if not types:
        raise VerificationError(f"{table.full_name} has no column {quote_if_needed(column)}.")
    type_oid, type_name = types[0]
    if type_oid not in _MOMENTS:
        raise VerificationError(
            f"The column {quote_if_needed(column)} of {table.full_name} is of type {type_name}, and an age is told only of date, timestamp and timestamptz. "
            "Ask for its age with sql."
        )
    return f"SELECT CAST(EXTRACT(EPOCH FROM pg_catalog.max({quote_identifier(column)})) AS pg_catalog.float8) FROM {table.reference}"


def judge_age(check: MaximumAge, table: Found, newest: float | None, now: dt.datetime) -> CheckResult:
    """Judge the newest value, in seconds since 1970. A value from the future proves no more than that clocks differ, so it may be off by the allowed age."""
    column = f"{table.full_name}.{quote_if_needed(check.column)}"
    if newest is None:
        return failed(check, f"{column} holds no value.")
    if math.isinf(newest):
        return failed(check, f"The newest value of {column} is infinity, which has no age.")
    age = now.timestamp() - newest
    if age < -check.age:
        return failed(check, f"The newest value of {column} is {_span(-age)} in the future, so it says nothing about its age.")
    found = f"The newest value of {column} is {_span(age)} old" if age >= 0 else f"The newest value of {column} is {_span(-age)} in the future"
    return passed(check, f"{found}.") if age <= check.age else failed(check, f"{found}; at most {_span(check.age)} is allowed.")


# --- queries -------------------------------------------------------------------------------------------------------------------


def query_statement(check: Query) -> str:
    """Return the query as a part of ours, to be run without parameters. So it can be only one, and only one that reads.

    This keeps mistakes from writing, and no more: whoever writes checks has the role's rights anyway.
    """
    query = check.query.strip().rstrip("; \t\r\n")
    rows = len(check.expect) if isinstance(check.expect, (list, tuple)) else 1
    # The line break ends a comment at the query's end. One row more than expected is enough to see that there are too many.
    return f"SELECT * FROM (\n{query}\n) AS answer LIMIT {rows + 1}"


def judge_answer(check: Query, rows: Sequence[tuple[t.Any, ...]]) -> CheckResult:
    """Compare a query's rows with what is expected: a list of rows (each a value or a list of values), else the one value of the one row."""
    if isinstance(check.expect, (list, tuple)):
        return _judge_rows_of_answer(check, rows)
    if len(rows) != 1:
        return failed(check, f"It gave {'no row' if not rows else 'more than one row'} instead of the one value {_shown(check.expect)}.")
    if len(rows[0]) != 1:
        return failed(check, f"It gave {len(rows[0])} columns instead of the one value {_shown(check.expect)}.")
    return _compared(check, rows[0][0], check.expect)


def _judge_rows_of_answer(check: Query, rows: Sequence[tuple[t.Any, ...]]) -> CheckResult:
    wanted = [list(row) if isinstance(row, (list, tuple)) else [row] for row in check.expect]
    if len(rows) > len(wanted):
        return failed(check, f"It gave more than the expected {_rows(len(wanted))}.")
    return _compared(check, [list(row) for row in rows], wanted)


def _compared(check: Query, actual: t.Any, expected: t.Any) -> CheckResult:
    if _same(actual, expected):
        return passed(check, f"It gave {_shown(actual)}.")
    return failed(check, f"It gave {_shown(actual)} instead of {_shown(expected)}.")


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def _same(actual: t.Any, expected: t.Any) -> bool:
    """Compare a found value with one from YAML or from a template, which makes texts of numbers and booleans."""
    if actual is None or expected is None:
        return actual is expected
    if isinstance(actual, dict) and isinstance(expected, Mapping):
        return actual.keys() == expected.keys() and all(_same(actual[key], expected[key]) for key in actual)
    if isinstance(actual, list) and isinstance(expected, (list, tuple)):
        return len(actual) == len(expected) and all(map(_same, actual, expected))
    if isinstance(actual, bool) or isinstance(expected, bool):
        return str(actual).lower() == str(expected).lower()
    if isinstance(actual, str) and isinstance(expected, str):
        return actual == expected
    numbers = _number(actual), _number(expected)
    return numbers[0] == numbers[1] if None not in numbers else str(actual) == str(expected)


def _number(value: t.Any) -> Decimal | None:
    # Through its shortest text, by which 0.1 is what was written and not what it is in binary.
    text = str(value)
    return Decimal(text) if isinstance(value, (int, float, Decimal, str)) and _NUMBER.fullmatch(text) else None


# --- Prisma --------------------------------------------------------------------------------------------------------------------


def judge_prisma(check: PrismaMigrations, status: PrismaStatus) -> CheckResult:
    """Pass what an application can be deployed on. Pending migrations are normal after a restore: they are reported."""
    wrong = [
        f"{what}: {_listed(names)}."
        for what, names in (
            ("Failed", status.failed),
            ("Edited after it was applied", status.edited),
            ("In the database but not in the folder", status.unknown),
        )
        if names
    ]
    sentences = [*wrong, f"{len(status.applied)} applied, the last is {status.last}." if status.last else "None is applied."]
    if status.pending:
        sentences.append(f"Pending: {_listed(status.pending)}. Run prisma migrate deploy, or an application that does not need them.")
    return failed(check, " ".join(sentences)) if wrong else passed(check, " ".join(sentences))


# --- HTTP ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HttpResponse:
    """What a request was answered with; ``body`` is None where it was longer than what is read, ``location`` is where a redirect leads."""

    status: int
    body: bytes | None
    location: str | None = None


def judge_response(check: HttpRequest, response: HttpResponse) -> CheckResult:
    """Compare an answer with what is expected."""
    if response.status != check.status:
        # Only where to: a redirect may carry a token in its query.
        where = f" and leads to {shown_url(response.location)}" if response.location and _is_absolute(response.location) else ""
        return failed(check, f"{shown_url(check.url)} answered {response.status}{where} instead of {check.status}.")
    if check.json is None:
        return passed(check, f"{shown_url(check.url)} answered {response.status}.")
    if response.body is None:
        return failed(check, f"{shown_url(check.url)} answered {response.status} with more than is read of an answer, so its JSON was not compared.")
    try:
        found = json.loads(response.body)
    except (ValueError, RecursionError):
        return failed(check, f"{shown_url(check.url)} answered {response.status}, but not with JSON.")
    difference = _json_difference(found, check.json, "its JSON")
    if difference:
        return failed(check, f"{shown_url(check.url)} answered {response.status}, but {difference}.")
    return passed(check, f"{shown_url(check.url)} answered {response.status} with the expected JSON.")


def _is_absolute(location: str) -> bool:
    return location.startswith(("http://", "https://")) and url_problem(location) is None


def _json_difference(actual: t.Any, expected: t.Any, place: str) -> str | None:
    """Return the first thing that is expected and not so. Mappings may hold more than is expected, lists may not."""
    if isinstance(expected, Mapping) and isinstance(actual, dict):
        for key, value in expected.items():
            if str(key) not in actual:
                return f"{place} has no {key}"
            difference = _json_difference(actual[str(key)], value, f"{key} of {place}")
            if difference:
                return difference
        return None
    if isinstance(expected, (list, tuple)) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(actual, expected, strict=True), start=1)
        differences = (_json_difference(one, other, f"entry {number} of {place}") for number, (one, other) in pairs)
        return next((difference for difference in differences if difference), None)
    return None if _same(actual, expected) else f"{place} is {_shown(actual)} instead of {_shown(expected)}"


# --- words ---------------------------------------------------------------------------------------------------------------------

_SHOWN = 10


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _span(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}".replace(".0 ", " ")
    return f"{seconds:.0f} seconds"


def _shown(value: t.Any) -> str:
    """Return a value for a sentence, as YAML and JSON write it."""
    return _cut(str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, default=str), 200)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
