# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases as a session of another one sees them: who keeps their names from being exchanged, and comments and names that are in another encoding."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import DatabaseComment, printable
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import DatabaseError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import database_facts, databases, privilege_facts, target_facts
from harness.postgres import PostgresServer, installation
from harness.waiting import NotYet, wait_for
from system.scenes import MAJORS, PASSWORD, Database, quoted

# Each page of it costs autovacuum a pause of at least 0.1 s, so that it stays for as long as a test may take.
_SLOW_TO_VACUUM = """
CREATE TABLE slow (id int) WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, fillfactor = 10);
INSERT INTO slow SELECT generate_series(1, 100000);
UPDATE slow SET id = id + 1;
"""


@pytest.fixture(params=MAJORS)
def being_vacuumed(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that autovacuum is at work in, on a server of its own."""
    with PostgresServer(installation(request.param), settings={"fsync": "off", "autovacuum_naptime": "1s"}, password=PASSWORD) as server:
        database = Database(server, "vacuumed").create()
        database.execute(_SLOW_TO_VACUUM)
        yield database


def test_autovacuum_is_nobody_who_has_to_leave(being_vacuumed: Database) -> None:
    owner = being_vacuumed.role("CREATEDB")
    oid = int(being_vacuumed.value("SELECT oid::int8 FROM pg_database WHERE datname = current_database()"))
    at_work = "backend_type = 'autovacuum worker' AND query LIKE 'autovacuum: VACUUM%slow%'"
    worker = being_vacuumed.wait_for_session(at_work)
    with Database(being_vacuumed.server, "postgres").session(owner) as session, being_vacuumed.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET application_name = 'a superuser'")

        def alone() -> None:
            # The last connection that looked for the worker may still be leaving.
            if (found := databases.sessions_of(session, [oid])) != ["a superuser"]:
                raise NotYet(str(found))

        wait_for(alone, "Nobody but a superuser is there to see")
        (refused,) = databases.end_sessions(session, [oid])
        assert "(role postgres, a superuser, from" in refused
        assert being_vacuumed.wait_for_session(at_work) == worker


_TAGGED = DatabaseComment(environment="staging")


@pytest.fixture
def latin(pg: PostgresServer, make_database: Callable[..., Database]) -> Database:
    """A database in LATIN1 whose comment was written from a session of its own; in UTF8 its bytes are no text, and WIN1252 has no letter for one of them."""
    return commented(make_database(pg, "", "ENCODING 'LATIN1'", "LOCALE 'C'"), "Donn\xe9es 'a\\b' \x81 [%s]")


def commented(database: Database, text: str) -> Database:
    """Write a database's comment from a session of its own."""
    database.execute(f"COMMENT ON DATABASE {quoted(database.name)} IS '{text.replace(chr(39), chr(39) * 2)}'")
    return database


def stored_comment(database: Database) -> bytes:
    """Return the bytes of a database's comment."""
    query = "SELECT textsend(shobj_description(oid, 'pg_database')) FROM pg_database WHERE datname = %s"
    return bytes(Database(database.server, "template1").value(query, database.name))


@pytest.fixture(params=["UTF8", "SQL_ASCII", "LATIN1", "WIN1252", "EUC_JP"])
def seen_from(request: pytest.FixtureRequest, pg: PostgresServer, make_database: Callable[..., Database]) -> Database:
    """A database of some encoding, whose sessions look at others."""
    return make_database(pg, "", f"ENCODING '{request.param}'", "LOCALE 'C'")


@pytest.mark.every_major
def test_a_comment_in_another_encoding_is_read_and_keeps_its_bytes_when_ours_is_added_changed_and_taken_away(latin: Database, seen_from: Database) -> None:
    words = stored_comment(latin)
    with seen_from.session() as session:
        for comment in (_TAGGED, DatabaseComment(environment="dev"), DatabaseComment()):
            found = databases.find_database(session, latin.name)
            assert found is not None
            databases.write_comment(session, latin.name, DatabaseComment(found.comment.text, comment.environment))
            assert stored_comment(latin) == words + (b"\n" + comment.ours.encode() if comment.ours else b"")
            assert latin.name in [listed.name for listed in databases.list_databases(session)]


def test_words_on_both_sides_of_ours_stay_together(latin: Database, seen_from: Database) -> None:
    commented(latin, f"avant \xe9\n{_TAGGED.ours}\napr\xe8s")
    with seen_from.session() as session:
        found = databases.find_database(session, latin.name)
        assert found is not None
        assert found.comment.environment == "staging"
        if session.server_encoding == "EUC_JP":
            # There the letter before the line's end would be one of two bytes.
            with pytest.raises(DatabaseError, match="holds bytes that are no text in the encoding of this one, and could not be kept"):
                databases.write_comment(session, latin.name, found.comment)
            return
        databases.write_comment(session, latin.name, found.comment)
    assert stored_comment(latin) == "avant \xe9\napr\xe8s\n".encode("latin-1") + _TAGGED.ours.encode()


def test_a_comment_goes_along_to_another_database(latin: Database, database: Database) -> None:
    with database.session() as session:
        found = databases.find_database(session, latin.name)
        assert found is not None
        databases.write_comment(session, database.name, found.comment)
        assert stored_comment(database) == stored_comment(latin)
        assert database_facts.read_database(session)["comment"] == printable(found.comment.text) != found.comment.text


def test_a_comment_in_the_session_s_own_encoding_needs_no_language(database: Database) -> None:
    database.execute("DROP EXTENSION plpgsql")
    commented(database, "donn\xe9es")
    with database.session() as session:
        databases.write_comment(session, database.name, DatabaseComment("donn\xe9es", "staging"))
    assert stored_comment(database) == f"donn\xe9es\n{_TAGGED.ours}".encode()


def test_words_that_no_comment_has_are_written_as_a_session_writes_them_or_refused_in_a_sentence(database: Database) -> None:
    with database.session() as session:
        databases.write_comment(session, database.name, DatabaseComment("donn\xe9es"))
        assert stored_comment(database) == "donn\xe9es".encode()
        with pytest.raises(DatabaseError, match="is not in the encoding that it should be in"):
            databases.write_comment(session, database.name, DatabaseComment("donn\udce9es"))


def test_names_in_another_encoding_are_no_reason_to_fail(latin: Database, seen_from: Database) -> None:
    role, other = f"r\xf4le {secrets.token_hex(4)}", f"donn\xe9es {secrets.token_hex(4)}"
    latin.execute(f'CREATE ROLE "{role}"', f'CREATE DATABASE "{other}" TEMPLATE template0 OWNER "{role}"')
    latin.execute(f'GRANT CONNECT ON DATABASE {quoted(latin.name)} TO "{role}"', f'ALTER ROLE "{role}" IN DATABASE {quoted(latin.name)} SET work_mem = 1234')
    try:
        with seen_from.session() as session:
            assert len([found for found in databases.list_databases(session) if found.name.endswith(other[-8:])]) == 1
            assert len([name for name in target_facts.read_role_names(session) if name.endswith(role[-8:])]) == 1
            assert privilege_facts.settable_roles(session) is None
        with latin.session() as session:
            properties = database_facts.read_database(session)
            assert properties["settings"] == [{"role": role, "settings": ["work_mem=1234"]}]
            assert [item for item in properties["acl"] if item.startswith(f'"{role}"=')]
            assert role in database_facts.read_roles(session)
    finally:
        latin.execute(f'DROP DATABASE "{other}"', f'DROP OWNED BY "{role}"', f'DROP ROLE "{role}"')


def test_the_server_notices_clients_that_are_gone(database: Database) -> None:
    with database.session() as session:
        found = session.rows("SELECT name, setting FROM pg_settings WHERE name LIKE 'tcp_keepalives%%' ORDER BY name", {})
    assert found == [("tcp_keepalives_count", "6"), ("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10")]
