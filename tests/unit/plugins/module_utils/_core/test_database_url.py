# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database URL means, what is refused, and that no refusal repeats a piece of it."""

from __future__ import annotations

import dataclasses
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import (
    ConnectionFacts,
    DatabaseUrlError,
    HostPort,
    default_sslmode,
    parse_database_url,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

H = "postgresql://u:pw@db.example/app"
CANARY = "XQZ"


def servers(*entries: tuple[str, int | None]) -> tuple[HostPort, ...]:
    return tuple(HostPort(host, port) for host, port in entries)


def refusal(url: str, **options: str) -> str:
    with pytest.raises(DatabaseUrlError) as caught:
        parse_database_url(url, **options)
    assert isinstance(caught.value, BackupError)
    assert caught.value.__context__ is None, "a chained exception would carry pieces of the URL"
    return caught.value.message


# --- identity --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://alice:s3%40cret@db.example:6000/app",
        "postgres://alice:s3%40cret@db.example:6000/app",
        "PostgreSQL://alice:s3%40cret@db.example:6000/app",
        "postgresql+psycopg2://alice:s3%40cret@db.example:6000/app",
        "postgresql+asyncpg://alice:s3%40cret@db.example:6000/app",
        "jdbc:postgresql://db.example:6000/app?user=alice&password=s3%40cret",
        "postgresql://db.example:6000/app?user=alice&password=s3@cret",
        " \n'postgresql://alice:s3%40cret@db.example:6000/app'\n",
        '"postgresql://alice:s3%40cret@db.example:6000/app" ',
        "postgresql://wrong:wrong@wrong:1/wrong?user=alice&password=s3%40cret&host=db.example&port=6000&dbname=app",
    ],
)
def test_every_spelling_of_one_connection(url: str) -> None:
    facts = parse_database_url(url)
    assert facts == ConnectionFacts(hosts=servers(("db.example", 6000)), database="app", user="alice", password="s3@cret")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://", servers(("", None))),
        ("postgresql:///app", servers(("", None))),
        ("postgresql://h", servers(("h", None))),
        ("postgresql://h:/app", servers(("h", None))),
        ("postgresql://[::1]:5433/app", servers(("::1", 5433))),
        ("postgresql://u@[fe80::1%25eth0]/app", servers(("fe80::1%eth0", None))),
        ("postgresql://a:1,b:2,[::1]/app", servers(("a", 1), ("b", 2), ("::1", None))),
        ("postgresql://a,b/app?port=7", servers(("a", 7), ("b", 7))),
        ("postgresql://u:p@localhost/app?host=/var/run/postgresql", servers(("/var/run/postgresql", None))),
        ("postgresql:///app?host=/tmp,db.example&port=,6000", servers(("/tmp", None), ("db.example", 6000))),
        ("postgresql://u:p@%2Fvar%2Frun%2Fpostgresql:5433/app", servers(("/var/run/postgresql", 5433))),
        ("postgresql:///app?host=%40abstract", servers(("@abstract", None))),
    ],
)
def test_hosts_and_ports(url: str, hosts: tuple[HostPort, ...]) -> None:
    assert parse_database_url(url).hosts == hosts


@pytest.mark.parametrize(
    ("url", "user", "password", "database"),
    [
        ("postgresql://u@h", "u", None, None),
        ("postgresql://u:@h/", "u", None, None),
        ("postgresql://:p@h/d", None, "p", "d"),
        ("postgresql://u:p:q@h/d", "u", "p:q", "d"),
        ("postgresql://u%3Ax:p@h/d", "u:x", "p", "d"),
        ("postgresql://u:a+b@h/d", "u", "a+b", "d"),
        ("postgresql://u:%C3%BC%20%25@h/Caf%C3%A9%20%22x%22", "u", "ü %", 'Café "x"'),
        ("postgresql://ü:ß@h/d", "ü", "ß", "d"),
        ("postgresql://u:p@h/d?password=", "u", None, "d"),
    ],
)
def test_user_password_and_database(url: str, user: str | None, password: str | None, database: str | None) -> None:
    facts = parse_database_url(url)
    assert (facts.user, facts.password, facts.database) == (user, password, database)


