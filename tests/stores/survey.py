# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask S3 servers what they honour, and write the answers into docs/stores.md. Run by ``nox -s stores``.

Where the collection asks the same question itself, its own answer is taken. An answer is what was seen afterwards, not what the server promised.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Run as a file: its own directory makes way for the one that holds the packages.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from checks.tree import linked_tree

if __name__ == "__main__":
    sys.path.insert(0, str(linked_tree()))

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3 import S3Options, S3Store
from harness import tools
from harness.paths import CHECKOUT
from harness.process import exit_on_sigterm
from harness.stores import MinIO, RcloneS3, SeaweedFS, StoreServer, VersityGW

COMMAND = "nox -s stores"
DOCUMENT = CHECKOUT / "docs/stores.md"
BEGIN = f"<!-- What follows is written by `{COMMAND}`; change nothing by hand. -->"
END = "<!-- Until here. -->"
# Nobody here has keys for them.
NOT_RUN = ("AWS S3", "Cloudflare R2", "Backblaze B2")

_PART = 5 * 1024 * 1024
_OBJECT = "workon_2026-01-08_103000.dump"


@dataclass(frozen=True)
class Subject:
    """A kind of server as it is set up, which has a row in each table."""

    title: str
    kind: type[StoreServer]
    kms: bool = False

    def make(self) -> StoreServer:
        return MinIO(kms=True) if self.kms else self.kind()


SUBJECTS = (
    Subject("MinIO", MinIO),
    Subject("MinIO with a KMS key", MinIO, kms=True),
    Subject("SeaweedFS", SeaweedFS),
    Subject("versitygw", VersityGW),
    Subject("rclone serve s3", RcloneS3),
)
_PROGRAMS = (MinIO, SeaweedFS, VersityGW, RcloneS3)


@dataclass(frozen=True)
class Asked:
    """A running server that is asked one question, about a bucket of its own."""

    server: StoreServer

    @property
    def client(self) -> Any:
        return self.server.client()

    def bucket(self, **options: Any) -> str:
        """Create a bucket."""
        return self.server.make_bucket(f"survey-{secrets.token_hex(6)}", **options)

    def store(self, bucket: str, **options: Any) -> S3Store:
        """Return a bucket as the modules open it."""
        server = self.server
        return S3Store(S3Options(bucket, endpoint_url=server.endpoint_url, access_key=server.access_key, secret_key=server.secret_key, **options))

    def anonymous(self) -> Any:
        """Return a client without keys."""
        config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return boto3.client("s3", endpoint_url=self.server.endpoint_url, region_name=self.server.region, config=config)

    def on_disk(self, content: bytes) -> bool:
        """Say whether any file of the server holds these bytes as they are."""
        return any(content in _read(path) for path in self.server.directory.rglob("*"))


