# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users write becomes checks or one list of problems, and what a database or server answers becomes a line of the checklist."""

from __future__ import annotations

import datetime as dt
import json
import typing as t
from decimal import Decimal

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import checks as vocabulary
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import (
    Checks,
    Found,
    HttpRequest,
    HttpResponse,
    MaximumAge,
    MinimumRows,
    PrismaMigrations,
    Query,
    TableName,
    TablePresent,
    check_secrets,
    parse_checks,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import RefusedError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.prisma import PrismaStatus

NOW = dt.datetime(2026, 1, 8, 10, 30, tzinfo=dt.timezone.utc)
USERS = TableName(None, "users")
CANARY = "s3cret%Canary"


def refusals(**raw: t.Any) -> list[str]:
    with pytest.raises(RefusedError) as caught:
        parse_checks(raw)
    return caught.value.refusals


# --- reading the option --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [None, {}, {"prisma": "off"}, dict.fromkeys(vocabulary.CHECKS_SPEC["checks"]["options"])])
def test_nothing_asked_is_nothing_checked(raw: dict[str, t.Any] | None) -> None:
    assert parse_checks(raw) == Checks()


def test_the_short_forms() -> None:
    assert parse_checks(
        {
            "tables_present": ["users", "public.missions"],
            "min_rows": {"users": 1, "contracts": "20"},
            "max_age": {"users.created_at": "24h", '"Odd"."Name"."createdAt"': "7d"},
            "sql": [{"query": " SELECT count(*)\n FROM users ", "expect": 3, "name": None}],
            "prisma": "sql",
            "http": [{"url": "https://app.example.com/healthz?token=x"}],
        }
    ) == Checks(
        tables_present=(TablePresent("Table users is there", USERS), TablePresent("Table public.missions is there", TableName("public", "missions"))),
        min_rows=(
            MinimumRows("Table users has at least 1 row", USERS, 1),
            MinimumRows("Table contracts has at least 20 rows", TableName(None, "contracts"), 20),
        ),
        max_age=(
            MaximumAge("The newest users.created_at is at most 24h old", USERS, "created_at", 86400),
            MaximumAge('The newest "Odd"."Name"."createdAt" is at most 7d old', TableName("Odd", "Name"), "createdAt", 7 * 86400),
        ),
        sql=(Query("SELECT count(*) FROM users gives 3", "SELECT count(*)\n FROM users", 3),),
        prisma=PrismaMigrations("Prisma's migrations are sound", None),
        http=(HttpRequest("GET https://app.example.com/healthz answers 200", "https://app.example.com/healthz?token=x"),),
    )


def test_the_long_forms() -> None:
    assert parse_checks(
        {
            "tables_present": [{"name": "Users are there", "table": "users"}],
            "min_rows": [{"name": "Users can log in", "table": "users", "rows": 1}],
            "max_age": [{"name": "Payments are there", "column": "payments.paid_at", "age": "30m"}],
            "sql": [{"name": "Nothing is lost", "query": "SELECT NULL", "expect": None}],
            "prisma": "app/prisma/migrations",
            "http": [
                {
                    "name": "The application answers",
                    "url": "http://127.0.0.1:3000/healthz",
                    "status": 204,
                    "json": {"status": "ok"},
                    "within": 0,
                    "headers": {"Authorization": "Bearer x", "X-Number": 1},
                }
            ],
            "timeout": 5,
        }
    ) == Checks(
        tables_present=(TablePresent("Users are there", USERS),),
        min_rows=(MinimumRows("Users can log in", USERS, 1),),
        max_age=(MaximumAge("Payments are there", TableName(None, "payments"), "paid_at", 1800),),
        sql=(Query("Nothing is lost", "SELECT NULL", None),),
        prisma=PrismaMigrations("Prisma's migrations are sound", "app/prisma/migrations"),
        http=(
            HttpRequest(
                "The application answers",
                "http://127.0.0.1:3000/healthz",
                204,
                {"status": "ok"},
                0,
                (("Authorization", "Bearer x"), ("X-Number", "1")),
            ),
        ),
        timeout=5,
    )


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("users", TableName(None, "users")),
        ("Users", TableName(None, "users")),
        ("App.Users", TableName("app", "users")),
        ('"Users"', TableName(None, "Users")),
        ('"Odd"."Name"', TableName("Odd", "Name")),
        ('app."a.b ""c"" d"', TableName("app", 'a.b "c" d')),
        ("ÉCOLE_Æ", TableName(None, "École_Æ")),
        ("größe$1", TableName(None, "größe$1")),
        (" users ", TableName(None, "users")),
    ],
)
def test_a_table_is_named_as_in_sql(text: str, table: TableName) -> None:
    (check,) = parse_checks({"tables_present": [text]}).tables_present
    assert check.table == table
    # Its own spelling means the same.
    (again,) = parse_checks({"tables_present": [str(table)]}).tables_present
    assert again.table == table


