# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket that answers what no server at hand does: listings broken off, keys that are refused within a success, rights that are missing."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from botocore.stub import Stubber

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import StoreError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3 import S3Options, S3Store

WHEN = dt.datetime(2026, 1, 8, tzinfo=dt.timezone.utc)


@pytest.fixture
def store() -> S3Store:
    return S3Store(S3Options("backups", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b"))


@pytest.fixture
def answers(store: S3Store) -> t.Iterator[Stubber]:
    with Stubber(store._client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_a_listing_that_is_broken_off_is_no_listing(store: S3Store, answers: Stubber) -> None:
    one = {"Key": "app_2026-01-08_103000.dump", "Size": 1, "LastModified": WHEN}
    answers.add_response("list_objects_v2", {"IsTruncated": True, "Contents": [one]})
    with pytest.raises(StoreError, match="broke off its listing"):
        store.list_objects("app_")


def test_a_listing_of_versions_that_is_broken_off_is_no_listing(store: S3Store, answers: Stubber) -> None:
    answers.add_response("get_bucket_versioning", {"Status": "Enabled"})
    answers.add_client_error("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError", http_status_code=404)
    answers.add_response("list_object_versions", {"IsTruncated": True, "Versions": []})
    with pytest.raises(StoreError, match="broke off its listing of versions"):
        store.pruner().list_hidden("app_")


@pytest.mark.parametrize(
    ("status", "code", "versioned"), [(501, "NotImplemented", False), (403, "AccessDenied", None)], ids=["a store without versions", "no right to ask"]
)
def test_what_versioning_is_where_it_cannot_be_asked(store: S3Store, answers: Stubber, status: int, code: str, versioned: bool | None) -> None:
    answers.add_client_error("get_bucket_versioning", code, http_status_code=status)
    if versioned is None:
        answers.add_client_error("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError", http_status_code=404)
    assert store.pruner().versioned is versioned


def test_suspended_versioning_still_hides(store: S3Store, answers: Stubber) -> None:
    answers.add_response("get_bucket_versioning", {"Status": "Suspended"})
    answers.add_client_error("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError", http_status_code=404)
    assert store.pruner().versioned is True


def test_a_key_refused_within_a_success_is_a_failure(store: S3Store, answers: Stubber) -> None:
    answers.add_response("get_bucket_versioning", {})
    errors = [{"Key": "one", "Code": "AccessDenied", "Message": "No."}, {"Key": "two", "Code": "NoSuchKey", "Message": "Gone."}]
    answers.add_response("delete_objects", {"Errors": errors})
    pruner = store.pruner()
    assert pruner.delete(["one", "two", "three"]) == {"one": "The store answered: AccessDenied No."}
    assert pruner.batch_delete == "supported"


def test_after_one_refused_batch_no_other_is_tried(store: S3Store, answers: Stubber) -> None:
    answers.add_response("get_bucket_versioning", {})
    answers.add_client_error("delete_objects", "NotImplemented", http_status_code=501)
    pruner = store.pruner()
    for dummy in range(4):
        answers.add_response("delete_object", {})
    assert pruner.delete(["one", "two"]) == {}
    assert pruner.batch_delete == "rejected"
    assert pruner.delete(["three", "four"]) == {}


def test_more_than_a_thousand_take_two_requests(store: S3Store, answers: Stubber) -> None:
    answers.add_response("get_bucket_versioning", {})
    for _batch in range(2):
        answers.add_response("delete_objects", {})
    assert store.pruner().delete([str(number) for number in range(1001)]) == {}


def test_a_batch_that_failed_is_told_for_every_key(store: S3Store, answers: Stubber) -> None:
    answers.add_response("get_bucket_versioning", {})
    answers.add_client_error("delete_objects", "AccessDenied", http_status_code=403)
    failures = store.pruner().delete(["one", "two"])
    assert set(failures) == {"one", "two"}
    assert "does not permit this" in failures["one"]