# --- parameters ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "parameters", "dropped"),
    [
        ("connect_timeout=5&application_name=nightly%20job", {"connect_timeout": "5", "application_name": "nightly job"}, ()),
        ("options=-c%20search_path%3Dapp&channel_binding=require", {"options": "-c search_path=app", "channel_binding": "require"}, ()),
        ("sslmode=verify-full&sslrootcert=/ca&sslcert=/c&sslkey=/k&sslpassword=x",
         {"sslmode": "verify-full", "sslrootcert": "/ca", "sslcert": "/c", "sslkey": "/k", "sslpassword": "x"}, ()),
        ("connection_limit=5&pool_timeout=0&sslmode=require", {"sslmode": "require"}, ("connection_limit", "pool_timeout")),
        ("socket_timeout=3&statement_cache_size=0&max_connection_lifetime=1&max_idle_connection_lifetime=1", {},
         ("socket_timeout", "statement_cache_size", "max_connection_lifetime", "max_idle_connection_lifetime")),
        ("single_use_connections=true&uselibpqcompat=true&supa=base-pooler.x", {}, ("single_use_connections", "uselibpqcompat", "supa")),
        ("client_encoding=latin1&replication=database&sslkeylogfile=/x", {}, ("client_encoding", "replication", "sslkeylogfile")),
        ("nobody-knows=1&nobody-knows=2&%73slmode=require", {"sslmode": "require"}, ("nobody-knows",)),
        ("sslmode=require&sslmode=verify-ca", {"sslmode": "verify-ca"}, ()),
        ("&sslmode=require&&", {"sslmode": "require"}, ()),
    ],
)  # fmt: skip
def test_what_is_passed_on_and_what_is_dropped_by_name(query: str, parameters: dict[str, str], dropped: tuple[str, ...]) -> None:
    facts = parse_database_url(f"{H}?{query}")
    assert dict(facts.parameters) == parameters
    assert facts.dropped_parameters == dropped


@pytest.mark.parametrize(
    ("query", "sslmode"),
    [
        ("", None),
        ("sslmode=no-verify", "require"),
        ("ssl=true", "require"),
        ("ssl=1", "require"),
        ("ssl=false", "disable"),
        ("ssl=verify-full", "verify-full"),
        ("requiressl=1", "require"),
        ("sslaccept=strict", "verify-full"),
        ("sslaccept=anything-else", "verify-full"),
        ("sslaccept=accept_invalid_certs", "require"),
        ("sslmode=prefer&sslaccept=accept_invalid_certs", "prefer"),
        ("sslmode=require&sslaccept=strict", "verify-full"),
        ("sslmode=verify-full&ssl=true", "verify-full"),
        ("ssl=true&sslmode=prefer", "require"),
    ],
)
def test_sslmode_is_the_strongest_that_was_asked_for(query: str, sslmode: str | None) -> None:
    facts = parse_database_url(f"{H}?{query}")
    assert facts.sslmode == sslmode
    assert facts.dropped_parameters == ()


def test_ssl_true_verifies_in_jdbc_as_the_driver_does() -> None:
    assert parse_database_url("jdbc:postgresql://h/d?ssl=true").sslmode == "verify-full"


@pytest.mark.parametrize(
    ("query", "parameters", "dropped"),
    [
        ("sslcert=/x.pem&sslmode=require", {"sslcert": "/x.pem", "sslmode": "require"}, ()),
        ("sslcert=/ca.pem&sslaccept=strict", {"sslrootcert": "/ca.pem", "sslmode": "verify-full"}, ()),
        ("schema=app&sslcert=/ca.pem&sslmode=require", {"sslrootcert": "/ca.pem", "sslmode": "require"}, ()),
        ("sslidentity=/id.p12&sslpassword=x&sslcert=/ca.pem", {"sslrootcert": "/ca.pem"}, ("sslidentity", "sslpassword")),
        ("sslcert=/ca.pem&sslaccept=accept_invalid_certs", {"sslmode": "require"}, ("sslcert",)),
        ("schema=app&sslcert=/c.pem&sslkey=/k.pem&sslpassword=x", {"sslcert": "/c.pem", "sslkey": "/k.pem", "sslpassword": "x"}, ()),
        ("sslmode=no-verify&sslrootcert=/ca.pem", {"sslmode": "require"}, ("sslrootcert",)),
    ],
)
def test_whose_certificates_these_are(query: str, parameters: dict[str, str], dropped: tuple[str, ...]) -> None:
    facts = parse_database_url(f"{H}?{query}")
    assert dict(facts.parameters) == parameters
    assert facts.dropped_parameters == dropped


