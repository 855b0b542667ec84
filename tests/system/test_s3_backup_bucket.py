# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""s3_backup_bucket on real stores: what each takes, refuses and pretends, and what the keys of the policies may do and not do."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket import FEATURES
from harness.ansible_runner import AnsibleRunner, Outcome
from harness.certificates import Certificate
from harness.stores import MinIO, SeaweedFS, StoreServer
from harness.tls_proxy import TlsProxy
from system.scenes import Bucket, Database
from system.shelf import HOUR, Shelf

Run = Callable[..., dict[str, Any]]

SET, LACKS, UNWANTED = "set", "unsupported", "not_wanted"

# What a run with the defaults comes to on a new bucket. By http:// no store gets a policy that demands TLS.
DEFAULTS = {
    "MinIO": {"versioning": SET, "abort_uploads_after": LACKS, "expire_noncurrent_after": SET},
    "SeaweedFS": {"versioning": SET, "abort_uploads_after": SET, "expire_noncurrent_after": SET},
    "VersityGW": {"versioning": SET, "abort_uploads_after": LACKS, "expire_noncurrent_after": LACKS},
    "RcloneS3": {"versioning": LACKS, "abort_uploads_after": LACKS, "expire_noncurrent_after": LACKS},
}
LOCKED = ("AccessDenied", "InvalidRequest", "ObjectLocked")
FOREIGN_RULE = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 5}}