@pytest.mark.parametrize("text", ["", " ", ".", "users.", ".users", "a b", 'a"b', '"a', '""', "a..b", "a.b.c", '"a"b', "a\0b"])
def test_what_names_no_table(text: str) -> None:
    (refusal,) = refusals(tables_present=[text])
    assert refusal.startswith("Entry 1 of checks.tables_present has ")
    assert "Write TABLE or SCHEMA.TABLE." in refusal


@pytest.mark.parametrize("text", ["created_at", "a.b.c.d", "users.", 7])
def test_what_names_no_column(text: t.Any) -> None:
    (refusal,) = refusals(max_age=[{"column": text, "age": "1h"}])
    assert "Write TABLE.COLUMN or SCHEMA.TABLE.COLUMN." in refusal


@pytest.mark.parametrize(("text", "seconds"), [("1m", 60), ("90m", 5400), ("24h", 86400), ("7d", 604800)])
def test_durations(text: str, seconds: int) -> None:
    (check,) = parse_checks({"max_age": {"users.created_at": text}}).max_age
    assert check.age == seconds


@pytest.mark.parametrize("text", ["24", "h", "0h", "-1h", "1.5h", "24 hours", "1w", "24H", "1h30m", 24, None, "9999999d"])
def test_what_is_no_duration(text: t.Any) -> None:
    (refusal,) = refusals(max_age={"users.created_at": text})
    assert "as 30m, 24h or 7d" in refusal


@pytest.mark.parametrize("rows", ["many", "-1", -1, 1.5, True, None, "", 10**19])
def test_what_is_no_number_of_rows(rows: t.Any) -> None:
    (refusal,) = refusals(min_rows={"users": rows})
    assert "Write a whole number from 0" in refusal


@pytest.mark.parametrize("off", [None, False, "off", "False"])
def test_prisma_is_off_however_yaml_reads_it(off: t.Any) -> None:
    assert parse_checks({"prisma": off}).prisma is None


@pytest.mark.parametrize("value", [True, "True", "", 1, ["sql"]])
def test_what_prisma_cannot_be(value: t.Any) -> None:
    (refusal,) = refusals(prisma=value)
    assert "Write off, sql, or the folder of migrations." in refusal


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        ({"min_row": {"users": 1}}, "checks has min_row, which means nothing there. Known are tables_present, min_rows"),
        ({"tables_present": "users"}, "checks has a tables_present that is no list. Write a list of checks, each with the keys name, table."),
        ({"tables_present": [7]}, "Entry 1 of checks.tables_present is not a mapping. Write it with the keys name, table."),
        ({"min_rows": [{"table": "users", "row": 1, "rows": 1}]}, "Entry 1 of checks.min_rows has row, which means nothing there."),
        ({"min_rows": [{"table": "users", "rows": 1, "name": ""}]}, "Entry 1 of checks.min_rows has no name. Write a few words, or leave it out."),
        ({"sql": [{"query": "SELECT 1"}]}, "Entry 1 of checks.sql has no expect. Write the value that the query must give, or null."),
        ({"sql": [{"query": None, "expect": 1}]}, "Entry 1 of checks.sql has no query. Write one SELECT."),
        ({"sql": [{"query": "SELECT\0", "expect": 1}]}, "Entry 1 of checks.sql has a query that is no usable text."),
        ({"http": [{"url": "http://a/", "status": 99}]}, "Entry 1 of checks.http has status 99. Write a whole number from 100 to 599."),
        ({"http": [{"url": "http://a/", "within": -1}]}, "Entry 1 of checks.http has within -1."),
        ({"http": [{"url": "http://a/", "headers": ["a"]}]}, "Entry 1 of checks.http has headers that are not a mapping."),
        ({"timeout": 0}, "checks has timeout 0. Write a whole number from 1 to 86400."),
    ],
)
def test_each_problem_has_its_sentence(raw: dict[str, t.Any], refusal: str) -> None:
    (found,) = refusals(**raw)
    assert found.startswith(refusal)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RefusedError) as caught:
        parse_checks(
            {
                "tables_present": ["users", "a b"],
                "min_rows": {"a.b.c": "many"},
                "max_age": [{"column": "x", "age": "y"}, {}],
                "sql": [{}],
                "prisma": True,
                "http": [{"url": "ftp://a", "status": "x", "within": "x", "headers": {"a b": "c"}}],
                "timeout": "x",
                "unknown": 1,
            }
        )
    assert len(caught.value.refusals) == 1 + 2 + 4 + 2 + 1 + 4 + 1 + 1
    assert all(refusal in caught.value.message for refusal in caught.value.refusals)


