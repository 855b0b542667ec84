#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_info
short_description: List the backups of a store and say which are valid
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Lists what M(workon.postgresql_backup.pg_backup) stored, newest first, each backup with its validity and the reasons why not.
  - A backup is valid when its manifest is there and its archive has the size that the manifest records.
  - Archives without a manifest, manifests without an archive, files of others and unfinished uploads are listed apart.
  - Never writes.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
attributes:
  check_mode:
    support: full
    details:
      - This module does not modify state.
  diff_mode:
    support: N/A
    details:
      - This module does not modify state.
  idempotent:
    support: full
    details:
      - This module does not modify state.
options:
  name:
    description:
      - The name of the backups to list. Without it those of all names are.
    type: str
  restore_point:
    description:
      - Returns only the backup that a restore would take, and fails when there is none.
      - V(latest) is the newest valid backup, C(before:2026-01-08T10:30:00Z) the newest valid one whose content is of before that time,
        anything else is a key of the catalog. The first two need O(name) where the store holds backups of several names,
        and pass over those that were taken before a restore or of an incident.
    type: str
  limit:
    description:
      - How many backups to return, the newest ones. The counts are of all.
    type: int
  verify:
    description:
      - How closely the returned backups are looked at.
      - V(none) and V(size) compare the size with the manifest's, which costs nothing,
        V(hash) reads the stored bytes and compares their SHA-256, V(decode) has C(pg_restore) read them to their end as well.
    type: str
    choices: [none, size, hash, decode]
    default: size
  pg_bin_dir:
    description:
      - The directory of the client programs for O(verify=decode). Without it the installed ones are searched.
    type: path
seealso:
  - module: workon.postgresql_backup.pg_backup
"""

EXAMPLES = r"""
- name: List the ten newest backups of one database
  workon.postgresql_backup.pg_backup_info:
    bucket: workon-backups
    name: workon
    limit: 10

- name: Find what would be restored as of an hour before the incident, and read all of it
  workon.postgresql_backup.pg_backup_info:
    bucket: workon-backups
    name: workon
    restore_point: before:2026-01-08T09:30:00Z
    verify: decode
"""

RETURN = r"""
msg:
  description: What was found, in one sentence.
  returned: always
  type: str
backups:
  description: The backups, newest first, each with its manifest's facts.
  returned: success
  type: list
  elements: dict
  contains:
    key:
      description: The archive's key in the store.
      type: str
      returned: success
    valid:
      description: Whether a restore could use it.
      type: bool
      returned: success
    problems:
      description: Why it is not valid, as sentences.
      type: list
      elements: str
      returned: success
    stored_size:
      description: The archive's size in the store in bytes.
      type: int
      returned: success
orphans:
  description: Archives without a manifest, which do not count as backups.
  returned: success
  type: list
  elements: dict
broken:
  description: Manifests whose archive is missing.
  returned: success
  type: list
  elements: dict
foreign:
  description: Other objects directly under the prefix, dumps made by other tools among them.
  returned: success
  type: list
  elements: dict
unfinished:
  description: Uploads that were neither completed nor aborted.
  returned: success
  type: list
  elements: dict
counts:
  description: How many there are of each.
  returned: success
  type: dict
  sample: {"backups": 31, "valid": 31, "orphans": 0, "broken": 0, "foreign": 1, "unfinished": 0}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import passed_over
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.results import catalog_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.programs import find_clients
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_EXCLUSIVE, STORE_SPEC, STORE_TOGETHER, open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.catalog import CatalogRequest, inspect_catalog


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **STORE_SPEC,
            "name": {"type": "str"},
            "restore_point": {"type": "str"},
            "limit": {"type": "int"},
            "verify": {"type": "str", "choices": ["none", "size", "hash", "decode"], "default": "size"},
            "pg_bin_dir": {"type": "path"},
        },
        mutually_exclusive=[*STORE_EXCLUSIVE, ("restore_point", "limit")],
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        request = CatalogRequest(params["name"], params["restore_point"], params["limit"], params["verify"])
        clients = find_clients(params["pg_bin_dir"]) if request.verify == "decode" else []
        store = open_store(params, secrets)
        catalog, shown = inspect_catalog(request, store, clients, secrets.redact)
        point = request.restore_point
        return catalog_result(catalog, shown, passed_over(catalog, point, shown[0], store.prefix) if point else ())

    run_module(module, work)


if __name__ == "__main__":
    main()
