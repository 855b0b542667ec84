# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""How the database beside the live one is created: like the live one in everything that can only be chosen at its creation."""

from __future__ import annotations

import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier

# Nobody limits a database to this many connections. Together with its name and with being closed, it tells a database that was created by us and
# not yet marked as ours from everybody else's, should the run end between the two: a mark cannot be made in the statement that creates.
UNMARKED_LIMIT = 20260108

# Where template0 lies. Who asks for it by name needs a right to it that nobody has by default, who does not ask gets it.
_DEFAULT_TABLESPACE = "pg_default"

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def create_statement(name: str, properties: t.Mapping[str, t.Any], owner: str | None, server_major: int) -> str:
    """Return ``CREATE DATABASE`` for a closed, empty database with these properties (as database_facts.read_database returns them).

    ``owner`` None leaves it to the connecting role.
    """
    locale = properties.get("locale") or {}
    options = ["TEMPLATE template0", "ALLOW_CONNECTIONS false", f"CONNECTION LIMIT {UNMARKED_LIMIT}"]
    if owner:
        options.append(f"OWNER {quote_identifier(owner)}")
    if properties.get("encoding"):
        options.append(f"ENCODING {quote_literal(properties['encoding'])}")
    for keyword, key in (("LC_COLLATE", "collate"), ("LC_CTYPE", "ctype")):
        if locale.get(key):
            options.append(f"{keyword} {quote_literal(locale[key])}")
    options += _provider(locale, server_major)
    if properties.get("tablespace") not in (None, _DEFAULT_TABLESPACE):
        options.append(f"TABLESPACE {quote_identifier(properties['tablespace'])}")
    return f"CREATE DATABASE {quote_identifier(name)} WITH {' '.join(options)}"


def quote_literal(text: str) -> str:
    """Return a text as an SQL string, for statements that take no parameters."""
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"


def _provider(locale: t.Mapping[str, t.Any], server_major: int) -> list[str]:
    """Return the clauses of the locale provider, which 15 brought; only the providers that this server has can be asked for."""
    provider = _PROVIDERS.get(locale.get("provider") or "")
    if server_major < 15 or provider is None or (provider == "builtin" and server_major < 17):
        return []
    clauses = [f"LOCALE_PROVIDER {provider}"]
    if provider != "libc" and locale.get("locale"):
        clauses.append(f"{provider.upper()}_LOCALE {quote_literal(locale['locale'])}")
    if provider == "icu" and server_major >= 16 and locale.get("icu_rules"):
        clauses.append(f"ICU_RULES {quote_literal(locale['icu_rules'])}")
    return clauses
