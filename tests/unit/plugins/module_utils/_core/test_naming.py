# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and keys: what we write we read back, and nothing else is taken for ours."""

from __future__ import annotations

import datetime as dt
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

STARTED = dt.datetime(2026, 1, 8, 10, 30, tzinfo=dt.timezone.utc)

edge = st.sampled_from(string.ascii_letters + string.digits)
# Words that look like parts of our own keys come up often: they are where a careless parser goes wrong.
inner = st.one_of(
    st.text(string.ascii_letters + string.digits + "._-", max_size=10),
    st.sampled_from([".dump", "_2026-01-08_103000", "_2026-01-08_103000.dump", ".manifest.json", ".globals.sql", "_x"]),
)
names = st.builds(lambda first, rest: (first + "".join(rest))[:100], edge, st.lists(inner, max_size=4))
seconds = st.integers(0, 200_000_000_000).map(lambda second: dt.datetime.fromtimestamp(second, dt.timezone.utc))
prefixes = st.sampled_from(["", "backups", "a/b"])


@given(names, seconds, prefixes)
def test_a_key_is_read_back_as_it_was_made(name: str, started: dt.datetime, prefix: str) -> None:
    assert naming.check_name(name) == name
    assert naming.parse_archive_key(naming.archive_key(prefix, name, started), prefix) == (name, started)


@given(names, names, seconds)
def test_a_name_never_sees_the_backups_of_another(one: str, other: str, started: dt.datetime) -> None:
    parsed = naming.parse_archive_key(naming.archive_key("", other, started), "")
    assert parsed is not None
    assert (parsed.name == one) == (other == one)


def test_app_never_sees_app_x() -> None:
    parsed = naming.parse_archive_name("app_x_2026-01-08_103000.dump")
    assert parsed is not None
    assert parsed.name == "app_x"


@given(names, seconds)
def test_keys_in_the_order_of_the_alphabet_are_in_the_order_of_time(name: str, started: dt.datetime) -> None:
    assert naming.archive_key("", name, started) < naming.archive_key("", name, started + dt.timedelta(seconds=1))


@pytest.mark.parametrize("name", ["workon", "a", "A.b-c_d", "0", "x" * 100])
def test_a_name_that_every_store_takes(name: str) -> None:
    assert naming.check_name(name) == name


@pytest.mark.parametrize("name", ["", ".hidden", "-dash", "_x", "a b", "a/b", "a\\b", "naïve", "a\n", "a\0", "x" * 101, "..", "a:b", "a*"])
def test_a_name_that_some_store_would_mangle_is_refused(name: str) -> None:
    with pytest.raises(BackupError, match="Set name to"):
        naming.check_name(name)


def test_the_default_name_is_the_database_s_and_is_never_mangled() -> None:
    assert naming.default_name("workon") == "workon"
    with pytest.raises(BackupError, match=r"The database name 'Häuser' cannot be used.*Set name to"):
        naming.default_name("Häuser")


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [(None, ""), ("", ""), ("/", ""), ("a", "a/"), ("/a/", "a/"), ("//a/b//", "a/b/"), ("Ünï côde", "Ünï côde/"), ("a.b", "a.b/"), ("...", ".../")],
)
def test_a_prefix_ends_with_one_slash_and_begins_with_none(prefix: str | None, expected: str) -> None:
    assert naming.normalize_prefix(prefix) == expected
    assert naming.normalize_prefix(naming.normalize_prefix(prefix)) == expected


@pytest.mark.parametrize("prefix", [".", "..", "../etc", "a/../b", "a/./b", "a//b", "a\nb", "a\0", "a/.."])
def test_a_prefix_that_leads_elsewhere_is_refused(prefix: str) -> None:
    with pytest.raises(BackupError, match="Set prefix to words"):
        naming.normalize_prefix(prefix)


@pytest.mark.parametrize("started", [STARTED.replace(tzinfo=None), STARTED.astimezone(dt.timezone(dt.timedelta(hours=1)))], ids=["naive", "another zone"])
def test_a_key_is_made_of_utc_alone(started: dt.datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        naming.archive_key("", "workon", started)


def test_what_lies_beside_an_archive() -> None:
    assert naming.archive_key("p", "workon", STARTED) == "p/workon_2026-01-08_103000.dump"
    assert naming.manifest_key("p/workon_2026-01-08_103000.dump") == "p/workon_2026-01-08_103000.dump.manifest.json"
    assert naming.globals_key("p/workon_2026-01-08_103000.dump") == "p/workon_2026-01-08_103000.dump.globals.sql"


@pytest.mark.parametrize(
    "base_name",
    [
        "workon.dump",
        "workon_2026-01-08.dump",
        "workon_2026-01-08_1030.dump",
        "workon_2026-02-30_103000.dump",
        "workon_2026-13-01_103000.dump",
        "workon_2026-01-08_256000.dump",
        "workon_2026-01-08_103000.sql",
        "workon_2026-01-08_103000.dump.manifest.json",
        "workon_2026-01-08_103000.dump\n",
        "workon_२०२६-01-08_103000.dump",
        "workon_2026-01-08_1२3४5६.dump",
        "_2026-01-08_103000.dump",
        "2026-01-08_103000.dump",
        ".workon_2026-01-08_103000.dump",
        "work on_2026-01-08_103000.dump",
        "xworkon_2026-01-08_103000dump",
        "",
    ],
)
def test_what_is_not_exactly_one_of_our_names_is_not_ours(base_name: str) -> None:
    assert naming.parse_archive_name(base_name) is None


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("deeper/workon_2026-01-08_103000.dump", ""),
        ("a/deeper/workon_2026-01-08_103000.dump", "a"),
        ("workon_2026-01-08_103000.dump", "a"),
        ("ab/workon_2026-01-08_103000.dump", "a"),
        ("a", "a"),
    ],
)
def test_only_keys_directly_under_the_prefix_are_ours(key: str, prefix: str) -> None:
    assert naming.parse_archive_key(key, prefix) is None
