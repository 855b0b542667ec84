# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Look at a store, compose the page on it, and put the page where people find it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.health import Thresholds, check_thresholds, unknown
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report import Look, Report, Wishes, compose, compose_unknown
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.report_page import described, is_report, settled
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.retention import check_policy, decide
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.report_html import render
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.stores import Store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.text_file import read_text, replace_text
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.health import examine_name
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.retention import named_by_restores


@dataclasses.dataclass(frozen=True)
class ReportRequest:
    """What to report on: the names (None: all that are in the store), the thresholds of their verdicts, and what the reader wants. ``path`` is the page's."""

    names: tuple[str, ...] | None
    thresholds: Thresholds
    wishes: Wishes
    path: str


def check_request(request: ReportRequest) -> ReportRequest:
    """Return the request, or raise a sentence before anything is read."""
    check_thresholds(request.thresholds)
    if request.wishes.policy:
        check_policy(request.wishes.policy)
    if request.wishes.limit < 1:
        raise BackupError(f"limit is {request.wishes.limit}; it is how many backups of a name are listed one by one. Set it to 1 or more.")
    if request.names is None:
        return request
    names = tuple(dict.fromkeys(naming.check_name(name) for name in request.names))
    if not names:
        raise BackupError("name is an empty list. Set it to the names of the backups to report on, or leave it out for all that are in the store.")
    return dataclasses.replace(request, names=names)


def look_at_store(request: ReportRequest, store: Store, now: dt.datetime) -> Report:
    """Read the store and compose the page. A store that cannot be read makes a page that says so; nothing here writes."""
    try:
        skew = store.probe(store.prefix, write=False).clock_skew
        names = request.names or _names_in(store)
    except BackupError as error:
        if not request.names:
            return compose_unknown(error.message, request.wishes, now, location=store.location)
        looks = [Look(unknown(name, error.message)) for name in request.names]
    else:
        held, doubt = _held(store, now) if request.wishes.policy else ({}, None)
        looks = [dataclasses.replace(_look(name, request, store, now, skew, held), doubt=doubt) for name in names]
    return compose(looks, request.wishes, now, location=store.location, prefix=store.prefix)


def publish(report: Report, path: str, *, check_mode: bool) -> dict[str, t.Any]:
    """Write the page and return the module's result; raise it where the store could not be read.

    It is written also where only the time has changed: that is how a reader sees that somebody still looks.
    """
    page = render(report)
    before = read_text(path, "path")
    if before and not is_report(before):
        raise BackupError(f"{path} holds something that is no report of this module, so it was not replaced. Set path to another file, or remove that one.")
    if not check_mode:
        replace_text(path, page, "path", mode=None)
    changed = before is None or settled(before) != settled(page)
    result: dict[str, t.Any] = {
        "changed": changed,
        "path": path,
        "verdict": report.verdict,
        "size": len(page.encode()),
        "names": [
            {"name": section.name, "verdict": section.verdict, "counts": section.content.counts if section.content else None} for section in report.sections
        ],
    }
    if changed:
        result["diff"] = _diff(path, before, page)
    unread = _unread(report)
    did = "would be written" if check_mode else "was written"
    if unread:
        raise BackupError(f"The report {did} to {path}, and it says that the store could not be read: {unread}", **result)
    return {**result, "msg": f"The report {did} to {path}. {report.verdict.capitalize()}: {report.headline}"}


def _names_in(store: Store) -> tuple[str, ...]:
    """Return every name that has anything of ours in the store."""
    keys = [stored.key for stored in store.list_objects()] + [upload.key for upload in store.list_unfinished()]
    archives = (key.removesuffix(naming.MANIFEST_SUFFIX) for key in keys)
    return tuple(sorted({parsed.name for key in archives if (parsed := naming.parse_archive_key(key, store.prefix))}))


def _held(store: Store, now: dt.datetime) -> tuple[t.Mapping[str, str], str | None]:
    """Return what restores have named, and why that is not known: a key that may only watch does not read their journals, and can report all else."""
    try:
        return named_by_restores(store, now), None
    except BackupError as error:
        return {}, error.message


def _look(name: str, request: ReportRequest, store: Store, now: dt.datetime, skew: float | None, held: t.Mapping[str, str]) -> Look:
    examined = examine_name(name, request.thresholds, store, now, skew)
    catalog, tests, policy = examined.catalog, examined.tests, request.wishes.policy
    if catalog is None:
        return Look(examined.health)
    entries = decide(name, catalog, policy, now, prefix=store.prefix, held=held, tested=tests.passed(catalog.backups)) if policy else None
    return Look(examined.health, catalog, tests.by_archive, entries)


def _unread(report: Report) -> str | None:
    """Return the store's sentence where it could not be read."""
    reasons = [*report.reasons, *(reason for section in report.sections for reason in section.reasons)]
    return next((reason.sentence for reason in reasons if reason.check == "store"), None)


def _diff(path: str, before: str | None, page: str) -> dict[str, str]:
    """Show what the two pages say in short; a page's own text would be a screen full of tags."""
    return {
        "before_header": path,
        "after_header": path,
        "before": f"{html.unescape(described(before))}\n" if before else "",
        "after": f"{html.unescape(described(page))}\n",
    }
