# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is a wish fulfilled and what is not, and that a change touches nothing of anybody else's."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket import (
    FEATURES,
    BucketOutcome,
    BucketWish,
    Feature,
    FeatureReport,
    Raw,
    bucket_result,
    check_new_name,
    check_wish,
    features_of,
    holds_trial,
    open_statements,
    region_refusal,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, RefusedError

RULE = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 5}}
STATEMENT = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::1:root"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/x"}
BLOCKS = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


def wish(**changes: t.Any) -> BucketWish:
    return BucketWish(**{"bucket": "b-1", **changes})


def feature(name: str, **changes: t.Any) -> Feature:
    (found,) = [one for one in features_of(wish(**changes)) if one.name == name]
    return found


def test_every_feature_in_its_order() -> None:
    assert tuple(one.name for one in features_of(wish())) == FEATURES


@pytest.mark.parametrize(
    ("name", "changes", "raw", "holds"),
    [
        ("public_access_block", {}, BLOCKS, True),
        ("public_access_block", {}, {**BLOCKS, "BlockPublicPolicy": False}, False),
        ("public_access_block", {}, {}, False),
        ("public_access_block", {"public_access_block": False}, None, True),
        ("versioning", {}, {"Status": "Enabled", "MFADelete": "Disabled"}, True),
        ("versioning", {}, {"Status": "Suspended"}, False),
        ("versioning", {}, None, False),
        ("versioning", {"versioning": False}, {"Status": "Suspended"}, True),
        ("encryption", {}, None, True),
        ("encryption", {"encryption": "AES256"}, None, False),
        (
            "encryption",
            {"encryption": "AES256"},
            {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]},
            True,
        ),
        ("encryption", {"encryption": "AES256"}, {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}, False),
        ("encryption", {"encryption": "AES256"}, {"Rules": [{"BucketKeyEnabled": True}]}, False),
        (
            "encryption",
            {"encryption": "aws:kms", "kms_key_id": "k"},
            {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:r:1:key/k"}}]},
            True,
        ),
        (
            "encryption",
            {"encryption": "aws:kms", "kms_key_id": "k"},
            {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "another"}}]},
            False,
        ),
        (
            "object_lock",
            {"object_lock": {"mode": "governance", "days": 3}},
            {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}},
            True,
        ),
        (
            "object_lock",
            {"object_lock": {"mode": "governance", "days": 365}},
            {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": 1}}},
            False,
        ),
        ("object_lock", {"object_lock": {"mode": "governance", "days": 3}}, {"ObjectLockEnabled": "Enabled", "Rule": {}}, False),
        ("object_lock", {}, {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}}}, True),
    ],
)
def test_when_a_setting_is_as_wished(name: str, changes: dict[str, t.Any], raw: Raw, holds: bool) -> None:
    assert feature(name, **changes).holds(raw) is holds


@pytest.mark.parametrize(
    "changes",
    [
        {"encryption": "aws:kms", "kms_key_id": "k", "object_lock": {"mode": "compliance", "days": 3}, "no_overwrite": True},
        {"encryption": "AES256", "prefix": "a/b", "object_lock": {"mode": "governance", "days": 1}, "no_overwrite": True},
    ],
)
@pytest.mark.parametrize("name", FEATURES)
def test_what_was_changed_is_as_wished(name: str, changes: dict[str, t.Any]) -> None:
    found = feature(name, **changes)
    for raw in (None, {}):
        assert found.wanted is not None
        assert not found.holds(raw)
        assert found.holds(found.changed(raw))
        assert found.shown(found.changed(raw)) == found.wanted


def test_what_else_an_encryption_says_stays() -> None:
    raw = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "old"}, "BucketKeyEnabled": True}]}
    assert feature("encryption", encryption="AES256").changed(raw) == {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]
    }


# Lifecycle rules


