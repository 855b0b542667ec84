# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens are what the server would see, however hard the text tries to look like something else."""

from __future__ import annotations

import io

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import sql_lexer
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_lexer import Dialect, Lexer, Span


def values(text: str, dialect: Dialect = sql_lexer.DEFAULT_DIALECT) -> list[tuple[str, str]]:
    return [(token.kind, token.value) for token in sql_lexer.tokens(text.encode(), dialect)]


def sources(text: str, dialect: Dialect = sql_lexer.DEFAULT_DIALECT) -> list[str]:
    return [text.encode()[token.start : token.end].decode() for token in sql_lexer.tokens(text.encode(), dialect)]


def test_kinds_and_values() -> None:
    assert values('''SELECT "A ""b""", 'it''s', 12.5::Int4, x$1 FROM Übung''') == [
        ("word", "select"),
        ("name", 'A "b"'),
        ("symbol", ","),
        ("string", "it's"),
        ("symbol", ","),
        ("number", "12"),
        ("symbol", "."),
        ("number", "5"),
        ("symbol", ":"),
        ("symbol", ":"),
        ("word", "int4"),
        ("symbol", ","),
        ("word", "x$1"),
        ("word", "from"),
        ("word", "Übung"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(r"'a\' ;", [r"'a\'", ";"], id="a backslash means itself"),
        pytest.param(r"E'a\' ;' ;", [r"E'a\' ;'", ";"], id="in an escape string it does not"),
        pytest.param(r"e'\\' ;", [r"e'\\'", ";"], id="an escaped backslash"),
        pytest.param(r"E'a''\'' ;", [r"E'a''\''", ";"], id="both ways to write a quote"),
        pytest.param("E'a'\n'\\' ;' ;", ["E'a'", "'\\' ;'", ";"], id="an escape string goes on in the next line"),
        pytest.param("E'a' -- c\n'\\' ;' ;", ["E'a'", "'\\' ;'", ";"], id="also behind a comment"),
        pytest.param(r"E'a' || '\' ;", ["E'a'", "|", "|", r"'\'", ";"], id="but not behind an operator"),
        pytest.param(r"lose'\' ;", ["lose", r"'\'", ";"], id="a word that ends in e"),
        pytest.param(r"""u&'\' "e"'\' ;""", ["u", "&", r"'\'", '"e"', r"'\'", ";"], id="Unicode escapes escape no quote"),
        pytest.param("B'1';X'F' ;", ["B", "'1'", ";", "X", "'F'", ";"], id="bit strings"),
        pytest.param("'a\n;b' ;", ["'a\n;b'", ";"], id="a string of two lines"),
        pytest.param("'''' '' ;", ["''''", "''", ";"], id="nothing but quotes"),
        pytest.param("""'"' "'" ;""", ["""'"'""", '''"'"''', ";"], id="quotes within each other"),
        pytest.param('"a;""b" ;', ['"a;""b"', ";"], id="a name with a semicolon"),
        pytest.param("$$a'$;$b$$ ;", ["$$a'$;$b$$", ";"], id="dollars"),
        pytest.param("$a$ $b$ $$ $a$ ;", ["$a$ $b$ $$ $a$", ";"], id="other dollars within"),
        pytest.param("$a$x$b$a$ ;", ["$a$x$b$a$", ";"], id="a tag that begins in another"),
        pytest.param("$_é1$;$_é1$ ;", ["$_é1$;$_é1$", ";"], id="a tag with letters and digits"),
        pytest.param("$1$a$;$a$ ;", ["$", "1", "$a$;$a$", ";"], id="a parameter before dollars"),
        pytest.param("a$b$ ; c$b$ ;", ["a$b$", ";", "c$b$", ";"], id="dollars in a word are the word's"),
        pytest.param("$A$ $a$ $A$ ;", ["$A$ $a$ $A$", ";"], id="tags differ in case"),
        pytest.param("$ a $b ;", ["$", "a", "$", "b", ";"], id="dollars without a pair"),
        pytest.param("a -- ';\nb;", ["a", "b", ";"], id="a comment"),
        pytest.param("a --;\rb;", ["a", "b", ";"], id="a carriage return ends a comment"),
        pytest.param("a-- ' /*\nb;", ["a", "b", ";"], id="no comment within a comment of one line"),
        pytest.param("a /* ; /* ' */ ; */ b;", ["a", "b", ";"], id="nested comments"),
        pytest.param("a /*/ ; */ b;", ["a", "b", ";"], id="a slash that only looks like an end"),
        pytest.param("a /***/ b /*;**/;", ["a", "b", ";"], id="stars"),
        pytest.param("a /* -- */ b;", ["a", "b", ";"], id="a line comment within a comment"),
        pytest.param("1+/*;*/-1--;\n;", ["1", "+", "-", "1", ";"], id="comments behind operators"),
        pytest.param("'/*' a '*/' ;", ["'/*'", "a", "'*/'", ";"], id="comments in strings"),
        pytest.param("a - - b / * c;", ["a", "-", "-", "b", "/", "*", "c", ";"], id="no comments at all"),
        pytest.param("-- " + "\n-- ".join("x" * 5000) + "\na;", ["a", ";"], id="thousands of comments"),
    ],
)
def test_where_tokens_begin_and_end(text: str, expected: list[str]) -> None:
    assert sources(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"'a\' ;' ;", [r"'a\' ;'", ";"]),
        (r"'a\\' ;", [r"'a\\'", ";"]),
        (r"E'\' ;' ;", [r"E'\' ;'", ";"]),
        (r"""$$\$$ "\" ;""", [r"$$\$$", r'"\"', ";"]),
    ],
)
def test_without_standard_conforming_strings_each_backslash_escapes(text: str, expected: list[str]) -> None:
    assert sources(text, Dialect(standard_strings=False)) == expected


