# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Deleting in a bucket: many objects at a time, locks, and the versions that a deletion only hides."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import StoreError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.versions import HiddenVersion, ObjectLock
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_errors import code_of, is_missing, is_unsupported, status_of, translated

# S3 takes as many keys in one request.
_BATCH = 1000
# As many as the client's smallest pool of connections has.
_WORKERS = 6
_NO_LOCK = ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLegalHold", "InvalidRequest")

_Target = dict[str, str]


class S3Pruner:
    """What retention needs of a bucket."""

    def __init__(self, client: t.Any, bucket: str, prefix: str, location: str, shown_id: t.Callable[[str], str | None]) -> None:
        self._client, self._bucket, self._prefix, self._location, self._shown_id = client, bucket, prefix, location, shown_id
        self.batch_delete: t.Literal["supported", "rejected"] | None = None
        # Servers that know no newer checksum demand this one, and boto3 sends only the newer.
        client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
        self.versioned = self._read_versioning()
        self._locking = self.versioned is not False and self._read_locking()

    def backup_id(self, key: str) -> str | None:
        return self._shown_id(key)

    def lock(self, key: str, version_id: str | None = None) -> ObjectLock | None:
        if not self._locking:
            return None
        version = {"VersionId": version_id} if version_id else {}
        retention = self._read_lock(key, lambda: self._client.get_object_retention(Bucket=self._bucket, Key=key, **version).get("Retention", {}))
        hold = self._read_lock(key, lambda: self._client.get_object_legal_hold(Bucket=self._bucket, Key=key, **version).get("LegalHold", {}))
        if not retention and not hold:
            return None
        return ObjectLock(retention.get("Mode"), retention.get("RetainUntilDate"), hold.get("Status") == "ON")

    def delete(self, keys: t.Sequence[str]) -> dict[str, str]:
        return self._delete([{"Key": key} for key in keys])

    def abort(self, upload: UnfinishedUpload) -> None:
        with translated(f"abort the upload of {upload.key}", self._location):
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id)
            except Exception as error:
                if not is_missing(error):
                    raise

    def list_hidden(self, starts_with: str) -> list[HiddenVersion]:
        found: list[HiddenVersion] = []
        hidden: set[str] = set()
        more = False
        with translated("list the versions in the bucket", self._location):
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=self._prefix + starts_with)
            for page in pages:
                found += [_version(item, marker=False) for item in page.get("Versions", ())]
                found += [_version(item, marker=True) for item in page.get("DeleteMarkers", ())]
                hidden |= {item["Key"] for item in page.get("DeleteMarkers", ()) if item["IsLatest"]}
                more = page.get("IsTruncated", False)
        if more:
            raise StoreError(f"The store {self._location} broke off its listing of versions: it announced more and gave no way to ask for them.")
        return [version for version in found if version.key in hidden]

    def read_hidden(self, version: HiddenVersion) -> bytes:
        with translated(f"read a hidden version of {version.key}", self._location):
            answer = self._client.get_object(Bucket=self._bucket, Key=version.key, VersionId=version.version_id)
            return t.cast(bytes, answer["Body"].read())

    def purge(self, versions: t.Sequence[HiddenVersion]) -> dict[str, str]:
        return self._delete([{"Key": version.key, "VersionId": version.version_id} for version in versions])

    def _delete(self, targets: t.Sequence[_Target]) -> dict[str, str]:
        """Delete in batches; one by one for a single one, and where the server does not take batches."""
        failures: dict[str, str] = {}
        for start in range(0, len(targets), _BATCH):
            batch = targets[start : start + _BATCH]
            refused = None if len(targets) == 1 or self.batch_delete == "rejected" else self._delete_batch(batch)
            failures.update(self._delete_singly(batch) if refused is None else refused)
        return failures

    def _delete_batch(self, batch: t.Sequence[_Target]) -> dict[str, str] | None:
        """Delete in one request; None when the server does not take such requests, and nothing was deleted."""
        try:
            with translated("delete", self._location):
                try:
                    answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": list(batch), "Quiet": True})
                except Exception as error:
                    if not _takes_no_batches(error):
                        raise
                    self.batch_delete = "rejected"
                    return None
        except StoreError as error:
            return {target["Key"]: error.message for target in batch}
        self.batch_delete = "supported"
        # The answer to the request is 200 also when the store refused every single key.
        return {
            item["Key"]: f"The store answered: {item.get('Code', '')} {item.get('Message', '')}".strip()
            for item in answer.get("Errors", ())
            if item.get("Code") != "NoSuchKey"
        }

    def _delete_singly(self, batch: t.Sequence[_Target]) -> dict[str, str]:
        with concurrent.futures.ThreadPoolExecutor(_WORKERS) as workers:
            problems = workers.map(self._delete_one, batch)
            return {target["Key"]: problem for target, problem in zip(batch, problems, strict=True) if problem}

    def _delete_one(self, target: _Target) -> str | None:
        try:
            with translated(f"delete {target['Key']}", self._location):
                self._client.delete_object(Bucket=self._bucket, **target)
        except StoreError as error:
            return error.message
        return None

    def _read_versioning(self) -> bool | None:
        """Say whether deletions only hide. A bucket whose versioning was suspended still has the versions from before."""
        with translated("ask whether the bucket keeps versions", self._location):
            try:
                return bool(self._client.get_bucket_versioning(Bucket=self._bucket).get("Status"))
            except Exception as error:
                if is_unsupported(error):
                    return False
                if status_of(error) == 403:
                    return None
                raise

    def _read_locking(self) -> bool:
        with translated("ask whether the bucket locks objects (s3:GetBucketObjectLockConfiguration)", self._location):
            try:
                answer = self._client.get_object_lock_configuration(Bucket=self._bucket)
            except Exception as error:
                if is_unsupported(error) or code_of(error) in _NO_LOCK:
                    return False
                raise
        return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def _read_lock(self, key: str, ask: t.Callable[[], dict[str, t.Any]]) -> dict[str, t.Any]:
        with translated(f"ask whether {key} is locked (s3:GetObjectRetention, s3:GetObjectLegalHold)", self._location):
            try:
                return ask()
            except Exception as error:
                if code_of(error) in _NO_LOCK or is_missing(error):
                    return {}
                raise


def _version(item: t.Mapping[str, t.Any], *, marker: bool) -> HiddenVersion:
    return HiddenVersion(item["Key"], item["VersionId"], int(item.get("Size", 0)), item["LastModified"], marker)


def _takes_no_batches(error: BaseException) -> bool:
    """Say whether the server refused the kind of request, and not the deletion."""
    return is_unsupported(error) or status_of(error) in (400, 405, 411)


def _add_md5(params: dict[str, t.Any], **dummy: t.Any) -> None:
    params["headers"]["Content-MD5"] = base64.b64encode(hashlib.md5(params["body"], usedforsecurity=False).digest()).decode()
