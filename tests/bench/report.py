# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The printed account: medians, ratios, and the goals beside them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.measuring import Cost
from bench.readers import Seen

MB = 1000**2
MIB = 1024**2

RATIO_GOAL = 0.30
MEMORY_GOAL = 150 * MIB
# "The same" within two parts: buffers are made when they are needed first, so how many there are depends on the store's pace in that run.
MEMORY_GROWTH_GOAL = 16 * MIB
FIXED_COST_GOAL = 2.5
PROVED_RESTORE_GOAL = 0.80
UNPROVED_RESTORE_GOAL = 0.65
INTERRUPTION_GOAL = 1.0
INTERRUPTION_RATIO_GOAL = 0.01
# Reading files writes too: their access times, which the kernel counts in whole blocks.
_ACCESS_TIMES = MB


Goal = tuple[str, str, str, str]
"""What it is about, what is wanted, what was measured, and the verdict."""


@dataclass(frozen=True)
class Measured:
    """All runs of one contender, in the order of the rounds, and the size of its archive in bytes; ``states`` are a restore's, with their seconds."""

    title: str
    costs: Sequence[Cost]
    archive_size: int
    states: Sequence[Mapping[str, float]] = ()

    def median(self, figure: Callable[[Cost], float]) -> float:
        """Return the median of one figure over the rounds."""
        return statistics.median(figure(cost) for cost in self.costs)

    def worst(self, figure: Callable[[Cost], float]) -> float:
        """Return the largest value of one figure over the rounds."""
        return max(figure(cost) for cost in self.costs)

    def ratio(self, base: Measured) -> float:
        """Return the median of the ratios of wall time, each taken within one round."""
        return statistics.median(mine.wall / theirs.wall for mine, theirs in zip(self.costs, base.costs, strict=True))


@dataclass(frozen=True)
class Interruption:
    """What the clients saw of one restore that took ``wall`` seconds, ``exchange`` of them for the exchange of names, if there was one."""

    wall: float
    exchange: float | None
    clients: Sequence[Seen]

    @property
    def nobody(self) -> float:
        """The time between the last whole answer of the old state that any client got, and the first of the new one."""
        return min(client.first_new for client in self.clients) - max(client.last_old for client in self.clients)

    @property
    def longest_gap(self) -> float:
        """The longest time that any client was without a whole answer."""
        return max(client.longest_gap for client in self.clients)

    @property
    def unavailable(self) -> float:
        """The time that the worst client spent in gaps in which something failed or was wrong."""
        return max(client.unavailable for client in self.clients)

    @property
    def longest_wait(self) -> float:
        """The longest gap in which nothing failed: the load of 32 clients on this machine, whatever the restore does."""
        return max(client.longest_wait for client in self.clients)

    def total(self, figure: Callable[[Seen], int]) -> int:
        """Return the sum of one figure over the clients."""
        return sum(figure(client) for client in self.clients)


def comparison(measured: Mapping[str, Measured], base_letter: str) -> str:
    """Return the table of all contenders; the ratio is to this one of them."""
    base = measured.get(base_letter)
    rows = [("", "", "wall s", "ratio", "client", "server", "store", "others", "memory", "temp disk", "written", "archive")]
    rows.append(("", "", "median", f"to {base_letter}", "CPU s", "CPU s", "CPU s", "cores", "peak MiB", "MB", "MB", "MB"))
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


def restore_states(measured: Mapping[str, Measured]) -> str:
    """Return the table of what each restore of ours spent its time on."""
    runs = {letter: run for letter, run in measured.items() if any(run.states)}
    names = list(dict.fromkeys(name for run in runs.values() for states in run.states for name in states))
    rows = [("", "", *names)]
    for letter, run in runs.items():
        medians = [statistics.median(states.get(name, 0.0) for states in run.states) for name in names]
        rows.append((letter, run.title, *(f"{median:.2f}" for median in medians)))
    return table(rows)


def interruptions(seen: Mapping[str, Sequence[Interruption]], titles: Mapping[str, str]) -> str:
    """Return the table of what clients saw."""
    rows = [("", "", "wall s", "exchange", "nobody", "unavailable", "longest", "longest", "whole", "failed", "wrong")]
    rows.append(("", "", "", "s", "s", "s", "gap s", "wait s", "reads", "reads", "reads"))
    for letter, runs in seen.items():
        rows.append(
            (
                letter,
                titles[letter],
                f"{statistics.median(run.wall for run in runs):.2f}",
                "-" if any(run.exchange is None for run in runs) else f"{statistics.median(run.exchange or 0.0 for run in runs):.2f}",
                f"{statistics.median(run.nobody for run in runs):.2f}",
                f"{statistics.median(run.unavailable for run in runs):.2f}",
                f"{statistics.median(run.longest_gap for run in runs):.2f}",
                f"{statistics.median(run.longest_wait for run in runs):.2f}",
                f"{sum(run.total(lambda client: client.reads) for run in runs)}",
                f"{sum(run.total(lambda client: client.failed) for run in runs)}",
                f"{sum(run.total(lambda client: client.wrong) for run in runs)}",
            )
        )
    return table(rows)


