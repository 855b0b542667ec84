#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup
short_description: Take one proved backup of a PostgreSQL database
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Dumps one database with C(pg_dump) in custom format straight into an S3 bucket or a directory, in one pass and without a temporary file.
  - While the archive streams it is hashed and decoded by C(pg_restore), and rows and content of every table in it are read in the same snapshot.
  - The archive becomes visible only if all of that succeeded. The manifest, which holds the proof, is written last;
    a backup exists only once its manifest does.
  - What is stored is a plain C(pg_dump) archive that C(pg_restore) reads without this collection.
  - What O(schemas), O(exclude_schemas), O(exclude_tables) and O(exclude_table_data) leave out cannot be restored. Over a database that has it, such a
    backup is restored only with O(workon.postgresql_backup.pg_restore_safe#module:allow_partial).
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._postgresql
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
  - workon.postgresql_backup._store.write
attributes:
  check_mode:
    support: full
    details:
      - Runs every safeguard, including a write to the store that is removed again, and returns the plan.
  diff_mode:
    support: full
  idempotent:
    support: none
    details:
      - This module takes a new backup on every invocation.
options:
  name:
    description:
      - The backup's name, with which its keys begin. One name for each database.
      - Without it the database's name is used.
    type: str
  environment:
    description:
      - What the database is for, for example V(production). It is recorded in the manifest.
    type: str
  reason:
    description:
      - Why the backup is taken. It is recorded in the manifest; backups before a restore and of incidents are kept apart from the regular ones.
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
  schemas:
    description:
      - Patterns of schemas to back up, as for C(pg_dump --schema). Without it all schemas are.
    type: list
    elements: str
    default: []
  exclude_schemas:
    description:
      - Patterns of schemas to leave out, as for C(pg_dump --exclude-schema).
    type: list
    elements: str
    default: []
  exclude_tables:
    description:
      - Patterns of tables and sequences to leave out, as for C(pg_dump --exclude-table).
    type: list
    elements: str
    default: []
  exclude_table_data:
    description:
      - Patterns of tables whose rows to leave out while their definition stays, as for C(pg_dump --exclude-table-data).
    type: list
    elements: str
    default: []
  globals:
    description:
      - Whether the server's roles (without passwords), memberships and tablespaces are stored beside the archive.
    type: bool
    default: false
  compression:
    description:
      - How the archive is compressed.
      - V(auto) is V(zstd) where the client programs can do it (PostgreSQL 16 and newer, depending on the build), else V(gzip).
    type: str
    choices: [auto, zstd, lz4, gzip, none]
    default: auto
  compression_level:
    description:
      - The level of O(compression). Without it V(1) for zstd and gzip, which is several times faster than their defaults and hardly larger.
    type: int
  part_size:
    description:
      - The size of one part of the upload in bytes. Without it 8 MiB, or as much more as the database's size needs.
    type: int
  lock_wait_timeout:
    description:
      - How many seconds to wait for a table that another session has locked before the backup fails.
    type: int
    default: 60
  timeout:
    description:
      - After how many seconds the backup is stopped and fails. Without it there is no limit.
    type: int
  fingerprint:
    description:
      - What is recorded of every table in the archive.
      - V(content) counts the rows and hashes their content independently of their order, V(counts) only counts, V(none) proves nothing of the content.
    type: str
    choices: [none, counts, content]
    default: content
  verify:
    description:
      - How the archive is proved while it streams.
      - V(decode) hashes it and has C(pg_restore) read it to its end, V(hash) only hashes it.
    type: str
    choices: [hash, decode]
    default: decode
  pg_bin_dir:
    description:
      - The directory of the client programs to use.
      - Without it the installed ones are searched for the server's major version, else the smallest newer one.
    type: path
requirements:
  - C(pg_dump) and C(pg_restore) of the server's major version or newer on the host that runs the module
seealso:
  - module: workon.postgresql_backup.pg_backup_info
"""

EXAMPLES = r"""
- name: Back up a database by its URL into an S3-compatible store
  workon.postgresql_backup.pg_backup:
    database_url: "{{ lookup('ansible.builtin.env', 'DATABASE_URL') }}"
    bucket: workon-backups
    endpoint_url: https://s3.example.com
    name: workon
    environment: production
    reason: scheduled

- name: Back up into a directory, with roles, without the rows of one table
  workon.postgresql_backup.pg_backup:
    login_unix_socket: /var/run/postgresql
    database: workon
    directory: /var/backups/postgresql
    exclude_table_data:
      - public.sessions
    globals: true

- name: See what a backup would do, with every safeguard run
  workon.postgresql_backup.pg_backup:
    database_url: "{{ lookup('ansible.builtin.env', 'DATABASE_URL') }}"
    bucket: workon-backups
    server_side_encryption: AES256
  check_mode: true
"""

RETURN = r"""
msg:
  description: What was done, in one sentence.
  returned: always
  type: str
backup:
  description: The manifest's facts.
  returned: success, not in check mode
  type: dict
  contains:
    backup_id:
      description: The backup's own identifier.
      type: str
      returned: success
    key:
      description: The archive's key in the store.
      type: str
      returned: success
      sample: workon_2026-01-08_103000.dump
    address:
      description: Where the archive is, for people.
      type: str
      returned: success
      sample: s3://workon-backups/workon_2026-01-08_103000.dump
    archive:
      description: Format, version, compression, size in bytes and SHA-256 of the archive.
      type: dict
      returned: success
    tables:
      description: Rows and content hash of every table in the archive, by qualified name.
      type: dict
      returned: success
      sample: {"public.users": {"rows": 42, "content": "-81985529216486896"}}
    sequences:
      description: The values that a restore will set.
      type: dict
      returned: success
    large_objects:
      description: Number and content hash of the large objects.
      type: dict
      returned: success
    omitted:
      description: What the archive does not hold the rows of, each with the reason.
      type: list
      elements: dict
      returned: success
    verification:
      description: How the archive was proved, and when.
      type: dict
      returned: success
plan:
  description: What would be done. C(command) is the command line, in which there never is a secret.
  returned: in check mode
  type: dict
store:
  description: What the store was found to honour.
  returned: success
  type: dict
  sample: {"kind": "s3", "conditional_writes": "supported", "clock_skew": 0.2, "encryption": null, "writable": true}
duration:
  description: How long the backup took, in seconds.
  returned: success, not in check mode
  type: float
throughput:
  description: Bytes of the database and of the archive for each second.
  returned: success, not in check mode
  type: dict
refusals:
  description: Every reason why the backup was refused before anything was started.
  returned: when a safeguard refused it
  type: list
  elements: str
"""

import os
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.commands import Selection
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.results import backup_result, plan_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_EXCLUSIVE, POSTGRESQL_SPEC, login_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import (
    STORE_EXCLUSIVE,
    STORE_SPEC,
    STORE_TOGETHER,
    STORE_WRITE_EXCLUSIVE,
    STORE_WRITE_SPEC,
    open_store,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.backup import BackupRequest, carry_out, plan_backup
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import TimeLimit, silent

_SELECTION = ("schemas", "exclude_schemas", "exclude_tables", "exclude_table_data")
_AS_THEY_ARE = (
    "name",
    "environment",
    "reason",
    "pinned",
    "labels",
    "globals",
    "compression",
    "compression_level",
    "part_size",
    "lock_wait_timeout",
    "fingerprint",
    "verify",
    "pg_bin_dir",
)


def main() -> None:
    patterns = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            **POSTGRESQL_SPEC,
            **STORE_SPEC,
            **STORE_WRITE_SPEC,
            **dict.fromkeys(_SELECTION, patterns),
            "name": {"type": "str"},
            "environment": {"type": "str"},
            "reason": {"type": "str", "choices": ["scheduled", "manual", "pre_restore", "incident"], "default": "manual"},
            "pinned": {"type": "bool", "default": False},
            "labels": {"type": "dict", "default": {}},
            "globals": {"type": "bool", "default": False},
            "compression": {"type": "str", "choices": ["auto", "zstd", "lz4", "gzip", "none"], "default": "auto"},
            "compression_level": {"type": "int"},
            "part_size": {"type": "int"},
            "lock_wait_timeout": {"type": "int", "default": 60},
            "timeout": {"type": "int"},
            "fingerprint": {"type": "str", "choices": ["none", "counts", "content"], "default": "content"},
            "verify": {"type": "str", "choices": ["hash", "decode"], "default": "decode"},
            "pg_bin_dir": {"type": "path"},
        },
        mutually_exclusive=POSTGRESQL_EXCLUSIVE + STORE_EXCLUSIVE + STORE_WRITE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        login = login_from(params, f"workon.postgresql_backup on {socket.gethostname()}, process {os.getpid()}", secrets)
        store = open_store(params, secrets)
        selection = Selection(**{option: tuple(params[option]) for option in _SELECTION})
        request = BackupRequest(selection=selection, **{option: params[option] for option in _AS_THEY_ARE})
        with TimeLimit(params["timeout"]) as limit, Session(login) as session:
            plan = plan_backup(request, session, store, utc_now())
            if module.check_mode:
                return plan_result(plan.as_dict(), plan.store.as_dict(), list(plan.warnings))
            result = carry_out(plan, session, store, clock=utc_now, redact=secrets.redact, limit=limit, progress=silent)
        return backup_result(result.manifest, result.address, plan.store.as_dict(), result.duration)

    run_module(module, work)


if __name__ == "__main__":
    main()
