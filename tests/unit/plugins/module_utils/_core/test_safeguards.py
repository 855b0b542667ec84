# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a restore is said in a sentence with the option that would change it, and nothing else is refused."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import safeguards
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, RestoreMark
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_target import Target
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.safeguards import Permissions
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest, server
from ansible_collections.workon.postgresql_backup.tests.unit.targets import absent, target

MARK = RestoreMark("3f2a", "live", "rolled_back", "workon", 16384, "4f9d", "2026-01-08T10:30:00.000Z")

STAGING, PRODUCTION = Permissions("staging"), Permissions("production", allow_production=True)


def tagged(environment: str | None, **changes: t.Any) -> Target:
    return target(comment=DatabaseComment(environment=environment), **changes)


@pytest.mark.parametrize(
    ("permissions", "found"),
    [
        (STAGING, tagged("staging")),
        (STAGING, absent()),
        (PRODUCTION, tagged("production")),
        # Who says production of a database without a tag says what it counts as.
        (PRODUCTION, tagged(None)),
        (Permissions("live", allow_production=True), tagged("live")),
    ],
)
def test_the_environment_that_was_meant(permissions: Permissions, found: Target) -> None:
    assert safeguards.environment_refusals(permissions, found) == []


@pytest.mark.parametrize(
    ("permissions", "found", "sentences"),
    [
        (
            STAGING,
            tagged(None),
            ["carries no environment tag and therefore counts as production. If it is staging, say so in the database", "is production. Set"],
        ),
        (STAGING, tagged("dev"), ["at db.example.com:5432 is tagged dev. Check the target; if it is right, set environment to dev."]),
        (STAGING, tagged("production"), ["is tagged production.", "is production. Set allow_production to true"]),
        (Permissions("staging", allow_production=True), tagged("production"), ["is tagged production."]),
        (Permissions("production"), tagged("production"), ["The database workon is production. Set allow_production to true if it is meant to be replaced."]),
        (Permissions("production"), tagged("staging"), ["is tagged staging.", "is production. Set"]),
        (Permissions("prod-eu"), absent(), ["is production. Set allow_production"]),
        (
            STAGING,
            target(comment=DatabaseComment("x", problem="its tag cannot be read")),
            ["counts as production, because its tag cannot be read.", "is production."],
        ),
    ],
)
def test_another_environment_and_unpermitted_production_are_refused(permissions: Permissions, found: Target, sentences: list[str]) -> None:
    refusals = safeguards.environment_refusals(permissions, found)
    assert len(refusals) == len(sentences)
    for sentence, refusal in zip(sentences, refusals, strict=True):
        assert sentence in refusal


PHRASE = "restore 4f9d into workon@12345678"


@pytest.mark.parametrize(
    ("environment", "confirm", "planning", "part"),
    [
        ("staging", None, False, None),
        ("staging", "anything", False, None),
        ("production", PHRASE, False, None),
        ("production", PHRASE, True, None),
        ("production", None, True, None),
        ("production", "", True, None),
        ("production", None, False, "is production, and confirm is not set. Run in check mode"),
        ("production", "", False, "confirm is not set"),
        ("production", PHRASE.upper(), False, "which is not the phrase for this backup and the database workon as it is now"),
        ("production", PHRASE + " ", False, "is not the phrase"),
        ("production", "wrong", True, "confirm is 'wrong', which is not the phrase"),
    ],
)
def test_production_asks_for_the_phrase_of_this_very_plan(environment: str, confirm: str | None, planning: bool, part: str | None) -> None:
    refusal = safeguards.confirmation_refusal(Permissions(environment, confirm=confirm), target(), PHRASE, planning=planning)
    assert (part in str(refusal)) if part else refusal is None


