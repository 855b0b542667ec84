# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The faces of one verdict: a sentence, lines for mail and webhooks, metrics for Prometheus, a line for Nagios. All say the same."""

from __future__ import annotations

import datetime as dt
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import (
    DEFAULT_RESTORE_TEST_AGE,
    STATES,
    Health,
    NameHealth,
    Thresholds,
    Verdict,
    age_limits,
    length_in_seconds,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import parse_time

# Of the Nagios plugin API, and of the metric health_status as well.
EXIT_CODES: dict[Verdict, int] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}

_PREFIX = "pgbackup_"
# What differs between two looks at the same store: when it was, and how two clocks of different precision compare.
_OF_THE_MOMENT = (f"{_PREFIX}health_check_timestamp_seconds", f"{_PREFIX}clock_skew_seconds")


class _Metric(t.NamedTuple):
    """A metric, and its samples of one name: a value by the labels beside ``name`` and ``destination``. None is left out."""

    name: str
    help_text: str
    samples: t.Callable[[NameHealth, Health], t.Mapping[tuple[tuple[str, str], ...], float | None]]


def one_line(health: Health) -> str:
    """Say the verdict and the worst reason for it; where there is none, what was found."""
    return f"{health.verdict.upper()}: {_worst_sentence(health)}"


def plain_text(health: Health) -> str:
    """Say everything in lines, for mail and webhooks."""
    lines = [f"{health.verdict.upper()}: backups in {health.destination}, judged at {health.judged_at}"]
    for each in health.names:
        lines += ["", f"{each.verdict.upper()}  {each.summary}"]
        lines += [f"  - {reason.verdict}: {reason.sentence}" for reason in each.reasons]
    return "\n".join(_in_one_line(line) if line else line for line in lines) + "\n"


def nagios(health: Health, thresholds: Thresholds) -> dict[str, t.Any]:
    """Return what a Nagios or Icinga plugin prints (``line``) and exits with. ``perfdata`` is the part after the bar."""
    now = parse_time(health.judged_at, "judged_at")
    perfdata = " ".join(one for each in health.names for one in _perfdata(each, thresholds, now))
    # The bar begins the numbers, so the words may not hold one.
    words = f"PGBACKUP {one_line(health)}".replace("|", "/")
    return {"line": _in_one_line(f"{words} | {perfdata}" if perfdata else words), "exit_code": EXIT_CODES[health.verdict], "perfdata": perfdata}


def prometheus(health: Health) -> str:
    """Return all metrics in the text format. What is not known is left out and never 0; samples have no time of their own."""
    lines = []
    for metric in _METRICS:
        samples = [_sample(metric, labels, value, each, health) for each in health.names for labels, value in metric.samples(each, health).items()]
        found = [sample for sample in samples if sample]
        if found:
            lines += [f"# HELP {_PREFIX}{metric.name} {metric.help_text}", f"# TYPE {_PREFIX}{metric.name} gauge", *found]
    return "\n".join(lines) + "\n"


def without_moment(metrics: str) -> str:
    """Return metrics without what differs each time they are made, to see whether anything else does."""
    return "\n".join(line for line in metrics.splitlines() if not line.startswith(_OF_THE_MOMENT))


def _worst_sentence(health: Health) -> str:
    if not health.reasons:
        return " ".join(each.summary for each in health.names)
    more = len(health.reasons) - 1
    return health.reasons[0].sentence + (f" (and {more} more)" if more else "")


def _in_one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


def _perfdata(each: NameHealth, thresholds: Thresholds, now: dt.datetime) -> t.Iterator[str]:
    newest, test = each.facts["newest"], each.facts["restore_test"]
    if newest:
        warning, critical = age_limits(thresholds, now)
        yield f"{_label(each.name, 'age')}={newest['age_seconds']:.0f}s;{warning:.0f};{critical:.0f}"
        # A range with a colon at its end means that less is bad.
        yield f"{_label(each.name, 'size')}={newest['size']}B" + (f";;{thresholds.min_size}:" if thresholds.min_size else "")
    if test:
        limit = length_in_seconds(thresholds.max_restore_test_age or DEFAULT_RESTORE_TEST_AGE, now)
        passed = _age_of(each.facts["last_passed_restore_test_at"], now)
        if passed is not None:
            yield f"{_label(each.name, 'restore_test_age')}={passed:.0f}s;{limit:.0f}"


