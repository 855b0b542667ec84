# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options of a backup bucket, and the wish that they make."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket import FEATURES, BucketWish
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_bucket import S3Bucket
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_SPEC, open_bucket

BUCKET_SPEC: dict[str, dict[str, t.Any]] = {
    **{name: option for name, option in STORE_SPEC.items() if name != "directory"},
    "bucket": {"type": "str", "required": True},
    "public_access_block": {"type": "bool", "default": True},
    "versioning": {"type": "bool", "default": True},
    "encryption": {"type": "str", "choices": ["none", "AES256", "aws:kms"], "default": "none"},
    "kms_key_id": {"type": "str"},
    "object_lock": {
        "type": "dict",
        "options": {
            "mode": {"type": "str", "choices": ["governance", "compliance"], "required": True},
            "days": {"type": "int", "required": True},
        },
    },
    "abort_uploads_after": {"type": "int", "default": 2},
    "expire_noncurrent_after": {"type": "int", "default": 30},
    "tls_only": {"type": "bool", "default": True},
    "no_overwrite": {"type": "bool", "default": False},
    "required": {"type": "list", "elements": "str", "choices": list(FEATURES), "default": []},
}


def wish_from(params: t.Mapping[str, t.Any]) -> BucketWish:
    """Return what is wanted of the bucket."""
    features = {name: params[name] for name in (*FEATURES, "bucket", "prefix", "kms_key_id")}
    encryption = None if params["encryption"] == "none" else params["encryption"]
    return BucketWish(**{**features, "encryption": encryption, "required": tuple(dict.fromkeys(params["required"]))})


def bucket_from(params: t.Mapping[str, t.Any], secrets: Secrets) -> S3Bucket:
    """Return the bucket that options and environment mean; nothing is asked of it yet."""
    return open_bucket({name: params.get(name) for name in STORE_SPEC}, secrets).bucket()
