# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What the definitions in an archive demand of a server, and who they say owns and may use what.

All of it is read from the words at fixed places of pg_restore's statements. Nothing is searched for in expressions or function bodies, where
the same words mean something else.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name, quote_if_needed
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_lexer import Token
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sql_script import Statement, read_setting

Tokens = t.Sequence[Token]

# To the server "public" is everybody even in quotes. The others are key words.
_EVERYBODY = "public"
_NO_ROLES = ("current_role", "current_user", "default", "session_user")

_RELATIONS = (("table",), ("unlogged", "table"), ("foreign", "table"), ("index",), ("unique", "index"), ("materialized", "view"))
_WITH_CONSTRAINTS = (("table",), ("foreign", "table"), ("domain",))
_WITH_LANGUAGE = ("function", "procedure", "language", "procedural", "trusted", "transform")
_GRANTED_ON = ("table", "sequence", "function", "procedure", "type")
_UNVALIDATED = (("not", "valid"), ("not", "enforced"))


@dataclasses.dataclass(frozen=True)
class ArchiveDemands:
    """What must exist on a server, or be allowed there, for the definitions of an archive to be restored.

    ``extensions`` maps each to the schema that it is created in (None: its own choice). ``owners`` are those of ``roles`` that own something,
    ``definition_roles`` those that policies and user mappings name: these are restored as they are, whoever owns and may use what.
    ``for_all_tables`` are publications. ``languages`` are those of routines, whether or not the archive creates them.
    ``unvalidated_constraints`` are pairs of a table or domain and the constraint: what was not valid at the source either.
    """

    extensions: dict[str, str | None]
    roles: frozenset[str]
    owners: frozenset[str]
    for_all_tables: frozenset[str]
    tablespaces: frozenset[str]
    unvalidated_constraints: frozenset[tuple[str, str]]
    schemas: frozenset[str]
    languages: frozenset[str]
    definition_roles: frozenset[str] = frozenset()


def read_demands(items: t.Iterable[Statement]) -> ArchiveDemands:
    """Read what definitions demand, such as pg_restore prints with ``--schema-only``.

    The owners of large objects are not among those: they are part of the data.
    """
    extensions: dict[str, str | None] = {}
    roles: set[str] = set()
    owners: set[str] = set()
    definition_roles: set[str] = set()
    publications: set[str] = set()
    tablespaces: set[str] = set()
    unvalidated: set[tuple[str, str]] = set()
    schemas: set[str] = set()
    languages: set[str] = set()
    for item in items:
        tokens = _outside_parentheses(item.tokens())
        extensions.update(_extension(tokens))
        roles.update(token.value for token in _role_tokens(tokens))
        if _gives_owner(tokens):
            owners.update(token.value for token in _role_tokens(tokens))
        if _begins(tokens, "create", "policy") or _begins(tokens, "create", "user", "mapping"):
            definition_roles.update(token.value for token in _role_tokens(tokens))
        publications.update(_publication_of_all(tokens))
        tablespaces.update(_default_tablespace(item), _tablespace_clause(tokens))
        unvalidated.update(_unvalidated_constraint(tokens))
        schemas.update(_schema(tokens))
        languages.update(_language(tokens))
    return ArchiveDemands(
        extensions=extensions,
        roles=frozenset(roles),
        owners=frozenset(owners),
        for_all_tables=frozenset(publications),
        tablespaces=frozenset(tablespaces),
        unvalidated_constraints=frozenset(unvalidated),
        schemas=frozenset(schemas),
        languages=frozenset(languages),
        definition_roles=frozenset(definition_roles),
    )


@dataclasses.dataclass(frozen=True)
class ArchivedSetting:
    """A setting of the database of an archive, for one role or for all (None); ``value`` is SQL as it stands there."""

    role: str | None
    parameter: str
    value: str


def database_settings(items: t.Iterable[Statement]) -> list[ArchivedSetting]:
    """Return what an archive says was set for its database, from the SQL that pg_restore prints with ``--create``."""
    return [found for item in items for found in _database_setting(item)]


