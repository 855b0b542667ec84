# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Judge the backups of a store by reading it: a store that does not answer is a verdict, and not an error. Nothing here writes to the store."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.catalog import Catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import (
    Health,
    NameHealth,
    Thresholds,
    Verdict,
    check_thresholds,
    combine,
    judge,
    unknown,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health_text import nagios, one_line, plain_text, prometheus, without_moment
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.text_file import read_text, replace_text
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.catalog import load_catalog
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_test_records import RestoreTests, load_restore_tests

_TEXTFILE = "prometheus_textfile"
_TEXTFILE_SUFFIX = ".prom"

FailOn = t.Literal["critical", "warning", "never"]
_FAILING: dict[FailOn, tuple[Verdict, ...]] = {
    # What nobody could look at is no better than what is known to be bad.
    "critical": ("critical", "unknown"),
    "warning": ("warning", "critical", "unknown"),
    "never": (),
}


class UnhealthyError(BackupError):
    """The verdict is one that the caller wants to fail on; the details are the whole result."""


@dataclasses.dataclass(frozen=True)
class HealthRequest:
    """Whose backups to judge, by which thresholds, and which verdicts are a failure. ``textfile`` is where the metrics go."""

    names: tuple[str, ...]
    thresholds: Thresholds
    fail_on: FailOn = "critical"
    textfile: str | None = None


@dataclasses.dataclass(frozen=True)
class Examined:
    """The verdict on one name, and what it rests on; no ``catalog`` where the store could not be read."""

    health: NameHealth
    catalog: Catalog | None = None
    tests: RestoreTests = dataclasses.field(default_factory=RestoreTests)


def check_request(request: HealthRequest) -> HealthRequest:
    """Return the request, or raise a sentence: what a user has mistyped says nothing about backups."""
    check_thresholds(request.thresholds)
    names = tuple(dict.fromkeys(naming.check_name(name) for name in request.names))
    if not names:
        raise BackupError("No name is given. Set name to the names of the backups to judge.")
    if request.textfile and not request.textfile.endswith(_TEXTFILE_SUFFIX):
        raise BackupError(f"{_TEXTFILE} is {request.textfile}, which node_exporter would not read. Set it to a file whose name ends with {_TEXTFILE_SUFFIX}.")
    return dataclasses.replace(request, names=names)


def examine(names: t.Sequence[str], thresholds: Thresholds, store: Store, now: dt.datetime) -> Health:
    """Read the store and judge every name."""
    try:
        skew = store.probe(store.prefix, write=False).clock_skew
    except BackupError as error:
        return combine([unknown(name, error.message) for name in names], now=now, destination=store.location)
    return combine([examine_name(name, thresholds, store, now, skew).health for name in names], now=now, destination=store.location)


def report(request: HealthRequest, health: Health, *, check_mode: bool) -> dict[str, t.Any]:
    """Return the verdict with all of its faces, after the metrics are in their file; raise it where it is to be a failure."""
    metrics = prometheus(health)
    result = {
        **health.as_dict(),
        "changed": False,
        "msg": one_line(health),
        "prometheus": metrics,
        "nagios": nagios(health, request.thresholds),
        "text": plain_text(health),
    }
    if request.textfile:
        try:
            result.update(_publish(request.textfile, metrics, check_mode=check_mode))
        except BackupError as error:
            raise BackupError(f"{error.message} The verdict was {result.pop('msg')}", **result) from error
    if health.verdict in _FAILING[request.fail_on]:
        raise UnhealthyError(t.cast(str, result.pop("msg")), **result)
    return result


def examine_name(name: str, thresholds: Thresholds, store: Store, now: dt.datetime, skew: float | None) -> Examined:
    """Read what the store has of one name, and judge it."""
    try:
        objects = store.list_objects(f"{name}_", deep=True)
        catalog, tests = load_catalog(store, name, objects), load_restore_tests(store, name, objects)
    except BackupError as error:
        return Examined(unknown(name, error.message))
    health = judge(name, catalog, tests.by_archive, thresholds, now, prefix=store.prefix, clock_skew=skew, unreadable=tests.problems)
    return Examined(health, catalog, tests)


def _publish(path: str, metrics: str, *, check_mode: bool) -> dict[str, t.Any]:
    """Write the metrics, also where only the time has changed: that the file is fresh is how it is known that somebody looks."""
    before = read_text(path, _TEXTFILE)
    if not check_mode:
        replace_text(path, metrics, _TEXTFILE)
    if before is not None and without_moment(before) == without_moment(metrics):
        return {"changed": False}
    return {"changed": True, "diff": {"before_header": path, "after_header": path, "before": before or "", "after": metrics}}
