# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A bucket of S3 or of a server that speaks its language, through boto3.

Servers differ in what they honour, so nothing is trusted that was not read back. Objects are sent by our own multipart loop: boto3's
``upload_fileobj`` publishes what it has when its source ends early, and an archive that ends early must never be visible.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import email.utils
import hashlib
import io
import queue
import typing as t
import urllib.parse
import uuid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import StoredObject, UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import MAXIMUM_PARTS, human_size, largest_archive
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.dependencies import require_boto3
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_bucket import S3Bucket
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_errors import (
    code_of,
    is_missing,
    is_precondition,
    is_unsupported,
    translated,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_pruning import S3Pruner
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import StoreFacts

_LARGEST_SMALL_OBJECT = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_BACKUP_ID = "backup-id"
# What servers answer to whoever would remove a locked version; AWS says 403 as for keys without the right.
_KEPT_BY_A_LOCK = (400, 403, 409)


@dataclasses.dataclass(frozen=True)
class S3Options:
    """How to reach and use a bucket, in the words of the modules' options."""

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = dataclasses.field(default=None, repr=False)
    secret_key: str | None = dataclasses.field(default=None, repr=False)
    session_token: str | None = dataclasses.field(default=None, repr=False)
    profile: str | None = None
    validate_certs: bool = True
    ca_bundle: str | None = None
    addressing_style: str = "auto"
    checksum_mode: str = "auto"
    storage_class: str | None = None
    server_side_encryption: str | None = None
    kms_key_id: str | None = None
    max_concurrency: int = 4

    def write_parameters(self) -> dict[str, str]:
        """Return what every written object asks for; a header that was not asked for is never sent, because some stores reject it."""
        wanted = {
            "StorageClass": self.storage_class,
            "ServerSideEncryption": self.server_side_encryption,
            "SSEKMSKeyId": self.kms_key_id,
        }
        return {name: value for name, value in wanted.items() if value}


class S3Store:
    """One prefix of one bucket."""

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self.prefix = naming.normalize_prefix(options.prefix)
        self.location = f"s3://{options.bucket}/{self.prefix}" + (f" at {options.endpoint_url}" if options.endpoint_url else "")
        self._client = _make_client(options, self.location)
        self._conditional = True

    def address(self, key: str) -> str:
        return f"s3://{self._options.bucket}/{key}"

    def probe(self, key: str, *, write: bool) -> StoreFacts:
        with translated("list the bucket", self.location):
            answer = self._client.list_objects_v2(Bucket=self._options.bucket, Prefix=key, MaxKeys=1)
        skew = _clock_skew(answer)
        if not write:
            return StoreFacts("s3", self.location, False, "supported", skew, None)
        self._probe_upload(key)
        conditional, encryption, notes = self.probe_object()
        self._conditional = conditional != "rejected"
        self._require_encryption(encryption, "a probe object")
        if conditional != "supported":
            notes.append(
                f"The store {'ignores' if conditional == 'ignored' else 'rejects'} If-None-Match, "
                "so two writers of the same second could still meet on one key."
            )
        return StoreFacts("s3", self.location, True, conditional, skew, encryption["server_side"], tuple(notes))

    def exists(self, key: str) -> bool:
        return self._listed_size(key) is not None

    def list_objects(self, starts_with: str = "", *, deep: bool = False) -> list[StoredObject]:
        found: list[StoredObject] = []
        delimiter = {} if deep else {"Delimiter": "/"}
        more = False
        with translated("list the bucket", self.location):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._options.bucket, Prefix=self.prefix + starts_with, **delimiter)
            for page in pages:
                found += [StoredObject(item["Key"], int(item["Size"]), item["LastModified"]) for item in page.get("Contents", ())]
                more = page.get("IsTruncated", False)
        if more:
            # boto3 ends quietly where a server does not say how to go on.
            raise StoreError(f"The store {self.location} broke off its listing: it announced more objects and gave no way to ask for them.")
        return found

    def list_unfinished(self, starts_with: str = "") -> list[UnfinishedUpload]:
        wanted = self.prefix + starts_with
        found = self._list_uploads(wanted)
        if not found and wanted:
            # MinIO takes the prefix for a whole key and finds nothing; where listing all of them is not permitted, the first answer has to do.
            try:
                found = [upload for upload in self._list_uploads("") if upload.key.startswith(wanted)]
            except StoreError as error:
                if error.details.get("store_status") != 403:
                    raise
        return found

    def _list_uploads(self, prefix: str) -> list[UnfinishedUpload]:
        found: list[UnfinishedUpload] = []
        with translated("list unfinished uploads", self.location):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._options.bucket, Prefix=prefix)
            try:
                for page in pages:
                    found += [UnfinishedUpload(item["Key"], item["UploadId"], item.get("Initiated")) for item in page.get("Uploads", ())]
            except Exception as error:
                # rclone's way to say that there is none.
                if code_of(error) != "NoSuchUpload":
                    raise
        return found

    def read(self, key: str) -> bytes:
        content = b""
        for chunk in self.stream(key):
            content += chunk
            if len(content) > _LARGEST_SMALL_OBJECT:
                raise StoreError(f"{self.address(key)} is larger than {human_size(_LARGEST_SMALL_OBJECT)}, so it is not what its name says.")
        return content

    def stream(self, key: str) -> t.Iterator[bytes]:
        with translated(f"read {key}", self.location):
            body = self._client.get_object(Bucket=self._options.bucket, Key=key)["Body"]
            yield from body.iter_chunks(_CHUNK)

    def put(self, key: str, content: bytes, content_type: str) -> None:
        self._refuse_existing(key)
        with translated(f"write {key}", self.location):
            try:
                self._put(key, content, content_type)
            except Exception as error:
                # A lost answer is retried below us, and the retry then meets our own object.
                if not (is_precondition(error) and self.read(key) == content):
                    raise
        if self._listed_size(key) != len(content):
            raise VerificationError(f"{self.address(key)} was written but the store does not show it with its {len(content)} bytes.")
        self._require_encryption(_encryption(self._permitted_head(key) or {}), key)

    def start_upload(self, key: str, part_size: int, metadata: t.Mapping[str, str]) -> S3Upload:
        self._refuse_existing(key)
        return S3Upload(self, self._client, self._options, key, part_size, metadata)

    def delete(self, key: str) -> None:
        with translated(f"delete {key}", self.location):
            self._client.delete_object(Bucket=self._options.bucket, Key=key)

    def pruner(self) -> S3Pruner:
        return S3Pruner(self._client, self._options.bucket, self.prefix, self.location, self.shown_id)

    def bucket(self) -> S3Bucket:
        place = f"s3://{self._options.bucket}" + (f" at {self._options.endpoint_url}" if self._options.endpoint_url else "")
        return S3Bucket(self._client, self._options.bucket, self.prefix, place, self._options, self)

    # What uploads of this store need

    def condition(self) -> dict[str, str]:
        """Return the parameter that forbids overwriting, unless this store rejects it."""
        return {"IfNoneMatch": "*"} if self._conditional else {}

    def shown_id(self, key: str) -> str | None:
        """Return the id of the backup that an object says it belongs to."""
        return t.cast("str | None", (self._permitted_head(key) or {}).get("Metadata", {}).get(_BACKUP_ID))

    def prove(self, key: str, size: int, backup_id: str | None, *, by_id: bool = False) -> dict[str, t.Any]:
        """Check that the object is there as sent; return what the store shows of its encryption.

        Keys that may write but not read get 403 from HEAD; then the listing proves the size, unless encryption was asked for.
        Some servers (rclone) forget the metadata of objects sent in parts; ``by_id`` says that an object without our id is not enough.
        """
        head = self._permitted_head(key)
        if head is None:
            shown = self._listed_size(key)
            ours = shown == size
        else:
            shown = int(head["ContentLength"]) if head else None
            ours = shown == size and head.get("Metadata", {}).get(_BACKUP_ID) in ((backup_id,) if by_id else (backup_id, None))
        if not ours:
            found = "nothing" if shown is None else f"{shown} bytes"
            raise VerificationError(f"{self.address(key)} was uploaded with {size} bytes, but the store shows {found} of ours there. Nothing was published.")
        encryption = _encryption(head or {})
        self._require_encryption(encryption, key)
        return encryption

    def _refuse_existing(self, key: str) -> None:
        if self._listed_size(key) is not None:
            raise StoreError(f"The key {self.address(key)} exists already, and a backup is never overwritten. Run again in a second, or set another name.")

    def _listed_size(self, key: str) -> int | None:
        """Return an object's size from the listing: a writer's keys may list but need not be able to read."""
        with translated(f"look for {key}", self.location):
            answer = self._client.list_objects_v2(Bucket=self._options.bucket, Prefix=key, MaxKeys=1)
        found = [item for item in answer.get("Contents", ()) if item["Key"] == key]
        return int(found[0]["Size"]) if found else None

    def _head(self, key: str) -> dict[str, t.Any] | None:
        with translated(f"look at {key}", self.location):
            try:
                return t.cast("dict[str, t.Any]", self._client.head_object(Bucket=self._options.bucket, Key=key))
            except Exception as error:
                if is_missing(error):
                    return None
                raise

    def _put(self, key: str, content: bytes, content_type: str) -> list[str]:
        """Write an object; return its version in a bucket that keeps versions."""
        answer = self._client.put_object(
            Bucket=self._options.bucket,
            Key=key,
            Body=content,
            ContentType=content_type,
            ContentMD5=_md5(content),
            **self.condition(),
            **self._options.write_parameters(),
        )
        return [answer["VersionId"]] if answer.get("VersionId") else []

    def remove_probe(self, key: str, versions: t.Sequence[str]) -> list[str]:
        """Delete a probe object; return a note where it stays.

        In a bucket that keeps versions those that we wrote go, so that probing does not pile them up; where a lock keeps them they are hidden.
        """
        try:
            for version in versions:
                with translated(f"delete {key}", self.location):
                    self._client.delete_object(Bucket=self._options.bucket, Key=key, VersionId=version)
            if not versions:
                self.delete(key)
        except StoreError as error:
            if not versions or error.details.get("store_status") not in _KEPT_BY_A_LOCK:
                return self._not_removed(key, error)
            try:
                self.delete(key)
            except StoreError as second:
                return self._not_removed(key, second)
            return [f"Versions may not be removed (a lock, or a right that is missing), so the probe object {self.address(key)} (0 bytes) is only hidden."]
        return []

    def _not_removed(self, key: str, error: StoreError) -> list[str]:
        if error.details.get("store_status") != 403:
            raise error
        return [f"The keys may not delete, so the probe object {self.address(key)} (0 bytes) stays."]

    def _probe_upload(self, key: str) -> None:
        """Prove with the real key that an upload can be begun and thrown away; nothing of it is ever visible."""
        with translated("begin an upload", self.location):
            upload = self._client.create_multipart_upload(Bucket=self._options.bucket, Key=key, **self._options.write_parameters())
        with translated("abort an upload", self.location):
            self._client.abort_multipart_upload(Bucket=self._options.bucket, Key=key, UploadId=upload["UploadId"])

    def probe_object(self) -> tuple[t.Literal["supported", "ignored", "rejected"], dict[str, t.Any], list[str]]:
        """Write a probe object twice, look at it and remove it: what became of the condition, the encryption shown, notes."""
        key = f"{self.prefix}{naming.PROBE_NAME}.{uuid.uuid4().hex[:8]}"
        conditional: t.Literal["supported", "ignored", "rejected"] = "ignored"
        versions: list[str] = []
        with translated("write a probe object", self.location):
            for _attempt in range(2):
                try:
                    versions += self._put(key, b"", "application/octet-stream")
                except Exception as error:
                    if is_precondition(error):
                        conditional = "supported"
                    elif self._conditional and is_unsupported(error) and not self._options.write_parameters():
                        conditional = "rejected"
                        self._conditional = False
                    else:
                        raise
        encryption = _encryption(self._permitted_head(key) or {})
        return conditional, encryption, self.remove_probe(key, versions)

    def _permitted_head(self, key: str) -> dict[str, t.Any] | None:
        """Return what HEAD shows (empty: no object), or None where these keys may not look and no encryption has to be seen."""
        try:
            return self._head(key) or {}
        except StoreError as error:
            if error.details.get("store_status") == 403 and not self._options.server_side_encryption:
                return None
            raise

    def _require_encryption(self, found: dict[str, t.Any], what: str) -> None:
        wanted, key_id = self._options.server_side_encryption, self._options.kms_key_id
        if not wanted:
            return
        if found.get("server_side") != wanted or (key_id and not str(found.get("kms_key_id") or "").endswith(key_id)):
            raise VerificationError(
                f"server_side_encryption is {wanted}, but the store {self.location} shows {found.get('server_side') or 'no encryption'} for {what}. "
                "Encryption that cannot be seen counts as none. Leave server_side_encryption out, or use a store that does it."
            )


