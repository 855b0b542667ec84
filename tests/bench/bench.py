# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a backup and a restore take, and what they cost, beside what a shell script does. Run by ``make bench``; a measurement, no test.

It makes a database, then runs the contenders in turn (A B C, A B C, ...), so that whatever else the machine does falls on all of them alike.
First those that back up, then those that restore, then a restore each while 32 clients read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Run as a file: its own directory makes way for the one that holds both packages.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import database, playbook, report
from bench.contenders import BUCKET, Contender, Naive, Ours, Surroundings
from bench.measuring import Command, Cost, measure, started_children
from bench.readers import Readers
from bench.restorers import Restorer, Scene, restorers
from harness.installations import Installation, find_installations, installation
from harness.postgres import PostgresServer
from harness.process import exit_on_sigterm
from harness.stores import MinIO, RcloneS3, SeaweedFS, StoreServer

_STORES: dict[str, type[StoreServer]] = {"minio": MinIO, "seaweedfs": SeaweedFS, "rclone": RcloneS3}
_DATABASE, _LARGE, _EMPTY = "bench", "bench_large", "bench_empty"
_LEGEND = """(wall and CPU: medians; ratio: median of the ratios within each round; others: cores used by everything else meanwhile;
memory and temp disk: worst round; written: what the kernel counted as written to any disk)"""
_RESTORE_LEGEND = """(the target exists and is full. F takes the shell script's own archive (gzip), the others that of pg_backup. What a restore of
ours has replaced is kept, and dropped outside of the figures)"""
_STATES_LEGEND = """(read: everything before the first state: the program's start, every safeguard, and the archive read to its end)"""
_INTERRUPTION_LEGEND = """(medians of the runs. A whole read sees all of the old or all of the new state of the first and the last table of the archive; a wrong
one anything else, or the old state after the new one. nobody: from the last whole read of the old state by any client to the first of the new one.
Of the worst client in each run: a gap is the time between two whole reads; unavailable: the sum of its gaps in which a read failed or was wrong;
longest wait: its longest other gap, which is what so many clients make of this machine. F builds indexes and constraints after that, which is not counted)"""
_CLIENTS = 32
# Words that stand for several contenders.
_PARTS = {"backup": "A,B,C", "restore": "F,G,H,I,J", "interruption": "interruption", "playbook": "playbook"}
_LETTERS = "ABCDEFGHIJK"
_INTERRUPTING = "F", "G"


def main() -> None:
    options = _parse(sys.argv[1:])
    exit_on_sigterm()
    _require_room(options.size + options.large)
    with _surroundings(options) as surroundings:
        _introduce(surroundings, options)
        figures: dict[str, object] = {}
        goals = _measure_backups(surroundings, options, figures)
        goals += _measure_restores(surroundings, options, figures)
    print("\n" + report.goal_table(goals))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


def _measure_backups(surroundings: Surroundings, options: argparse.Namespace, figures: dict[str, object]) -> list[report.Goal]:
    """Measure everything about backups; return the goals, and leave every figure in ``figures``."""
    wanted = [contender for contender in _contenders(surroundings) if contender.letter in options.only]
    # The first run of anything compiles its modules and fills caches; it also shows at once whether it works.
    database.create_empty(surroundings.server, _EMPTY)
    for contender in wanted:
        _measure(surroundings, contender, _EMPTY)
    measured = _rounds(surroundings, wanted, _fill(surroundings, _DATABASE, options.size), options.rounds) if wanted else {}
    if measured:
        print("\n" + report.comparison(measured, "A"))
        print(_LEGEND)
    large = _large(surroundings, wanted, options)
    fixed_cost = _fixed_cost(surroundings, options)
    figures.update(_as_data(dict(measured) | ({"large": large} if large else {})), fixed_cost=fixed_cost)
    with_zstd = surroundings.server.installation.has_zstd
    return report.backup_goals(measured.get("B"), measured.get("A"), large, with_zstd=with_zstd) + report.fixed_cost_goals(fixed_cost)


