# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The walls of the house: which layer may import what, who may know the time or end a module, and what no file may hold.

Layers, each importing only itself and those before it: ``_core`` decides, ``_io`` touches, ``_workflows`` join, ``_module`` and modules speak Ansible.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = CHECKOUT / "plugins"
UTILS = PLUGINS / "module_utils"
OURS = "ansible_collections.workon.postgresql_backup.plugins.module_utils."


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What the standard library has without reaching outside of the process.
PURE = words(
    "__future__ abc base64 binascii bisect calendar collections contextlib copy dataclasses datetime decimal enum fnmatch fractions functools hashlib heapq "
    "html ipaddress itertools json math numbers operator re string struct textwrap types typing unicodedata urllib.parse"
)

LAYERS: dict[str, frozenset[str]] = {
    "_core": frozenset({"_core"}),
    "_io": frozenset({"_core", "_io"}),
    "_workflows": frozenset({"_core", "_io", "_workflows"}),
    "_module": frozenset({"_core", "_io", "_workflows", "_module"}),
    "modules": frozenset({"_core", "_io", "_workflows", "_module"}),
}
LIBRARIES: dict[str, frozenset[str]] = {
    "_core": frozenset(),
    "_io": frozenset({"boto3", "botocore", "psycopg2"}),
    "_workflows": frozenset(),
    "_module": frozenset({"ansible.module_utils.basic"}),
    "modules": frozenset({"ansible.module_utils.basic"}),
}
# The one place below _module that speaks Ansible: its sentence about a missing library names the interpreter that lacks it.
EXCEPTIONS = {"_io/dependencies.py": frozenset({"ansible.module_utils.basic.missing_required_lib"})}
MAY_IMPORT_BY_NAME = frozenset({"_io/dependencies.py"})

CLOCKS = words("now utcnow today time time_ns monotonic monotonic_ns perf_counter localtime gmtime")
OUTSIDE = words("open print input exec eval breakpoint __import__")
ENDS_A_MODULE = frozenset({"fail_json", "exit_json"})


def imported(tree: ast.AST) -> set[str]:
    """Return every module and name that is imported anywhere in the file, as ``module`` or ``module.name``."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


def called(tree: ast.AST) -> set[str]:
    """Return the last word of everything that is called or handed over by attribute."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def is_one_of(name: str, allowed: t.Iterable[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def breaches(layer: str, path: str, source: str) -> list[str]:
    """Return what the file of this layer does that its layer may not."""
    tree = ast.parse(source)
    found = []
    for name in sorted(imported(tree)):
        own = name.removeprefix(OURS)
        if own != name:
            if own.partition(".")[0] not in LAYERS[layer]:
                found.append(f"imports {own}")
        elif layer == "_core":
            if not is_one_of(name, PURE):
                found.append(f"imports {name}")
        elif name.partition(".")[0] not in sys.stdlib_module_names and not is_one_of(name, LIBRARIES[layer] | EXCEPTIONS.get(path, frozenset())):
            found.append(f"imports {name}")
    used = called(tree)
    if layer == "_core":
        found += [f"uses {word}" for word in sorted(used & CLOCKS)]
        found += [f"calls {word}" for word in sorted(used & OUTSIDE)]
    if used & {"import_module", "__import__"} and path not in MAY_IMPORT_BY_NAME:
        found.append("imports by name")
    if layer != "modules" and path != "_module/runner.py":
        found += [f"calls {word}" for word in sorted(used & ENDS_A_MODULE)]
    return found


def plugin_files() -> list[tuple[str, str]]:
    """Return ``(layer, path within its parent)`` of every file that has a layer."""
    utils = [(path.parent.name, path.relative_to(UTILS).as_posix()) for path in sorted(UTILS.glob("*/*.py"))]
    return utils + [("modules", path.name) for path in sorted((PLUGINS / "modules").glob("*.py"))]


def source_of(layer: str, path: str) -> str:
    return ((PLUGINS / "modules" if layer == "modules" else UTILS) / path).read_text("utf-8")


@pytest.mark.parametrize(("layer", "path"), plugin_files())
def test_each_file_stays_within_its_walls(layer: str, path: str) -> None:
    assert breaches(layer, path, source_of(layer, path)) == []


def test_every_file_of_module_utils_has_a_layer() -> None:
    assert {layer for layer, _path in plugin_files()} == set(LAYERS)
    assert sorted(UTILS.rglob("*.py")) == sorted(UTILS / path for layer, path in plugin_files() if layer != "modules")


