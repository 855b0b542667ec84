# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role retention says the same thing in its specification, its defaults, its variables, the module behind it, and the role that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.workon.postgresql_backup.plugins.doc_fragments import _retention, _store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.retention import POLICY_SPEC
from ansible_collections.workon.postgresql_backup.plugins.modules import s3_retention

_ROLES = Path(__file__).resolve().parents[3] / "roles"


def _load(name: str) -> Any:
    return yaml.safe_load((_ROLES / name).read_text())


_MODULE = {
    name: option
    for text in (s3_retention.DOCUMENTATION, _retention.ModuleDocFragment.DOCUMENTATION)
    for name, option in yaml.safe_load(text)["options"].items()
}
_STORE = {
    name: option
    for text in (_store.ModuleDocFragment.DOCUMENTATION, _store.ModuleDocFragment.CONNECTION)
    for name, option in yaml.safe_load(text)["options"].items()
}
_SPEC = {name.removeprefix("retention_"): option for name, option in _load("retention/meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()}
_POLICY = _SPEC["policy"]["options"]
_DEFAULTS = {name.removeprefix("retention_"): value for name, value in _load("retention/defaults/main.yml").items()}


def test_a_policy_has_the_options_of_the_module() -> None:
    assert set(_POLICY) == set(_MODULE) - {"name"}
    assert set(POLICY_SPEC) == set(_POLICY) - {"purge_versions"}
    for name, option in _POLICY.items():
        assert option["type"] == _MODULE[name]["type"]
        # A default here would come before the module's own.
        assert "default" not in option


@pytest.mark.parametrize("name", sorted(POLICY_SPEC))
def test_the_module_is_documented_as_it_is(name: str) -> None:
    assert (POLICY_SPEC[name]["type"], POLICY_SPEC[name].get("default")) == (_MODULE[name]["type"], _MODULE[name].get("default"))


def test_every_option_of_the_store_can_be_set() -> None:
    assert set(_SPEC) == {*_STORE, "databases", "database", "name", "policy"}
    assert _load("retention/vars/main.yml")["__retention_store"] == {name: f"{{{{ retention_{name} }}}}" for name in _STORE}
    assert {name for name, option in _SPEC.items() if option.get("no_log")} == {"secret_key", "session_token"}


@pytest.mark.parametrize("name", sorted(_SPEC))
def test_a_variable_defaults_to_the_inventorys(name: str) -> None:
    default = _SPEC[name]["default"]
    written = f"'{default}'" if isinstance(default, str) else str(default).lower() if isinstance(default, bool) else str(default)
    assert _DEFAULTS[name] == f"{{{{ postgresql_backup_{'retention' if name == 'policy' else name} | default({written}) }}}}"


def test_the_role_backup_hands_on_its_whole_store() -> None:
    (always,) = [task for task in _load("backup/tasks/main.yml") if "always" in task]
    (block,) = [task for task in always["always"] if "block" in task]
    handed_on = block["block"][0]["vars"]
    assert {name for name in handed_on if name not in ("retention_databases", "retention_policy")} == {f"retention_{name}" for name in _STORE}
    assert all(handed_on[f"retention_{name}"] == f"{{{{ backup_{name} }}}}" for name in _STORE)
