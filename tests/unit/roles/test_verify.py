# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role verify says the same thing in its specification, its defaults, its variables and the modules behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.workon.postgresql_backup.plugins.doc_fragments import _checks, _postgresql, _store
from ansible_collections.workon.postgresql_backup.plugins.modules import pg_backup, pg_database_info, pg_restore_safe, pg_restore_test

_ROLE = Path(__file__).resolve().parents[3] / "roles" / "verify"
# Said for one run: these have no collection-wide variable.
_OF_ONE_RUN = {"mode", "backup", "server", "allow_production", "timeout", "ownership", "scratch_ttl"}
_OF_THE_ROLE = {"databases", "mode", "server", "contacts"}


def _load(name: str) -> Any:
    return yaml.safe_load((_ROLE / name).read_text())


def _options(*texts: str) -> dict[str, dict[str, Any]]:
    return {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}


_STORE = _store.ModuleDocFragment
_CHECKS = _checks.ModuleDocFragment.DOCUMENTATION
_SHARED = (_postgresql.ModuleDocFragment.DOCUMENTATION, _STORE.DOCUMENTATION, _STORE.CONNECTION)
_MODULE = _options(*_SHARED, _CHECKS, pg_restore_test.DOCUMENTATION)
_LIVE = _options(*_SHARED, _CHECKS, pg_database_info.DOCUMENTATION)
_SPEC = {name.removeprefix("verify_"): option for name, option in _load("meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()}
_DEFAULTS = {name.removeprefix("verify_"): value for name, value in _load("defaults/main.yml").items()}
_VARS = _load("vars/main.yml")
_PASSED = {**_VARS["__verify_common"], **_VARS["__verify_login"], **_VARS["__verify_this"]}


def test_every_option_of_the_module_can_be_set() -> None:
    assert set(_VARS["__verify_own"]) | set(_PASSED) == set(_MODULE)
    assert set(_SPEC) - _OF_THE_ROLE == set(_MODULE)


def test_what_the_other_module_gets_are_its_options() -> None:
    assert set(_VARS["__verify_of_live"]) <= set(_LIVE)
    assert set(_VARS["__verify_of_servers"]) <= set(_MODULE)


def test_a_list_of_databases_that_others_share_is_understood() -> None:
    backup = set(_options(*_SHARED, _STORE.WRITE, pg_backup.DOCUMENTATION))
    of_restores = {"strategy", "keep_previous", "safety_name"}
    assert of_restores <= set(_options(pg_restore_safe.DOCUMENTATION))
    assert set(_VARS["__verify_aside"]) == backup - set(_MODULE) | of_restores | {"timeout", "retention", "health", "schedule"}


@pytest.mark.parametrize("name", sorted(set(_SPEC) - _OF_THE_ROLE))
def test_a_variable_is_specified_as_the_option_it_feeds(name: str) -> None:
    variable, option = _SPEC[name], _MODULE[name]
    assert (variable["type"], variable.get("elements")) == (option["type"], option.get("elements"))
    assert variable.get("choices") == option.get("choices")
    assert (variable.get("default") or None) == (option.get("default") or None)
    assert set(variable.get("options", {})) == set(option.get("suboptions", {}))


@pytest.mark.parametrize("name", sorted(_DEFAULTS))
def test_a_default_is_the_inventory_s_or_that_of_one_run(name: str) -> None:
    default = _DEFAULTS[name]
    if name in _OF_ONE_RUN:
        assert default == _SPEC[name]["default"]
    else:
        assert f"postgresql_backup_{name} | default(" in default
    assert set(_DEFAULTS) <= set(_SPEC)
