# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_backup_report on real stores: the page is sound and small at any number of backups, replaced only when it should be, and honest when the store is gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_test_records import keep_record
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest, restore_test
from ansible_collections.workon.postgresql_backup.tests.unit.markup import Page
from checks.tree import linked_tree
from harness.ansible_runner import AnsibleRunner, Outcome
from harness.stores import StoreServer
from system.scenes import Bucket, Folder, Store, opened
from system.shelf import DAY, HOUR, Shelf

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the page goes."""
    folder = tmp_path / "pages"
    folder.mkdir()
    return folder / "backups.html"


@pytest.fixture
def shelf(folder: Folder) -> Shelf:
    return Shelf(folder)


@pytest.fixture
def run(ansible: AnsibleRunner, path: Path) -> Run:
    """Write the page, and require that nothing was written into the store and nothing is left beside the page."""

    def run_on(store: Store, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        before, there = store.listing(), path.exists()
        result = ansible.run("pg_backup_report", check=check, diff=diff, **{"path": str(path), **options}, **store.options).require_success()
        assert store.listing() == before
        assert list(path.parent.iterdir()) == ([path] if there or not check else [])
        return result

    return run_on


@pytest.fixture
def refused(ansible: AnsibleRunner, path: Path) -> Callable[..., Outcome]:
    def run_on(store: Store, **options: Any) -> Outcome:
        outcome = ansible.run("pg_backup_report", **{"path": str(path), **options}, **store.options)
        assert outcome.failed, outcome.message
        assert "did not expect" not in outcome.message
        assert not outcome.leftovers
        return outcome

    return run_on


def read(path: Path) -> Page:
    """Return the page, which must be sound and refer to nothing elsewhere; a store's address may stand on it as text."""
    page = Page(path.read_text("utf-8"))
    assert page.problems == []
    assert not [found for _tag, attributes in page.tags for name, found in attributes.items() if "://" in found and name != "content"]
    return page


# Days with backups, drawings, and how large the page may be.
SIZES = {0: (0, 0, 20_000), 1: (1, 0, 30_000), 30: (30, 2, 100_000), 2000: (334, 2, 600_000)}


@pytest.mark.parametrize("count", SIZES)
def test_a_page_at_any_number_of_backups(run: Run, shelf: Shelf, path: Path, count: int) -> None:
    # Four a day where there are many, for more than a year.
    step = 6 * HOUR if count > 100 else DAY
    for number in range(count):
        shelf.put(number * step + HOUR)
    result = run(shelf.store, name=["app"], keep_within="10d")
    days, drawings, largest = SIZES[count]
    page = read(path)
    assert result["size"] == path.stat().st_size < largest
    assert result["verdict"] == ("ok" if count else "critical")
    assert result["names"][0]["counts"]["valid"] == count
    assert len(page.all("svg")) == drawings
    shown = len(page.all("td", **{"class": "ok"}))
    # Of the last of twelve months there may be only one day yet.
    assert (days <= shown <= 366) if count == 2000 else shown == days
    text = page.text()
    assert (f"{max(count - 30, 0):,} older ones, by month" in text) == (count > 30)
    # What goes is what the module would delete.
    going = {0: 0, 1: 0, 30: 19, 2000: 2000 - 41}[count]
    assert (f"{going:,} of {count:,} backups" in text) == (going > 0)


def test_one_page_for_all_names_of_a_bucket(run: Run, bucket: Bucket, path: Path) -> None:
    shelf = Shelf(bucket, prefix="nightly/")
    for name in ("app", "app_x", "billing"):
        shelf.put(2 * HOUR, name)
    shelf.put(3 * HOUR, "lost", archive=None)
    shelf.put(4 * HOUR, "half", with_manifest=False)
    Shelf(bucket).put(HOUR, "elsewhere")
    result = run(bucket, prefix="nightly")
    assert [(found["name"], found["verdict"]) for found in result["names"]] == [
        ("half", "critical"),
        ("lost", "critical"),
        ("app", "ok"),
        ("app_x", "ok"),
        ("billing", "ok"),
    ]
    page = read(path)
    assert [found["href"] for found in page.all("a")] == [f"#name-{number}" for number in range(1, 6)]
    assert "2 of 5 names need to be looked at: half, lost." in page.text()
    assert "elsewhere" not in page.text()


def test_restore_tests_are_on_the_page(run: Run, shelf: Shelf, path: Path) -> None:
    key = shelf.put(5 * HOUR)
    times = {"started_at": format_time(shelf.now - 2 * HOUR), "finished_at": format_time(shelf.now - HOUR)}
    keep_record(
        opened(shelf.store),
        restore_test(key=key, name="app", backup_id=manifest().backup_id, verdict="failed", reasons=["A table is <empty>."], rto=75.0, **times),
    )
    result = run(shelf.store)
    assert (result["verdict"], result["names"][0]["counts"]["restore_tests"]) == ("critical", 1)
    text = read(path).text()
    assert "failed A table is <empty>." in text
    assert "1 min 15 s" in text


