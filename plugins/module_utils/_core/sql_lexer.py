# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""SQL by the server's own lexical rules: what is a word, a name, a string, a comment, and where each of them ends."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError

# Returns at most so many bytes, and none at the end only.
Read = t.Callable[[int], bytes]
Kind = t.Literal["word", "name", "string", "number", "symbol"]

READ_SIZE = 256 * 1024

_TOKEN = re.compile(
    rb"""
    (?P<escape>[eE]')
  | (?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
  | (?P<quote>')
  | (?P<name>")
  | (?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?(?:\$|\Z))
  | (?P<line>--)
  | (?P<block>/\*)
  | (?P<number>[0-9]+)
  | (?P<symbol>\S)
    """,
    re.VERBOSE,
)
_KINDS: dict[str | None, Kind] = {
    "escape": "string",
    "quote": "string",
    "dollar": "string",
    "word": "word",
    "name": "name",
    "number": "number",
    "symbol": "symbol",
}
_LINE_END = re.compile(rb"[\r\n]")
_BLOCK_EDGE = re.compile(rb"/\*|\*/")
_QUOTE = re.compile(rb"'")
_NAME_QUOTE = re.compile(rb'"')
_QUOTE_OR_BACKSLASH = re.compile(rb"['\\]")
BACKSLASH = ord("\\")

# Python's names of PostgreSQL's encodings. A name in any other can be compared as far as it is ASCII.
_CODECS = {
    "BIG5": "big5",
    "EUC_CN": "gb2312",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO_8859_5": "iso8859_5",
    "ISO_8859_6": "iso8859_6",
    "ISO_8859_7": "iso8859_7",
    "ISO_8859_8": "iso8859_8",
    "JOHAB": "johab",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "LATIN1": "iso8859_1",
    "LATIN2": "iso8859_2",
    "LATIN3": "iso8859_3",
    "LATIN4": "iso8859_4",
    "LATIN5": "iso8859_9",
    "LATIN6": "iso8859_10",
    "LATIN7": "iso8859_13",
    "LATIN8": "iso8859_14",
    "LATIN9": "iso8859_15",
    "LATIN10": "iso8859_16",
    "SHIFT_JIS_2004": "shift_jis_2004",
    "SJIS": "cp932",
    "SQL_ASCII": "utf_8",
    "UHC": "cp949",
    "UTF8": "utf_8",
    "WIN866": "cp866",
    "WIN874": "cp874",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "WIN1253": "cp1253",
    "WIN1254": "cp1254",
    "WIN1255": "cp1255",
    "WIN1256": "cp1256",
    "WIN1257": "cp1257",
    "WIN1258": "cp1258",
}
# In these the second byte of a letter can be a backslash, which an escape string would be misread by.
_AMBIGUOUS = frozenset({"BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"})


@dataclass(frozen=True)
class Dialect:
    """What earlier statements of a script have set for the reading of later ones: PostgreSQL's name of the encoding, and standard_conforming_strings."""

    encoding: str = "UTF8"
    standard_strings: bool = True

    def decode(self, text: bytes) -> str:
        """Return text whatever it holds; UTF-8 with "surrogateescape" turns what could not be decoded back into its bytes."""
        return text.decode(_CODECS.get(self.encoding, "ascii"), "surrogateescape")


DEFAULT_DIALECT = Dialect()


class Token(t.NamedTuple):
    """A word, a quoted name, a string, a number, or one other character. Comments are none.

    ``value`` is a word in lower case, a name or a string without its quotes, and otherwise (also for strings with escapes or dollars) the
    source text. ``start`` and ``end`` are the place in the statement's bytes.
    """

    kind: Kind
    value: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Say whether it is one of these key words; a quoted name never is."""
        return self.kind == "word" and self.value in words

    def is_symbol(self, symbol: str) -> bool:
        return self.kind == "symbol" and self.value == symbol


class Span(t.NamedTuple):
    """The place of a token in the lexer's window."""

    kind: Kind
    start: int
    end: int