@pytest.mark.parametrize(
    "changed",
    [
        {"oid": 16385},
        {"database": "workon2"},
        {"server": server(port=5433)},
        {"server": server(address="db2.example.com")},
        {"server": server(system_identifier="7")},
        {"comment": DatabaseComment(environment="production", restore=MARK)},
        {"comment": DatabaseComment(environment="production", restore=dataclasses.replace(MARK, since="2026-01-08T10:31:00.000Z"))},
    ],
)
def test_a_phrase_opens_one_door_once(changed: dict[str, t.Any]) -> None:
    def phrase(backup_id: str, into: Target) -> str:
        return safeguards.restore_phrase(backup_id, into.database, into.fingerprint)

    wanted = phrase("4f9d", target())
    assert wanted.startswith("restore 4f9d into workon@")
    assert phrase("4f9d", target(**changed)) != wanted
    assert target(**changed).inner_fingerprint != target().inner_fingerprint
    assert phrase("5f9d", target()) != wanted
    assert safeguards.rollback_phrase("4f9d", target()) != wanted
    # What changes from day to day is no part of it.
    daily = target(size=9, owner="other", free_disk=1)
    assert phrase("4f9d", daily) == wanted
    assert daily.inner_fingerprint == target().inner_fingerprint


def test_a_restore_within_a_database_makes_another_of_it() -> None:
    assert target(newest_table=16500).inner_fingerprint != target(newest_table=16400).inner_fingerprint
    assert target(schemas="2200:750").inner_fingerprint != target(schemas="2200:749").inner_fingerprint


@pytest.mark.parametrize(
    "pattern",
    [
        "db.example.com",
        "DB.example.com",
        "*.example.com",
        "db.example.com:5432",
        "*:5432",
        "db.example.com/workon",
        "*/work*",
        "db.example.com:5432/workon",
        "*",
    ],
)
def test_a_protected_host_is_refused_whatever_else_is_permitted(pattern: str) -> None:
    permissions = dataclasses.replace(PRODUCTION, protected_hosts=("other", pattern), allow_cross_environment=True, same_database=True)
    refusal = safeguards.protected_host_refusal(permissions, target())
    assert f"The host db.example.com is protected: protected_hosts has the pattern {pattern}." in str(refusal)


@pytest.mark.parametrize("pattern", ["example.com", "db", "db.example.com:5433", "db.example.com/other", "db-example.com", ""])
def test_another_host_is_not_protected(pattern: str) -> None:
    assert safeguards.protected_host_refusal(dataclasses.replace(STAGING, protected_hosts=(pattern,)), target()) is None


def test_each_host_of_a_url_and_the_one_that_answered_can_be_protected() -> None:
    found = target(hosts=("a.example.com", "b.example.com"))
    for pattern in ("a.*", "b.*", "db.*"):
        assert safeguards.protected_host_refusal(dataclasses.replace(STAGING, protected_hosts=(pattern,)), found)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (target(database="ü" * 32), "is longer than 63 bytes, and PostgreSQL would cut it without a word. Set database to a shorter one."),
        (target(server=server(in_recovery=True)), "The server at db.example.com:5432 is a standby, which takes no writes."),
        (target(template=True), "is a template for new databases."),
        (target(database="My db", allows_connections=False), 'Open it (ALTER DATABASE "My db" ALLOW_CONNECTIONS true)'),
    ],
)
def test_what_cannot_be_restored_into(found: Target, sentence: str) -> None:
    (refusal,) = safeguards.condition_refusals(found)
    assert sentence in refusal


@pytest.mark.parametrize("found", [target(), absent(), target(database="ü" * 31 + "x")])
def test_what_can_be_restored_into(found: Target) -> None:
    assert safeguards.condition_refusals(found) == []


def test_what_replication_hangs_on_is_not_swapped_away_unsaid() -> None:
    found = target(replication_slots=("cdc", "cdc2"), subscriptions=("sub",))
    refusal = str(safeguards.replication_refusal(STAGING, found))
    assert "has 2 replication slots: cdc, cdc2 and subscription sub, which stay with the replaced database" in refusal
    assert "Set acknowledge_replication to true" in refusal
    assert safeguards.replication_refusal(dataclasses.replace(STAGING, acknowledge_replication=True), found) is None
    assert safeguards.replication_refusal(STAGING, target()) is None


def test_prepared_transactions_are_refused() -> None:
    assert "has prepared transaction tx1, and no database with such can be renamed." in str(safeguards.prepared_refusal(target(prepared_transactions=("tx1",))))
    assert safeguards.prepared_refusal(target()) is None


SOURCE = {"database": "workon", "host": "db.example.com", "port": 5432, "system_identifier": "42", "server_version": "16.4", "server_version_num": 160004}