@pytest.mark.parametrize("text", ["'a", "'a''", r"E'a\'", '"a', "$$a$", "$a$ $b$", "/* /* */", "$a"])
def test_what_has_no_end_is_a_failure(text: str) -> None:
    with pytest.raises(VerificationError, match=r"ends within .* See what pg_restore said of it"):
        sources(text)


@pytest.mark.parametrize("text", ["'a''b'", "E'a''b\\''", '"a""b"', "$a$ $a $a$", "a--b\n/* /* */ */c", "x$y$z", "12.5"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_how_the_text_is_cut_changes_no_token(text: str, size: int) -> None:
    source = io.BytesIO(text.encode())
    lexer = Lexer(lambda _size: source.read(size))
    found = list(iter(lexer.next_token, None))
    assert found == [Span(token.kind, token.start, token.end) for token in sql_lexer.tokens(text.encode())]


def test_words_keep_the_letters_that_the_server_keeps() -> None:
    assert values("ÄBC") == [("word", "Äbc")]


def test_names_are_read_in_the_script_s_encoding() -> None:
    (name,) = sql_lexer.tokens('"é"'.encode("latin-1"), Dialect("LATIN1"))
    assert name.value == "é"
    (name,) = sql_lexer.tokens('"Ж"'.encode("koi8-u"), Dialect("KOI8U"))
    assert name.value == "Ж"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "MULE_INTERNAL", "UTF8"])
def test_bytes_that_are_no_letters_are_kept(encoding: str) -> None:
    (name,) = sql_lexer.tokens(b'"a\xff"', Dialect(encoding))
    assert name.value.encode("utf-8", "surrogateescape") == b"a\xff"


def test_half_a_letter_is_no_backslash() -> None:
    sjis = Dialect("SJIS")
    letter = "表".encode("shift_jis")
    assert letter.endswith(b"\\")
    assert [token.kind for token in sql_lexer.tokens(b"'" + letter + b"';", sjis)] == ["string", "symbol"]
    with pytest.raises(VerificationError, match=r"encoding SJIS.*client encoding UTF8"):
        list(sql_lexer.tokens(b"E'" + letter + b"';", sjis))