def backup_goals(ours: Measured | None, naive: Measured | None, large: Measured | None, *, with_zstd: bool) -> list[Goal]:
    """Return the goals of a backup. The ratio is wanted of a client with zstd and about 1.2 GB."""
    rows = []
    if ours and naive:
        ratio = ours.ratio(naive)
        wanted, verdict = (f"<= {RATIO_GOAL:.2f}", _verdict(ratio <= RATIO_GOAL)) if with_zstd else ("none for gzip", "")
        rows.append(("backup with content fingerprint and decode, of A", wanted, f"{ratio:.2f}", verdict))
    if ours:
        written = ours.median(lambda cost: cost.written)
        disk = max(ours.worst(lambda cost: cost.temporary_disk), written if written > _ACCESS_TIMES else 0)
        rows.append(("temporary disk", "0 bytes", f"{disk:.0f} bytes", _verdict(disk == 0)))
        rows.append(_memory_goal("peak memory of our process", ours))
    if ours and large:
        growth = large.worst(lambda cost: cost.peak_memory) - ours.worst(lambda cost: cost.peak_memory)
        shown = f"{growth / MIB:+.0f} MiB"
        rows.append(("the same of the large database", f"<= {MEMORY_GROWTH_GOAL / MIB:+.0f} MiB", shown, _verdict(growth <= MEMORY_GROWTH_GOAL)))
    return rows


def fixed_cost_goals(fixed_cost: float | None) -> list[Goal]:
    """Return the goal of the playbook."""
    if fixed_cost is None:
        return []
    return [("playbook on an empty database", f"<= {FIXED_COST_GOAL} s", f"{fixed_cost:.2f} s", _verdict(fixed_cost <= FIXED_COST_GOAL))]


def restore_goals(measured: Mapping[str, Measured]) -> list[Goal]:
    """Return the goals of a restore; the ratios are wanted of about 1.2 GB."""
    rows = []
    for letter, what, wanted in (("G", "restore with content proved, of F", PROVED_RESTORE_GOAL), ("I", "restore without proof, of F", UNPROVED_RESTORE_GOAL)):
        if letter in measured and "F" in measured:
            ratio = measured[letter].ratio(measured["F"])
            rows.append((what, f"<= {wanted:.2f}", f"{ratio:.2f}", _verdict(ratio <= wanted)))
    ours = [run for run in measured.values() if any(run.states)]
    if ours:
        rows.append(_memory_goal("peak memory of our process, restoring", max(ours, key=lambda run: run.worst(lambda cost: cost.peak_memory))))
    return rows


def interruption_goals(naive: Sequence[Interruption], ours: Sequence[Interruption]) -> list[Goal]:
    """Return the goals of what clients see, judged by the worst client of each run."""
    rows = []
    if ours:
        worst = max(run.unavailable for run in ours)
        rows.append(("unavailable during a restore, worst client", f"<= {INTERRUPTION_GOAL} s", f"{worst:.2f} s", _verdict(worst <= INTERRUPTION_GOAL)))
        wrong = sum(run.total(lambda client: client.wrong) for run in ours)
        rows.append(("wrong reads during a restore", "0", f"{wrong}", _verdict(wrong == 0)))
    if ours and naive:
        ratio = statistics.median(mine.unavailable / theirs.unavailable for mine, theirs in zip(ours, naive, strict=True))
        nobody = statistics.median(mine.nobody / theirs.nobody for mine, theirs in zip(ours, naive, strict=True))
        wanted = f"<= {INTERRUPTION_RATIO_GOAL:.1%}"
        rows.append(("unavailable to the worst client, of that of F", wanted, f"{ratio:.1%}", _verdict(ratio <= INTERRUPTION_RATIO_GOAL)))
        rows.append(("unavailable to everybody, of that of F", wanted, f"{nobody:.1%}", _verdict(nobody <= INTERRUPTION_RATIO_GOAL)))
    return rows


def goal_table(rows: Sequence[Goal]) -> str:
    """Return the table of the goals, each with what was measured in this run."""
    return table([("goal", "wanted", "measured", ""), *rows])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text: words to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    figures = [column for column in range(len(widths)) if column >= 2 and len(widths) > 4]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if column in figures else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _memory_goal(what: str, run: Measured) -> Goal:
    memory = run.worst(lambda cost: cost.peak_memory)
    return (what, f"<= {MEMORY_GOAL / MIB:.0f} MiB", f"{memory / MIB:.0f} MiB", _verdict(memory <= MEMORY_GOAL))


def _verdict(reached: bool) -> str:
    return "reached" if reached else "NOT reached"
