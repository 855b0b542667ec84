# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that no server at hand gives: what they mean for a setting, and what is sent to AWS."""

from __future__ import annotations

import typing as t

import pytest
from botocore.stub import Stubber

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import s3_bucket
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3 import S3Options, S3Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_bucket import S3Bucket

LOCATION = {"Bucket": "backups"}


def make(**options: t.Any) -> S3Bucket:
    return S3Store(S3Options("backups", access_key="a", secret_key="b", **options)).bucket()


@pytest.fixture
def bucket() -> S3Bucket:
    """A bucket of AWS."""
    return make(region="eu-central-1")


@pytest.fixture
def answers(bucket: S3Bucket) -> t.Iterator[Stubber]:
    with Stubber(bucket._client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_bucket, "_BETWEEN", 0.0)


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (501, "NotImplemented", "unsupported"),
        (405, "MethodNotAllowed", "unsupported"),
        (400, "MalformedXML", "unsupported"),
        (409, "InvalidBucketState", "unsupported"),
        (403, "AccessDenied", "not_permitted"),
    ],
)
def test_what_a_refused_setting_means(bucket: S3Bucket, answers: Stubber, status: int, code: str, meaning: str) -> None:
    answers.add_client_error("put_bucket_versioning", code, "Because.", http_status_code=status)
    answer = bucket.write("versioning", {"Status": "Enabled"})
    assert answer.status == meaning
    assert "s3:PutBucketVersioning" in answer.said
    assert f"{code} {status} Because." in answer.said


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalError"),
        (503, "SlowDown"),
        (409, "OperationAborted"),
        (400, "ExpiredToken"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (400, "KMS.DisabledException"),
        (404, "NoSuchBucket"),
    ],
)
def test_trouble_is_no_answer_about_a_setting(bucket: S3Bucket, answers: Stubber, status: int, code: str) -> None:
    for operation, call in (
        ("put_bucket_versioning", lambda: bucket.write("versioning", {"Status": "Enabled"})),
        ("get_bucket_versioning", lambda: bucket.read("versioning")),
    ):
        answers.add_client_error(operation, code, http_status_code=status)
        with pytest.raises(BackupError, match=code):
            call()


@pytest.mark.parametrize(
    ("setting", "operation", "code"),
    [
        ("public_access_block", "get_public_access_block", "NoSuchPublicAccessBlockConfiguration"),
        ("encryption", "get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("lifecycle", "get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("policy", "get_bucket_policy", "NoSuchBucketPolicy"),
        ("object_lock", "get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ],
)
def test_what_is_not_set_is_nothing(bucket: S3Bucket, answers: Stubber, setting: s3_bucket.Setting, operation: str, code: str) -> None:
    answers.add_client_error(operation, code, http_status_code=404)
    assert bucket.read(setting) == s3_bucket.Answer("ok", None)


def test_what_belongs_to_all_lifecycle_rules_is_sent_back(bucket: S3Bucket, answers: Stubber) -> None:
    rules = [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
    answers.add_response("get_bucket_lifecycle_configuration", {"Rules": rules, "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"})
    raw = bucket.read("lifecycle").raw
    expected = {**LOCATION, "LifecycleConfiguration": {"Rules": rules}, "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    answers.add_response("put_bucket_lifecycle_configuration", {}, expected)
    assert bucket.write("lifecycle", raw).status == "ok"


@pytest.mark.parametrize(
    ("setting", "operation"),
    [("lifecycle", "delete_bucket_lifecycle"), ("policy", "delete_bucket_policy"), ("encryption", "delete_bucket_encryption")],
)
def test_a_setting_is_taken_away(bucket: S3Bucket, answers: Stubber, setting: s3_bucket.Setting, operation: str) -> None:
    answers.add_response(operation, {}, LOCATION)
    assert bucket.write(setting, None).status == "ok"


def test_what_shows_late_is_waited_for_and_what_never_shows_is_not(bucket: S3Bucket, answers: Stubber) -> None:
    answers.add_response("get_bucket_versioning", {})
    answers.add_response("get_bucket_versioning", {"Status": "Enabled"})
    assert bucket.read_back("versioning", bool).raw == {"Status": "Enabled"}
    for _look in range(6):
        answers.add_response("get_bucket_versioning", {})
    assert bucket.read_back("versioning", bool).raw is None


@pytest.mark.parametrize(("constraint", "region"), [(None, "us-east-1"), ("EU", "eu-west-1"), ("eu-central-1", "eu-central-1")])
def test_where_a_bucket_of_aws_is(bucket: S3Bucket, answers: Stubber, constraint: str | None, region: str) -> None:
    answers.add_response("get_bucket_location", {"LocationConstraint": constraint} if constraint else {}, LOCATION)
    assert bucket.look() == (True, region)


@pytest.mark.parametrize(
    ("region", "constraint"),
    [("us-east-1", {}), ("eu-central-1", {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}})],
)
def test_a_bucket_is_created_where_it_is_wanted(region: str, constraint: dict[str, t.Any]) -> None:
    bucket = make(region=region)
    with Stubber(bucket._client) as answers:
        answers.add_response("create_bucket", {}, {**LOCATION, **constraint, "ObjectLockEnabledForBucket": True})
        answers.add_response("head_bucket", {"ResponseMetadata": {"HTTPStatusCode": 200}}, LOCATION)
        assert bucket.create(lock=True) is True


def test_somebody_was_faster(bucket: S3Bucket, answers: Stubber) -> None:
    answers.add_client_error("create_bucket", "BucketAlreadyOwnedByYou", http_status_code=409)
    assert bucket.create(lock=False) is False
    answers.add_client_error("create_bucket", "BucketAlreadyExists", http_status_code=409)
    with pytest.raises(BackupError, match="belongs to somebody else"):
        bucket.create(lock=False)


@pytest.mark.parametrize(
    ("endpoint_url", "secure"), [(None, True), ("https://s3.example.com", True), ("http://127.0.0.1:1", False), ("HTTP://s3.example.com", False)]
)
def test_what_is_reached_by_tls(endpoint_url: str | None, secure: bool) -> None:
    assert make(endpoint_url=endpoint_url).secure is secure
