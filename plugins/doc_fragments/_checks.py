# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  checks:
    description:
      - What must be true of the database, and of the application on it. Each check has a name for people, so that the results read like a checklist.
        Where none is given one is made.
      - A check that could not run has failed. The checks after it run all the same.
      - Nothing is written. Every question is asked in a read-only transaction that is rolled back.
      - A table is named as in SQL, as V(TABLE) or V(SCHEMA.TABLE). Capitals are folded unless the name is in double quotes, which in YAML stand in
        single ones, as V('"User"'). Without a schema the table must be in one schema alone, or in the one that O(database_url) names, or in C(public).
    type: dict
    suboptions:
      tables_present:
        description:
          - The tables that must be there.
          - Each is a name, or a dictionary of C(name) (for people) and C(table).
        type: list
        elements: raw
      min_rows:
        description:
          - 'How many rows a table must have at least, as V({users: 1, missions: 20}).'
          - Or a list of dictionaries of C(name) (for people), C(table) and C(rows).
        type: raw
      max_age:
        description:
          - 'How old the newest value of a column may be, as V({users.created_at: 24h}), in minutes (V(30m)), hours (V(24h)) or days (V(7d)).'
          - Or a list of dictionaries of C(name) (for people), C(column) and C(age).
          - The column must be a C(date), C(timestamp) or C(timestamptz). Without a time zone it is read as UTC, which is what Prisma stores.
          - A newest value that is further in the future than the age allowed fails as well, because it says nothing.
        type: raw
      sql:
        description:
          - Queries and what they must give.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The name for people.
            type: str
          query:
            description:
              - One C(SELECT), C(VALUES) or C(WITH). It is asked as a part of another query, so it can be only one.
              - It is asked with the search path that the role has in this database.
            type: str
            required: true
          expect:
            description:
              - The one value of the one row that the query must give. Numbers, booleans, texts, V(null) and JSON are compared as such;
                cast other types to text in the query.
              - A list means rows, each of them a value or a list of values. An empty list means no row.
            type: raw
            required: true
      prisma:
        description:
          - What Prisma's table of migrations must agree with.
          - V(off) does not look. V(sql) fails where a migration has failed.
          - Anything else is the folder of migrations (usually C(prisma/migrations)) on the host that runs the module. Then it fails also where a migration
            was edited after it was applied, or is in the database but not in the folder. Migrations that are still to be applied are reported, but they
            are normal after a restore.
        type: path
        default: "off"
      http:
        description:
          - Addresses of the application that must answer, asked from the host that runs the module.
          - Redirects are not followed. Proxies are those of the environment, E(http_proxy) and its like.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - The name for people.
            type: str
          url:
            description:
              - The address, C(http) or C(https). It may hold no user and no password, for which there is O(checks.http[].headers).
              - Its query is left out of names and messages.
            type: str
            required: true
          status:
            description:
              - The status that it must answer with.
            type: int
            default: 200
          json:
            description:
              - What must be in the JSON that it answers with. Dictionaries may hold more than that.
            type: raw
          within:
            description:
              - For how many seconds it is tried again, as long as it does not pass.
            type: int
            default: 30
          headers:
            description:
              - Headers to send, for example C(Authorization). Their values are masked in everything that is printed.
            type: dict
      timeout:
        description:
          - How many seconds each question to the database may take.
        type: int
        default: 60
"""
