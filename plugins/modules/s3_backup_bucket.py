#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_backup_bucket
short_description: Create a bucket for backups, and keep it as such a bucket should be
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Creates a bucket and sees that it is private, keeps versions, encrypts, locks, clears up after failed uploads and deletions,
    and takes no requests without TLS, as far as that is asked for and the store supports it.
  - Each feature is read back after it was written. What a store does not support is reported as such and warned about.
    It fails the module only if O(required) names it, and then only after everything else was done.
  - Of lifecycle rules and policy statements only those are touched that bear this collection's name. All others stay.
  - Returns policies for keys of least privilege - one that may write backups and not delete them, one that may only read,
    one that may delete and not read archives.
  - A bucket is never deleted, and nothing in it but the probe objects of this module.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._store.connection
attributes:
  check_mode:
    support: full
    details:
      - Only asks. Some stores answer that nothing is set where they do not know the setting, so only a run shows whether they take it.
  diff_mode:
    support: full
    details:
      - Shows every feature before and after.
  idempotent:
    support: full
options:
  bucket:
    description:
      - The bucket's name.
    type: str
    required: true
  prefix:
    description:
      - The part of all keys before the backup's name, like a folder.
      - The policies returned, the lifecycle rules and O(no_overwrite) are for what is below it. Everything else is for the whole bucket.
      - Each prefix has lifecycle rules of its own, so one bucket can have several.
    type: str
    default: ""
  public_access_block:
    description:
      - Whether all four of the bucket's blocks of public access are on.
      - With V(false) they are left as they are.
    type: bool
    default: true
  versioning:
    description:
      - Whether the bucket keeps what is deleted or overwritten as old versions. Without it a stolen key that may delete can destroy backups for good.
      - With V(false) it is left as it is. Versioning is never suspended.
    type: bool
    default: true
  encryption:
    description:
      - The encryption that objects get if their writer does not ask for one.
      - It is proved with an object that is removed again. Where a store takes the setting and then fails at objects, or does not show it at them,
        the setting is taken back.
      - With V(none) it is left as it is. AWS encrypts with V(AES256) in any case.
    type: str
    choices: [none, AES256, "aws:kms"]
    default: none
  kms_key_id:
    description:
      - The key for O(encryption=aws:kms). Without it AWS uses its own key for S3.
      - If it is a whole ARN, the policies returned grant its use. Otherwise grant that elsewhere.
    type: str
  object_lock:
    description:
      - Locks every new object for some days. Until then its versions can be deleted by nobody; a deletion only hides.
      - Most stores take this only for a bucket that is created with it. On one that exists without, it is tried.
      - Without it the bucket's lock is left as it is.
    type: dict
    suboptions:
      mode:
        description:
          - In V(governance) mode a key with the right C(s3:BypassGovernanceRetention) can delete nevertheless.
          - In V(compliance) mode nobody can, the account's owner included, and no lock can be shortened.
            What was stored by mistake is paid for until its lock ends.
        type: str
        choices: [governance, compliance]
        required: true
      days:
        description:
          - For how many days after it was written an object is locked. Choose fewer than retention keeps backups for.
        type: int
        required: true
  abort_uploads_after:
    description:
      - After how many days the store removes what failed uploads left behind. It is invisible in listings and paid for.
      - With V(0) this collection's rule is taken away.
    type: int
    default: 2
  expire_noncurrent_after:
    description:
      - After how many days the store removes old versions, which is how long a wrong deletion can be undone.
      - With V(0) this collection's rule is taken away, and old versions stay for ever.
    type: int
    default: 30
  tls_only:
    description:
      - Whether the bucket's policy refuses all requests without TLS.
      - It is not set when the store itself is reached by C(http://), because it would lock out whoever set it.
      - It is tried on a single key first, because a proxy before the store may make all requests look as if they came without TLS.
      - With V(false) this collection's statement is taken away.
    type: bool
    default: true
  no_overwrite:
    description:
      - Whether the bucket's policy refuses to write an object unless the writer demands that there is none of its name. The modules of this collection do.
      - It is tried on a single key first. AWS is the only store known to support it.
      - With V(false) this collection's statement is taken away.
    type: bool
    default: false
  required:
    description:
      - What the bucket must have. If one of these is not supported, or not permitted to the keys, the module fails after everything else was done.
    type: list
    elements: str
    choices: [public_access_block, versioning, encryption, abort_uploads_after, expire_noncurrent_after, tls_only, no_overwrite, object_lock]
    default: []
notes:
  - The keys need the right to create the bucket and to read and change its settings. They are an administrator's, and not for daily use.
  - Measured with MinIO, SeaweedFS, versitygw and rclone. With AWS itself it was not run.
seealso:
  - module: workon.postgresql_backup.pg_backup
  - module: workon.postgresql_backup.s3_retention
  - name: What each feature is for
    description: The features, the three policies, and what four stores support.
    link: https://github.com/workon/postgresql_backup/blob/main/docs/buckets.md
"""

EXAMPLES = r"""
- name: A bucket as AWS can keep it
  workon.postgresql_backup.s3_backup_bucket:
    bucket: workon-backups
    region: eu-central-1
    encryption: AES256
    no_overwrite: true
    object_lock:
      mode: governance
      days: 14
    required: [public_access_block, versioning, encryption, object_lock, tls_only]

- name: A bucket of another store, with what that store supports
  workon.postgresql_backup.s3_backup_bucket:
    bucket: workon-backups
    endpoint_url: https://s3.example.com
    required: [versioning]
  register: made

- name: Keep the policy for the key that writes backups
  ansible.builtin.copy:
    content: "{{ made.policies.writer | ansible.builtin.to_nice_json }}"
    dest: writer.json
    mode: "0644"

- name: See what a bucket lacks
  workon.postgresql_backup.s3_backup_bucket:
    bucket: workon-backups
  check_mode: true
  diff: true
"""

RETURN = r"""
msg:
  description: What was done, in one sentence for each kind.
  returned: always
  type: str
bucket:
  description: The bucket.
  returned: success, and when something required is missing
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
    created:
      description: Whether it was created, in check mode whether it would be.
      type: bool
      returned: always
    region:
      description: Its region, null where the store does not say.
      type: str
      returned: always
features:
  description: What became of each feature, by the name of its option.
  returned: success, and when something required is missing
  type: dict
  contains:
    wanted:
      description: What was asked for, null for nothing.
      type: raw
      returned: always
    before:
      description: What the bucket had, in the option's words, null for nothing or where it cannot be read.
      type: raw
      returned: always
    after:
      description: What the bucket has, in check mode would have.
      type: raw
      returned: always
    status:
      description: V(in_place), V(set), V(would_set) (in check mode), V(unsupported) by the store, V(not_permitted) to the keys, or V(not_wanted).
      type: str
      returned: always
    detail:
      description: Why, where there is something to say.
      type: str
      returned: always
  sample:
    versioning: {wanted: true, before: false, after: true, status: set, detail: ""}
policies:
  description: Policies for keys of least privilege, as data.
  returned: success, and when something required is missing
  type: dict
  contains:
    writer:
      description: For the key that takes backups. It can delete nothing but its own probe objects, and read nothing but manifests.
      type: dict
      returned: always
    restorer:
      description: For the key that restores. It can only read.
      type: dict
      returned: always
    tester:
      description: The same with what a restore test needs (M(workon.postgresql_backup.pg_restore_test)). It can write the records of tests.
      type: dict
      returned: always
    watcher:
      description: For the key of health checks. It can read nothing but manifests and the records of restore tests.
      type: dict
      returned: always
    pruner:
      description: For the key of retention. It can delete, and read nothing but manifests, the records of restore tests and the journals of restores.
      type: dict
      returned: always
    purger:
      description: The same with what O(workon.postgresql_backup.s3_retention#module:purge_versions) needs. It can remove versions for good.
      type: dict
      returned: always
refusals:
  description: Every reason why the options were refused before anything was written.
  returned: when they were
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket import bucket_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.bucket import BUCKET_SPEC, bucket_from, wish_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_EXCLUSIVE, STORE_TOGETHER
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.bucket import ensure_bucket, require_features


def main() -> None:
    module = AnsibleModule(
        argument_spec=BUCKET_SPEC,
        mutually_exclusive=[pair for pair in STORE_EXCLUSIVE if "directory" not in pair],
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        wish = wish_from(module.params)
        outcome = ensure_bucket(wish, bucket_from(module.params, secrets), check_mode=module.check_mode)
        result = bucket_result(outcome, check_mode=module.check_mode)
        require_features(outcome, result)
        return result

    run_module(module, work)


if __name__ == "__main__":
    main()
