#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_database_info
short_description: Look at a live PostgreSQL database, and how it differs from a backup
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Returns what a live database holds, with the facts that the manifest of a backup has. Tables with their rows and sizes, sequences, large objects,
    extensions, roles, the state of Prisma's migrations, the database's own properties, its environment tag and its part in a restore.
  - Everything but the values of sequences is read in one snapshot, so it is the state of one moment however busy the database is.
  - With O(compare_with) a backup is put beside it. What differs is what a restore of that backup would change.
  - With O(checks) the module fails where the database is not as it should be, and returns its facts all the same.
  - Never writes. It waits for nobody longer than O(lock_wait_timeout), and readers and writers of the database do not wait for it.
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
  fingerprint:
    description:
      - What is read of every table.
      - V(counts) counts the rows, V(content) hashes their content as well, which reads every value,
        V(none) reads no rows and no values of sequences, and needs no right to.
    type: str
    choices: [none, counts, content]
    default: counts
  lock_wait_timeout:
    description:
      - How many seconds to wait for a table that another session has locked before the run fails.
    type: int
    default: 60
  compare_with:
    description:
      - The backup to compare with, in the store that the store's options mean. Without it no store is asked.
      - V(latest) is the newest valid backup taken by schedule or by hand, C(before:2026-01-08T10:30:00Z) the newest one of those whose content is of
        before that time, anything else is a key of the catalog.
      - Rows are compared where O(fingerprint) is not V(none), their content where it is V(content) and the backup was taken so as well.
    type: str
  name:
    description:
      - The name of the backups for O(compare_with).
      - Without it that of the key, else the database's name. A database that is a copy of another one needs the name of that one's backups.
    type: str
seealso:
  - module: workon.postgresql_backup.pg_backup
  - module: workon.postgresql_backup.pg_backup_info
  - module: workon.postgresql_backup.pg_environment
  - module: workon.postgresql_backup.pg_restore_safe
"""

EXAMPLES = r"""
- name: See what a database holds
  workon.postgresql_backup.pg_database_info:
    database_url: "{{ lookup('ansible.builtin.env', 'DATABASE_URL') }}"
  register: live

- name: Show how many users there are
  ansible.builtin.debug:
    msg: "{{ live.tables['public.users'].rows }}"

- name: Require that the application works, after a deployment or a restore by other means
  workon.postgresql_backup.pg_database_info:
    database_url: "{{ lookup('ansible.builtin.env', 'DATABASE_URL') }}"
    fingerprint: none
    checks:
      min_rows:
        - name: There are users
          table: users
          rows: 1
      max_age:
        - name: Orders come in
          column: orders.created_at
          age: 24h
      http:
        - name: The application answers
          url: https://www.example.com/healthz

- name: See what a restore of the newest backup would change, to the last value
  workon.postgresql_backup.pg_database_info:
    database_url: "{{ lookup('ansible.builtin.env', 'DATABASE_URL') }}"
    bucket: workon-backups
    name: workon
    compare_with: latest
    fingerprint: content

- name: Read the environment tag and the sizes with a role that may do nothing but connect
  workon.postgresql_backup.pg_database_info:
    login_host: db.example.com
    login_user: monitor
    database: workon
    fingerprint: none
"""

RETURN = r"""
msg:
  description: What was found, in one or two sentences.
  returned: always
  type: str
database:
  description: The database's name.
  returned: success, and when a check failed
  type: str
  sample: workon
server:
  description: The server's address, version and system identifier, and as whom it was asked.
  returned: success, and when a check failed
  type: dict
  sample: {"host": "db.example.com", "port": 5432, "version": "17.5", "version_num": 170005, "role": "workon", "tls": true, "clock_skew": 0.1}
snapshot_at:
  description: The moment of everything that is returned.
  returned: success, and when a check failed
  type: str
  sample: "2026-01-08T10:30:00.500Z"
size:
  description: The database's size on the server in bytes, 0 where this role may not know it.
  returned: success, and when a check failed
  type: int
properties:
  description:
    - What belongs to the database itself, as in the manifest of a backup. Owner, encoding, locale, settings, privileges, the whole comment.
    - Of settings whose names have a dot, in which applications keep secrets, C(hidden) names the parameters and nothing has the values.
  returned: success, and when a check failed
  type: dict
environment:
  description: The environment tag, null where there is none or it cannot be read.
  returned: success, and when a check failed
  type: str
  sample: staging
counts_as_production:
  description: Whether restores treat the database as production. One without a tag is.
  returned: success, and when a check failed
  type: bool
tag_problem:
  description: Why the tag cannot be read, null where nothing is wrong with it.
  returned: success, and when a check failed
  type: str
restore:
  description: The mark that says which part the database has in a restore, null where there is none.
  returned: success, and when a check failed
  type: dict
fingerprint:
  description: How rows and content were read.
  returned: success, and when a check failed
  type: dict
  sample: {"method": "counts", "recipe": 1, "server_version": "17.5"}
tables:
  description:
    - The tables whose rows a backup would hold, by qualified name.
    - C(rows) is null where O(fingerprint=none), C(content) where it is not V(content). The sizes are in bytes, that of the indexes apart.
  returned: success, and when a check failed
  type: dict
  sample: {"public.users": {"rows": 42, "content": null, "size": 16384, "index_size": 32768}}
sequences:
  description: The values of the sequences by qualified name, null where O(fingerprint=none).
  returned: success, and when a check failed
  type: dict
  sample: {"public.users_id_seq": {"last_value": 42, "is_called": true}}
large_objects:
  description: Number and content hash of the large objects.
  returned: success, and when a check failed
  type: dict
extensions:
  description: The extensions with their versions.
  returned: success, and when a check failed
  type: dict
  sample: {"plpgsql": "1.0"}
