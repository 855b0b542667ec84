# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_environment: the tag is written by whoever owns the database, everything else in the comment stays, and no guard is disarmed unasked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner
from harness.pooler import PgBouncer, find_pgbouncer
from harness.postgres import PostgresServer
from system.scenes import Database, quoted

STAGING = '[workon.postgresql_backup {"environment": "staging"}]'
PRODUCTION = '[workon.postgresql_backup {"environment": "production"}]'
MARK = (
    '"restore": {"backup": "b-1", "database": "workon", "options": "", "partner_oid": 0, "replaced": "", "restore_id": "3f2a", "role": "live", '
    '"since": "2026-01-08T10:30:00.000Z", "state": "done", "target_oid": 16384}'
)
UNREADABLE = '[workon.postgresql_backup {"environment": "Production"}]'

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def tag(ansible: AnsibleRunner) -> Run:
    """Run pg_environment on a database and return its result."""

    def run(database: Database, environment: str | None = None, *, user: str | None = None, check: bool = False, **options: Any) -> dict[str, Any]:
        return ansible.run("pg_environment", check=check, **_options(database, user, environment), **options).require_success()

    return run


@pytest.fixture
def refused(ansible: AnsibleRunner) -> Callable[..., str]:
    """Run pg_environment, require that it fails with a sentence and leaves the comment as it was; return the sentence."""

    def run(database: Database, environment: str | None = None, *, user: str | None = None, check: bool = False, **options: Any) -> str:
        before = comment(database)
        outcome = ansible.run("pg_environment", check=check, **_options(database, user, environment), **options)
        assert outcome.failed, outcome.message
        assert re.search(r"\w [^.]+.*\.$", outcome.message, re.DOTALL), outcome.message
        assert "did not expect" not in outcome.message, outcome.result.get("exception")
        assert comment(database) == before
        assert not outcome.result.get("changed")
        return outcome.message

    return run


def _options(database: Database, user: str | None, environment: str | None) -> dict[str, Any]:
    """Return the options that mean this database; this module needs no client programs."""
    options = {name: value for name, value in database.options(user).items() if name != "pg_bin_dir"}
    return options if environment is None else {**options, "environment": environment}


def comment(database: Database) -> str | None:
    """Return the comment of a database, asked of the server itself."""
    found: str | None = database.value("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()")
    return found


def set_comment(database: Database, text: str) -> None:
    """Write a comment as a person would."""
    with database.connected() as connection, connection.cursor() as cursor:
        cursor.execute(f"COMMENT ON DATABASE {quoted(database.name).replace('%', '%%')} IS %s", [text])


def give_to(database: Database, role: str) -> None:
    """Make a role the database's owner."""
    database.execute(f"ALTER DATABASE {quoted(database.name)} OWNER TO {role}")


@pytest.mark.every_major
def test_the_life_of_a_tag_in_the_hands_of_a_plain_owner(tag: Run, database: Database) -> None:
    owner = database.role("NOSUPERUSER")
    give_to(database, owner)
    set_comment(database, 'The shop\'s database\n100 % \\ "true"')
    words = comment(database)

    first = tag(database, "staging", user=owner)
    assert first["changed"] is True
    assert (first["environment"], first["previous_environment"], first["counts_as_production"]) == ("staging", None, False)
    assert first["database"] == database.name
    assert comment(database) == first["comment"] == f"{words}\n{STAGING}"
    assert first["diff"] == {**first["diff"], "before": f"{words}\n", "after": f"{words}\n{STAGING}\n"}

    again = tag(database, "staging", user=owner)
    assert again["changed"] is False
    assert again["diff"]["before"] == again["diff"]["after"] == f"{words}\n{STAGING}\n"

    assert tag(database, "production", user=owner)["previous_environment"] == "staging"
    assert comment(database) == f"{words}\n{PRODUCTION}"

    assert tag(database, "staging", user=owner, allow_production=True)["changed"] is True
    assert tag(database, user=owner, state="absent")["changed"] is True
    assert comment(database) == words
    gone = tag(database, user=owner, state="absent")
    assert gone["changed"] is False
    assert (gone["environment"], gone["counts_as_production"]) == (None, True)


@pytest.mark.every_major
def test_check_mode_says_all_and_writes_nothing(tag: Run, database: Database) -> None:
    set_comment(database, "words")
    version = "SELECT xmin::text FROM pg_shdescription WHERE objoid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    before = database.value(version)
    found = tag(database, "staging", check=True)
    assert found["changed"] is True
    assert "would be tagged staging" in found["msg"]
    assert found["diff"]["after"] == f"words\n{STAGING}\n"
    assert comment(database) == "words"
    tag(database, "production", check=True)
    assert database.value(version) == before


@pytest.mark.every_major
def test_who_does_not_own_the_database_is_told_who_does(tag: Run, refused: Callable[..., str], database: Database) -> None:
    owner, stranger = database.role(), database.role()
    give_to(database, owner)
    for check in (False, True):
        message = refused(database, "staging", user=stranger, check=check)
        assert f"The role {stranger} may not change the comment of the database {database.name}, which belongs to the role {owner}." in message
        assert f"GRANT {owner} TO {stranger}" in message
    # What is there already needs no right to write.
    assert tag(database, user=stranger, state="absent")["changed"] is False
    database.execute(f"GRANT {owner} TO {stranger}")
    assert tag(database, "staging", user=stranger)["changed"] is True


NAMES = ['Quoted "twice" it\'s', "100 %s {x} %(comment)s", "ü" * 31 + "x", ' "', "Üpper-case; DROP"]


