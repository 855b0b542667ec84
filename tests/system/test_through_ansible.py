# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module through the ``ansible`` program at -vvvv: what it says is understood there, and no secret is shown. The other tests run the modules alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ansible_runner import AnsibleRunner
from system.scenes import Bucket, Database

_MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
WRONG_PASSWORD = "Wr0ng-pa55w0rd/of@nobody"


def test_the_life_of_a_database(whole_ansible: AnsibleRunner, database: Database, bucket: Bucket, tmp_path: Path) -> None:
    both = {**database.options(), **bucket.options}
    ran = []

    def run(module: str, verdict: str, *, check: bool = False, **options: object) -> str:
        outcome = whole_ansible.run(module, check=check, diff=True, **options)
        outcome.require_success()
        assert outcome.verdict == verdict
        ran.append(module)
        return outcome.output

    login = {"database_url": both["database_url"]}

    database.execute("CREATE TABLE users AS SELECT g AS id FROM generate_series(1, 100) AS g")
    run("pg_environment", "CHANGED", check=True, **login, environment="staging")
    for verdict in ("CHANGED", "SUCCESS"):
        run("pg_environment", verdict, **login, environment="staging")
    shown = run("pg_backup", "CHANGED", check=True, **both, name="app")
    assert "+app_2" in shown
    run("pg_backup", "CHANGED", **both, name="app")
    run("pg_backup_info", "SUCCESS", **bucket.options, restore_point="latest", verify="decode", pg_bin_dir=both["pg_bin_dir"])
    testing = {**both, "name": "app", "environment": "staging"}
    run("pg_restore_test", "CHANGED", check=True, **testing)
    assert '"verdict": "passed"' in run("pg_restore_test", "CHANGED", **testing)
    run("pg_backup_health", "SUCCESS", **bucket.options, name="app")
    for check in (True, False):
        shown = run("pg_backup_report", "CHANGED", check=check, **bucket.options, path=str(tmp_path / "backups.html"))
        assert "+app: ok, 1 of 1 backup valid, restore tests: 1" in shown
    run("pg_backup_report", "SUCCESS", **bucket.options, path=str(tmp_path / "backups.html"))
    database.execute("DELETE FROM users WHERE id > 10")
    run("pg_database_info", "SUCCESS", **login, **bucket.options, name="app", compare_with="latest")
    restore = {**both, "name": "app", "environment": "staging", "same_database": True}
    shown = run("pg_restore_safe", "CHANGED", check=True, **restore)
    assert "-public.users: 10 rows" in shown
    assert "+public.users: 100 rows" in shown
    run("pg_restore_safe", "CHANGED", **restore)
    assert database.value("SELECT count(*) FROM users") == 100
    run("pg_restore_safe", "CHANGED", **restore, state="rolled_back")
    run("pg_restore_safe", "SUCCESS", **restore, state="finalized")
    run("pg_restore_safe", "CHANGED", **restore, state="finalized", keep_previous=0)
    run("s3_retention", "SUCCESS", **bucket.options, name="app", keep_last=1)
    run("s3_backup_bucket", "CHANGED", check=True, **bucket.options, versioning=True)
    told = run("postgresql_backup_notify", "SUCCESS", event="failure", summary="It failed.", contacts=[{"level": "L1", "name": "On call", "reach": "+49 30 1"}])
    assert "L1  at once  On call  +49 30 1" in told
    assert set(ran) == _modules() - {"pg_backup_adopt"}


def test_what_is_no_archive_is_not_adopted(whole_ansible: AnsibleRunner, database: Database, bucket: Bucket) -> None:
    key = "app_2026-01-08_103000.dump"
    bucket.write(key, b"no archive")
    outcome = whole_ansible.run("pg_backup_adopt", **bucket.options, key=key, taken_at="2026-01-08T10:30:00Z", pg_bin_dir=database.options()["pg_bin_dir"])
    assert outcome.failed
    assert "was not adopted" in outcome.message


@pytest.mark.parametrize("module", ["pg_backup", "pg_database_info", "pg_environment", "pg_restore_safe"])
def test_a_wrong_password_is_a_sentence_and_not_shown(whole_ansible: AnsibleRunner, database: Database, bucket: Bucket, module: str) -> None:
    login = {**database.login(), "login_password": WRONG_PASSWORD}
    del login["pg_bin_dir"]
    of_the_store = {} if module in ("pg_database_info", "pg_environment") else bucket.options
    environment = {"environment": "staging"} if module in ("pg_environment", "pg_restore_safe") else {}
    outcome = whole_ansible.run(module, **login, **of_the_store, **environment)
    assert outcome.failed
    assert "password authentication failed" in outcome.message
    assert WRONG_PASSWORD not in outcome.output


def test_a_verdict_that_fails_is_whole(whole_ansible: AnsibleRunner, bucket: Bucket) -> None:
    outcome = whole_ansible.run("pg_backup_health", **bucket.options, name="app")
    assert outcome.failed
    assert outcome.message.startswith("CRITICAL: There is no valid backup of app.")
    assert outcome.result["nagios"]["exit_code"] == 2


@pytest.mark.parametrize("module", ["pg_backup_info", "s3_retention"])
def test_wrong_keys_are_a_sentence_and_not_shown(whole_ansible: AnsibleRunner, bucket: Bucket, module: str) -> None:
    options = {**bucket.options, "secret_key": WRONG_PASSWORD, **({"name": "app", "keep_last": 1} if module == "s3_retention" else {})}
    outcome = whole_ansible.run(module, **options)
    assert outcome.failed
    assert "refused the keys. Set access_key and secret_key" in outcome.message
    assert WRONG_PASSWORD not in outcome.output


def _modules() -> set[str]:
    return {path.stem for path in _MODULES.glob("*.py") if path.stem != "__init__"}
