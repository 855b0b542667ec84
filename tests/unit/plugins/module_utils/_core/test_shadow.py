# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.shadow import create_statement, quote_literal

_CLOSED = "TEMPLATE template0 ALLOW_CONNECTIONS false CONNECTION LIMIT 20260108"


@pytest.mark.parametrize(
    ("locale", "major", "clauses"),
    [
        ({"collate": "C", "ctype": "C.UTF-8", "provider": None}, 14, "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"),
        ({"collate": "C", "ctype": "C", "provider": "c"}, 15, "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"),
        (
            {"collate": "C", "ctype": "C", "provider": "i", "locale": "fr-FR", "icu_rules": "&a < g"},
            15,
            "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'fr-FR'",
        ),
        ({"provider": "i", "locale": "fr-FR", "icu_rules": "&a < g"}, 16, "LOCALE_PROVIDER icu ICU_LOCALE 'fr-FR' ICU_RULES '&a < g'"),
        ({"provider": "b", "locale": "C.UTF-8"}, 17, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"),
        # A backup of a newer server: what this one does not know it cannot be asked for.
        ({"collate": "C", "provider": "b", "locale": "C.UTF-8"}, 16, "LC_COLLATE 'C'"),
        ({"provider": "i", "locale": "und"}, 14, ""),
    ],
)
def test_the_locale_of_each_major(locale: dict[str, Any], major: int, clauses: str) -> None:
    assert create_statement("x", {"locale": locale}, None, major) == f'CREATE DATABASE "x" WITH {_CLOSED} {clauses}'.rstrip()


def test_everything_else_is_quoted() -> None:
    statement = create_statement('a"b', {"encoding": "LATIN1", "tablespace": "fast disk"}, 'o"wner', 17)
    assert statement == f"""CREATE DATABASE "a""b" WITH {_CLOSED} OWNER "o""wner" ENCODING 'LATIN1' TABLESPACE "fast disk\""""


def test_the_default_tablespace_is_not_asked_for() -> None:
    """A role that may create databases has no right to it, and gets it nevertheless."""
    assert create_statement("x", {"tablespace": "pg_default"}, None, 17) == f'CREATE DATABASE "x" WITH {_CLOSED}'


@pytest.mark.parametrize(("text", "literal"), [("it's", "'it''s'"), ("a\\'b", "E'a\\\\''b'"), ("", "''")])
def test_a_literal(text: str, literal: str) -> None:
    assert quote_literal(text) == literal
