#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_adopt
short_description: Make a backup of an archive that somebody else put into the store
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Takes an archive that a bare C(pg_dump -Fc) or another tool put into a bucket or a directory, and gives it the manifest that makes it a backup.
    From then on it is listed, restored and deleted like those of M(workon.postgresql_backup.pg_backup).
  - The archive is hashed and has C(pg_restore) read it to its end. It is not changed.
  - The manifest is marked as adopted. What the archive does not say of itself is null in it, above all the rows and content of its tables,
    so a restore of it can be made but not be compared with anything.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
  - workon.postgresql_backup._store.write
attributes:
  check_mode:
    support: full
    details:
      - Reads the whole archive and returns the manifest that would be written.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  key:
    description:
      - The archive's key in the store, with or without O(prefix). It must have the form C(<name>_YYYY-MM-DD_HHMMSS.dump), because
        backups are found by their keys.
    type: str
    required: true
  taken_at:
    description:
      - The time that the archive's content is of, as C(2026-01-08T10:30:00Z). The content must not be younger.
      - Without it the later of the times in the key and of the object in the store is taken, if they differ by less than a day.
    type: str
  environment:
    description:
      - What the database was for, for example V(production). It is recorded in the manifest.
    type: str
  reason:
    description:
      - Why the backup was taken. It is recorded in the manifest; backups before a restore and of incidents are kept apart from the regular ones.
    type: str
    choices: [scheduled, manual, pre_restore, incident]
    default: manual
  pinned:
    description:
      - Whether the backup is never to be deleted by retention. It is recorded in the manifest.
    type: bool
    default: false
  labels:
    description:
      - Further facts for the manifest, as text. Never put a secret here.
    type: dict
    default: {}
  pg_bin_dir:
    description:
      - The directory of the client programs to use. Without it the newest of the installed ones are.
    type: path
requirements:
  - C(pg_restore) of the version of the C(pg_dump) that made the archive, or newer, on the host that runs the module
seealso:
  - module: workon.postgresql_backup.pg_backup_info
  - module: workon.postgresql_backup.s3_retention
"""

EXAMPLES = r"""
- name: Adopt one archive
  workon.postgresql_backup.pg_backup_adopt:
    bucket: workon-backups
    key: workon_2026-01-08_103000.dump
    environment: production

- name: See what there is
  workon.postgresql_backup.pg_backup_info:
    bucket: workon-backups
    name: workon
  register: found

- name: Adopt all archives without a manifest
  workon.postgresql_backup.pg_backup_adopt:
    bucket: workon-backups
    key: "{{ item.key }}"
  loop: "{{ found.orphans }}"
"""

RETURN = r"""
msg:
  description: What was done, in one sentence.
  returned: always
  type: str
backup:
  description: The manifest's facts, those of M(workon.postgresql_backup.pg_backup).
  returned: success
  type: dict
  contains:
    adopted:
      description: When it was adopted (C(at)), and which facts are not known (C(unknown)). Null for an archive that had its own manifest already.
      type: dict
      returned: success
    key:
      description: The archive's key in the store.
      type: str
      returned: success
    address:
      description: Where the archive is, for people.
      type: str
      returned: success
    archive:
      description: Format, version, compression, size in bytes and SHA-256 of the archive.
      type: dict
      returned: success
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.adoption import Adoption
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.results import adoption_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.programs import find_clients
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import (
    STORE_EXCLUSIVE,
    STORE_SPEC,
    STORE_TOGETHER,
    STORE_WRITE_EXCLUSIVE,
    STORE_WRITE_SPEC,
    open_store,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.adoption import carry_out, plan_adoption


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **STORE_SPEC,
            **STORE_WRITE_SPEC,
            "key": {"type": "str", "required": True, "no_log": False},
            "taken_at": {"type": "str"},
            "environment": {"type": "str"},
            "reason": {"type": "str", "choices": ["scheduled", "manual", "pre_restore", "incident"], "default": "manual"},
            "pinned": {"type": "bool", "default": False},
            "labels": {"type": "dict", "default": {}},
            "pg_bin_dir": {"type": "path"},
        },
        mutually_exclusive=STORE_EXCLUSIVE + STORE_WRITE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        store = open_store(params, secrets)
        adoption = Adoption(**{option: params[option] for option in Adoption._fields})
        plan = plan_adoption(params["key"], adoption, store, find_clients(params["pg_bin_dir"]), utc_now(), secrets.redact)
        if not module.check_mode:
            carry_out(plan, store)
        return adoption_result(plan.manifest, plan.address, adopted=plan.adopted, planned=module.check_mode)

    run_module(module, work)


if __name__ == "__main__":
    main()
