# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A bucket and its settings: what a store does not know is told from what these keys may not do and from what is not set.

Two things are dangerous here. A server that does not know a setting may take its request for one about the bucket itself: rclone creates the bucket where a
policy is put, and deletes it where one is deleted. So nothing is deleted that the store has not shown before. And a policy can lock out everybody, its author
included, so it is tried on one key first.
"""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t
import uuid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket import Raw, Setting, check_new_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket_policies import partition_of
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import StoreError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_errors import code_of, is_missing, status_of, translated

# AWS shows what was set after some seconds.
_LOOKS = 6
_BETWEEN = 1.0
# Buckets that lock objects demand it.
_EMPTY_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
_NO_REGION = ("us-east-1", "aws-global", "auto", "")
_NOT_PERMITTED = ("AccessDenied", "403", "Forbidden")
_NO_SUPPORT = (400, 405, 409, 501)
# They come with the same status and say something else.
_OTHER_TROUBLE = ("OperationAborted", "ExpiredToken", "InvalidToken", "RequestTimeout", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "NoSuchBucket")
_WRONG_REGION = ("InvalidLocationConstraint", "IllegalLocationConstraintException", "InvalidRegion")


class Connection(t.Protocol):
    """How the bucket is reached."""

    @property
    def endpoint_url(self) -> str | None:
        """The address of the store; None for AWS."""

    @property
    def region(self) -> str | None:
        """The region that was asked for."""


class Probes(t.Protocol):
    """What writes and removes objects as backups do."""

    def probe_object(self) -> tuple[str, dict[str, t.Any], list[str]]:
        """Write an object, look at it and remove it: what became of the condition, the encryption shown, notes."""

    def remove_probe(self, key: str, versions: t.Sequence[str]) -> list[str]:
        """Delete a probe object with these versions; return a note where it stays."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """A store's answer about a setting; ``said`` is a sentence where the status is not ``ok``."""

    status: t.Literal["ok", "unsupported", "not_permitted"]
    raw: Raw = None
    said: str = ""


@dataclasses.dataclass(frozen=True)
class _Calls:
    """How a setting is read, written and taken away: what it is called, boto3's name of it, and the rights that S3 has for it."""

    what: str
    name: str
    field: str
    right: str


_CALLS: dict[Setting, _Calls] = {
    "public_access_block": _Calls("block of public access", "public_access_block", "PublicAccessBlockConfiguration", "BucketPublicAccessBlock"),
    "versioning": _Calls("versioning", "bucket_versioning", "VersioningConfiguration", "BucketVersioning"),
    "encryption": _Calls("default encryption", "bucket_encryption", "ServerSideEncryptionConfiguration", "EncryptionConfiguration"),
    "object_lock": _Calls("Object Lock", "object_lock_configuration", "ObjectLockConfiguration", "BucketObjectLockConfiguration"),
    "lifecycle": _Calls("lifecycle rules", "bucket_lifecycle_configuration", "LifecycleConfiguration", "LifecycleConfiguration"),
    "policy": _Calls("policy", "bucket_policy", "Policy", "BucketPolicy"),
}


