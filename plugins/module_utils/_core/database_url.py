# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""A strict reader of PostgreSQL URLs that never repeats what it read.

The grammar is libpq's (connection URIs), not the one of general URL libraries: the two disagree about unescaped characters in
a password, and a URL with two meanings is refused here instead of being guessed at. libpq's own error texts quote pieces of
the password, which is the second reason to read the URL ourselves and never hand it to a client program.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError


class DatabaseUrlError(BackupError):
    """A database URL was refused; the message names the part that is wrong and never a value."""


class HostPort(NamedTuple):
    """One server to try: a name, an address, a socket directory (begins with / or @), or '' for libpq's default."""

    host: str
    port: int | None = None


@dataclass(frozen=True)
class ConnectionFacts:
    """What a database URL says.

    ``parameters`` are libpq keywords with values, in the order of the URL; host, port, dbname, user and password are never among
    them. ``needs_libpq`` pairs a parameter with the first libpq major that knows it, for those that libpq 13 does not.
    ``parameters`` and ``password`` stay out of ``repr`` because both can hold secrets.
    """

    hosts: tuple[HostPort, ...]
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    parameters: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    schema: str | None = None
    pooler_hint: str | None = None
    dropped_parameters: tuple[str, ...] = ()
    needs_libpq: tuple[tuple[str, int], ...] = ()

    def parameter(self, name: str) -> str | None:
        """Return the value of a libpq keyword, or None when the URL does not set it."""
        return dict(self.parameters).get(name)

    @property
    def sslmode(self) -> str | None:
        """The sslmode that the URL asks for, in libpq's words."""
        return self.parameter("sslmode")

    @property
    def secrets(self) -> frozenset[str]:
        """Every decoded value that must not be shown."""
        found = {value for name, value in self.parameters if name in SECRET_PARAMETERS}
        return frozenset(value for value in (*found, self.password) if value)


SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""libpq's sslmode values, weakest first."""

POOLER_PORTS = (6432, 6543)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SECRET_PARAMETERS = _words("""
    password sslpassword oauth_client_secret scram_client_key scram_server_key
    pass passwd pwd secret token api_key apikey access_token sslkeypassword""")
"""Query parameters whose values are secrets: libpq's, and those that other programs put into URLs."""

# Each libpq keyword that is passed on, with the first major that knows it (13 stands for "13 or older").
_LIBPQ_SINCE: Mapping[str, int] = {
    name: major
    for major, names in {
        13: """
            passfile hostaddr options application_name fallback_application_name connect_timeout keepalives keepalives_idle
            keepalives_interval keepalives_count tcp_user_timeout channel_binding requirepeer target_session_attrs sslmode
            sslcompression sslcert sslkey sslpassword sslrootcert sslcrl ssl_min_protocol_version ssl_max_protocol_version gssencmode
            krbsrvname gsslib""",
        14: "sslcrldir sslsni",
        16: "require_auth sslcertmode load_balance_hosts gssdelegation",
        17: "sslnegotiation",
        18: """
            min_protocol_version max_protocol_version oauth_issuer oauth_client_id oauth_client_secret oauth_scope scram_client_key
            scram_server_key""",
    }.items()
    for name in _words(names)
}

_IDENTITY = _words("host port dbname user password")

# A service takes host and password from a file, so the checks made on this URL's hosts would be about the wrong server.
_REFUSED = _words("service servicefile")

# Parameters that are not libpq's keywords and still say something that is used.
_TRANSLATED = _words("schema ssl requiressl sslaccept")

_PRISMA_ONLY = _words("""
    schema pgbouncer connection_limit pool_timeout socket_timeout statement_cache_size sslaccept sslidentity max_connection_lifetime
    max_idle_connection_lifetime""")

