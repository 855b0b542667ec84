#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_retention
short_description: Delete old backups, never one that could be the last good copy
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Deletes what M(workon.postgresql_backup.pg_backup) stored under the given names and a policy no longer keeps, in a bucket or a directory.
  - The rules are restic's. A backup stays if any of them keeps it. Only valid backups fill a place, and age counts from the newest valid backup,
    not from today, so when backups stop, deleting stops too.
  - Whatever the rules say, these stay - the newest valid backup, O(min_keep) valid ones, pinned ones, young safety and incident backups,
    ones that the store has locked, ones that the journal of a restore of the last seven days names, ones dated in the future, and ones whose
    key, manifest and store disagree about their time by more than a day (for O(keep_safety)).
  - A listing that is not complete, or a clock that differs from the store's by more than five minutes, deletes nothing.
    So does a plan that would delete more than O(max_delete_percent) of a name's valid backups.
  - Sweeps what failed runs left behind - own unfinished uploads, archives of ours without a manifest, records whose backup is gone.
  - Archives without a manifest that this software did not make are never deleted; M(workon.postgresql_backup.pg_backup_adopt) makes backups of them.
    Invalid backups and manifests without an archive are never deleted either; each is a warning until a person has looked at it.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
  - workon.postgresql_backup._retention
attributes:
  check_mode:
    support: full
    details:
      - Returns the plan, with everything in the store and why it stays or goes.
  diff_mode:
    support: full
    details:
      - Shows a table of everything with its reasons.
  idempotent:
    support: full
    details:
      - With O(purge_versions=true) a second run purges what the first one has hidden.
options:
  name:
    description:
      - The names of the backups that the policy is for. Each is judged by itself; nothing of another name is touched.
    type: list
    elements: str
    required: true
  purge_versions:
    description:
      - In a bucket that keeps versions deletions only hide. With this, hidden backups that the same policy lets go are removed for good,
        in the run after the one that has hidden them.
      - Hidden backups that the policy would keep were deleted by something else. They are left alone and warned about. Locked versions are left alone.
    type: bool
    default: false
requirements:
  - In a bucket, permission to list it, to read manifests and to delete objects. Where Object Lock is enabled, to read locks as well.
    M(workon.postgresql_backup.s3_backup_bucket) returns the policy for that.
seealso:
  - module: workon.postgresql_backup.pg_backup
  - module: workon.postgresql_backup.s3_backup_bucket
  - module: workon.postgresql_backup.pg_backup_adopt
  - module: workon.postgresql_backup.pg_backup_info
"""

EXAMPLES = r"""
- name: Keep what was made in the 30 days before the newest backup
  workon.postgresql_backup.s3_retention:
    bucket: workon-backups
    name: workon
    keep_within: 30d

- name: Keep fewer the older they are, by the office's calendar
  workon.postgresql_backup.s3_retention:
    directory: /var/backups/postgresql
    name: [workon, billing]
    keep_last: 3
    keep_daily: 14
    keep_weekly: 8
    keep_monthly: 12
    timezone: Europe/Berlin

- name: See what would go and why
  workon.postgresql_backup.s3_retention:
    bucket: workon-backups
    name: workon
    keep_within: 90d
  check_mode: true
  diff: true
"""

RETURN = r"""
msg:
  description: What was done, in one sentence.
  returned: always
  type: str
plan:
  description: Everything under the names, with what becomes of it and why.
  returned: success, or when a safeguard stopped the plan
  type: list
  elements: dict
  contains:
    kind:
      description: V(backup), V(orphan) (an archive without a manifest), V(record) (of a backup that is gone), V(broken) (a manifest without an archive),
        V(unfinished) (an upload) or V(hidden) (a backup behind a delete marker).
      type: str
      returned: always
    name:
      description: The name it belongs to.
      type: str
      returned: always
    key:
      description: Its key in the store.
      type: str
      returned: always
    verdict:
      description: V(keep), V(delete), or V(ignore) for what retention never touches.
      type: str
      returned: always
    reasons:
      description: Why, as sentences.
      type: list
      elements: str
      returned: always
    time:
      description: When it was begun.
      type: str
      returned: always
    size:
      description: The archive's size in bytes.
      type: int
      returned: always
foreign:
  description: By name, how many other objects begin like it. They are not touched.
  returned: success
  type: dict
alarms:
  description: What a person has to look at - invalid backups, ones dated in the future or of no sure time, manifests without an archive. Also warnings.
  returned: success
  type: list
  elements: str
deleted:
  description: The keys of the objects that have gone, by the store's own listing afterwards.
  returned: not in check mode
  type: list
  elements: str
failures:
  description: By key, why something could not be deleted. If there is any the module fails.
  returned: not in check mode
  type: dict
still_present:
  description: What else was to go and the store still shows. If there is any the module fails.
  returned: not in check mode
  type: list
  elements: str
aborted:
  description: The keys of unfinished uploads that were aborted.
  returned: not in check mode
  type: list
  elements: str
purged:
  description: The keys of hidden objects that were removed for good.
  returned: not in check mode
  type: list
  elements: str
bytes_freed:
  description: How many bytes the store has regained.
  returned: not in check mode
  type: int
bytes_hidden:
  description: How many bytes are only hidden, because the bucket keeps versions.
  returned: not in check mode
  type: int
permanently:
  description: Whether deletions are for good. V(false) in a bucket that keeps versions, null when that may not be asked.
  returned: not in check mode
  type: bool
store:
  description: What the store was found to honour. C(batch_delete) is null when nothing was deleted in batches, C(versioned) when it may not be asked.
  returned: success
  type: dict
refusals:
  description: Why nothing was deleted.
  returned: when a safeguard stopped the plan
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.results import retention_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.retention import POLICY_SPEC, policy_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_EXCLUSIVE, STORE_SPEC, STORE_TOGETHER, open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.retention import (
    RetentionRequest,
    carry_out,
    plan_retention,
    require_complete,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **STORE_SPEC,
            **POLICY_SPEC,
            "name": {"type": "list", "elements": "str", "required": True},
            "purge_versions": {"type": "bool", "default": False},
        },
        mutually_exclusive=STORE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        request = RetentionRequest(tuple(params["name"]), policy_from(params), params["purge_versions"])
        store = open_store(params, secrets)
        pruner = store.pruner()
        plan = plan_retention(request, store, pruner, utc_now())
        outcome = None if module.check_mode else carry_out(plan, store, pruner)
        result = retention_result(plan.entries, plan.foreign, outcome.as_dict() if outcome else None)
        result["store"] = {**plan.store.as_dict(), "batch_delete": pruner.batch_delete, "versioned": pruner.versioned}
        if outcome:
            require_complete(outcome, result)
        return result

    run_module(module, work)


if __name__ == "__main__":
    main()
