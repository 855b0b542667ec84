# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into the store past the collection: ``store.py list BUCKET`` and the like print JSON, for the verify playbooks.

It runs on a backup host, in the network of the services; the keys are in the environment.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import sys
from typing import Any

import boto3
from botocore.config import Config


def _client() -> Any:
    settings = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
    return boto3.client("s3", endpoint_url=os.environ["STORE_ENDPOINT"], config=settings)


def make(bucket: str) -> dict[str, Any]:
    """Make a bucket, an empty one if there is one of the name."""
    client = _client()
    if bucket in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        remove(bucket)
    client.create_bucket(Bucket=bucket)
    return {"bucket": bucket}


def remove(bucket: str) -> dict[str, Any]:
    """Remove a bucket with all that is in it, if it is there."""
    client = _client()
    if bucket in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        for key in _listing(client, bucket):
            client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)
    return {"bucket": bucket}


def show(bucket: str) -> dict[str, Any]:
    """Return sizes by key, the manifests, whether each archive has the hash that its manifest says, and the restore tests' records."""
    client = _client()
    sizes = _listing(client, bucket)
    texts = {key: json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in sizes if key.endswith(".json")}
    manifests = {key.removesuffix(".manifest.json"): text for key, text in texts.items() if key.endswith(".dump.manifest.json")}
    sound = {
        key: key in sizes and hashlib.sha256(client.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest() == manifest["archive"]["sha256"]
        for key, manifest in manifests.items()
    }
    return {
        "sizes": sizes,
        "archives": sorted(key for key in sizes if key.endswith(".dump")),
        "manifests": manifests,
        "sound": sound,
        "unfinished": [each["Key"] for each in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])],
        "records": {key: text for key, text in texts.items() if ".dump.tests/" in key},
    }


def fetch(bucket: str, key: str, path: str) -> dict[str, Any]:
    """Download an object."""
    _client().download_file(bucket, key, path)
    return {"path": path}


def search(bucket: str, *needles: str) -> dict[str, Any]:
    """Return the keys of the objects that contain one of the needles, which are written in base64, and how many objects there are."""
    client = _client()
    wanted = [base64.b64decode(needle) for needle in needles]
    bodies = {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in _listing(client, bucket)}
    return {"found": [key for key, body in bodies.items() if any(needle in key.encode() + body for needle in wanted)], "searched": len(bodies)}


def age(bucket: str, key: str, *hours: str) -> dict[str, Any]:
    """Put copies of a backup, each some hours older, their manifests sealed anew.

    A store dates objects itself, and retention keeps what is older than that by more than a day.
    """
    client = _client()
    manifest = json.loads(client.get_object(Bucket=bucket, Key=f"{key}.manifest.json")["Body"].read())
    for each in hours:
        moment = dt.datetime.fromisoformat(manifest["snapshot_at"]).replace(microsecond=0) - dt.timedelta(hours=int(each))
        older = f"{manifest['name']}_{moment:%Y-%m-%d_%H%M%S}.dump"
        changes = {"key": older, "backup_id": older.removesuffix(".dump")}
        facts = {**manifest, **changes, **dict.fromkeys(("started_at", "snapshot_at", "finished_at"), f"{moment:%Y-%m-%dT%H:%M:%SZ}")}
        facts["checksum"] = hashlib.sha256(_compact({name: value for name, value in facts.items() if name != "checksum"})).hexdigest()
        client.copy_object(Bucket=bucket, Key=older, CopySource={"Bucket": bucket, "Key": key})
        client.put_object(Bucket=bucket, Key=f"{older}.manifest.json", Body=json.dumps(facts).encode())
    return {"copies": len(hours)}


def damage(bucket: str, key: str) -> dict[str, Any]:
    """Flip one bit in the middle of an object."""
    client = _client()
    content = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    client.put_object(Bucket=bucket, Key=key, Body=bytes(content))
    return {"key": key}


def _compact(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _listing(client: Any, bucket: str) -> dict[str, int]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}


if __name__ == "__main__":
    question, *rest = sys.argv[1:]
    answer = {each.__name__: each for each in (make, remove, show, fetch, search, age, damage)}[question](*rest)
    sys.stdout.write(json.dumps(answer))
