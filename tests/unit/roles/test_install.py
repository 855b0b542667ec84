# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role install says the same thing in its specification, its defaults and its variables; its programs pack collections and read requirements."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nativetypes
import pytest
import yaml
from ansible.plugins.filter.core import FilterModule
from ansible.plugins.test.core import TestModule as JinjaTests

from harness.paths import CHECKOUT

_ROLE = CHECKOUT / "roles" / "install"
_FROM_THE_INVENTORY = {"client_source", "client_majors", "databases"}


def _load(name: str) -> Any:
    return yaml.safe_load((_ROLE / name).read_text())


_SPEC = {name.removeprefix("install_"): option for name, option in _load("meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()}
_DEFAULTS = {name.removeprefix("install_"): value for name, value in _load("defaults/main.yml").items()}
_VARS = _load("vars/main.yml")
_SECRET = re.compile(_VARS["__install_secret"])


def test_every_variable_has_a_default() -> None:
    assert list(_SPEC) == list(_DEFAULTS)


@pytest.mark.parametrize("name", sorted(set(_SPEC) - _FROM_THE_INVENTORY))
def test_a_default_is_as_specified(name: str) -> None:
    assert _DEFAULTS[name] == _SPEC[name]["default"]


@pytest.mark.parametrize("name", sorted(_FROM_THE_INVENTORY))
def test_a_default_is_the_inventory_s(name: str) -> None:
    default = _SPEC[name]["default"]
    assert _DEFAULTS[name] == f"{{{{ postgresql_backup_{name} | default({default!r}) }}}}"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_libraries_are_those_that_the_collection_is_tested_with(python: str) -> None:
    lock = "ansible-2.19.txt" if python == "3.11" else "ansible-2.21.txt"
    locked = (CHECKOUT / "tests" / "constraints" / lock).read_text().splitlines()
    for requirement in _DEFAULTS["requirements"]:
        pinned, _separator, marker = requirement.partition("; ")
        if not marker or (python == "3.11") == (marker == 'python_version < "3.12"'):
            assert pinned in locked


# Everything of the collection that is a secret, and what must be readable.
@pytest.mark.parametrize(
    "name",
    [
        "database_url",
        "login_password",
        "secret_key",
        "session_token",
        "access_key",
        "mail",
        "webhook",
        "slack",
        "ping",
        "checks",
        "restore_webhook_headers",
        "vault_token",
        "passphrase",
    ],
)
def test_a_secret_goes_into_its_own_file(name: str) -> None:
    assert _SECRET.search(name) and _SECRET.search(f"postgresql_backup_{name}")


@pytest.mark.parametrize("name", ["endpoint_url", "bucket", "kms_key_id", "login_user", "retention", "health", "thresholds", "contacts", "labels"])
def test_what_is_no_secret_can_be_read(name: str) -> None:
    assert not _SECRET.search(name) and not _SECRET.search(f"postgresql_backup_{name}")


def test_every_option_that_the_roles_hide_is_a_secret() -> None:
    for path in sorted((CHECKOUT / "roles").glob("*/meta/argument_specs.yml")):
        role = path.parents[1].name
        for name, option in yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"].items():
            if option.get("no_log"):
                assert _SECRET.search(name.removeprefix(f"{role}_")), f"{name} is hidden by the role {role}, and would be written where others can read it."


class _Unsafe(yaml.SafeLoader):
    """Reads literals as Ansible does, and takes nothing that Ansible would take for a template."""


def _harmless(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    assert "{" not in text
    return text


_Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
_Unsafe.add_constructor("tag:yaml.org,2002:str", _harmless)


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        'quo"te\\n',
        "{{ lookup('pipe', 'id') }}",
        "größer 🐘",
        "line\nbreak: #",
        "",
        True,
        None,
        3,
        1.5,
        [],
        {},
        ["{% if %}", {"a b": ["{#", 1]}],
        {"on": "yes", "1": {"x": None}},
    ],
    ids=repr,
)
def test_a_value_is_written_so_that_it_is_read_as_it_was(value: Any) -> None:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_ROLE / "templates"), autoescape=False)
    environment.filters.update(FilterModule().filters())
    environment.tests.update({**JinjaTests().tests(), "ansible.builtin.vault_encrypted": lambda _value: False})
    text = environment.from_string("{% from 'literal.j2' import literal with context %}{{ literal(value) }}").render(value=value)
    assert "\n" not in text
    assert yaml.load(f"name: {text}", _Unsafe)["name"] == value


