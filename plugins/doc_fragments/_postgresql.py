# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  database_url:
    description:
      - The database as a URL, as hosting providers and Prisma write it, for example C(postgresql://user:password@host:5432/database?sslmode=require).
      - Parameters that only Prisma, node-postgres or JDBC understand are mapped to PostgreSQL's own or left aside by name.
        Prisma's C(schema) says where to look for the C(_prisma_migrations) table.
      - 'The special characters V(: / ? # [ ] @ %) of a user name or password must be percent-encoded.'
      - When neither this nor any of O(login_host), O(login_port), O(login_user) and O(login_unix_socket) is set,
        the environment variable E(DATABASE_URL) of the host that runs the module is used.
      - O(database), O(login_password), O(ssl_mode) and O(ca_cert) complete or override what the URL says.
    type: str
  login_host:
    description:
      - The database server's host name or address.
      - Falls back to the environment variable E(PGHOST), then to V(localhost).
    type: str
  login_port:
    description:
      - The database server's port.
      - Falls back to the environment variable E(PGPORT), then to V(5432).
    type: int
  login_user:
    description:
      - The role to connect as. It needs C(SELECT) on everything that is backed up, on PostgreSQL 14 and newer most simply by C(pg_read_all_data).
      - Falls back to the environment variable E(PGUSER), then to V(postgres).
    type: str
  login_password:
    description:
      - The role's password.
      - Falls back to the environment variable E(PGPASSWORD), then to the password file of the user who runs the module.
    type: str
  login_unix_socket:
    description:
      - The directory of the server's Unix socket, instead of O(login_host).
    type: path
  ssl_mode:
    description:
      - How the connection is protected by TLS.
      - Falls back to what O(database_url) says, then to E(PGSSLMODE), then to V(require) for servers on other hosts and V(prefer) for this host.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - The certificate file of the authority that signed the server's certificate; needed by O(ssl_mode=verify-ca) and O(ssl_mode=verify-full).
      - Falls back to the environment variable E(PGSSLROOTCERT).
    type: path
  database:
    description:
      - The database's name.
      - Falls back to what O(database_url) says, then to the environment variable E(PGDATABASE).
    type: str
requirements:
  - psycopg2 >= 2.9 on the host that runs the module
"""