def _label(name: str, what: str) -> str:
    # A quote is doubled; an equals sign would end the label.
    escaped = f"{name}_{what}".replace("'", "''").replace("=", "_").replace("|", "/")
    return f"'{_in_one_line(escaped)}'"


def _age_of(moment: str | None, now: dt.datetime) -> float | None:
    return None if moment is None else max((now - parse_time(moment, "a time")).total_seconds(), 0.0)


def _sample(metric: _Metric, labels: tuple[tuple[str, str], ...], value: float | None, each: NameHealth, health: Health) -> str | None:
    if value is None:
        return None
    pairs = (("name", each.name), ("destination", health.destination), *labels)
    return f"{_PREFIX}{metric.name}{{{','.join(f'{label}={_quoted(text)}' for label, text in pairs)}}} {_number(value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _single(
    name: str, help_text: str, value: t.Callable[[dict[str, t.Any]], float | None], *labels: tuple[str, t.Callable[[dict[str, t.Any]], str]]
) -> _Metric:
    return _Metric(name, help_text, lambda each, _health: {tuple((label, text(each.facts)) for label, text in labels): value(each.facts)})


def _of_newest(field: str) -> t.Callable[[dict[str, t.Any]], float | None]:
    return lambda facts: facts["newest"] and facts["newest"][field]


def _timestamp(text: str | None) -> float | None:
    return None if text is None else parse_time(text, "a time").timestamp()


def _states(each: NameHealth, _health: Health) -> dict[tuple[tuple[str, str], ...], float | None]:
    counts = each.facts["counts"] or {}
    return {(("state", state),): counts.get(state) for state in STATES}


_METRICS: tuple[_Metric, ...] = (
    _single(
        "last_success_timestamp_seconds",
        "The moment whose state the newest valid regular backup holds.",
        lambda facts: _timestamp(facts["newest"] and facts["newest"]["snapshot_at"]),
    ),
    _single("last_size_bytes", "The size of the newest valid regular backup's archive.", _of_newest("size")),
    _single("last_duration_seconds", "How long the newest valid regular backup took.", _of_newest("duration_seconds")),
    _single("last_rows", "How many rows the newest valid regular backup holds.", _of_newest("rows")),
    _single(
        "oldest_valid_timestamp_seconds",
        "The moment whose state the oldest valid regular backup holds.",
        lambda facts: _timestamp(facts["oldest_valid_at"]),
    ),
    _single("size_delta_ratio", "By which part the newest backup's size differs from the median of the five before it.", lambda facts: facts["size_delta"]),
    _Metric("catalog_backups", "How many backups there are, by state; an orphan has no manifest, a broken one no archive.", _states),
    _single(
        "last_restore_test_timestamp_seconds",
        "When the last restore test ended, whatever came of it.",
        lambda facts: _timestamp(facts["restore_test"] and facts["restore_test"]["at"]),
    ),
    _single(
        "last_restore_test_success",
        "Whether the last restore test passed.",
        lambda facts: facts["restore_test"] and float(facts["restore_test"]["verdict"] == "passed"),
    ),
    _single(
        "last_restore_test_duration_seconds",
        "How long the last restore test took until the copy was proved.",
        lambda facts: facts["restore_test"] and facts["restore_test"]["rto"],
    ),
    _single(
        "last_passed_restore_test_timestamp_seconds",
        "When the last restore test that passed ended.",
        lambda facts: _timestamp(facts["last_passed_restore_test_at"]),
    ),
    _Metric(
        "health_status", "The verdict on the backups: 0 ok, 1 warning, 2 critical, 3 unknown.", lambda each, _health: {(): float(EXIT_CODES[each.verdict])}
    ),
    _single("clock_skew_seconds", "By how much the store's clock is ahead of that of the host that judged.", lambda facts: facts["clock_skew"]),
    _Metric(
        "health_check_timestamp_seconds",
        "When the backups were judged.",
        lambda _each, health: {(): _timestamp(health.judged_at)},
    ),
    _single(
        "info",
        "What the newest valid regular backup is of.",
        lambda facts: facts["newest"] and 1.0,
        ("database", lambda facts: facts["database"] or ""),
        ("environment", lambda facts: facts["environment"] or ""),
    ),
)
