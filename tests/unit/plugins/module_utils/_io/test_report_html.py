# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report is sound HTML that loads nothing, runs nothing, says nothing by colour alone, and takes no value for markup."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Backup, Catalog, UnfinishedUpload
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.durations import Duration
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import Thresholds, judge, unknown
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import format_time
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report import (
    Chart,
    Look,
    Point,
    Report,
    Wishes,
    compose,
    compose_unknown,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report_page import STYLE, described, is_report
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import Policy, decide
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.charts import Charts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.report_html import render
from ansible_collections.workon.postgresql_backup.tests.unit.facts import manifest, restore_test, stored
from ansible_collections.workon.postgresql_backup.tests.unit.markup import Page

NOW = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)
UTC = dt.timezone.utc
HOSTILE = "<script>alert(1)</script>\"'><b>&amp;"
POLICY = Policy(keep_within=Duration("10d", days=10))


def backup(name: str, age: dt.timedelta, **changes: t.Any) -> Backup:
    started = NOW - age
    key = f"{name}_{started:%Y-%m-%d_%H%M%S}.dump"
    times = {"started_at": format_time(started), "snapshot_at": format_time(started), "finished_at": format_time(started + dt.timedelta(seconds=40))}
    facts = manifest(**{"key": key, "name": name, **times, **changes})
    return Backup(key, name, started, facts, 1000, (), started)


def look(name: str, count: int, *, text: str = "plain") -> Look:
    """Everything that a name can have, with this text wherever one can stand."""
    backups = [backup(name, number * DAY, labels={text: text}, environment=text, source={"database": text}, reason="manual") for number in range(count)]
    if count > 3:
        backups[3] = dataclasses.replace(backups[3], problems=(text, "It is short."))
    catalog = Catalog(
        backups=tuple(backups),
        broken=(dataclasses.replace(backup(name, 40 * DAY), problems=(text,)),),
        orphans=(stored(f"{name}_2026-03-01_000000.dump"),),
        foreign=(stored(f"{name}_{text}"),),
        unfinished=(UnfinishedUpload(f"{name}_2026-03-01_000001.dump", text, NOW),),
    )
    tests = {
        each.key: [
            restore_test(
                key=each.key,
                name=name,
                backup_id=each.manifest.backup_id if each.manifest else "",
                test_id=each.key,
                verdict="failed",
                reasons=[text],
                started_at=format_time(each.started),
                finished_at=format_time(each.started + DAY / 24),
                snapshot_at=None,
            )
        ]
        for each in backups[:4]
    }
    health = judge(name, catalog, tests, Thresholds(), NOW, prefix="", clock_skew=0.0)
    return Look(health, catalog, tests, decide(name, catalog, POLICY, NOW, prefix="", held={}))


def report(*looks: Look, title: str = "Backups", zone: dt.tzinfo = UTC, limit: int = 10) -> Report:
    return compose(looks, Wishes(title, limit, zone, POLICY), NOW, location="s3://backups/", prefix="")


REPORTS: dict[str, t.Callable[[], Report]] = {
    "an empty store": report,
    "a name without backups": lambda: report(look("app", 0)),
    "one backup": lambda: report(look("app", 1)),
    "thirty backups": lambda: report(look("app", 30)),
    "two names": lambda: report(look("app", 30), look("billing", 2)),
    "a name not read": lambda: report(look("app", 5), Look(unknown("billing", "It went away."))),
    "a store not read": lambda: compose_unknown("It went away.", Wishes("Backups", 10, UTC, None), NOW, location="s3://backups/"),
    "hostile values": lambda: report(look("app", 30, text=HOSTILE), Look(unknown("billing", HOSTILE)), title=HOSTILE),
}


@pytest.fixture(scope="module", params=sorted(REPORTS))
def page(request: pytest.FixtureRequest) -> tuple[str, Page]:
    """Every kind of page there is, as text and parsed."""
    source = render(REPORTS[request.param]())
    return source, Page(source)


