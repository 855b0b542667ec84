# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""SQL names: how they are written for people and in a manifest, and how they are read back."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_PARTS = re.compile(r'\s*("(?:[^"]|"")*"|[^".]+)\s*(?:\.|$)')


def quote_if_needed(name: str) -> str:
    """Quote a name unless it is plain lower case.

    Keywords stay bare: which words are keywords differs between versions, and a manifest must name a table the same way for ever.
    """
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def qualified_name(schema: str, name: str) -> str:
    """Return the one spelling of a schema-qualified name that manifests and messages use."""
    return f"{quote_if_needed(schema)}.{quote_if_needed(name)}"


def canonical_name(text: str) -> str:
    """Return the manifest's spelling of a qualified name that some program quoted by its own rules."""
    parts = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in _PARTS.findall(text)]
    return ".".join(quote_if_needed(part) for part in parts)
