# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of the project, one session each. ``make test`` runs them all; ``nox --list`` names them.

The sessions share a few environments (tests/checks/environments.py), so none has one made by nox.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

import nox
from nox.command import CommandFailed

CHECKOUT = Path(__file__).resolve().parent
sys.path.insert(0, str(CHECKOUT / "tests"))

from checks import containers, environments, locking, suite, tree
from checks.environments import Environment
from checks.interpreters import find_python
from harness.paths import CACHE

# What a person starts by make speaks for itself.
if {"test", "demo", "bench"} & set(sys.argv):
    logging.getLogger("nox").setLevel(logging.WARNING)
nox.options.sessions = ["test"]
nox.options.default_venv_backend = "none"

_PACKAGE = "ansible_collections.workon.postgresql_backup.plugins"
# The longest first: two run at a time.
_CHECKS = (
    "system",
    "molecule",
    "sanity(newest)",
    "sanity(oldest)",
    "importer",
    "lint",
    "docs",
    "units(newest)",
    "units(oldest)",
    "units(target)",
    "changelog",
)
_CORES = [nox.param(environments.OLDEST, id="oldest"), nox.param(None, id="newest")]


@nox.session
def test(session: nox.Session) -> None:
    """Run all checks, quietly, and sum up."""
    sys.exit(suite.run_all(session.posargs or _CHECKS))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, licences, and roles and playbooks at the production profile."""
    binaries = environments.ensure(environments.LINT)
    collections = str(tree.linked_tree())
    tests = str(CHECKOUT / "tests")
    red = [
        " ".join(command[:2])
        for command, settings in (
            (("ruff", "check", "--quiet"), {}),
            (("ruff", "format", "--check", "--quiet"), {}),
            (("yamllint", "--strict", "."), {}),
            (("mypy", "--python-version=3.10", f"--package={_PACKAGE}"), {"MYPYPATH": collections}),
            (("mypy", "--python-version=3.11", "--package=harness", "--package=checks"), {"MYPYPATH": tests}),
            (("reuse", "lint", "--quiet"), {}),
            (("ansible-lint", "--offline"), {"ANSIBLE_COLLECTIONS_PATH": collections}),
        )
        if not _passes(session, binaries, *command, **settings)
    ]
    if red:
        session.error(f"Red: {', '.join(red)}.")


@nox.session
def docs(session: nox.Session) -> None:
    """Check the documentation of modules and roles, and every reference in it."""
    binaries = environments.ensure(environments.LINT)
    with tree.copied_tree() as collection, session.chdir(collection):
        _run(session, binaries, "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=all", ".")


@nox.session
def changelog(session: nox.Session) -> None:
    """Check the changelog and its fragments."""
    _run(session, environments.ensure(environments.LINT), "antsibull-changelog", "lint")


@nox.session
@nox.parametrize("core", [*_CORES, nox.param(environments.TARGET, id="target")])
def units(session: nox.Session, core: Environment | None) -> None:
    """Run the unit tests on the oldest and the newest ansible-core, and what managed hosts run on their oldest Python."""
    environment = _usable(core)
    where = "tests/unit/plugins/module_utils/_core" if environment is environments.TARGET else "tests/unit"
    _pytest(session, environment, f"units-{environment.name}", where)


@nox.session
def system(session: nox.Session) -> None:
    """Run the modules end to end against real PostgreSQL and real S3 servers."""
    # Each worker has servers of its own; beyond four of them nothing is gained.
    _pytest(session, environments.newest_ansible(), "system", "tests/system", "--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal")


@nox.session
def molecule(session: nox.Session) -> None:
    """Play the scenarios of molecule/ on containers, all of them; what is given after -- is for molecule instead of ``test --all``."""
    environment = _usable(environments.MOLECULE)
    obstacle = containers.obstacle()
    if obstacle:
        suite.skip(obstacle)
    binaries = environments.ensure(environment)
    tree.linked_tree()
    settings = {"MOLECULE_GLOB": "molecule/*/molecule.yml", "HOME": str(Path.home())}
    arguments = session.posargs or ["test", "--all"]
    if arguments[0] != "test" or "--destroy=never" in arguments:
        _run(session, binaries, "molecule", *arguments, **settings)
        return
    # Molecule takes what an interrupted run has prepared for prepared, and itself leaves the containers where making them has failed.
    destroy = ("molecule", "destroy", "--scenario-name=default")
    _run(session, binaries, *destroy, **settings)
    try:
        _run(session, binaries, "molecule", *arguments, **settings)
    finally:
        _run(session, binaries, *destroy, **settings)


@nox.session
@nox.parametrize("core", _CORES)
def sanity(session: nox.Session, core: Environment | None) -> None:
    """Run ansible-test sanity on the oldest and the newest ansible-core."""
    environment = _usable(core)
    binaries = environments.ensure(environment)
    home = tree.sanity_home(environment.name)
    settings = {"HOME": str(home), "LC_ALL": "C.UTF-8"}
    with tree.copied_tree() as collection, session.chdir(collection):
        _run(session, binaries, "ansible-test", "sanity", "--color=no", f"--python={environment.python}", **settings)
        target = find_python(environments.TARGET.pythons[0])
        if core is None and target:
            settings["PATH"] = os.pathsep.join((_path(binaries), str(target.parent)))
            tests = ("--test=compile", "--test=import")
            _run(session, binaries, "ansible-test", "sanity", "--color=no", f"--python={environments.TARGET.pythons[0]}", *tests, **settings)


@nox.session
def importer(session: nox.Session) -> None:
    """Build the tarball and let Galaxy's importer judge it."""
    binaries = environments.ensure(environments.IMPORTER)
    with tempfile.TemporaryDirectory(prefix="importer-") as directory, tree.copied_tree() as collection:
        _run(session, binaries, "ansible-galaxy", "collection", "build", str(collection), f"--output-path={directory}")
        tarball = next(Path(directory).glob("*.tar.gz"))
        with session.chdir(directory):
            settings = {"PATH": _path(binaries), "HOME": directory, "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true"}
            output = session.run(f"{binaries}/python", "-m", "galaxy_importer.main", tarball.name, silent=True, external=True, env=settings)
    print(output)
    # Its exit status knows of errors only; a finding of its ansible-lint is a warning.
    if any(line.startswith(("WARNING", "ERROR")) for line in str(output).splitlines()):
        session.error("The importer has complaints.")


