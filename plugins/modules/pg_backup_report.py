#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_report
short_description: Write a page on the backups of a store for people
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Writes one self-contained HTML page on what M(workon.postgresql_backup.pg_backup) and M(workon.postgresql_backup.pg_restore_test) have stored.
  - At its top stand the verdicts of M(workon.postgresql_backup.pg_backup_health) with every reason, then for each name a calendar of its backups,
    their size and duration over time, the restore tests with their verdict and time to restore, the newest backups, what retention will delete next,
    and what lies in the store and is no backup.
  - The page holds no script and loads nothing, and its Content-Security-Policy forbids both. It is for screens of any size, dark mode, paper and
    screen readers.
  - It holds names of backups, databases, tables and hosts as the manifests and records do, but no password and no data.
  - A store that cannot be read makes a page that says so. It replaces the last one, because that one may say that all is well; then the module fails.
  - Never writes to the store.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
  - workon.postgresql_backup._health
  - workon.postgresql_backup._retention
attributes:
  check_mode:
    support: full
    details:
      - Reads the store and makes the page, but does not write it.
  diff_mode:
    support: full
    details:
      - Shows a line on each name instead of the page's text.
  idempotent:
    support: full
    details:
      - The page is written each time, because the time on it shows that somebody looks. That alone, and that what it names has grown older, is no change.
options:
  path:
    description:
      - The file to write the page into. Its folder must exist. It is replaced in one step and keeps its mode; a new one gets C(0644).
      - A file that is no report of this module is never replaced.
    type: path
    required: true
  name:
    description:
      - The names of the backups to report on. Without it those of all names in the store are.
      - A name that has no backup is reported only where it is given here, so that one that has vanished is seen.
    type: list
    elements: str
  title:
    description:
      - The page's heading.
    type: str
    default: PostgreSQL backups
  limit:
    description:
      - How many backups of each name are listed one by one, the newest ones. Older ones are counted by month.
    type: int
    default: 30
requirements:
  - The Python libraries C(jinja2) 3.0 and C(matplotlib) 3.6 or newer on the host that runs the module.
notes:
  - The options of the retention policy say what retention will delete next. Give them as M(workon.postgresql_backup.s3_retention) gets them. Without a
    rule that keeps (O(keep_within), O(keep_last) and the like) the page says that it was given no policy. Locks of the store are not asked for.
  - Days and times on the page are those of O(timezone).
seealso:
  - module: workon.postgresql_backup.pg_backup_health
  - module: workon.postgresql_backup.pg_backup_info
  - module: workon.postgresql_backup.pg_restore_test
  - module: workon.postgresql_backup.s3_retention
"""

EXAMPLES = r"""
- name: Write a page on all backups of a bucket
  workon.postgresql_backup.pg_backup_report:
    bucket: workon-backups
    path: /var/www/html/backups.html
    title: Backups of WorkOn

- name: Also say what retention will delete next, by the office's calendar
  workon.postgresql_backup.pg_backup_report:
    directory: /var/backups/postgresql
    name: [workon, billing]
    path: /var/www/html/backups.html
    max_restore_test_age: 35d
    keep_within: 30d
    keep_monthly: 12
    timezone: Europe/Berlin
"""

RETURN = r"""
msg:
  description: What was written and what it says, in one sentence each.
  returned: always
  type: str
path:
  description: The page's file.
  returned: when the page was made
  type: str
  sample: /var/www/html/backups.html
verdict:
  description: The worst verdict on the page - V(ok), V(warning), V(unknown) or V(critical), as of M(workon.postgresql_backup.pg_backup_health).
  returned: when the page was made
  type: str
  sample: ok
names:
  description: What the page says of each name, the worst first.
  returned: when the page was made
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      returned: always
    verdict:
      description: Its verdict.
      type: str
      returned: always
    counts:
      description: How many there are of each kind, null where the store could not be read.
      type: dict
      returned: always
      sample: {"backups": 31, "valid": 31, "orphans": 0, "broken": 0, "foreign": 1, "unfinished": 0, "restore_tests": 4}
size:
  description: The page's size in bytes.
  returned: when the page was made
  type: int
  sample: 44228
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.health import THRESHOLDS_SPEC, thresholds_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.report import wishes_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.retention import POLICY_SPEC
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_EXCLUSIVE, STORE_SPEC, STORE_TOGETHER, open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.report import ReportRequest, check_request, look_at_store, publish


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **STORE_SPEC,
            **THRESHOLDS_SPEC,
            **POLICY_SPEC,
            "path": {"type": "path", "required": True},
            "name": {"type": "list", "elements": "str"},
            "title": {"type": "str", "default": "PostgreSQL backups"},
            "limit": {"type": "int", "default": 30},
        },
        mutually_exclusive=STORE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        names = None if params["name"] is None else tuple(params["name"])
        request = check_request(ReportRequest(names, thresholds_from(params), wishes_from(params), params["path"]))
        report = look_at_store(request, open_store(params, secrets), utc_now())
        return publish(report, request.path, check_mode=module.check_mode)

    run_module(module, work)


if __name__ == "__main__":
    main()
