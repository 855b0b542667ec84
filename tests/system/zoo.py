# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with one of everything that a backup must carry, or must say that it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from system.scenes import Database

ODD_SCHEMA = 'Odd "Schéma"'
ODD_TABLE = """T "x" 漢 %s {} it's"""
# One table's row alone; what a server may hold in a value is 1 GB.
HUGE_ROW_BYTES = 50_000_000

_STATEMENTS = Path(__file__).with_suffix(".sql").read_text()

_EXTENSIONS = {
    "citext": "CREATE TABLE with_citext (a citext UNIQUE); INSERT INTO with_citext VALUES ('Grüße'), ('ABC')",
    "hstore": """CREATE TABLE with_hstore (a hstore); INSERT INTO with_hstore VALUES ('"a b"=>"c", d=>NULL')""",
    "pgcrypto": "CREATE TABLE with_pgcrypto AS SELECT gen_random_uuid() AS a, digest('x', 'sha256') AS b",
}

# Its server is no server: whoever followed the table would fail.
_FOREIGN = """CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'none');
CREATE FOREIGN TABLE far_away (a int) SERVER elsewhere"""


def fill(database: Database) -> None:
    """Create everything; what needs an extension that this server does not have is left out."""
    database.execute(*_statements_for(database))


def _statements_for(database: Database) -> Iterator[str]:
    available = {name for (name,) in database.rows("SELECT name FROM pg_available_extensions")}
    yield _STATEMENTS
    for name, statements in _EXTENSIONS.items():
        if name in available:
            yield f"CREATE EXTENSION {name}; {statements}"
    if "citext" in available:
        yield "CREATE TABLE of_extension (a int); INSERT INTO of_extension VALUES (1); ALTER EXTENSION citext ADD TABLE of_extension"
    if "postgres_fdw" in available:
        yield _FOREIGN