roles:
  description: The roles that own something in the database or were granted something.
  returned: success, and when a check failed
  type: list
  elements: str
prisma:
  description: The last of Prisma's migrations, how many are applied and which failed, null where exactly one table of them is not found.
  returned: success, and when a check failed
  type: dict
  sample: {"last": "20260101120000_init", "applied": 1, "failed": []}
defects:
  description: Invalid indexes and constraints that were never validated.
  returned: success, and when a check failed
  type: dict
  sample: {"invalid_indexes": [], "unvalidated_constraints": []}
omitted:
  description: What a backup would not hold the rows of, each with the reason.
  returned: success, and when a check failed
  type: list
  elements: dict
capabilities:
  description:
    - What a restore into this database would find. The role's rights (C(superuser), C(createdb), C(owner)), another database of the server that it can
      connect to (C(maintenance_database)), what would stay behind with a renamed database (C(replication_slots), C(subscriptions),
      C(prepared_transactions)), and whether the connection leads to a C(standby) or through a C(pooler).
    - C(swap_obstacles) are the reasons why a restore could not load a second database and exchange the names, as sentences. None means that it could.
    - C(free_disk) is in bytes, null where the server does not tell.
  returned: success, and when a check failed
  type: dict
  sample: {"superuser": false, "createdb": true, "owner": true, "maintenance_database": "postgres", "standby": false, "pooler": false, "swap_obstacles": []}
checks:
  description: The checks with what each found.
  returned: success, and when a check failed
  type: list
  elements: dict
  contains:
    name:
      description: The check's name for people.
      type: str
      returned: success, and when a check failed
      sample: There are users
    kind:
      description: Which kind of check it is, as in O(checks).
      type: str
      returned: success, and when a check failed
      sample: min_rows
    passed:
      description: Whether it passed. A check that could not run did not.
      type: bool
      returned: success, and when a check failed
    detail:
      description: What was found, or why the check could not run.
      type: str
      returned: success, and when a check failed
      sample: public.users has at least 1 row.
difference:
  description: The backup beside the live database, null without O(compare_with).
  returned: success, and when a check failed
  type: dict
  contains:
    same:
      description: Whether nothing that was compared differs, null where no rows were compared.
      type: bool
      returned: success, and when a check failed
    level:
      description: How closely was compared, C(content), C(counts) or C(none).
      type: str
      returned: success, and when a check failed
    backup:
      description: Which backup it is. Its key, identifier, name, environment, source, and the moment of its content.
      type: dict
      returned: success, and when a check failed
    age:
      description: How old the content of the backup is, which is the time whose writes a restore would lose.
      type: dict
      returned: success, and when a check failed
      sample: {"seconds": 10920, "for_people": "3 h 2 min"}
    differences:
      description: Everything that differs, as sentences. The live database has the one instead of the other, which the backup has.
      type: list
      elements: str
      returned: success, and when a check failed
      sample: ["Table public.users has 41 rows instead of 42."]
    not_compared:
      description: What could not be compared and why, as sentences.
      type: list
      elements: str
      returned: success, and when a check failed
    tables:
      description:
        - Every table with its rows in the backup and now.
        - C(state) is C(same), C(same_rows) where the content was not compared, C(changed), C(missing) in the database, C(new) since the backup,
          or C(not_compared).
      type: dict
      returned: success, and when a check failed
      sample: {"public.users": {"rows_in_backup": 42, "rows_now": 41, "state": "changed"}}
    sequences:
      description: The sequences of the backup that have another value now, or are missing.
      type: dict
      returned: success, and when a check failed
    large_objects:
      description: Number and content hash of the large objects in the backup and now.
      type: dict
      returned: success, and when a check failed
    extensions:
      description: The extensions that have another version, are missing or are new.
      type: dict
      returned: success, and when a check failed
      sample: {"citext": {"in_backup": "1.5", "now": "1.6"}}
    prisma:
      description: The state of Prisma's migrations in the backup and now.
      type: dict
      returned: success, and when a check failed
    server_version:
      description: The version of the server that was backed up, and of this one.
      type: dict
      returned: success, and when a check failed
      sample: {"in_backup": "15.9", "now": "17.5"}
refusals:
  description: Everything that this role may not read, as sentences.
  returned: when the role may not read everything
  type: list
  elements: str
"""

import os
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import CHECKS_SPEC, check_secrets, parse_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_info import info_result, require_checks
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_EXCLUSIVE, POSTGRESQL_SPEC, login_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_EXCLUSIVE, STORE_SPEC, STORE_TOGETHER, open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.database_info import DatabaseInfoRequest, inspect_database
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import silent


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **POSTGRESQL_SPEC,
            **STORE_SPEC,
            **CHECKS_SPEC,
            "fingerprint": {"type": "str", "choices": ["none", "counts", "content"], "default": "counts"},
            "lock_wait_timeout": {"type": "int", "default": 60},
            "compare_with": {"type": "str"},
            "name": {"type": "str"},
        },
        mutually_exclusive=POSTGRESQL_EXCLUSIVE + STORE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        secrets.add(*check_secrets(params["checks"]))
        login = login_from(params, f"workon.postgresql_backup on {socket.gethostname()}, process {os.getpid()}", secrets)
        store = open_store(params, secrets) if params["compare_with"] else None
        checks = parse_checks(params["checks"])
        request = DatabaseInfoRequest(params["fingerprint"], params["lock_wait_timeout"], params["compare_with"], params["name"], checks)
        with Session(login) as session:
            info = inspect_database(request, session, store, clock=utc_now, redact=secrets.redact, progress=silent)
        return require_checks({**info_result(info), "warnings": list(login.notes)})

    run_module(module, work)


if __name__ == "__main__":
    main()
