# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Who owns what and who may do what: how a restored copy is given the owners and grants of the live database, and what a role has lost."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Collection, Iterable, Mapping, Sequence

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import quote_identifier
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import quote_if_needed
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.shadow import quote_literal

# (grantee, privilege) -> whether the grantee may grant it on; None is PUBLIC.
_Rights: t.TypeAlias = "dict[tuple[str | None, str], bool]"

_LETTERS = {
    "a": "INSERT",
    "r": "SELECT",
    "w": "UPDATE",
    "d": "DELETE",
    "D": "TRUNCATE",
    "x": "REFERENCES",
    "t": "TRIGGER",
    "m": "MAINTAIN",
    "X": "EXECUTE",
    "U": "USAGE",
    "C": "CREATE",
    "c": "CONNECT",
    "T": "TEMPORARY",
}
_NAME = r'("(?:[^"]|"")*"|[^"=/\s]*)'
_ITEM = re.compile(rf"{_NAME}=((?:[A-Za-z]\*?)*)/{_NAME}")
_LETTER = re.compile(r"([A-Za-z])(\*?)")

# How statements call the kinds; the others by their own name.
_ROUTINES = dict.fromkeys(("function", "procedure", "aggregate"), "ROUTINE")
_GRANTED_AS = {**_ROUTINES, **dict.fromkeys(("view", "materialized view", "foreign table"), "TABLE"), "server": "FOREIGN SERVER"}

# The kinds of default privileges: what is granted on objects that a role will create.
FUTURE_KINDS = frozenset({"tables", "sequences", "functions", "types", "schemas", "large objects"})

# What a database grants whose ACL is NULL. The others' defaults the server tells; this one is also needed where only a manifest is left.
_DATABASE_DEFAULT = (("CREATE", False), ("TEMPORARY", True), ("CONNECT", True))

# The parameters whose value is a list of names, as pg_dump knows them: quoted as one string, the list would be one strange name.
_LIST_PARAMETERS = frozenset(
    {"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories"}
)
_LIST_ELEMENT = re.compile(r'\s*("(?:[^"]|"")*"|[^",\s]+)\s*')

_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Grant:
    """One privilege of one role; ``grantee`` is None for PUBLIC, ``grantable`` means WITH GRANT OPTION."""

    grantee: str | None
    privilege: str
    grantable: bool
    grantor: str


@dataclasses.dataclass(frozen=True)
class ArgumentType:
    """The type of a routine's argument; of an array, the type of its elements."""

    schema: str
    name: str
    array: bool = False


@dataclasses.dataclass(frozen=True)
class Column:
    """A column and what was granted on it alone."""

    name: str
    acl: tuple[Grant, ...] = ()


@dataclasses.dataclass(frozen=True)
class ObjectPrivileges:
    """The owner and the grants of one object.

    ``kind`` is "table", "view", "function" and so on. ``schema`` is None for what is in no schema, such as a schema itself. ``acl`` is None where nothing was
    ever granted or revoked, so that ``default`` is in force, the server's own for this kind and owner. ``linked_to`` names the table whose owner
    a sequence follows.

    An entry of default privileges has one of FUTURE_KINDS and the name of the role whose objects will be granted; ``schema`` narrows it to one schema.
    """

    kind: str
    schema: str | None
    name: str
    owner: str
    acl: tuple[Grant, ...] | None = None
    default: tuple[Grant, ...] = ()
    arguments: tuple[ArgumentType, ...] | None = None
    columns: tuple[Column, ...] = ()
    linked_to: str | None = None

    @property
    def key(self) -> tuple[t.Any, ...]:
        """Return what is the same for the same object in another database."""
        return (self.kind, self.schema, self.name, self.arguments)

    @property
    def effective(self) -> tuple[Grant, ...]:
        """Return the grants in force."""
        return self.default if self.acl is None else self.acl

    @property
    def sql_name(self) -> str:
        """Return the name as it is pasted into a statement."""
        return self._written(quote_identifier)

    @property
    def full_name(self) -> str:
        """Return kind and name for a message."""
        if self.kind in FUTURE_KINDS:
            where = f" in schema {quote_if_needed(self.schema)}" if self.schema is not None else ""
            return f"{self.kind} that the role {self.name} creates{where}"
        return f"{self.kind} {self._written(quote_if_needed)}"

    def _written(self, quote: t.Callable[[str], str]) -> str:
        if self.kind == "large object":
            return self.name
        name = quote(self.name) if self.schema is None else f"{quote(self.schema)}.{quote(self.name)}"
        if self.arguments is None:
            return name
        types = (f"{quote(each.schema)}.{quote(each.name)}{'[]' if each.array else ''}" for each in self.arguments)
        return f"{name}({', '.join(types)})"


