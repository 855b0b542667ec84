# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role backup says the same thing in its specification, its defaults, its variables and the module behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.workon.postgresql_backup.plugins.doc_fragments import _postgresql, _store
from ansible_collections.workon.postgresql_backup.plugins.modules import pg_backup

_ROLE = Path(__file__).resolve().parents[3] / "roles" / "backup"


def _load(name: str) -> Any:
    return yaml.safe_load((_ROLE / name).read_text())


def _module_options() -> dict[str, dict[str, Any]]:
    texts = (
        pg_backup.DOCUMENTATION,
        _postgresql.ModuleDocFragment.DOCUMENTATION,
        _store.ModuleDocFragment.DOCUMENTATION,
        _store.ModuleDocFragment.CONNECTION,
        _store.ModuleDocFragment.WRITE,
    )
    return {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}


_MODULE = _module_options()
_SPEC = {name.removeprefix("backup_"): option for name, option in _load("meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()}
_DEFAULTS = {name.removeprefix("backup_"): value for name, value in _load("defaults/main.yml").items()}
_VARS = _load("vars/main.yml")


def test_every_option_of_the_module_can_be_set() -> None:
    of_one_database = set(_VARS["__backup_own"])
    of_all = set(_VARS["__backup_common"]) | set(_VARS["__backup_login"])
    assert of_one_database | of_all == set(_MODULE)
    assert of_all == set(_SPEC) - {"databases", "database_url", "database", "name", "retention", "contacts"}


@pytest.mark.parametrize("name", sorted(set(_SPEC) - {"databases", "retention", "contacts"}))
def test_a_variable_is_specified_as_the_option_it_feeds(name: str) -> None:
    variable, option = _SPEC[name], _MODULE[name]
    assert variable["type"] == option["type"]
    assert variable.get("choices") == option.get("choices")
    assert (variable.get("default") or None) == (option.get("default") or None)


@pytest.mark.parametrize("name", sorted(_SPEC))
def test_a_variable_defaults_to_the_inventorys(name: str) -> None:
    if "default" in _SPEC[name]:
        default = _SPEC[name]["default"]
        written = f"'{default}'" if isinstance(default, str) else str(default).lower() if isinstance(default, bool) else str(default)
        assert _DEFAULTS[name] == f"{{{{ postgresql_backup_{name} | default({written}) }}}}"
    else:
        # Nothing means "not set" for a number or a choice.
        assert name not in _DEFAULTS
        merged = {**_VARS["__backup_common"], **_VARS["__backup_login"]}
        assert merged[name] == f"{{{{ backup_{name} | default(postgresql_backup_{name}) | default('') }}}}"


def test_the_defaults_have_no_other_variable() -> None:
    assert set(_DEFAULTS) <= set(_SPEC)


def test_secrets_are_marked() -> None:
    assert {name for name, option in _SPEC.items() if option.get("no_log")} == {"database_url", "login_password", "secret_key", "session_token"}