@pytest.mark.parametrize(
    ("query", "needs"),
    [
        ("sslmode=require&connect_timeout=3&sslrootcert=/ca", ()),
        ("sslnegotiation=direct", (("sslnegotiation", 17),)),
        ("sslrootcert=system", (("sslrootcert", 16),)),
        ("target_session_attrs=read-write", ()),
        ("target_session_attrs=standby&sslsni=0", (("target_session_attrs", 14), ("sslsni", 14))),
        ("require_auth=scram-sha-256", (("require_auth", 16),)),
        ("min_protocol_version=3.2", (("min_protocol_version", 18),)),
    ],
)
def test_parameters_that_need_a_newer_libpq_are_marked(query: str, needs: tuple[tuple[str, int], ...]) -> None:
    assert parse_database_url(f"{H}?{query}").needs_libpq == needs


def test_schema_is_kept_because_it_says_where_the_tables_are() -> None:
    assert parse_database_url(f"{H}?schema=tenant%20a").schema == "tenant a"
    assert parse_database_url(f"{H}?schema=").schema is None


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        (H, None),
        (f"{H}?pgbouncer=false", None),
        ("postgresql://u@aws-0-eu.pooler.supabase.com:5432/d", None),
        (f"{H}?pgbouncer=true", "pgbouncer"),
        ("postgresql://u@ep-x-pooler.eu.neon.tech/d", "-pooler."),
        ("postgresql://u@h:6543/d", "6543"),
        ("postgresql://u@a:5432,h:6432/d", "6432"),
    ],
)
def test_pooler_hint(url: str, hint: str | None) -> None:
    found = parse_database_url(url).pooler_hint
    assert (found is None) if hint is None else (found is not None and hint in found)


