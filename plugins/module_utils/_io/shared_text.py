# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Texts of the catalogs that all databases of a server share: names of databases and roles, and comments on databases.

Each is stored in the encoding of the database in whose session it was written, and nothing says which that was. A session in a database of another encoding
is sent bytes that are no text, or an error of the server's conversion. So they are asked for as bytes, which neither side looks at.
"""

from __future__ import annotations

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import printable
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_lexer import Dialect
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.postgresql import Session


def bytes_of(expression: str) -> str:
    """Return the SQL for the bytes of a text as they are stored. Other functions convert or verify them, and fail for it."""
    backslash = "pg_catalog.chr(92)"
    text = f"CAST({expression} AS pg_catalog.text)"
    return f"pg_catalog.decode(pg_catalog.replace({text}, {backslash}, pg_catalog.repeat({backslash}, 2)), 'escape')"


def decoded_words(session: Session, stored: memoryview | None) -> str:
    """Return words as a session in this database reads them; bytes that are none there are kept as lone surrogates, so that they can be told apart."""
    return "" if stored is None else Dialect(session.server_encoding).decode(bytes(stored))


def comes_back_the_same(session: Session, words: str) -> bool:
    """Say whether words that were read here are the same bytes when this session writes them: where nothing is converted, and they are a text."""
    return words.isascii() or (session.server_encoding in ("UTF8", "SQL_ASCII") and printable(words) == words)


def decoded_name(session: Session, stored: memoryview) -> str:
    """Return a name, in letters that can be printed: one that is not in this database's encoding is nothing that a statement could name from here."""
    return printable(decoded_words(session, stored))
