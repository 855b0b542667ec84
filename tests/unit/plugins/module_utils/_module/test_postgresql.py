# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, URL and environment become one login: in this order, and with every secret registered before anything can fail."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login, client_environment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_EXCLUSIVE, POSTGRESQL_SPEC, login_from
from ansible_collections.workon.postgresql_backup.tests.unit.recording import RecordedSecrets

URL = "postgresql://owner:fr0m%2Furl@db.example.com:5433/workon"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PG") or name == "DATABASE_URL":
            monkeypatch.delenv(name)


def login(secrets: RecordedSecrets | None = None, **params: t.Any) -> Login:
    return login_from({**dict.fromkeys(POSTGRESQL_SPEC), **params}, "a test", secrets or RecordedSecrets())


def facts(found: Login) -> dict[str, t.Any]:
    """Return what decides where and as whom we connect."""
    chosen = {name: value for name, value in found.keywords().items() if name not in ("application_name", "sslmode")}
    return {**chosen, "password": found.password} if found.password is not None else chosen


AT_URL = {"host": "db.example.com", "port": "5433", "dbname": "workon", "user": "owner", "password": "fr0m/url"}


@pytest.mark.parametrize(
    ("params", "environment", "expected"),
    [
        ({"database": "workon"}, {}, {"host": "localhost", "dbname": "workon", "user": "postgres"}),
        ({"database_url": URL}, {}, AT_URL),
        ({}, {"DATABASE_URL": URL}, AT_URL),
        ({"database_url": URL}, {"DATABASE_URL": "postgresql://other/other", "PGHOST": "other", "PGUSER": "other", "PGPASSWORD": "other"}, AT_URL),
        ({"database": "copy"}, {"DATABASE_URL": URL, "PGDATABASE": "other"}, {**AT_URL, "dbname": "copy"}),
        ({"login_password": "0ption"}, {"DATABASE_URL": URL}, {**AT_URL, "password": "0ption"}),
        (
            {"login_host": "h", "database": "d"},
            {"DATABASE_URL": URL, "PGPASSWORD": "fr0m env", "PGPORT": "6000"},
            {"host": "h", "port": "6000", "dbname": "d", "user": "postgres", "password": "fr0m env"},
        ),
        ({"login_user": "u", "database": "d"}, {"DATABASE_URL": URL}, {"host": "localhost", "dbname": "d", "user": "u"}),
        ({"login_port": 6000, "database": "d"}, {"DATABASE_URL": URL, "PGHOST": "h"}, {"host": "h", "port": "6000", "dbname": "d", "user": "postgres"}),
        (
            {"login_unix_socket": "/run/pg", "login_port": 5434, "database": "d"},
            {"PGHOST": "h", "PGPORT": "6000"},
            {"host": "/run/pg", "port": "5434", "dbname": "d", "user": "postgres"},
        ),
        ({"database_url": "postgresql:///d"}, {}, {"host": "localhost", "dbname": "d"}),
        ({"database_url": "postgresql://a,b:5433/d"}, {"PGPORT": "6000"}, {"host": "a,b", "port": "6000,5433", "dbname": "d"}),
        (
            {},
            {"PGHOST": "h", "PGPORT": "6000", "PGUSER": "u", "PGDATABASE": "d", "PGPASSWORD": "p4ss"},
            {"host": "h", "port": "6000", "user": "u", "dbname": "d", "password": "p4ss"},
        ),
        ({"database_url": "postgresql:///"}, {"PGHOST": "h", "PGPORT": "6000", "PGDATABASE": "d"}, {"host": "h", "port": "6000", "dbname": "d"}),
        ({"database_url": "postgresql://h/d"}, {"PGUSER": "u", "PGPASSWORD": "p4ss"}, {"host": "h", "dbname": "d", "user": "u", "password": "p4ss"}),
    ],
)
def test_options_come_before_the_environment_and_a_url_before_its_parts(
    monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], environment: dict[str, str], expected: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert facts(login(**params)) == expected


@pytest.mark.parametrize(
    ("params", "environment", "expected"),
    [
        ({"database_url": "postgresql://db.example.com/d"}, {}, "require"),
        ({"login_host": "localhost", "database": "d"}, {}, "prefer"),
        ({"login_unix_socket": "/run/pg", "database": "d"}, {}, "prefer"),
        ({"database_url": "postgresql://db.example.com/d?sslmode=verify-ca"}, {"PGSSLMODE": "disable"}, "verify-ca"),
        ({"database_url": "postgresql://db.example.com/d?sslmode=verify-ca", "ssl_mode": "verify-full"}, {"PGSSLMODE": "disable"}, "verify-full"),
        ({"login_host": "db.example.com", "database": "d"}, {"PGSSLMODE": "disable"}, "disable"),
    ],
)
def test_the_connection_is_as_private_as_asked(monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], environment: dict[str, str], expected: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert login(**params).keywords()["sslmode"] == expected