def _measure_restores(surroundings: Surroundings, options: argparse.Namespace, figures: dict[str, object]) -> list[report.Goal]:
    """Measure everything about restores; return the goals, and leave every figure in ``figures``."""
    known = {restorer.letter: restorer for restorer in restorers(surroundings)}
    wanted = [restorer for letter, restorer in known.items() if letter in options.only]
    interrupting = [known[letter] for letter in _INTERRUPTING] if "interruption" in options.only else []
    if not wanted and not interrupting:
        return []
    server = surroundings.server
    if not database.exists(server, _DATABASE):
        _fill(surroundings, _DATABASE, options.size)
    server.stop()
    server.settings = dict(database.RESTORE_SETTINGS)
    server.start()
    print("\n" + database.describe(server), flush=True)
    scene = Scene(surroundings, _DATABASE, lambda commands, environment: _run(surroundings, commands, environment))
    measured = _restore_rounds(surroundings, scene, wanted, options.rounds) if wanted else {}
    if measured:
        print("\n" + report.comparison(measured, "F"))
        print(_RESTORE_LEGEND)
        print("\nSeconds from each state of ours to the next (medians):\n" + report.restore_states(measured))
        print(_STATES_LEGEND)
    seen = _interruption_rounds(surroundings, scene, interrupting, options.rounds)
    if seen:
        print(f"\nWhat {_CLIENTS} clients saw that connect, read and close in a tight loop:")
        print(report.interruptions(seen, {restorer.letter: restorer.title for restorer in interrupting}))
        print(_INTERRUPTION_LEGEND)
    figures.update(_as_data(measured), interruption={letter: [dataclasses.asdict(run) for run in runs] for letter, runs in seen.items()})
    return report.restore_goals(measured) + report.interruption_goals(seen.get("F", []), seen.get("G", []))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=1.2, help="size of the database on disk, in GB (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often every contender runs (default: %(default)s)")
    parser.add_argument(
        "--only",
        default=",".join(_PARTS),
        help="what to run: backup (A naive, B ours, C ours without proof; also D content fingerprint alone, E decode alone), "
        "restore (F naive, G ours, H ours with safety backup, I ours without proof, J ours without temporary disk; also K naive, of our archive), "
        "interruption, playbook (default: %(default)s)",
    )
    large_help = "also back up a database of this size once, for its memory (4 GB if none is given)"
    parser.add_argument("--large", type=float, nargs="?", const=4.0, default=0.0, metavar="GB", help=large_help)
    parser.add_argument("--postgres", type=int, metavar="MAJOR", help="major version of server and client (default: the newest with zstd)")
    parser.add_argument("--store", choices=_STORES, default="minio", help="S3 server (default: MinIO, or SeaweedFS where that cannot be had)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure of every run there")
    options = parser.parse_args(arguments)
    options.only = [what for word in options.only.split(",") for what in _PARTS.get(word, word).split(",")]
    unknown = [word for word in options.only if word not in {*_LETTERS, *_PARTS}]
    if unknown:
        parser.error(f"--only does not know {', '.join(unknown)}.")
    return options


@contextmanager
def _surroundings(options: argparse.Namespace) -> Iterator[Surroundings]:
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer(_choose_postgres(options.postgres), settings=database.SERVER_SETTINGS))
        store = _enter_store(stack, options.store)
        store.make_bucket(BUCKET)
        yield Surroundings(server, store, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))))


def _choose_postgres(major: int | None) -> Installation:
    if major is not None:
        return installation(major)
    with_zstd = [each for each in find_installations() if each.has_zstd]
    return with_zstd[-1] if with_zstd else find_installations()[-1]


def _enter_store(stack: ExitStack, name: str) -> StoreServer:
    try:
        return stack.enter_context(_STORES[name]())
    except (RuntimeError, OSError, StopIteration) as error:
        if name != "minio":
            raise
        print(f"MinIO cannot be had here ({str(error).splitlines()[0]}), so the bench takes SeaweedFS.")
        return stack.enter_context(SeaweedFS())