class S3Bucket:
    """A bucket that may not be there yet. ``notes`` say what of the probes stays in it."""

    def __init__(self, client: t.Any, name: str, prefix: str, location: str, connection: Connection, probes: Probes) -> None:
        self.name, self.location = name, location
        self.notes: list[str] = []
        self._client, self._prefix, self._connection, self._probes = client, prefix, connection, probes

    @property
    def secure(self) -> bool:
        """Whether it is reached by TLS."""
        return not (self._connection.endpoint_url or "").lower().startswith("http://")

    @property
    def region(self) -> str:
        """The region that requests are made for."""
        return str(self._client.meta.region_name)

    @property
    def partition(self) -> str:
        """What names of resources begin with."""
        return partition_of(self.region, self._connection.endpoint_url)

    @property
    def asked_region(self) -> str | None:
        """The region that was asked for, by an option or the environment."""
        return self._connection.region

    def look(self) -> tuple[bool, str | None]:
        """Return whether the bucket is there, and its region as far as the store says it."""
        # Not HEAD: its 404 has no code, and one server answers 404 to keys that it does not know.
        try:
            with translated("ask where the bucket is (s3:GetBucketLocation)", self.location):
                answer = self._client.get_bucket_location(Bucket=self.name)
        except StoreError as error:
            if error.details.get("store_error") == "NoSuchBucket":
                return False, None
            if error.details.get("store_error") in _NOT_PERMITTED:
                tls = "" if self.secure else " Or its policy demands TLS: set endpoint_url to an https:// address."
                raise StoreError(
                    f"There is a bucket {self.name}, and it does not let these keys in. It belongs to somebody else: set bucket to another name. "
                    f"Or it is yours: grant these keys s3:GetBucketLocation and what the options ask for.{tls}",
                    **error.details,
                ) from error
            raise
        region = answer.get("LocationConstraint")
        # AWS's oldest two regions have names of their own here.
        return True, {"EU": "eu-west-1", "": None}.get(region, region) or (None if self._connection.endpoint_url else "us-east-1")

    def create(self, *, lock: bool) -> bool:
        """Create the bucket; return False where it is ours and there by now."""
        check_new_name(self.name)
        options: dict[str, t.Any] = {"ObjectLockEnabledForBucket": True} if lock else {}
        if self.region not in _NO_REGION:
            options["CreateBucketConfiguration"] = {"LocationConstraint": self.region}
        with translated("create the bucket (s3:CreateBucket)", self.location):
            try:
                self._client.create_bucket(Bucket=self.name, **options)
            except Exception as error:
                if code_of(error) == "BucketAlreadyOwnedByYou":
                    return False
                if code_of(error) == "BucketAlreadyExists":
                    raise StoreError(f"A bucket {self.name} exists already and belongs to somebody else. Set bucket to another name.") from error
                if code_of(error) in _WRONG_REGION:
                    raise StoreError(f"The store takes no bucket for the region {self.region}. Set region to one that it has, or leave it out.") from error
                raise
            self._client.get_waiter("bucket_exists").wait(Bucket=self.name)
        return True

    def read(self, setting: Setting) -> Answer:
        calls = _CALLS[setting]
        try:
            with translated(f"read the bucket's {calls.what} (s3:Get{calls.right})", self.location):
                answer = getattr(self._client, f"get_{calls.name}")(Bucket=self.name)
        except StoreError as error:
            if error.details.get("store_status") == 404 and error.details.get("store_error") not in ("NoSuchBucket", "XAdminUserNotFound"):
                return Answer("ok")
            return _not_done(error)
        answer.pop("ResponseMetadata", None)
        if setting == "policy":
            return self._read_policy(answer)
        # Versioning and lifecycle rules come without an envelope.
        return Answer("ok", answer.get(calls.field, answer) or None)

    def write(self, setting: Setting, raw: Raw) -> Answer:
        """Write a setting, or take it away where it is None; only what the store has shown may be taken away."""
        calls = _CALLS[setting]
        try:
            with translated(f"set the bucket's {calls.what} (s3:Put{calls.right})", self.location):
                if raw is None:
                    name = "bucket_lifecycle" if setting == "lifecycle" else calls.name
                    getattr(self._client, f"delete_{name}")(Bucket=self.name)
                else:
                    getattr(self._client, f"put_{calls.name}")(Bucket=self.name, **_parameters(setting, raw))
        except StoreError as error:
            return _not_done(error)
        return Answer("ok", raw)

    def read_back(self, setting: Setting, holds: t.Callable[[Raw], bool]) -> Answer:
        """Read a setting until it is as it was written, for some seconds; return what was read last."""
        answer = self.read(setting)
        for _look in range(_LOOKS - 1):
            if answer.status != "ok" or holds(answer.raw):
                break
            time.sleep(_BETWEEN)
            answer = self.read(setting)
        return answer

    def probe(self) -> dict[str, t.Any]:
        """Write an object, look at it and remove it; return the encryption that it shows."""
        _conditional, encryption, notes = self._probes.probe_object()
        self.notes += notes
        return encryption

    def trial_key(self) -> str:
        return f"{self._prefix}{naming.PROBE_NAME}.{uuid.uuid4().hex[:8]}"

    def may_look(self, key: str) -> bool:
        """Say whether these keys may look at an object, whether or not it is there."""
        with translated("look at an object that is not there", self.location):
            try:
                self._client.head_object(Bucket=self.name, Key=key)
            except Exception as error:
                if is_missing(error):
                    return True
                if status_of(error) == 403:
                    return False
                raise
        return True

    def may_write(self, key: str, *, conditional: bool) -> bool:
        """Say whether an object may be written (and remove it again), with or without the condition that there is none."""
        with translated("write a probe object", self.location):
            try:
                answer = self._client.put_object(Bucket=self.name, Key=key, Body=b"", ContentMD5=_EMPTY_MD5, **({"IfNoneMatch": "*"} if conditional else {}))
            except Exception as error:
                if status_of(error) == 403:
                    return False
                raise
        self.notes += self._probes.remove_probe(key, [answer["VersionId"]] if answer.get("VersionId") else [])
        return True

    def comes_to_refuse(self, key: str) -> bool:
        """Say whether unconditional writes are refused, now or some seconds after the policy was set."""
        for look in range(_LOOKS):
            if not self.may_write(key, conditional=False):
                return True
            if look < _LOOKS - 1:
                time.sleep(_BETWEEN)
        return False

    def _read_policy(self, answer: t.Mapping[str, t.Any]) -> Answer:
        try:
            policy = json.loads(answer["Policy"])
        except (KeyError, ValueError):
            policy = None
        if not isinstance(policy, dict):
            return Answer("unsupported", said=f"Asked for its policy, {self.location} answers something else. It does not know policies.")
        return Answer("ok", policy)


def _parameters(setting: Setting, raw: dict[str, t.Any]) -> dict[str, t.Any]:
    if setting == "policy":
        return {"Policy": json.dumps(raw)}
    if setting == "lifecycle":
        return {"LifecycleConfiguration": {"Rules": raw["Rules"]}, **{name: value for name, value in raw.items() if name != "Rules"}}
    return {_CALLS[setting].field: raw}


def _not_done(error: StoreError) -> Answer:
    """Tell what the store does not know and what these keys may not do from trouble, which is raised."""
    code, status = str(error.details.get("store_error", "")), error.details.get("store_status")
    if code in _NOT_PERMITTED:
        return Answer("not_permitted", said=error.message)
    if status in _NO_SUPPORT and code not in _OTHER_TROUBLE and not code.lower().startswith("kms"):
        return Answer("unsupported", said=error.message)
    raise error
