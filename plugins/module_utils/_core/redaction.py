# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Finding a secret again in whatever spelling a program printed it, and masking it.

A secret shorter than SHORTEST_MASKED characters is not masked: such a string stands in ordinary text by chance, so masking it
would make messages unreadable and the mask itself would give it away. The full URL that carries it is still registered with
Ansible by its caller.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import typing as t
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import (
    KNOWN_PARAMETERS,
    SECRET_PARAMETERS,
    DatabaseUrlError,
    parse_database_url,
)

MASK = "********"
SHORTEST_MASKED = 3

# The characters beside letters and digits that encodeURIComponent and encodeURI leave alone.
_JAVASCRIPT_SAFE = ("!~*'()-_.", "!~*'()-_.;,/?:@&=+$#")

_CONNINFO_SECRET = re.compile(r"(?:password|passwd|pwd|secret|token|api_?key)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&'][^\s&]*)", re.IGNORECASE)
_HEX_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ANY_SCHEME = re.compile(r"(?:jdbc:)?[A-Za-z][A-Za-z0-9+.-]*://")
# As far as the last @, because an unescaped one may be part of the password.
_URL_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)\S+@")
_BEFORE_AT = re.compile(r"[^@/?#&=:,\s\[\]]+@")
_MARKS = re.compile(r"[@/?#&=:,\s\[\]]+")

# A refused URL is read in every way; a hostile one with thousands of marks must not make that explode.
_MOST_MARKS = 12


def secret_forms(secret: str) -> frozenset[str]:
    """Return every usual spelling of a secret, itself and its percent-decoded reading included; '' and very short ones are left out."""
    if len(secret) < SHORTEST_MASKED:
        return frozenset()
    readings = {secret, unquote(secret), unquote_plus(secret)}
    forms = itertools.chain.from_iterable(_spellings(reading) for reading in readings if len(reading) >= SHORTEST_MASKED)
    return frozenset(form for form in forms if len(form) >= SHORTEST_MASKED)


def _spellings(text: str) -> Iterator[str]:
    raw = text.encode(errors="surrogatepass")
    yield text
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw), *(quote(raw, safe=safe) for safe in _JAVASCRIPT_SAFE)):
        yield encoded
        yield _HEX_ESCAPE.sub(lambda match: match[0].lower(), encoded)
    yield text.replace("\\", "\\\\").replace(":", "\\:")  # a password file
    yield text.replace("'", "''")  # SQL, YAML
    yield text.replace("\\", "\\\\").replace("'", "''")  # SQL's E'...'
    yield text.replace("\\", "\\\\").replace("'", "\\'")  # a connection string of keywords
    yield text.replace("'", "'\"'\"'")  # shlex.quote
    yield text.replace("'", "'\\''")  # what people write in a shell
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(raw)[2:-1]
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        padded = encode(raw).decode()
        yield padded
        yield padded.rstrip("=")


def in_every_text(value: t.Any, change: t.Callable[[str], str]) -> t.Any:
    """Return plain data with every text in it changed; the names in dictionaries stay, as texts."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {str(key): in_every_text(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [in_every_text(item, change) for item in value]
    return value


class Redactor:
    """Masks secrets in text, in every form of secret_forms and in every mixture of percent escapes.

    All occurrences are found first and what they cover together is masked at once. Replacing one form after the other would leave
    the rest of a secret standing where two of them overlap.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = [secret for secret in secrets if len(secret) >= SHORTEST_MASKED]
        self._forms = sorted({form for secret in known for form in secret_forms(secret)}, key=lambda form: (-len(form), form))
        readings = {reading for secret in known for reading in (secret, unquote(secret)) if len(reading) >= SHORTEST_MASKED}
        self._escaped = [_any_escaping(reading) for reading in sorted(readings)]

    def __call__(self, text: str) -> str:
        """Return the text with every secret replaced by MASK."""
        masked: list[str] = []
        position = 0
        for start, end in _merged(self._covered(text)):
            masked += (text[position:start], MASK)
            position = end
        return "".join((*masked, text[position:]))

    def _covered(self, text: str) -> Iterator[tuple[int, int]]:
        for form in self._forms:
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form)
                start = text.find(form, start + 1)
        if "%" in text:
            for pattern in self._escaped:
                yield from (match.span(1) for match in pattern.finditer(text))


