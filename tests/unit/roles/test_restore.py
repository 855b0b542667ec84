# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role restore says the same thing in its specification, its defaults, its variables and the module behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.workon.postgresql_backup.plugins.doc_fragments import _checks, _postgresql, _store
from ansible_collections.workon.postgresql_backup.plugins.modules import pg_backup, pg_restore_safe

_ROLE = Path(__file__).resolve().parents[3] / "roles" / "restore"
# Said for one restore, or of something else where backups are taken: these have no collection-wide variable.
_OF_ONE_RESTORE = {
    "state",
    "backup",
    "confirm",
    "allow_production",
    "same_database",
    "allow_cross_environment",
    "allow_older_server",
    "acknowledge_replication",
    "allow_partial",
    "skip_safety_backup",
    "allow_residue",
    "show_plan",
    "fingerprint",
    "timeout",
}


def _load(name: str) -> Any:
    return yaml.safe_load((_ROLE / name).read_text())


def _options(*texts: str) -> dict[str, dict[str, Any]]:
    return {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}


_STORE = _store.ModuleDocFragment
_SHARED = (_postgresql.ModuleDocFragment.DOCUMENTATION, _STORE.DOCUMENTATION, _STORE.CONNECTION, _STORE.WRITE)
_MODULE = _options(pg_restore_safe.DOCUMENTATION, _checks.ModuleDocFragment.DOCUMENTATION, *_SHARED)
_SPEC = {name.removeprefix("restore_"): option for name, option in _load("meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()}
_DEFAULTS = {name.removeprefix("restore_"): value for name, value in _load("defaults/main.yml").items()}
_VARS = _load("vars/main.yml")
_PASSED = {**_VARS["__restore_common"], **_VARS["__restore_login"], **_VARS["__restore_this"]}


def test_every_option_of_the_module_can_be_set() -> None:
    assert set(_VARS["__restore_own"]) | set(_PASSED) == set(_MODULE)
    assert set(_SPEC) - {"databases", "show_plan", "contacts"} == set(_MODULE)


def test_what_is_said_for_one_restore_is_no_option_of_a_database() -> None:
    assert set(_VARS["__restore_this"]) == {"state", "backup", "confirm", "name", "fingerprint", "timeout"}
    assert not set(_VARS["__restore_this"]) & set(_VARS["__restore_common"])


def test_a_list_of_databases_to_back_up_is_understood() -> None:
    backup = set(_options(pg_backup.DOCUMENTATION, *_SHARED))
    assert set(_VARS["__restore_of_backups"]) == backup - set(_MODULE) | {"fingerprint", "timeout", "retention", "health", "schedule"}


@pytest.mark.parametrize("name", sorted(set(_SPEC) - {"databases", "show_plan", "contacts"}))
def test_a_variable_is_specified_as_the_option_it_feeds(name: str) -> None:
    _require_same(_SPEC[name], _MODULE[name])


def _require_same(variable: dict[str, Any], option: dict[str, Any]) -> None:
    assert (variable["type"], variable.get("elements")) == (option["type"], option.get("elements"))
    assert variable.get("choices") == option.get("choices")
    assert (variable.get("default") or None) == (option.get("default") or None)
    within, wanted = variable.get("options", {}), option.get("suboptions", {})
    assert set(within) == set(wanted)
    for name in within:
        assert within[name].get("required") == wanted[name].get("required")
        _require_same(within[name], wanted[name])


@pytest.mark.parametrize("name", sorted(_SPEC))
def test_a_variable_defaults_to_the_inventorys(name: str) -> None:
    default = _SPEC[name].get("default")
    if name in _OF_ONE_RESTORE:
        assert _DEFAULTS.get(name) == default
    elif default is not None:
        written = f"'{default}'" if isinstance(default, str) else str(default).lower() if isinstance(default, bool) else str(default)
        assert _DEFAULTS[name] == f"{{{{ postgresql_backup_{name} | default({written}) }}}}"
    else:
        # Nothing means "not set" for a number or a choice.
        assert name not in _DEFAULTS
        assert _PASSED[name] == f"{{{{ restore_{name} | default(postgresql_backup_{name}) | default('') }}}}"


def test_the_defaults_have_no_other_variable() -> None:
    assert set(_DEFAULTS) <= set(_SPEC)


def test_secrets_are_marked() -> None:
    assert {name for name, option in _SPEC.items() if option.get("no_log")} == {"database_url", "login_password", "secret_key", "session_token"}
    assert _SPEC["checks"]["options"]["http"]["options"]["headers"]["no_log"]


# The examples for AWX


class _Loader(yaml.SafeLoader):
    """Reads what is not to be templated as the text that it is."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def _awx(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(iter(yaml.load((_ROLE.parents[1] / "examples" / "awx" / name).read_text(), _Loader).values()))
    return found


def test_what_awx_sets_is_what_the_playbook_understands() -> None:
    words = {"restore": {"backup", "confirm"}, "verify": {"backup", "mode"}, "health": set()}
    for template in [*_awx("job_templates.yml"), *_awx("workflow.yml")]:
        asked = {question["variable"] for question in template.get("survey_spec", {}).get("spec", [])}
        role = template.get("playbook", "playbooks/restore.yml").removeprefix("playbooks/").removesuffix(".yml")
        specification = yaml.safe_load((_ROLE.parent / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
        assert asked | set(template.get("extra_vars", {})) <= {"target", *words[role], *specification}, template["name"]
        assert template.get("job_tags", "rollback") in ("rollback", "finalize")


def test_awx_asks_for_the_phrase_and_offers_none() -> None:
    (template,) = (found for found in _awx("job_templates.yml") if found["name"] == "restore production")
    (question,) = (found for found in template["survey_spec"]["spec"] if found["variable"] == "confirm")
    assert (question["type"], question["required"], question["default"]) == ("text", True, "")


def test_the_workflow_runs_templates_that_there_are_and_ends_with_the_approved_one() -> None:
    names = {template["name"] for template in _awx("job_templates.yml")}
    (workflow,) = _awx("workflow.yml")
    nodes = {node["identifier"]: node for node in workflow["simplified_workflow_nodes"]}
    assert {node["unified_job_template"] for node in nodes.values() if "approval_node" not in node} <= names
    assert [nodes[name].get("success_nodes") for name in ("plan", "approve", "restore")] == [["approve"], ["restore"], None]
    assert "approval_node" in nodes["approve"]
