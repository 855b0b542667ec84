# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy gets the owners and grants of the live database by as few statements as it takes, in an order that works; what cannot be done is said."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.privileges import (
    ArgumentType,
    Column,
    Grant,
    ObjectPrivileges,
    database_privileges,
    database_statements,
    lost_owners,
    lost_privileges,
    parse_acl,
    statements_to_match,
)

# What the server holds for granted, by kind; O stands for the owner.
DEFAULTS = {
    "table": ["O=arwd/O"],
    "view": ["O=arwd/O"],
    "sequence": ["O=rwU/O"],
    "function": ["=X/O", "O=X/O"],
    "type": ["=U/O", "O=U/O"],
    "schema": ["O=UC/O"],
    "server": ["O=U/O"],
    "foreign data wrapper": ["O=U/O"],
    "large object": ["O=rw/O"],
    "tables": ["O=arwd/O"],
    "functions": ["=X/O", "O=X/O"],
}


def thing(name: str = "users", *acl: str, kind: str = "table", owner: str = "owner", **changes: t.Any) -> ObjectPrivileges:
    """Return an object of the schema public; without an ACL it has the default."""
    default = [item.replace("O", owner) for item in DEFAULTS.get(kind, [])]
    facts: dict[str, t.Any] = {
        "kind": kind,
        "schema": None if kind in ("schema", "server", "foreign data wrapper", "large object") else "public",
        "name": name,
        "owner": owner,
        "acl": parse_acl(acl) if acl else None,
        "default": parse_acl(default),
    }
    return ObjectPrivileges(**{**facts, **changes})


def statements(
    live: list[ObjectPrivileges], shadow: list[ObjectPrivileges], settable: set[str] | None = None, operator: str = "operator", **options: t.Any
) -> list[str]:
    return statements_to_match(live, shadow, settable_owners=settable, operator=operator, **options)[0]


def notes(live: list[ObjectPrivileges], shadow: list[ObjectPrivileges], settable: set[str] | None = None) -> list[str]:
    return statements_to_match(live, shadow, settable_owners=settable, operator="operator")[1]


names = st.one_of(st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text), st.text('a"=/*,{} ', min_size=1, max_size=6))


def as_the_server_writes(name: str) -> str:
    plain = name.replace("_", "a").isalnum() and name.isascii()
    return name if plain else '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("=X/owner", [Grant(None, "EXECUTE", False, "owner")]),
        ("app=r*w/owner", [Grant("app", "SELECT", True, "owner"), Grant("app", "UPDATE", False, "owner")]),
        ('"A ""b"" =/"=m/"o/w"', [Grant('A "b" =/', "MAINTAIN", False, "o/w")]),
        ("app=/owner", []),
    ],
)
def test_an_acl_is_read(item: str, expected: list[Grant]) -> None:
    assert parse_acl([item]) == tuple(expected)


@pytest.mark.parametrize("item", ["app=q/owner", "app", "app=r", "app=*r/owner", '"app=r/owner', "app=r/owner/", "app=r/owner\n=r/x", ""])
def test_an_acl_that_is_not_understood_stops(item: str) -> None:
    with pytest.raises(BackupError, match="in a way that is not known here"):
        parse_acl([item, "=X/owner"])


def test_no_acl_is_not_an_empty_one() -> None:
    assert parse_acl(None) is None
    assert parse_acl([]) == ()


@given(names, names)
def test_every_name_in_an_acl_comes_back(grantee: str, grantor: str) -> None:
    assert parse_acl([f"{as_the_server_writes(grantee)}=r/{as_the_server_writes(grantor)}"]) == (Grant(grantee, "SELECT", False, grantor),)


EMAIL = parse_acl(["reader=r/owner"]) or ()
INTEGERS = (ArgumentType("pg_catalog", "int4", True), ArgumentType("Odd", "mood"))


