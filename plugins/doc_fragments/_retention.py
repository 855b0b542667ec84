# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.

from __future__ import annotations


class ModuleDocFragment:
    # What keeps a backup; the options of _module/retention.py.
    DOCUMENTATION = r"""
options:
  keep_within:
    description:
      - Keeps all backups made within this time before the newest valid one, for example V(30d), V(48h) or V(1y6m).
    type: str
  keep_last:
    description:
      - Keeps this many of the newest backups. For this and the following rules V(-1) means all.
    type: int
    default: 0
  keep_hourly:
    description:
      - Keeps the newest backup of each of this many of the newest hours that have backups.
      - As with the following rules, while there are places left the oldest backup of all is kept too.
    type: int
    default: 0
  keep_daily:
    description:
      - Keeps the newest backup of each of this many of the newest days that have backups.
    type: int
    default: 0
  keep_weekly:
    description:
      - Keeps the newest backup of each of this many of the newest weeks (from Monday) that have backups.
    type: int
    default: 0
  keep_monthly:
    description:
      - Keeps the newest backup of each of this many of the newest months that have backups.
    type: int
    default: 0
  keep_yearly:
    description:
      - Keeps the newest backup of each of this many of the newest years that have backups.
    type: int
    default: 0
  timezone:
    description:
      - The time zone in which hours, days, weeks, months and years begin, for example V(Europe/Berlin).
    type: str
    default: UTC
  min_keep:
    description:
      - How many valid regular backups of a name always stay, whatever the rules say.
    type: int
    default: 3
  max_delete_percent:
    description:
      - The share of a name's valid backups that one run may delete. A plan that would delete more fails, and nothing of any name is deleted.
    type: int
    default: 50
  keep_safety:
    description:
      - How long safety backups (taken before a restore) are kept. They never count as regular ones.
    type: str
    default: 90d
  keep_incident:
    description:
      - How long backups of incidents are kept. Without it they are for ever. They never count as regular ones.
    type: str
  pinned_labels:
    description:
      - A backup with one of these labels is never deleted. Backups taken with V(pinned=true) never are in any case.
    type: dict
    default: {}
  abort_uploads_after:
    description:
      - Unfinished uploads of these names are aborted when they are older than this.
    type: str
    default: 24h
  orphan_grace:
    description:
      - Archives of ours without a manifest, and records whose backup is gone, are deleted when they are older than this.
    type: str
    default: 48h
  require_restore_test:
    description:
      - How recently a backup of a name must have passed a restore test (M(workon.postgresql_backup.pg_restore_test)) for any of that name to go,
        such as V(35d). Where none has, nothing is deleted and a warning says so.
      - With it the newest backup that has passed one stays, whatever the rules say.
    type: str
"""