def parse_acl(items: Iterable[str] | None) -> tuple[Grant, ...] | None:
    """Return an ACL that the server wrote as texts such as ``app=r*w/owner``; None stays None."""
    return None if items is None else tuple(grant for item in items for grant in _parse_item(item))


def statements_to_match(
    live: Iterable[ObjectPrivileges],
    shadow: Iterable[ObjectPrivileges],
    *,
    settable_owners: Collection[str] | None,
    operator: str,
    renamed: Mapping[str, str] | None = None,
) -> tuple[list[str], list[str]]:
    """Return the statements that give the shadow's objects the owners and grants of the live ones, and sentences about what they cannot do.

    ``operator`` is the role that will run them, in this order and in the shadow; they need no common transaction. ``settable_owners`` are the roles that
    it may make owners (None: a superuser, any). ``renamed`` says under which name a live schema is to be found in the shadow.

    Owners come first: a change of owner rewrites the grants, and who grants as the owner leaves the same traces as the live database has. Schemas come last,
    because whoever gives them away may no longer be able to name what is in them.
    """
    restored = list(shadow)
    who = _Operator(operator, None if settable_owners is None else frozenset(settable_owners))
    pairs = _assign_owners(_pairs(live, restored, renamed or {}), who)
    schemas = [pair for pair in pairs if pair.shadow.kind == "schema"]
    future = [pair for pair in pairs if pair.shadow.kind in FUTURE_KINDS]
    objects = [pair for pair in pairs if pair.shadow.kind != "schema" and pair.shadow.kind not in FUTURE_KINDS]
    changed = [(pair, pair.grants()) for pair in objects]
    opened = _open_schemas([pair for pair, grants in changed if grants or pair.owner != pair.shadow.owner], schemas, who)
    statements = [
        *who.acting_as_owner((pair.shadow.owner, pair.changes({}, rights)) for pair, rights in opened),
        *_ownerships(objects),
        *who.acting_as_owner((pair.owner, grants) for pair, grants in changed),
        *_ownerships(schemas),
        *who.acting_as_owner((pair.owner, pair.grants(rights)) for pair, rights in opened),
        *who.acting_as_owner((pair.owner, pair.grants()) for pair in future),
    ]
    return statements, _notes(pairs, restored, who)


def statements_to_keep(
    live: Iterable[ObjectPrivileges],
    shadow: Iterable[ObjectPrivileges],
    *,
    settable_owners: Collection[str] | None,
    operator: str,
    renamed: Mapping[str, str] | None = None,
) -> list[list[str]]:
    """Return the statements that give back, on the shadow's objects, what roles can do in the live database and could not in the shadow.

    Nothing is taken away, and owners stay: a former owner is granted what an owner can do. The parameters are those of statements_to_match. Each group is
    to be run as a whole, those of schemas first; a group may be refused, for an owner who has no way into the schema.
    """
    who = _Operator(operator, None if settable_owners is None else frozenset(settable_owners))
    pairs = sorted(_pairs(live, shadow, renamed or {}), key=lambda pair: pair[1].kind != "schema")
    return [who.acting_as_owner([(new.owner, [statement])]) for old, new in pairs for statement in _additions(old, new)]


