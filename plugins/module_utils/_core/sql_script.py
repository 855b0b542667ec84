# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The SQL that pg_restore prints, read piece by piece: statements, and the rows of COPY as they come.

Nothing in it is a command to the reader. The two lines for psql that pg_restore prints around its SQL are dropped, any other is refused.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import sql_lexer
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_lexer import DEFAULT_DIALECT, Dialect, Lexer, Read, Span, Token

_LONGEST_HEADLINE = 120

_LINES_FOR_PSQL = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+\s*")
# It stands behind CREATE DATABASE.
_CONNECTS = re.compile(rb"\\connect .+")
_COPY_END = b"\\.\n"
_TRANSACTION_CONTROL = frozenset({"abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"})
_OPENING, _CLOSING, _SEMICOLON = b"();"
_ON = frozenset({"on", "true", "yes", "1"})

# By this pg_restore empties the search path. None stands for any value.
_SET_CONFIG = ("select", "pg_catalog", ".", "set_config", "(", None, ",", None, ",", "false", ")")


@dataclass(frozen=True)
class Statement:
    """One statement with its semicolon, without the comments before it."""

    text: bytes
    dialect: Dialect = DEFAULT_DIALECT

    def iterate_tokens(self) -> t.Iterator[Token]:
        return sql_lexer.tokens(self.text, self.dialect)

    def tokens(self) -> list[Token]:
        """Return all tokens but the semicolon at the end."""
        found = list(self.iterate_tokens())
        return found[:-1] if found and found[-1].is_symbol(";") else found

    def first_words(self, count: int) -> list[str]:
        """Return those of the first tokens that are words."""
        return [token.value for token in itertools.islice(self.iterate_tokens(), count) if token.kind == "word"]

    @property
    def is_transaction_control(self) -> bool:
        """Say whether it begins or ends a transaction or a part of one. pg_restore does so around large objects."""
        words = self.first_words(2)
        return words == ["prepare", "transaction"] or not _TRANSACTION_CONTROL.isdisjoint(words[:1])

    @property
    def headline(self) -> str:
        """Return the first line for people, up to the first value, which could be data."""
        values = (token.start for token in self.iterate_tokens() if token.kind == "string" or token.is_word("values"))
        line = self.text[: next(values, len(self.text))].split(b"\n", 1)[0]
        shown = self.dialect.decode(line).encode("utf_8", "replace").decode("utf_8").rstrip()
        return shown if line == self.text and len(shown) <= _LONGEST_HEADLINE else f"{shown[:_LONGEST_HEADLINE]} ..."


@dataclass(frozen=True)
class CopyStart(Statement):
    """A COPY statement whose rows follow."""


@dataclass(frozen=True)
class Setting:
    """A parameter that a statement sets for the session; ``local`` is the statement that sets it to the end of the transaction."""

    name: str
    value: str
    local: bytes


class ScriptReader:
    """Reads a script from its beginning: iterate for its items, and after each ``CopyStart`` take the rows by ``read_rows``.

    Rows that are not taken are skipped. No more is kept in memory than one statement, or one piece of the rows. ``connects`` says that the script changes the
    database on its way, so that it can only be read, and not run.
    """

    def __init__(self, read: Read, *, connects: bool = False) -> None:
        self._lexer = Lexer(read)
        self._connects = connects
        self._in_rows = False
        self._at_line_start = False

    def __iter__(self) -> t.Iterator[Statement | CopyStart]:
        while (item := self._next_item()) is not None:
            yield item

    def read_rows(self, size: int) -> bytes:
        """Return at most so many bytes of the current COPY's rows; none once they have ended."""
        window = self._lexer.window
        while self._in_rows:
            end = self._end_of_rows()
            # Without an end in sight, the last bytes may be its beginning.
            known = len(window) - len(_COPY_END) + 1 if end is None else end
            if known > 0:
                rows = self._lexer.take(min(known, size))
                self._at_line_start = rows.endswith(b"\n")
                return rows
            if end is not None:
                self._lexer.take(len(_COPY_END))
                self._in_rows = False
            elif not self._lexer.fill():
                raise sql_lexer.incomplete("the rows of a table")
        return b""

    def _end_of_rows(self) -> int | None:
        window = self._lexer.window
        if self._at_line_start and window.startswith(_COPY_END):
            return 0
        found = window.find(b"\n" + _COPY_END)
        # The line end is the last row's.
        return None if found < 0 else found + 1

    def _next_item(self) -> Statement | CopyStart | None:
        while self.read_rows(sql_lexer.READ_SIZE):
            pass
        lexer = self._lexer
        first = lexer.next_token()
        while first is not None and self._is_no_statement(first):
            first = lexer.next_token()
        if first is None:
            return None
        lexer.take(first.start)
        shape = _Shape()
        token: Span | None = Span(first.kind, 0, first.end - first.start)
        while token is not None and not shape.ends_with(token, lexer.window):
            token = lexer.next_token()
        if token is None:
            raise sql_lexer.incomplete("a statement")
        return self._item(Statement(lexer.take(token.end), lexer.dialect), shape)

    def _item(self, statement: Statement, shape: _Shape) -> Statement | CopyStart:
        if b"\0" in statement.text:
            # libpq would send what is before it and nobody would notice.
            raise VerificationError(f"The archive's SQL has a zero byte in the statement {statement.headline}, which no server takes. Choose another backup.")
        if shape.copies:
            self._begin_rows()
            return CopyStart(statement.text, statement.dialect)
        if shape.sets:
            self._lexer.dialect = _dialect_after(statement)
        return statement

    def _begin_rows(self) -> None:
        """Go to the line after the COPY statement, where its rows begin."""
        lexer = self._lexer
        line = lexer.take(lexer.line_end())
        if line.strip() or (lexer.window and not lexer.window.startswith(b"\n")):
            raise VerificationError("The archive's SQL goes on behind a COPY statement on its line, which pg_restore never prints. Choose another backup.")
        lexer.take(1)
        self._in_rows = self._at_line_start = True

    def _is_no_statement(self, first: Span) -> bool:
        """Say whether what begins here is empty, or a line for psql; go behind such a line."""
        lexer = self._lexer
        if lexer.window[first.start] != sql_lexer.BACKSLASH:
            return lexer.window[first.start] == _SEMICOLON
        lexer.position = lexer.line_end()
        line = bytes(lexer.window[first.start : lexer.position])
        if not _LINES_FOR_PSQL.fullmatch(line) and not (self._connects and _CONNECTS.fullmatch(line)):
            raise VerificationError(
                f"The archive's SQL has a command for psql ({line[:_LONGEST_HEADLINE]!r}), which pg_restore never prints. It is not run. Choose another backup."
            )
        return True