@pytest.mark.parametrize("raw", ["users", ["users"], 7])
def test_an_option_that_is_no_mapping(raw: t.Any) -> None:
    with pytest.raises(RefusedError, match=r"^checks is not a mapping"):
        parse_checks(raw)


@pytest.mark.parametrize(
    "url",
    [
        "healthz",
        "//a/",
        "ftp://a/",
        "file:///etc/passwd",
        "http://",
        "http://:80/",
        "http://a:x/",
        "http://a:99999/",
        "http://a/b c",
        "http://[::1/",
        "http://ä/",
    ],
)
def test_what_is_no_url(url: str) -> None:
    (refusal,) = refusals(http=[{"url": url}])
    assert refusal.startswith("Entry 1 of checks.http has a url ")


@pytest.mark.parametrize("url", ["http://a", "https://[::1]:3000/healthz?x=%20#y", "http://127.0.0.1:65535/"])
def test_urls(url: str) -> None:
    (check,) = parse_checks({"http": [{"url": url}]}).http
    assert check.url == url


@pytest.mark.parametrize(
    "request_",
    [
        {"url": f"https://user:{CANARY}@a/"},
        {"url": f"https://{CANARY}@a/"},
        {"url": f"https://a:{CANARY}/"},
        {"url": f"https://a/ {CANARY}"},
        {"url": "http://a/", "headers": {"X": f"{CANARY}\r\nY: 1"}},
        {"url": "http://a/", "headers": {"X\n": CANARY}},
        {"url": "http://a/", "headers": {"X": f"{CANARY} 漢"}},
        {"url": "http://a/", "headers": CANARY},
    ],
)
def test_a_refusal_shows_no_secret(request_: dict[str, t.Any]) -> None:
    (refusal,) = refusals(http=[request_])
    assert CANARY not in refusal


def test_a_check_shows_neither_headers_nor_query() -> None:
    (check,) = parse_checks({"http": [{"url": f"http://a/b?token={CANARY}", "headers": {"Authorization": CANARY}}]}).http
    assert check.headers == (("Authorization", CANARY),)
    assert "Authorization" not in repr(check)
    assert check.name == "GET http://a/b answers 200"


@pytest.mark.parametrize(
    ("raw", "secrets"),
    [
        (None, set()),
        ("x", set()),
        ({"http": "x"}, set()),
        ({"http": ["x", {}, {"url": 7, "headers": "x"}, {"url": "http://a/b", "headers": None}]}, set()),
        ({"http": [{"headers": {"Authorization": "Bearer abc", "X-Key": 123}}]}, {"Bearer abc", "abc", "123"}),
        ({"http": [{"url": "https://user:pass@a/"}, {"url": "https://token@a/"}]}, {"user:pass", "pass", "token"}),
        ({"http": [{"url": "https://user:pa/ss@a/"}]}, {"user:pa/ss", "pa/ss"}),
    ],
)
def test_what_must_be_masked(raw: t.Any, secrets: set[str]) -> None:
    assert check_secrets(raw) == secrets


# --- tables --------------------------------------------------------------------------------------------------------------------


def found(*names: str, kind: str = "r") -> list[Found]:
    return [Found(*name.split("."), kind) for name in names]


@pytest.mark.parametrize(
    ("table", "there", "preferred", "chosen"),
    [
        (USERS, found("app.users"), None, "app.users"),
        (USERS, found("app.users"), "other", "app.users"),
        (USERS, found("app.users", "public.users"), None, "public.users"),
        (USERS, found("app.users", "public.users"), "app", "app.users"),
        (USERS, found("app.users", "public.users"), "other", "public.users"),
        (USERS, found("app.Users", "app.users"), None, "app.users"),
        (USERS, [*found("public.users", kind="v"), *found("app.users", kind="p")], None, "app.users"),
        (TableName("app", "users"), found("app.users", "public.users"), "public", "app.users"),
    ],
)
def test_the_table_that_is_meant(table: TableName, there: list[Found], preferred: str | None, chosen: str) -> None:
    assert vocabulary.find_table(table, there, preferred).full_name == chosen