def lost_privileges(live: Iterable[ObjectPrivileges], shadow: Iterable[ObjectPrivileges], *, renamed: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each role and object where the role could do something in the live database that it cannot in the shadow.

    An owner counts as having every privilege. Objects that only one of the two has are not compared.
    """
    sentences = []
    for old, new in _pairs(live, shadow, renamed or {}):
        held = _all_rights(new)
        sentences += _losses(_all_rights(old), held, new.full_name)
        columns = {column.name: column for column in new.columns}
        for column in old.columns:
            if column.name in columns:
                on_column = _merged(held, _rights(columns[column.name].acl))
                sentences += _losses(_rights(column.acl), on_column, f"column {quote_if_needed(column.name)} of {new.full_name}")
    return sentences


def lost_owners(live: Iterable[ObjectPrivileges], shadow: Iterable[ObjectPrivileges], *, renamed: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each role whose objects belong to another role in the shadow: only an owner may alter and drop."""
    moved: dict[tuple[str, str], list[str]] = {}
    for old, new in _pairs(live, shadow, renamed or {}):
        if old.owner != new.owner:
            moved.setdefault((old.owner, new.owner), []).append(new.full_name)
    return [f"The role {old} is no longer the owner of {_listed(names)}: the role {new} is." for (old, new), names in moved.items()]


def database_privileges(properties: Mapping[str, t.Any], name: str) -> ObjectPrivileges:
    """Return the owner and the grants of a database itself, from its properties as database_facts.read_database returns them."""
    owner = properties["owner"]
    default = [Grant(owner, privilege, False, owner) for privilege, _public in _DATABASE_DEFAULT]
    default += [Grant(None, privilege, False, owner) for privilege, public in _DATABASE_DEFAULT if public]
    return ObjectPrivileges("database", None, name, owner, parse_acl(properties["acl"]), tuple(default))


def setting_statement(database_name: str, role: str | None, parameter: str, value: str) -> str:
    """Return the statement that sets a parameter for a database, or for one role in it, to a value in SQL."""
    return f"{_altered(role, quote_identifier(database_name))} SET {quote_identifier(parameter)} TO {value}"


def database_statements(live_properties: Mapping[str, t.Any], database_name: str) -> list[str]:
    """Return the statements that give a database the grants, the connection limit and the settings of the live one.

    They are allowed inside of a transaction block. They say what is meant also where that is a default, because the shadow was not created with it.
    """
    found = database_privileges(live_properties, database_name)
    name = found.sql_name
    return [
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC, {quote_identifier(found.owner)}",
        *_changes(found, {}, _rights(found.effective)),
        f"ALTER DATABASE {name} CONNECTION LIMIT {int(live_properties['connection_limit'])}",
        *(
            setting_statement(database_name, entry["role"], *_setting(*text.split("=", 1)))
            for entry in live_properties["settings"]
            for text in entry["settings"]
        ),
    ]


@dataclasses.dataclass(frozen=True)
class _Operator:
    """The role that runs the statements, and the roles as which it may act (None: all)."""

    name: str
    settable: frozenset[str] | None

    def may_act_as(self, role: str) -> bool:
        return self.settable is None or role == self.name or role in self.settable

    def acting_as_owner(self, changes: Iterable[tuple[str, list[str]]]) -> list[str]:
        """Return the statements ordered by owner, those of each owner to be run as that owner.

        A superuser grants in the owner's name by nature. Others do only where they inherit the owner's rights, which a role that they may act as need not give.
        """
        by_owner: dict[str, list[str]] = {}
        for owner, statements in changes:
            if statements and self.may_act_as(owner):
                by_owner.setdefault(owner, []).extend(statements)
        found = []
        for owner, statements in by_owner.items():
            itself = self.settable is None or owner == self.name
            found += statements if itself else [f"SET ROLE {quote_identifier(owner)}", *statements, "RESET ROLE"]
        return found


@dataclasses.dataclass(frozen=True)
class _Pair:
    """An object of both databases, and the owner that the shadow's will have."""

    live: ObjectPrivileges
    shadow: ObjectPrivileges
    owner: str

    def changes(self, current: _Rights, wanted: _Rights) -> list[str]:
        return _changes(self.shadow, current, wanted)

    def grants(self, opened: _Rights | None = None) -> list[str]:
        """Return the statements that turn the grants as they are after the change of owner into the live ones; ``opened`` are given in addition by then."""
        current, wanted = _merged(self._after_change(self.shadow.effective), opened or {}), self._wanted()
        revoked = {right for right in current if right not in wanted}
        statements = self.changes(current, wanted)
        wanted_on = {column.name: column.acl for column in self.live.columns}
        for column in self.shadow.columns:
            # What is revoked from the table is revoked from its columns with it.
            granted = {right: grantable for right, grantable in self._after_change(column.acl).items() if right not in revoked}
            statements += _changes(self.shadow, granted, _rights(wanted_on.get(column.name, ())), f" ({quote_identifier(column.name)})")
        return statements

    def _wanted(self) -> _Rights:
        wanted = _rights(self.live.effective)
        if self.owner == self.live.owner:
            return wanted
        # The object stays with another role: the live owner keeps what it could do with it, and the other one what owners can.
        kept = {right: grantable for right, grantable in self._after_change(self.shadow.effective).items() if right[0] == self.owner}
        return {**wanted, **_owner_rights(self.live), **kept}

    def _after_change(self, grants: Iterable[Grant]) -> _Rights:
        """Return the rights after the change of owner, which puts the new owner in the place of the old one."""
        return _rights(dataclasses.replace(grant, grantee=self.owner) if grant.grantee == self.shadow.owner else grant for grant in grants)


def _pairs(live: Iterable[ObjectPrivileges], shadow: Iterable[ObjectPrivileges], renamed: Mapping[str, str]) -> list[tuple[ObjectPrivileges, ObjectPrivileges]]:
    """Return what both databases have, in the shadow's order.

    Default privileges are there also where no entry says so, then as PostgreSQL has them; those of a schema need the schema.
    """
    there = {each.key: each for each in (_under_new_name(each, renamed) for each in live)}
    restored = {each.key: each for each in shadow}
    schemas = {None, *(each.name for each in restored.values() if each.kind == "schema")}
    pairs = [(there.get(key) or dataclasses.replace(new, acl=None), new) for key, new in restored.items() if key in there or new.kind in FUTURE_KINDS]
    missing = [old for key, old in there.items() if key not in restored and old.kind in FUTURE_KINDS and old.schema in schemas]
    return pairs + [(old, dataclasses.replace(old, acl=None)) for old in missing]


def _under_new_name(found: ObjectPrivileges, renamed: Mapping[str, str]) -> ObjectPrivileges:
    arguments = found.arguments
    if arguments is not None:
        arguments = tuple(dataclasses.replace(each, schema=renamed.get(each.schema, each.schema)) for each in arguments)
    return dataclasses.replace(
        found,
        schema=None if found.schema is None else renamed.get(found.schema, found.schema),
        name=renamed.get(found.name, found.name) if found.kind == "schema" else found.name,
        arguments=arguments,
    )


def _assign_owners(pairs: Iterable[tuple[ObjectPrivileges, ObjectPrivileges]], who: _Operator) -> list[_Pair]:
    assigned = []
    of_tables: dict[tuple[str | None, str], str] = {}
    for old, new in sorted(pairs, key=lambda pair: pair[1].linked_to is not None):
        if new.linked_to is not None:
            owner = of_tables.get((new.schema, new.linked_to), new.owner)
        else:
            owner = old.owner if who.may_act_as(old.owner) and who.may_act_as(new.owner) else new.owner
        if new.kind == "table":
            of_tables[new.schema, new.name] = owner
        assigned.append(_Pair(old, new, owner))
    return assigned


def _ownerships(pairs: Iterable[_Pair]) -> list[str]:
    return [
        f"ALTER {_ROUTINES.get(pair.shadow.kind, pair.shadow.kind.upper())} {pair.shadow.sql_name} OWNER TO {quote_identifier(pair.owner)}"
        for pair in pairs
        if pair.owner != pair.shadow.owner and pair.shadow.linked_to is None
    ]


def _open_schemas(changed: Iterable[_Pair], schemas: Iterable[_Pair], who: _Operator) -> list[tuple[_Pair, _Rights]]:
    """Return the schemas, each with the rights that other owners need in it for as long as the statements run.

    PostgreSQL asks a new owner for CREATE unless a superuser changes the owner, and whoever names an object for USAGE. Live owners may have lost both since.
    """
    owners: dict[str | None, dict[str, None]] = {}
    for pair in changed:
        if who.settable is not None and pair.owner != who.name and who.may_act_as(pair.owner):
            owners.setdefault(pair.shadow.schema, {})[pair.owner] = None
    opened = []
    for schema in schemas:
        needed: _Rights = {(owner, privilege): False for owner in owners.get(schema.shadow.name, ()) for privilege in ("USAGE", "CREATE")}
        if not who.may_act_as(schema.shadow.owner):
            needed = {}
        there = _rights(schema.shadow.effective)
        opened.append((schema, {right: False for right in needed if right not in there}))
    return opened


def _changes(found: ObjectPrivileges, current: _Rights, wanted: _Rights, column: str = "") -> list[str]:
    """Return the statements from some rights on an object to others, those that take before those that give."""
    steps = (
        ("REVOKE {} FROM {}", [right for right in current if right not in wanted]),
        ("REVOKE GRANT OPTION FOR {} FROM {}", [right for right, grantable in current.items() if grantable and not wanted.get(right, True)]),
        ("GRANT {} TO {}", [right for right, grantable in wanted.items() if not grantable and right not in current]),
        ("GRANT {} TO {} WITH GRANT OPTION", [right for right, grantable in wanted.items() if grantable and not current.get(right, False)]),
    )
    prefix, suffix = _target(found)
    return [
        prefix + step.format(", ".join(privilege + column for privilege in privileges) + suffix, "PUBLIC" if grantee is None else quote_identifier(grantee))
        for step, rights in steps
        for grantee, privileges in _by_grantee(rights)
    ]


def _additions(old: ObjectPrivileges, new: ObjectPrivileges) -> list[str]:
    """Return the grants that make good what lost_privileges would name."""
    held, granted = _all_rights(new), _rights(new.effective)
    statements = _changes(new, granted, _merged(granted, _lost(_all_rights(old), held)))
    columns = {column.name: column for column in new.columns}
    for column in old.columns:
        if column.name in columns:
            on_column = _rights(columns[column.name].acl)
            lost = _lost(_rights(column.acl), _merged(held, on_column))
            statements += _changes(new, on_column, _merged(on_column, lost), f" ({quote_identifier(column.name)})")
    return statements


def _target(found: ObjectPrivileges) -> tuple[str, str]:
    """Return what names the object before and after the privileges in a statement."""
    if found.kind not in FUTURE_KINDS:
        return "", f" ON {_GRANTED_AS.get(found.kind, found.kind.upper())} {found.sql_name}"
    where = "" if found.schema is None else f" IN SCHEMA {quote_identifier(found.schema)}"
    return f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote_identifier(found.name)}{where} ", f" ON {found.kind.upper()}"


