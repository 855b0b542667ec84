# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Charts as SVG that belongs into a page: matplotlib draws, then everything is taken away that a page has of its own or does not want.

No colour, no font and no style stays in it, only classes: the page's style sheet decides, so that dark mode, paper and a strict Content-Security-Policy
hold for charts too. The same values give the same bytes.
"""

from __future__ import annotations

import datetime as dt
import io
import os
import re
import tempfile
import typing as t
from xml.etree import ElementTree

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report import Chart
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report_calendar import MONTHS
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.dependencies import require_library

# Inches at 72 points: about the width of a phone, so that letters have the page's size there and little more on a desk.
_SIZE = (4.6, 2.25)
_FONT_SIZE = 11
# Beyond so many points a line says it better.
_MARKERS_UP_TO = 62

# Colours that nobody would choose, by the class that takes their place.
_INK = {"#010101": "ink-line", "#020202": "ink-mark", "#030303": "ink-text", "#040404": "ink-grid", "#050505": "ink-area"}
_COLOUR = {name: colour for colour, name in _INK.items()}
# What stays of a style, as attributes.
_KEPT = frozenset({"stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-dasharray", "text-anchor", "fill-opacity", "opacity"})
_NUMBER = re.compile(r"-?[0-9]+\.[0-9]+")
_LINK = re.compile(r"#([^)\s]+)")
_UNITS: dict[str, tuple[tuple[float, str], ...]] = {
    "bytes": ((1024.0**4, "TiB"), (1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"), (1.0, "B")),
    "seconds": ((3600.0, "h"), (60.0, "min"), (1.0, "s")),
}


class Charts:
    """Draws charts. matplotlib is loaded once, without reading or leaving anything in anybody's home."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory(prefix="charts-") as directory:
            before = os.environ.get("MPLCONFIGDIR")
            os.environ["MPLCONFIGDIR"] = directory
            try:
                self._matplotlib = require_library("matplotlib", "to draw charts", "https://matplotlib.org/stable/install/")
                self._figure = require_library("matplotlib.figure", "to draw charts", "https://matplotlib.org/stable/install/")
                self._dates = require_library("matplotlib.dates", "to draw charts", "https://matplotlib.org/stable/install/")
                self._ticker = require_library("matplotlib.ticker", "to draw charts", "https://matplotlib.org/stable/install/")
            finally:
                if before is None:
                    del os.environ["MPLCONFIGDIR"]
                else:
                    os.environ["MPLCONFIGDIR"] = before

    def draw(self, chart: Chart, prefix: str, zone: dt.tzinfo) -> str:
        """Return the chart as an ``svg`` element, every id of which begins with the prefix."""
        with self._matplotlib.rc_context():
            self._matplotlib.rcdefaults()
            self._matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": prefix, "font.size": _FONT_SIZE})
            figure = self._figure.Figure(figsize=_SIZE)
            self._plot(figure, chart, zone)
            drawn = io.StringIO()
            figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return _for_a_page(drawn.getvalue(), prefix, f"{chart.title}. {chart.words}")

    def _plot(self, figure: t.Any, chart: Chart, zone: dt.tzinfo) -> None:
        axes = figure.add_axes((0.175, 0.14, 0.815, 0.83))
        scale, unit = _unit(chart)
        times = [point.moment for point in chart.points]
        values = [point.value / scale for point in chart.points]
        few = len(values) <= _MARKERS_UP_TO
        axes.fill_between(times, values, color=_COLOUR["ink-area"], linewidth=0)
        axes.plot(times, values, color=_COLOUR["ink-line"], linewidth=1.5 if few else 1.1, marker="o" if few else "", markersize=3.4, markeredgewidth=0)
        if chart.marked:
            crosses = [point.value / scale for point in chart.marked]
            axes.plot([point.moment for point in chart.marked], crosses, color=_COLOUR["ink-mark"], linestyle="", marker="x", markersize=7, markeredgewidth=2)
        axes.set_ylim(bottom=0, top=1.12 * max(point.value / scale for point in (*chart.points, *chart.marked)) or 1)
        axes.margins(x=0.02)
        axes.yaxis.set_major_locator(self._ticker.MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(self._ticker.FuncFormatter(lambda value, _place: f"{value:,.4g} {unit}" if value else "0"))
        locator = self._dates.AutoDateLocator(tz=zone, minticks=3, maxticks=6)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(self._ticker.FuncFormatter(lambda value, _place: self._date(value, axes, zone)))
        axes.tick_params(length=0, labelcolor=_COLOUR["ink-text"], labelsize=_FONT_SIZE, pad=6)
        axes.grid(axis="y", color=_COLOUR["ink-grid"], linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set(color=_COLOUR["ink-grid"], linewidth=0.8)

    def _date(self, value: float, axes: t.Any, zone: dt.tzinfo) -> str:
        """Write a date as long as the axis needs it; in English whatever the host's locale is, as the rest of the page."""
        moment, (start, end) = self._dates.num2date(value, tz=zone), axes.get_xlim()
        month = MONTHS[moment.month - 1][:3]
        if end - start > 3 * 365:
            return f"{moment.year}" if moment.month == 1 else f"{month} {moment.year}"
        if end - start > 120:
            return f"{month} {moment.year}"
        return f"{moment.day} {month}" if end - start > 3 else f"{moment.day} {month} {moment:%H:%M}"


def _unit(chart: Chart) -> tuple[float, str]:
    largest = max(point.value for point in (*chart.points, *chart.marked))
    return next(((scale, unit) for scale, unit in _UNITS[chart.unit] if largest >= scale), _UNITS[chart.unit][-1])


def _for_a_page(svg: str, prefix: str, words: str) -> str:
    """Make a drawing part of a page: no namespaces, no styles, ids of its own, numbers to a tenth of a point."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _bare(child.tag) in ("metadata", "style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _bare(element.tag)
        attributes = {_bare(name): value for name, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(attributes)
    links = " ".join(f"{element.get('href', '')} {element.get('clip-path', '')}" for element in root.iter())
    referred = set(_LINK.findall(links))
    for element in root.iter():
        _rewrite(element, prefix, referred)
        element.text = (element.text or "").strip() or None
        element.tail = None
    _drop_empty(root)
    view = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": view, "role": "img", "aria-label": words, "class": "drawing"})
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _bare(name: str) -> str:
    return name.rpartition("}")[2]


def _drop_empty(element: ElementTree.Element) -> None:
    for child in list(element):
        _drop_empty(child)
        if child.tag in ("g", "defs") and not len(child):
            element.remove(child)


def _rewrite(element: ElementTree.Element, prefix: str, referred: t.Collection[str]) -> None:
    attributes = element.attrib
    name = attributes.pop("id", None)
    if name in referred:
        attributes["id"] = f"{prefix}-{name}"
    if "href" in attributes:
        attributes["href"] = f"#{prefix}-{attributes['href'][1:]}"
    if "clip-path" in attributes:
        attributes["clip-path"] = attributes["clip-path"].replace("#", f"#{prefix}-")
    classes = []
    for declaration in filter(None, (part.strip() for part in attributes.pop("style", "").split(";"))):
        what, _colon, value = (part.strip() for part in declaration.partition(":"))
        if what in ("fill", "stroke"):
            classes.append(f"{what}-{_INK[value]}" if value in _INK else f"{what}-none")
        elif what in _KEPT:
            attributes[what] = value
    if classes:
        attributes["class"] = " ".join(sorted(set(classes)))
    for place in ("d", "x", "y", "width", "height", "transform", "points", "stroke-width"):
        if place in attributes:
            short = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), attributes[place])
            attributes[place] = " ".join(short.split())
