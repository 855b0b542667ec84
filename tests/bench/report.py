# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The printed account: medians, ratios, and the goals beside them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.measuring import Cost

MB = 1000**2
MIB = 1024**2

RATIO_GOAL = 0.30
MEMORY_GOAL = 150 * MIB
# "The same" within two parts: buffers are made when they are needed first, so how many there are depends on the store's pace in that run.
MEMORY_GROWTH_GOAL = 16 * MIB
FIXED_COST_GOAL = 2.5
# Reading files writes too: their access times, which the kernel counts in whole blocks.
_ACCESS_TIMES = MB


@dataclass(frozen=True)
class Measured:
    """All runs of one contender, in the order of the rounds, and the size of its archive in bytes."""

    title: str
    costs: Sequence[Cost]
    archive_size: int

    def median(self, figure: Callable[[Cost], float]) -> float:
        """Return the median of one figure over the rounds."""
        return statistics.median(figure(cost) for cost in self.costs)

    def worst(self, figure: Callable[[Cost], float]) -> float:
        """Return the largest value of one figure over the rounds."""
        return max(figure(cost) for cost in self.costs)

    def ratio(self, base: Measured) -> float:
        """Return the median of the ratios of wall time, each taken within one round."""
        return statistics.median(mine.wall / theirs.wall for mine, theirs in zip(self.costs, base.costs, strict=True))


def comparison(measured: Mapping[str, Measured]) -> str:
    """Return the table of all contenders; the ratio is to A."""
    base = measured.get("A")
    rows = [("", "", "wall s", "ratio", "client", "server", "store", "others", "memory", "temp disk", "written", "archive")]
    rows.append(("", "", "median", "to A", "CPU s", "CPU s", "CPU s", "cores", "peak MiB", "MB", "MB", "MB"))
    for letter, run in measured.items():
        rows.append(
            (
                letter,
                run.title,
                f"{run.median(lambda cost: cost.wall):.2f}",
                f"{run.ratio(base):.2f}" if base else "-",
                f"{run.median(lambda cost: cost.client_cpu):.1f}",
                f"{run.median(lambda cost: cost.server_cpu):.1f}",
                f"{run.median(lambda cost: cost.store_cpu):.1f}",
                f"{run.median(lambda cost: cost.foreign_cpu / cost.wall):.1f}",
                f"{run.worst(lambda cost: cost.peak_memory) / MIB:.0f}",
                f"{run.worst(lambda cost: cost.temporary_disk) / MB:.0f}",
                f"{run.median(lambda cost: cost.written) / MB:.1f}",
                f"{run.archive_size / MB:.0f}",
            )
        )
    return table(rows)


def goals(ours: Measured | None, naive: Measured | None, large: Measured | None, fixed_cost: float | None, *, with_zstd: bool) -> str:
    """Return the table of the goals, each with what was measured in this run. The ratio is wanted of a client with zstd and about 1.2 GB."""
    rows = [("goal", "wanted", "measured", "")]
    if ours and naive:
        ratio = ours.ratio(naive)
        wanted, verdict = (f"<= {RATIO_GOAL:.2f}", _verdict(ratio <= RATIO_GOAL)) if with_zstd else ("none for gzip", "")
        rows.append(("backup with content fingerprint and decode, of A", wanted, f"{ratio:.2f}", verdict))
    if ours:
        written = ours.median(lambda cost: cost.written)
        disk = max(ours.worst(lambda cost: cost.temporary_disk), written if written > _ACCESS_TIMES else 0)
        rows.append(("temporary disk", "0 bytes", f"{disk:.0f} bytes", _verdict(disk == 0)))
        memory = ours.worst(lambda cost: cost.peak_memory)
        rows.append(("peak memory of our process", f"<= {MEMORY_GOAL / MIB:.0f} MiB", f"{memory / MIB:.0f} MiB", _verdict(memory <= MEMORY_GOAL)))
    if ours and large:
        growth = large.worst(lambda cost: cost.peak_memory) - ours.worst(lambda cost: cost.peak_memory)
        shown = f"{growth / MIB:+.0f} MiB"
        rows.append(("the same of the large database", f"<= {MEMORY_GROWTH_GOAL / MIB:+.0f} MiB", shown, _verdict(growth <= MEMORY_GROWTH_GOAL)))
    if fixed_cost is not None:
        rows.append(("playbook on an empty database", f"<= {FIXED_COST_GOAL} s", f"{fixed_cost:.2f} s", _verdict(fixed_cost <= FIXED_COST_GOAL)))
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text: words to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    figures = [column for column in range(len(widths)) if column >= 2 and len(widths) > 4]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if column in figures else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _verdict(reached: bool) -> str:
    return "reached" if reached else "NOT reached"