# --- refusals --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "part", "remedy"),
    [
        ("", "empty", "postgresql://USER"),
        ("  \n", "empty", "postgresql://USER"),
        ("''", "empty", "postgresql://USER"),
        ("postgresql://u:XQZ\n@h/d", "line break", "one line"),
        ("postgresql://u:XQZ\0@h/d", "control character", "percent-encoded"),
        ("postgresql://u:XQZ\udcff@h/d", "not valid UTF-8", "Percent-encode"),
        ("prisma+postgres://XQZ.example/?api_key=XQZ", "Prisma's proxy", "directUrl"),
        ("mysql://u:XQZ@h/d", "mysql", "postgresql://"),
        ("xqz://u:XQZ@h/d", "does not begin with", "postgresql://"),
        ("jdbc:postgresql:XQZ", "does not begin with", "postgresql://"),
        ("host=h password=XQZ", "does not begin with", "postgresql://"),
        ("u:XQZ@h/d", "does not begin with", "postgresql://"),
        ("postgresql://u:a@XQZ@h/d", "more than one @", "@ becomes %40"),
        ("postgresql://u:a/XQZ@h/d", "unescaped / stands before the @", "/ becomes %2F"),
        ("postgresql://u:12/XQZ@h/d", "unescaped / stands before the @", "/ becomes %2F"),
        ("postgresql://u:a?XQZ@h/d", "unescaped ? stands before the @", "? becomes %3F"),
        ("postgresql://u:a#XQZ@h/d", "user or the password holds an unescaped #", "# becomes %23"),
        ("postgresql://u:a XQZ@h/d", "user or the password holds a space", "%20"),
        ("postgresql://h/d#XQZ", "the host, the database name or the query holds an unescaped #", "# becomes %23"),
        ("postgresql://u:XQZ%@h/d", "the password holds a %", "% becomes %25"),
        ("postgresql://u:XQZ%4@h/d", "the password holds a %", "% becomes %25"),
        ("postgresql://XQZ%ZZ:p@h/d", "the user holds a %", "% becomes %25"),
        ("postgresql://h/XQZ%ZZ", "the database name holds a %", "% becomes %25"),
        ("postgresql://h/d?password=XQZ%ZZ", "the parameter password holds a %", "% becomes %25"),
        ("postgresql://u:XQZ%FF@h/d", "the password is not valid UTF-8", "UTF-8"),
        ("postgresql://u:XQZ%00@h/d", "the password holds a line break, a NUL", "without it"),
        ("postgresql://u:XQZ%0A@h/d", "the password holds a line break", "without it"),
        ("postgresql://u:XQZ/d", "the port is not a number", "percent-encode the password"),
        ("postgresql://h:0/d", "the port is not a number from 1 to 65535", ""),
        ("postgresql://h:65536/d", "the port is not a number from 1 to 65535", ""),
        ("postgresql://h:+5/d", "the port is not a number", ""),
        ("postgresql://h:\u0665/d", "the port is not a number", ""),
        ("postgresql://a,b,c:1,XQZ/d?port=1,2", "as many ports as hosts", "one port for all"),
        ("postgresql://[::1/d", "no closing ]", "[::1]"),
        ("postgresql://[XQZ]/d", "not an IPv6 address", "[::1]"),
        ("postgresql://[::1]XQZ/d", "follows the ]", "[::1]:5432"),
        ("postgresql://XQZ\\x/d", "the host holds a character", "host"),
        ("postgresql://h/d?XQZ", "parameter number 1 of the query has no =", "%26"),
        ("postgresql://h/d?sslmode=require&X%20QZ=1", "parameter number 2 of the query is not a plain word", "%3F"),
        ("postgresql://h/d?application_name=a=XQZ", "the parameter application_name holds a second, unescaped =", "%3D"),
        ("postgresql://h/d?password=a&XQZ=b", "what follows the parameter password", "& becomes %26"),
        ("postgresql://u:12/d?x=XQZ@h", "unescaped @", "%40"),
        ("jdbc:postgresql://h/d?password=XQZ+a", "the parameter password holds a +", "%2B"),
        ("postgresql://h/d?dbname=postgresql://u:XQZ@h/d", "database name is itself a connection URL", "Write only"),
        ("postgresql://h/d?service=XQZ", "service", "Write host"),
        ("postgresql://h/d?sslmode=XQZ", "the parameter sslmode", "verify-full"),
        ("postgresql://h/d?ssl=XQZ", "the parameter ssl ", "verify-full"),
        ("postgresql://h/d?sslmode=disable&ssl=true", "both ask for TLS and forbid it", "Keep only sslmode"),
        ("postgresql://h/d?sslmode=disable&sslaccept=strict", "both ask for TLS and forbid it", "Keep only sslmode"),
        ("postgresql://h/d?connect_timeout=XQZ", "connect_timeout is not a whole number", "digits"),
        ("postgresql://h/d?target_session_attrs=XQZ", "target_session_attrs", "standby"),
    ],
)
def test_a_refusal_names_the_part_and_the_remedy_and_no_value(url: str, part: str, remedy: str) -> None:
    message = refusal(url)
    assert part in message
    assert remedy in message
    assert CANARY.lower() not in message.lower()


def test_unknown_parameters_fail_by_name_when_asked() -> None:
    message = refusal(f"{H}?schema=a&first-unknown={CANARY}&second=2", unknown_params="fail")
    assert "first-unknown, second" in message
    assert CANARY not in message
    assert parse_database_url(f"{H}?schema=a&supa=x", unknown_params="fail").schema == "a"


def test_repr_shows_no_secret() -> None:
    facts = parse_database_url(f"postgresql://u:{CANARY}1@h/d?sslpassword={CANARY}2&options=-c%20a.b%3D{CANARY}3")
    assert CANARY not in repr(facts)
    assert facts.secrets == {f"{CANARY}1", f"{CANARY}2"}


# --- properties ------------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
SOCKETS = TEXT.map(lambda text: "/" + text.replace(",", ""))
IPV6 = st.ip_addresses(v=6).map(str)


