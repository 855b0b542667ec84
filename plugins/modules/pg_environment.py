#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_environment
short_description: Say in a database which environment it is
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Writes the environment tag of a PostgreSQL database, for example V(production) or V(staging), into the database's comment, or takes it away.
  - Restores compare the tag with the environment that they were told, so that a mistyped address does not cost a database.
    A database without a tag counts as production, and so does one whose tag is V(live) or begins with C(prod).
  - What people wrote into the comment stays, and so does the mark that a restore left there.
  - The comment belongs to the database and not to its content, so a restore does not carry the tag to another database.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._postgresql
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the whole comment before and after.
  idempotent:
    support: full
options:
  environment:
    description:
      - The environment to tag the database with. It begins with a lower-case letter and holds lower-case letters, digits, dashes and underscores.
      - Required when O(state=present).
      - When O(state=absent), only this tag is taken away and another one is refused. Without it any is taken away.
    type: str
  state:
    description:
      - Whether the database carries the tag.
    type: str
    choices: [present, absent]
    default: present
  allow_production:
    description:
      - Whether the tag of a production database may be taken away, or replaced by one that does not count as production.
      - The first tag of a database that has none does not need it.
    type: bool
    default: false
  replace_unreadable:
    description:
      - Whether a tag that cannot be read is replaced. It may have said production, or belong to a restore that is not finished, so without this it is refused.
      - The lines of the comment that hold the tag or a piece of it are replaced; all other lines stay.
    type: bool
    default: false
notes:
  - Only the database's owner, a member of that role or a superuser can change the tag. Who changes nothing needs only to connect.
  - A connection pooler between does no harm. A standby takes no tag; it has that of its primary.
seealso:
  - module: workon.postgresql_backup.pg_backup
"""

EXAMPLES = r"""
- name: Say once which database is production
  workon.postgresql_backup.pg_environment:
    database_url: "{{ lookup('ansible.builtin.env', 'DATABASE_URL') }}"
    environment: production

- name: See which environment a database says it is
  workon.postgresql_backup.pg_environment:
    login_host: db.example.com
    login_user: workon
    database: workon
    environment: staging
  check_mode: true
  register: tag

- name: Retire a production database, so that it can be restored into as staging
  workon.postgresql_backup.pg_environment:
    login_host: db.example.com
    login_user: workon
    database: workon_old
    environment: staging
    allow_production: true

- name: Take the tag away, if it is staging
  workon.postgresql_backup.pg_environment:
    login_host: db.example.com
    login_user: workon
    database: workon_staging
    environment: staging
    state: absent
"""

RETURN = r"""
msg:
  description: What was done, in one sentence.
  returned: always
  type: str
database:
  description: The database's name.
  returned: success, and when a safeguard refused the change
  type: str
  sample: workon
environment:
  description:
    - The tag after the run, in check mode the one that it would be, null where there is none.
    - When a safeguard refused the change, the tag that the database has.
  returned: success, and when a safeguard refused the change
  type: str
  sample: staging
previous_environment:
  description: The tag before the run, null where there was none or it could not be read.
  returned: success
  type: str
  sample: production
counts_as_production:
  description: Whether restores treat a database with the tag RV(environment) as production. One without a tag is.
  returned: success
  type: bool
restore:
  description: The mark in the comment that says which part the database has in a restore, null where there is none.
  returned: success
  type: dict
comment:
  description: The whole comment after the run, in check mode what it would be, null where there is none.
  returned: success
  type: str
  sample: |-
    The shop's database
    [workon.postgresql_backup {"environment": "staging"}]
refusals:
  description: Every reason why the change was refused before anything was written.
  returned: when a safeguard refused it
  type: list
  elements: str
"""

import os
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import check_environment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.environment import EnvironmentRequest, environment_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_EXCLUSIVE, POSTGRESQL_SPEC, login_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.environment import change_environment


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **POSTGRESQL_SPEC,
            "environment": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "allow_production": {"type": "bool", "default": False},
            "replace_unreadable": {"type": "bool", "default": False},
        },
        mutually_exclusive=POSTGRESQL_EXCLUSIVE,
        required_if=[("state", "present", ["environment"])],
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        login = login_from(params, f"workon.postgresql_backup on {socket.gethostname()}, process {os.getpid()}", secrets)
        environment = None if params["environment"] is None else check_environment(params["environment"])
        request = EnvironmentRequest(environment, params["state"] == "absent", params["allow_production"], params["replace_unreadable"])
        with Session(login) as session:
            change = change_environment(request, session, check_mode=module.check_mode)
        return {**environment_result(change, check_mode=module.check_mode), "warnings": list(login.notes)}

    run_module(module, work)


if __name__ == "__main__":
    main()