@pytest.mark.parametrize(
    ("changes", "identifier", "same"),
    [
        ({}, "42", True),
        # By another address, or in a copy of the disk: either alone may be the database itself.
        ({"host": "10.0.0.1", "port": 6000}, "42", True),
        ({}, "43", True),
        ({}, None, True),
        ({"system_identifier": None}, None, True),
        ({"database": "other"}, "42", False),
        ({"host": "10.0.0.1"}, "43", False),
        ({"port": 5433}, None, False),
        ({"host": "10.0.0.1", "system_identifier": None}, None, False),
    ],
)
def test_whether_a_backup_may_be_of_the_target_itself(changes: dict[str, t.Any], identifier: str | None, same: bool) -> None:
    found = target(server=server(system_identifier=identifier))
    assert safeguards.is_same_database(manifest(source={**SOURCE, **changes}), found) is same


@pytest.mark.parametrize(
    ("permissions", "found", "changes", "sentences"),
    [
        (Permissions("staging", same_database=True), target(), {}, []),
        (STAGING, target(database="copy"), {}, []),
        (STAGING, absent(), {}, []),
        (
            STAGING,
            target(),
            {},
            ["is of the target itself (database workon at db.example.com:5432). If going back in time is what is meant, set same_database"],
        ),
        (
            Permissions("staging", same_database=True),
            target(database="copy"),
            {},
            ["same_database is true, but the backup workon_2026-01-08_103000.dump is of anoth"],
        ),
        (PRODUCTION, target(database="copy"), {"environment": "production"}, []),
        (
            PRODUCTION,
            target(database="copy"),
            {"environment": "staging"},
            ["is of the environment staging, and the target is production. Set allow_cross_environme"],
        ),
        (PRODUCTION, target(database="copy"), {"environment": None}, ["is of the environment (none recorded), and"]),
        (dataclasses.replace(PRODUCTION, allow_cross_environment=True), target(database="copy"), {"environment": "staging"}, []),
        (STAGING, target(database="copy"), {"environment": "production"}, []),
        (PRODUCTION, target(), {"environment": "staging"}, ["is of the target itself", "is of the environment staging"]),
        (
            STAGING,
            target(database="copy", server=server(version_num=150000, version="15.0")),
            {},
            ["is of PostgreSQL 16.4, and the target runs the older 15.0"],
        ),
        (Permissions("staging", allow_older_server=True), target(database="copy", server=server(version_num=150000)), {}, []),
        (STAGING, target(database="copy", server=server(version_num=160001)), {}, []),
    ],
)
def test_where_a_backup_is_from(permissions: Permissions, found: Target, changes: dict[str, t.Any], sentences: list[str]) -> None:
    refusals = safeguards.source_refusals(permissions, found, manifest(**{"source": SOURCE, **changes}))
    assert len(refusals) == len(sentences), refusals
    for sentence, refusal in zip(sentences, refusals, strict=True):
        assert sentence in refusal


def test_of_an_archive_without_a_manifest_nobody_knows_where_it_is_from() -> None:
    assert safeguards.source_refusals(STAGING, target(), None) == []


@pytest.mark.parametrize(
    ("free", "needed", "adds", "refused"),
    [
        (1099, 1000, True, True),
        (1100, 1000, True, False),
        (0, 1000, False, False),
        (None, 1000, True, False),
        (1, None, True, False),
        (0, 1, True, True),
    ],
)
def test_a_second_copy_needs_room(free: int | None, needed: int | None, adds: bool, refused: bool) -> None:
    refusal = safeguards.disk_refusal(target(free_disk=free), needed, adds_a_copy=adds)
    assert bool(refusal) is refused
    assert not refused or "set available_disk to the bytes that there are." in str(refusal)


@pytest.mark.parametrize(
    ("free", "needed", "adds", "said"),
    [
        (None, 1000, True, "needs about 1.1 KiB (1100 bytes) beside the live database"),
        (None, None, True, "needs room beside the live database"),
        (None, 1000, False, None),
        (0, 1000, True, None),
    ],
)
def test_a_disk_that_nobody_knows_is_warned_about(free: int | None, needed: int | None, adds: bool, said: str | None) -> None:
    warning = safeguards.disk_warning(target(free_disk=free), needed, adds_a_copy=adds)
    assert (said is None) == (warning is None)
    assert said is None or (said in str(warning) and "set available_disk to the bytes that there are" in str(warning))


