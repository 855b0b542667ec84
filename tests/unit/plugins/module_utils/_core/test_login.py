# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One login, told to libpq in keywords and to client programs in variables, the password in neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import database_url, login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import HostPort
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import (
    Login,
    client_environment,
    environment_parameters,
    password_file_line,
    require_single_line,
)

SECRET = "s3cr:et\\word"

# These have no variable. The first only tune or name our own session, the others hold secrets that a program could only be given in its arguments.
WITHOUT_VARIABLE = {
    *("fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    *("sslpassword", "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope", "scram_client_key", "scram_server_key"),
}


def test_everything_but_the_password_is_in_the_keywords() -> None:
    found = Login("workon", (HostPort("db", 5433),), "backup", SECRET, (("sslmode", "require"), ("dbname", "other")))
    assert found.keywords() == {"sslmode": "require", "dbname": "workon", "host": "db", "port": "5433", "user": "backup"}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((), {}),
        ((HostPort("a", None),), {"host": "a"}),
        ((HostPort("a", None), HostPort("b", 5433)), {"host": "a,b", "port": "5432,5433"}),
        ((HostPort("/run/postgresql", None),), {"host": "/run/postgresql"}),
    ],
)
def test_hosts_and_ports_are_as_many_as_libpq_expects(hosts: tuple[HostPort, ...], expected: dict[str, str]) -> None:
    assert Login("workon", hosts).keywords() == {"dbname": "workon", **expected}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((), "the local socket"),
        ((HostPort("", 5433),), "the local socket:5433"),
        ((HostPort("a", None), HostPort("b", 5433)), "a:5432,b:5433"),
    ],
)
def test_the_address_for_messages(hosts: tuple[HostPort, ...], expected: str) -> None:
    assert Login("workon", hosts).address() == expected


def test_neither_text_nor_variables_show_the_password() -> None:
    found = Login("workon", (HostPort("db", 5433),), "backup", SECRET)
    assert "s3cr" not in repr(found)
    assert "s3cr" not in "".join(client_environment(found).values())


def test_programs_are_told_what_our_own_session_was_told() -> None:
    found = Login("workon", (HostPort("db", 5433),), "backup", parameters=(("sslmode", "verify-full"), ("sslcrldir", "/crl"), ("keepalives", "1")))
    assert client_environment(found) == {
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGDATABASE": "workon",
        "PGUSER": "backup",
        "PGSSLMODE": "verify-full",
        "PGSSLCRLDIR": "/crl",
    }


def test_every_parameter_that_a_url_may_have_reaches_the_programs_or_is_known_not_to() -> None:
    accepted = set(database_url._LIBPQ_SINCE)
    told = {keyword for keyword in accepted if client_environment(Login("workon", parameters=((keyword, "x"),))).keys() > {"PGDATABASE"}}
    assert accepted - told == WITHOUT_VARIABLE


def test_a_pinned_login_names_the_one_server_that_was_reached() -> None:
    found = Login("workon", (HostPort("a", None), HostPort("b", 5433)), "backup", SECRET, (("sslmode", "require"),)).pinned_to("b", 5433)
    assert (found.hosts, found.password, found.parameters) == ((HostPort("b", 5433),), SECRET, (("sslmode", "require"),))


@pytest.mark.parametrize(("host", "port", "address"), [("a", 5432, "192.0.2.1"), ("b", 5433, "192.0.2.2"), ("b", 5434, "192.0.2.3")])
def test_a_pinned_login_keeps_the_address_of_that_server(host: str, port: int, address: str) -> None:
    hosts = (HostPort("a", None), HostPort("b", 5433), HostPort("b", 5434))
    found = Login("workon", hosts, parameters=(("hostaddr", "192.0.2.1,192.0.2.2,192.0.2.3"),)).pinned_to(host, port)
    assert found.keywords() == {"dbname": "workon", "host": host, "port": str(port), "hostaddr": address}


@pytest.mark.parametrize(
    ("password", "escaped"),
    [("plain", "plain"), ("a:b", "a\\:b"), ("a\\b", "a\\\\b"), ("\\:", "\\\\\\:"), (" #é ", " #é ")],
)
def test_the_password_file_escapes_what_libpq_would_split_at(password: str, escaped: str) -> None:
    assert password_file_line(password) == f"*:*:*:*:{escaped}\n"


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r\0")))
def test_the_password_is_read_back_from_its_file(password: str) -> None:
    field = password_file_line(password)[len("*:*:*:*:") : -1]
    read, escaped = [], False
    for char in field:
        if not escaped and char == "\\":
            escaped = True
        else:
            assert escaped or char != ":"
            read.append(char)
            escaped = False
    assert "".join(read) == password


@pytest.mark.parametrize("password", ["a\nb", "a\r", "\0"])
def test_a_password_that_the_file_cannot_express_is_refused_without_showing_it(password: str) -> None:
    with pytest.raises(BackupError, match="holds a line break or a NUL") as refused:
        password_file_line(f"canary{password}")
    assert "canary" not in refused.value.message


@pytest.mark.parametrize("value", ["a\nb", "\0", "\t", "a\x1b[0m"])
def test_control_characters_in_options_are_refused_by_name(value: str) -> None:
    with pytest.raises(BackupError, match=r"^login_host holds a control character"):
        require_single_line({"database": "workon", "login_user": None, "login_host": value})


def test_ordinary_options_pass() -> None:
    require_single_line({"database": "wörk on'\"\\", "login_user": None, "login_host": ""})


def test_what_the_environment_sets_beside_who_and_where() -> None:
    environment = {"PGHOST": "h", "PGPORT": "1", "PGDATABASE": "d", "PGUSER": "u", "PGPASSWORD": SECRET, "PGSSLCRL": "", "PGSSLKEY": "/key", "HOME": "/"}
    assert environment_parameters(environment) == {"sslkey": "/key"}


def test_no_variable_is_given_twice() -> None:
    assert len(set(login._VARIABLES.values())) == len(login._VARIABLES)
