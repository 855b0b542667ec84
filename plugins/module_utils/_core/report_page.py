# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""How the report looks: one page with its own style, without a script and without anything from elsewhere.

The template is a text in Python because only Python files travel with a module. Who renders it escapes every value.
"""

from __future__ import annotations

import base64
import hashlib
import re

GENERATOR = "workon.postgresql_backup.pg_backup_report"

# The palette is chosen for a contrast of at least 4.5 to 1 between any text and what it stands on, in both modes; a test computes it.
STYLE = """\
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1d20; --quiet: #5b6269; --rule: #dfe2e6; --soft: #f5f6f8; --link: #1d5c96;
  --ok: #e1f0e6; --ok-text: #1b6239; --ok-rule: #a9d0b7;
  --warning: #fbeecd; --warning-text: #7a4c00; --warning-rule: #e3c374;
  --critical: #fbe3e1; --critical-text: #a11c13; --critical-rule: #e8a8a2;
  --unknown: #e9e7f6; --unknown-text: #4b4094; --unknown-rule: #bcb5e2;
  --line: #1d5c96; --area: #1d5c9614;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --text: #e5e7ea; --quiet: #9ba3ab; --rule: #2d3238; --soft: #1c2024; --link: #8fc0ee;
    --ok: #1b3326; --ok-text: #93d6ae; --ok-rule: #2f5a43;
    --warning: #3a2e14; --warning-text: #eac57c; --warning-rule: #6b5523;
    --critical: #452120; --critical-text: #f8b0aa; --critical-rule: #7c3936;
    --unknown: #2b2848; --unknown-text: #c1b8f6; --unknown-rule: #4c467d;
    --line: #8fc0ee; --area: #8fc0ee1f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1rem 4rem; max-width: 66rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
a { color: var(--link); text-underline-offset: .15em; }
h1, h2, h3 { line-height: 1.25; font-weight: 650; margin: 0; }
h1 { font-size: 1.75rem; letter-spacing: -.01em; }
h2 { font-size: 1.375rem; letter-spacing: -.005em; }
h3 { font-size: 1rem; margin: 2.25rem 0 .625rem; }
p { margin: .25rem 0; max-width: 46rem; text-wrap: pretty; }
.quiet { color: var(--quiet); }
.small { font-size: .875rem; }
.unseen { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.badge {
  display: inline-block; padding: .0625rem .5rem; border: 1px solid; border-radius: .25rem;
  font-size: .875rem; font-weight: 600; line-height: 1.4; white-space: nowrap; vertical-align: .1em;
}
.badge .sign { margin-right: .375rem; }
.ok { background: var(--ok); color: var(--ok-text); border-color: var(--ok-rule); }
.warning { background: var(--warning); color: var(--warning-text); border-color: var(--warning-rule); }
.critical { background: var(--critical); color: var(--critical-text); border-color: var(--critical-rule); }
.unknown { background: var(--unknown); color: var(--unknown-text); border-color: var(--unknown-rule); }

.verdict { margin: 1.5rem 0 0; padding: 1rem 1.125rem; border: 1px solid; border-radius: .5rem; }
.verdict .word { margin: 0; font-size: 1.25rem; font-weight: 650; line-height: 1.3; }
.verdict .word .sign { display: inline-block; min-width: 1.25em; }
.verdict p { max-width: none; }
.verdict .headline { margin-top: .125rem; }

.reasons { list-style: none; margin: .75rem 0 0; padding: 0; }
.reasons li {
  display: grid; grid-template-columns: 6.5rem 1fr; gap: .25rem .75rem; align-items: start; padding: .5rem 0;
  border-top: 1px solid var(--rule); max-width: 58rem;
}
.reasons .badge { justify-self: start; margin-top: .0625rem; }
.reasons li:last-child { border-bottom: 1px solid var(--rule); }
.names { list-style: none; margin: 1.25rem 0 0; padding: 0; }
.names > li { padding: .75rem 0 .875rem; border-top: 1px solid var(--rule); }
.names > li:last-child { border-bottom: 1px solid var(--rule); }
.names .name { margin: 0; max-width: none; display: flex; flex-wrap: wrap; align-items: baseline; gap: .125rem .75rem; }
.names .name a { font-weight: 600; }
.names .reasons { margin-top: .375rem; }
.names .reasons li, .names .reasons li:last-child { border: 0; padding: .25rem 0; }

section { margin-top: 3.5rem; padding-top: 1.75rem; border-top: 2px solid var(--text); }
.of { margin-top: .125rem; color: var(--quiet); }
h2 .badge { margin-left: .5rem; }

.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: 1.125rem 1.5rem; margin: 1.5rem 0 0; }
.facts > div { min-width: 0; }
.facts dt { font-size: .875rem; color: var(--quiet); }
.facts dd { margin: 0; font-size: 1.125rem; font-weight: 600; line-height: 1.35; }
.facts dd.small { font-size: .875rem; font-weight: 400; color: var(--quiet); }