@nox.session
def demo(session: nox.Session) -> None:
    """Back up a real PostgreSQL into a real S3 server, damage the database, restore it, and go back again."""
    _play(environments.newest_ansible(), "tests/demo/demo.py", session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure backup and restore against what people do without this collection."""
    _play(environments.BENCH, "tests/bench/bench.py", session.posargs)


@nox.session
def stores(session: nox.Session) -> None:
    """Ask the S3 servers what they honour, and write it into docs/stores.md."""
    _play(environments.newest_ansible(), "tests/stores/survey.py", session.posargs)


@nox.session(name="tree")
def lay_out_tree(session: nox.Session) -> None:
    """Lay out the collection tree for work by hand, and print the setting that makes Ansible use it."""
    print(f"export ANSIBLE_COLLECTIONS_PATH={tree.linked_tree()}")


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve the environments anew and write their lock files; name some, or all are written."""
    for environment in environments.ALL:
        if not session.posargs or environment.name in session.posargs:
            locking.write_lock(environment)


def _usable(environment: Environment | None) -> Environment:
    """Return this environment (None: the newest ansible-core), or leave the session as skipped."""
    chosen = environment or environments.newest_ansible()
    if chosen.python is None:
        suite.skip(f"No Python {' or '.join(chosen.pythons)} here, which {chosen.name} needs.")
    return chosen


def _run(session: nox.Session, binaries: Path, program: str, *arguments: str, **settings: str) -> None:
    """Run a program of an environment; by default its siblings are first on PATH and its home is in the cache, so that it litters there."""
    home = CACHE / "home"
    home.mkdir(exist_ok=True)
    session.run(f"{binaries}/{program}", *arguments, external=True, env={"PATH": _path(binaries), "HOME": str(home), **settings})


def _passes(session: nox.Session, binaries: Path, program: str, *arguments: str, **settings: str) -> bool:
    """Run a program as _run does, and say whether it succeeded, so that the next ones get their turn."""
    try:
        _run(session, binaries, program, *arguments, **settings)
    except CommandFailed:
        return False
    return True


def _path(binaries: Path) -> str:
    return f"{binaries}{os.pathsep}{os.environ['PATH']}"


def _pytest(session: nox.Session, environment: Environment, report: str, *arguments: str) -> None:
    binaries = environments.ensure(environment)
    tree.linked_tree()
    _run(
        session,
        binaries,
        "python",
        "-m",
        "pytest",
        "--quiet",
        f"--junitxml={suite.report_file(report)}",
        *arguments,
        *session.posargs,
        # The developer's own home: the caches of Go are there.
        HOME=str(Path.home()),
        HYPOTHESIS_STORAGE_DIRECTORY=str(CACHE / "hypothesis"),
    )


def _play(environment: Environment, script: str, arguments: list[str]) -> None:
    """Become a script, so that nothing stands between it and the terminal: it cleans up after Ctrl-C, and nox would not wait for that."""
    binaries = environments.ensure(environment)
    settings = {"ANSIBLE_COLLECTIONS_PATH": str(tree.linked_tree()), "PATH": _path(binaries)}
    sys.stdout.flush()
    os.chdir(CHECKOUT)
    os.execve(f"{binaries}/python", [f"{binaries}/python", script, *arguments], {**os.environ, **settings})
