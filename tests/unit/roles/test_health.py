# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles health and monitor say the same thing in their specifications, their defaults, their variables, and the modules and files behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.workon.postgresql_backup.plugins.doc_fragments import _store
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.notification import NOTIFY_SPEC
from ansible_collections.workon.postgresql_backup.plugins.modules import postgresql_backup_notify

_ROLES = Path(__file__).resolve().parents[3] / "roles"


def _load(name: str) -> Any:
    return yaml.safe_load((_ROLES / name).read_text())


_STORE = {
    name: option
    for text in (_store.ModuleDocFragment.DOCUMENTATION, _store.ModuleDocFragment.CONNECTION)
    for name, option in yaml.safe_load(text)["options"].items()
}
_SPEC = {name.removeprefix("health_"): option for name, option in _load("health/meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()}
_DEFAULTS = {name.removeprefix("health_"): value for name, value in _load("health/defaults/main.yml").items()}
_MONITOR = _load("monitor/meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_every_option_of_the_store_can_be_set() -> None:
    assert set(_STORE) < set(_SPEC)
    assert _load("health/vars/main.yml")["__health_store"] == {name: f"{{{{ health_{name} }}}}" for name in _STORE}


def test_every_channel_can_be_set_and_is_a_secret() -> None:
    channels = {name for name, option in NOTIFY_SPEC.items() if option["type"] == "dict" and "options" in option}
    assert channels == {"mail", "webhook", "slack", "ping"}
    assert {name for name, option in _SPEC.items() if option.get("no_log")} == {*channels, "secret_key", "session_token"}


@pytest.mark.parametrize("name", sorted(_SPEC))
def test_a_variable_defaults_to_the_inventorys(name: str) -> None:
    default = _SPEC[name]["default"]
    written = f"'{default}'" if isinstance(default, str) else str(default).lower() if isinstance(default, bool) else str(default)
    assert _DEFAULTS[name] == f"{{{{ postgresql_backup_{name} | default({written}) }}}}"


@pytest.mark.parametrize(("role", "others"), [("backup", "backup"), ("restore", "restore"), ("verify", "verify")])
def test_thresholds_of_a_database_are_no_unknown_option_to_the_other_roles(role: str, others: str) -> None:
    texts = _load(f"{role}/vars/main.yml")
    assert "health" in texts.get(f"__{others}_aside", texts.get(f"__{others}_of_backups", []))


def _same(options: dict[str, Any], documented: dict[str, Any]) -> None:
    assert set(options) == set(documented)
    for name, option in options.items():
        said = documented[name]
        for field in ("type", "choices", "default", "elements"):
            assert option.get(field) == said.get(field), (name, field)
        assert option.get("required", False) == said.get("required", False), name
        if "options" in option:
            _same(option["options"], said["suboptions"])


def test_the_module_is_documented_as_it_is() -> None:
    _same(NOTIFY_SPEC, yaml.safe_load(postgresql_backup_notify.DOCUMENTATION)["options"])


def test_whatever_is_a_secret_is_declared_one() -> None:
    """Whoever knows such a URL can send in its owner's name, and end the alarm of a ping."""
    assert {
        f"{channel}.{name}"
        for channel in ("mail", "webhook", "slack", "ping")
        for name, option in NOTIFY_SPEC[channel]["options"].items()
        if option.get("no_log")
    } == {
        "mail.password",
        "webhook.url",
        "webhook.headers",
        "slack.url",
        "ping.url",
    }


@pytest.mark.parametrize("name", sorted(_MONITOR))
def test_the_role_monitor_has_the_defaults_that_it_says(name: str) -> None:
    default = _load("monitor/defaults/main.yml")[name]
    said = _MONITOR[name].get("default")
    if isinstance(default, str) and "{{" in default:
        assert said is None or f"default('{said}'" in default
    else:
        assert default == said


def test_the_role_monitor_says_all_of_its_variables() -> None:
    assert set(_load("monitor/defaults/main.yml")) == set(_MONITOR)


def test_every_file_of_rules_can_be_installed() -> None:
    shipped = {path.name for path in (_ROLES / "monitor" / "files").glob("*.rules.yml")}
    assert set(_load("monitor/vars/main.yml")["__monitor_known_rules"]) == shipped
    # The examples are the same files.
    examples = _ROLES.parent / "examples" / "prometheus"
    assert {path.name: path.resolve() for path in examples.glob("*.rules.yml")} == {name: (_ROLES / "monitor" / "files" / name).resolve() for name in shipped}