def _contenders(surroundings: Surroundings) -> list[Contender]:
    return [
        Naive(surroundings),
        Ours(surroundings, "B", "pg_backup: content fingerprint, decode"),
        Ours(surroundings, "C", "pg_backup without proof", fingerprint="none", verify="hash"),
        Ours(surroundings, "D", "pg_backup: content fingerprint alone", verify="hash"),
        Ours(surroundings, "E", "pg_backup: decode alone", fingerprint="none"),
    ]


def _introduce(surroundings: Surroundings, options: argparse.Namespace) -> None:
    client = surroundings.server.installation
    print(database.describe(surroundings.server))
    compression = "with" if client.has_zstd else "without"
    print(f"client {client.version} {compression} zstd; S3 server {surroundings.store.name}; all of it on this machine, {os.cpu_count()} cores")
    print(f"{options.rounds} rounds in turn. Ratios of a run in which 'others' stay near 0 are the ones to trust.", flush=True)


def _fill(surroundings: Surroundings, name: str, gigabytes: float) -> str:
    started = time.monotonic()
    made = database.create(surroundings.server, name, gigabytes)
    print(f"database {name}: {made / database.GB:.2f} GB on disk, made in {time.monotonic() - started:.0f} s", flush=True)
    return name


def _rounds(surroundings: Surroundings, contenders: Sequence[Contender], name: str, rounds: int) -> dict[str, report.Measured]:
    costs: dict[str, list[Cost]] = {contender.letter: [] for contender in contenders}
    sizes: dict[str, int] = {}
    for number in range(1, rounds + 1):
        load = os.getloadavg()[0]
        for contender in contenders:
            cost, sizes[contender.letter] = _measure(surroundings, contender, name)
            costs[contender.letter].append(cost)
        walls = "  ".join(f"{letter} {runs[-1].wall:.2f} s" for letter, runs in costs.items())
        print(f"round {number}: {walls}   (load before: {load:.1f})", flush=True)
    return {contender.letter: report.Measured(contender.title, costs[contender.letter], sizes[contender.letter]) for contender in contenders}


def _measure(surroundings: Surroundings, contender: Contender, name: str) -> tuple[Cost, int]:
    """Run one contender once; return its cost and the size of its archive."""
    cost = _run(surroundings, lambda temporary: contender.commands(name, temporary), contender.environment())
    size = contender.archive_size()
    contender.clean()
    return cost, size


def _run(surroundings: Surroundings, commands: Callable[[Path], Sequence[Command]], environment: Mapping[str, str]) -> Cost:
    """Measure commands, always from the same state: nothing is left to be written, the temporary directory is empty."""
    database.settle(surroundings.server)
    os.sync()
    server = int((surroundings.server.directory / "postmaster.pid").read_text().split()[0])
    (store,) = started_children(surroundings.store.program)
    with tempfile.TemporaryDirectory(prefix="temporary-", dir=surroundings.scratch) as temporary:
        return measure(commands(Path(temporary)), environment, Path(temporary), server=server, store=store)


def _restore_rounds(surroundings: Surroundings, scene: Scene, wanted: Sequence[Restorer], rounds: int) -> dict[str, report.Measured]:
    costs: dict[str, list[Cost]] = {restorer.letter: [] for restorer in wanted}
    for number in range(1, rounds + 1):
        load = os.getloadavg()[0]
        for restorer in wanted:
            costs[restorer.letter].append(_restore(surroundings, scene, restorer))
            scene.tidy()
        walls = "  ".join(f"{letter} {runs[-1].wall:.2f} s" for letter, runs in costs.items())
        print(f"round {number}: {walls}   (load before: {load:.1f})", flush=True)
    return {
        restorer.letter: report.Measured(restorer.title, runs := costs[restorer.letter], scene.archive_size(restorer), [restorer.states(cost) for cost in runs])
        for restorer in wanted
    }


