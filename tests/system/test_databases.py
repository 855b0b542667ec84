# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps the names of databases from being exchanged, as a role sees it that may see little of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import databases
from harness.postgres import PostgresServer, installation
from harness.waiting import NotYet, wait_for
from system.scenes import MAJORS, PASSWORD, Database

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
