# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same facts give the same question for ever, and two sets of answers are compared in sentences."""

from __future__ import annotations

import hashlib
import re

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import Column, Table, TableFingerprint

INT4, INT8, TEXT, NUMERIC, JSONB, ENUM = 23, 20, 25, 1700, 3802, 16999

MIXED = Table(
    1,
    "public",
    "mixed",
    (Column("id", INT8), Column("name", TEXT), Column("mood", ENUM), Column("age", INT4), Column("doc", JSONB), Column("tags", 1009)),
)


@pytest.mark.parametrize(
    ("wanted", "version", "method"),
    [
        ("none", 150000, "none"),
        ("counts", 150000, "counts"),
        ("content", 130015, "text"),
        ("content", 140000, "record"),
        ("content", 180006, "record"),
    ],
)
def test_the_fastest_method_that_the_server_offers_is_chosen(wanted, version, method):
    assert fingerprint.choose_method(wanted, version) == method


def test_the_statement_of_a_table_hashes_each_type_in_its_exact_form():
    assert fingerprint.table_statement(MIXED, "record") == (
        "SELECT pg_catalog.count(*), CAST(coalesce(pg_catalog.sum(pg_catalog.hash_numeric_extended(CAST(pg_catalog.hash_record_extended(ROW("
        'r."age", pg_catalog.textin(pg_catalog.jsonb_out(r."doc")), pg_catalog.int8send(r."id"), r."name" COLLATE pg_catalog."C", '
        'pg_catalog.textin(pg_catalog.record_out(ROW(r."mood", r."tags")))'
        '), 0) AS pg_catalog.numeric), 0)), 0) AS pg_catalog.text) FROM ONLY "public"."mixed" AS r'
    )


def test_the_text_method_hashes_the_text_of_the_same_values():
    values = re.compile(r"ROW\((?P<values>r\..*tags\"\)\)\))")
    record = values.search(fingerprint.table_statement(MIXED, "record"))
    text = fingerprint.table_statement(MIXED, "text")
    assert record
    assert record["values"] in text
    assert "hash_record_extended" not in text
    assert "hashtextextended(" in text


@pytest.mark.parametrize("method", ["none", "counts"])
def test_content_is_not_read_unless_asked_for(method):
    assert fingerprint.table_statement(MIXED, method) == 'SELECT pg_catalog.count(*), CAST(NULL AS pg_catalog.text) FROM ONLY "public"."mixed" AS r'
    assert "lo_get" not in fingerprint.large_objects_statement(method)


def test_the_order_of_columns_does_not_matter():
    turned = Table(MIXED.oid, MIXED.schema, MIXED.name, MIXED.columns[::-1])
    assert fingerprint.table_statement(turned, "record") == fingerprint.table_statement(MIXED, "record")


def test_a_recipe_never_changes_unseen():
    """If this is red, fingerprints of old manifests cannot be compared any more: raise RECIPE and keep the old one readable."""
    every_type = Table(1, "s", "t", tuple(Column(f"c{oid:04}", oid) for oid in range(1, 6000)))
    asked = [fingerprint.table_statement(every_type, method) for method in ("record", "text")]
    asked += [fingerprint.large_objects_statement(method) for method in ("record", "text")]
    asked += [f"{name}={value}" for name, value in fingerprint.PINNED_SETTINGS]
    digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()
    assert (fingerprint.RECIPE, digest) == (1, "18fafb7cb2b833a9355788e3cdfc542ab06811ba2d90e7f0a06f08d31f281eee")


@pytest.mark.parametrize("name", ["select", "r", "Upper Case", 'quo"te', "%s %(after)s 100%", "é 漢", "a.b", "back\\slash", "'"])
def test_any_name_can_be_asked_for(name):
    quoted = '"' + name.replace('"', '""') + '"'
    assert fingerprint.quote_identifier(name) == quoted
    statement = fingerprint.table_statement(Table(1, name, name, (Column(name, INT4),)), "record")
    assert f"ROW(r.{quoted})" in statement
    assert statement.endswith(f" FROM ONLY {quoted}.{quoted} AS r")


def test_a_table_without_columns_still_has_content():
    assert "hash_record_extended(ROW(), 0)" in fingerprint.table_statement(Table(1, "s", "t", ()), "record")


@pytest.mark.parametrize("method", ["none", "counts", "record", "text"])
def test_the_only_parameter_of_the_batches_is_the_last_object(method):
    statement = fingerprint.large_objects_statement(method)
    assert statement % {"after": 7} == statement.replace("%(after)s", "7")
    assert statement.count("%") == 1


def test_answers_become_tables():
    rows = [(7, "public", "users", "id", NUMERIC), (7, "public", "users", "name", TEXT), (9, "app", "no columns", None, None)]
    assert fingerprint.tables_from_rows(rows) == (
        Table(7, "public", "users", (Column("id", NUMERIC), Column("name", TEXT))),
        Table(9, "app", "no columns", ()),
    )


@pytest.mark.parametrize(
    ("expected", "actual", "sentences"),
    [
        pytest.param({"a": (2, "5")}, {"a": (2, "5")}, [], id="equal"),
        pytest.param({"a": (2, None)}, {"a": (2, "5")}, [], id="only rows expected"),
        pytest.param({"a": (2, "5")}, {}, ["Table a is missing."], id="missing"),
        pytest.param({}, {"a": (0, "0")}, ["Table a is there but not expected."], id="unexpected"),
        pytest.param({"a": (2, "5")}, {"a": (3, "5")}, ["Table a has 3 rows instead of 2."], id="rows"),
        pytest.param({"a": (2, "5")}, {"a": (2, "6")}, ["Table a has the expected 2 rows, but their content differs."], id="content"),
        pytest.param({"a": (2, "5")}, {"a": (2, None)}, ["Table a has the expected 2 rows, but their content was not read."], id="content not read"),
        pytest.param({"b": (1, "1"), "a": (1, "1"), "c": (0, "0")}, {"c": (0, "0")}, ["Table a is missing.", "Table b is missing."], id="in order"),
    ],
)
def test_differences_are_sentences(expected, actual, sentences):
    def table(found):
        return {name: TableFingerprint(*values) for name, values in found.items()}

    assert fingerprint.compare(table(expected), table(actual)) == sentences
