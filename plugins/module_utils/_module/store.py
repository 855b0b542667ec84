# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options that say which store, in amazon.aws's words, and the store they mean."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.directory import DirectoryStore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3 import S3Options, S3Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets

STORE_SPEC: dict[str, dict[str, t.Any]] = {
    "bucket": {"type": "str"},
    "directory": {"type": "path"},
    "prefix": {"type": "str", "default": ""},
    "endpoint_url": {"type": "str"},
    "region": {"type": "str"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "profile": {"type": "str"},
    "validate_certs": {"type": "bool", "default": True},
    "ca_bundle": {"type": "path"},
    "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "auto"},
    "checksum_mode": {"type": "str", "choices": ["auto", "when_required", "when_supported"], "default": "auto"},
}

# What only a writer needs.
STORE_WRITE_SPEC: dict[str, dict[str, t.Any]] = {
    "storage_class": {"type": "str"},
    "server_side_encryption": {"type": "str", "choices": ["AES256", "aws:kms"]},
    "kms_key_id": {"type": "str"},
    "max_concurrency": {"type": "int", "default": 4},
}

STORE_EXCLUSIVE = [("bucket", "directory"), ("profile", "access_key")]
STORE_TOGETHER = [("access_key", "secret_key")]
STORE_WRITE_EXCLUSIVE = [("directory", option) for option in ("storage_class", "server_side_encryption", "kms_key_id")]


def open_store(params: t.Mapping[str, t.Any], secrets: Secrets) -> Store:
    """Return the store that options and environment mean; nothing is asked of it yet."""
    if params["directory"]:
        # What a bucket needs may be in the environment all the same, for other modules.
        _register(params, secrets)
        return DirectoryStore(params["directory"], params["prefix"])
    return open_bucket(params, secrets)


def open_bucket(params: t.Mapping[str, t.Any], secrets: Secrets) -> S3Store:
    """Return the bucket that options and environment mean; nothing is asked of it yet."""
    _register(params, secrets)
    bucket = params["bucket"] or os.environ.get("BACKUP_S3_BUCKET")
    if not bucket:
        raise BackupError("No store is named. Set bucket (or the environment variable BACKUP_S3_BUCKET), or directory for a store on this host.")
    if params.get("kms_key_id") and params.get("server_side_encryption") != "aws:kms":
        raise BackupError(
            "kms_key_id is set, but a key is used only by server_side_encryption aws:kms. Set server_side_encryption to aws:kms, or leave kms_key_id out."
        )
    concurrency = params.get("max_concurrency", 4)
    if not 1 <= concurrency <= 64:
        raise BackupError(f"max_concurrency is {concurrency}; it is the number of parts sent at a time. Set it to a number from 1 to 64.")
    return S3Store(
        S3Options(
            bucket=bucket,
            prefix=params["prefix"],
            endpoint_url=params["endpoint_url"] or _first_of("BACKUP_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
            region=params["region"] or _first_of("AWS_REGION", "AWS_DEFAULT_REGION"),
            access_key=params["access_key"],
            secret_key=params["secret_key"],
            session_token=params["session_token"],
            profile=params["profile"],
            validate_certs=params["validate_certs"],
            ca_bundle=params["ca_bundle"],
            addressing_style=params["addressing_style"],
            checksum_mode=params["checksum_mode"],
            storage_class=params.get("storage_class"),
            server_side_encryption=params.get("server_side_encryption"),
            kms_key_id=params.get("kms_key_id"),
            max_concurrency=concurrency,
        )
    )


def _register(params: t.Mapping[str, t.Any], secrets: Secrets) -> None:
    secrets.add(params["secret_key"], params["session_token"], os.environ.get("AWS_SECRET_ACCESS_KEY"), os.environ.get("AWS_SESSION_TOKEN"))


def _first_of(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
