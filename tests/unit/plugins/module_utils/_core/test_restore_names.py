# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.restore_names import beside, is_beside

_NAMES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1).filter(lambda name: len(name.encode()) <= 63)
_PARTS = st.sampled_from(["shadow", "previous", "rejected"])


@given(_NAMES, _PARTS, st.uuids())
def test_a_name_fits_and_is_never_the_target_s(name: str, part: str, restore_id: uuid.UUID) -> None:
    found = beside(name, part, str(restore_id))  # type: ignore[arg-type]
    assert len(found.encode()) <= 63
    assert found != name
    assert is_beside(found, name, part)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app", "app__r_0a1b2c3d"),
        ("a" * 63, "a" * 51 + "__r_0a1b2c3d"),
        ("é" * 31, "é" * 25 + "__r_0a1b2c3d"),
    ],
)
def test_a_long_name_is_cut_between_characters(name: str, expected: str) -> None:
    assert beside(name, "shadow", "0a1b2c3d-0000-4000-8000-000000000000") == expected


@pytest.mark.parametrize("candidate", ["app", "app__r_0a1b2c3", "app__r_0A1B2C3D", "app__p_0a1b2c3d", "apq__r_0a1b2c3d", "app__r_0a1b2c3d_"])
def test_a_stranger_s_name_is_not_taken_for_ours(candidate: str) -> None:
    assert not is_beside(candidate, "app", "shadow")


def test_parts_of_one_restore_have_different_names() -> None:
    assert len({beside("a" * 63, part, "0a1b2c3d") for part in ("shadow", "previous", "rejected")}) == 3  # type: ignore[arg-type]