def foreign_statement(bucket: str) -> dict[str, Any]:
    return {
        "Sid": "Somebodys",
        "Effect": "Deny",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:DeleteObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/kept/*"],
    }


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def weed(certificate: Certificate) -> Iterator[SeaweedFS]:
    """A SeaweedFS that listens with TLS and without."""
    with SeaweedFS(certificate=certificate) as server:
        yield server


@pytest.fixture(params=list(DEFAULTS))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def server(kind: str, store_server: Callable[[str], StoreServer]) -> StoreServer:
    try:
        return store_server(kind)
    except RuntimeError as error:
        pytest.skip(f"{kind} cannot be had here: {error}")


@pytest.fixture
def absent() -> Callable[[StoreServer], Bucket]:
    """Return a bucket that is not there yet."""
    return lambda server: Bucket(server, f"new-{secrets.token_hex(4)}")


@pytest.fixture
def run(ansible: AnsibleRunner) -> Run:
    def run_on(bucket: Bucket, *, check: bool = False, **options: Any) -> dict[str, Any]:
        return ansible.run("s3_backup_bucket", check=check, **{**bucket.options, **options}).require_success()

    return run_on


@pytest.fixture
def refused(ansible: AnsibleRunner) -> Callable[..., Outcome]:
    def run_on(bucket: Bucket, *, check: bool = False, **options: Any) -> Outcome:
        outcome = ansible.run("s3_backup_bucket", check=check, **{**bucket.options, **options})
        assert outcome.failed, outcome.message
        assert "did not expect" not in outcome.message
        return outcome

    return run_on


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {name: feature["status"] for name, feature in result["features"].items()}


def buckets(server: StoreServer) -> set[str]:
    return {found["Name"] for found in server.client().list_buckets()["Buckets"]}


def policy_of(bucket: Bucket, **client: Any) -> list[dict[str, Any]]:
    try:
        found = json.loads(bucket.server.client(**client).get_bucket_policy(Bucket=bucket.name)["Policy"])
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchBucketPolicy"
        return []
    statements: list[dict[str, Any]] = found["Statement"]
    return statements


def rules_of(bucket: Bucket) -> list[dict[str, Any]]:
    try:
        found = bucket.server.client().get_bucket_lifecycle_configuration(Bucket=bucket.name)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration"
        return []
    rules: list[dict[str, Any]] = found["Rules"]
    return rules


def code_of(call: Callable[..., Any], **parameters: Any) -> str:
    """Return the code of the error that a call must end with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


# What stores make of it


def test_a_new_bucket_on_each_store(run: Run, absent: Callable[[StoreServer], Bucket], server: StoreServer, kind: str) -> None:
    bucket = absent(server)
    result = run(bucket)
    assert bucket.name in buckets(server)
    assert result["bucket"]["name"] == bucket.name
    assert result["bucket"]["created"] is result["changed"] is True
    expected = {"public_access_block": LACKS, "encryption": UNWANTED, "tls_only": LACKS, "no_overwrite": UNWANTED, "object_lock": UNWANTED, **DEFAULTS[kind]}
    assert statuses(result) == expected
    for name, status in expected.items():
        assert bool(result["features"][name]["detail"]) == (status == LACKS), name
    assert "http://" in result["features"]["tls_only"]["detail"]
    # What is there is asked of the store itself, past the module.
    if kind != "RcloneS3":
        assert server.client().get_bucket_versioning(Bucket=bucket.name)["Status"] == "Enabled"
    if kind in ("MinIO", "SeaweedFS"):
        days = {rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules_of(bucket) if "NoncurrentVersionExpiration" in rule}
        assert days == {30}
    assert bucket.listing() == []
    assert bucket.unfinished() == []


def test_a_second_run_changes_nothing(run: Run, absent: Callable[[StoreServer], Bucket], server: StoreServer) -> None:
    bucket = absent(server)
    first = run(bucket)
    again = run(bucket)
    assert again["changed"] is again["bucket"]["created"] is False
    assert statuses(again) == {name: "in_place" if status == SET else status for name, status in statuses(first).items()}
    assert again["diff"]["before"] == again["diff"]["after"] == first["diff"]["after"]


def test_check_mode_of_a_bucket_that_is_not_there(run: Run, absent: Callable[[StoreServer], Bucket], server: StoreServer) -> None:
    bucket = absent(server)
    result = run(bucket, check=True, encryption="AES256", object_lock={"mode": "compliance", "days": 3})
    assert bucket.name not in buckets(server)
    assert result["changed"] is result["bucket"]["created"] is True
    found = statuses(result)
    assert {name for name, status in found.items() if status == "would_set"} == set(FEATURES) - {"tls_only", "no_overwrite"}
    assert "would be created" in result["msg"]
    assert "nobody can lift" in result["features"]["object_lock"]["detail"]
    assert (result["diff"]["before"], len(result["diff"]["after"].splitlines())) == ("", len(FEATURES))


def test_check_mode_writes_nothing(run: Run, bucket: Bucket) -> None:
    result = run(bucket, check=True)
    assert statuses(result)["versioning"] == statuses(result)["expire_noncurrent_after"] == "would_set"
    assert statuses(result)["public_access_block"] == LACKS
    assert result["changed"] is True
    assert "Status" not in bucket.server.client().get_bucket_versioning(Bucket=bucket.name)
    assert rules_of(bucket) == policy_of(bucket) == []
    assert "versioning: false" in result["diff"]["before"]
    assert "versioning: true" in result["diff"]["after"]


def test_what_is_not_wanted_is_left_alone(run: Run, bucket: Bucket) -> None:
    run(bucket)
    rules = rules_of(bucket)
    assert len(rules) == 1
    nothing = {"public_access_block": False, "versioning": False, "tls_only": False, "abort_uploads_after": 0}
    result = run(bucket, **nothing)
    assert result["changed"] is False
    assert rules_of(bucket) == rules
    assert bucket.server.client().get_bucket_versioning(Bucket=bucket.name)["Status"] == "Enabled"
    # A rule of ours is another matter: it would go on deleting.
    result = run(bucket, **nothing, expire_noncurrent_after=0)
    assert statuses(result)["expire_noncurrent_after"] == "set"
    assert rules_of(bucket) == []


@pytest.mark.parametrize("kind", ["MinIO", "SeaweedFS"], indirect=True)
def test_somebody_s_lifecycle_rules_stay(run: Run, make_bucket: Callable[[StoreServer], Bucket], server: StoreServer) -> None:
    bucket = make_bucket(server)
    server.client().put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": [FOREIGN_RULE]})
    run(bucket, prefix="nightly")
    run(bucket, prefix="hourly", expire_noncurrent_after=7)
    expiring = {rule["Filter"]["Prefix"]: rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules_of(bucket) if "Noncurrent" in str(rule)}
    assert expiring == {"nightly/": 30, "hourly/": 7}
    run(bucket, prefix="nightly", expire_noncurrent_after=60)
    run(bucket, prefix="hourly", expire_noncurrent_after=0, abort_uploads_after=0)
    (theirs,) = [rule for rule in rules_of(bucket) if rule["ID"] == "logs"]
    assert theirs == FOREIGN_RULE
    expiring = {rule["Filter"]["Prefix"]: rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules_of(bucket) if "Noncurrent" in str(rule)}
    assert expiring == {"nightly/": 60}


def test_what_is_required_and_missing_fails_after_the_rest(
    refused: Callable[..., Outcome], absent: Callable[[StoreServer], Bucket], server: StoreServer, kind: str
) -> None:
    bucket = absent(server)
    outcome = refused(bucket, required=["public_access_block", "tls_only", "versioning"])
    missing = ["public_access_block", *(["versioning"] if kind == "RcloneS3" else []), "tls_only"]
    assert f"What was required is missing: {', '.join(missing)}." in outcome.message
    assert outcome.result["changed"] is True
    assert statuses(outcome.result)["versioning"] == DEFAULTS[kind]["versioning"]
    assert statuses(outcome.result)["expire_noncurrent_after"] == DEFAULTS[kind]["expire_noncurrent_after"]
    assert bucket.name in buckets(server)
    assert set(outcome.result["policies"]) == {"writer", "restorer", "tester", "watcher", "pruner", "purger"}


# Encryption


@pytest.mark.parametrize(
    ("options", "shown"),
    [({"encryption": "AES256"}, "AES256"), ({"encryption": "aws:kms", "kms_key_id": "harness"}, "aws:kms")],
    ids=["AES256", "aws:kms"],
)
def test_default_encryption(run: Run, absent: Callable[[StoreServer], Bucket], minio: MinIO, options: dict[str, str], shown: str) -> None:
    bucket = absent(minio)
    result = run(bucket, **options, required=["encryption"])
    assert statuses(result)["encryption"] == "set"
    assert bucket.server.client().put_object(Bucket=bucket.name, Key="x", Body=b"x")["ServerSideEncryption"] == shown
    assert bucket.listing() == ["x"]
    assert statuses(run(bucket, **options))["encryption"] == "in_place"


def test_a_key_that_the_store_does_not_have(refused: Callable[..., Outcome], bucket: Bucket) -> None:
    outcome = refused(bucket, encryption="aws:kms", kms_key_id="not-this-one")
    assert "Set kms_key_id to a key that it has" in outcome.message


@pytest.mark.parametrize("before", [False, True], ids=["none before", "another before"])
def test_encryption_that_stops_every_write_is_taken_back(run: Run, store_server: Callable[[str], StoreServer], make_bucket: Any, before: bool) -> None:
    """SeaweedFS without a key takes the setting and answers every object after it with 500."""
    bucket = make_bucket(store_server("SeaweedFS"))
    client = bucket.server.client()
    if before:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "somebodys"}}
        client.put_bucket_encryption(Bucket=bucket.name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    result = run(bucket, encryption="AES256")
    assert statuses(result)["encryption"] == "unsupported"
    detail = result["features"]["encryption"]["detail"]
    assert "could not write an object" in detail
    assert "taken back" in detail
    if before:
        (found,) = client.get_bucket_encryption(Bucket=bucket.name)["ServerSideEncryptionConfiguration"]["Rules"]
        assert found["ApplyServerSideEncryptionByDefault"] == rule["ApplyServerSideEncryptionByDefault"]
    else:
        assert code_of(client.get_bucket_encryption, Bucket=bucket.name) == "ServerSideEncryptionConfigurationNotFoundError"
        bucket.write("x", b"x")
        assert bucket.listing() == ["x"]


@pytest.mark.parametrize("kind", ["VersityGW", "RcloneS3"], indirect=True)
def test_encryption_that_a_store_does_not_know(run: Run, make_bucket: Any, server: StoreServer) -> None:
    bucket = make_bucket(server)
    assert statuses(run(bucket, encryption="AES256"))["encryption"] == "unsupported"
    # rclone takes a request to delete a setting for one to delete the bucket.
    assert bucket.name in buckets(server)


# Object Lock


@pytest.mark.parametrize("kind", ["MinIO", "SeaweedFS", "VersityGW"], indirect=True)
def test_a_lock_forbids_deleting(run: Run, absent: Callable[[StoreServer], Bucket], server: StoreServer) -> None:
    bucket = absent(server)
    wanted = {"mode": "governance", "days": 2}
    options: dict[str, Any] = {"object_lock": wanted, "required": ["object_lock"]}
    result = run(bucket, **options)
    assert result["features"]["object_lock"] == {"wanted": wanted, "before": None, "after": wanted, "status": "set", "detail": ""}
    client = server.client()
    version = client.put_object(Bucket=bucket.name, Key="x", Body=b"x", ContentMD5="ndTkYSaMgDT1yFZOFVxnpg==")["VersionId"]
    assert code_of(client.delete_object, Bucket=bucket.name, Key="x", VersionId=version) in LOCKED
    client.delete_object(Bucket=bucket.name, Key="x")
    assert client.get_object(Bucket=bucket.name, Key="x", VersionId=version)["Body"].read() == b"x"
    assert run(bucket, **options)["changed"] is False
    longer = run(bucket, object_lock={**wanted, "days": 3})
    assert longer["features"]["object_lock"]["before"] == wanted
    assert client.get_object_lock_configuration(Bucket=bucket.name)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Days"] == 3


def test_a_lock_on_a_bucket_without_one(run: Run, make_bucket: Any, server: StoreServer, kind: str) -> None:
    bucket = make_bucket(server)
    lock = {"object_lock": {"mode": "governance", "days": 1}}
    assert "Many stores" in run(bucket, check=True, **lock)["features"]["object_lock"]["detail"]
    feature = run(bucket, **lock)["features"]["object_lock"]
    # Two take it afterwards, too, as AWS does.
    assert feature["status"] == ("set" if kind in ("SeaweedFS", "VersityGW") else "unsupported")
    assert ("409" in feature["detail"]) == (kind in ("MinIO", "RcloneS3"))


@pytest.mark.parametrize("kind", ["MinIO", "SeaweedFS", "VersityGW"], indirect=True)
def test_a_backup_into_a_locked_bucket(ansible: AnsibleRunner, run: Run, absent: Any, server: StoreServer, database: Database) -> None:
    bucket = absent(server)
    made = run(bucket, object_lock={"mode": "governance", "days": 1})
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    keys = server.temporary_keys(made["policies"]["writer"]) if isinstance(server, MinIO) else {}
    result = ansible.run("pg_backup", **database.options(), **{**bucket.options, **keys}).require_success()
    assert bucket.listing() == [result["backup"]["key"], f"{result['backup']['key']}.manifest.json"]
    (note,) = result["store"]["notes"]
    assert "is only hidden" in note
    # Whoever deletes the archive hides it.
    client = server.client()
    version = next(each for each in client.list_object_versions(Bucket=bucket.name)["Versions"] if each["Key"] == result["backup"]["key"])
    assert code_of(client.delete_object, Bucket=bucket.name, Key=version["Key"], VersionId=version["VersionId"]) in LOCKED


# The bucket's policy


def over_tls(bucket: Bucket, certificate: Certificate) -> dict[str, Any]:
    assert isinstance(bucket.server, SeaweedFS)
    return {"endpoint_url": bucket.server.tls_url, "ca_bundle": str(certificate.path)}


def test_without_tls_nothing_goes_any_more(run: Run, refused: Callable[..., Outcome], absent: Any, weed: SeaweedFS, certificate: Certificate) -> None:
    bucket = absent(weed)
    secure = over_tls(bucket, certificate)
    result = run(bucket, **secure, required=["tls_only"])
    assert statuses(result)["tls_only"] == "set"
    plain, sealed = weed.client(), weed.client(endpoint_url=weed.tls_url, ca_bundle=certificate.path)
    assert code_of(plain.list_objects_v2, Bucket=bucket.name) == "AccessDenied"
    assert code_of(plain.put_object, Bucket=bucket.name, Key="x", Body=b"x") == "AccessDenied"
    sealed.put_object(Bucket=bucket.name, Key="x", Body=b"x")
    assert [item["Key"] for item in sealed.list_objects_v2(Bucket=bucket.name)["Contents"]] == ["x"]
    assert "Or its policy demands TLS" in refused(bucket).message
    (statement,) = policy_of(bucket, endpoint_url=weed.tls_url, ca_bundle=certificate.path)
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert run(bucket, **secure)["changed"] is False
    taken = run(bucket, **secure, tls_only=False)
    assert statuses(taken)["tls_only"] == "set"
    assert policy_of(bucket) == []


def test_somebody_s_statements_stay(run: Run, make_bucket: Any, weed: SeaweedFS, certificate: Certificate) -> None:
    bucket = make_bucket(weed)
    secure = over_tls(bucket, certificate)
    theirs = foreign_statement(bucket.name)
    weed.client().put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [theirs]}))
    run(bucket, **secure)
    sids = {statement["Sid"] for statement in policy_of(bucket, endpoint_url=weed.tls_url, ca_bundle=certificate.path)}
    assert sids == {"Somebodys", "WorkonPostgresqlBackupTlsOnly"}
    run(bucket, **secure, tls_only=False)
    (left,) = policy_of(bucket)
    assert {**left, "Action": [left["Action"]], "Resource": [left["Resource"]]} == theirs or left == theirs


def test_by_http_a_policy_that_demands_tls_is_not_set(run: Run, make_bucket: Any, weed: SeaweedFS) -> None:
    """It would lock out everybody who comes as we did: the owner could not even take it away again."""
    bucket = make_bucket(weed)
    result = run(bucket)
    assert statuses(result)["tls_only"] == "unsupported"
    assert policy_of(bucket) == []


def test_behind_a_proxy_that_ends_tls_nobody_is_locked_out(run: Run, make_bucket: Any, weed: SeaweedFS, certificate: Certificate) -> None:
    """We come by TLS, and to the store it looks as if we did not."""
    bucket = make_bucket(weed)
    theirs = {"Version": "2012-10-17", "Statement": [foreign_statement(bucket.name)]}
    weed.client().put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(theirs))
    before = policy_of(bucket)
    with TlsProxy(weed.endpoint_url, certificate) as proxy:
        result = run(bucket, endpoint_url=proxy.endpoint_url, ca_bundle=str(certificate.path))
    assert statuses(result)["tls_only"] == "unsupported"
    assert "a proxy may end it" in result["features"]["tls_only"]["detail"]
    assert policy_of(bucket) == before
    weed.client().put_object(Bucket=bucket.name, Key="x", Body=b"x")


def test_a_condition_that_a_store_does_not_know_stops_no_backup(run: Run, make_bucket: Any, server: StoreServer, kind: str) -> None:
    """MinIO and versitygw refuse the statement; SeaweedFS takes it and does not obey it."""
    bucket = make_bucket(server)
    feature = run(bucket, no_overwrite=True)["features"]["no_overwrite"]
    assert feature["status"] == "unsupported"
    assert {"SeaweedFS": "does not obey it", "RcloneS3": "does not know policies"}.get(kind, "MalformedPolicy") in feature["detail"]
    if kind != "RcloneS3":
        assert policy_of(bucket) == []
    server.client().put_object(Bucket=bucket.name, Key="x", Body=b"x")
    assert bucket.listing() == ["x"]


def test_a_policy_that_lets_everybody_in_is_warned_about(ansible: AnsibleRunner, bucket: Bucket) -> None:
    statement = {"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket.name}/*"}
    bucket.server.client().put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    outcome = ansible.run("s3_backup_bucket", check=True, **bucket.options)
    outcome.require_success()
    assert "lets everybody in (Open)" in outcome.output


# What is refused


@pytest.mark.parametrize("name", ["Bad_Name", "10.0.0.1", "-begins", "two..dots", "x" * 64])
def test_a_name_that_no_bucket_can_have(refused: Callable[..., Outcome], minio: MinIO, name: str) -> None:
    assert "is not a bucket's name" in refused(Bucket(minio, name)).message
    assert "is not a bucket's name" in refused(Bucket(minio, name), check=True).message


def test_another_region(refused: Callable[..., Outcome], bucket: Bucket, absent: Callable[[StoreServer], Bucket]) -> None:
    assert "Set region" in refused(bucket, region="eu-central-1").message
    assert "Set region" in refused(absent(bucket.server), region="eu-central-1").message


@pytest.mark.parametrize("which", ["access_key", "secret_key"])
def test_wrong_keys(refused: Callable[..., Outcome], absent: Callable[[StoreServer], Bucket], server: StoreServer, which: str) -> None:
    """versitygw calls an unknown access key a 404, which elsewhere means a missing bucket."""
    bucket = absent(server)
    for check in (True, False):
        assert "Set access_key and secret_key" in refused(bucket, check=check, **{which: "not-this-one"}).message
    assert bucket.name not in buckets(server)


def test_a_bucket_of_somebody_else(refused: Callable[..., Outcome], bucket: Bucket, minio: MinIO) -> None:
    """To keys without any right in it, a bucket is somebody else's."""
    nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::another", "arn:aws:s3:::another/*"]}]}
    outcome = refused(Bucket(minio, bucket.name), **minio.temporary_keys(nothing))
    assert "belongs to somebody else" in outcome.message


def test_a_right_that_is_missing_is_reported_and_not_the_end(ansible: AnsibleRunner, bucket: Bucket, minio: MinIO) -> None:
    rights = ["s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration", "s3:GetBucketPolicy"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": rights, "Resource": [f"arn:aws:s3:::{bucket.name}"]}]}
    options = {**bucket.options, **minio.temporary_keys(policy)}
    result = ansible.run("s3_backup_bucket", **options).require_success()
    assert statuses(result)["versioning"] == "not_permitted"
    assert "s3:PutBucketVersioning" in result["features"]["versioning"]["detail"]
    assert statuses(result)["expire_noncurrent_after"] == "set"
    outcome = ansible.run("s3_backup_bucket", **options, required=["versioning"])
    assert outcome.failed
    assert "What was required is missing: versioning." in outcome.message


# The keys


PREFIXES = pytest.mark.parametrize("prefix", ["", "nightly/db"])


def keys_for(made: dict[str, Any], minio: MinIO, bucket: Bucket, who: str, prefix: str) -> tuple[dict[str, Any], Any]:
    """Return the options of a store reached with one of the keys, and a client with them."""
    keys = minio.temporary_keys(made["policies"][who])
    return {**bucket.options, **keys, "prefix": prefix}, minio.client(**keys)


@PREFIXES
def test_the_writer_s_key_backs_up_and_deletes_nothing(ansible: AnsibleRunner, run: Run, absent: Any, minio: MinIO, database: Database, prefix: str) -> None:
    bucket = absent(minio)
    options, client = keys_for(run(bucket, prefix=prefix), minio, bucket, "writer", prefix)
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS a")
    result = ansible.run("pg_backup", **database.options(), **options).require_success()
    key = result["backup"]["key"]
    assert bucket.listing() == [key, f"{key}.manifest.json"]
    assert bucket.unfinished() == []
    assert result["store"]["notes"] == []
    # No version of a probe stays either.
    versions = minio.client().list_object_versions(Bucket=bucket.name)
    assert "DeleteMarkers" not in versions
    assert len(versions["Versions"]) == 2
    (listed,) = ansible.run("pg_backup_info", **options).require_success()["backups"]
    assert listed["valid"] is True
    for one in (key, f"{key}.manifest.json"):
        version = next(each["VersionId"] for each in versions["Versions"] if each["Key"] == one)
        assert code_of(client.delete_object, Bucket=bucket.name, Key=one) == "AccessDenied"
        assert code_of(client.delete_object, Bucket=bucket.name, Key=one, VersionId=version) == "AccessDenied"
    assert code_of(client.get_object, Bucket=bucket.name, Key=key) == "AccessDenied"
    assert code_of(client.put_bucket_versioning, Bucket=bucket.name, VersioningConfiguration={"Status": "Suspended"}) == "AccessDenied"
    if prefix:
        assert code_of(client.put_object, Bucket=bucket.name, Key="elsewhere", Body=b"") == "AccessDenied"
        assert code_of(client.list_objects_v2, Bucket=bucket.name) == "AccessDenied"
    assert len(bucket.listing()) == 2


@PREFIXES
def test_the_restorer_s_key_restores_and_writes_nothing(
    ansible: AnsibleRunner, run: Run, absent: Any, minio: MinIO, database: Database, make_database: Any, prefix: str
) -> None:
    bucket = absent(minio)
    options, client = keys_for(run(bucket, prefix=prefix), minio, bucket, "restorer", prefix)
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS a")
    backup = ansible.run("pg_backup", **database.options(), **bucket.options, prefix=prefix).require_success()["backup"]
    before = bucket.listing()
    target = make_database(database.server)
    target.drop()
    result = ansible.run("pg_restore_safe", **target.options(), **options, name=backup["name"], environment="staging").require_success()
    assert target.value("SELECT count(*) FROM t") == 10
    assert result["changed"] is True
    assert bucket.listing() == before
    assert code_of(client.put_object, Bucket=bucket.name, Key=f"{prefix}/x", Body=b"") == "AccessDenied"
    assert code_of(client.create_multipart_upload, Bucket=bucket.name, Key=f"{prefix}/x") == "AccessDenied"
    assert code_of(client.delete_object, Bucket=bucket.name, Key=backup["key"]) == "AccessDenied"
    if prefix:
        bucket.write("elsewhere", b"x")
        assert code_of(client.get_object, Bucket=bucket.name, Key="elsewhere") == "AccessDenied"


@PREFIXES
def test_the_tester_s_key_records_and_the_watcher_s_reads_what_it_has_recorded(
    ansible: AnsibleRunner, run: Run, absent: Any, minio: MinIO, database: Database, prefix: str
) -> None:
    bucket = absent(minio)
    made = run(bucket, prefix=prefix)
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 10) AS a")
    backup = ansible.run("pg_backup", **database.options(), **bucket.options, prefix=prefix).require_success()["backup"]
    options, client = keys_for(made, minio, bucket, "tester", prefix)
    tested = ansible.run("pg_restore_test", **database.options(), **options, name=backup["name"], environment="production", allow_production=True)
    record = tested.require_success()["record"]
    assert record in bucket.listing()
    for key in (backup["key"], f"{backup['key']}.manifest.json", f"{backup['key']}.tests.json"):
        assert code_of(client.put_object, Bucket=bucket.name, Key=key, Body=b"") == "AccessDenied"
    for key in (backup["key"], record):
        assert code_of(client.delete_object, Bucket=bucket.name, Key=key) == "AccessDenied"

    options, client = keys_for(made, minio, bucket, "watcher", prefix)
    (listed,) = ansible.run("pg_backup_info", **options).require_success()["backups"]
    assert listed["valid"] is True
    assert client.get_object(Bucket=bucket.name, Key=record)["ContentLength"] > 0
    assert code_of(client.get_object, Bucket=bucket.name, Key=backup["key"]) == "AccessDenied"
    assert code_of(client.put_object, Bucket=bucket.name, Key=record, Body=b"") == "AccessDenied"


@PREFIXES
def test_the_watcher_s_key_judges_and_reports_and_reads_no_archive(
    ansible: AnsibleRunner, run: Run, absent: Any, minio: MinIO, prefix: str, tmp_path: Path
) -> None:
    bucket = absent(minio)
    options, client = keys_for(run(bucket, prefix=prefix), minio, bucket, "watcher", prefix)
    shelf = Shelf(bucket, prefix=f"{prefix}/" if prefix else "")
    key = shelf.put(HOUR)
    shelf.record(key, HOUR)
    judged = ansible.run("pg_backup_health", **options, name="app", max_restore_test_age="1d").require_success()
    assert (judged["verdict"], judged["reasons"]) == ("ok", [])
    bucket.write(f"{shelf.prefix}restores/1.jsonl", b"{}\n")
    page = tmp_path / "backups.html"
    assert ansible.run("pg_backup_report", **options, path=str(page), keep_last=1).require_success()["verdict"] == "ok"
    assert "Not sure" in page.read_text()
    before = bucket.listing()
    assert code_of(client.get_object, Bucket=bucket.name, Key=key) == "AccessDenied"
    assert code_of(client.put_object, Bucket=bucket.name, Key=f"{shelf.prefix}x", Body=b"") == "AccessDenied"
    for one in before:
        assert code_of(client.delete_object, Bucket=bucket.name, Key=one) == "AccessDenied"
    assert bucket.listing() == before


@PREFIXES
def test_the_pruner_s_key_lets_go_and_reads_no_archive(ansible: AnsibleRunner, run: Run, absent: Any, minio: MinIO, prefix: str) -> None:
    bucket = absent(minio)
    made = run(bucket, prefix=prefix, object_lock={"mode": "governance", "days": 1})
    minio.client().put_object_lock_configuration(Bucket=bucket.name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    shelf = Shelf(bucket, prefix=f"{prefix}/" if prefix else "")
    keys = [shelf.put(hours * HOUR) for hours in range(5)]
    bucket.write(f"{shelf.prefix}restores/1.jsonl", b"{}\n")
    minio.client().create_multipart_upload(Bucket=bucket.name, Key=shelf.key(3 * HOUR))
    options, client = keys_for(made, minio, bucket, "pruner", prefix)
    shelf.record(keys[0])
    policy = {"name": "app", "keep_last": 3, "require_restore_test": "35d"}
    result = ansible.run("s3_retention", **options, **policy).require_success()
    assert {key for key in result["deleted"] if key.endswith(".dump")} == set(keys[3:])
    assert result["permanently"] is False
    assert code_of(client.get_object, Bucket=bucket.name, Key=keys[0]) == "AccessDenied"
    assert code_of(client.put_object, Bucket=bucket.name, Key=keys[0], Body=b"") == "AccessDenied"
    if prefix:
        assert code_of(client.delete_object, Bucket=bucket.name, Key="elsewhere") == "AccessDenied"
    # Removing for good is another right.
    version = next(each for each in minio.client().list_object_versions(Bucket=bucket.name)["Versions"] if each["Key"] == keys[4])
    assert code_of(client.delete_object, Bucket=bucket.name, Key=keys[4], VersionId=version["VersionId"]) == "AccessDenied"
    outcome = ansible.run("s3_retention", **options, **policy, purge_versions=True)
    assert outcome.failed
    purger, client = keys_for(made, minio, bucket, "purger", prefix)
    purged = ansible.run("s3_retention", **purger, **policy, purge_versions=True).require_success()["purged"]
    assert {key for key in purged if key.endswith(".dump")} == set(keys[3:])
    assert code_of(client.get_object, Bucket=bucket.name, Key=keys[0]) == "AccessDenied"