@pytest.mark.parametrize(
    ("live", "shadow", "expected"),
    [
        (thing(), thing(), []),
        # The owner's own rights come with being the owner.
        (thing(), thing(owner="operator"), ['ALTER TABLE "public"."users" OWNER TO "owner"']),
        (
            thing("users", "owner=arwd/owner", "app=rw/owner", "=r/owner"),
            thing(owner="operator"),
            [
                'ALTER TABLE "public"."users" OWNER TO "owner"',
                'GRANT SELECT, UPDATE ON TABLE "public"."users" TO "app"',
                'GRANT SELECT ON TABLE "public"."users" TO PUBLIC',
            ],
        ),
        # What PostgreSQL gives to everybody and the live database does not.
        (
            thing("f", "owner=X/owner", "app=X/owner", kind="function", arguments=INTEGERS),
            thing("f", kind="function", arguments=INTEGERS),
            [
                'REVOKE EXECUTE ON ROUTINE "public"."f"("pg_catalog"."int4"[], "Odd"."mood") FROM PUBLIC',
                'GRANT EXECUTE ON ROUTINE "public"."f"("pg_catalog"."int4"[], "Odd"."mood") TO "app"',
            ],
        ),
        (thing("mood", "owner=U/owner", kind="type"), thing("mood", kind="type"), ['REVOKE USAGE ON TYPE "public"."mood" FROM PUBLIC']),
        # An owner that took something from itself.
        (thing("log", "owner=rw/owner"), thing("log"), ['REVOKE INSERT, DELETE ON TABLE "public"."log" FROM "owner"']),
        (thing("log", "x=r/owner"), thing("log", "x=r/owner"), []),
        # Back to the default.
        (thing(), thing("users", "owner=arwd/owner", "app=r/owner"), ['REVOKE SELECT ON TABLE "public"."users" FROM "app"']),
        # Grant options, both ways.
        (
            thing("users", "app=r*w/owner", "reader=r/owner"),
            thing("users", "app=rw*/owner", "reader=r*/owner"),
            [
                'REVOKE GRANT OPTION FOR UPDATE ON TABLE "public"."users" FROM "app"',
                'REVOKE GRANT OPTION FOR SELECT ON TABLE "public"."users" FROM "reader"',
                'GRANT SELECT ON TABLE "public"."users" TO "app" WITH GRANT OPTION',
            ],
        ),
        # Two grantors are one grant.
        (thing("users", "a=r*/owner", "b=r/a", "b=r*/owner"), thing("users", "a=r*/owner", "b=r*/owner"), []),
        (
            thing(columns=(Column("id"), Column("e m", EMAIL), Column("gone", EMAIL))),
            thing(columns=(Column("e m"), Column("id", parse_acl(["reader=r/owner"]) or ()))),
            [
                'GRANT SELECT ("e m") ON TABLE "public"."users" TO "reader"',
                'REVOKE SELECT ("id") ON TABLE "public"."users" FROM "reader"',
            ],
        ),
        # Taking from a table takes from its columns.
        (
            thing(columns=(Column("email", EMAIL),)),
            thing("users", "owner=arwd/owner", "reader=r/owner", columns=(Column("email", EMAIL),)),
            ['REVOKE SELECT ON TABLE "public"."users" FROM "reader"', 'GRANT SELECT ("email") ON TABLE "public"."users" TO "reader"'],
        ),
        (thing("v", "app=r/owner", kind="view"), thing("v", "owner=r/owner", kind="table"), []),
        (
            thing("V", "owner=arwd/owner", "app=r/owner", kind="view"),
            thing("V", kind="view", owner="operator"),
            ['ALTER VIEW "public"."V" OWNER TO "owner"', 'GRANT SELECT ON TABLE "public"."V" TO "app"'],
        ),
        (
            thing("7001", "owner=rw/owner", "app=r/owner", kind="large object"),
            thing("7001", kind="large object", owner="operator"),
            ['ALTER LARGE OBJECT 7001 OWNER TO "owner"', 'GRANT SELECT ON LARGE OBJECT 7001 TO "app"'],
        ),
        (
            thing("s", "owner=U/owner", "app=U/owner", kind="server"),
            thing("s", kind="server", owner="operator"),
            ['ALTER SERVER "s" OWNER TO "owner"', 'GRANT USAGE ON FOREIGN SERVER "s" TO "app"'],
        ),
        (
            thing("w", "owner=U/owner", "app=U/owner", kind="foreign data wrapper"),
            thing("w", kind="foreign data wrapper"),
            ['GRANT USAGE ON FOREIGN DATA WRAPPER "w" TO "app"'],
        ),
        (thing("c", kind="collation"), thing("c", kind="collation", owner="operator"), ['ALTER COLLATION "public"."c" OWNER TO "owner"']),
        # Another signature is another function.
        (thing("f", "app=X/owner", kind="function", arguments=()), thing("f", kind="function", arguments=INTEGERS), []),
    ],
)
def test_what_it_takes(live: ObjectPrivileges, shadow: ObjectPrivileges, expected: list[str]) -> None:
    assert statements([live], [shadow]) == expected