def test_the_page_is_sound(page: tuple[str, Page]) -> None:
    assert page[1].problems == []


def test_the_page_refers_to_nothing_elsewhere(page: tuple[str, Page]) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)|<script|javascript:", page[0].replace("s3://backups/", ""))


def test_only_its_own_style_is_allowed(page: tuple[str, Page]) -> None:
    source, parsed = page
    (policy,) = [found["content"] for found in parsed.all("meta") if "http-equiv" in found]
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    # It comes before anything that it has to judge.
    assert source.index("Content-Security-Policy") < source.index("<style>")


def test_the_page_says_what_it_is(page: tuple[str, Page]) -> None:
    source, parsed = page
    assert parsed.tags[0] == ("html", {"lang": "en"})
    assert is_report(source)
    assert described(source)
    assert [name for name, _attributes in parsed.tags].count("main") == 1
    assert parsed.all("meta", name="viewport")


def test_every_verdict_is_a_word_and_a_sign(page: tuple[str, Page]) -> None:
    source, _parsed = page
    assert re.search(r'<p class="word"><span class="sign" aria-hidden="true">.</span>(?:OK|Warning|Critical|Unknown)</p>', source)
    badges = re.findall(r'<span class="badge[^>]*>(.*?)</span>([^<]*)</span>', source)
    assert all(re.fullmatch(r'<span class="sign" aria-hidden="true">.', sign) and word.strip() for sign, word in badges)


def test_every_drawing_has_words(page: tuple[str, Page]) -> None:
    assert all(found["role"] == "img" and len(found["aria-label"]) > 20 for found in page[1].all("svg"))


def test_every_day_with_backups_has_words(page: tuple[str, Page]) -> None:
    assert all(found["title"] for found in page[1].all("td") if found.get("class") in ("ok", "warning", "critical"))


def test_what_scrolls_can_be_reached_by_keyboard(page: tuple[str, Page]) -> None:
    for found in page[1].all("div"):
        if found.get("role") == "region":
            assert found["tabindex"] == "0"
            assert found.keys() & {"aria-label", "aria-labelledby"}


def test_no_value_becomes_markup() -> None:
    plain, hostile = Page(render(report(look("app", 30)))), Page(render(report(look("app", 30, text=HOSTILE), title=HOSTILE)))
    assert [tag for tag, _attributes in plain.tags] == [tag for tag, _attributes in hostile.tags]
    # It is there all the same: as a title, a label, a database, a reason, a problem and a key.
    assert hostile.text().count(HOSTILE) >= 10
    assert f"{HOSTILE}: {HOSTILE}" in hostile.text()


def test_the_same_report_is_the_same_page() -> None:
    assert render(report(look("app", 30))) == render(report(look("app", 30)))


def test_what_was_found_is_on_the_page() -> None:
    found = Page(render(report(look("app", 30)))).text()
    for words in (
        "Critical",
        "Valid backups 29",
        "It is short.",
        "20 older ones, by month",
        "The 10 oldest, and why",
        "Manifests without an archive: 1",
        "Archives without a manifest: 1",
        "Unfinished uploads: 1",
        "Files of others: 1",
        "As of 2026-03-10 12:00 . All times are UTC.",
    ):
        assert words in found, words


# Charts


def chart(count: int, *, unit: t.Literal["bytes", "seconds"] = "bytes", largest: float = 3e6, marked: bool = False) -> Chart:
    points = tuple(Point(NOW - number * DAY, largest * (number + 1) / count) for number in reversed(range(count)))
    return Chart("Size", unit, points, points[:1] if marked else (), "not valid", "From here to there, and more.")


@pytest.fixture(scope="module")
def charts() -> Charts:
    return Charts()


