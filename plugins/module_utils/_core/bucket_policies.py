# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Who may do what in a backup bucket: a policy for each kind of key, just what its modules call."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

Policy: t.TypeAlias = dict[str, t.Any]

_VERSION = "2012-10-17"
# They would stand for other things in a policy than in a key.
_WILD = "*?$"


def partition_of(region: str | None, endpoint_url: str | None = None) -> str:
    """Return the part of AWS that a region is in, as it stands in names of resources; other stores know the usual one, whatever they call their regions."""
    if endpoint_url and ".amazonaws.com" not in endpoint_url:
        return "aws"
    for start, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if (region or "").startswith(start):
            return partition
    return "aws"


def key_policies(bucket: str, prefix: str = "", *, partition: str = "aws", kms_key: str | None = None) -> dict[str, Policy]:
    """Return the policies by name; the tester is a restorer that may also record a restore test, the purger a pruner that may also remove versions for good.

    ``kms_key`` is the key that the bucket encrypts with. It is granted where it is a whole ARN, the only name that a policy can hold.
    """
    keys = _Keys(bucket, naming.normalize_prefix(prefix), partition)
    if any(char in keys.prefix for char in _WILD):
        raise BackupError(f"The prefix {prefix!r} holds one of {' '.join(_WILD)}, which stand for something else in a policy. Set prefix to one without them.")
    return {
        "writer": {"Version": _VERSION, "Statement": [*_writer(keys), *_encryption(kms_key, "kms:GenerateDataKey", "kms:Decrypt")]},
        "restorer": {"Version": _VERSION, "Statement": [*_restorer(keys), *_encryption(kms_key, "kms:Decrypt")]},
        "tester": {"Version": _VERSION, "Statement": [*_restorer(keys), *_recording(keys), *_encryption(kms_key, "kms:GenerateDataKey", "kms:Decrypt")]},
        "watcher": {"Version": _VERSION, "Statement": [*_watcher(keys), *_encryption(kms_key, "kms:Decrypt")]},
        "pruner": {"Version": _VERSION, "Statement": [*_pruner(keys), *_encryption(kms_key, "kms:Decrypt")]},
        "purger": {"Version": _VERSION, "Statement": [*_pruner(keys), *_purging(keys), *_encryption(kms_key, "kms:Decrypt")]},
    }


class _Keys(t.NamedTuple):
    """Names of resources in one bucket; the prefix is empty or ends with a slash."""

    bucket: str
    prefix: str
    partition: str

    @property
    def whole(self) -> str:
        return f"arn:{self.partition}:s3:::{self.bucket}"

    def below(self, *patterns: str) -> list[str]:
        """Return the objects below the prefix whose keys match a pattern."""
        return [f"{self.whole}/{self.prefix}{pattern}" for pattern in patterns]

    def listing(self, *actions: str) -> dict[str, t.Any]:
        """Return the right to list what is below the prefix; a listing names the prefix that it asks for, or more of it."""
        condition = {"Condition": {"StringLike": {"s3:prefix": [f"{self.prefix}*"]}}} if self.prefix else {}
        return {"Sid": "List", "Effect": "Allow", "Action": list(actions), "Resource": [self.whole], **condition}


_MANIFESTS = f"*{naming.MANIFEST_SUFFIX}"
_PROBES = f"{naming.PROBE_NAME}.*"
_RECORDS = f"*{naming.ARCHIVE_SUFFIX}{naming.TESTS_SUFFIX}*.json"


def _writer(keys: _Keys) -> list[dict[str, t.Any]]:
    return [
        keys.listing("s3:ListBucket"),
        _allow("SeeUnfinishedUploads", [keys.whole], "s3:ListBucketMultipartUploads"),
        _allow("Write", keys.below("*"), "s3:PutObject", "s3:AbortMultipartUpload"),
        # After a lost answer a manifest is read to see whose it is.
        _allow("ReadManifests", keys.below(_MANIFESTS), "s3:GetObject"),
        # Each run proves with an empty object what the store honours. In a bucket that keeps versions its version goes, too.
        _allow("RemoveProbes", keys.below(_PROBES), "s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion"),
    ]


def _restorer(keys: _Keys) -> list[dict[str, t.Any]]:
    return [
        keys.listing("s3:ListBucket"),
        _allow("SeeUnfinishedUploads", [keys.whole], "s3:ListBucketMultipartUploads"),
        _allow("Read", keys.below("*"), "s3:GetObject"),
    ]


def _recording(keys: _Keys) -> list[dict[str, t.Any]]:
    return [_allow("RecordTests", keys.below(_RECORDS), "s3:PutObject")]


def _watcher(keys: _Keys) -> list[dict[str, t.Any]]:
    return [
        keys.listing("s3:ListBucket"),
        _allow("SeeUnfinishedUploads", [keys.whole], "s3:ListBucketMultipartUploads"),
        _allow("ReadManifestsAndRecords", keys.below(_MANIFESTS, _RECORDS), "s3:GetObject"),
    ]


def _pruner(keys: _Keys) -> list[dict[str, t.Any]]:
    return [
        keys.listing("s3:ListBucket", "s3:ListBucketVersions"),
        _allow("SeeTheBucket", [keys.whole], "s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"),
        _allow("ReadManifestsRecordsAndJournals", keys.below(_MANIFESTS, _RECORDS, f"{naming.RESTORES}*"), "s3:GetObject"),
        _allow("SeeLocks", keys.below("*"), "s3:GetObjectRetention", "s3:GetObjectLegalHold"),
        _allow("Delete", keys.below("*"), "s3:DeleteObject", "s3:AbortMultipartUpload"),
    ]


def _purging(keys: _Keys) -> list[dict[str, t.Any]]:
    return [
        _allow("ReadHiddenManifests", keys.below(_MANIFESTS), "s3:GetObjectVersion"),
        _allow("Purge", keys.below("*"), "s3:DeleteObjectVersion"),
    ]


def _allow(sid: str, resources: list[str], *actions: str) -> dict[str, t.Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resources}


def _encryption(kms_key: str | None, *actions: str) -> list[dict[str, t.Any]]:
    whole = kms_key and kms_key.startswith("arn:") and ":key/" in kms_key
    return [_allow("UseKey", [t.cast(str, kms_key)], *actions)] if whole else []
