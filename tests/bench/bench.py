# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a backup takes, and what it costs, beside what a shell script does. Run by ``make bench``; a measurement, no test.

It makes a database, then runs the contenders in turn (A B C, A B C, ...), so that whatever else the machine does falls on all of them alike.
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
from harness.installations import Installation, find_installations, installation
from harness.postgres import PostgresServer
from harness.process import exit_on_sigterm
from harness.stores import MinIO, RcloneS3, SeaweedFS, StoreServer

_STORES: dict[str, type[StoreServer]] = {"minio": MinIO, "seaweedfs": SeaweedFS, "rclone": RcloneS3}
_DATABASE, _LARGE, _EMPTY = "bench", "bench_large", "bench_empty"
_LEGEND = """(wall and CPU: medians; ratio: median of the ratios within each round; others: cores used by everything else meanwhile;
memory and temp disk: worst round; written: what the kernel counted as written to any disk)"""
_DEFAULT = "A,B,C,playbook"


def main() -> None:
    options = _parse(sys.argv[1:])
    exit_on_sigterm()
    _require_room(options.size + options.large)
    with _surroundings(options) as surroundings:
        _introduce(surroundings, options)
        wanted = [contender for contender in _contenders(surroundings) if contender.letter in options.only]
        # The first run of anything compiles its modules and fills caches; it also shows at once whether it works.
        database.create_empty(surroundings.server, _EMPTY)
        for contender in wanted:
            _measure(surroundings, contender, _EMPTY)
        measured = _rounds(surroundings, wanted, _fill(surroundings, _DATABASE, options.size), options.rounds) if wanted else {}
        if measured:
            print("\n" + report.comparison(measured))
            print(_LEGEND)
        large = _large(surroundings, wanted, options)
        fixed_cost = _fixed_cost(surroundings, options)
        with_zstd = surroundings.server.installation.has_zstd
    print("\n" + report.goals(measured.get("B"), measured.get("A"), large, fixed_cost, with_zstd=with_zstd))
    if options.json:
        _write_json(options.json, measured, large, fixed_cost)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=float, default=1.2, help="size of the database on disk, in GB (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often every contender runs (default: %(default)s)")
    parser.add_argument(
        "--only",
        default=_DEFAULT,
        help="what to run: A naive, B ours, C ours without proof, D content fingerprint alone, E decode alone, playbook (default: %(default)s)",
    )
    large_help = "also back up a database of this size once, for its memory (4 GB if none is given)"
    parser.add_argument("--large", type=float, nargs="?", const=4.0, default=0.0, metavar="GB", help=large_help)
    parser.add_argument("--postgres", type=int, metavar="MAJOR", help="major version of server and client (default: the newest with zstd)")
    parser.add_argument("--store", choices=_STORES, default="minio", help="S3 server (default: MinIO, or SeaweedFS where that cannot be had)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure of every run there")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
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


def _large(surroundings: Surroundings, contenders: Sequence[Contender], options: argparse.Namespace) -> report.Measured | None:
    ours = next((contender for contender in contenders if contender.letter == "B"), None)
    if not options.large or ours is None:
        return None
    measured = _rounds(surroundings, [ours], _fill(surroundings, _LARGE, options.large), 1)
    print("\n" + report.comparison(measured))
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
    # The database, WAL that is kept, and an archive of at most half its size.
    needed = int(gigabytes * 1.5 * database.GB) + 5 * database.GB
    directory = tempfile.gettempdir()
    free = shutil.disk_usage(directory).free
    if free < needed:
        sys.exit(f"The bench needs {needed / database.GB:.0f} GB in {directory}, but {free / database.GB:.0f} GB are free. Set TMPDIR or a smaller --size.")


def _write_json(path: Path, measured: Mapping[str, report.Measured], large: report.Measured | None, fixed_cost: float | None) -> None:
    everything = dict(measured) | ({"large": large} if large else {})
    figures = {
        letter: {
            "title": run.title,
            "archive_size": run.archive_size,
            "runs": [{name: value for name, value in dataclasses.asdict(cost).items() if name != "outputs"} for cost in run.costs],
        }
        for letter, run in everything.items()
    }
    path.write_text(json.dumps({"contenders": figures, "fixed_cost": fixed_cost}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (subprocess.CalledProcessError, RuntimeError, TimeoutError, LookupError) as failure:
        sys.exit(str(failure))