def _read(path: Path) -> bytes:
    """Return what a file holds; nothing of a directory, or of what the server removed meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


# The questions


def _condition_of_put(asked: Asked) -> str:
    found = asked.store(asked.bucket()).probe(_OBJECT, write=True).conditional_writes
    return {"supported": "yes", "ignored": "**ignored**, overwrites"}.get(found, found)


def _condition_of_upload(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    client.put_object(Bucket=bucket, Key=_OBJECT, Body=b"first")
    upload = {"Bucket": bucket, "Key": _OBJECT, "UploadId": client.create_multipart_upload(Bucket=bucket, Key=_OBJECT)["UploadId"]}
    part = {"PartNumber": 1, "ETag": client.upload_part(**upload, PartNumber=1, Body=b"second")["ETag"]}
    with contextlib.suppress(ClientError):
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]}, IfNoneMatch="*")
    return "yes" if _content(client, bucket, _OBJECT) == b"first" else "**ignored**, overwrites"


def _wrong_md5(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    md5 = base64.b64encode(hashlib.md5(b"something else", usedforsecurity=False).digest()).decode()
    try:
        client.put_object(Bucket=bucket, Key=_OBJECT, Body=b"content", ContentMD5=md5)
    except ClientError as error:
        return f"refused ({_answer(error)})"
    return "**stored**"


def _own_metadata(asked: Asked) -> str:
    store = asked.store(asked.bucket())
    upload = store.start_upload(_OBJECT, _PART, {"backup-id": "5f0c3d1e"})
    part = upload.next_part()
    part.view[:4] = b"data"
    upload.send(part, 4)
    upload.complete("")
    part.view.release()
    return "kept" if store.shown_id(_OBJECT) == "5f0c3d1e" else "**forgotten**"


def _encryption(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    try:
        asked.store(bucket, server_side_encryption="AES256").probe(_OBJECT, write=True)
    except VerificationError:
        return "**taken, not shown**"
    except StoreError as error:
        return f"refused ({error.details['store_status']} {error.details['store_error']})"
    plain, secret = secrets.token_bytes(64), secrets.token_bytes(64)
    client.put_object(Bucket=bucket, Key="plain", Body=plain)
    client.put_object(Bucket=bucket, Key="secret", Body=secret, ServerSideEncryption="AES256")
    if asked.on_disk(secret):
        return "**shown, and plain on its disk**"
    return "yes" if asked.on_disk(plain) else "shown"


def _paging(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    keys = [f"key-{number}" for number in range(5)]
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}))
    return "yes" if [item["Key"] for page in pages for item in page["Contents"]] == keys and len(pages) == 3 else "**no**"


def _date(asked: Asked) -> str:
    return "no" if asked.store(asked.bucket()).probe(_OBJECT, write=False).clock_skew is None else "yes"


def _batches(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    for key in ("a", "b"):
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    pruner = asked.store(bucket).pruner()
    failures = pruner.delete(["a", "b"])
    gone = not failures and not asked.server.keys(bucket)
    return {"supported": "yes", "rejected": "no, one by one"}[str(pruner.batch_delete)] if gone else "**no**"


def _unfinished(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    for key in (f"nightly/{_OBJECT}", "elsewhere/another"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    try:
        answer = client.list_multipart_uploads(Bucket=bucket, Prefix="nightly/workon_")
    except ClientError as error:
        return f"refused ({_answer(error)})"
    if [upload["Key"] for upload in answer.get("Uploads", [])] == [f"nightly/{_OBJECT}"]:
        return "yes"
    ours = asked.store(bucket, prefix="nightly").list_unfinished("workon_")
    return "**no**, only without one" if [upload.key for upload in ours] == [f"nightly/{_OBJECT}"] else "**no**"


def _versions(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    try:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    except ClientError as error:
        return f"refused ({_answer(error)})"
    for content in (b"first", b"second"):
        client.put_object(Bucket=bucket, Key=_OBJECT, Body=content)
    client.delete_object(Bucket=bucket, Key=_OBJECT)
    kept = client.list_object_versions(Bucket=bucket).get("Versions", [])
    return "yes" if asked.store(bucket).pruner().versioned and len(kept) == 2 else "**no**"


def _locks(asked: Asked) -> str:
    try:
        bucket = asked.bucket(ObjectLockEnabledForBucket=True)
    except ClientError as error:
        return f"refused ({_answer(error)})"
    client = asked.client
    try:
        version = client.put_object(Bucket=bucket, Key=_OBJECT, Body=b"content")["VersionId"]
        client.put_object_legal_hold(Bucket=bucket, Key=_OBJECT, LegalHold={"Status": "ON"})
    except (ClientError, KeyError):
        return "**ignored**"
    with contextlib.suppress(ClientError):
        client.delete_object(Bucket=bucket, Key=_OBJECT, VersionId=version)
    held = _content(client, bucket, _OBJECT) == b"content" and asked.store(bucket).pruner().lock(_OBJECT) is not None
    return "yes" if held else "**ignored**"


def _unknown_key(asked: Asked) -> str:
    try:
        asked.server.client(access_key="nobody-of-this-name").list_objects_v2(Bucket=asked.bucket())
    except ClientError as error:
        return _answer(error)
    return "**let in**"


def _policy(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    client.put_object(Bucket=bucket, Key=_OBJECT, Body=b"content")
    statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    stranger = asked.anonymous()
    if _may_read(stranger, bucket):
        return "**anybody reads without one**"
    try:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    except ClientError as error:
        return f"refused ({_answer(error)})"
    return "yes" if _may_read(stranger, bucket) else "**taken, without effect**"


def _expiry(asked: Asked) -> str:
    return _lifecycle(asked, Expiration={"Days": 30})


def _abort_rule(asked: Asked) -> str:
    return _lifecycle(asked, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7})


def _lifecycle(asked: Asked, **action: dict[str, int]) -> str:
    client, bucket = asked.client, asked.bucket()
    rule = {"ID": "survey", "Status": "Enabled", "Filter": {"Prefix": "nightly/"}, **action}
    return _told(
        lambda: client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}),
        lambda: action.items() <= client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0].items(),
    )


def _default_encryption(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    try:
        client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    except ClientError as error:
        return f"refused ({_answer(error)})"
    try:
        client.put_object(Bucket=bucket, Key=_OBJECT, Body=b"content")
    except ClientError as error:
        return f"**taken, then every write fails** ({_answer(error)})"
    return "yes" if client.head_object(Bucket=bucket, Key=_OBJECT).get("ServerSideEncryption") == "AES256" else "**taken, not shown**"


def _public_access_block(asked: Asked) -> str:
    client, bucket = asked.client, asked.bucket()
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    return _told(
        lambda: client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block),
        lambda: client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block,
    )


def _told(tell: Callable[[], Any], shown: Callable[[], bool]) -> str:
    """Return whether a bucket took a setting and shows it."""
    try:
        tell()
    except ClientError as error:
        return f"refused ({_answer(error)})"
    return "yes" if shown() else "**taken, not shown**"


def _content(client: Any, bucket: str, key: str) -> bytes:
    content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def _may_read(client: Any, bucket: str) -> bool:
    try:
        return _content(client, bucket, _OBJECT) == b"content"
    except ClientError:
        return False


def _answer(error: ClientError) -> str:
    return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"


TABLES: Mapping[str, Mapping[str, Callable[[Asked], str]]] = {
    "Writing": {
        "`If-None-Match` on an object": _condition_of_put,
        "... on the end of an upload": _condition_of_upload,
        "a wrong `Content-MD5`": _wrong_md5,
        "metadata of an upload": _own_metadata,
        "encryption (SSE-S3)": _encryption,
    },
    "Listing and deleting": {
        "pages": _paging,
        "`Date`": _date,
        "many deleted at once": _batches,
        "unfinished uploads by prefix": _unfinished,
        "versions": _versions,
        "Object Lock": _locks,
        "an unknown access key": _unknown_key,
    },
    "What a bucket can be told": {
        "policy": _policy,
        "lifecycle: expiry": _expiry,
        "lifecycle: abort of uploads": _abort_rule,
        "default encryption": _default_encryption,
        "public access block": _public_access_block,
    },
}

Answers = Mapping[str, str]
"""By question."""


def ask(server: StoreServer) -> dict[str, str]:
    """Ask a running server every question."""
    asked = Asked(server)
    return {question: answer(asked) for table in TABLES.values() for question, answer in table.items()}


def render(answers: Mapping[str, Answers]) -> str:
    """Return what belongs between the markers, from the answers by subject."""
    programs = ", ".join(f"{kind.name} {tools.pinned_version(kind.program)}" for kind in _PROGRAMS)
    lines = [f"Asked were {programs}, each alone on one machine."]
    for title, questions in TABLES.items():
        lines += ["", f"### {title}", "", _row("", *questions), "|" + " --- |" * (len(questions) + 1)]
        lines += [_row(subject.title, *(answers[subject.title][question] for question in questions)) for subject in SUBJECTS]
        lines += [_row(name, *("not run" for dummy in questions)) for name in NOT_RUN]
    return "\n".join(lines)


def recorded(block: str) -> dict[str, dict[str, str]]:
    """Return the answers that rendered text holds, by subject."""
    answers: dict[str, dict[str, str]] = {}
    questions: list[str] = []
    for line in block.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if not cells:
            questions = []
        elif not questions:
            questions = cells[1:]
        elif not cells[0].startswith("---"):
            answers.setdefault(cells[0], {}).update(zip(questions, cells[1:], strict=True))
    return answers


def block_of(text: str) -> str:
    """Return what is between the markers."""
    return text.partition(f"{BEGIN}\n\n")[2].partition(f"\n\n{END}")[0]


def foreign_programs() -> list[str]:
    """Return the programs that are PATH's, maybe of another version than the pinned one, which the document names."""
    return [kind.program for kind in _PROGRAMS if not tools.is_pinned(kind.program)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _ask_anew(subject: Subject) -> dict[str, str]:
    print(f"Asking {subject.title} ...", flush=True)
    with subject.make() as server:
        return ask(server)


def main() -> None:
    exit_on_sigterm()
    if foreign := foreign_programs():
        sys.exit(f"PATH has {', '.join(foreign)}, maybe of another version than the pinned one. Take it from PATH, and run again.")
    text = DOCUMENT.read_text()
    before = block_of(text)
    if not before:
        sys.exit(f"{DOCUMENT.relative_to(CHECKOUT)} lacks the lines between which the answers belong: {BEGIN} and {END}")
    after = render({subject.title: _ask_anew(subject) for subject in SUBJECTS})
    DOCUMENT.write_text(f"{text.partition(BEGIN)[0]}{BEGIN}\n\n{after}\n\n{END}{text.partition(END)[2]}")
    print(f"{DOCUMENT.relative_to(CHECKOUT)} {'is as it was' if before == after else 'was renewed'}.")


if __name__ == "__main__":
    main()