@given(st.lists(st.tuples(st.sampled_from(["app", "owner", ""]), st.sampled_from(["r", "r*", "rw", "rw*"]), st.sampled_from(["owner", "app"])), max_size=4))
def test_what_is_equal_is_left_alone_and_loses_nothing(grants: list[tuple[str, str, str]]) -> None:
    found = thing("users", *(f"{grantee}={'r' if not grantee else letters}/{grantor}" for grantee, letters, grantor in grants))
    assert statements([found], [found]) == []
    assert lost_privileges([found], [found]) == []


def test_a_sequence_follows_its_table() -> None:
    live = [thing("users_id_seq", "owner=rwU/owner", "app=U/owner", kind="sequence", linked_to="users"), thing(), thing("alone", kind="sequence")]
    shadow = [
        thing("users_id_seq", kind="sequence", owner="operator", linked_to="users"),
        thing(owner="operator"),
        thing("alone", kind="sequence", owner="operator"),
    ]
    assert statements(live, shadow, {"owner"}) == [
        'ALTER TABLE "public"."users" OWNER TO "owner"',
        'ALTER SEQUENCE "public"."alone" OWNER TO "owner"',
        'SET ROLE "owner"',
        'GRANT USAGE ON SEQUENCE "public"."users_id_seq" TO "app"',
        "RESET ROLE",
    ]
    # A table that is not there leaves its sequence where it is.
    assert statements(live[:1], shadow[:1], {"owner"}) == [
        'GRANT USAGE ON SEQUENCE "public"."users_id_seq" TO "app"',
        'GRANT SELECT, UPDATE, USAGE ON SEQUENCE "public"."users_id_seq" TO "owner" WITH GRANT OPTION',
    ]


def test_owners_come_first_and_schemas_last() -> None:
    live = [
        thing("public", "pg_database_owner=UC/pg_database_owner", "app=U/pg_database_owner", kind="schema", owner="pg_database_owner"),
        thing("s", "owner=UC/owner", "app=U/owner", kind="schema"),
        thing("users", "owner=arwd/owner", "app=r/owner", schema="s"),
        thing("old", "other=arwd/other", "app=r/other", owner="other"),
        thing("own", "operator=arwd/operator", "app=r/operator", owner="operator"),
    ]
    shadow = [
        thing("public", "pg_database_owner=UC/pg_database_owner", "=U/pg_database_owner", kind="schema", owner="pg_database_owner"),
        thing("s", kind="schema", owner="operator"),
        thing(owner="operator", schema="s"),
        thing("old", owner="operator"),
        thing("own", owner="operator"),
    ]
    assert statements(live, shadow, {"owner", "other", "pg_database_owner"}) == [
        # PostgreSQL asks new owners for CREATE, and everybody for USAGE.
        'SET ROLE "pg_database_owner"',
        'GRANT USAGE, CREATE ON SCHEMA "public" TO "other"',
        "RESET ROLE",
        'GRANT USAGE, CREATE ON SCHEMA "s" TO "owner"',
        'ALTER TABLE "s"."users" OWNER TO "owner"',
        'ALTER TABLE "public"."old" OWNER TO "other"',
        'SET ROLE "owner"',
        'GRANT SELECT ON TABLE "s"."users" TO "app"',
        "RESET ROLE",
        'SET ROLE "other"',
        'GRANT SELECT ON TABLE "public"."old" TO "app"',
        "RESET ROLE",
        'GRANT SELECT ON TABLE "public"."own" TO "app"',
        'ALTER SCHEMA "s" OWNER TO "owner"',
        'SET ROLE "pg_database_owner"',
        'REVOKE USAGE ON SCHEMA "public" FROM PUBLIC',
        'REVOKE USAGE, CREATE ON SCHEMA "public" FROM "other"',
        'GRANT USAGE ON SCHEMA "public" TO "app"',
        "RESET ROLE",
        'SET ROLE "owner"',
        'GRANT USAGE ON SCHEMA "s" TO "app"',
        "RESET ROLE",
    ]
    # A superuser needs none of that.
    assert not [each for each in statements(live, shadow) if "ROLE" in each or "CREATE" in each]