@pytest.mark.parametrize(
    ("params", "environment", "expected"),
    [
        ({}, {}, None),
        ({}, {"PGSSLROOTCERT": "/env.crt"}, "/env.crt"),
        ({"database_url": "postgresql://h/d?sslrootcert=/url.crt"}, {"PGSSLROOTCERT": "/env.crt"}, "/url.crt"),
        ({"database_url": "postgresql://h/d?sslrootcert=/url.crt", "ca_cert": "/option.crt"}, {}, "/option.crt"),
    ],
)
def test_the_authority_to_trust(monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], environment: dict[str, str], expected: str | None) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert login(database="d", **params).keywords().get("sslrootcert") == expected


def test_the_server_s_view_shows_who_connects() -> None:
    assert login(database="d").keywords()["application_name"] == "a test"
    assert login(database_url="postgresql://h/d?application_name=mine").keywords()["application_name"] == "mine"


def test_client_programs_are_told_what_our_own_session_reads_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"PGSSLCERT": "/me.crt", "PGSSLKEY": "/me.key", "PGOPTIONS": "-c x=y", "PGHOSTADDR": "192.0.2.1", "PGPASSFILE": "/pass", "PGAPPNAME": "mine"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGSSLCRL", "")
    environment = client_environment(login(database_url="postgresql://h/d?options=-c%20a%3Db"))
    assert environment.items() >= {**told, "PGOPTIONS": "-c a=b", "PGHOST": "h"}.items()
    assert "PGSSLCRL" not in environment


def test_the_address_in_messages_is_the_one_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    assert login(login_host="h", database="d").address() == "h:6000"


def test_what_a_url_says_beside_the_address_is_kept() -> None:
    found = login(database_url="postgresql://h:6543/d?schema=tenant&pgbouncer=true&pool_size=4")
    assert found.schema == "tenant"
    assert found.pooler_hint
    assert any("pool_size" in note for note in found.notes)


@pytest.mark.parametrize(
    ("params", "environment", "spellings"),
    [
        ({"database_url": URL}, {}, {"fr0m/url", "fr0m%2Furl", URL}),
        ({}, {"DATABASE_URL": URL}, {"fr0m/url", "fr0m%2Furl"}),
        ({"database": "d", "login_password": "a'b\\c"}, {}, {"a'b\\c", "a''b\\c", "a%27b%5Cc"}),
        ({"database": "d"}, {"PGPASSWORD": "p4:ss"}, {"p4:ss", "p4\\:ss"}),
    ],
)
def test_every_spelling_of_every_secret_is_registered(
    monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], environment: dict[str, str], spellings: set[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    secrets = RecordedSecrets()
    login(secrets, **params)
    assert spellings <= secrets.registered
    assert all(secrets.redact(f"<{spelling}>") == "<********>" for spelling in spellings)


def test_a_passphrase_that_no_child_could_be_given_is_refused_and_masked() -> None:
    secrets = RecordedSecrets()
    with pytest.raises(BackupError, match="Leave it out, and set sslkey to a key file without a passphrase"):
        login(secrets, database_url="postgresql://h/d?sslpassword=k3y%20w")
    assert {"k3y w", "k3y%20w"} <= secrets.registered


@pytest.mark.parametrize("url", ["mysql://u:c4nary@h/d", "postgresql://u:c4nary@h:port/d", "postgresql://u:c4nary@h/d?service=x", "u:c4nary@h/d"])
def test_a_refused_url_has_its_password_registered_and_not_in_the_sentence(url: str) -> None:
    secrets = RecordedSecrets()
    with pytest.raises(BackupError) as refused:
        login(secrets, database_url=url)
    assert "c4nary" not in refused.value.message
    assert "c4nary" in secrets.registered


@pytest.mark.parametrize("params", [{}, {"database_url": "postgresql://h/"}, {"login_host": "h"}])
def test_no_database_is_refused(params: dict[str, t.Any]) -> None:
    with pytest.raises(BackupError, match=r"No database is named\. Set database_url .* or database, or .* PGDATABASE"):
        login(**params)


@pytest.mark.parametrize(("option", "name"), [("database", "database"), ("login_user", "login_user"), ("login_host", "login_host"), ("ca_cert", "sslrootcert")])
def test_a_line_break_in_an_option_is_refused(option: str, name: str) -> None:
    with pytest.raises(BackupError, match=f"^{name} holds a control character"):
        login(**{"database": "d", option: "a\nb"})


def test_the_exclusive_options_are_options() -> None:
    assert {option for pair in POSTGRESQL_EXCLUSIVE for option in pair} <= set(POSTGRESQL_SPEC)
    assert {name for name, spec in POSTGRESQL_SPEC.items() if spec.get("no_log")} == {"database_url", "login_password"}
