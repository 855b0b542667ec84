# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CheckResult
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_info import (
    DatabaseInfo,
    info_result,
    reading_refusals,
    require_checks,
    tables_of,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import TableFingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.preflight import Relation
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.proof import Content
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Capabilities, Target
from ansible_collections.workon.postgresql_backup.tests.unit.facts import relation, server


@pytest.mark.parametrize(
    ("changes", "in_recovery", "counted"),
    [
        ({}, False, True),
        ({"kind": "p"}, False, False),
        ({"kind": "m"}, False, False),
        ({"kind": "f"}, False, False),
        ({"kind": "S"}, False, False),
        ({"persistence": "t"}, False, False),
        ({"persistence": "u"}, False, True),
        ({"persistence": "u"}, True, False),
        ({"extension": "cron"}, False, False),
        ({"name": "dumped", "extension": "cron"}, False, True),
    ],
)
def test_the_tables_are_those_whose_rows_a_backup_holds(changes: dict[str, t.Any], in_recovery: bool, counted: bool) -> None:
    found = relation(**changes)
    assert tables_of([found], {"public.dumped": {}}, in_recovery=in_recovery) == ([found] if counted else [])


SEQUENCE = relation("users_id_seq", kind="S")


def refusals(tables: list[Relation] | None = None, sequences: list[Relation] | None = None, objects: int = 0, method: t.Any = "counts") -> list[str]:
    return reading_refusals(tables or [relation()], sequences or [SEQUENCE], objects, "App", method)


def test_who_may_read_everything_is_not_refused() -> None:
    assert refusals(method="record") == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"tables": [relation("secret", readable=False)]},
            ("The role App may not read table public.secret.", 'pg_read_all_data TO "App"', "fingerprint to none"),
        ),
        ({"sequences": [relation("s", kind="S", readable=False)]}, ("may not read sequence public.s.", "fingerprint to none")),
        ({"tables": [relation(schema="Odd", readable=False, schema_usable=False)]}, ('may not read schema "Odd".',)),
        ({"tables": [relation(row_security=True)]}, ("Row security hides rows of table public.users", "BYPASSRLS", "fingerprint to none")),
        ({"objects": 3, "method": "record"}, ("may not read 3 large object(s)", "fingerprint to counts")),
    ],
)
def test_what_may_not_be_read_is_named_with_what_to_do(arguments: dict[str, t.Any], says: tuple[str, ...]) -> None:
    (refusal,) = refusals(**arguments)
    assert [fragment for fragment in says if fragment not in refusal] == []
    assert refusals(**{**arguments, "method": "none"}) == []


def test_large_objects_are_counted_without_a_right() -> None:
    assert refusals(objects=3, method="counts") == []


def test_everything_is_named_at_once() -> None:
    found = refusals(
        [relation("a", readable=False), relation("b", readable=False), relation("c", row_security=True)], [relation("s", readable=False)], 1, "text"
    )
    assert len(found) == 3
    assert "2 tables: public.a, public.b; sequence public.s." in found[0]


TARGET = Target(
    database="workon",
    exists=True,
    oid=16384,
    owner="workon",
    owned=True,
    template=False,
    allows_connections=True,
    comment=DatabaseComment(),
    size=8000,
    empty=False,
    hosts=("db.example.com",),
    server=server(),
    capabilities=Capabilities(superuser=False, createdb=True, maintenance_database="postgres", maintenance_problem=None),
    free_disk=None,
    replication_slots=("cdc",),
)


def info(**changes: t.Any) -> DatabaseInfo:
    facts: dict[str, t.Any] = {
        "server": server(),
        "target": TARGET,
        "snapshot_at": "2026-01-08T10:30:00.500Z",
        "properties": {"owner": "workon", "comment": 'The shop\n[workon.postgresql_backup {"environment": "staging"}]'},
        "method": "record",
        "tables": ("public.users", "public.missions"),
        "sizes": {"public.users": {"size": 8192, "index_size": 16384}, "public.missions": {"size": 0, "index_size": 0}},
        "content": Content(
            tables={"public.users": TableFingerprint(40, "7"), "public.missions": TableFingerprint(2, "9")},
            of_extensions=frozenset(),
            sequences={"public.s": {"last_value": 1, "is_called": False}},
            large_objects={"count": 0, "content": "0"},
            defects={"invalid_indexes": [], "unvalidated_constraints": []},
            prisma=None,
        ),
        "extensions": {"plpgsql": "1.0"},
        "roles": ("workon",),
        "omitted": (),
        "comparison": None,
        "checks": (),
    }
    return DatabaseInfo(**{**facts, **changes})