def _by_grantee(rights: Iterable[tuple[str | None, str]]) -> list[tuple[str | None, list[str]]]:
    found: dict[str | None, list[str]] = {}
    for grantee, privilege in rights:
        found.setdefault(grantee, []).append(privilege)
    return list(found.items())


def _rights(grants: Iterable[Grant]) -> _Rights:
    """Return what roles may do, whoever let them; a role that was granted something by two has it once."""
    found: _Rights = {}
    for grant in grants:
        right = (grant.grantee, grant.privilege)
        found[right] = found.get(right, False) or grant.grantable
    return found


def _merged(some: _Rights, others: _Rights) -> _Rights:
    return {right: some.get(right, False) or others.get(right, False) for right in (*some, *others)}


def _owner_rights(found: ObjectPrivileges) -> _Rights:
    """Return everything that an owner can do: also what it revoked from itself, since it may grant that again."""
    return {(found.owner, grant.privilege): True for grant in found.default if grant.grantee == found.owner}


def _all_rights(found: ObjectPrivileges) -> _Rights:
    return {**_rights(found.effective), **_owner_rights(found)}


def _lost(before: _Rights, after: _Rights) -> _Rights:
    """Return the rights that are gone, or may no longer be granted on. What PUBLIC may is lost to nobody, unless the right to grant it is."""
    return {
        right: grantable
        for right, grantable in before.items()
        if (right not in after and (None, right[1]) not in after) or (grantable and not after.get(right, False))
    }