@pytest.mark.parametrize(
    ("table", "there", "sentence"),
    [
        (USERS, [], "There is no table users."),
        (TableName("app", "users"), found("public.users"), "There is no table app.users. There is public.users; write it so."),
        (USERS, found("public.Users"), 'There is no table users. There is public."Users"; write it so.'),
        (USERS, found("a.users", "b.users"), "There are several tables users: a.users, b.users. Write the schema before the name."),
        (USERS, found("a.users", kind="v"), "a.users is a view, not a table. Ask for its content with sql."),
        (USERS, found("a.users", kind="m"), "a.users is a materialized view, not a table."),
        (USERS, found("a.users", kind="f"), "a.users is a foreign table, not a table."),
    ],
)
def test_no_table_or_too_many(table: TableName, there: list[Found], sentence: str) -> None:
    with pytest.raises(VerificationError) as caught:
        vocabulary.find_table(table, there, None)
    assert caught.value.message.startswith(sentence)


def test_names_reach_sql_quoted() -> None:
    table = Found('a"b', "c d", "r")
    assert vocabulary.rows_statement(table, 5) == 'SELECT pg_catalog.count(*) FROM (SELECT FROM "a""b"."c d" LIMIT 5) AS counted'
    assert vocabulary.newest_statement(table, 'x"', [(1184, "timestamptz")]).endswith('pg_catalog.max("x""")) AS pg_catalog.float8) FROM "a""b"."c d"')


@pytest.mark.parametrize(
    ("types", "sentence"),
    [
        ([], 'public.users has no column "createdAt".'),
        ([(16400, "app.moment")], 'The column "createdAt" of public.users is of type app.moment, and an age is told only of'),
    ],
)
def test_a_column_without_an_age(types: list[tuple[t.Any, ...]], sentence: str) -> None:
    with pytest.raises(VerificationError) as caught:
        vocabulary.newest_statement(found("public.users")[0], "createdAt", types)
    assert caught.value.message.startswith(sentence)


@pytest.mark.parametrize(
    ("counted", "passes", "detail"),
    [
        (2, True, "public.users has at least 2 rows."),
        (1, False, "public.users has 1 row; at least 2 must be there."),
        (0, False, "public.users has 0 rows; at least 2 must be there."),
    ],
)
def test_rows(counted: int, passes: bool, detail: str) -> None:
    result = vocabulary.judge_rows(MinimumRows("Users", USERS, 2), found("public.users")[0], counted)
    assert result.as_dict() == {"name": "Users", "kind": "min_rows", "passed": passes, "detail": detail}


@pytest.mark.parametrize(
    ("age", "passes", "detail"),
    [
        (0, True, "is 0 seconds old."),
        (24 * 3600, True, "is 24 hours old."),
        (24 * 3600 + 360, False, "is 24.1 hours old; at most 24 hours is allowed."),
        (72 * 3600, False, "is 3 days old; at most 24 hours is allowed."),
        (-90, True, "is 90 seconds in the future."),
        (-24 * 3600, True, "is 24 hours in the future."),
        (-48 * 3600, False, "is 2 days in the future, so it says nothing about its age."),
    ],
)
def test_ages(age: float, passes: bool, detail: str) -> None:
    check = MaximumAge("Users", USERS, "created_at", 24 * 3600)
    result = vocabulary.judge_age(check, found("public.users")[0], NOW.timestamp() - age, NOW)
    assert (result.passed, result.detail) == (passes, f"The newest value of public.users.created_at {detail}")


@pytest.mark.parametrize(("newest", "detail"), [(None, "holds no value."), (float("inf"), "infinity"), (float("-inf"), "infinity")])
def test_what_has_no_age_fails(newest: float | None, detail: str) -> None:
    result = vocabulary.judge_age(MaximumAge("Users", USERS, "created_at", 60), found("public.users")[0], newest, NOW)
    assert not result.passed
    assert detail in result.detail


# --- queries -------------------------------------------------------------------------------------------------------------------


def answer(expect: t.Any, *rows: tuple[t.Any, ...]) -> vocabulary.CheckResult:
    return vocabulary.judge_answer(Query("It is so", "SELECT 1", expect), rows)