NOTHING_READ = Content({}, frozenset(), {}, {"count": 2, "content": None}, {"invalid_indexes": [], "unvalidated_constraints": []}, None)


def test_the_facts_are_told_and_nothing_is_changed() -> None:
    found = info_result(info())
    assert found["changed"] is False
    assert found["msg"] == "The database workon (PostgreSQL 16.4, staging) holds 2 tables with 42 rows in 7.8 KiB."
    assert found["tables"]["public.users"] == {"rows": 40, "content": "7", "size": 8192, "index_size": 16384}
    assert list(found["tables"]) == ["public.missions", "public.users"]
    assert (found["environment"], found["counts_as_production"], found["tag_problem"], found["restore"]) == ("staging", False, None, None)
    assert found["sequences"] == {"public.s": {"last_value": 1, "is_called": False}}
    assert found["difference"] is None


def test_what_was_not_read_is_null() -> None:
    found = info_result(info(method="none", content=NOTHING_READ))
    assert found["msg"] == "The database workon (PostgreSQL 16.4, staging) holds 2 tables in 7.8 KiB."
    assert found["tables"]["public.users"] == {"rows": None, "content": None, "size": 8192, "index_size": 16384}
    assert found["sequences"] is None
    assert found["large_objects"] == {"count": 2, "content": None}


@pytest.mark.parametrize(
    ("comment", "environment", "production", "problem", "says"),
    [
        (None, None, True, False, "no environment tag"),
        ('[workon.postgresql_backup {"environment": "live"}]', "live", True, False, ", live)"),
        ('[workon.postgresql_backup {"environment": "Staging"}]', None, True, True, "an unreadable environment tag"),
    ],
)
def test_the_environment(comment: str | None, environment: str | None, production: bool, problem: bool, says: str) -> None:
    found = info_result(info(properties={"comment": comment}))
    assert (found["environment"], found["counts_as_production"], bool(found["tag_problem"])) == (environment, production, problem)
    assert says in found["msg"]


def test_what_a_restore_would_find() -> None:
    found = info_result(info(server=server(pooled=True)))["capabilities"]
    assert found == {
        "superuser": False,
        "createdb": True,
        "maintenance_database": "postgres",
        "maintenance_problem": None,
        "owner": True,
        "standby": False,
        "pooler": True,
        "free_disk": None,
        "replication_slots": ["cdc"],
        "subscriptions": [],
        "prepared_transactions": [],
        "swap_obstacles": [],
    }


def test_why_a_restore_could_not_swap() -> None:
    target = dataclasses.replace(TARGET, owned=False, capabilities=dataclasses.replace(TARGET.capabilities, createdb=False))
    assert len(info_result(info(target=target))["capabilities"]["swap_obstacles"]) == 2


PASSED = CheckResult("There are users", "min_rows", True, "public.users has at least 1 row.")
FAILED = CheckResult("Orders come in", "max_age", False, "public.orders.created_at holds no value.")


def test_checks_that_passed_are_counted() -> None:
    result = info_result(info(checks=(PASSED,)))
    assert require_checks(result) is result
    assert result["msg"].endswith(" 1 of 1 checks passed.")
    assert result["checks"] == [PASSED.as_dict()]


def test_a_check_that_failed_is_named_and_every_fact_is_still_told() -> None:
    result = info_result(info(checks=(PASSED, FAILED)))
    with pytest.raises(VerificationError) as caught:
        require_checks(result)
    assert caught.value.message == "1 of 2 checks of the database workon failed. Orders come in: public.orders.created_at holds no value."
    assert caught.value.details == {name: value for name, value in result.items() if name != "msg"}