def _any_escaping(secret: str) -> re.Pattern[str]:
    """Match the secret with any of its characters percent-encoded; the lookahead finds overlapping occurrences too."""
    return re.compile(f"(?=({''.join(_escapable(character) for character in secret)}))")


def _escapable(character: str) -> str:
    percent = "".join(f"%(?i:{byte:02x})" for byte in character.encode(errors="surrogatepass"))
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|{percent}{plus})"


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join spans that overlap or touch, in order."""
    current: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if current is None:
            current = (start, end)
        elif start <= current[1]:
            current = (current[0], max(current[1], end))
        else:
            yield current
            current = (start, end)
    if current is not None:
        yield current


def mask_url_passwords(text: str) -> str:
    """Return the text with the password of every URL in it masked, for texts whose secrets nobody has registered."""
    return _URL_PASSWORD.sub(rf"\1{MASK}@", text)


def url_secrets(url: str) -> frozenset[str]:
    """Return what must be masked because of this database URL, valid or not.

    An accepted URL has one reading: its password, decoded and as written. A refused one is read in every way, and the pieces that a
    program would cut it into are taken as well, which may mask its host or user too.
    """
    text = _unquoted(url.strip())
    scheme = _ANY_SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    found = set(_query_secrets(rest))
    try:
        facts = parse_database_url(url)
    except DatabaseUrlError:
        found.update(_every_reading(rest))
    else:
        found.update(facts.secrets)
        userinfo = rest.partition("/")[0].rpartition("@")[0]
        raw_password = userinfo.partition(":")[2]
        if raw_password:
            found.update((raw_password, userinfo))
    decoded = {unquote(secret) for secret in found}
    return frozenset(secret for secret in found | decoded if len(secret) >= SHORTEST_MASKED)


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text


def _query_secrets(rest: str) -> Iterator[str]:
    for segment in re.split(r"[?&;]", rest):
        name, _equals, value = segment.partition("=")
        if unquote(name).strip().lower() in SECRET_PARAMETERS:
            yield value


def _every_reading(rest: str) -> Iterator[str]:
    for candidate in (*_userinfo_readings(rest), *_tails_of_query_secrets(rest)):
        yield candidate
        yield from (piece for piece in _MARKS.split(candidate) if not _says_nothing(piece))
    # The end of a password that an unescaped mark cut off is printed as a piece of the host: "ss@host". With its @ even two
    # characters are enough to be told from ordinary text.
    yield from _BEFORE_AT.findall(rest)
    for match in _CONNINFO_SECRET.finditer(rest):
        yield match[1].strip("'")


def _userinfo_readings(rest: str) -> Iterator[str]:
    """Yield what stands between any : and any @; without any @, what follows the first :."""
    colons = _positions(rest, ":")
    at_signs = _positions(rest, "@")
    for colon, at_sign in itertools.product(colons, at_signs):
        if colon < at_sign:
            yield rest[colon + 1 : at_sign]
    if at_signs and not colons:
        yield rest[: at_signs[-1]]
    if colons and not at_signs:
        yield rest[colons[0] + 1 :]


def _positions(text: str, mark: str) -> list[int]:
    """Return where a mark stands: all places, or the first and last ones when there are very many."""
    places = [match.start() for match in re.finditer(re.escape(mark), text)]
    return places if len(places) <= _MOST_MARKS else places[: _MOST_MARKS // 2] + places[-_MOST_MARKS // 2 :]


def _tails_of_query_secrets(rest: str) -> Iterator[str]:
    """Yield what follows each secret parameter up to the end, because the secret may hold unescaped marks."""
    for name in sorted(SECRET_PARAMETERS):
        for match in itertools.islice(re.finditer(rf"(?i)\b{re.escape(name)}=", rest), _MOST_MARKS):
            yield rest[match.end() :]


def _says_nothing(piece: str) -> bool:
    return piece in KNOWN_PARAMETERS or (piece.isdecimal() and len(piece) <= 5)
