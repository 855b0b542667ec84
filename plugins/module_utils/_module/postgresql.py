# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options that say which database, in community.postgresql's words, and the login they mean."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import HostPort, default_sslmode, parse_database_url
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login, environment_parameters, require_single_line
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.redaction import url_secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets

POSTGRESQL_SPEC: dict[str, dict[str, t.Any]] = {
    "database_url": {"type": "str", "no_log": True},
    "login_host": {"type": "str"},
    "login_port": {"type": "int"},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "login_unix_socket": {"type": "path"},
    "ssl_mode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
    "ca_cert": {"type": "path"},
    "database": {"type": "str"},
}

# These say who and where in other words than a URL does; ssl_mode, ca_cert, login_password and database may complete or override one.
POSTGRESQL_EXCLUSIVE = [("database_url", option) for option in ("login_host", "login_port", "login_user", "login_unix_socket")]
POSTGRESQL_EXCLUSIVE.append(("login_host", "login_unix_socket"))

_ADDRESS_OPTIONS = ("login_host", "login_port", "login_user", "login_unix_socket")


def login_from(params: t.Mapping[str, t.Any], application_name: str, secrets: Secrets) -> Login:
    """Return the login that options and environment mean; options come before the environment, a URL before its parts."""
    url = params["database_url"]
    if not url and not any(params[option] for option in _ADDRESS_OPTIONS):
        url = os.environ.get("DATABASE_URL")
    secrets.add(params["login_password"])
    login = _from_url(url, params, secrets) if url else _from_options(params, secrets)
    parameters = {"application_name": application_name, **environment_parameters(os.environ), **dict(login.parameters)}
    parameters["sslmode"] = default_sslmode(login.hosts, params["ssl_mode"] or parameters.get("sslmode"), hostaddr=parameters.get("hostaddr"))
    if "sslpassword" in parameters:
        raise BackupError(
            "sslpassword is set, but there is no way to hand it to pg_dump in secret. "
            "Leave it out, and set sslkey to a key file without a passphrase (mode 0600)."
        )
    if params["ca_cert"]:
        parameters["sslrootcert"] = params["ca_cert"]
    require_single_line({"database": login.database, "login_user": login.user, "login_host": login.address(), **parameters})
    return Login(
        database=login.database,
        hosts=tuple(HostPort(host, port or _environment_port()) for host, port in login.hosts),
        user=login.user,
        password=login.password,
        parameters=tuple(parameters.items()),
        schema=login.schema,
        pooler_hint=login.pooler_hint,
        notes=login.notes,
    )


def _from_url(url: str, params: t.Mapping[str, t.Any], secrets: Secrets) -> Login:
    # Before parsing: a URL that is refused must not show its password either.
    secrets.add(url, *url_secrets(url))
    facts = parse_database_url(url)
    secrets.add(*facts.secrets)
    notes: tuple[str, ...] = ()
    if facts.dropped_parameters:
        notes = (f"These parameters of database_url are not PostgreSQL's and were left aside: {', '.join(facts.dropped_parameters)}.",)
    return Login(
        database=_require_database(params["database"] or facts.database or os.environ.get("PGDATABASE")),
        hosts=tuple(HostPort(host or os.environ.get("PGHOST", "localhost"), port) for host, port in facts.hosts or [HostPort("", None)]),
        user=facts.user or os.environ.get("PGUSER"),
        password=params["login_password"] or facts.password or _environment_password(secrets),
        parameters=facts.parameters,
        schema=facts.schema,
        pooler_hint=facts.pooler_hint,
        notes=notes,
    )


def _from_options(params: t.Mapping[str, t.Any], secrets: Secrets) -> Login:
    host = params["login_unix_socket"] or params["login_host"]
    return Login(
        database=_require_database(params["database"] or os.environ.get("PGDATABASE")),
        hosts=(HostPort(host or os.environ.get("PGHOST", "localhost"), params["login_port"]),),
        user=params["login_user"] or os.environ.get("PGUSER", "postgres"),
        password=params["login_password"] or _environment_password(secrets),
    )


def _environment_port() -> int | None:
    port = os.environ.get("PGPORT", "")
    return int(port) if port.isdigit() else None


def _environment_password(secrets: Secrets) -> str | None:
    password = os.environ.get("PGPASSWORD")
    secrets.add(password)
    return password


def _require_database(name: str | None) -> str:
    if not name:
        raise BackupError(
            "No database is named. Set database_url (with the database after the last slash), or database, or the environment variable PGDATABASE."
        )
    return name