def test_what_new_owners_have_in_a_schema_is_not_given_again() -> None:
    live = [thing("public", "x=UC/x", "owner=U/x", kind="schema", owner="x"), thing()]
    shadow = [thing("public", "operator=UC/operator", "owner=U/operator", kind="schema", owner="operator"), thing(owner="operator")]
    assert statements(live, shadow, {"owner"}) == [
        'GRANT CREATE ON SCHEMA "public" TO "owner"',
        'ALTER TABLE "public"."users" OWNER TO "owner"',
        'REVOKE CREATE ON SCHEMA "public" FROM "owner"',
        'GRANT USAGE, CREATE ON SCHEMA "public" TO "x" WITH GRANT OPTION',
    ]


def test_an_owner_out_of_reach_is_granted_what_owners_can() -> None:
    live = [thing("users", "owner=ar/owner", "app=r/owner", "operator=r/owner"), thing("b", owner="other")]
    shadow = [thing(owner="operator"), thing("b", owner="operator")]
    assert statements(live, shadow, {"other"}) == [
        'ALTER TABLE "public"."b" OWNER TO "other"',
        'GRANT SELECT ON TABLE "public"."users" TO "app"',
        'GRANT INSERT, SELECT, UPDATE, DELETE ON TABLE "public"."users" TO "owner" WITH GRANT OPTION',
    ]
    (note,) = notes(live, shadow, {"other"})
    assert note == (
        "The role operator may not make the role owner an owner, so it stays the owner of table public.users itself; views and SECURITY DEFINER functions "
        "among them run with its rights. The role owner was granted what an owner can do, but can no longer alter or drop them. "
        "Run GRANT owner TO operator before the restore, or restore as a superuser."
    )


def test_what_belongs_to_others_is_left_alone() -> None:
    live = [thing("users", "app=r/owner"), thing("same", owner="root"), thing("granted", "root=arwd/root", "app=r/root", owner="root")]
    shadow = [thing(owner="root"), thing("same", owner="root"), thing("granted", owner="root")]
    assert statements(live, shadow, {"owner"}) == []
    (note,) = notes(live, shadow, {"owner"})
    assert note == (
        "The role operator may not act as the role root, so owner and grants were left as they are for table public.users, table public.granted. "
        "Run GRANT root TO operator before the restore, or restore as a superuser."
    )


def test_what_the_live_database_does_not_know_is_said() -> None:
    shadow = [thing(f"t{number:02}", owner="operator") for number in range(12)] + [thing("c", kind="collation")]
    (note,) = notes([], shadow)
    assert note.startswith("The live database does not have table public.t00, table public.t01,")
    assert "table public.t09 and 2 more, so it cannot tell who owned that" in note
    assert notes([*shadow, thing("younger")], shadow) == []


def test_other_grantors_are_said() -> None:
    live = thing("users", "a=r*/owner", "b=r/a", columns=(Column("id", parse_acl(["=w/a"]) or ()),))
    (note,) = notes([live], [thing(columns=(Column("id"),))])
    assert note == (
        "Grants that others than the owner had made are now the owner's own: SELECT on table public.users to b (by a), "
        "UPDATE on table public.users to PUBLIC (by a)."
    )


FUTURE = thing("owner", "owner=arwd/owner", "app=r*/owner", kind="tables", schema=None)
FUTURE_HERE = thing("owner", "app=r/owner", kind="tables", default=())


@pytest.mark.parametrize(
    ("live", "shadow", "expected"),
    [
        ([FUTURE], [], ['ALTER DEFAULT PRIVILEGES FOR ROLE "owner" GRANT SELECT ON TABLES TO "app" WITH GRANT OPTION']),
        ([FUTURE], [FUTURE], []),
        ([], [FUTURE], ['ALTER DEFAULT PRIVILEGES FOR ROLE "owner" REVOKE SELECT ON TABLES FROM "app"']),
        ([FUTURE_HERE], [], []),
        (
            [FUTURE_HERE],
            [thing("public", kind="schema")],
            ['ALTER DEFAULT PRIVILEGES FOR ROLE "owner" IN SCHEMA "public" GRANT SELECT ON TABLES TO "app"'],
        ),
        (
            [thing("owner", "owner=X/owner", kind="functions", schema=None)],
            [],
            ['ALTER DEFAULT PRIVILEGES FOR ROLE "owner" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC'],
        ),
    ],
)
def test_default_privileges(live: list[ObjectPrivileges], shadow: list[ObjectPrivileges], expected: list[str]) -> None:
    assert statements(live, shadow) == expected
    as_the_role = ['SET ROLE "owner"', *expected, "RESET ROLE"] if expected else []
    assert statements(live, shadow, {"owner"}) == as_the_role
    assert statements(live, shadow, set()) == []


