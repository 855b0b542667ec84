# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each key may do, read from its policy as a store would."""

from __future__ import annotations

import fnmatch
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket_policies import key_policies, partition_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

EXAMPLES = Path(__file__).resolve().parents[5] / "examples" / "policies"
ARCHIVE = "workon_2026-01-08_103000.dump"
MANIFEST = f"{ARCHIVE}.manifest.json"
PROBE = ".postgresql_backup_probe.0a1b2c3d"
JOURNAL = "restores/1.jsonl"
RECORD = f"{ARCHIVE}.tests/2026-01-09_040000_000.json"
KINDS = ("writer", "restorer", "tester", "watcher", "pruner", "purger")


def may(policy: dict[str, t.Any], action: str, key: str = "", *, bucket: str = "b") -> bool:
    resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    return any(
        action in statement["Action"] and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"]) for statement in policy["Statement"]
    )


@pytest.mark.parametrize("name", KINDS)
def test_the_files_are_what_the_module_returns(name: str) -> None:
    policies = key_policies("BUCKET", "PREFIX")
    assert set(policies) == {path.stem for path in EXAMPLES.glob("*.json")} == set(KINDS)
    assert json.loads((EXAMPLES / f"{name}.json").read_text("utf-8")) == policies[name]


@pytest.mark.parametrize(
    ("action", "key", "allowed"),
    [
        ("s3:PutObject", ARCHIVE, {"writer"}),
        ("s3:AbortMultipartUpload", ARCHIVE, {"writer", "pruner", "purger"}),
        ("s3:GetObject", ARCHIVE, {"restorer", "tester"}),
        ("s3:GetObject", MANIFEST, set(KINDS)),
        ("s3:GetObject", RECORD, {"restorer", "tester", "watcher", "pruner", "purger"}),
        ("s3:PutObject", RECORD, {"writer", "tester"}),
        ("s3:PutObject", MANIFEST, {"writer"}),
        ("s3:GetObject", JOURNAL, {"restorer", "tester", "pruner", "purger"}),
        ("s3:GetObjectVersion", MANIFEST, {"purger"}),
        ("s3:GetObjectVersion", ARCHIVE, set()),
        ("s3:DeleteObject", ARCHIVE, {"pruner", "purger"}),
        ("s3:DeleteObject", PROBE, {"writer", "pruner", "purger"}),
        ("s3:DeleteObjectVersion", ARCHIVE, {"purger"}),
        ("s3:DeleteObjectVersion", MANIFEST, {"purger"}),
        ("s3:DeleteObjectVersion", PROBE, {"writer", "purger"}),
        ("s3:BypassGovernanceRetention", ARCHIVE, set()),
        ("s3:PutObjectRetention", ARCHIVE, set()),
        ("s3:ListBucket", "", set(KINDS)),
        ("s3:PutBucketPolicy", "", set()),
        ("s3:PutLifecycleConfiguration", "", set()),
        ("s3:PutBucketVersioning", "", set()),
    ],
)
def test_who_may_do_what(action: str, key: str, allowed: set[str]) -> None:
    for prefix in ("", "nightly/db/"):
        policies = key_policies("b", prefix)
        assert {name for name, policy in policies.items() if may(policy, action, f"{prefix}{key}" if key else "")} == allowed


@pytest.mark.parametrize("name", KINDS)
def test_nothing_goes_outside_of_the_prefix_or_the_bucket(name: str) -> None:
    policy = key_policies("b", "nightly")[name]
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    for action in actions:
        for key in (ARCHIVE, f"nightly{ARCHIVE}", f"nightly-2/{ARCHIVE}", "nightly"):
            assert not may(policy, action, key)
        assert not may(policy, action, f"nightly/{ARCHIVE}", bucket="another")
    assert not any("*" in action for action in actions)
    (listing,) = [statement for statement in policy["Statement"] if "s3:ListBucket" in statement["Action"]]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["nightly/*"]}}


@pytest.mark.parametrize("prefix", ["a*", "a?/b", "${aws:username}"])
def test_a_prefix_that_means_something_else_in_a_policy_is_refused(prefix: str) -> None:
    with pytest.raises(BackupError, match="Set prefix to one without them"):
        key_policies("b", prefix)


def test_a_key_for_encryption_is_granted_where_its_whole_name_is_known() -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
    granted = {name: [s["Action"] for s in policy["Statement"] if s["Resource"] == [key]] for name, policy in key_policies("b", kms_key=key).items()}
    decrypt = [["kms:Decrypt"]]
    both = [["kms:GenerateDataKey", "kms:Decrypt"]]
    assert granted == {"writer": both, "restorer": decrypt, "tester": both, "watcher": decrypt, "pruner": decrypt, "purger": decrypt}
    assert key_policies("b", kms_key="alias/backups") == key_policies("b", kms_key=None) == key_policies("b")


@pytest.mark.parametrize(("region", "partition"), [(None, "aws"), ("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_partitions(region: str | None, partition: str) -> None:
    assert partition_of(region) == partition_of(region, f"https://s3.{region}.amazonaws.com") == partition
    assert partition_of(region, "https://s3.example.com") == "aws"
    assert key_policies("b", partition=partition)["restorer"]["Statement"][0]["Resource"] == [f"arn:{partition}:s3:::b"]