@pytest.mark.parametrize(("jobs", "free", "refused"), [(None, 0, False), (4, 4, False), (5, 4, True), (1, 0, True)])
def test_more_connections_than_there_are_are_refused(jobs: int | None, free: int, refused: bool) -> None:
    refusal = safeguards.jobs_refusal(target(), jobs, free)
    assert bool(refusal) is refused
    assert not refused or f"jobs is {jobs}, and the server at" in str(refusal)


@pytest.mark.parametrize(("word", "refused"), [(None, False), ("", False), ("i_accept_data_loss", False), ("yes", True), ("I_ACCEPT_DATA_LOSS", True)])
def test_only_the_whole_sentence_leaves_out_the_safety_backup(word: str | None, refused: bool) -> None:
    permissions = dataclasses.replace(STAGING, skip_safety_backup=word)
    assert bool(safeguards.safety_refusal(permissions, target())) is refused
    assert safeguards.needs_safety_backup(permissions, target())[0] is (word != "i_accept_data_loss")


@pytest.mark.parametrize(
    ("found", "needed", "why"),
    [
        (target(), True, "the live database is saved first"),
        (absent(), False, "the database does not exist yet, so there is nothing to lose"),
        (target(empty=True), False, "the database holds nothing, so there is nothing to lose"),
    ],
)
def test_a_safety_backup_is_taken_where_there_is_something_to_lose(found: Target, needed: bool, why: str) -> None:
    assert safeguards.needs_safety_backup(STAGING, found) == (needed, why)


RECORD = {"method": "record", "recipe": 1}


@pytest.mark.parametrize(
    ("fingerprint", "encoding", "wanted", "recipe", "major", "part"),
    [
        (RECORD, "UTF8", "content", 1, 16, None),
        (RECORD, None, "content", 1, 14, None),
        (RECORD, "UTF8", "content", 2, 16, "were made by another recipe (1) than this software's (2)"),
        (RECORD, "UTF8", "content", 1, 13, "need PostgreSQL 14 or newer, and the target runs 13."),
        ({"method": "text", "recipe": 1}, "UTF8", "content", 1, 13, None),
        (RECORD, "LATIN1", "content", 1, 16, "The target's encoding is LATIN1 and the backup's is UTF8"),
        (RECORD, "LATIN1", "counts", 2, 13, None),
        (RECORD, "LATIN1", "none", 2, 13, None),
        ({"method": "counts", "recipe": 1}, "LATIN1", "content", 2, 13, None),
        ({"method": "none"}, "LATIN1", "content", 2, 13, None),
    ],
)
def test_a_proof_that_could_not_be_made_is_refused_before_the_load(
    fingerprint: dict[str, t.Any], encoding: str | None, wanted: str, recipe: int, major: int, part: str | None
) -> None:
    found = manifest(fingerprint=fingerprint, database={"encoding": "UTF8"})
    refusal = safeguards.content_refusal(found, encoding, wanted, recipe, major)
    assert (part in str(refusal) and "set fingerprint to counts." in str(refusal)) if part else refusal is None


def test_without_a_manifest_there_is_no_proof_to_be_refused() -> None:
    assert safeguards.content_refusal(None, "LATIN1", "content", 2, 13) is None


def test_what_the_server_does_not_have() -> None:
    assert safeguards.missing_refusals(extensions=(), tablespaces=(), roles=()) == []
    extensions, tablespaces, roles = safeguards.missing_refusals(extensions=("postgis", "vector"), tablespaces=("fast",), roles=("app",))
    assert "needs 2 extensions: postgis, vector, which the server does not have." in extensions
    assert "set exclude_extensions" in extensions
    assert "names tablespace fast, which the server does not have or this role may not use." in tablespaces
    assert "set no_tablespaces to true" in tablespaces
    assert "name role app, which the server does not have. No option puts another in its place there. Create it" in roles


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0.9, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (3600, "1 h 0 min"), (26999, "7 h 29 min"), (90000, "1 d 1 h")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert safeguards.human_duration(seconds) == text
