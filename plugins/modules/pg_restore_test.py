#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore_test
short_description: Prove that a backup can be restored, by restoring it
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Restores a backup into a scratch database, proves rows and content of every table against the backup's manifest, runs O(checks),
    measures how long it took and how old the data are, drops the scratch database, and puts a record of it beside the backup. The manifest stays as it is.
  - The verdict is V(passed), V(failed) (this backup does not restore to what was backed up), or V(could_not_verify) (something else was in the way).
    The last two fail the task; they are recorded as well.
  - Without a server it runs on a private one, which is made for the purpose from the PostgreSQL programs of this host and removed afterwards.
    It has no network address, and it ends with this task, however that ends. As durability has no use there, it is faster than a server in use.
  - A database that exists is never touched. What a run that was killed has left, the next one drops.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._postgresql
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
  - workon.postgresql_backup._checks
attributes:
  check_mode:
    support: full
    details:
      - Runs every safeguard, reads the archive to its end, and restores nothing. A private server is made for that, too.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Tests on every invocation.
options:
  backup:
    description:
      - What to test. V(latest) is the newest valid backup of O(name), C(before:2026-01-08T10:30:00Z) the newest valid one whose content is of before
        that time, anything else a key of the catalog.
    type: str
    default: latest
  name:
    description:
      - The name of the backups. Needed where the store holds backups of several names and O(backup) is not a key.
    type: str
  database_url:
    description:
      - A server to test on, by the URL of any of its databases that exists; the scratch database is made beside it.
      - When neither this nor any of O(login_host), O(login_port), O(login_user) and O(login_unix_socket) is set, the test runs on a private server.
        The environment variable E(DATABASE_URL) is not looked at.
    type: str
  environment:
    description:
      - What the server's databases are for. Needed with a server, and compared with the tag of the database that the login names.
    type: str
  allow_production:
    description:
      - Permits a test on a server of production, whose disk, memory and processors it takes part of.
    type: bool
    default: false
  protected_hosts:
    description:
      - Patterns of hosts on which nothing is ever restored.
    type: list
    elements: str
    default: []
  ownership:
    description:
      - V(auto) restores owners and privileges as they are in the archive where the server has the roles, which a private one always has,
        and else says that they were not tested. V(archive) insists on them, V(operator) leaves them out.
    type: str
    choices: [auto, archive, operator]
    default: auto
  role_map:
    description:
      - Roles of the server that take the place of roles of the archive.
    type: dict
    default: {}
  exclude_extensions:
    description:
      - Extensions to leave out, where the server does not have them and nothing needs them.
    type: list
    elements: str
    default: []
  unrestorable:
    description:
      - What to do about entries of the archive that the role may not restore. On a private server there are none.
    type: str
    choices: [refuse, skip, attempt]
    default: refuse
  no_tablespaces:
    description:
      - Puts everything into the server's default tablespace, as a private server always does.
    type: bool
    default: false
  jobs:
    description:
      - How many connections load at a time. By default one for each processor, but at most 8, and at most a third of those that the role could open now.
      - More than the role could open now are refused.
    type: int
  spool_directory:
    description:
      - Where the archive, and a private server, have their files. By default the system's directory for temporary files.
    type: path
  available_disk:
    description:
      - The bytes that the server's disk has free, where it does not tell. Without them, a warning says how much the restored copy needs.
    type: int
  maintenance_database:
    description:
      - Another database of the server to connect to. By default the one that the login names.
    type: str
  scratch_ttl:
    description:
      - How old a scratch database of another name has to be before it is dropped as left over by a run that was killed, such as V(24h).
    type: str
    default: 24h
  timeout:
    description:
      - How many seconds the test may take. At its end it could not verify the backup.
    type: int
  pg_bin_dir:
    description:
      - The directory of the client programs, and of the server programs for a private server. Without it the installed ones are searched.
    type: path