@given(
    user=TEXT,
    password=TEXT,
    database=TEXT,
    host=st.one_of(NAMES, SOCKETS, IPV6),
    port=st.none() | st.integers(1, 65535),
    scheme=st.sampled_from(["postgres", "postgresql+psycopg"]),
)
@example(user="postgres://", password="@:/?#[]%&=+ ", database="a=b 'c' \"d\"", host="/tmp/a:b", port=1, scheme="postgres")
def test_whatever_is_percent_encoded_comes_back(user: str, password: str, database: str, host: str, port: int | None, scheme: str) -> None:
    assume(not database.startswith(("postgres://", "postgresql://")))
    netloc = f"[{host}]" if ":" in host and not host.startswith("/") else quote(host, safe="")
    suffix = "" if port is None else f":{port}"
    expected = ConnectionFacts(hosts=(HostPort(host, port),), user=user, password=password, database=database)
    in_authority = f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{netloc}{suffix}/{quote(database, safe='')}"
    in_query = f"{scheme}:///?" + "&".join(
        f"{name}={quote(value, safe='')}"
        for name, value in {"host": host, "port": str(port or ""), "dbname": database, "user": user, "password": password}.items()
    )
    for url in (in_authority, in_query):
        assert dataclasses.replace(parse_database_url(url), pooler_hint=None) == expected


PIECES = st.sampled_from([CANARY, "1", "12", "a", *"@:/?#[]%&=+,; '\"\\\n\x00", "%40", "%ZZ", "//", "://", "ü", "user=", "port="])
AWKWARD_SECRETS = st.lists(PIECES, min_size=1, max_size=8).map(lambda pieces: "".join((*pieces, CANARY)))
TEMPLATES = st.sampled_from(
    [
        "postgresql://u:{}@h/d",
        "postgresql://u:{}@h:5432/d?sslmode=require&schema=public",
        "postgresql://u:{}@",
        "postgresql://:{}@[::1]/d",
        "postgres://h/d?user=u&password={}&sslmode=require",
        "postgres://u:x@h/d?sslmode=require&password={}",
        "postgres://h/d?sslpassword={}",
        "jdbc:postgresql://h/d?user=u&password={}",
        "mysql://u:{}@h/d",
        "prisma+postgres://h/?api_key={}",
        "u:{}@h/d",
        "{}",
    ]
)


@given(template=TEMPLATES, secret=AWKWARD_SECRETS, unknown_params=st.sampled_from(["drop", "fail"]))
@example(template="postgresql://u:{}@h/d", secret="12/x?y=XQZ", unknown_params="drop")
@example(template="postgres://h/d?user=u&password={}&sslmode=require", secret="a&XQZ=1", unknown_params="fail")
def test_an_unescaped_secret_is_read_whole_or_refused_without_a_piece_of_it(template: str, secret: str, unknown_params: str) -> None:
    try:
        facts = parse_database_url(template.format(secret), unknown_params=unknown_params)
    except DatabaseUrlError as error:
        assert CANARY not in error.message
        assert CANARY not in repr(error.details)
    else:
        rest = dataclasses.asdict(facts)
        rest.pop("password")
        rest["parameters"] = [(name, value) for name, value in facts.parameters if name != "sslpassword"]
        if not secret.startswith(("user=", "port=")) and "&user=" not in secret:
            assert CANARY not in repr(rest)
        assert CANARY not in repr(facts) or "user=" in secret


# --- the same as libpq -----------------------------------------------------------------------------------------------------------

