# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not restored is named with its reason, what is about it goes with it, and nothing else does."""

from __future__ import annotations

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents, parse_list
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_entries import (
    Skipped,
    about_schemas,
    extension_name,
    forbidden_entries,
    forbidden_refusal,
    left_out_extensions,
    list_lines,
    outside_of_schemas,
)

# As pg_restore 15 and 17 print them; where there is no owner, the line ends with a blank.
LISTING = """;
;     Dump Version: 1.14-0
;
2; 3079 16399 EXTENSION - uuid-ossp ~
3366; 0 0 COMMENT - EXTENSION "uuid-ossp" ~
3; 3079 16400 EXTENSION - uuid ~
3365; 0 0 COMMENT - EXTENSION uuid ~
5; 2615 16401 SCHEMA - sales app
6; 2615 16402 SCHEMA - sales old app
3360; 0 0 COMMENT - SCHEMA sales app
3361; 0 0 ACL - SCHEMA sales app
216; 1255 16387 FUNCTION public f() app
1659; 2601 16395 ACCESS METHOD - am ~
3367; 0 0 COMMENT - ACCESS METHOD am ~
1983; 2753 16396 OPERATOR FAMILY public of app
3368; 0 0 COMMENT public OPERATOR FAMILY of USING btree app
1984; 2616 16397 OPERATOR CLASS public oc app
1985; 3601 16397 TEXT SEARCH PARSER public tsp ~
3369; 0 0 COMMENT public TEXT SEARCH PARSER tsp ~
1986; 3764 16397 TEXT SEARCH TEMPLATE public tst ~
2049; 2328 16389 FOREIGN DATA WRAPPER - dummy app
3370; 0 0 COMMENT - FOREIGN DATA WRAPPER dummy app
3371; 0 0 ACL - FOREIGN DATA WRAPPER dummy app
2050; 1417 16390 SERVER - srv app
215; 1259 16392 TABLE public users app
3356; 0 16392 TABLE DATA public users app
3358; 0 0 COMMENT public TABLE users app
3357; 6104 16386 PUBLICATION - My Pub app
3374; 0 0 COMMENT - PUBLICATION "My Pub" app
3355; 6104 16387 PUBLICATION - some app
3359; 6100 16398 SUBSCRIPTION - sub app
3375; 0 0 COMMENT - SUBSCRIPTION sub app
3376; 0 0 SECURITY LABEL - SUBSCRIPTION sub app
2051; 826 16410 DEFAULT ACL - DEFAULT PRIVILEGES FOR TABLES app
3214; 3466 16388 EVENT TRIGGER - My Trig app
3377; 0 0 COMMENT - EVENT TRIGGER "My Trig" app
3378; 0 0 COMMENT - EVENT TRIGGER "My Trigger" app
""".replace("~", "")
EXTENSIONS = {"uuid-ossp": True, "uuid": False}


def contents(listing: str = LISTING) -> ArchiveContents:
    return parse_list(listing)


def forbidden(**changes: object) -> dict[str, str]:
    facts = {"superuser": False, "may_subscribe": True, "extensions": EXTENSIONS, "for_all_tables": ("My Pub",), **changes}
    return {str(found.entry): found.reason for found in forbidden_entries(contents(), **facts)}  # type: ignore[arg-type]


def test_a_superuser_creates_everything() -> None:
    assert forbidden(superuser=True) == {}