def test_a_drawing_has_no_look_of_its_own(charts: Charts) -> None:
    drawn = charts.draw(chart(30, marked=True), "one", UTC)
    assert not re.search(r"style=|#0[0-9a-f]{5}|<\?xml|xmlns|font-family|metadata|<title", drawn)
    classes = set(" ".join(re.findall(r'class="([^"]*)"', drawn)).split())
    assert classes - {"drawing"} <= set(re.findall(r"\.((?:fill|stroke)-[a-z-]+)", STYLE))
    assert {"fill-ink-text", "stroke-ink-line", "stroke-ink-mark", "stroke-ink-grid", "fill-ink-area"} <= classes


def test_drawings_share_no_ids(charts: Charts) -> None:
    ids = [re.findall(r'id="([^"]*)"', charts.draw(chart(30, marked=True), prefix, UTC)) for prefix in ("one", "two")]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])


def test_the_same_values_are_the_same_drawing_whatever_the_settings_of_matplotlib_are(charts: Charts, monkeypatch: pytest.MonkeyPatch) -> None:
    before = charts.draw(chart(30), "one", UTC)
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 40)
    monkeypatch.setitem(matplotlib.rcParams, "axes.grid", True)
    assert charts.draw(chart(30), "one", UTC) == before
    assert matplotlib.rcParams["font.size"] == 40


def test_many_points_are_a_line_without_dots(charts: Charts) -> None:
    few, many = (charts.draw(chart(count), "one", UTC) for count in (30, 2000))
    assert few.count("<use") == 31
    assert many.count("<use") == 1
    assert len(many) < 80_000


@pytest.mark.parametrize(
    ("unit", "largest", "label"),
    [
        ("bytes", 3e6, "2 MiB"),
        ("bytes", 900, "B"),
        ("bytes", 5e12, "4 TiB"),
        ("seconds", 4, "4 s"),
        ("seconds", 90, "1 min"),
        ("seconds", 9000, "2 h"),
        ("seconds", 0, "0"),
    ],
)
def test_values_are_written_in_units_for_people(charts: Charts, unit: t.Literal["bytes", "seconds"], largest: float, label: str) -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", charts.draw(chart(30, unit=unit, largest=largest), "one", UTC))
    assert any(text.endswith(label) for text in texts), texts


@pytest.mark.parametrize(("days", "label"), [(2, "9 Mar 12:00"), (20, "1 Mar"), (300, "Jan 2026"), (2000, "2024")])
def test_dates_are_as_long_as_they_need_to_be(charts: Charts, days: int, label: str) -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", charts.draw(chart(days + 1), "one", UTC))
    assert label in texts


def test_matplotlib_reads_and_leaves_nothing_in_anybodys_home(tmp_path: Path) -> None:
    """In a process of its own, because matplotlib is loaded once."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    told = {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    program = f"from {Charts.__module__} import Charts; import os; before = dict(os.environ); Charts(); assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", program], env=told, check=True, cwd=tmp_path)
    assert sorted(tmp_path.rglob("*")) == [home, temporary]


# The palette


def palettes() -> dict[str, dict[str, str]]:
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})\b", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL))
    return {"light": light, "dark": {**light, **dark}}


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *((text, "page") for text in ("text", "quiet", "link", "critical-text")),
        *((f"{state}-text", state) for state in ("ok", "warning", "critical", "unknown")),
    ],
)
def test_text_can_be_read_on_its_ground(mode: str, text: str, ground: str) -> None:
    colours = palettes()[mode]
    assert contrast(colours[text], colours[ground]) >= 4.5


def test_contrast_is_computed_as_the_guidelines_say() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize(
    "problem", ["<p>", "<p><b></p></b>", '<p id="a"></p><p id="a"></p>', '<a href="#none"></a>', '<p onclick="x"></p>', '<p style="x"></p>', "<th></th>"]
)
def test_what_is_wrong_with_a_page_is_found(problem: str) -> None:
    assert Page("<h1></h1>").problems == []
    assert Page(f"<h1></h1>{problem}").problems