def _interruption_rounds(surroundings: Surroundings, scene: Scene, wanted: Sequence[Restorer], rounds: int) -> dict[str, list[report.Interruption]]:
    seen: dict[str, list[report.Interruption]] = {restorer.letter: [] for restorer in wanted}
    if not wanted:
        return seen
    server = surroundings.server
    new = database.read(server, scene.database)
    for number in range(1, rounds + 1):
        load = os.getloadavg()[0]
        for restorer in wanted:
            database.change(server, scene.database)
            old = database.read(server, scene.database)
            with Readers(server.url(scene.database), database.READING, old=old, new=new, clients=_CLIENTS) as readers:
                cost = _restore(surroundings, scene, restorer)
                seen[restorer.letter].append(report.Interruption(cost.wall, restorer.states(cost).get("swapped"), readers.finish()))
            scene.tidy()
        gaps = "  ".join(
            f"{letter} {runs[-1].wall:.2f} s, nobody {runs[-1].nobody:.2f} s, worst client {runs[-1].unavailable:.2f} s" for letter, runs in seen.items()
        )
        print(f"round {number} with {_CLIENTS} clients: {gaps}   (load before: {load:.1f})", flush=True)
    return seen


def _restore(surroundings: Surroundings, scene: Scene, restorer: Restorer) -> Cost:
    return _run(surroundings, lambda temporary: restorer.commands(scene.database, temporary), restorer.environment())


def _large(surroundings: Surroundings, contenders: Sequence[Contender], options: argparse.Namespace) -> report.Measured | None:
    ours = next((contender for contender in contenders if contender.letter == "B"), None)
    if not options.large or ours is None:
        return None
    measured = _rounds(surroundings, [ours], _fill(surroundings, _LARGE, options.large), 1)
    print("\n" + report.comparison(measured, "A"))
    return measured["B"]


def _fixed_cost(surroundings: Surroundings, options: argparse.Namespace) -> float | None:
    if "playbook" not in options.only:
        return None
    missing = playbook.missing()
    if missing:
        print(f"\nThe fixed cost of the playbook is not measured: {missing}")
        return None
    costs = playbook.costs(surroundings, _EMPTY, options.rounds, lambda command, environment: _run(surroundings, lambda _temporary: [command], environment))
    median = statistics.median(cost.wall for cost in costs)
    each = ", ".join(f"{cost.wall:.2f}" for cost in costs)
    cpu, others = (statistics.median(figures) for figures in zip(*((cost.client_cpu, cost.foreign_cpu / cost.wall) for cost in costs), strict=True))
    print(f"\nansible-playbook playbooks/backup.yml on an empty database: {median:.2f} s (median of {each}); {cpu:.1f} CPU s, others {others:.1f} cores")
    return median


def _require_room(gigabytes: float) -> None:
    # The database, a restored one beside it, WAL that is kept, and archives of at most half its size.
    needed = int(gigabytes * 3.5 * database.GB) + 5 * database.GB
    directory = tempfile.gettempdir()
    free = shutil.disk_usage(directory).free
    if free < needed:
        sys.exit(f"The bench needs {needed / database.GB:.0f} GB in {directory}, but {free / database.GB:.0f} GB are free. Set TMPDIR or a smaller --size.")


def _as_data(measured: Mapping[str, report.Measured]) -> dict[str, object]:
    return {
        letter: {
            "title": run.title,
            "archive_size": run.archive_size,
            "runs": [{name: value for name, value in dataclasses.asdict(cost).items() if name != "outputs"} for cost in run.costs],
            "states": list(run.states),
        }
        for letter, run in measured.items()
    }


if __name__ == "__main__":
    try:
        main()
    except (subprocess.CalledProcessError, RuntimeError, TimeoutError, LookupError) as failure:
        sys.exit(str(failure))
