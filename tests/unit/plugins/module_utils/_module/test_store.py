# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and environment become one store; nothing is asked of it yet."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.directory import DirectoryStore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3 import S3Options
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module import store as store_options
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.store import (
    STORE_EXCLUSIVE,
    STORE_SPEC,
    STORE_TOGETHER,
    STORE_WRITE_EXCLUSIVE,
    STORE_WRITE_SPEC,
    open_store,
)
from ansible_collections.workon.postgresql_backup.tests.unit.recording import RecordedSecrets

ENDPOINTS = {"BACKUP_S3_ENDPOINT": "https://a.example.com", "AWS_ENDPOINT_URL_S3": "https://b.example.com", "AWS_ENDPOINT_URL": "https://c.example.com"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "BACKUP_S3_")):
            monkeypatch.delenv(name)


def defaults(spec: dict[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    return {name: option.get("default") for name, option in spec.items()}


def options(monkeypatch: pytest.MonkeyPatch, **params: t.Any) -> S3Options:
    """Return the options that the S3 store would be made with."""
    monkeypatch.setattr(store_options, "S3Store", lambda found: found)
    return t.cast(S3Options, open_store({**defaults(STORE_SPEC), **defaults(STORE_WRITE_SPEC), **params}, RecordedSecrets()))


@pytest.mark.parametrize(
    ("params", "environment", "field", "expected"),
    [
        ({"bucket": "b"}, {}, "bucket", "b"),
        ({}, {"BACKUP_S3_BUCKET": "e"}, "bucket", "e"),
        ({"bucket": "b"}, {"BACKUP_S3_BUCKET": "e"}, "bucket", "b"),
        ({"bucket": "b"}, {}, "endpoint_url", None),
        ({"bucket": "b", "endpoint_url": "https://o.example.com"}, ENDPOINTS, "endpoint_url", "https://o.example.com"),
        ({"bucket": "b"}, ENDPOINTS, "endpoint_url", "https://a.example.com"),
        ({"bucket": "b"}, {**ENDPOINTS, "BACKUP_S3_ENDPOINT": ""}, "endpoint_url", "https://b.example.com"),
        ({"bucket": "b"}, {"AWS_ENDPOINT_URL": "https://c.example.com"}, "endpoint_url", "https://c.example.com"),
        ({"bucket": "b", "region": "o"}, {"AWS_REGION": "r"}, "region", "o"),
        ({"bucket": "b"}, {"AWS_REGION": "r", "AWS_DEFAULT_REGION": "d"}, "region", "r"),
        ({"bucket": "b"}, {"AWS_DEFAULT_REGION": "d"}, "region", "d"),
        ({"bucket": "b"}, {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s3cret"}, "access_key", None),
        ({"bucket": "b", "max_concurrency": 64}, {}, "max_concurrency", 64),
        ({"bucket": "b", "server_side_encryption": "aws:kms", "kms_key_id": "k"}, {}, "kms_key_id", "k"),
    ],
)
def test_options_come_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], environment: dict[str, str], field: str, expected: t.Any
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert getattr(options(monkeypatch, **params), field) == expected


def test_every_option_reaches_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {**STORE_SPEC, **STORE_WRITE_SPEC}
    special = {"validate_certs": False, "max_concurrency": 7, "server_side_encryption": "aws:kms"}
    params = {name: special.get(name, f"the {name}") for name in spec if name != "directory"}
    found = options(monkeypatch, **params)
    assert {name: getattr(found, name) for name in params} == params


def test_a_module_that_only_reads_has_no_options_for_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_options, "S3Store", lambda found: found)
    found = t.cast(S3Options, open_store({**defaults(STORE_SPEC), "bucket": "b"}, RecordedSecrets()))
    assert (found.storage_class, found.server_side_encryption, found.kms_key_id) == (None, None, None)


def test_a_directory_comes_before_a_bucket_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKUP_S3_BUCKET", "e")
    found = open_store({**defaults(STORE_SPEC), "directory": str(tmp_path), "prefix": "/p/"}, RecordedSecrets())
    assert isinstance(found, DirectoryStore)
    assert (found.prefix, found.address("p/k")) == ("p/", str(tmp_path / "p/k"))


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "No store is named. Set bucket .*BACKUP_S3_BUCKET.*, or directory"),
        ({"bucket": "b", "kms_key_id": "k"}, "kms_key_id is set, but .* Set server_side_encryption to aws:kms, or leave kms_key_id out"),
        ({"bucket": "b", "kms_key_id": "k", "server_side_encryption": "AES256"}, "kms_key_id is set"),
        ({"bucket": "b", "max_concurrency": 0}, "max_concurrency is 0; .* from 1 to 64"),
        ({"bucket": "b", "max_concurrency": 65}, "max_concurrency is 65"),
        ({"directory": "/x", "prefix": "../up"}, "The prefix '../up' is refused"),
    ],
)
def test_what_makes_no_store_is_refused(monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(BackupError, match=sentence):
        options(monkeypatch, **params)


@pytest.mark.parametrize("params", [{"bucket": "b"}, {"directory": "/backups"}, {}])
def test_every_secret_is_registered_before_anything_can_fail(monkeypatch: pytest.MonkeyPatch, params: dict[str, t.Any]) -> None:
    monkeypatch.setattr(store_options, "S3Store", lambda found: found)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env/secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "env+token")
    secrets = RecordedSecrets()
    try:
        open_store({**defaults(STORE_SPEC), "secret_key": "opt/secret", "session_token": "opt+token", **params}, secrets)
    except BackupError:
        assert params == {}
    assert {"env/secret", "env%2Fsecret", "env+token", "env%2Btoken", "opt/secret", "opt+token"} <= secrets.registered


def test_the_rules_are_about_options_that_exist() -> None:
    known = {*STORE_SPEC, *STORE_WRITE_SPEC}
    assert {option for rule in (*STORE_EXCLUSIVE, *STORE_TOGETHER, *STORE_WRITE_EXCLUSIVE) for option in rule} <= known
    assert {name for name, spec in {**STORE_SPEC, **STORE_WRITE_SPEC}.items() if spec.get("no_log")} == {"secret_key", "session_token"}
