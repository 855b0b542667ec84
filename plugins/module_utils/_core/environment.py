# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The change of a database's environment tag: what its comment would be, what speaks against it, and how it is told."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_comment import (
    DatabaseComment,
    is_production,
    printable,
    read_comment,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import quote_if_needed


@dataclasses.dataclass(frozen=True)
class EnvironmentRequest:
    """What the user asked for; ``environment`` is the tag to set or, where it is to be ``absent``, the one to take away (None: any)."""

    environment: str | None
    absent: bool = False
    allow_production: bool = False
    replace_unreadable: bool = False


@dataclasses.dataclass(frozen=True)
class EnvironmentChange:
    """A database's comment before and after; ``stored`` is the one before as the server has it."""

    database: str
    stored: str | None
    before: DatabaseComment
    after: DatabaseComment

    @property
    def changed(self) -> bool:
        return self.before != self.after


def wanted_comment(found: DatabaseComment, request: EnvironmentRequest) -> DatabaseComment:
    """Return the comment that the request asks for, with everything else in it kept."""
    environment = None if request.absent else request.environment
    if found.problem:
        return DatabaseComment(_without_unreadable(found.text), environment)
    return dataclasses.replace(found, environment=environment)


def tag_refusal(database: str, found: DatabaseComment, request: EnvironmentRequest) -> str | None:
    """Refuse to lose a tag that guards production, or that may have, unless the user said so."""
    tag = found.environment
    if found.problem:
        if request.replace_unreadable:
            return None
        return (
            f"The tag of the database {database} was left alone, because {found.problem}; it may have said production, or belong to a restore. "
            "Look at the comment, then set replace_unreadable to true to replace the lines that hold it, or correct them by hand."
        )
    if request.absent and request.environment and tag not in (None, request.environment):
        return (
            f"The database {database} is tagged {tag}, not {request.environment}, so its tag was not taken away. "
            f"Check the database; if it is right, set environment to {tag}, or leave it out."
        )
    guarded = tag is not None and is_production(tag)
    if guarded and not request.allow_production and (request.absent or not is_production(request.environment)):
        what = "taken away" if request.absent else f"replaced by {request.environment}"
        return (
            f"The database {database} is tagged {tag}, which guards it against restores, so the tag was not {what}. "
            "Check the database; if it is no longer production, set allow_production to true."
        )
    return None


def write_refusals(database: str, owner: str, *, owned: bool, user: str, in_recovery: bool) -> list[str]:
    """Refuse what the server would not let this role write, or nobody."""
    refusals = []
    if not owned:
        refusals.append(
            f"The role {user} may not change the comment of the database {database}, which belongs to the role {owner}. "
            f"Set login_user (or the user in database_url) to {owner}, or have an administrator GRANT {quote_if_needed(owner)} TO {quote_if_needed(user)}."
        )
    if in_recovery:
        refusals.append("The server is a standby, which takes no writes. Set database_url (or login_host and login_port) to the primary.")
    return refusals


def environment_result(change: EnvironmentChange, *, check_mode: bool) -> dict[str, t.Any]:
    """Return a change, made or only planned, as a module's result."""
    header = f"comment of the database {change.database}"
    after = printable((change.after.written() if change.changed else change.stored) or "")
    return {
        "changed": change.changed,
        "msg": _sentence(change, check_mode),
        "database": change.database,
        "environment": change.after.environment,
        "previous_environment": change.before.environment,
        "counts_as_production": change.after.counts_as_production,
        "restore": change.after.restore.as_dict() if change.after.restore else None,
        "comment": after or None,
        "diff": {
            "before_header": header,
            "after_header": header,
            "before": _lines(change.stored),
            "after": _lines(after),
        },
    }


def _without_unreadable(text: str) -> str:
    """Leave out the lines that hold a tag or a piece of one; ours never has more than one line."""
    return "\n".join(line for line in text.split("\n") if read_comment(line) == DatabaseComment(line))


def _sentence(change: EnvironmentChange, check_mode: bool) -> str:
    before, after = _state(change.before), _state(change.after)
    if not change.changed:
        return f"Nothing to change: the database {change.database} is {after}."
    if check_mode:
        return f"The database {change.database} would be {after}; it is {before}."
    return f"The database {change.database} is now {after}; it was {before}."


def _state(comment: DatabaseComment) -> str:
    if comment.problem:
        return "tagged unreadably"
    return f"tagged {comment.environment}" if comment.environment else "without a tag, which counts as production"


def _lines(comment: str | None) -> str:
    return f"{comment}\n" if comment else ""