def test_default_privileges_out_of_reach_are_said_and_lost() -> None:
    (note,) = notes([FUTURE], [], set())
    assert note == (
        "The role operator may not act as the role owner, so owner and grants were left as they are for tables that the role owner creates. "
        "Run GRANT owner TO operator before the restore, or restore as a superuser."
    )
    assert lost_privileges([FUTURE], []) == ["The role app lost SELECT on tables that the role owner creates."]


def test_a_schema_under_another_name() -> None:
    mood = (ArgumentType("public__p", "mood"), ArgumentType("other", "x"))
    live = [
        thing("public__p", "owner=UC/owner", "app=U/owner", kind="schema"),
        thing("f", "owner=X/owner", kind="function", schema="public__p", arguments=mood),
        thing("public__p", "owner=arwd/owner", "app=r/owner", schema="public__p"),
        thing("owner", "app=r/owner", kind="tables", schema="public__p", default=()),
    ]
    shadow = [
        thing("public", kind="schema"),
        thing("f", kind="function", arguments=(ArgumentType("public", "mood"), ArgumentType("other", "x"))),
        thing("public__p"),
    ]
    assert statements(live, shadow) == []
    assert statements(live, shadow, renamed={"public__p": "public"}) == [
        'REVOKE EXECUTE ON ROUTINE "public"."f"("public"."mood", "other"."x") FROM PUBLIC',
        'GRANT SELECT ON TABLE "public"."public__p" TO "app"',
        'GRANT USAGE ON SCHEMA "public" TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "owner" IN SCHEMA "public" GRANT SELECT ON TABLES TO "app"',
    ]
    assert len(lost_privileges(live, shadow, renamed={"public__p": "public"})) == 3


@pytest.mark.parametrize(
    ("live", "shadow", "expected"),
    [
        (thing("users", "app=rw/owner"), thing("users", "app=r/owner"), ["The role app lost UPDATE on table public.users."]),
        (thing("users", "app=r/owner"), thing("users", "app=rw/owner", "x=r/owner"), []),
        (thing("users", "app=rw/owner"), thing("users", "=rw/owner"), []),
        (
            thing("users", "app=rw/owner"),
            thing(owner="app"),
            ["The role owner lost INSERT, SELECT, UPDATE, DELETE on table public.users."],
        ),
        # An owner without rights of its own can grant them to itself; so could the one before.
        (thing(), thing("users", "x=r/owner"), []),
        (
            thing("users", "x=r/owner"),
            thing("users", "owner=arwd*/y", owner="y"),
            [
                "The role x lost SELECT on table public.users.",
                "The role owner lost the right to grant INSERT, SELECT, UPDATE on table public.users to others.",
            ],
        ),
        (
            thing("F", kind="function", arguments=INTEGERS),
            thing("F", "owner=X/owner", kind="function", arguments=INTEGERS),
            ['PUBLIC (every role) lost EXECUTE on function public."F"(pg_catalog.int4[], "Odd".mood).'],
        ),
        (thing("users", "app=r*/owner"), thing("users", "app=r/owner"), ["The role app lost the right to grant SELECT on table public.users to others."]),
        (thing("users", "app=r*/owner"), thing("users", "=r/owner"), ["The role app lost the right to grant SELECT on table public.users to others."]),
        (
            thing(columns=(Column("E", EMAIL), Column("gone", EMAIL))),
            thing(columns=(Column("E"),)),
            ['The role reader lost SELECT on column "E" of table public.users.'],
        ),
        (thing(columns=(Column("E", EMAIL),)), thing("users", "owner=arwd/owner", "reader=r/owner", columns=(Column("E"),)), []),
        (
            thing(columns=(Column("E", parse_acl(["reader=r*/owner"]) or ()),)),
            thing("users", "reader=r/owner", columns=(Column("E", parse_acl(["reader=r*/owner"]) or ()),)),
            [],
        ),
        (thing("users", "reader=r/owner"), thing(columns=(Column("E", EMAIL),)), ["The role reader lost SELECT on table public.users."]),
        (thing("users", "app=r/owner"), thing("others"), []),
        (
            thing("7001", "app=r/owner", kind="large object"),
            thing("7001", kind="large object"),
            ["The role app lost SELECT on large object 7001."],
        ),
    ],
)
def test_what_is_lost(live: ObjectPrivileges, shadow: ObjectPrivileges, expected: list[str]) -> None:
    assert lost_privileges([live], [shadow]) == expected


