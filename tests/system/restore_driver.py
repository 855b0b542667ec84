# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that stands still at one of its states, for tests that end something there: ``restore_driver.py STATE``.

It is pg_restore_safe without Ansible around it. The first line of its standard input holds the options, the second lets it go on.
``start_restore`` starts it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks.tree import linked_tree

sys.path.insert(0, str(linked_tree()))

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.postgresql import POSTGRESQL_SPEC
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.restore import RESTORE_SPEC, restore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import STORE_SPEC, STORE_WRITE_SPEC

if TYPE_CHECKING:
    from harness.ansible_runner import Running
    from system.restoring import Scene


def start_restore(scene: Scene, stop_at: str, **options: Any) -> Running:
    """Start a restore that stands still at this state, and return once it does; without a state it does not."""
    running = scene.ansible.start_program(Path(__file__), stop_at)
    running.tell(json.dumps(scene.options(**options)))
    if stop_at:
        running.wait_for_output(f"Reached {stop_at}.")
    return running


def main(stop_at: str) -> int:
    given = json.loads(sys.stdin.readline())
    params = {name: spec.get("default") for name, spec in {**POSTGRESQL_SPEC, **STORE_SPEC, **STORE_WRITE_SPEC, **RESTORE_SPEC}.items()}

    def listen(state: str) -> None:
        if state == stop_at:
            print(f"Reached {state}.", flush=True)
            sys.stdin.readline()

    secrets = Secrets(cast(Any, SimpleNamespace(no_log_values=set())))
    try:
        result = restore({**params, **given}, secrets, check_mode=False, diff_mode=False, listener=listen)
    except BackupError as error:
        return _print("FAILED!", {"msg": secrets.redact(error.message), **secrets.redact_value(error.details)})
    return _print("CHANGED", result)


def _print(verdict: str, result: dict[str, Any]) -> int:
    print(f"localhost | {verdict} => {json.dumps(result)}", flush=True)
    return 2 if verdict == "FAILED!" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