class S3Part:
    """A part's buffer: a BytesIO of fixed size filled in place, so that sending it copies nothing."""

    def __init__(self, size: int) -> None:
        self.body = io.BytesIO(bytes(size))
        self.view = self.body.getbuffer()

    def __del__(self) -> None:
        # A buffer that goes while its view is open has Python complain on stderr.
        with contextlib.suppress(BufferError):
            self.view.release()


class S3Upload:
    """A multipart upload with a fixed number of buffers: a slow store holds the sender back instead of filling memory."""

    def __init__(self, store: S3Store, client: t.Any, options: S3Options, key: str, part_size: int, metadata: t.Mapping[str, str]) -> None:
        self.part_size = part_size
        self._store, self._client, self._options, self._key = store, client, options, key
        self._backup_id = metadata.get(_BACKUP_ID)
        self._parts: list[concurrent.futures.Future[str]] = []
        self._size = 0
        self._failure: BaseException | None = None
        with translated(f"begin the upload of {key}", store.location):
            self._upload_id = client.create_multipart_upload(
                Bucket=options.bucket, Key=key, ContentType="application/octet-stream", Metadata=dict(metadata), **options.write_parameters()
            )["UploadId"]
        self._workers = concurrent.futures.ThreadPoolExecutor(options.max_concurrency, thread_name_prefix="upload")
        self._made = 0
        self._cancelled = False
        self._abort_sent = False
        for operation in ("UploadPart", "AbortMultipartUpload"):
            client.meta.events.register(f"before-send.s3.{operation}", self._refuse_another_try)
        self._free: queue.SimpleQueue[S3Part] = queue.SimpleQueue()

    def cancel(self) -> None:
        # What is on its way ends by its own time limit; it cannot be called back.
        self._failure = self._failure or StoreError(f"The upload of {self._key} was stopped.")
        self._cancelled = True
        self._free.put(S3Part(0))

    def next_part(self) -> S3Part:
        self._raise_failure()
        # One buffer more than senders, so that the next part fills while all of them are busy.
        if self._free.empty() and self._made <= self._options.max_concurrency:
            self._made += 1
            return S3Part(self.part_size)
        part = self._free.get()
        self._raise_failure()
        return part

    def send(self, part: S3Part, length: int) -> None:
        number = len(self._parts) + 1
        if number > MAXIMUM_PARTS:
            raise StoreError(
                f"The archive is larger than {human_size(largest_archive(self.part_size))}, which is what 10,000 parts of {human_size(self.part_size)} hold. "
                "Set part_size to a larger size."
            )
        self._size += length
        self._parts.append(self._workers.submit(self._send, part, number, length))

    def complete(self, sha256: str) -> dict[str, t.Any]:
        parts = [{"PartNumber": number, "ETag": future.result()} for number, future in enumerate(self._parts, 1)]
        self._workers.shutdown()
        with translated(f"complete the upload of {self._key}", self._store.location):
            try:
                self._client.complete_multipart_upload(
                    Bucket=self._options.bucket, Key=self._key, UploadId=self._upload_id, MultipartUpload={"Parts": parts}, **self._store.condition()
                )
            except Exception as error:
                # Whatever was said, the answer to a try that succeeded may have been lost; our finished object is known by its backup id.
                ours = self._is_ours()
                if is_precondition(error) and not ours:
                    raise StoreError(
                        f"The key {self._store.address(self._key)} appeared while the backup ran, and a backup is never overwritten. "
                        "Run again, or set another name."
                    ) from error
                if not ours:
                    raise
        try:
            return self._store.prove(self._key, self._size, self._backup_id)
        except BackupError:
            self._withdraw()
            raise

    def _withdraw(self) -> None:
        """Remove an object that was completed and could not be proved, if it shows that it is ours."""
        with contextlib.suppress(BackupError):
            if self._store.shown_id(self._key) == self._backup_id:
                self._store.delete(self._key)

    def abort(self) -> None:
        self.cancel()
        self._workers.shutdown(wait=True, cancel_futures=True)
        with translated(f"abort the upload of {self._key}", self._store.location):
            try:
                self._client.abort_multipart_upload(Bucket=self._options.bucket, Key=self._key, UploadId=self._upload_id)
            except Exception as error:
                if not is_missing(error):
                    raise

    def _refuse_another_try(self, event_name: str, **dummy: t.Any) -> None:
        """Keep boto3 from trying again, for minutes, what nobody waits for any more."""
        aborting = event_name.endswith(".AbortMultipartUpload")
        if self._cancelled and (self._abort_sent or not aborting):
            raise StoreError(f"The upload of {self._key} was stopped.")
        self._abort_sent = self._abort_sent or aborting

    def _is_ours(self) -> bool:
        try:
            self._store.prove(self._key, self._size, self._backup_id, by_id=True)
        except BackupError:
            return False
        return True

    def _send(self, part: S3Part, number: int, length: int) -> str:
        try:
            if self._failure is not None:
                raise self._failure
            body = part.body if length == self.part_size else io.BytesIO(part.view[:length])
            body.seek(0)
            with translated(f"send part {number} of {self._key}", self._store.location):
                answer = self._client.upload_part(
                    Bucket=self._options.bucket,
                    Key=self._key,
                    UploadId=self._upload_id,
                    PartNumber=number,
                    Body=body,
                    ContentLength=length,
                    ContentMD5=_md5(part.view[:length]),
                )
            # Not the whole answer: ten thousand of them would take more memory than the parts.
            return str(answer["ETag"])
        except BaseException as error:
            self._failure = self._failure or error
            raise
        finally:
            self._free.put(part)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _make_client(options: S3Options, location: str) -> t.Any:
    boto3 = require_boto3()
    from botocore.config import Config

    custom = options.endpoint_url is not None
    checksums = options.checksum_mode if options.checksum_mode != "auto" else ("when_required" if custom else "when_supported")
    addressing = options.addressing_style if options.addressing_style != "auto" else ("path" if custom else "auto")
    settings: dict[str, t.Any] = {
        "s3": {"addressing_style": addressing},
        "retries": {"mode": "standard", "max_attempts": 4},
        "connect_timeout": 10,
        # Some stores put the parts together before they answer.
        "read_timeout": 120,
        "max_pool_connections": options.max_concurrency + 2,
        "user_agent_extra": "workon.postgresql_backup",
        "request_checksum_calculation": checksums,
        "response_checksum_validation": checksums,
    }
    with translated("set up the connection", location):
        try:
            config = Config(**settings)
        except TypeError as error:
            raise BackupError("The boto3 found is too old; this collection needs boto3 1.36 or newer. Upgrade boto3 and botocore.") from error
        session = boto3.session.Session(
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            aws_session_token=options.session_token,
            profile_name=options.profile,
        )
        return session.client(
            "s3",
            endpoint_url=options.endpoint_url,
            region_name=options.region or session.region_name or _default_region(options.endpoint_url),
            verify=False if not options.validate_certs else (options.ca_bundle or None),
            config=config,
        )


def _default_region(endpoint_url: str | None) -> str:
    host = urllib.parse.urlsplit(endpoint_url or "").hostname or ""
    return "auto" if host.endswith(".r2.cloudflarestorage.com") else "us-east-1"


def _clock_skew(answer: t.Mapping[str, t.Any]) -> float | None:
    """Return the store's clock minus ours in seconds, from the Date of an answer."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        theirs = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return (theirs - dt.datetime.now(dt.timezone.utc)).total_seconds()


def _encryption(head: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {"server_side": head.get("ServerSideEncryption"), "kms_key_id": head.get("SSEKMSKeyId")}


def _md5(content: bytes | memoryview) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