def test_lost_owners() -> None:
    live = [thing(), thing("b"), thing("c", owner="x"), thing("gone")]
    shadow = [thing(owner="operator"), thing("b", owner="operator"), thing("c", owner="x")]
    assert lost_owners(live, shadow) == ["The role owner is no longer the owner of table public.users, table public.b: the role operator is."]


def properties(**changes: t.Any) -> dict[str, t.Any]:
    return {"owner": "owner", "acl": None, "connection_limit": -1, "settings": [], **changes}


def test_a_database_with_nothing_of_its_own() -> None:
    assert database_statements(properties(), 'my "db"') == [
        'REVOKE ALL ON DATABASE "my ""db""" FROM PUBLIC, "owner"',
        'GRANT CREATE, TEMPORARY, CONNECT ON DATABASE "my ""db""" TO "owner"',
        'GRANT TEMPORARY, CONNECT ON DATABASE "my ""db""" TO PUBLIC',
        'ALTER DATABASE "my ""db""" CONNECTION LIMIT -1',
    ]


def test_a_closed_database() -> None:
    found = properties(acl=["owner=CTc/owner", "app=c*/owner"], connection_limit=7)
    assert database_statements(found, "db") == [
        'REVOKE ALL ON DATABASE "db" FROM PUBLIC, "owner"',
        'GRANT CREATE, TEMPORARY, CONNECT ON DATABASE "db" TO "owner"',
        'GRANT CONNECT ON DATABASE "db" TO "app" WITH GRANT OPTION',
        'ALTER DATABASE "db" CONNECTION LIMIT 7',
    ]
    assert lost_privileges([database_privileges(properties(), "db")], [database_privileges(found, "db")]) == [
        "PUBLIC (every role) lost TEMPORARY, CONNECT on database db."
    ]


@pytest.mark.parametrize(
    ("role", "text", "expected"),
    [
        (None, "work_mem=8MB", """ALTER DATABASE "db" SET "work_mem" TO '8MB'"""),
        ("A b", "work_mem=8MB", """ALTER ROLE "A b" IN DATABASE "db" SET "work_mem" TO '8MB'"""),
        (None, r"""my.setting=a='b' \ c, d""", r"""ALTER DATABASE "db" SET "my.setting" TO E'a=''b'' \\ c, d'"""),
        (None, "DateStyle=ISO, DMY", """ALTER DATABASE "db" SET "DateStyle" TO 'ISO, DMY'"""),
        (None, 'search_path="$user", public, "Odd ""S"", x"', """ALTER DATABASE "db" SET "search_path" TO '$user', 'public', 'Odd "S", x'"""),
        (None, 'search_path=""', """ALTER DATABASE "db" SET "search_path" TO ''"""),
        (None, "search_path=", """ALTER DATABASE "db" SET "search_path" TO ''"""),
        (None, "search_path=a,b", """ALTER DATABASE "db" SET "search_path" TO 'a', 'b'"""),
        (None, "Temp_Tablespaces=a", """ALTER DATABASE "db" SET "Temp_Tablespaces" TO 'a'"""),
        (None, "local_preload_libraries=a b", """ALTER DATABASE "db" SET "local_preload_libraries" TO 'a b'"""),
        (None, "search_path=a,", """ALTER DATABASE "db" SET "search_path" TO 'a,'"""),
    ],
)
def test_a_setting(role: str | None, text: str, expected: str) -> None:
    assert database_statements(properties(settings=[{"role": role, "settings": [text]}]), "db")[-1] == expected


@given(st.lists(names, min_size=1, max_size=4))
def test_every_list_keeps_its_names(elements: list[str]) -> None:
    stored = ", ".join('"' + element.replace('"', '""') + '"' for element in elements)
    written = [("E" if "\\" in element else "") + "'" + element.replace("'", "''").replace("\\", "\\\\") + "'" for element in elements]
    (statement,) = database_statements(properties(settings=[{"role": None, "settings": [f"search_path={stored}"]}]), "db")[4:]
    assert statement == f'ALTER DATABASE "db" SET "search_path" TO {", ".join(written)}'