def test_only_the_passing_of_time_is_no_change(run: Run, shelf: Shelf, path: Path) -> None:
    shelf.put(26 * HOUR)
    assert run(shelf.store)["changed"] is True
    first = path.read_text()
    path.chmod(0o640)
    again = run(shelf.store)
    assert again["changed"] is False
    assert "diff" not in again
    # It is fresh all the same.
    assert path.read_text() != first
    assert path.stat().st_mode & 0o777 == 0o640
    shelf.put(HOUR)
    assert run(shelf.store)["changed"] is True


def test_a_new_page_can_be_read_by_a_web_server(run: Run, shelf: Shelf, path: Path) -> None:
    run(shelf.store)
    assert path.stat().st_mode & 0o777 == 0o644


def test_check_mode_writes_nothing_and_diff_is_short(run: Run, shelf: Shelf, path: Path) -> None:
    shelf.put(HOUR)
    planned = run(shelf.store, check=True, diff=True)
    assert planned["changed"] is True
    assert not path.exists()
    assert planned["diff"]["before"] == ""
    assert planned["diff"]["after"] == "PostgreSQL backups: ok. Every check of the backups found nothing wrong.\napp: ok, 1 of 1 backup valid\n"
    run(shelf.store)
    written = path.read_bytes()
    assert run(shelf.store, check=True)["changed"] is False
    shelf.put(2 * HOUR)
    diff = run(shelf.store, check=True, diff=True)["diff"]
    assert (diff["before"].splitlines()[1], diff["after"].splitlines()[1]) == ("app: ok, 1 of 1 backup valid", "app: ok, 2 of 2 backups valid")
    assert path.read_bytes() == written


def test_a_store_that_is_gone_makes_a_page_that_says_so(
    run: Run, refused: Callable[..., Outcome], store_server: Callable[[str], StoreServer], make_bucket: Callable[[StoreServer], Bucket], path: Path
) -> None:
    server = store_server("VersityGW")
    bucket = make_bucket(server)
    Shelf(bucket).put(HOUR)
    assert run(bucket)["verdict"] == "ok"
    server.stop()
    for options in ({}, {"name": ["app"]}):
        outcome = refused(bucket, **options)
        assert "could not be read" in outcome.message
        assert outcome.result["verdict"] == "unknown"
        text = read(path).text()
        assert "Unknown" in text
        assert "OK" not in text


def test_a_title_is_no_markup(run: Run, shelf: Shelf, path: Path) -> None:
    title = 'Backups <script>alert(1)</script> & "more"'
    run(shelf.store, title=title)
    assert title in read(path).text()


def test_the_zone_is_that_of_the_reader(run: Run, shelf: Shelf, path: Path) -> None:
    shelf.put(HOUR)
    run(shelf.store, timezone="Europe/Berlin")
    assert "All times are Europe/Berlin." in read(path).text()


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no limit": ({"limit": 0}, "limit is 0"),
    "a bad name": ({"name": ["a b"]}, "cannot be used in a store"),
    "no name": ({"name": []}, "name is an empty list"),
    "a bad rule": ({"keep_last": -2}, "keep_last is -2"),
    "a bad length": ({"max_age_critical": "soon"}, "max_age_critical is 'soon'"),
    "a bad threshold": ({"min_size": -1}, "min_size is -1"),
    "a bad zone": ({"timezone": "Mars"}, "timezone is 'Mars'"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_cannot_be_meant_is_refused(refused: Callable[..., Outcome], folder: Folder, path: Path, what: str) -> None:
    options, sentence = REFUSALS[what]
    assert sentence in refused(folder, **options).message
    assert not path.exists()


def test_nothing_else_is_replaced(refused: Callable[..., Outcome], folder: Folder, path: Path) -> None:
    path.write_text("<html>The shop</html>")
    assert "is no report of this module" in refused(folder).message
    assert path.read_text() == "<html>The shop</html>"
    for wrong in (path.parent, path.parent / "none" / "page.html"):
        assert "Set path to a file in a folder that exists" in refused(folder, path=str(wrong)).message


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named(ansible: AnsibleRunner, shelf: Shelf, path: Path, tmp_path: Path, library: str) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    # Before the real one, and as good as none.
    (hidden / f"{library}.py").write_text("raise ImportError('It is not here.')\n")
    for number in range(3):
        shelf.put(number * DAY + HOUR)
    outcome = ansible.run(
        "pg_backup_report", path=str(path), environment_={"PYTHONPATH": os.pathsep.join((str(hidden), str(linked_tree())))}, **shelf.store.options
    )
    assert outcome.failed
    assert f"Failed to import the required Python library ({library})" in outcome.message
    assert not path.exists()