class Lexer:
    """Finds the tokens of SQL that is read as it is needed.

    ``window`` is what has been read and not taken, ``position`` where the next token is looked for.
    """

    def __init__(self, read: Read, dialect: Dialect = DEFAULT_DIALECT) -> None:
        self.window = bytearray()
        self.position = 0
        self.dialect = dialect
        self._read = read
        self._after_escapes = False

    def fill(self) -> bool:
        """Read on; return False at the end."""
        chunk = self._read(READ_SIZE)
        self.window += chunk
        return bool(chunk)

    def take(self, size: int) -> bytes:
        """Return that many bytes from the beginning of the window, and forget them."""
        with memoryview(self.window) as view, view[:size] as wanted:
            taken = bytes(wanted)
        del self.window[:size]
        self.position = max(0, self.position - size)
        return taken

    def next_token(self) -> Span | None:
        """Return the next token and go behind it; return None at the end."""
        while (found := self._match()) is not None:
            group, start = found.lastgroup, found.start()
            self.position = found.end()
            if group == "line":
                self.position = self.line_end()
            elif group == "block":
                self.position = self._block_end()
            else:
                self.position = self._token_end(group, start)
                return Span(_KINDS[group], start, self.position)
        return None

    def line_end(self) -> int:
        """Return where the current line ends, which is where everything ends if nothing else follows."""
        found = self._search(_LINE_END, self.position)
        return found[0] if found else len(self.window)

    def _match(self) -> re.Match[bytes] | None:
        while True:
            found = _TOKEN.search(self.window, self.position)
            if found is None:
                self.position = len(self.window)
            elif found.end() < len(self.window):
                return found
            # What reaches the end of the window may be the beginning of something longer.
            if not self.fill():
                return found

    def _token_end(self, group: str | None, start: int) -> int:
        escapes = group == "escape" or (group == "quote" and (self._after_escapes or not self.dialect.standard_strings))
        # After a line end a string goes on in a second pair of quotes, by the rules of the first. Side by side they are nothing else.
        self._after_escapes = escapes
        if escapes:
            return self._escape_string_end()
        if group == "quote":
            return self._quoted_end(_QUOTE)
        if group == "name":
            return self._quoted_end(_NAME_QUOTE)
        if group == "dollar":
            tag = re.compile(re.escape(bytes(self.window[start : self.position])))
            return self._require(tag, self.position, self.position - start, "a quoted body")[1]
        return self.position

    def _escape_string_end(self) -> int:
        if self.dialect.encoding in _AMBIGUOUS:
            raise VerificationError(
                f"The archive's SQL has an escape string in the encoding {self.dialect.encoding}, in which a backslash can be part of a letter, "
                "so it cannot be read safely. Make the backup with the client encoding UTF8."
            )
        return self._quoted_end(_QUOTE_OR_BACKSLASH)

    def _quoted_end(self, edge: re.Pattern[bytes]) -> int:
        position = self.position
        while True:
            at, after = self._require(edge, position, 1, "quotes")
            if self.window[at] != BACKSLASH and not self._is_doubled(at):
                return after
            position = after + 1

    def _is_doubled(self, at: int) -> bool:
        while len(self.window) <= at + 1 and self.fill():
            pass
        return self.window[at + 1 : at + 2] == self.window[at : at + 1]

    def _block_end(self) -> int:
        depth, position = 1, self.position
        while depth:
            at, position = self._require(_BLOCK_EDGE, position, 2, "a comment")
            depth += 1 if self.window[at : at + 1] == b"/" else -1
        return position

    def _require(self, pattern: re.Pattern[bytes], position: int, width: int, what: str) -> tuple[int, int]:
        found = self._search(pattern, position, width)
        if found is None:
            raise incomplete(what)
        return found

    def _search(self, pattern: re.Pattern[bytes], position: int, width: int = 1) -> tuple[int, int] | None:
        """Return the place of a pattern that is ``width`` bytes wide, reading on until it comes."""
        while not (found := pattern.search(self.window, position)):
            position = max(position, len(self.window) - width + 1)
            if not self.fill():
                return None
        return found.span()


def tokens(text: bytes, dialect: Dialect = DEFAULT_DIALECT) -> t.Iterator[Token]:
    """Return the tokens of a text."""
    lexer = Lexer(lambda _size: b"", dialect)
    lexer.window += text
    while span := lexer.next_token():
        yield Token(span.kind, _value(span.kind, text[span.start : span.end], dialect), span.start, span.end)


def incomplete(where: str) -> VerificationError:
    """Return the failure of SQL that ends too early."""
    return VerificationError(
        f"The SQL that pg_restore printed ends within {where}, so it is not all of the archive. See what pg_restore said of it, or choose another backup."
    )


def _value(kind: Kind, source: bytes, dialect: Dialect) -> str:
    if kind == "word":
        # Of unquoted words the server changes ASCII letters only, and so does this.
        return dialect.decode(source.lower())
    value = dialect.decode(source)
    if kind in ("name", "string") and value[0] in "'\"":
        return value[1:-1].replace(value[0] * 2, value[0])
    return value