.months { display: grid; grid-template-columns: repeat(2, 1fr); gap: 1.125rem 1rem; align-items: start; }
.month {
  width: 100%; border-collapse: separate; border-spacing: 2px; table-layout: fixed; font-size: .6875rem; line-height: 1.15;
  text-align: center; white-space: nowrap;
}
.month caption { text-align: left; font-size: .8125rem; line-height: 1.35; padding: 0 2px .25rem; color: var(--quiet); }
.month caption b { display: block; font-size: .875rem; font-weight: 600; color: var(--text); }
.month th { padding: 0 0 .125rem; font-weight: 400; color: var(--quiet); }
.month td { height: 1.9375rem; padding: 0; border: 1px solid transparent; border-radius: 3px; color: var(--quiet); }
.month td.ok { border-color: var(--ok-rule); color: var(--ok-text); }
.month td.warning { border-color: var(--warning-rule); color: var(--warning-text); }
.month td.critical { border-color: var(--critical-rule); color: var(--critical-text); }
.month td b { display: block; letter-spacing: -.02em; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0 0; padding: 0; font-size: .8125rem; color: var(--quiet); }
.legend li { display: flex; align-items: center; gap: .375rem; }
.swatch {
  min-width: 1.25rem; height: 1.25rem; padding: 0 .25rem; border: 1px solid; border-radius: 3px;
  font-size: .6875rem; font-weight: 700; line-height: 1.125rem; text-align: center;
}

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1.5rem 2rem; margin-top: 2.25rem; }
.chart { margin: 0; min-width: 0; max-width: 26rem; }
.chart h3 { margin: 0 0 .125rem; color: var(--text); }
.chart figcaption { font-size: .875rem; color: var(--quiet); margin: 0 0 .375rem; text-wrap: pretty; }
.drawing { display: block; width: 100%; min-width: 17rem; height: auto; font-family: inherit; font-size: 11px; overflow: visible; }
.fill-none { fill: none; }
.fill-ink-line { fill: var(--line); } .stroke-ink-line { stroke: var(--line); }
.fill-ink-mark { fill: var(--critical-text); } .stroke-ink-mark { stroke: var(--critical-text); }
.fill-ink-text { fill: var(--quiet); } .stroke-ink-grid { stroke: var(--rule); }
.fill-ink-area { fill: var(--area); }

