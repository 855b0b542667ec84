# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Is what was restored what was backed up? Two sets of facts are compared; whatever differs or could not be compared is a sentence."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import fingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.fingerprint import TableFingerprint
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import Manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.partial import missing_sentences

_NO_CONTENT = ("none", "counts")


@dataclasses.dataclass(frozen=True)
class Content:
    """What a database holds, as far as it was read. ``tables`` are by qualified name, those ``of_extensions`` among them; ``defects`` as in a manifest."""

    tables: dict[str, TableFingerprint]
    of_extensions: frozenset[str]
    sequences: dict[str, dict[str, t.Any]]
    large_objects: dict[str, t.Any]
    defects: dict[str, list[str]]
    prisma: dict[str, t.Any] | None


@dataclasses.dataclass(frozen=True)
class Proof:
    """The verdict: ``differences`` fail a restore, ``unproved`` says what nobody could compare, ``tables`` is one row for each table."""

    level: t.Literal["content", "counts", "none"]
    tables: tuple[dict[str, t.Any], ...]
    differences: tuple[str, ...]
    unproved: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.differences

    def as_dict(self) -> dict[str, t.Any]:
        return {"level": self.level, "tables": list(self.tables), "differences": list(self.differences), "unproved": list(self.unproved)}


def method_to_read(manifest: Manifest | None, wanted: t.Literal["content", "counts", "none"]) -> fingerprint.Method:
    """Return how the tables have to be read so that they can be compared with what the manifest holds, and no closer."""
    if wanted == "none":
        return "none"
    if manifest is None:
        return "counts"
    recorded = t.cast(fingerprint.Method, manifest.fingerprint["method"])
    return "counts" if wanted == "counts" or recorded == "none" else recorded


def prove(manifest: Manifest | None, found: Content, method: fingerprint.Method, *, extras_allowed: bool = False) -> Proof:
    """Compare what was restored with its manifest.

    ``extras_allowed`` is for a restore in place, where objects that the archive does not know may stay.
    """
    if manifest is None:
        return Proof("none", _without_manifest(found), tuple(_defects(None, found)), (_NO_MANIFEST,))
    if method == "none" or manifest.fingerprint["method"] == "none":
        reason = "fingerprint is none." if method == "none" else "The backup was taken with fingerprint none, so its manifest holds no rows to compare."
        unproved = [f"Rows and content were not compared: {reason}", *missing_sentences(manifest)]
        return Proof("none", _without_manifest(found), tuple(_defects(manifest, found)), tuple(unproved))
    expected = {name: TableFingerprint(int(facts["rows"]), _content(facts, method)) for name, facts in manifest.tables.items()}
    omitted = {entry["name"] for entry in manifest.omitted} | found.of_extensions
    actual = {name: facts for name, facts in found.tables.items() if name in expected or (name not in omitted and not extras_allowed)}
    differences = [
        *fingerprint.compare(expected, actual),
        *_sequences(manifest.sequences, found.sequences),
        *_large_objects(manifest.large_objects, found.large_objects, method),
        *_defects(manifest, found),
        *_prisma(manifest.prisma, found.prisma),
    ]
    unproved = missing_sentences(manifest)
    if method in _NO_CONTENT:
        unproved.append("Rows were counted, their content was not compared.")
    if manifest.fingerprint["method"] in _NO_CONTENT and method not in _NO_CONTENT:
        unproved.append("The manifest holds no content hashes.")
    return Proof("counts" if method in _NO_CONTENT else "content", _rows(expected, actual), tuple(differences), tuple(unproved))


_NO_MANIFEST = (
    "The archive has no manifest: that it is whole was proved by decoding it and by loading it without an error, "
    "but not that its rows and their content are those of its source."
)


def _content(facts: t.Mapping[str, t.Any], method: fingerprint.Method) -> str | None:
    return None if method in _NO_CONTENT else t.cast("str | None", facts["content"])


def _rows(expected: t.Mapping[str, TableFingerprint], actual: t.Mapping[str, TableFingerprint]) -> tuple[dict[str, t.Any], ...]:
    rows = []
    for name in sorted({*expected, *actual}):
        before, after = expected.get(name), actual.get(name)
        rows.append(
            {
                "table": name,
                "rows_in_backup": before.rows if before else None,
                "rows_restored": after.rows if after else None,
                "content": _verdict(before, after),
            }
        )
    return tuple(rows)


def _verdict(before: TableFingerprint | None, after: TableFingerprint | None) -> str:
    if before is None or after is None or before.rows != after.rows:
        return "different"
    if before.content is None:
        return "not compared"
    return "equal" if before.content == after.content else "different"


def _without_manifest(found: Content) -> tuple[dict[str, t.Any], ...]:
    return tuple(
        {"table": name, "rows_in_backup": None, "rows_restored": facts.rows, "content": "not compared"} for name, facts in sorted(found.tables.items())
    )


def _sequences(expected: t.Mapping[str, t.Mapping[str, t.Any]], actual: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.Iterator[str]:
    for name, value in sorted(expected.items()):
        if name not in actual:
            yield f"Sequence {name} is missing."
        elif _position(actual[name]) != _position(value):
            yield f"Sequence {name} is at {_position(actual[name])} instead of {_position(value)}."


def _position(value: t.Mapping[str, t.Any]) -> str:
    return f"{value['last_value']}{'' if value['is_called'] else ' (not used yet)'}"


def _large_objects(expected: t.Mapping[str, t.Any], actual: t.Mapping[str, t.Any], method: fingerprint.Method) -> t.Iterator[str]:
    if expected["count"] is None:
        return
    if actual["count"] != expected["count"]:
        yield f"There are {actual['count']} large objects instead of {expected['count']}."
    elif method not in _NO_CONTENT and expected["content"] is not None and actual["content"] != expected["content"]:
        yield f"The {expected['count']} large objects are there, but their content differs."


def _defects(manifest: Manifest | None, found: Content) -> t.Iterator[str]:
    known = manifest.defects if manifest else None
    for name in found.defects["invalid_indexes"]:
        if known is None or name not in known["invalid_indexes"]:
            yield f"The index {name} is invalid, and was not before."
    if known is None:
        # Where nobody looked, a constraint that was never validated may just be as it was.
        return
    for name in found.defects["unvalidated_constraints"]:
        if name not in known["unvalidated_constraints"]:
            yield f"The constraint {name} is not validated, and was before."


def _prisma(expected: t.Mapping[str, t.Any] | None, actual: t.Mapping[str, t.Any] | None) -> t.Iterator[str]:
    # Where several schemas have such a table, the URL that was backed up from chose; then the content of the table is the proof.
    if expected is not None and actual is not None and dict(expected) != dict(actual):
        yield f"Prisma's migrations end with {actual['last']} instead of {expected['last']}."
