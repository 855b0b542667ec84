# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Which entries of an archive are restored: all, unless this role may not create them or the user leaves them out; each that is not is named."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents, ArchiveEntry

Policy = t.Literal["refuse", "skip", "attempt"]

# What PostgreSQL lets only superusers create, whatever they were granted.
_SUPERUSERS_ONLY = {
    "EVENT TRIGGER": "only superusers may create event triggers",
    "FOREIGN DATA WRAPPER": "only superusers may create foreign-data wrappers",
    "ACCESS METHOD": "only superusers may create access methods",
    "OPERATOR CLASS": "only superusers may create operator classes",
    "OPERATOR FAMILY": "only superusers may create operator families",
    "TEXT SEARCH PARSER": "only superusers may create text search parsers",
    "TEXT SEARCH TEMPLATE": "only superusers may create text search templates",
    "PUBLICATION TABLES IN SCHEMA": "only superusers may publish the tables of schemas",
}
_ABOUT_OTHERS = ("COMMENT", "ACL", "SECURITY LABEL")
# Of these a database-wide strategy restores all, a schema swap only those that live in a schema.
_OF_NO_SCHEMA = "-"


@dataclasses.dataclass(frozen=True)
class Skipped:
    """An entry that is not restored, and why not."""

    entry: ArchiveEntry
    reason: str

    def as_dict(self) -> dict[str, str]:
        return {"entry": str(self.entry), "reason": self.reason}


def forbidden_entries(
    contents: ArchiveContents,
    *,
    superuser: bool,
    may_subscribe: bool,
    extensions: t.Mapping[str, bool],
    for_all_tables: t.Collection[str],
) -> list[Skipped]:
    """Return the entries that this role may not create.

    ``extensions`` are those that the server has, with whether only superusers may create them; ``for_all_tables`` the publications of everything.
    """
    if superuser:
        return []
    skipped = []
    for entry in contents.entries:
        reason = _SUPERUSERS_ONLY.get(entry.kind)
        if entry.kind == "EXTENSION" and extensions.get(extension_name(entry)):
            reason = "only superusers may create this extension"
        elif entry.kind == "SUBSCRIPTION" and not may_subscribe:
            reason = "only superusers and members of pg_create_subscription may create subscriptions"
        elif entry.kind == "PUBLICATION" and any(entry.label.startswith(f"- {name} ") for name in for_all_tables):
            reason = "only superusers may publish all tables"
        if reason:
            skipped.append(Skipped(entry, reason))
    return skipped + about_skipped(contents, skipped)


def left_out_extensions(contents: ArchiveContents, names: t.Collection[str]) -> list[Skipped]:
    """Return the entries of extensions that the user leaves out."""
    skipped = [Skipped(entry, "left out by exclude_extensions") for entry in contents.entries if entry.kind == "EXTENSION" and extension_name(entry) in names]
    return skipped + about_skipped(contents, skipped)


def about_skipped(contents: ArchiveContents, skipped: t.Collection[Skipped]) -> list[Skipped]:
    """Return the comments on what is not restored itself, its security labels, and who may use it."""
    kinds = {_described(found.entry): found.entry.kind for found in skipped}
    return [
        Skipped(entry, f"its {kinds[subject].lower()} is not restored")
        for entry in contents.entries
        if entry.kind in _ABOUT_OTHERS and (subject := _plain(entry.label)) in kinds
    ]


def outside_of_schemas(contents: ArchiveContents, *, large_objects: bool) -> list[Skipped]:
    """Return the entries that belong to the whole database, which a restore of schemas leaves as it is; ``large_objects`` says that those are restored."""
    kept = ("SCHEMA", "ACL", "COMMENT", "SECURITY LABEL", "DEFAULT ACL")
    return [
        Skipped(entry, "it belongs to the database and not to a schema")
        for entry in contents.entries
        if entry.label.startswith(f"{_OF_NO_SCHEMA} ")
        and not (entry.kind in kept and _about_a_schema(entry))
        and not (large_objects and _about_large_objects(entry))
    ]


def about_schemas(contents: ArchiveContents, names: t.Collection[str]) -> list[Skipped]:
    """Return the entries that create or describe these schemas, which are there and stay as they are."""
    return [
        Skipped(entry, "the schema is there")
        for entry in contents.entries
        if _about_a_schema(entry) and any(entry.label.startswith((f"- {name} ", f"- SCHEMA {name} ")) for name in names)
    ]


def forbidden_refusal(skipped: t.Sequence[Skipped], role: str) -> str | None:
    """Refuse to leave out silently what the archive holds."""
    if not skipped:
        return None
    named = "; ".join(f"{found.entry} ({found.reason})" for found in skipped[:10])
    more = f" and {len(skipped) - 10} more" if len(skipped) > 10 else ""
    return (
        f"The role {role} may not create {len(skipped)} of the archive's entries: {named}{more}. "
        "Use a superuser, set unrestorable to skip to restore without them (each is named in the result), "
        "or to attempt where the server permits more than it says."
    )


def list_lines(contents: ArchiveContents, skipped: t.Sequence[Skipped]) -> list[str] | None:
    """Return the lines of a list file for pg_restore, None where everything is restored."""
    if not skipped:
        return None
    left_out = {found.entry.line for found in skipped}
    return [entry.line for entry in contents.entries if entry.line not in left_out]


def extension_name(entry: ArchiveEntry) -> str:
    """Return the name of an EXTENSION entry, which has neither schema nor owner."""
    return entry.label.removeprefix("- ").strip()


def _described(entry: ArchiveEntry) -> str:
    """Return what entries about this one are called: the kind comes between schema and name."""
    schema, _blank, rest = entry.label.partition(" ")
    return _plain(f"{schema} {entry.kind} {rest}")


def _plain(label: str) -> str:
    """Leave out what only entries about others have: quotes, and the access method of an operator class or family."""
    return re.sub(r" USING \S+", "", label.replace('"', ""))


def _about_large_objects(entry: ArchiveEntry) -> bool:
    return entry.kind in ("BLOB", "BLOBS", "BLOB METADATA") or entry.label.startswith("- LARGE OBJECT ")


def _about_a_schema(entry: ArchiveEntry) -> bool:
    return entry.kind in ("SCHEMA", "DEFAULT ACL") or entry.label.startswith("- SCHEMA ")
