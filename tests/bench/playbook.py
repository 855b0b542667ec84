# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixed cost of the playbook: everything but the database's size."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.contenders import BUCKET, Surroundings
from bench.measuring import Command, Cost
from harness.paths import CHECKOUT

_PLAYBOOK = CHECKOUT / "playbooks" / "backup.yml"


def missing() -> str | None:
    """Say why the playbook cannot be measured here, if so."""
    if not _PLAYBOOK.exists():
        return "playbooks/backup.yml is not there."
    if not _ansible_playbook():
        return "ansible-playbook is not installed beside this Python."
    return None


def costs(surroundings: Surroundings, database: str, rounds: int, run: Callable[[Command, Mapping[str, str]], Cost]) -> list[Cost]:
    """Return what each run of the playbook took; a first one that fills caches is left out."""
    inventory = surroundings.scratch / "inventory.json"
    inventory.touch(mode=0o600)
    inventory.write_text(json.dumps(_inventory(surroundings, database)))
    command = Command([str(_ansible_playbook()), "-i", str(inventory), str(_PLAYBOOK), "-e", "target=bench"])
    environment = surroundings.environment() | {"ANSIBLE_COLLECTIONS_PATH": str(surroundings.collections()), "ANSIBLE_NOCOLOR": "1"}
    taken = [run(command, environment) for _round in range(rounds + 1)]
    stored = [key for key in surroundings.store.keys(BUCKET) if key.endswith(".manifest.json")]
    if len(stored) != len(taken):
        raise RuntimeError(f"The playbook ran {len(taken)} times, but {len(stored)} backups are in the bucket, so its time means nothing.")
    return taken[1:]


def _inventory(surroundings: Surroundings, database: str) -> dict[str, object]:
    server, store = surroundings.server, surroundings.store
    return {
        "all": {
            "hosts": {"bench": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}},
            "vars": {
                "postgresql_backup_databases": [{"name": "bench", "database_url": server.url(database)}],
                "postgresql_backup_pg_bin_dir": str(server.installation.bin_dir),
                "postgresql_backup_bucket": BUCKET,
                "postgresql_backup_endpoint_url": store.endpoint_url,
                "postgresql_backup_region": store.region,
                "postgresql_backup_access_key": store.access_key,
                "postgresql_backup_secret_key": store.secret_key,
            },
        }
    }


def _ansible_playbook() -> str | None:
    return shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))
