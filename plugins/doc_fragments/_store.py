# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.

from __future__ import annotations


class ModuleDocFragment:
    # Beside CONNECTION, for a module that takes a directory as well.
    DOCUMENTATION = r"""
options:
  bucket:
    description:
      - The bucket that holds the backups. It must exist.
      - Falls back to the environment variable E(BACKUP_S3_BUCKET) when O(directory) is not set either.
    type: str
  directory:
    description:
      - A directory of the host that runs the module, as a store instead of a bucket. It must exist.
      - Files get mode C(0600), new folders C(0700). The layout is that of a bucket.
    type: path
  prefix:
    description:
      - The part of all keys before the backup's name, like a folder.
    type: str
    default: ""
"""

    CONNECTION = r"""
options:
  endpoint_url:
    description:
      - The address of an S3-compatible server. Leave it out for AWS.
      - Falls back to the environment variables E(BACKUP_S3_ENDPOINT), E(AWS_ENDPOINT_URL_S3) and E(AWS_ENDPOINT_URL).
    type: str
  region:
    description:
      - The bucket's region.
      - Falls back to the environment variables E(AWS_REGION) and E(AWS_DEFAULT_REGION), then to the profile's region,
        then to V(auto) for Cloudflare R2 and V(us-east-1) for all others.
    type: str
  access_key:
    description:
      - The access key. Without it boto3 looks in its usual places, E(AWS_ACCESS_KEY_ID) among them.
    type: str
  secret_key:
    description:
      - The secret of O(access_key). Without it boto3 looks in its usual places, E(AWS_SECRET_ACCESS_KEY) among them.
    type: str
  session_token:
    description:
      - The session token of temporary keys. Without it boto3 looks in its usual places, E(AWS_SESSION_TOKEN) among them.
    type: str
  profile:
    description:
      - A profile of the AWS configuration on the host that runs the module.
    type: str
  validate_certs:
    description:
      - Whether the server's TLS certificate must be valid.
    type: bool
    default: true
  ca_bundle:
    description:
      - A file of certificate authorities to trust for the store.
      - Without it boto3 looks in its usual places, E(AWS_CA_BUNDLE) among them.
    type: path
  addressing_style:
    description:
      - Whether the bucket's name is in the path or in the host name of requests.
      - V(auto) means V(path) when O(endpoint_url) is set, else what boto3 finds right.
    type: str
    choices: [auto, path, virtual]
    default: auto
  checksum_mode:
    description:
      - Whether boto3 adds its own checksums to every request, which many S3-compatible servers reject.
      - V(auto) means V(when_required) when O(endpoint_url) is set, else V(when_supported).
      - The archive's own SHA-256 and the MD5 of every request are always made.
    type: str
    choices: [auto, when_required, when_supported]
    default: auto
requirements:
  - boto3 >= 1.36 on the host that runs the module, for a bucket
"""

    WRITE = r"""
options:
  storage_class:
    description:
      - The storage class of what is written, for example V(STANDARD_IA). Without it the bucket's own default applies.
    type: str
  server_side_encryption:
    description:
      - The encryption that the store is asked for. It is proved by looking at the stored objects; if the store does not show it, the run fails.
      - Without it no header is sent and the bucket's own default applies.
    type: str
    choices: [AES256, "aws:kms"]
  kms_key_id:
    description:
      - The key for O(server_side_encryption=aws:kms).
    type: str
  max_concurrency:
    description:
      - How many parts of an archive are sent at a time. Each holds one part in memory.
    type: int
    default: 4
"""
