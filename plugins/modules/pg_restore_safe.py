#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore_safe
short_description: Restore a PostgreSQL database without being able to hurt it
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Reads the archive to its end, backs up the live database, loads the archive into a second database beside it, proves rows and content of
    every table against the backup's manifest, and only then exchanges the names of the two in one transaction.
  - Up to that exchange the live database is as it was, whatever fails. After it the database from before is kept,
    and O(state=rolled_back) brings it back at once.
  - Where this role may not create databases, the same is done with schemas, or in place, each in one transaction
    that is committed only when its content is proved.
  - Nothing is written before every safeguard has passed; all reasons against a restore are reported together.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._postgresql
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
  - workon.postgresql_backup._store.write
  - workon.postgresql_backup._checks
attributes:
  check_mode:
    support: full
    details:
      - Runs every safeguard, reads the archive to its end, and returns the plan.
        Where a safety backup is due, a probe object is written to the store and removed again.
  diff_mode:
    support: full
    details:
      - Shows the rows of each table, now and in the backup, and the time whose writes are not in the backup.
  idempotent:
    support: partial
    details:
      - O(state=restored) restores on every invocation. After an interruption it goes on from where the run before ended, if it is asked for the same.
      - O(state=rolled_back) and O(state=finalized) change nothing the second time.
