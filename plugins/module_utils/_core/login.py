# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Where and as whom to connect: one description for psycopg2, for client programs and for messages."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import HostPort
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

# libpq keyword -> environment variable; keywords without one (keepalives ...) only tune our own session.
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "gssencmode": "PGGSSENCMODE",
    "gssdelegation": "PGGSSDELEGATION",
    "gsslib": "PGGSSLIB",
    "krbsrvname": "PGKRBSRVNAME",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "passfile": "PGPASSFILE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "options": "PGOPTIONS",
}
_WHO_AND_WHERE = ("host", "port", "dbname", "user")


@dataclasses.dataclass(frozen=True)
class Login:
    """A connection to one database; ``parameters`` are further libpq keywords. ``hosts`` may name several servers, as in libpq.

    ``schema`` is Prisma's. ``pooler_hint`` says why the address looks like a pooler's. ``notes`` are facts for the result.
    """

    database: str
    hosts: tuple[HostPort, ...] = ()
    user: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    parameters: tuple[tuple[str, str], ...] = ()
    schema: str | None = None
    pooler_hint: str | None = None
    notes: tuple[str, ...] = ()

    def keywords(self) -> dict[str, str]:
        """Return libpq keywords without the password."""
        found = dict(self.parameters)
        found["dbname"] = self.database
        if self.hosts:
            found["host"] = ",".join(host for host, _port in self.hosts)
            if any(port for _host, port in self.hosts):
                found["port"] = ",".join(str(port or 5432) for _host, port in self.hosts)
        if self.user:
            found["user"] = self.user
        return found

    def address(self) -> str:
        """Return ``host:port`` for messages."""
        return ",".join(f"{host or 'the local socket'}:{port or 5432}" for host, port in self.hosts) or "the local socket"

    def pinned_to(self, host: str, port: int) -> Login:
        """Return the same login on the one server that a connection reached: a snapshot exists only there."""
        parameters = dict(self.parameters)
        addresses = parameters.get("hostaddr", "").split(",")
        if len(addresses) == len(self.hosts) > 1:
            reached = [address for (name, number), address in zip(self.hosts, addresses, strict=True) if (name or address, number or 5432) == (host, port)]
            parameters["hostaddr"] = (reached or addresses)[0]
        return dataclasses.replace(self, hosts=(HostPort(host, port),), parameters=tuple(parameters.items()))


def client_environment(login: Login) -> dict[str, str]:
    """Return the ``PG*`` variables for a client program; the password travels in a file of its own."""
    return {_VARIABLES[keyword]: value for keyword, value in login.keywords().items() if keyword in _VARIABLES}


def environment_parameters(environment: t.Mapping[str, str]) -> dict[str, str]:
    """Return the keywords that ``PG*`` variables set beside who and where: our own session obeys them, so client programs must be told the same."""
    return {keyword: environment[name] for keyword, name in _VARIABLES.items() if keyword not in _WHO_AND_WHERE and environment.get(name)}


def password_file_line(password: str) -> str:
    """Return the PGPASSFILE line for this password; the file serves one run and one server, so the rest are wildcards."""
    if "\n" in password or "\r" in password or "\0" in password:
        raise BackupError("The password holds a line break or a NUL, which PostgreSQL's password file cannot express. Set another password for this role.")
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def require_single_line(options: t.Mapping[str, str | None]) -> None:
    """Refuse control characters in connection options before they reach libpq or a child's environment."""
    for name, value in options.items():
        if value is not None and any(ord(char) < 32 for char in value):
            raise BackupError(f"{name} holds a control character such as a line break. Set {name} to a value without one.")
