# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts are large enough before the first byte is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sizing import (
    DEFAULT_PART_SIZE,
    MAXIMUM_PART_SIZE,
    MAXIMUM_PARTS,
    MIB,
    MINIMUM_PART_SIZE,
    choose_part_size,
    default_jobs,
    human_size,
    largest_archive,
)

GIB = 1024 * MIB
# Twice this is the largest archive that S3's largest parts can hold.
LARGEST_ESTIMATE = MAXIMUM_PART_SIZE * MAXIMUM_PARTS // 2


@given(st.integers(0, LARGEST_ESTIMATE))
def test_twice_the_estimate_always_fits(estimate: int) -> None:
    part_size = choose_part_size(estimate)
    assert largest_archive(part_size) >= 2 * estimate
    assert DEFAULT_PART_SIZE <= part_size <= MAXIMUM_PART_SIZE
    assert part_size % MIB == 0


@given(st.integers(0, LARGEST_ESTIMATE))
def test_a_part_is_no_larger_than_it_must_be(estimate: int) -> None:
    part_size = choose_part_size(estimate)
    assert part_size == DEFAULT_PART_SIZE or largest_archive(part_size - MIB) < 2 * estimate


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (0, 8 * MIB),
        (39 * GIB, 8 * MIB),
        (8 * MIB * MAXIMUM_PARTS // 2, 8 * MIB),
        (8 * MIB * MAXIMUM_PARTS // 2 + 1, 9 * MIB),
        (100 * GIB, 21 * MIB),
        (LARGEST_ESTIMATE * 3, MAXIMUM_PART_SIZE),
    ],
)
def test_the_part_follows_the_estimate_within_what_s3_takes(estimate: int, expected: int) -> None:
    assert choose_part_size(estimate) == expected


@pytest.mark.parametrize("wanted", [MINIMUM_PART_SIZE, 8 * MIB + 1, MAXIMUM_PART_SIZE])
def test_a_wanted_size_is_kept(wanted: int) -> None:
    assert choose_part_size(10**15, wanted) == wanted


@pytest.mark.parametrize("wanted", [0, -1, MINIMUM_PART_SIZE - 1, MAXIMUM_PART_SIZE + 1])
def test_a_wanted_size_that_s3_refuses_is_refused_before(wanted: int) -> None:
    with pytest.raises(BackupError, match=rf"part_size is {wanted} bytes.*Set part_size"):
        choose_part_size(0, wanted)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (8 * MIB, "8.0 MiB"),
        (1.5 * GIB, "1.5 GiB"),
        (3 * 1024 * GIB, "3.0 TiB"),
        (5000 * 1024 * GIB, "5000.0 TiB"),
    ],
)
def test_sizes_for_people(size: float, expected: str) -> None:
    assert human_size(size) == expected


@pytest.mark.parametrize(
    ("processors", "free", "jobs"),
    [(2, 97, 2), (64, 97, 8), (64, 57, 8), (64, 23, 7), (64, 6, 2), (64, 5, 1), (64, 0, 1), (1, 97, 1)],
)
def test_jobs_leave_the_applications_most_of_the_free_connections(processors: int, free: int, jobs: int) -> None:
    assert default_jobs(processors, free) == jobs
