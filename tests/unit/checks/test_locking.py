# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lock file serves several Pythons."""

from __future__ import annotations

from checks.locking import merge


def test_what_is_the_same_everywhere_has_no_marker() -> None:
    assert merge({"3.11": {"six": "1.17.0"}, "3.12": {"six": "1.17.0"}}) == ["six==1.17.0"]


def test_what_differs_is_marked_and_the_newest_marker_is_open_upwards() -> None:
    resolved = {"3.9": {"core": "2.15"}, "3.11": {"core": "2.19"}, "3.12": {"core": "2.21"}}
    assert merge(resolved) == [
        'core==2.15 ; python_version == "3.9"',
        'core==2.19 ; python_version == "3.11"',
        'core==2.21 ; python_version >= "3.12"',
    ]


def test_what_only_some_need_is_installed_only_there() -> None:
    assert merge({"3.11": {"backport": "1"}, "3.12": {}}) == ['backport==1 ; python_version == "3.11"']
