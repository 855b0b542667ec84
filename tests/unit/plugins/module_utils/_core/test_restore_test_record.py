# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore test's record comes back as it was written; one that was changed, or is none, is refused with a sentence."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import ManifestError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_test_record import RecordError, dump_record, load_record
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sealed import write_sealed
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY, manifest, restore_test


def test_what_is_written_is_read() -> None:
    record = restore_test(verdict="failed", reasons=["Table public.users: 3 rows instead of 4."], rto=None)
    assert load_record(dump_record(record), "k") == record
    assert record.finished == dt.datetime(2026, 1, 8, 11, 0, 30, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not JSON"),
        (b"[]", "was not written by this software"),
        (b'{"format": "another"}', "was not written by this software"),
        (write_sealed({**restore_test().as_dict(), "schema_version": 2}), "Upgrade the collection"),
        (write_sealed({name: value for name, value in restore_test().as_dict().items() if name != "verdict"}), "lacks verdict"),
        (write_sealed({**restore_test().as_dict(), "verdict": "fine"}), "'fine', which is none"),
        (dump_record(restore_test(verdict="failed")).replace(b'"failed"', b'"passed"'), "was changed after it was written"),
    ],
    ids=["no json", "no object", "another format", "newer", "incomplete", "no verdict", "tampered"],
)
def test_anything_else_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(RecordError, match=r"The record k of a restore test .*") as caught:
        load_record(content, "k")
    assert says in caught.value.message


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ManifestError, match="finished_at of k"):
        load_record(write_sealed({**restore_test().as_dict(), "finished_at": 7}), "k")


def test_another_backup_that_had_the_same_key_was_not_tested() -> None:
    tested = manifest()
    assert restore_test(backup_id=tested.backup_id).is_of(tested)
    assert not restore_test(backup_id=tested.backup_id).is_of(dataclasses.replace(tested, backup_id="another"))
    assert not restore_test(backup_id=tested.backup_id).is_of(None)


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        (naming.restore_test_key(KEY, dt.datetime(2026, 1, 8, 11, tzinfo=dt.timezone.utc)), True),
        (KEY, False),
        (f"{KEY}.globals.sql", False),
        (f"{KEY}.tests/deeper/a.json", False),
        (naming.manifest_key(KEY), False),
    ],
)
def test_where_it_lies(key: str, is_one: bool) -> None:
    assert naming.is_restore_test_key(key) is is_one
    if is_one:
        assert key == f"{KEY}.tests/2026-01-08_110000_000.json"
        assert naming.archive_of_record(key) == KEY


def test_it_is_plain_json() -> None:
    data: dict[str, t.Any] = json.loads(dump_record(restore_test()))
    assert list(data)[:2] == ["format", "schema_version"]
    assert data["verdict"] == "passed"
