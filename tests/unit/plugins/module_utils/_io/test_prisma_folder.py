# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of migrations is read as Prisma reads it, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.prisma_folder import read_migrations


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).mkdir()
    (folder / name / "migration.sql").write_bytes(content)


def test_each_directory_is_a_migration(tmp_path: Path) -> None:
    write(tmp_path, "20260102_more", b"SELECT 2;\r\n")
    write(tmp_path, "20260101_init", b"\xff")
    (tmp_path / "20260101_init" / "README.md").touch()
    (tmp_path / "migration_lock.toml").write_text('provider = "postgresql"')
    found = read_migrations(str(tmp_path))
    assert list(found.items()) == [("20260101_init", b"\xff"), ("20260102_more", b"SELECT 2;\r\n")]


def test_they_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    names = [f"2026010{number}_step" for number in (3, 1, 9, 5, 2, 8, 4, 7, 6)]
    for name in names:
        write(tmp_path, name, b"")
    assert list(read_migrations(str(tmp_path))) == sorted(names)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"The folder of Prisma migrations .*/nowhere cannot be read: No such file or directory\. Set prisma to the folder"):
        read_migrations(str(tmp_path / "nowhere"))


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").touch()
    with pytest.raises(BackupError, match=r"schema\.prisma cannot be read: Not a directory\."):
        read_migrations(str(tmp_path / "schema.prisma"))


def test_a_folder_without_migrations_is_the_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "migration_lock.toml").touch()
    with pytest.raises(BackupError, match="holds no Prisma migration"):
        read_migrations(str(tmp_path))


def test_a_migration_without_its_script(tmp_path: Path) -> None:
    write(tmp_path, "1_init", b"")
    (tmp_path / "2_more").mkdir()
    with pytest.raises(BackupError, match=r"The Prisma migration .*/2_more has no migration\.sql that can be read: No such file or directory\."):
        read_migrations(str(tmp_path))