# Known to mean nothing for a backup's connection. Five of them libpq knows: client_encoding would change the dump's encoding,
# replication its protocol, sslkeylogfile writes the session's keys to a file, tty and authtype were always ignored.
_MEANINGLESS = _words("""
    client_encoding replication sslkeylogfile tty authtype
    single_use_connections uselibpqcompat supa workaround statement_timeout query_timeout lock_timeout encoding
    idle_in_transaction_session_timeout pool pool_size max_overflow pool_recycle pool_pre_ping prepared_statements
    prepared_statement_cache_size conn_max_age conn_health_checks pool_max_conns pool_min_conns pool_max_conn_lifetime
    pool_max_conn_idle_time pool_health_check_period default_query_exec_mode statement_cache_capacity description_cache_capacity
    statement-cache-capacity currentSchema ApplicationName loginTimeout connectTimeout socketTimeout tcpKeepAlive prepareThreshold
    sslfactory targetServerType reWriteBatchedInserts binaryTransfer stringtype""")

KNOWN_PARAMETERS = frozenset(_LIBPQ_SINCE) | _IDENTITY | _REFUSED | _TRANSLATED | _PRISMA_ONLY | _MEANINGLESS
"""Every query parameter whose name is libpq's or a known program's: safe to name in a message."""

_NUMERIC = _words("connect_timeout keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout")

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslcertmode": ("disable", "allow", "require"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}

_FOREIGN_SCHEMES = _words("""
    mysql mysql2 mariadb sqlite sqlite3 file sqlserver mssql mongodb mongodb+srv redis rediss oracle cockroachdb http https prisma s3""")