@pytest.mark.parametrize(
    ("layer", "source", "breach"),
    [
        ("_core", "import os", "imports os"),
        ("_core", "import urllib.request", "imports urllib.request"),
        ("_core", "def f():\n    from time import monotonic", "imports time.monotonic"),
        ("_core", f"from {OURS}_io.stores import Store", "imports _io.stores.Store"),
        ("_core", "from .. import _io", "imports ..._io"),
        ("_core", "import datetime\nx = datetime.datetime.now()", "uses now"),
        ("_core", "import datetime\nx = datetime.date.today", "uses today"),
        ("_core", "x = open('/etc/passwd')", "calls open"),
        ("_io", f"from {OURS}_workflows import backup", "imports _workflows.backup"),
        ("_io", f"from {OURS}_module.runner import Secrets", "imports _module.runner.Secrets"),
        ("_io", "from ansible.module_utils.basic import missing_required_lib", "imports ansible.module_utils.basic.missing_required_lib"),
        ("_io", "import importlib\nx = importlib.import_module('boto3')", "imports by name"),
        ("_workflows", "import psycopg2.errors", "imports psycopg2.errors"),
        ("_workflows", f"from {OURS}_module import runner", "imports _module.runner"),
        ("_workflows", "from ansible.module_utils.basic import AnsibleModule", "imports ansible.module_utils.basic.AnsibleModule"),
        ("_module", "import boto3", "imports boto3"),
        ("_module", "def f(module):\n    module.fail_json(msg='x')", "calls fail_json"),
        ("modules", "import psycopg2", "imports psycopg2"),
        ("modules", "from ansible_collections.amazon.aws.plugins.module_utils import s3", "imports ansible_collections.amazon.aws.plugins.module_utils.s3"),
    ],
)
def test_a_breach_is_seen(layer: str, source: str, breach: str) -> None:
    assert breaches(layer, "another.py", source) == [breach]


@pytest.mark.parametrize(
    ("layer", "path", "source"),
    [
        ("_core", "x.py", f"import re\nfrom urllib.parse import quote\nfrom {OURS}_core import naming"),
        ("_io", "x.py", f"import os, subprocess, time\nimport botocore.exceptions\nfrom {OURS}_core import naming\nx = time.time()"),
        ("_io", "_io/dependencies.py", "import importlib\nfrom ansible.module_utils.basic import missing_required_lib\nx = importlib.import_module('boto3')"),
        ("_module", "_module/runner.py", "from ansible.module_utils.basic import AnsibleModule\ndef f(module):\n    module.fail_json(msg='x')"),
    ],
)
def test_what_a_layer_is_for_is_no_breach(layer: str, path: str, source: str) -> None:
    assert breaches(layer, path, source) == []


@pytest.mark.parametrize("path", [path for layer, path in plugin_files() if layer == "modules"])
def test_a_module_is_documentation_a_spec_and_a_short_main(path: str) -> None:
    tree = ast.parse(source_of("modules", path))
    (main,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert main.name == "main"
    assert main.end_lineno is not None
    assert main.end_lineno - main.lineno + 1 < 60


HEADER = (
    "# Copyright (c) 2026, WorkOn\n"
    "# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
    "# SPDX-License-Identifier: GPL-3.0-or-later\n"
)
PRIVATE = (
    "\n# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.\n# Do not use it outside of the collection.\n"
)
# Files that can carry the header. For the rest REUSE.toml speaks.
WITH_HEADER = frozenset({".py", ".yml", ".yaml", ".toml", ".ini", ".cfg", ".sh"})
WITHOUT_HEADER = ("changelogs/", "LICENSES/", ".cache/")

# Written so that no pattern matches itself.
NOWHERE = {
    "a path of one machine": r"(?<![\w.-])/(?:wor[k]|roo[t])/|[.]pyenv/versions",
    "a package registry's host": r"\bpypi\.org|pythonhosted\.org|\b(?:proxy|sum)\.golang\.org|registry\.npmjs\.org|(?:deb|security)\.debian\.org",
    "a file that is not here": r"\b(?:DESIGN|safety|peers|(?<!docs/)stores|performance|ansible-style)\.md\b",
    "a temporary directory of somebody": r"/tm[p]/(?:lead|helpers)\b",
}


def project_files() -> list[Path]:
    """Return the files that git has or would take; in a copy without git everything outside of dot directories."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, capture_output=True, check=True, text=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.rglob("*")]
        listed = [name for name in listed if not name.startswith(".") and "__pycache__" not in name]
    return [path for name in sorted(listed) if name and (path := CHECKOUT / name).is_file() and not path.is_symlink()]


def text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""


def test_the_project_s_files_are_found() -> None:
    assert {Path(__file__).resolve(), CHECKOUT / "galaxy.yml"} <= set(project_files())


def test_every_file_says_its_licence() -> None:
    bare = []
    for path in project_files():
        name = path.relative_to(CHECKOUT).as_posix()
        if path.suffix in WITH_HEADER and not name.startswith(WITHOUT_HEADER):
            text = re.sub(r"\A(?:#!.*\n|---\n)+", "", text_of(path))
            if not text.startswith(HEADER):
                bare.append(name)
    assert bare == []


def test_module_utils_say_that_they_are_private() -> None:
    assert [path for layer, path in plugin_files() if layer != "modules" and not source_of(layer, path).startswith(HEADER + PRIVATE)] == []


@pytest.mark.parametrize("what", NOWHERE)
def test_no_file_names(what: str) -> None:
    pattern = re.compile(NOWHERE[what])
    lines = [
        f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()}"
        for path in project_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert lines == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a path of one machine", f"cd {'/work'}/main"),
        ("a path of one machine", f"'{'/root'}/.bashrc'"),
        ("a package registry's host", f"https://{'pypi'}.org/simple"),
        ("a file that is not here", f"see {'safety'}.md 4"),
        ("a temporary directory of somebody", f"{'/tmp'}/lead/venv"),
    ],
)
def test_what_no_file_may_name_is_seen(what: str, text: str) -> None:
    assert re.search(NOWHERE[what], text)


@pytest.mark.parametrize("text", ["s3://bucket/work/x", "network/root/", ".cache/work/", "pypi packages"])
def test_what_looks_alike_is_not(text: str) -> None:
    assert not [what for what, pattern in NOWHERE.items() if re.search(pattern, text)]
