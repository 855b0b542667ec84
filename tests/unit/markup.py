# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict look at a page: what a browser would forgive is found here."""

from __future__ import annotations

import html.parser
import itertools
import re

_VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})
# What may refer to something: in a page of its own only to a part of itself.
_REFERRING = frozenset({"href", "src", "srcset", "action", "formaction", "poster", "data", "background", "cite", "ping", "xlink:href", "manifest", "clip-path"})
_POINTING = ("aria-labelledby", "aria-describedby")


class Page(html.parser.HTMLParser):
    """A parsed page. ``problems`` are sentences; a sound page has none."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.pointers: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.problems += [f"<{tag}> is never closed." for tag in self._open]
        self.problems += [f"The id {one} is there twice." for one in set(self.ids) if self.ids.count(one) > 1]
        self.problems += [f"Nothing has the id {one}." for one in self.pointers if one not in self.ids]
        levels = [int(tag[1]) for tag, _attributes in self.tags if re.fullmatch("h[1-6]", tag)]
        self.problems += [f"h{low} is followed by h{high}." for low, high in itertools.pairwise(levels) if high > low + 1]
        if levels.count(1) != 1 or levels[0] != 1:
            self.problems.append("There is not one h1 at the beginning.")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if len(attributes) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice.")
        self.tags.append((tag, attributes))
        if tag in ("script", "link", "iframe", "object", "embed", "base", "form", "img"):
            self.problems.append(f"There is a <{tag}>.")
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for name, value in attributes.items():
            self._look_at(tag, name, value)
        if tag == "th" and "scope" not in attributes:
            self.problems.append("A <th> has no scope.")
        if tag not in _VOID:
            self._open.append(tag)

    def _look_at(self, tag: str, name: str, value: str) -> None:
        if name.startswith("on") or name == "style":
            self.problems.append(f"<{tag}> has {name}.")
        if name in _REFERRING:
            found = re.fullmatch(r"#(.+)|url\(#(.+)\)", value)
            if found:
                self.pointers.append(found[1] or found[2])
            else:
                self.problems.append(f"<{tag}> refers to {value}.")
        if name in _POINTING:
            self.pointers += value.split()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1:]}.")
        elif tag not in _VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def text(self) -> str:
        """Return what stands on the page, its style left out, white space put together."""
        return " ".join(" ".join(data for tag, data in self.texts if tag != "style").split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """Return the attributes of every element of a tag that has these."""
        return [found for name, found in self.tags if name == tag and all(found.get(each) == value for each, value in wanted.items())]