@pytest.mark.parametrize(
    ("expect", "actual"),
    [
        (None, None),
        (1, 1),
        (1, Decimal("1.00")),
        (1.0, 1),
        ("1", 1),
        (0.1, Decimal("0.1")),
        (0.1, 0.1),
        ("1e3", 1000),
        (5, "5"),
        (10**30, Decimal(10**30)),
        (True, True),
        ("True", True),
        ("false", False),
        (True, "true"),
        ("ok", "ok"),
        ("007", "007"),
        ("2026-01-08", dt.date(2026, 1, 8)),
        ({"a": [1, None]}, {"a": [Decimal(1), None]}),
    ],
)
def test_values_that_are_the_same(expect: t.Any, actual: t.Any) -> None:
    result = answer(expect, (actual,))
    assert result.passed, result.detail


@pytest.mark.parametrize(
    ("expect", "actual", "detail"),
    [
        (None, 0, "It gave 0 instead of null."),
        (0, None, "It gave null instead of 0."),
        ("", None, 'It gave null instead of "".'),
        ("None", None, 'It gave null instead of "None".'),
        (1, 2, "It gave 2 instead of 1."),
        (True, 1, "It gave 1 instead of true."),
        (1, True, "It gave true instead of 1."),
        (False, None, "It gave null instead of false."),
        ("7", "007", 'It gave "007" instead of "7".'),
        ("ok", "OK", 'It gave "OK" instead of "ok".'),
        (0.1, Decimal("0.10000000001"), "It gave 0.10000000001 instead of 0.1."),
        ({"a": 1}, {"a": 1, "b": 2}, 'It gave {"a": 1, "b": 2} instead of {"a": 1}.'),
        ("x", "y" * 300, f'It gave "{"y" * 196}... instead of "x".'),
    ],
)
def test_values_that_differ(expect: t.Any, actual: t.Any, detail: str) -> None:
    result = answer(expect, (actual,))
    assert (result.passed, result.detail) == (False, detail)


@pytest.mark.parametrize(
    ("expect", "rows", "detail"),
    [
        (1, [], "It gave no row instead of the one value 1."),
        (None, [], "It gave no row instead of the one value null."),
        (1, [(1,), (1,)], "It gave more than one row instead of the one value 1."),
        (1, [(1, 2)], "It gave 2 columns instead of the one value 1."),
        (1, [()], "It gave 0 columns instead of the one value 1."),
        ([1], [(1,), (2,)], "It gave more than the expected 1 row."),
        ([], [(1,)], "It gave more than the expected 0 rows."),
        ([1, 2], [(1,)], "It gave [[1]] instead of [[1], [2]]."),
        ([1, 2], [(2,), (1,)], "It gave [[2], [1]] instead of [[1], [2]]."),
        ([1], [(1, 2)], "It gave [[1, 2]] instead of [[1]]."),
    ],
)
def test_answers_of_another_shape(expect: t.Any, rows: list[tuple[t.Any, ...]], detail: str) -> None:
    result = answer(expect, *rows)
    assert (result.passed, result.detail) == (False, detail)


@pytest.mark.parametrize(
    ("expect", "rows"), [([], []), ([1, 2], [(1,), (2,)]), ([[1, "a"], [None, True]], [(1, "a"), (None, True)]), ([["1"]], [(1,)]), ([None], [(None,)])]
)
def test_a_list_means_rows(expect: t.Any, rows: list[tuple[t.Any, ...]]) -> None:
    assert answer(expect, *rows).passed


@pytest.mark.parametrize(
    ("query", "expect", "statement"),
    [
        ("SELECT 1", 1, "SELECT * FROM (\nSELECT 1\n) AS answer LIMIT 2"),
        ("SELECT 1 ;\n; ", 1, "SELECT * FROM (\nSELECT 1\n) AS answer LIMIT 2"),
        ("SELECT 1 -- one", 1, "SELECT * FROM (\nSELECT 1 -- one\n) AS answer LIMIT 2"),
        ("SELECT 1", [], "SELECT * FROM (\nSELECT 1\n) AS answer LIMIT 1"),
        ("SELECT 1", [1, 2, 3], "SELECT * FROM (\nSELECT 1\n) AS answer LIMIT 4"),
    ],
)
def test_a_query_is_asked_as_a_part_of_ours(query: str, expect: t.Any, statement: str) -> None:
    assert vocabulary.query_statement(Query("It is so", query, expect)) == statement