def _losses(before: _Rights, after: _Rights, name: str) -> list[str]:
    gone = _lost(before, after)
    lost = [right for right in gone if right not in after and (None, right[1]) not in after]
    no_longer_grantable = [right for right in gone if right not in lost]
    sentences = [f"{_role(grantee)} lost {', '.join(privileges)} on {name}." for grantee, privileges in _by_grantee(lost)]
    return sentences + [
        f"{_role(grantee)} lost the right to grant {', '.join(privileges)} on {name} to others." for grantee, privileges in _by_grantee(no_longer_grantable)
    ]


def _notes(pairs: Sequence[_Pair], shadow: Iterable[ObjectPrivileges], who: _Operator) -> list[str]:
    untouchable = [pair for pair in pairs if not who.may_act_as(pair.shadow.owner) and (pair.live.owner != pair.shadow.owner or pair.grants())]
    kept = [pair for pair in pairs if who.may_act_as(pair.shadow.owner) and not who.may_act_as(pair.live.owner) and pair.owner != pair.live.owner]
    both = {pair.shadow.key for pair in pairs}
    new = [each.full_name for each in shadow if each.key not in both and each.default]
    regranted = [
        f"{grant.privilege} on {pair.shadow.full_name} to {grant.grantee or 'PUBLIC'} (by {grant.grantor})"
        for pair in pairs
        for grant in pair.live.effective + tuple(grant for column in pair.live.columns for grant in column.acl)
        if grant.grantor != pair.live.owner
    ]
    notes = [
        f"The role {who.name} may not act as the role {owner}, so owner and grants were left as they are for {_listed(names)}. {_advice(owner, who)}"
        for owner, names in _by_owner((pair.shadow.owner, pair) for pair in untouchable)
    ]
    notes += [
        f"The role {who.name} may not make the role {owner} an owner, so it stays the owner of {_listed(names)} itself; views and SECURITY DEFINER functions "
        f"among them run with its rights. The role {owner} was granted what an owner can do, but can no longer alter or drop them. {_advice(owner, who)}"
        for owner, names in _by_owner((pair.live.owner, pair) for pair in kept)
    ]
    if new:
        notes.append(
            f"The live database does not have {_listed(new)}, so it cannot tell who owned that and who may use it. "
            "Owner and grants are as the restore left them: grant what is needed."
        )
    if regranted:
        notes.append(f"Grants that others than the owner had made are now the owner's own: {_listed(regranted)}.")
    return notes