_SCHEME = re.compile(r"(?P<jdbc>jdbc:)?postgres(?:ql)?(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"(?:jdbc:)?([A-Za-z][A-Za-z0-9+.-]*)://")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}\Z")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})|%")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LINE_BREAK = re.compile(r"[\x00\r\n]")
_OUTER_SPACE = " \t\r\n"


def parse_database_url(url: str, *, unknown_params: Literal["drop", "fail"] = "drop") -> ConnectionFacts:
    """Read a PostgreSQL URL by libpq's grammar.

    Prisma's, node-postgres' and JDBC's parameters are translated into libpq's or dropped by name; a parameter that nobody knows is
    dropped by name or refused, as ``unknown_params`` says. Raises DatabaseUrlError, whose message never holds a piece of a value.
    """
    is_jdbc, rest = _without_scheme(_trimmed(url))
    pieces = _split(rest)
    query = _read_query(pieces.query, plus_is_space=is_jdbc)
    names = [name for name, _value in query]
    given = dict(query)

    unknown = _once(name for name in names if name not in KNOWN_PARAMETERS)
    if unknown and unknown_params == "fail":
        raise _refusal(
            f"the query has parameters that are not known: {', '.join(unknown)}",
            "Remove them, or allow unknown parameters to be dropped",
        )
    for name in sorted(_REFUSED.intersection(given)):
        raise _refusal(
            f"the parameter {name} takes the server and the password from a file that cannot be checked here",
            "Write host, user and database in the URL instead",
        )

    renamed, given_up = _certificate_names(given)
    parameters = _libpq_parameters(given, renamed, given_up, is_jdbc=is_jdbc)
    hosts = _hosts(_identity("host", pieces.hosts, given), _identity("port", pieces.ports, given))
    used = (_LIBPQ_SINCE.keys() | _IDENTITY | _TRANSLATED) - given_up
    return ConnectionFacts(
        hosts=hosts,
        database=_checked_database(_identity("database name", pieces.database, given, "dbname")),
        user=_identity("user", pieces.user, given) or None,
        password=_identity("password", pieces.password, given) or None,
        parameters=parameters,
        schema=given.get("schema") or None,
        pooler_hint=_pooler_hint(hosts, given),
        dropped_parameters=_once(name for name in names if name not in used),
        needs_libpq=_needs_libpq(parameters),
    )


def default_sslmode(hosts: Iterable[HostPort], sslmode: str | None, *, hostaddr: str | None = None) -> str:
    """Return the sslmode to use: the one asked for, else 'require', or 'prefer' when every server is on this machine.

    ``hosts`` must already be what libpq will use: an empty host counts as the local socket, so a fallback such as PGHOST is resolved
    by the caller. ``hostaddr`` (libpq's keyword) decides over the names, because it is what libpq connects to.
    """
    if sslmode:
        return sslmode
    names = [entry.host for entry in hosts]
    addresses = hostaddr.split(",") if hostaddr else []
    targets = [address or name for address, name in itertools.zip_longest(addresses, names, fillvalue="")]
    return "prefer" if all(_is_local(target) for target in targets) else "require"


def _refusal(what: str, how: str) -> DatabaseUrlError:
    return DatabaseUrlError(f"The database URL was refused: {what}. {how}.")


# --- the text ------------------------------------------------------------------------------------------------------------------


def _trimmed(url: str) -> str:
    text = url.strip(_OUTER_SPACE)
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip(_OUTER_SPACE)
    if not text:
        raise _refusal("it is empty", "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    if _CONTROL.search(text):
        raise _refusal("it holds a line break, a NUL or another control character", "Write it on one line, with such characters percent-encoded")
    if not _is_utf8(text):
        raise _refusal("it is not valid UTF-8", "Percent-encode the characters outside ASCII")
    return text


def _is_utf8(text: str) -> bool:
    # Not encode() in a try: the exception would carry the whole URL.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _without_scheme(text: str) -> tuple[bool, str]:
    match = _SCHEME.match(text)
    if match:
        return bool(match["jdbc"]), text[match.end() :]
    foreign = _ANY_SCHEME.match(text)
    scheme = foreign[1].lower() if foreign else ""
    if scheme.startswith("prisma+"):
        raise _refusal(
            "it leads to Prisma's proxy, which does not speak PostgreSQL's protocol",
            "Set the direct URL of the database, which begins with postgresql:// (Prisma calls it directUrl)",
        )
    if scheme in _FOREIGN_SCHEMES:
        raise _refusal(f"its scheme is {scheme}, which is not PostgreSQL", "Set a URL that begins with postgresql://")
    raise _refusal("it does not begin with postgresql:// or postgres://", "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE")


# --- libpq's split into parts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pieces:
    user: str
    password: str = field(repr=False)
    hosts: str
    ports: str
    database: str
    query: str = field(repr=False)


def _split(rest: str) -> _Pieces:
    """Cut what follows the scheme where libpq cuts it; refuse what other readers of URLs would cut elsewhere."""
    if "#" in rest:
        raise _refusal(
            f"{_part_with(rest, '#')} holds an unescaped #, where some programs cut the URL and others do not",
            "Percent-encode it: # becomes %23",
        )
    if " " in rest:
        raise _refusal(f"{_part_with(rest, ' ')} holds a space", "Percent-encode it: a space becomes %20")
    userinfo, authority, path_and_query = _cut_userinfo(rest)
    path, _mark, query = path_and_query.partition("?")
    if "@" in path:
        raise _refusal(
            "an unescaped / stands before the @, in the user or the password, or an unescaped @ in the database name",
            "Percent-encode it: / becomes %2F and @ becomes %40",
        )
    user, _colon, password = userinfo.partition(":")
    hosts, ports = _cut_hosts(authority)
    return _Pieces(user, password, hosts, ports, path.removeprefix("/"), query)


def _part_with(rest: str, mark: str) -> str:
    return "the user or the password" if "@" in rest.partition(mark)[2] else "the host, the database name or the query"


def _cut_userinfo(rest: str) -> tuple[str, str, str]:
    before_path = rest.partition("/")[0]
    userinfo, at_sign, _more = before_path.partition("@")
    if not at_sign:
        userinfo = ""
    if "?" in userinfo:
        raise _refusal(
            "an unescaped ? stands before the @, in the user or the password, or an unescaped @ in the query",
            "Percent-encode it: ? becomes %3F and @ becomes %40",
        )
    after = rest[len(userinfo) + len(at_sign) :]
    end = re.search(r"[/?]", after)
    authority, remainder = (after[: end.start()], after[end.start() :]) if end else (after, "")
    if "@" in authority:
        raise _refusal("there is more than one @ before the host, so the user or the password holds an unescaped one", "Percent-encode it: @ becomes %40")
    return userinfo, authority, remainder


def _cut_hosts(authority: str) -> tuple[str, str]:
    """Return the hosts and the ports, each as libpq's comma-separated list, still percent-encoded."""
    hosts: list[str] = []
    ports: list[str] = []
    for entry in authority.split(","):
        if entry.startswith("["):
            address, bracket, tail = entry[1:].partition("]")
            if not bracket:
                raise _refusal("the host begins with [ and has no closing ]", "Write an IPv6 address as [::1], or percent-encode: [ becomes %5B")
            if not _is_ipv6(_decoded("host", address)):
                raise _refusal("the host in [ ] is not an IPv6 address", "Write it as [::1], with a zone as [fe80::1%25eth0]")
            if tail and not tail.startswith(":"):
                raise _refusal("something other than a port follows the ] of the host", "Write it as [::1]:5432")
            hosts.append(address)
            ports.append(tail[1:])
        else:
            host, _colon, port = entry.partition(":")
            hosts.append(host)
            ports.append(port)
    return ",".join(hosts), ",".join(ports) if any(ports) else ""


# --- values --------------------------------------------------------------------------------------------------------------------


def _decoded(part: str, text: str) -> str:
    """Percent-decode as libpq does: + stays +, and a bad escape, a NUL or bytes that are not UTF-8 are refused."""
    if any(match[1] is None for match in _PERCENT.finditer(text)):
        raise _refusal(f"the {part} holds a % that is not followed by two hexadecimal digits", "Percent-encode it: % becomes %25")
    raw = bytearray()
    position = 0
    for match in _PERCENT.finditer(text):
        raw += text[position : match.start()].encode() + bytes.fromhex(match[1])
        position = match.end()
    raw += text[position:].encode()
    value = raw.decode(errors="surrogateescape")
    if not _is_utf8(value):
        raise _refusal(f"the {part} is not valid UTF-8 once percent-decoded", "Percent-encode its UTF-8 bytes")
    # A password file has one line per entry; every other part has no use for any control character.
    if (_LINE_BREAK if part in ("password", "parameter password") else _CONTROL).search(value):
        raise _refusal(f"the {part} holds a line break, a NUL or another control character once percent-decoded", "Choose a value without it")
    return value


def _identity(part: str, raw: str, given: Mapping[str, str], keyword: str | None = None) -> str:
    """Return the decoded part; as in libpq, a query parameter of the same meaning wins."""
    value = _decoded(part, raw)
    return given.get(keyword or part, value)


def _read_query(query: str, *, plus_is_space: bool) -> list[tuple[str, str]]:
    """Return the decoded pairs in order. A piece that may be the tail of a secret is refused without being named."""
    pairs: list[tuple[str, str]] = []
    previous = ""
    for number, segment in enumerate((piece for piece in query.split("&") if piece), start=1):
        raw_name, equals, raw_value = segment.partition("=")
        nth = f"parameter number {number} of the query"
        name = _decoded(f"name of {nth}", raw_name)
        if name not in KNOWN_PARAMETERS and previous in SECRET_PARAMETERS:
            raise _refusal(
                f"what follows the parameter {previous} is not a known parameter, so {previous} may hold an unescaped &",
                "Percent-encode it: & becomes %26. If it is a parameter of another program, write it before the secret",
            )
        if not equals:
            raise _refusal(f"{nth} has no =", "Write it as NAME=VALUE; an & inside a value becomes %26")
        if name not in KNOWN_PARAMETERS and not _PLAIN_NAME.match(name):
            raise _refusal(
                f"the name of {nth} is not a plain word", "If it belongs to a password, percent-encode the password: ? becomes %3F and & becomes %26"
            )
        if name not in KNOWN_PARAMETERS and "@" in raw_value:
            raise _refusal(
                f"{nth} is unknown and holds an unescaped @, so it may be a piece of a password",
                "Percent-encode it: @ becomes %40, and ? in a password becomes %3F",
            )
        label = f"parameter {name}" if name in KNOWN_PARAMETERS else f"value of {nth}"
        if "=" in raw_value:
            raise _refusal(f"the {label} holds a second, unescaped =", "Percent-encode it: = becomes %3D")
        if plus_is_space and "+" in raw_value:
            raise _refusal(f"the {label} holds a +, which JDBC reads as a space and PostgreSQL's own programs as +", "Write %2B for + or %20 for a space")
        pairs.append((name, _decoded(label, raw_value)))
        previous = name
    return pairs


def _checked_database(name: str) -> str | None:
    # Client programs expand such a "database name" into a whole connection, password included.
    if re.match(r"postgres(?:ql)?://", name):
        raise _refusal("the database name is itself a connection URL", "Write only the name of the database there")
    return name or None


def _hosts(hosts: str, ports: str) -> tuple[HostPort, ...]:
    """Pair hosts and ports by libpq's rule: one port serves all hosts, else there is one (maybe empty) port for each."""
    names = hosts.split(",")
    numbers = [_port(text) for text in ports.split(",")]
    if len(numbers) == 1:
        numbers *= len(names)
    if len(names) != len(numbers):
        raise _refusal("it does not name as many ports as hosts", "Write one port for all hosts, or one for each, as HOST1:PORT1,HOST2:PORT2")
    for name in names:
        _check_host(name)
    return tuple(HostPort(name, number) for name, number in zip(names, numbers, strict=True))


def _port(text: str) -> int | None:
    if not text:
        return None
    if len(text) > 5 or not set(text) <= set(string.digits) or not 1 <= int(text) <= 65535:
        raise _refusal(
            "the port is not a number from 1 to 65535",
            "If what stands there belongs to the password, percent-encode the password (/ becomes %2F, ? becomes %3F, @ becomes %40) and write @HOST after it",
        )
    return int(text)


def _check_host(name: str) -> None:
    if name.startswith(("/", "@")) or _is_ipv6(name):
        return
    if re.search(r"""[\s@/\\?#:\[\]<>"'`|^]""", name):
        raise _refusal(
            "the host holds a character that no host name has",
            "Write a name, an IPv4 address, an IPv6 address in [ ], or a socket directory with / as %2F; "
            "percent-encode the password if a piece of it stands there",
        )


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_local(target: str) -> bool:
    if target == "" or target.startswith(("/", "@")):
        return True
    if target.lower().rstrip(".") in ("localhost", "ip6-localhost", "ip6-loopback"):
        return True
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


# --- parameters ----------------------------------------------------------------------------------------------------------------


def _libpq_parameters(given: Mapping[str, str], renamed: Mapping[str, str], given_up: frozenset[str], *, is_jdbc: bool) -> tuple[tuple[str, str], ...]:
    for name, value in given.items():
        _check_value(name, value)
    passed_on = _LIBPQ_SINCE.keys() - given_up - {"sslmode"}
    mode = _sslmode(given, is_jdbc=is_jdbc)
    return (
        *((renamed.get(name, name), value) for name, value in given.items() if name in passed_on),
        *([("sslmode", mode)] if mode else []),
    )


def _check_value(name: str, value: str) -> None:
    if name in _NUMERIC and not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise _refusal(f"the parameter {name} is not a whole number", "Write it in digits, without a unit")
    allowed = _CHOICES.get(name)
    if allowed and value not in allowed:
        raise _refusal(f"the parameter {name} has a value that PostgreSQL does not know", f"Set one of {', '.join(allowed)}")


def _certificate_names(given: Mapping[str, str]) -> tuple[dict[str, str], frozenset[str]]:
    """Decide whose sslcert and sslpassword these are, and which certificate settings mean nothing.

    In libpq sslcert is the client's certificate and needs sslkey; in Prisma it is the server's CA, and the client's identity is
    the PKCS #12 file sslidentity (which libpq cannot read) with sslpassword. So the URL is read as Prisma's when it has a parameter
    that only Prisma knows and neither sslkey nor sslrootcert, which Prisma does not know: whoever wrote it runs Prisma with it.

    A CA given along with the wish not to verify is given up: libpq verifies with it even at sslmode=require.
    """
    if given.get("sslmode") == "no-verify":
        return {}, frozenset({"sslrootcert"})
    if not _PRISMA_ONLY.intersection(given) or "sslkey" in given or "sslrootcert" in given:
        return {}, frozenset()
    if given.get("sslaccept") == "accept_invalid_certs":
        return {}, frozenset({"sslcert", "sslpassword"})
    return {"sslcert": "sslrootcert"}, frozenset({"sslpassword"})


def _sslmode(given: Mapping[str, str], *, is_jdbc: bool) -> str | None:
    """Return the strongest of the modes asked for. libpq lets the last one win, which would let ssl=true weaken verify-full."""
    asked = [mode for mode in _asked_sslmodes(given, is_jdbc=is_jdbc) if mode]
    if not asked:
        return "require" if given.get("sslaccept") == "accept_invalid_certs" else None
    strongest = max(asked, key=SSL_MODES.index)
    if "disable" in asked and SSL_MODES.index(strongest) >= SSL_MODES.index("require"):
        raise _refusal("its parameters both ask for TLS and forbid it", "Keep only sslmode, and set it to the mode you want")
    return strongest


def _asked_sslmodes(given: Mapping[str, str], *, is_jdbc: bool) -> list[str | None]:
    # Prisma takes every other value of sslaccept for strict. A mode that libpq does not know must not fall back to a weaker one.
    strict = "sslaccept" in given and given["sslaccept"] != "accept_invalid_certs"
    switched_on = "verify-full" if is_jdbc else "require"
    modes = {mode: mode for mode in SSL_MODES}
    switches = {"true": switched_on, "1": switched_on, "false": "disable", "0": "disable"}
    return [
        _translate_mode("sslmode", given, {**modes, "no-verify": "require"}),
        _translate_mode("ssl", given, {**modes, **switches, "no-verify": "require"}),
        _translate_mode("requiressl", given, {"1": "require", "0": "prefer"}),
        "verify-full" if strict else None,
    ]


def _translate_mode(name: str, given: Mapping[str, str], words: Mapping[str, str]) -> str | None:
    if name not in given:
        return None
    if given[name] not in words:
        raise _refusal(f"the parameter {name} has a value that is not known", f"Set sslmode to one of {', '.join(SSL_MODES)}")
    return words[given[name]]


def _needs_libpq(parameters: Iterable[tuple[str, str]]) -> tuple[tuple[str, int], ...]:
    majors = ((name, _libpq_for(name, value)) for name, value in parameters)
    return tuple((name, major) for name, major in majors if major > 13)


def _libpq_for(name: str, value: str) -> int:
    if name == "sslrootcert" and value == "system":
        return 16  # Older ones take it for a file name.
    if name == "target_session_attrs" and value not in ("any", "read-write"):
        return 14
    return _LIBPQ_SINCE[name]


def _pooler_hint(hosts: Iterable[HostPort], given: Mapping[str, str]) -> str | None:
    """Say why this looks like a pooler. Supabase's session pooler (its pooler host at port 5432) can be dumped from and is not meant."""
    if given.get("pgbouncer", "").lower() in ("true", "1"):
        return "the URL says pgbouncer=true"
    for entry in hosts:
        if "-pooler." in entry.host:
            return "the host name contains -pooler."
        if entry.port in POOLER_PORTS:
            return f"port {entry.port} is a pooler's usual port"
    return None


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