@pytest.mark.parametrize(
    ("store", "refused"),
    [
        ("/var/lib/postgresql-backup", True),
        ("/var/lib/postgresql-backup/backups", True),
        ("/srv/../opt/postgresql-backup/backups/", True),
        ("/etc//postgresql-backup/x", True),
        ("/srv/backups", False),
        ("/var/lib/postgresql-backups", False),
        ("/srv/var/lib/postgresql-backup", False),
    ],
)
def test_no_store_is_where_the_installation_goes(store: str, refused: bool) -> None:
    environment = jinja2.nativetypes.NativeEnvironment(autoescape=False)
    environment.filters.update(FilterModule().filters())
    environment.tests.update(JinjaTests().tests())
    own = [environment.from_string(path).render(_VARS) for path in _VARS["__install_own_directories"]]
    found = environment.from_string(_VARS["__install_stores_inside"]).render(__install_stores=[store], __install_own_directories=own)
    assert bool(found) == refused


def _pack(source: Path, directory: Path) -> dict[str, str]:
    directory.mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, str(_ROLE / "files" / "pack_collection.py"), str(source), str(directory)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise AssertionError(result.stderr)
    packed: dict[str, str] = json.loads(result.stdout)
    return packed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    directory = tmp_path / "checkout"
    for name in ("galaxy.yml", "README.md", "meta", "roles/retention"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy)(CHECKOUT / name, directory / name)
    return directory


def test_a_checkout_what_is_installed_of_it_and_its_tarball_are_the_same(checkout: Path, tmp_path: Path) -> None:
    built = _pack(checkout, tmp_path / "one")
    installed = tmp_path / "installed"
    with tarfile.open(built["archive"]) as tar:
        tar.extractall(installed, filter="data")
    (installed / "roles" / "later.txt").write_text("no part of it")
    again = _pack(installed, tmp_path / "two")
    with tarfile.open(again["archive"]) as tar:
        assert "roles/later.txt" not in tar.getnames()
    given = _pack(Path(again["archive"]), tmp_path / "three")
    assert given["archive"] == again["archive"]
    assert built["content"] == again["content"] == given["content"]
    assert built["version"] == given["version"] == yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["version"]


def test_another_content_of_the_same_version_is_told_apart(checkout: Path, tmp_path: Path) -> None:
    before = _pack(checkout, tmp_path / "before")
    (checkout / "README.md").write_text("Another one.")
    after = _pack(checkout, tmp_path / "after")
    assert before["version"] == after["version"]
    assert before["content"] != after["content"]


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="is no collection: it has neither"):
        _pack(tmp_path, tmp_path / "packed")
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz"):
        pass
    with pytest.raises(AssertionError, match="is no collection: it has no MANIFEST"):
        _pack(tmp_path / "other.tar.gz", tmp_path / "packed")


def test_requirements_that_are_not_met_are_named() -> None:
    version = metadata.version("boto3")
    given = [f"boto3=={version}", "boto3==0.1", 'boto3==0.2; python_version < "3"', "there-is-no-such-thing==1", 'other==1; python_version < "3"']
    result = subprocess.run([sys.executable, str(_ROLE / "files" / "unmet_requirements.py"), *given], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"boto3==0.1 (installed: {version})", "there-is-no-such-thing==1 (installed: none)"]
