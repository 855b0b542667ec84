# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a backup is dated where another of its name was started in the same second."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.naming import archive_key
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.directory import DirectoryStore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.backup import wait_for_a_free_key

_NOW = dt.datetime(2026, 1, 8, 10, 30, 0, 900_000, dt.timezone.utc)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(str(tmp_path))


def _take(store: DirectoryStore, *seconds: int) -> None:
    for each in seconds:
        store.put(archive_key("", "app", _NOW + dt.timedelta(seconds=each)), b"another", "")


def test_a_backup_is_of_now_if_nothing_speaks_against_it(store: DirectoryStore) -> None:
    _take(store, -1, 1)
    assert wait_for_a_free_key(store, "app", _NOW) == _NOW


def test_it_is_of_the_next_free_second_once_that_has_come(store: DirectoryStore) -> None:
    _take(store, 0)
    began = time.monotonic()
    assert wait_for_a_free_key(store, "app", _NOW) == dt.datetime(2026, 1, 8, 10, 30, 1, 0, dt.timezone.utc)
    assert time.monotonic() - began > 0.09


def test_it_is_refused_where_seconds_on_end_are_taken(store: DirectoryStore) -> None:
    _take(store, 0, 1, 2, 3)
    with pytest.raises(BackupError, match=r"The key .*app_2026-01-08_103003\.dump exists already, .* set another name\."):
        wait_for_a_free_key(store, "app", _NOW)