class _Shape:
    """What of a statement tells where it ends, and whether rows follow.

    A semicolon ends none within parentheses (CREATE RULE) or within BEGIN ATOMIC ... END, where END may also be that of a CASE. Those two are
    reserved words, which are quoted where they are names; BEGIN and ATOMIC are not.
    """

    def __init__(self) -> None:
        self.copies = False
        self._leading: list[bytes] = []
        self._previous = b""
        self._parentheses = 0
        self._blocks = 0

    @property
    def sets(self) -> bool:
        return self._leading[:1] == [b"set"]

    def ends_with(self, token: Span, window: bytearray) -> bool:
        """Take the next token, and say whether the statement ends with it."""
        word = bytes(window[token.start : token.end]).lower() if token.kind == "word" else b""
        if word:
            self._take_word(word)
        self._previous = word
        return token.kind == "symbol" and self._ends_with_symbol(window[token.start])

    def _take_word(self, word: bytes) -> None:
        if len(self._leading) < 4:
            self._leading.append(word)
        if self._blocks:
            self._blocks += (word == b"case") - (word == b"end")
        elif not self._parentheses:
            if (self._previous, word) == (b"begin", b"atomic") and self._is_routine():
                self._blocks = 1
            elif (self._previous, word) == (b"from", b"stdin") and self._leading[0] == b"copy":
                self.copies = True

    def _is_routine(self) -> bool:
        kind = self._leading[3:4] if self._leading[1:3] == [b"or", b"replace"] else self._leading[1:2]
        return self._leading[0] == b"create" and kind in ([b"function"], [b"procedure"])

    def _ends_with_symbol(self, symbol: int) -> bool:
        if symbol == sql_lexer.BACKSLASH:
            raise VerificationError("The archive's SQL has a backslash outside of quotes, which pg_restore never prints. Choose another backup.")
        if symbol == _OPENING:
            self._parentheses += 1
        elif symbol == _CLOSING:
            self._parentheses -= 1
        return symbol == _SEMICOLON and self._parentheses <= 0 and not self._blocks


def read_setting(statement: Statement) -> Setting | None:
    """Return the parameter that a statement sets, if it is one of those that do."""
    words = statement.first_words(1)
    if words == ["set"]:
        return _set(statement)
    return _set_config(statement) if words == ["select"] else None


def _set(statement: Statement) -> Setting | None:
    tokens = statement.tokens()[1:]
    if len(tokens) < 2:
        return None
    if [token.value for token in tokens[:2]] == ["session", "authorization"]:
        return Setting("session_authorization", tokens[-1].value, _localized(statement, tokens[0]))
    if tokens[0].is_word("role"):
        return Setting("role", tokens[-1].value, _localized(statement, tokens[0]))
    if tokens[0].is_word("session", "local"):
        del tokens[0]
    if len(tokens) > 2 and tokens[0].kind == "word" and (tokens[1].is_symbol("=") or tokens[1].is_word("to")):
        return Setting(tokens[0].value, tokens[2].value, _localized(statement, tokens[0]))
    return None


def _localized(statement: Statement, assignment: Token) -> bytes:
    return b"SET LOCAL " + statement.text[assignment.start :]


def _set_config(statement: Statement) -> Setting | None:
    tokens = statement.tokens()
    if len(tokens) != len(_SET_CONFIG) or any(expected not in (None, token.value) for token, expected in zip(tokens, _SET_CONFIG, strict=True)):
        return None
    lasting = tokens[9]
    return Setting(tokens[5].value, tokens[7].value, statement.text[: lasting.start] + b"true" + statement.text[lasting.end :])


def _dialect_after(statement: Statement) -> Dialect:
    setting = read_setting(statement)
    if setting and setting.name == "standard_conforming_strings":
        return replace(statement.dialect, standard_strings=setting.value.lower() in _ON)
    if setting and setting.name == "client_encoding":
        return replace(statement.dialect, encoding=setting.value.upper())
    return statement.dialect