def test_rules_of_others_and_what_belongs_to_all_rules_stay() -> None:
    raw: Raw = {"Rules": [RULE], "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    for name in ("abort_uploads_after", "expire_noncurrent_after"):
        found = feature(name)
        before = raw
        raw = found.changed(raw)
        assert raw is not None
        assert raw["Rules"][0] == RULE
        assert raw["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
        assert found.others(raw) == found.others(before)
    assert raw is not None
    assert len(raw["Rules"]) == 3
    for name in ("abort_uploads_after", "expire_noncurrent_after"):
        raw = feature(name, **{name: 0}).changed(raw)
    assert raw == {"Rules": [RULE], "TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}


def test_a_rule_of_ours_that_somebody_changed_is_set_right() -> None:
    found = feature("expire_noncurrent_after")
    (rule,) = t.cast("dict[str, t.Any]", found.changed(None))["Rules"]
    changed = {**rule, "Filter": {"Prefix": "elsewhere/"}}
    for wrong in ({**rule, "Status": "Disabled"}, changed, {**rule, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, {**rule, "Expiration": {"Days": 1}}):
        assert not found.holds({"Rules": [wrong]})
        assert found.changed({"Rules": [wrong]}) == {"Rules": [rule]}
    # Two ways to say: all objects.
    assert found.holds({"Rules": [{**rule, "Filter": {}}]})
    assert found.holds({"Rules": [{**{name: value for name, value in rule.items() if name != "Filter"}, "Prefix": ""}]})


def test_a_rule_of_another_prefix_is_another_s() -> None:
    raw = feature("expire_noncurrent_after", prefix="a").changed(None)
    both = feature("expire_noncurrent_after", prefix="b").changed(raw)
    assert both is not None
    assert [rule["Filter"]["Prefix"] for rule in both["Rules"]] == ["a/", "b/"]


def test_without_a_rule_left_there_is_no_configuration() -> None:
    raw = feature("expire_noncurrent_after").changed(None)
    gone = feature("expire_noncurrent_after", expire_noncurrent_after=0)
    assert not gone.holds(raw)
    assert gone.changed(raw) is None
    assert gone.holds({"Rules": [RULE]})


# Statements


def test_statements_of_others_stay() -> None:
    raw: Raw = {"Version": "2008-10-17", "Id": "theirs", "Statement": STATEMENT}
    found = feature("tls_only")
    changed = found.changed(raw)
    assert changed is not None
    assert (changed["Version"], changed["Id"], changed["Statement"][0]) == ("2008-10-17", "theirs", STATEMENT)
    assert found.others(changed) == found.others(raw) != []
    assert feature("tls_only", tls_only=False).changed(changed) == {**t.cast("dict[str, t.Any]", raw), "Statement": [STATEMENT]}
    assert feature("tls_only", tls_only=False).changed(found.changed(None)) is None


def test_a_store_may_rearrange_a_statement() -> None:
    found = feature("tls_only")
    (ours,) = t.cast("dict[str, t.Any]", found.changed(None))["Statement"]
    same = {
        **ours,
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:*"],
        "Resource": list(reversed(ours["Resource"])),
        "Condition": {"Bool": {"aws:SecureTransport": [False]}},
    }
    assert found.holds({"Statement": [same]})
    for wrong in (
        {"Effect": "Allow"},
        {"Resource": ours["Resource"][:1]},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Action": ["s3:GetObject"]},
    ):
        assert not found.holds({"Statement": [{**ours, **wrong}]})


@pytest.mark.parametrize("name", ["tls_only", "no_overwrite"])
def test_a_trial_is_for_one_key_and_leaves_with_the_change(name: str) -> None:
    found = feature(name, no_overwrite=True)
    trial = found.trial({"Statement": [STATEMENT]}, "p/probe.1")
    assert trial is not None
    theirs, ours = trial["Statement"]
    assert theirs == STATEMENT
    assert ours["Resource"] == ["arn:aws:s3:::b-1/p/probe.1"]
    assert holds_trial(trial)
    assert not found.holds(trial)
    assert not holds_trial(found.changed(trial))
    assert feature(name, tls_only=False).trial(None, "x") is None


def test_no_overwrite_spares_the_parts_of_an_upload() -> None:
    (statement,) = t.cast("dict[str, t.Any]", feature("no_overwrite", no_overwrite=True, prefix="p").changed(None))["Statement"]
    assert statement["Condition"]["Bool"] == {"s3:ObjectCreationOperation": "true"}
    assert statement["Resource"] == ["arn:aws:s3:::b-1/p/*"]


def test_regions_with_resources_of_other_names() -> None:
    (statement,) = t.cast("dict[str, t.Any]", feature("tls_only", partition="aws-cn").changed(None))["Statement"]
    assert statement["Resource"] == ["arn:aws-cn:s3:::b-1", "arn:aws-cn:s3:::b-1/*"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Effect": "Allow", "Principal": "*"}, ["Theirs"]),
        ({"Effect": "Allow", "Principal": {"AWS": "*"}}, ["Theirs"]),
        ({"Effect": "Allow", "Principal": {"AWS": ["1", "*"]}, "Sid": ""}, ["number 1"]),
        ({"Effect": "Allow", "Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, []),
        ({"Effect": "Deny", "Principal": "*"}, []),
        ({"Effect": "Allow", "Principal": {"AWS": "1"}}, []),
        ({"Effect": "Allow"}, []),
    ],
)
def test_who_lets_everybody_in(statement: dict[str, t.Any], expected: list[str]) -> None:
    base = {name: value for name, value in STATEMENT.items() if name != "Principal"}
    assert open_statements({"Statement": [{**base, **statement}]}) == expected


# What is refused


@pytest.mark.parametrize("name", ["abc", "a-b", "a.b.c", "1ab", "x" * 63, "workon-backups"])
def test_a_bucket_s_name(name: str) -> None:
    check_new_name(name)


@pytest.mark.parametrize("name", ["", "ab", "x" * 64, "Abc", "a_b", "a..b", "-abc", "abc-", ".abc", "10.0.0.1", "a/b", "xn--abc", "äbc", "abc\n"])
def test_what_is_no_bucket_s_name(name: str) -> None:
    with pytest.raises(BackupError, match="is not a bucket's name"):
        check_new_name(name)


def test_an_old_bucket_may_have_a_name_that_no_new_one_gets() -> None:
    check_wish(wish(bucket="Old_Backups"))


def test_all_refusals_together() -> None:
    with pytest.raises(RefusedError) as caught:
        check_wish(
            wish(
                bucket="a/b",
                abort_uploads_after=-1,
                expire_noncurrent_after=-2,
                object_lock={"mode": "governance", "days": 0},
                kms_key_id="k",
                required=("encryption", "versioning", "no_overwrite"),
            )
        )
    assert [refusal.split()[0] for refusal in caught.value.refusals] == [
        "'a/b'",
        "abort_uploads_after",
        "expire_noncurrent_after",
        "The",
        "kms_key_id",
        "required",
        "required",
    ]
    assert "required names no_overwrite, which is not asked for." in caught.value.message


@pytest.mark.parametrize(
    ("found", "wanted", "refused"),
    [("eu-central-1", "us-east-1", True), ("eu-central-1", "eu-central-1", False), (None, "x", False), ("x", None, False), ("x", "auto", False)],
)
def test_a_bucket_does_not_move(found: str | None, wanted: str | None, refused: bool) -> None:
    assert bool(region_refusal("b", found, wanted)) is refused


# The result


def test_the_result_tells_what_is_lacking_by_how_much_it_was_wanted() -> None:
    reports = (
        FeatureReport("versioning", True, False, True, "set"),
        FeatureReport("public_access_block", True, None, None, "unsupported", "It does not."),
        FeatureReport("tls_only", True, None, None, "not_permitted", "You may not."),
        FeatureReport("no_overwrite", None, None, None, "not_wanted"),
    )
    outcome = BucketOutcome(wish(required=("tls_only",)), "us-east-1", False, reports, {}, ("A note.",))
    assert [report.name for report in outcome.failures] == ["tls_only"]
    result = bucket_result(outcome, check_mode=False)
    assert result["warnings"] == ["A note.", "public_access_block: It does not."]
    assert result["changed"] is True
    assert result["msg"] == "The bucket b-1 exists. Set: versioning. Not supported: public_access_block. Not permitted to these keys: tls_only."
    assert result["diff"]["before"].splitlines()[0] == "versioning: false"
    assert result["diff"]["after"].splitlines()[0] == "versioning: true"
    nothing = BucketOutcome(wish(), None, False, reports[1:], {})
    assert bucket_result(nothing, check_mode=False)["changed"] is False
    assert bucket_result(BucketOutcome(wish(), None, True, reports[1:], {}), check_mode=True)["changed"] is True