# --- Prisma --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "passes", "detail"),
    [
        (PrismaStatus(("1", "2"), (), ("3",)), True, "2 applied, the last is 2."),
        (PrismaStatus((), (), ()), True, "None is applied."),
        (PrismaStatus(("1",), (), (), ("2", "3"), (), ()), True, "1 applied, the last is 1. Pending: 2, 3. Run prisma migrate deploy"),
        (PrismaStatus(("1",), ("2",), ()), False, "Failed: 2. 1 applied, the last is 1."),
        (PrismaStatus(("1",), (), (), (), ("1",), ()), False, "Edited after it was applied: 1. 1 applied"),
        (PrismaStatus(("1",), (), (), (), (), ("1",)), False, "In the database but not in the folder: 1. 1 applied"),
        (PrismaStatus((), (), (), (), tuple("abcdefghijkl"), ()), False, "Edited after it was applied: a, b, c, d, e, f, g, h, i, j and 2 more."),
    ],
)
def test_migrations(status: PrismaStatus, passes: bool, detail: str) -> None:
    result = vocabulary.judge_prisma(PrismaMigrations("Prisma", "folder"), status)
    assert result.passed is passes
    assert result.detail.startswith(detail)


# --- HTTP ----------------------------------------------------------------------------------------------------------------------


def response(content: t.Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps(content).encode())


def judged(answered: HttpResponse, status: int = 200, content: t.Any = None) -> vocabulary.CheckResult:
    return vocabulary.judge_response(HttpRequest("It answers", f"http://a/healthz?token={CANARY}", status, content), answered)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({}, {"a": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": True}}, {"a": {"b": True, "c": 1}}),
        ({"a": "1"}, {"a": 1}),
        ({1: 2}, {"1": 2}),
        ([{"a": 1}, 2], [{"a": 1, "b": 2}, 2]),
        ("ok", "ok"),
        (False, False),
    ],
)
def test_json_that_holds_what_is_expected(expected: t.Any, actual: t.Any) -> None:
    result = judged(response(actual), content=expected)
    assert (result.passed, result.detail) == (True, "http://a/healthz answered 200 with the expected JSON.")


@pytest.mark.parametrize(
    ("expected", "actual", "detail"),
    [
        ({"a": 1}, {}, "its JSON has no a."),
        ({"a": {"b": "ok"}}, {"a": {"b": "down"}}, 'b of a of its JSON is "down" instead of "ok".'),
        ({"a": None}, {"a": 0}, "a of its JSON is 0 instead of null."),
        ([1, 2], [1], "its JSON is [1] instead of [1, 2]."),
        ([1, {"a": 2}], [1, {"a": 3}], "a of entry 2 of its JSON is 3 instead of 2."),
        ({"a": 1}, [1], 'its JSON is [1] instead of {"a": 1}.'),
    ],
)
def test_json_that_does_not(expected: t.Any, actual: t.Any, detail: str) -> None:
    result = judged(response(actual), content=expected)
    assert (result.passed, result.detail) == (False, f"http://a/healthz answered 200, but {detail}")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"\xff\xff\xff", b"[" * 100_000])
def test_a_body_that_is_no_json(body: bytes) -> None:
    result = judged(HttpResponse(200, body), content={"a": 1})
    assert (result.passed, result.detail) == (False, "http://a/healthz answered 200, but not with JSON.")
    assert judged(HttpResponse(200, body)).passed


def test_a_body_that_is_too_long_matters_only_where_it_is_compared() -> None:
    assert judged(HttpResponse(200, None)).passed
    assert not judged(HttpResponse(200, None), content={}).passed


@pytest.mark.parametrize(
    ("answered", "detail"),
    [
        (response({}, 503), "answered 503 instead of 200."),
        (HttpResponse(302, b"", f"https://b/login?to={CANARY}"), "answered 302 and leads to https://b/login instead of 200."),
        (HttpResponse(302, b"", f"https://user:{CANARY}@b/"), "answered 302 instead of 200."),
        (HttpResponse(302, b"", "/login"), "answered 302 instead of 200."),
        (HttpResponse(302, b"", "http://[/"), "answered 302 instead of 200."),
    ],
)
def test_another_status(answered: HttpResponse, detail: str) -> None:
    result = judged(answered)
    assert (result.passed, result.detail) == (False, f"http://a/healthz {detail}")


def test_a_redirect_can_be_what_is_expected() -> None:
    assert judged(HttpResponse(302, b"", "/login"), status=302).passed