BOTH_ACCEPT = [
    "postgresql://",
    "postgresql:///",
    "postgresql://h",
    "postgresql://u@",
    "postgresql://@h",
    "postgresql://u:@h/d",
    "postgresql://:p@h/d",
    "postgresql://u:p@h:5433/d",
    "postgres://u:p:q@h/d",
    "postgresql://u:p[q]@h/d",
    "postgresql://u%3Ax:p%40q%2Fr%3Fs%23t%25u@h/d",
    "postgresql://ü:ß@h/d",
    "postgresql://u:a+b@h/a+b",
    "postgresql://h:/d",
    "postgresql://h:%35432/d",
    "postgresql://a:1,b:2/d",
    "postgresql://a,b:2/d",
    "postgresql://a:1,b/d",
    "postgresql://a,/d",
    "postgresql://,/d",
    "postgresql://a%2Cb/d",
    "postgresql://[::1]:5/d",
    "postgresql://[::1],[::2]:3/d",
    "postgresql://[fe80::1%25eth0]/d",
    "postgresql://%2Ftmp%2Fs:5/d",
    "postgresql:///d?host=/tmp&port=7",
    "postgresql://h:1/d?host=x&port=7",
    "postgresql://h/d?host=a,b&port=1,2",
    "postgresql://u:p@/d?host=/tmp",
    "postgresql://u:p@h/d?password=y",
    "postgresql://h/d?user=x&password=y",
    "postgresql://h/d?user=x@y&password=a@b",
    "postgresql://u@h/d?user=",
    "postgresql://u@h/d?host=",
    "postgresql://h/d?port=",
    "postgresql://h/d?",
    "postgresql://h?dbname=x",
    "postgresql://h/a?dbname=x",
    "postgresql://?host=h",
    "postgresql://h/a/b/c",
    "postgresql://h/d?sslmode=require&",
    "postgresql://h/d?sslmode=require&sslmode=disable",
    "postgresql://h/d?%73slmode=require",
    "postgresql://h/d?ssl=true",
    "postgresql://h/d?ssl=true&sslmode=verify-full",
    "postgresql://h/d?requiressl=1",
    "postgresql://h/d?application_name=a+b;c?d%20e",
    "postgresql://h/d?options=-c%20search_path%3Da%26b",
    "postgresql://h/d?hostaddr=192.0.2.1&connect_timeout=3&keepalives=0&gssencmode=disable&channel_binding=disable",
    "postgresql://h/d?sslmode=verify-ca&sslrootcert=/a&sslcert=/b&sslkey=/c&sslpassword=d&sslcrl=/e",
    "postgresql://h/d?target_session_attrs=primary&passfile=/x&krbsrvname=k",
]


def as_libpq(facts: ConnectionFacts) -> dict[str, str]:
    said = {
        "host": ",".join(entry.host for entry in facts.hosts),
        "dbname": facts.database,
        "user": facts.user,
        "password": facts.password,
        **dict(facts.parameters),
    }
    return {name: value for name, value in said.items() if value}


@pytest.mark.parametrize("url", BOTH_ACCEPT)
def test_libpq_reads_the_same(url: str) -> None:
    extensions = pytest.importorskip("psycopg2").extensions
    theirs = {name: value for name, value in extensions.parse_dsn(url).items() if value}
    facts = parse_database_url(url)
    ports = theirs.pop("port", "").split(",")
    ours = as_libpq(facts)
    assert ours == theirs
    assert [entry.port for entry in facts.hosts] == [int(port) if port else None for port in ports] * (len(facts.hosts) if len(ports) == 1 else 1)


def test_libpq_gives_away_what_we_refuse_in_silence() -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    url = f"postgresql://u:{CANARY}%ZZ@h/d"
    with pytest.raises(psycopg2.ProgrammingError, match=CANARY):
        psycopg2.extensions.parse_dsn(url)
    assert CANARY not in refusal(url)


# --- default_sslmode -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "asked", "hostaddr", "expected"),
    [
        (["db.example"], None, None, "require"),
        (["db.example"], "disable", None, "disable"),
        (["localhost"], "verify-full", None, "verify-full"),
        (["localhost"], None, None, "prefer"),
        (["LOCALHOST."], None, None, "prefer"),
        (["localhost.example"], None, None, "require"),
        (["127.0.0.53"], None, None, "prefer"),
        (["::1"], None, None, "prefer"),
        (["::ffff:127.0.0.1"], None, None, "prefer"),
        (["::ffff:192.0.2.1"], None, None, "require"),
        (["10.0.0.1"], None, None, "require"),
        (["127.1"], None, None, "require"),
        (["/var/run/postgresql"], None, None, "prefer"),
        (["@abstract"], None, None, "prefer"),
        ([""], None, None, "prefer"),
        ([], None, None, "prefer"),
        (["localhost", "db.example"], None, None, "require"),
        (["localhost"], None, "192.0.2.1", "require"),
        (["db.example"], None, "127.0.0.1", "prefer"),
        (["localhost", "db.example"], None, "127.0.0.1,", "require"),
        (["db.example"], "", None, "require"),
    ],
)
def test_default_sslmode(hosts: list[str], asked: str | None, hostaddr: str | None, expected: str) -> None:
    assert default_sslmode([HostPort(host) for host in hosts], asked, hostaddr=hostaddr) == expected
