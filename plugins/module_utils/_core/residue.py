# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a restore inside of a database would leave: objects there that the archive does not know."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.archive import ArchiveContents
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.identifiers import qualified_name

_PUBLIC = "public"
# pg_dump calls both a type, and a table that replaces a view is still what stands in the way.
_RELATIONS = frozenset({"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "SEQUENCE"})


@dataclasses.dataclass(frozen=True)
class LiveObject:
    """An object of the live database, called as in an archive's table of contents: of routines the name is with the types of the arguments."""

    kind: str
    schema: str
    name: str
    owned: bool

    def __str__(self) -> str:
        # A routine's name is a signature, which is no identifier.
        return f"{self.kind.lower()} {self.schema}.{self.name}" if "(" in self.name else f"{self.kind.lower()} {qualified_name(self.schema, self.name)}"


def schemas_of(contents: ArchiveContents, created: t.Collection[str]) -> frozenset[str]:
    """Return the schemas that an archive has objects in: of those that it creates and ``public``, which is taken to be there.

    A schema that holds nothing but an extension is not among them: what extensions brought is not the archive's.
    """
    return frozenset(name for name in {*created, _PUBLIC} if any(entry.label.startswith(f"{name} ") for entry in contents.entries))


class KnownObjects:
    """What an archive has entries for."""

    def __init__(self, contents: ArchiveContents) -> None:
        labels: dict[str, list[str]] = {}
        for entry in contents.entries:
            labels.setdefault(_family(entry.kind), []).append(entry.label)
        # Sets of whole labels would need the owner, which differs: the name ends at a blank.
        self._labels = {family: {label.rpartition(" ")[0] for label in found} | set(found) for family, found in labels.items()}

    def knows(self, kind: str, schema: str, name: str) -> bool:
        """Say whether there is an entry of this kind, or of one that would be in its way."""
        return f"{schema} {name}" in self._labels.get(_family(kind), ())


def residue(live: t.Iterable[LiveObject], contents: ArchiveContents) -> list[LiveObject]:
    """Return the live objects that the archive has no entry for."""
    known = KnownObjects(contents)
    return [found for found in live if not known.knows(found.kind, found.schema, found.name)]


def _family(kind: str) -> str:
    return "RELATION" if kind in _RELATIONS else "TYPE" if kind in ("TYPE", "DOMAIN", "SHELL TYPE") else kind
