# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a database says of itself in its comment: its environment, and the restore that it is part of.

A comment is the one place that belongs to a database, that its owner may write on every version, that a dump restored without ``--create``
does not carry, and that changes in one transaction with the database's name. People's own words around ours are kept.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

_BEGINS = "[workon.postgresql_backup "
_ENDS = "]"
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_LIKE_PRODUCTION = re.compile(r"prod.*|live")

RestoreRole = t.Literal["shadow", "live", "previous", "rejected"]
_ROLES = t.get_args(RestoreRole)


@dataclasses.dataclass(frozen=True)
class RestoreMark:
    """A database's part in a restore.

    ``role``: ``shadow`` is being loaded (``state`` loading or proved), ``live`` was swapped in (swapped or done), ``previous`` was swapped out (kept;
    outlived, where a rollback since then brought back a schema that is newer), ``rejected`` was swapped in and back out; a database that came back is
    ``live`` again (rolled_back). ``database`` is the target's name, ``target_oid`` the OID that bore it when the restore began (0: none did), ``backup``
    the backup's id, ``since`` the moment of this mark as RFC 3339, ``options`` a digest of what was asked for that decides what a shadow holds,
    ``replaced`` the fingerprint of the target that this restore was planned for, ``extensions`` those that moved from a schema to its successor.
    """

    restore_id: str
    role: RestoreRole
    state: str
    database: str
    target_oid: int
    backup: str
    since: str
    partner_oid: int = 0
    options: str = ""
    replaced: str = ""
    extensions: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        facts = dataclasses.asdict(self)
        if not self.extensions:
            # A version of this software from before it cannot read a mark that has it, and would take the database for production.
            del facts["extensions"]
        return facts


@dataclasses.dataclass(frozen=True)
class DatabaseComment:
    """A comment in its parts; ``problem`` says why our part of it could not be read, which counts as no tag at all."""

    text: str = ""
    environment: str | None = None
    restore: RestoreMark | None = None
    problem: str | None = None

    @property
    def counts_as_production(self) -> bool:
        return is_production(self.environment)

    def written(self) -> str | None:
        """Return the comment as it is stored; None where nothing is left to say."""
        return "\n".join(part for part in (self.text, self.ours) if part) or None

    @property
    def ours(self) -> str:
        """Return our part as it is stored, in ASCII; nothing where there is nothing to say."""
        facts: dict[str, t.Any] = {}
        if self.environment:
            facts["environment"] = self.environment
        if self.restore:
            facts["restore"] = self.restore.as_dict()
        return f"{_BEGINS}{json.dumps(facts, sort_keys=True)}{_ENDS}" if facts else ""


@dataclasses.dataclass(frozen=True)
class OurSection:
    """The part of a stored comment that is ours with the line ends around it, and what people's words need in its ``place`` when it is taken out."""

    written: str = ""
    place: str = ""


def read_comment(comment: str | None) -> DatabaseComment:
    """Take a stored comment apart."""
    return take_apart(comment or "")[0]


def printable(text: str) -> str:
    """Return a text without bytes that could not be decoded, which are lone surrogates in it: those are written as escapes."""
    return text.encode("utf_8", "surrogateescape").decode("utf_8", "backslashreplace")


def take_apart(whole: str) -> tuple[DatabaseComment, OurSection]:
    """Take a stored comment apart, and return which part of it is ours, as it stands there."""
    start = whole.find(_BEGINS)
    if start < 0:
        return DatabaseComment(text=whole), OurSection()
    if whole.find(_BEGINS, start + 1) >= 0:
        return DatabaseComment(text=whole, problem="its comment holds more than one tag of this software"), OurSection()
    try:
        facts, end = json.JSONDecoder().raw_decode(whole, start + len(_BEGINS))
        if whole[end : end + 1] != _ENDS:
            raise ValueError("no end")
        environment = facts.get("environment")
        restore = _read_mark(facts["restore"]) if "restore" in facts else None
        if environment is not None:
            check_environment(environment)
        if restore and restore.role not in _ROLES:
            raise ValueError("no role")
    except (ValueError, TypeError, AttributeError, BackupError):
        return DatabaseComment(text=whole, problem="the tag of this software in its comment cannot be read"), OurSection()
    before, after = whole[:start].removesuffix("\n"), whole[end + 1 :].removeprefix("\n")
    section = OurSection(whole[len(before) : len(whole) - len(after)], "\n" if before and after else "")
    return DatabaseComment("\n".join(part for part in (before, after) if part), environment, restore), section


def _read_mark(facts: dict[str, t.Any]) -> RestoreMark:
    return RestoreMark(**{**facts, "extensions": tuple(facts.get("extensions", ()))})


def check_environment(environment: t.Any) -> str:
    """Return the name of an environment, or raise a sentence when it cannot be one."""
    if not isinstance(environment, str) or not _ENVIRONMENT.fullmatch(environment):
        raise BackupError(
            f"The environment {environment!r} is not a name: it must begin with a lower-case letter and hold only lower-case letters, digits, dashes "
            "and underscores, 40 characters at most. Set environment to a name such as production or staging."
        )
    return environment


def is_production(environment: str | None) -> bool:
    """Say whether a database of this environment is treated as production: one without a tag is, and so is whatever is called like it."""
    return environment is None or bool(_LIKE_PRODUCTION.fullmatch(environment))