notes:
  - Ages in O(checks) are told as of the moment that the backup holds. Checks over HTTP are left out, as no application serves the scratch database.
  - Where root runs it, a private server runs as the user V(postgres), or as V(nobody) where there is none. Who is that user can read the data meanwhile.
  - The keys for the store must be allowed to write C(<archive>.tests/<time>.json).
seealso:
  - module: workon.postgresql_backup.pg_backup
  - module: workon.postgresql_backup.pg_restore_safe
  - module: workon.postgresql_backup.pg_database_info
  - module: workon.postgresql_backup.s3_retention
requirements:
  - pg_restore of the version of the C(pg_dump) that made the archive, or newer
  - for a private server the programs C(initdb) and C(postgres) of the version of the backup's server, or newer, and C(setpriv) where root runs it
"""

EXAMPLES = r"""
- name: Prove the newest backup on this host, once a month
  workon.postgresql_backup.pg_restore_test:
    bucket: workon-backups
    name: workon
    checks:
      min_rows:
        - {name: Users are there, table: users, rows: 1}
      max_age:
        - {name: Somebody was at work on the day of the backup, column: missions.created_at, age: 24h}
      prisma: sql

- name: Prove a certain backup on staging's server
  workon.postgresql_backup.pg_restore_test:
    database_url: "{{ vault_staging_url }}"
    environment: staging
    bucket: workon-backups
    backup: workon_2026-01-08_103000.dump
"""

RETURN = r"""
msg:
  description: The verdict in one sentence, with the reasons.
  returned: always
  type: str
verdict:
  description: V(passed), V(failed) or V(could_not_verify); V(planned) in check mode.
  returned: always but for options that are refused
  type: str
  sample: passed
reasons:
  description: What speaks against the backup, or kept it from being judged, as sentences.
  returned: always but for options that are refused
  type: list
  elements: str
backup:
  description: The backup that was tested, with its C(key), C(address), C(backup_id), C(name) and C(snapshot_at).
  returned: when a backup was found
  type: dict
record:
  description: The key of the record in the store.
  returned: when a backup was found
  type: str
  sample: workon_2026-01-08_103000.dump.tests/2026-01-09_040000_123.json
rto:
  description: How many seconds the restore took, from the first byte read to the last check.
  returned: when a backup was found
  type: float
rpo:
  description: How many seconds old the data were when the test began.
  returned: when a backup was found
  type: float
level:
  description: What was compared with the manifest, V(content) or V(counts).
  returned: when a backup was found
  type: str
tables:
  description: How many tables were restored.
  returned: when a backup was found
  type: int
rows:
  description: How many rows they have.
  returned: when a backup was found
  type: int
database_size:
  description: The bytes of the restored database on its server's disk.
  returned: when a backup was found
  type: int
archive_size:
  description: The bytes of the archive.
  returned: when a backup was found
  type: int
proof:
  description: The comparison with the manifest, table by table, as M(workon.postgresql_backup.pg_restore_safe) returns it.
  returned: when a backup was found
  type: dict
checks:
  description: The results of the checks.
  returned: when a backup was found
  type: list
  elements: dict
server:
  description: The server that it was tested on.
  returned: when a backup was found
  type: dict
  sample: {"version": "17.6", "address": "backup1", "private": true}
dropped:
  description: What tests that were killed had left on the server, and was dropped.
  returned: when a backup was found
  type: list
  elements: str
left_behind:
  description: Scratch databases that could not be dropped.
  returned: when a backup was found
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_EXCLUSIVE, POSTGRESQL_SPEC
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.restore_test import RESTORE_TEST_SPEC, test_restore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_EXCLUSIVE, STORE_SPEC, STORE_TOGETHER


def main() -> None:
    module = AnsibleModule(
        argument_spec={**POSTGRESQL_SPEC, **STORE_SPEC, **RESTORE_TEST_SPEC},
        mutually_exclusive=POSTGRESQL_EXCLUSIVE + STORE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        return test_restore(module.params, secrets, check_mode=module.check_mode)

    run_module(module, work)


if __name__ == "__main__":
    main()