def ownership_statements(items: t.Iterable[Statement], role_map: t.Mapping[str, str]) -> list[bytes]:
    """Return the statements that give owners and privileges, with their roles replaced by the map, in UTF-8.

    Who made a grant is not among it: each is then made by the owner, or by whoever runs the statements.
    """
    return [replace_roles(item, role_map) for item in items if _is_about_ownership(item)]


def grants_among(items: t.Iterable[Statement], roles: t.Collection[str]) -> list[bytes]:
    """Return the grants on tables, sequences, routines and types that name only these roles, in UTF-8: what of an archive's privileges a server can have."""
    found = []
    for item in items:
        tokens = _outside_parentheses(item.tokens())
        named = {token.value for token in _role_tokens(tokens)}
        if (_begins(tokens, "grant") or _begins(tokens, "revoke")) and named <= set(roles) and _is_on(tokens, *_GRANTED_ON):
            found.append(replace_roles(item, {}))
    return found


def replace_roles(statement: Statement, role_map: t.Mapping[str, str]) -> bytes:
    """Return a statement in UTF-8 with the roles that it names replaced by the map; what the map does not have stays."""
    pieces: list[str] = []
    position = 0
    for token in _role_tokens(_outside_parentheses(statement.tokens())):
        if token.value in role_map:
            pieces += [statement.dialect.decode(statement.text[position : token.start]), quote_identifier(role_map[token.value])]
            position = token.end
    pieces.append(statement.dialect.decode(statement.text[position:]))
    return "".join(pieces).encode("utf_8", "surrogateescape")


def _is_on(tokens: Tokens, *kinds: str) -> bool:
    """Say whether the object of a grant, named behind the first ON, is of one of these kinds."""
    at = next((number for number, token in enumerate(tokens) if token.is_word("on")), len(tokens))
    return any(token.is_word(*kinds) for token in tokens[at + 1 : at + 2])


def _is_about_ownership(statement: Statement) -> bool:
    tokens = statement.tokens()
    return _begins(tokens, "grant") or _begins(tokens, "revoke") or _begins(tokens, "alter", "default", "privileges") or _gives_owner(tokens)


def _role_tokens(tokens: Tokens) -> list[Token]:
    """Return the tokens that are names of roles, in their order."""
    return [token for token in _where_roles_are(tokens) if token.value != _EVERYBODY and not token.is_word(*_NO_ROLES)]


def _where_roles_are(tokens: Tokens) -> t.Iterator[Token]:
    if _gives_owner(tokens) or _begins(tokens, "set", "session", "authorization"):
        yield tokens[-1]
    elif _begins(tokens, "create", "user", "mapping", "for"):
        yield tokens[4]
    elif _begins(tokens, "alter", "default", "privileges"):
        if _begins(tokens[3:], "for"):
            yield from _listed(tokens[5:])
        yield from _grantees(tokens)
    elif _begins(tokens, "grant") or _begins(tokens, "revoke") or _begins(tokens, "create", "policy"):
        yield from _grantees(tokens)


def _grantees(tokens: Tokens) -> t.Iterator[Token]:
    # Both are reserved words, so neither is the name of an object before it.
    start = next((number + 1 for number, token in enumerate(tokens) if token.is_word("to", "from")), len(tokens))
    yield from _listed(tokens[start:])
    for number, token in enumerate(tokens[start:-2], start):
        if token.is_word("granted") and tokens[number + 1].is_word("by"):
            yield tokens[number + 2]


def _listed(tokens: Tokens) -> t.Iterator[Token]:
    """Yield the names of a list that these tokens begin with."""
    for name, separator in zip(tokens[::2], [*tokens[1::2], None], strict=False):
        yield name
        if separator is None or not separator.is_symbol(","):
            break


def _gives_owner(tokens: Tokens) -> bool:
    return _begins(tokens, "alter") and [token.value for token in tokens[-3:-1] if token.kind == "word"] == ["owner", "to"]