@pytest.mark.every_major
@pytest.mark.parametrize("name", NAMES)
def test_a_database_s_name_may_be_anything(tag: Run, make_database: Callable[..., Database], pg: PostgresServer, name: str) -> None:
    database = make_database(pg, name)
    assert len(name.encode()) <= 63
    assert tag(database, "staging")["database"] == name
    assert comment(database) == STAGING
    assert tag(database, state="absent")["changed"] is True
    assert comment(database) is None


def test_a_restore_s_mark_and_words_on_both_sides_are_kept(tag: Run, database: Database) -> None:
    set_comment(database, f'before\n[workon.postgresql_backup {{"environment": "staging", {MARK}}}]\nafter')
    found = tag(database, "dev")
    assert comment(database) == f'before\nafter\n[workon.postgresql_backup {{"environment": "dev", {MARK}}}]'
    assert found["restore"]["restore_id"] == "3f2a"
    tag(database, state="absent")
    assert comment(database) == f"before\nafter\n[workon.postgresql_backup {{{MARK}}}]"


def test_production_s_guard_is_not_disarmed_unasked(tag: Run, refused: Callable[..., str], database: Database) -> None:
    tag(database, "production")
    assert "Check the database; if it is no longer production, set allow_production to true." in refused(database, "staging")
    assert "allow_production" in refused(database, state="absent")
    assert "tagged production, not staging" in refused(database, "staging", state="absent", allow_production=True)
    assert tag(database, state="absent", allow_production=True)["counts_as_production"] is True


def test_a_refusal_tells_the_tag_that_is_there(ansible: AnsibleRunner, tag: Run, database: Database) -> None:
    stranger = database.role()
    tag(database, "live")
    outcome = ansible.run("pg_environment", **_options(database, stranger, "staging"))
    assert outcome.failed
    assert (outcome.result["database"], outcome.result["environment"]) == (database.name, "live")
    assert len(outcome.result["refusals"]) == 2


def test_a_tag_that_cannot_be_read(tag: Run, refused: Callable[..., str], database: Database) -> None:
    set_comment(database, f"words\n{UNREADABLE}\nmore")
    for options in ({"environment": "staging"}, {"environment": "production"}, {"state": "absent"}):
        assert "set replace_unreadable to true" in refused(database, **options)
    found = tag(database, "staging", replace_unreadable=True)
    assert found["diff"]["before"] == f"words\n{UNREADABLE}\nmore\n"
    assert comment(database) == f"words\nmore\n{STAGING}"


@pytest.mark.parametrize("environment", ["Production", "a b", "", "x" * 41, "prod'; --"])
def test_what_is_no_name_is_refused(refused: Callable[..., str], database: Database, environment: str) -> None:
    assert "Set environment to a name such as production or staging." in refused(database, environment)


def test_a_tag_to_set_must_be_named(ansible: AnsibleRunner, database: Database) -> None:
    outcome = ansible.run("pg_environment", **_options(database, None, None))
    assert outcome.failed
    assert "state is present but all of the following are missing: environment" in outcome.message


@pytest.mark.parametrize("settings", ["default_transaction_read_only = on", "default_transaction_isolation = 'serializable'"])
def test_settings_of_the_role_stop_nothing(tag: Run, database: Database, settings: str) -> None:
    owner = database.role()
    give_to(database, owner)
    database.execute(f"ALTER ROLE {owner} SET {settings}")
    assert tag(database, "staging", user=owner)["changed"] is True
    assert comment(database) == STAGING


def test_nobody_s_operators_run_as_us(tag: Run, database: Database) -> None:
    """Where pg_catalog is not the first of the search path, somebody's operator comes before PostgreSQL's own."""
    database.execute(
        "CREATE TABLE hit (a int)",
        "CREATE FUNCTION trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.hit VALUES (1); RETURN true; END $$",
        "CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap)",
        f"ALTER DATABASE {database.name} SET search_path = public, pg_catalog",
    )
    tag(database, "staging")
    assert comment(database) == STAGING
    assert database.value("SELECT count(*) FROM hit") == 0


@pytest.mark.slow
def test_a_comment_that_is_being_written_by_another_session(refused: Callable[..., str], database: Database) -> None:
    with database.connected() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"COMMENT ON DATABASE {database.name} IS 'not committed yet'")
        message = refused(database, "staging")
        cursor.execute("ROLLBACK")
    assert f"The comment of the database {database.name} could not be written within 5 seconds" in message
    assert "Run again when that is done." in message


@pytest.mark.slow
def test_a_standby_has_its_primary_s_tag(ansible: AnsibleRunner, tag: Run, database: Database) -> None:
    tag(database, "staging")
    with database.server.standby() as standby:
        standby.catch_up()
        replica = Database(standby, database.name)
        found = tag(replica, "staging")
        assert (found["changed"], found["environment"]) == (False, "staging")
        for check in (False, True):
            outcome = ansible.run("pg_environment", check=check, **_options(replica, None, "dev"))
            assert outcome.failed
            assert outcome.message.startswith("The server is a standby, which takes no writes. Set database_url")


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_does_no_harm(ansible: AnsibleRunner, database: Database, mode: Any) -> None:
    if find_pgbouncer() is None:
        pytest.skip("pgbouncer is not here and could not be downloaded by apt.")
    with PgBouncer(database.server, mode) as pooler:
        options = {name: value for name, value in database.login(login_port=pooler.port).items() if name != "pg_bin_dir"}
        assert ansible.run("pg_environment", **options, environment="staging").require_success()["changed"] is True
    assert comment(database) == STAGING
