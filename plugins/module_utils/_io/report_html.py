# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The page of a report as HTML: Jinja2 fills the template and escapes every value."""

from __future__ import annotations

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report import Report
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report_calendar import WEEKDAYS
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report_page import GENERATOR, STYLE, STYLE_HASH, TEMPLATE
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.charts import Charts
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.dependencies import require_library


def render(report: Report) -> str:
    """Return the whole page."""
    jinja2 = require_library("jinja2", "to write the page", "https://jinja.palletsprojects.com/")
    markup = require_library("markupsafe", "to write the page", "https://markupsafe.palletsprojects.com/").Markup
    # A page without charts does not wait for matplotlib.
    charts = Charts() if any(section.content and section.content.charts for section in report.sections) else None
    drawings = {
        section.anchor: [
            markup(charts.draw(chart, f"{section.anchor}-chart-{number}", report.zone)) for number, chart in enumerate(section.content.charts, 1) if charts
        ]
        for section in report.sections
        if section.content
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page: str = environment.from_string(TEMPLATE).render(
        report=report,
        drawings=drawings,
        weekdays=WEEKDAYS,
        description="\n".join(report.summary()),
        generator=GENERATOR,
        # Ours: nothing of the store is in them.
        style=markup(STYLE),
        style_hash=markup(STYLE_HASH),
    )
    return page
