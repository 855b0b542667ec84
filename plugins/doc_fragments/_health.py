# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.

from __future__ import annotations


class ModuleDocFragment:
    # What is still good; the options of _module/health.py.
    DOCUMENTATION = r"""
options:
  max_age_warning:
    description:
      - How old the newest valid backup may be before that is a warning, for example V(25h) or V(8d). A backup each day needs some slack.
      - Where it is longer than O(max_age_critical) there is no warning before the verdict is V(critical).
    type: str
    default: 25h
  max_age_critical:
    description:
      - How old the newest valid backup may be before that is critical. Set it to V(24h) alone for a strict day.
    type: str
    default: 30h
  min_size:
    description:
      - How many bytes the newest valid backup must have, else it is critical.
      - V(0) is no limit. It is the default because the archive of a sound small database can have a few kilobytes; O(max_size_delta) and
        O(critical_tables) find what shrinks or is emptied at any size. Set it to V(1000000) for 1 MB.
    type: int
    default: 0
  max_size_delta:
    description:
      - By how many percent the size of the newest valid backup may differ from the median of the five before it (or of as many as there are).
      - A smaller one is critical, because what is gone may be lost. A larger one is a warning. V(0) is no limit.
    type: int
    default: 50
  critical_tables:
    description:
      - Tables that must not lose rows unseen. The rows are those that the backup's manifest recorded.
      - A table that is missing is critical. Where rows were not counted (O(workon.postgresql_backup.pg_backup#module:fingerprint=none), adopted archives)
        the verdict is V(unknown).
    type: list
    elements: dict
    default: []
    suboptions:
      table:
        description:
          - The table, named as in SQL, as V(TABLE) or V(SCHEMA.TABLE). Of a partitioned table, name the partitions.
        type: str
        required: true
      min_rows:
        description:
          - How many rows it must have at least, else it is critical. V(0) is no limit.
        type: int
        default: 1
      max_row_delta:
        description:
          - By how many percent its rows may differ from the median of the five backups before. Fewer are critical, more are a warning. V(0) is no limit.
        type: int
        default: 50
  max_restore_test_age:
    description:
      - How long ago a restore test of any backup of the name must have passed, else it is a warning, for example V(35d).
      - Without it restore tests are judged only where there are any, then by V(35d). Records of tests are deleted with their backup. So set it where
        retention keeps backups for a shorter time than that, or the last record goes and nobody hears of it.
      - The newest restore test, and the newest one of the newest valid backup, must have passed in any case, else it is critical.
    type: str
  max_clock_skew:
    description:
      - By how many seconds the clocks of this host and of the store may differ, else no age can be trusted and the verdict is V(unknown).
      - Backups that are dated further in the future than this are critical, and do not count.
    type: int
    default: 300
  max_unfinished_age:
    description:
      - How old an upload that was neither completed nor aborted may be before it is a warning.
    type: str
    default: 24h
  max_orphan_age:
    description:
      - How old an archive without a manifest may be before it is a warning.
    type: str
    default: 48h
"""