.scroll { overflow-x: auto; max-width: 100%; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.list { border-collapse: collapse; width: 100%; font-size: .875rem; line-height: 1.4; overflow-wrap: break-word; }
.list th, .list td { padding: .375rem 1rem .375rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
.list time { white-space: nowrap; }
.list th:last-child, .list td:last-child { padding-right: 0; }
.list thead th { font-weight: 400; color: var(--quiet); white-space: nowrap; }
.list tbody th { font-weight: 600; white-space: nowrap; }
.list .figure { text-align: right; white-space: nowrap; padding-right: 1.5rem; }
.narrow { max-width: 30rem; }
.list .wide { min-width: 14rem; }
.list .notes { min-width: 10rem; }
.list .short { white-space: nowrap; }
.list .key { font-weight: 400; color: var(--quiet); font-size: .8125rem; white-space: nowrap; }
.keys { margin: .25rem 0 0; padding: 0; list-style: none; font-size: .875rem; }

details { margin: .75rem 0 0; }
summary { cursor: pointer; font-size: .875rem; color: var(--link); }
details[open] > summary { margin-bottom: .5rem; }
details > summary h3 { display: inline; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-size: .875rem; color: var(--quiet); }

@media (min-width: 37.5rem) {
  body { padding-left: 2rem; padding-right: 2rem; }
  .months { grid-template-columns: repeat(4, 1fr); }
}
@media (min-width: 60rem) {
  .months { grid-template-columns: repeat(6, 1fr); }
}
@media (max-width: 37.49rem) {
  .reasons li { grid-template-columns: 1fr; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1rem; }
  .facts dd { font-size: 1rem; }
}
@media print {
  body { padding: 0; max-width: none; font-size: 10pt; }
  a { color: inherit; text-decoration: none; }
  section { margin-top: 1.5rem; }
  .scroll { overflow: visible; }
  .months { grid-template-columns: repeat(4, 1fr); }
  .drawing { min-width: 0; }
  .charts { grid-template-columns: repeat(3, 1fr); }
  .badge, .verdict, .month td, .swatch { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .verdict, .facts, .month, .chart, .reasons li, .names li, tr { break-inside: avoid; }
  h2, h3, caption, summary, thead { break-after: avoid; }
  details::details-content { content-visibility: visible; display: block; height: auto; block-size: auto; }
  summary { color: inherit; list-style: none; }
  summary::-webkit-details-marker { display: none; }
}
"""

# Of what stands between the tags, to the byte: only this style is allowed on the page.
STYLE_HASH = f"sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"

TEMPLATE = """\
{% set signs = {"ok": "\u2713", "warning": "\u25b2", "critical": "\u2715", "unknown": "?"} %}
{% set words = {"ok": "OK", "warning": "Warning", "critical": "Critical", "unknown": "Unknown"} %}
{% set colours = {"valid": "ok", "orphan": "warning", "invalid": "critical", "future": "critical"} %}
{% set states = {"valid": "valid", "invalid": "not valid", "future": "dated in the future"} %}
{% macro badge(verdict, text="") -%}
<span class="badge {{ verdict }}"><span class="sign" aria-hidden="true">{{ signs[verdict] }}</span>{{ text or words[verdict] }}</span>
{%- endmacro %}
{% macro time(when) -%}
{% if when.iso %}<time datetime="{{ when.iso }}">{{ when.text }}</time>{% else %}{{ when.text }}{% endif %}
{%- endmacro %}
{% macro number(count) -%}
{{ "{:,}".format(count) }}
{%- endmacro %}
{% macro why(reasons) %}
<ul class="reasons">
{% for reason in reasons %}
<li>{{ badge(reason.verdict) }}<span class="sentence">{{ reason.sentence }}</span></li>
{% endfor %}
</ul>
{% endmacro %}
{% macro head(columns) %}
<thead><tr>
{% for column in columns %}
<th scope="col"{% if column[0] == ">" %} class="figure"{% endif %}>{{ column.lstrip(">") }}</th>
{% endfor %}
</tr></thead>
{% endmacro %}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '{{ style_hash }}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<meta name="generator" content="{{ generator }}">
<meta name="description" content="{{ description }}">
<title>{{ words[report.verdict] }}: {{ report.title }}</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ report.title }}</h1>
<p class="quiet">{{ report.location }}</p>
<div class="verdict {{ report.verdict }}">
<p class="word"><span class="sign" aria-hidden="true">{{ signs[report.verdict] }}</span>{{ words[report.verdict] }}</p>
<p class="headline">{{ report.headline }}</p>
<p class="small">As of <time id="judged" datetime="{{ report.judged.iso }}">{{ report.judged.text }}</time>. All times are {{ report.zone }}.</p>
</div>
{% if report.reasons %}
{{ why(report.reasons) }}
{% endif %}
{% if report.sections|length == 1 %}
{% if report.sections[0].reasons %}
{{ why(report.sections[0].reasons) }}
{% endif %}
{% elif report.sections %}
<nav aria-label="Names and their verdicts">
<ul class="names">
{% for section in report.sections %}
<li>
<p class="name"><a href="#{{ section.anchor }}">{{ section.name }}</a> {{ badge(section.verdict) }}
<span class="small quiet">
{% if section.newest %}
newest valid backup of {{ time(section.newest) }}
{% elif section.content %}
no valid backup
{% else %}
not read
{% endif %}
</span></p>
{% if section.reasons %}
{{ why(section.reasons) }}
{% endif %}
</li>
{% endfor %}
</ul>
</nav>
{% endif %}
</header>
<main>
{% for section in report.sections %}
{% set id, content = section.anchor, section.content %}
<section aria-labelledby="{{ id }}">
<h2 id="{{ id }}">{{ section.name }}{% if report.sections|length > 1 %} {{ badge(section.verdict) }}{% endif %}</h2>
{% if section.of %}
<p class="of">{{ section.of }}</p>
{% endif %}
{% if content %}
<dl class="facts">
{% for title, figure, beside in content.facts %}
<div><dt>{{ title }}</dt><dd>{% if figure is string %}{{ figure }}{% else %}{{ time(figure) }}{% endif %}</dd>
{%- if beside %}<dd class="small">{{ beside }}</dd>{% endif %}</div>
{% endfor %}
</dl>
{% if content.calendar %}
<h3>Calendar</h3>
<div class="months">
{% for month in content.calendar %}
<table class="month">
<caption><b>{{ month.title }}</b> <span><span class="unseen">Backups: </span>{{ month.words }}</span></caption>
<thead><tr>
{% for weekday in weekdays %}
<th scope="col" abbr="{{ weekday }}"><span aria-hidden="true">{{ weekday[0] }}</span><span class="unseen">{{ weekday }}</span></th>
{% endfor %}
</tr></thead>
<tbody>
{% for week in month.weeks %}
<tr>
{% for day in week %}
{% if day is none %}
<td></td>
{% elif day.state is none %}
<td>{{ day.number }}</td>
{% else %}
<td class="{{ colours[day.state] }}" title="{{ day.words }}">{{ day.number }}
{%- if day.mark %}<b aria-hidden="true">{{ day.mark }}</b>{% endif %}<span class="unseen">: {{ day.words }}</span></td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
</div>
<ul class="legend" aria-label="What the days show">
<li><span class="swatch ok" aria-hidden="true"></span>a valid backup</li>
<li><span class="swatch ok" aria-hidden="true">3</span>that many, all valid</li>
<li><span class="swatch warning" aria-hidden="true">?</span>an archive without a manifest</li>
<li><span class="swatch critical" aria-hidden="true">!</span>one that is not valid, or dated in the future</li>
</ul>
{% endif %}
{% if content.charts %}
<div class="charts">
{% for chart in content.charts %}
<figure class="chart">
<figcaption><h3>{{ chart.title }}</h3>{{ chart.words }}</figcaption>
<div class="scroll">{{ drawings[id][loop.index0] }}</div>
</figure>
{% endfor %}
</div>
{% endif %}
<h3 id="{{ id }}-tests">Restore tests</h3>
{% if content.tests %}
<div class="scroll" role="region" aria-labelledby="{{ id }}-tests" tabindex="0">
<table class="list">
{{ head(["Finished", "Verdict", "State of", ">Restored in", ">Age of the data", "Compared"]) }}
<tbody>
{% for test in content.tests %}
<tr>
<th scope="row">{{ time(test.when) }}</th>
<td{% if test.reasons %} class="wide"{% endif %}>{{ badge("ok" if test.passed else "critical", test.verdict) }}
{% for reason in test.reasons %}
<br>{{ reason }}
{% endfor %}
</td>
<td>{{ time(test.of) }}</td>
<td class="figure">{{ test.rto }}</td>
<td class="figure">{{ test.rpo }}</td>
<td class="short">{{ test.level }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% if content.more_tests %}
<p class="small quiet">And {{ number(content.more_tests) }} older {{ "one" if content.more_tests == 1 else "ones" }}.</p>
{% endif %}
{% else %}
<p class="quiet">No backup here has been through a restore test. Until one has, nobody knows how long a restore takes.</p>
{% endif %}
<h3 id="{{ id }}-backups">Backups</h3>
{% if content.backups %}
<div class="scroll" role="region" aria-labelledby="{{ id }}-backups" tabindex="0">
<table class="list">
{{ head(["Begun", "State", ">Size", ">Duration", ">Rows", "Restore test", "Notes"]) }}
<tbody>
{% for backup in content.backups %}
<tr>
<th scope="row">{{ time(backup.when) }}</th>
<td{% if backup.problems %} class="wide"{% endif %}>
{% if backup.state == "valid" %}
valid
{% else %}
{{ badge("critical", states[backup.state]) }}
{% endif %}
{% for problem in backup.problems %}
<br>{{ problem }}
{% endfor %}
</td>
<td class="figure">{{ backup.size }}</td>
<td class="figure">{{ backup.duration }}</td>
<td class="figure">{{ backup.rows }}</td>
<td class="short">{{ backup.tested }}</td>
<td class="notes">{{ backup.notes|join(", ") }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% if content.rest_count %}
<details>
<summary>{{ number(content.rest_count) }} older {{ "one" if content.rest_count == 1 else "ones" }}, by month</summary>
<div class="scroll" role="region" aria-label="Older backups of {{ section.name }} by month" tabindex="0">
<table class="list narrow">
{{ head(["Month", ">Backups", ">Valid", ">Size"]) }}
<tbody>
{% for month in content.rest %}
<tr>
<th scope="row">{{ month.title }}</th>
<td class="figure">{{ number(month.count) }}</td>
<td class="figure">{{ number(month.valid) }}</td>
<td class="figure">{{ month.size }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</div>
</details>
{% endif %}
{% else %}
<p class="quiet">None.</p>
{% endif %}
<h3 id="{{ id }}-retention">What retention will delete next</h3>
{% if content.outlook is none %}
<p class="quiet">No retention policy was given to this report.</p>
{% else %}
{% set outlook = content.outlook %}
{% set count = outlook.going|length + outlook.more %}
{% if count %}
<p>{{ number(count) }} of {{ number(count + outlook.staying) }} backups, {{ outlook.freed }}, unless the store has them locked.</p>
{% else %}
<p>Nothing. {{ number(outlook.staying) }} {{ "backup stays" if outlook.staying == 1 else "backups stay" }}.</p>
{% endif %}
<p class="small quiet">Policy: {{ outlook.policy }}.</p>
{% for refusal in outlook.refusals %}
<p class="small">{{ badge("warning", "Held back") }} {{ refusal }}</p>
{% endfor %}
{% if count %}
<details{% if count <= 5 %} open{% endif %}>
<summary>{{ "The " ~ outlook.going|length ~ " oldest, and why" if outlook.more else "Which, and why" }}</summary>
<div class="scroll" role="region" aria-labelledby="{{ id }}-retention" tabindex="0">
<table class="list">
{{ head(["Begun", ">Size", "Why", "Key"]) }}
<tbody>
{% for entry in outlook.going %}
<tr>
<th scope="row">{{ time(entry.when) }}</th>
<td class="figure">{{ entry.size }}</td>
<td class="wide">{{ entry.reasons|join(" ") }}</td>
<td class="key">{{ entry.key }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</div>
</details>
{% endif %}
{% endif %}
<h3>What is no backup</h3>
{% for trouble in content.troubles %}
<details>
<summary>{{ trouble.title }}: {{ number(trouble.count) }}</summary>
<p class="small">{{ trouble.words }}</p>
<ul class="keys">
{% for key in trouble.keys %}
<li>{{ key }}</li>
{% endfor %}
{% if trouble.count > trouble.keys|length %}
<li class="quiet">and {{ number(trouble.count - trouble.keys|length) }} more</li>
{% endif %}
</ul>
</details>
{% else %}
<p class="quiet">Nothing: no archives without a manifest, no manifests without an archive, no unfinished uploads, no files of others.</p>
{% endfor %}
{% endif %}
</section>
{% endfor %}
</main>
<footer>
<p>Read from the store's listing, the manifests and the records of restore tests.
A backup is valid when its manifest is there and its archive has the size that the manifest records.
Whether it can be restored is what restore tests say.</p>
</footer>
</body>
</html>
"""

_JUDGED = re.compile(r'<time id="judged" datetime="[^"]*">[^<]*</time>')
_DESCRIPTION = re.compile(r'<meta name="description" content="([^"]*)">')
_SENTENCE = re.compile(r'<span class="sentence">[^<]*</span>')
_AGES = re.compile(r"[0-9]+ (?:min|h(?: [0-9]+ min)?|days(?: [0-9]+ h)?)\b")


def is_report(page: str) -> bool:
    """Say whether a file was written by this software as a report."""
    return f'<meta name="generator" content="{GENERATOR}">' in page


def settled(page: str) -> str:
    """Return a page without what the passing of time alone changes: when it was written, and how old its sentences say that things are."""
    return _SENTENCE.sub(lambda found: _AGES.sub("", found[0]), _JUDGED.sub("", page))


def described(page: str) -> str:
    """Return the summary that a page carries, still escaped."""
    found = _DESCRIPTION.search(page)
    return found[1] if found else ""