options:
  state:
    description:
      - V(restored) restores.
      - V(rolled_back) exchanges the database with the one from before the last restore. What was restored is kept aside.
        Where something is kept and nothing says any more that the live database took its place, that is named and nothing is exchanged.
      - V(finalized) drops what restores into this database have kept for longer than O(keep_previous), and nothing without the mark of a restore.
        Each is dropped only where O(environment) and O(allow_production) permit it by its own tag, and none while the database itself does not exist.
        Nor are schemas while something elsewhere depends on what is in them, such as an event trigger or an index; it is named.
    type: str
    choices: [restored, rolled_back, finalized]
    default: restored
  backup:
    description:
      - What to restore. V(latest) is the newest valid backup of O(name), C(before:2026-01-08T10:30:00Z) the newest valid one whose content is of before
        that time; both pass over backups taken before a restore or of an incident. A newer one that is not valid is passed over with a warning.
      - Else a key of the catalog, C(s3://bucket/key), or a path of the host that runs the module (beginning with C(/), C(./), C(../) or C(~)).
      - An archive without a manifest, made by C(pg_dump --format=custom) or another tool, is taken by its address or path. It is decoded to its end,
        and the result says what could not be proved.
    type: str
    default: latest
  name:
    description:
      - The name of the backups to choose from. It is needed where the store holds backups of several names.
    type: str
  environment:
    description:
      - What the target is for, for example V(staging). It must be the environment with which the database is tagged
        (M(workon.postgresql_backup.pg_environment)); a database without a tag counts as production.
      - A database that does not exist yet is created with this tag.
    type: str
    required: true
  allow_production:
    description:
      - Permits a target that is production, which is every environment called C(live) or beginning with C(prod), and every database without a tag.
    type: bool
    default: false
  confirm:
    description:
      - For production, the phrase that the plan (check mode) prints. It holds for one backup and for the database as it is now;
        after a restore, and after going back from one, another phrase is needed. With V(schema_swap) and V(in_place) also after a table was created or dropped.
    type: str
  protected_hosts:
    description:
      - Patterns of hosts that are never restored into, for example V(db.example.com) or V(*.prod.example.com). C(host:port),
        C(host/database) and C(host:port/database) are matched as well. They win over everything that permits.
    type: list
    elements: str
    default: []
  same_database:
    description:
      - Says that the backup is of the target itself, which goes back in time. Refused when it is not so, as is a backup of the target where this is not said.
    type: bool
    default: false
  allow_cross_environment:
    description:
      - Permits to restore a backup of another environment into production.
    type: bool
    default: false
  allow_older_server:
    description:
      - Permits to try a backup of a newer PostgreSQL than the target's.
    type: bool
    default: false
  acknowledge_replication:
    description:
      - Says that somebody takes care of the target's logical replication slots and subscriptions, which stay with the database from before.
    type: bool
    default: false
  allow_partial:
    description:
      - Permits a backup that left something out (O(workon.postgresql_backup.pg_backup#module:schemas),
        O(workon.postgresql_backup.pg_backup#module:exclude_schemas), O(workon.postgresql_backup.pg_backup#module:exclude_tables),
        O(workon.postgresql_backup.pg_backup#module:exclude_table_data)) although the live database has what it lacks, which the restore then takes away.
        With V(swap) that is all of it, with V(schema_swap) tables within the exchanged schemas, with V(in_place) rows.
        Refused without this, naming what would be lost.
      - It is also needed for an archive without a manifest that has the definition of a table, but not the rows which the live database has.
        What else such an archive left out nobody knows.
    type: bool
    default: false
  skip_safety_backup:
    description:
      - Leaves out the backup of the live database; the only value is V(i_accept_data_loss). Not needed where there is nothing to lose.
    type: str
  safety_name:
    description:
      - The name of the safety backup. By default that of the backup, if that is of the target itself,
        else the database's name with the environment, as in V(workon-staging).
    type: str
  strategy:
    description:
      - V(swap) loads a second database and exchanges the names.
      - V(schema_swap) does the same with the schemas of the archive inside of the target, in one transaction.
      - V(in_place) replaces the objects of the archive inside of the target, in one transaction.
      - V(auto) takes the first of these that the role's rights permit. The result says which and why.
    type: str
    choices: [auto, swap, schema_swap, in_place]
    default: auto
  ownership:
    description:
      - Whose objects are and who may use them. V(archive) as the archive says, V(live) as in the live database,
        V(operator) all belongs to the role that restores.
      - V(auto) is V(archive) where all roles exist and may be set, else V(live). It also keeps what roles may do now, for example a role that was given
        its rights after the backup, and fails before the swap where it cannot. V(archive) only warns of what roles lose.
    type: str
    choices: [auto, archive, live, operator]
    default: auto
  role_map:
    description:
      - Roles of the archive and the roles of this server that take their place.
    type: dict
    default: {}
  exclude_extensions:
    description:
      - Extensions of the archive that are not created.
    type: list
    elements: str
    default: []
  unrestorable:
    description:
      - What to do with entries of the archive that only a superuser may create, when the role is none.
      - V(refuse) names them and stops, V(skip) leaves them out and names each in the result, V(attempt) tries, for hosts that permit more than PostgreSQL says.
    type: str
    choices: [refuse, skip, attempt]
    default: refuse
  no_tablespaces:
    description:
      - Puts everything into the database's own tablespace.
    type: bool
    default: false
  allow_residue:
    description:
      - For O(strategy=in_place), permits objects in the target that the archive does not know, in whatever schema.
        They stay, and the result names some of them.
    type: bool
    default: false
  fingerprint:
    description:
      - How closely the restored content is compared with the manifest. V(content) compares rows and a content hash of every table, V(counts) the rows,
        V(none) nothing. The result says what was not compared.
    type: str
    choices: [content, counts, none]
    default: content
  jobs:
    description:
      - How many connections load and prove at a time. By default as many as the host that runs the module has processors, but at most 8, and at most
        a third of those that the role could open now, so that applications keep theirs.
      - More than the role could open now are refused.
    type: int
  spool_directory:
    description:
      - Where the archive is kept while it is restored, in a file without a name that only this run can read.
        By default the host's directory for temporary files.
      - Where it has no room the archive is read twice from the store and needs no disk.
    type: path
  available_disk:
    description:
      - The bytes free on the server's disk, where only its provider knows them.
        Otherwise they are looked up if the server runs on the host that runs the module.
      - Where nobody knows them, a warning says how much the restored copy needs.
    type: int
  keep_previous:
    description:
      - For how many hours O(state=finalized) keeps what restores have replaced.
    type: float
    default: 72
  maintenance_database:
    description:
      - Another database of the server, from which databases are created and renamed. By default C(postgres), else C(template1).
    type: str
  lock_wait_timeout:
    description:
      - How many seconds the safety backup, and a restore inside of the target, wait for a table that another session has locked.
    type: int
    default: 60
  timeout:
    description:
      - How many seconds the restore may take up to the exchange. At its end everything is stopped and the copy dropped.
    type: int
  pg_bin_dir:
    description:
      - The directory of the client programs. Without it the installed ones are searched, and a version that fits archive and server is chosen.
    type: path
seealso:
  - module: workon.postgresql_backup.pg_backup
  - module: workon.postgresql_backup.pg_backup_info
  - module: workon.postgresql_backup.pg_database_info
  - module: workon.postgresql_backup.pg_environment
requirements:
  - pg_restore of the version of the C(pg_dump) that made the archive, or newer; pg_dump for the safety backup
"""

EXAMPLES = r"""
- name: Restore the newest backup of production into staging
  workon.postgresql_backup.pg_restore_safe:
    database_url: "{{ vault_staging_url }}"
    environment: staging
    bucket: workon-backups
    name: workon
    checks:
      min_rows:
        - {name: Users can log in, table: users, rows: 1}
      http:
        - {name: The application is well, url: "https://staging.example.com/healthz"}

- name: Go back to before the incident, in production
  workon.postgresql_backup.pg_restore_safe:
    database_url: "{{ vault_production_url }}"
    environment: production
    allow_production: true
    confirm: "{{ phrase_from_the_plan }}"
    same_database: true
    bucket: workon-backups
    name: workon
    backup: before:2026-01-08T09:30:00Z

- name: No, go back to how it was before the restore
  workon.postgresql_backup.pg_restore_safe:
    database_url: "{{ vault_staging_url }}"
    environment: staging
    state: rolled_back

- name: Drop what restores have kept for three days
  workon.postgresql_backup.pg_restore_safe:
    database_url: "{{ vault_staging_url }}"
    environment: staging
    state: finalized
"""

RETURN = r"""
msg:
  description: What happened or would happen, in one sentence.
  returned: always
  type: str
restore_id:
  description: The id of the restore, which the database's comment and the journal bear as well.
  returned: success
  type: str
target:
  description: The database restored into, as it was found, with what the role may do there.
  returned: when O(state=restored)
  type: dict
backup:
  description: The backup that was restored.
  returned: when O(state=restored)
  type: dict
  contains:
    address:
      description: Where the archive lies.
      type: str
      returned: success
    snapshot_at:
      description: The moment whose state it holds.
      type: str
      returned: success
    manifest:
      description: Whether it has one.
      type: bool
      returned: success
strategy:
  description: The strategy and why it was chosen.
  returned: when O(state=restored)
  type: dict
  sample: {"name": "swap", "why": "the role postgres may create a database and rename this one"}
ownership:
  description: Whose the restored objects are and why.
  returned: when O(state=restored)
  type: dict
skipped_entries:
  description: The entries of the archive that were not restored, one by one, each with the reason.
  returned: when O(state=restored)
  type: list
  elements: dict
data_loss_window:
  description: The time whose writes are not in the backup.
  returned: when O(state=restored)
  type: dict
  sample: {"from": "2026-01-08T03:00:01.000Z", "to": "2026-01-08T10:30:00.000Z", "seconds": 26999, "text": "7 h 29 min"}
safety_plan:
  description: Where the safety backup goes, or why there is none.
  returned: when O(state=restored)
  type: str
safety_backup:
  description: The safety backup's C(key), C(address), C(backup_id) and C(size).
  returned: after a restore that took one
  type: dict
proof:
  description: The comparison with the manifest, table by table.
  returned: after a restore
  type: dict
  contains:
    level:
      description: Whether content or only rows were compared, or nothing.
      type: str
      returned: success
    tables:
      description: The rows of each table in the backup and restored, and whether its content is equal.
      type: list
      elements: dict
      returned: success
    unproved:
      description: What nobody could compare, and what the backup does not hold of its source, as sentences.
      type: list
      elements: str
      returned: success
checks:
  description: The checks with what each found.
  returned: after a restore, and when a check failed
  type: list
  elements: dict
states:
  description: The states of the restore, each with its time and how many seconds it took.
  returned: after a restore, and when one failed after its plan
  type: list
  elements: dict
previous:
  description: What the database (or schema) from before is called now.
  returned: after a restore and a rollback
  type: str
rejected:
  description: What the restored database is called after it was swapped back.
  returned: after a rollback
  type: str
go_back:
  description: What to run to have the state from before the restore again.
  returned: after a restore
  type: str
confirm:
  description: The phrase to repeat in O(confirm), for production.
  returned: success
  type: str
tables:
  description: The rows of each table, now and in the backup.
  returned: in check mode and diff mode
  type: list
  elements: dict
interrupted:
  description: What an interrupted restore left, and what is done about it.
  returned: when O(state=restored)
  type: list
  elements: str
jobs:
  description: How many connections load and prove at a time.
  returned: when O(state=restored)
  type: int
client:
  description: The client programs used.
  returned: when O(state=restored)
  type: dict
duration:
  description: How many seconds the restore took, from the safety backup to the last check.
  returned: after a restore
  type: float
dropped:
  description: The databases that were dropped.
  returned: when O(state=finalized)
  type: list
  elements: str
kept:
  description: The databases that are kept, and until when.
  returned: when O(state=finalized)
  type: list
  elements: dict
refusals:
  description: Every reason why the restore was refused before anything was written.
  returned: when a safeguard refused it
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_EXCLUSIVE, POSTGRESQL_SPEC
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.restore import RESTORE_SPEC, restore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import (
    STORE_EXCLUSIVE,
    STORE_SPEC,
    STORE_TOGETHER,
    STORE_WRITE_EXCLUSIVE,
    STORE_WRITE_SPEC,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**POSTGRESQL_SPEC, **STORE_SPEC, **STORE_WRITE_SPEC, **RESTORE_SPEC},
        mutually_exclusive=POSTGRESQL_EXCLUSIVE + STORE_EXCLUSIVE + STORE_WRITE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        # pylint: disable-next=protected-access
        return restore(module.params, secrets, check_mode=module.check_mode, diff_mode=module._diff)

    run_module(module, work)


if __name__ == "__main__":
    main()