def test_what_only_superusers_create_is_named_with_all_that_is_about_it() -> None:
    assert forbidden() == {
        "EXTENSION - uuid-ossp": "only superusers may create this extension",
        'COMMENT - EXTENSION "uuid-ossp"': "its extension is not restored",
        "ACCESS METHOD - am": "only superusers may create access methods",
        "COMMENT - ACCESS METHOD am": "its access method is not restored",
        "OPERATOR FAMILY public of app": "only superusers may create operator families",
        "COMMENT public OPERATOR FAMILY of USING btree app": "its operator family is not restored",
        "OPERATOR CLASS public oc app": "only superusers may create operator classes",
        "TEXT SEARCH PARSER public tsp": "only superusers may create text search parsers",
        "COMMENT public TEXT SEARCH PARSER tsp": "its text search parser is not restored",
        "TEXT SEARCH TEMPLATE public tst": "only superusers may create text search templates",
        "FOREIGN DATA WRAPPER - dummy app": "only superusers may create foreign-data wrappers",
        "COMMENT - FOREIGN DATA WRAPPER dummy app": "its foreign data wrapper is not restored",
        "ACL - FOREIGN DATA WRAPPER dummy app": "its foreign data wrapper is not restored",
        "PUBLICATION - My Pub app": "only superusers may publish all tables",
        'COMMENT - PUBLICATION "My Pub" app': "its publication is not restored",
        "EVENT TRIGGER - My Trig app": "only superusers may create event triggers",
        'COMMENT - EVENT TRIGGER "My Trig" app': "its event trigger is not restored",
    }


@pytest.mark.parametrize("may_subscribe", [True, False])
def test_subscriptions_are_for_those_who_may(may_subscribe: bool) -> None:
    found = forbidden(may_subscribe=may_subscribe)
    for entry in ("SUBSCRIPTION - sub app", "COMMENT - SUBSCRIPTION sub app", "SECURITY LABEL - SUBSCRIPTION sub app"):
        assert (entry in found) is not may_subscribe


def test_an_extension_that_the_server_does_not_have_is_no_matter_of_rights() -> None:
    assert "EXTENSION - uuid-ossp" not in forbidden(extensions={})


def test_extensions_that_are_left_out_take_their_comment_with_them_and_no_other() -> None:
    for name, comment in (("uuid-ossp", 'EXTENSION "uuid-ossp"'), ("uuid", "EXTENSION uuid")):
        assert [(str(found.entry), found.reason) for found in left_out_extensions(contents(), [name])] == [
            (f"EXTENSION - {name}", "left out by exclude_extensions"),
            (f"COMMENT - {comment}", "its extension is not restored"),
        ]
    assert left_out_extensions(contents(), ["other"]) == []


def test_the_list_for_pg_restore_has_every_other_line_in_its_order() -> None:
    archive = contents()
    skipped = left_out_extensions(archive, ["uuid-ossp"])
    lines = list_lines(archive, skipped)
    assert lines == [line for line in LISTING.split("\n") if line and not line.startswith(";") and "uuid-ossp" not in line]


def test_where_everything_is_restored_there_is_no_list() -> None:
    assert list_lines(contents(), []) is None


def test_what_belongs_to_no_schema_is_named_and_schemas_stay() -> None:
    found = [str(skipped.entry) for skipped in outside_of_schemas(contents(), large_objects=False)]
    assert [entry for entry in found if "SCHEMA" in entry or "DEFAULT ACL" in entry or " public " in entry] == []
    for kind in ("EXTENSION", "ACCESS METHOD", "FOREIGN DATA WRAPPER", "SERVER", "PUBLICATION", "SUBSCRIPTION", "EVENT TRIGGER"):
        assert any(entry.startswith(f"{kind} - ") for entry in found), kind


def test_a_schema_that_is_there_is_not_created_again() -> None:
    assert [str(skipped.entry) for skipped in about_schemas(contents(), ["other", "sales old"])] == ["SCHEMA - sales old app"]


def test_a_refusal_names_ten_and_counts_the_rest() -> None:
    entry = contents().entries[0]
    assert forbidden_refusal([], "app") is None
    one = str(forbidden_refusal([Skipped(entry, "because")], "app"))
    assert one.startswith("The role app may not create 1 of the archive's entries: EXTENSION - uuid-ossp (because). Use a superuser, set unrestorable to skip")
    many = str(forbidden_refusal([Skipped(entry, f"reason {number}") for number in range(12)], "app"))
    assert "may not create 12 of" in many
    assert "(reason 9) and 2 more. " in many
    assert "reason 10" not in many


def test_an_extension_s_name_is_all_of_its_label() -> None:
    assert [extension_name(entry) for entry in contents().entries if entry.kind == "EXTENSION"] == ["uuid-ossp", "uuid"]