def _by_owner(pairs: Iterable[tuple[str, _Pair]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for owner, pair in pairs:
        found.setdefault(owner, []).append(pair.shadow.full_name)
    return list(found.items())


def _advice(owner: str, who: _Operator) -> str:
    return f"Run GRANT {quote_if_needed(owner)} TO {quote_if_needed(who.name)} before the restore, or restore as a superuser."


def _role(grantee: str | None) -> str:
    return "PUBLIC (every role)" if grantee is None else f"The role {grantee}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _altered(role: str | None, database: str) -> str:
    return f"ALTER DATABASE {database}" if role is None else f"ALTER ROLE {quote_identifier(role)} IN DATABASE {database}"


def _setting(parameter: str, value: str) -> tuple[str, str]:
    """Return a parameter and its value in SQL."""
    values = _elements(value) if parameter.lower() in _LIST_PARAMETERS else [value]
    return parameter, ", ".join(quote_literal(each) for each in values)


def _elements(value: str) -> list[str]:
    """Return the names of a list as the server wrote it; what is no such list is one name, and no name at all is the empty one, which finds nothing either."""
    found = []
    rest = value
    while element := _LIST_ELEMENT.match(rest):
        found.append(element[1][1:-1].replace('""', '"') if element[1].startswith('"') else element[1])
        rest = rest[element.end() :]
        if not rest:
            return found
        if not rest.startswith(","):
            break
        rest = rest[1:]
    return [value.strip()]


def _parse_item(item: str) -> list[Grant]:
    parts = _ITEM.fullmatch(item)
    if parts is None or any(letter not in _LETTERS for letter, _star in _LETTER.findall(parts[2])):
        raise BackupError(f"The server describes a grant in a way that is not known here: {item}. A newer version of this collection may know it.")
    grantee, grantor = (_unquoted(parts[number]) for number in (1, 3))
    return [Grant(grantee or None, _LETTERS[letter], star == "*", grantor) for letter, star in _LETTER.findall(parts[2])]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
