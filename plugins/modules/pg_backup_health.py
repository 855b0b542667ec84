#!/usr/bin/python
# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_health
short_description: Judge from the store whether the backups would help tonight
version_added: 0.1.0
author:
  - WorkOn (@workon)
description:
  - Reads a store and judges the backups of each name - V(ok), V(warning), V(critical) or V(unknown), with every reason as a sentence.
  - It looks at what lies in the store and asks no job whether it ran. So it finds out when the job is dead, when it runs for another database, and when
    somebody has deleted what it made. Run it from another timer than the backup, best on another host.
  - Only valid regular backups count, those of V(reason=scheduled) and V(reason=manual). Their age is that of the data in them.
  - A store that cannot be reached, may not be read, or breaks off its listing makes every name V(unknown), never V(ok).
  - V(critical) outranks V(unknown), which outranks V(warning) - what nobody could look at may hide anything.
  - The same verdict is returned for people, as metrics for Prometheus, as the line of a Nagios or Icinga plugin, and as text for mail and webhooks.
  - Never writes to the store.
extends_documentation_fragment:
  - workon.postgresql_backup._attributes
  - workon.postgresql_backup._attributes.action_group
  - workon.postgresql_backup._store
  - workon.postgresql_backup._store.connection
  - workon.postgresql_backup._health
attributes:
  check_mode:
    support: full
    details:
      - Judges all the same, and fails where O(fail_on) says so. Only O(prometheus_textfile) is not written.
  diff_mode:
    support: full
    details:
      - Shows the metrics before and after, where anything but the time of judging has changed.
  idempotent:
    support: full
    details:
      - O(prometheus_textfile) is written each time, because its age shows that somebody looks. That alone is no change.
options:
  name:
    description:
      - The names of the backups to judge. Each is judged by itself, and one that has no backup is V(critical).
    type: list
    elements: str
    required: true
  fail_on:
    description:
      - With which verdict the module fails. V(critical) fails with V(unknown) too, V(warning) with everything but V(ok).
      - The result is complete also when it fails.
    type: str
    choices: [critical, warning, never]
    default: critical
  prometheus_textfile:
    description:
      - A file of the host that runs the module to put the metrics into, for node_exporter's textfile collector. Its name must end with C(.prom),
        and its folder must exist.
      - It is replaced in one step and has mode C(0644). It is written whatever the verdict is.
      - What is not known has no metric. So alert also on C(pgbackup_health_status) and on the age of the file.
    type: path
requirements:
  - In a bucket, permission to list it and its unfinished uploads, and to read manifests and records of restore tests.
seealso:
  - module: workon.postgresql_backup.pg_backup_info
  - module: workon.postgresql_backup.pg_backup
  - module: workon.postgresql_backup.s3_retention
"""

EXAMPLES = r"""
- name: Fail where tonight's backups would not help
  workon.postgresql_backup.pg_backup_health:
    bucket: workon-backups
    name: workon

- name: The strict thresholds, for several databases
  workon.postgresql_backup.pg_backup_health:
    bucket: workon-backups
    name: [workon, billing]
    max_age_critical: 24h
    min_size: 1000000
    max_restore_test_age: 35d
    critical_tables:
      - table: users
      - table: missions
        min_rows: 100
        max_row_delta: 20

- name: Write metrics for node_exporter, and fail on nothing
  workon.postgresql_backup.pg_backup_health:
    directory: /var/backups/postgresql
    name: workon
    fail_on: never
    prometheus_textfile: /var/lib/prometheus/node-exporter/postgresql_backup.prom
  register: health

- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ health.text }}"
"""

RETURN = r"""
msg:
  description: The verdict and the worst reason for it, or what was found where there is none.
  returned: always
  type: str
  sample: "OK: workon: the newest valid backup is 125 min old (1.2 GiB, 402137 rows), 31 valid in the store, the last restore test passed 6 days 3 h ago."
verdict:
  description: The worst verdict of all names, V(ok), V(warning), V(critical) or V(unknown).
  returned: when the options are sound
  type: str
judged_at:
  description: When it was judged.
  returned: when the options are sound
  type: str
destination:
  description: Where the store is.
  returned: when the options are sound
  type: str
names:
  description: The verdict on each name, in the order given.
  returned: when the options are sound
  type: list
  elements: dict
  contains:
    name:
      description: The name of the backups.
      type: str
      returned: always
    verdict:
      description: V(ok), V(warning), V(critical) or V(unknown).
      type: str
      returned: always
    summary:
      description: What was found, in one sentence.
      type: str
      returned: always
    reasons:
      description: Why it is not V(ok), the worst first, each a dictionary of C(verdict), C(check) and C(sentence).
      type: list
      elements: dict
      returned: always
    facts:
      description:
        - What was found. The keys are always the same, with null for what is not known.
        - C(newest) is the newest valid regular backup, C(size_delta) by which part its size differs from C(median_size) (that of the five before it),
          C(counts) how many there are by state, C(restore_test) the newest restore test.
      type: dict
      returned: always
reasons:
  description: All reasons of all names, the worst first.
  returned: when the options are sound
  type: list
  elements: dict
  contains:
    verdict:
      description: V(warning), V(critical) or V(unknown).
      type: str
      returned: always
    check:
      description: V(store), V(clock), V(age), V(size), V(size_delta), V(rows), V(restore_test), V(broken), V(orphan), V(unfinished) or V(future).
      type: str
      returned: always
    sentence:
      description: What is wrong, since when, and by which threshold.
      type: str
      returned: always
    names:
      description: The names it is about.
      type: list
      elements: str
      returned: always
prometheus:
  description: The metrics, in Prometheus's text format.
  returned: when the options are sound
  type: str
nagios:
  description: For a Nagios or Icinga plugin.
  returned: when the options are sound
  type: dict
  contains:
    line:
      description: What the plugin prints, performance data included.
      type: str
      returned: always
    exit_code:
      description: What it exits with, V(0) for ok, V(1) for warning, V(2) for critical, V(3) for unknown.
      type: int
      returned: always
    perfdata:
      description: The performance data alone.
      type: str
      returned: always
      sample: "'workon_age'=7500s;90000;108000 'workon_size'=1288490188B"
text:
  description: Everything in lines, for mail and webhooks.
  returned: when the options are sound
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.health import THRESHOLDS_SPEC, thresholds_from
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets, run_module, utc_now
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_EXCLUSIVE, STORE_SPEC, STORE_TOGETHER, open_store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.health import HealthRequest, check_request, examine, report


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **STORE_SPEC,
            **THRESHOLDS_SPEC,
            "name": {"type": "list", "elements": "str", "required": True},
            "fail_on": {"type": "str", "choices": ["critical", "warning", "never"], "default": "critical"},
            "prometheus_textfile": {"type": "path"},
        },
        mutually_exclusive=STORE_EXCLUSIVE,
        required_together=STORE_TOGETHER,
        supports_check_mode=True,
    )

    def work(secrets: Secrets) -> dict[str, t.Any]:
        params = module.params
        request = check_request(HealthRequest(tuple(params["name"]), thresholds_from(params), params["fail_on"], params["prometheus_textfile"]))
        store = open_store(params, secrets)
        health = examine(request.names, request.thresholds, store, utc_now())
        return report(request, health, check_mode=module.check_mode)

    run_module(module, work)


if __name__ == "__main__":
    main()