def _publication_of_all(tokens: Tokens) -> t.Iterator[str]:
    if _begins(tokens, "create", "publication") and _begins(tokens[3:], "for", "all", "tables"):
        yield tokens[2].value


def _extension(tokens: Tokens) -> t.Iterator[tuple[str, str | None]]:
    if _begins(tokens, "create", "extension"):
        rest = _without(tokens[2:], "if", "not", "exists")
        schema = next((after.value for word, after in itertools.pairwise(rest[1:]) if word.is_word("schema")), None)
        yield rest[0].value, schema


def _database_setting(statement: Statement) -> t.Iterator[ArchivedSetting]:
    tokens, role = statement.tokens(), None
    if _begins(tokens, "alter", "role") and _begins(tokens[3:], "in", "database"):
        role, tokens = tokens[2].value, [tokens[0], *tokens[4:]]
    if _begins(tokens, "alter", "database") and _begins(tokens[3:], "set") and _begins(tokens[5:], "to") and len(tokens) > 6:
        value = statement.dialect.decode(statement.text[tokens[6].start : tokens[-1].end])
        # Where the archive was written without standard strings, a backslash in it is an escape.
        yield ArchivedSetting(role, tokens[4].value, value if statement.dialect.standard_strings or not value.startswith("'") else f"E{value}")


def _schema(tokens: Tokens) -> t.Iterator[str]:
    if _begins(tokens, "create", "schema"):
        yield _without(tokens[2:], "if", "not", "exists")[0].value


def _default_tablespace(statement: Statement) -> t.Iterator[str]:
    setting = read_setting(statement)
    if setting and setting.name == "default_tablespace" and setting.value:
        yield setting.value


def _tablespace_clause(tokens: Tokens) -> t.Iterator[str]:
    about = tokens[1:]
    if (_begins(tokens, "create") or _begins(tokens, "alter")) and any(_begins(about, *kind) for kind in _RELATIONS) and _begins(tokens[-2:], "tablespace"):
        yield tokens[-1].value


def _unvalidated_constraint(tokens: Tokens) -> t.Iterator[tuple[str, str]]:
    if not _begins(tokens, "alter") or not any(_begins(tokens[-2:], *ending) for ending in _UNVALIDATED):
        return
    for kind in _WITH_CONSTRAINTS:
        if _begins(tokens[1:], *kind):
            rest = _without(_without(tokens[1 + len(kind) :], "if", "exists"), "only")
            name, rest = _qualified_name(rest)
            if _begins(rest, "add", "constraint"):
                yield name, rest[2].value


def _language(tokens: Tokens) -> t.Iterator[str]:
    if not _begins(tokens, "create"):
        return
    about = _without(tokens[1:], "or", "replace")
    if about and about[0].is_word(*_WITH_LANGUAGE):
        # A routine may itself be called so, but has its schema before it then.
        for before, word, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
            if word.is_word("language") and not before.is_symbol("."):
                yield after.value
                return


def _outside_parentheses(tokens: Tokens) -> list[Token]:
    depth = 0
    found = []
    for token in tokens:
        if token.is_symbol("("):
            depth += 1
        elif token.is_symbol(")"):
            depth -= 1
        elif depth == 0:
            found.append(token)
    return found


def _begins(tokens: Tokens, *words: str) -> bool:
    return len(tokens) >= len(words) and all(token.is_word(word) for token, word in zip(tokens, words, strict=False))


def _without(tokens: Tokens, *words: str) -> Tokens:
    """Leave out these words at the beginning."""
    return tokens[len(words) :] if _begins(tokens, *words) else tokens


def _qualified_name(tokens: Tokens) -> tuple[str, Tokens]:
    """Read the name at the beginning, and return it with what follows."""
    if len(tokens) > 2 and tokens[1].is_symbol("."):
        return qualified_name(tokens[0].value, tokens[2].value), tokens[3:]
    return quote_if_needed(tokens[0].value), tokens[1:]
