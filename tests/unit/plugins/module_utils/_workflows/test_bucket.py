# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores that do what none at hand does: enforce what they were told, forget it, spoil what is somebody else's, or lock out whoever told them."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket import BucketOutcome, BucketWish, Raw, bucket_result
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_bucket import Answer, S3Bucket
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.bucket import ensure_bucket, require_features

THEIRS = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::backups/kept/*"}
ONLY = {"public_access_block": False, "versioning": False, "abort_uploads_after": 0, "expire_noncurrent_after": 0, "tls_only": False}


class StoreOfPaper:
    """A bucket that keeps what it is told and does what its policy says, unless a test gives it another manner."""

    name, location, region, asked_region, partition, secure = "backups", "s3://backups", "us-east-1", None, "aws", True

    def __init__(self, **settings: Raw) -> None:
        self.settings: dict[str, Raw] = dict(settings)
        self.writes: list[tuple[str, Raw]] = []
        self.notes: list[str] = []
        self.there = True
        self.created_with: list[bool] = []

    def look(self) -> tuple[bool, str | None]:
        return self.there, "us-east-1" if self.there else None

    def create(self, *, lock: bool) -> bool:
        self.created_with.append(lock)
        self.there = True
        return True

    def read(self, setting: str) -> Answer:
        return Answer("ok", copy.deepcopy(self.settings.get(setting)))

    def write(self, setting: str, raw: Raw) -> Answer:
        self.writes.append((setting, raw))
        self.settings[setting] = copy.deepcopy(raw)
        return Answer("ok", raw)

    def read_back(self, setting: str, holds: t.Callable[[Raw], bool]) -> Answer:
        return self.read(setting)

    def probe(self) -> dict[str, t.Any]:
        return {"server_side": "AES256", "kms_key_id": None}

    def trial_key(self) -> str:
        return ".postgresql_backup_probe.1"

    def may_look(self, key: str) -> bool:
        return True

    def may_write(self, key: str, *, conditional: bool) -> bool:
        return conditional

    def comes_to_refuse(self, key: str) -> bool:
        return not self.may_write(key, conditional=False)

    def sids(self) -> list[str]:
        return [statement["Sid"] for statement in (self.settings.get("policy") or {}).get("Statement", [])]


def ensure(store: StoreOfPaper, *, check_mode: bool = False, **wish: t.Any) -> BucketOutcome:
    return ensure_bucket(BucketWish("backups", **{**ONLY, **wish}), t.cast(S3Bucket, store), check_mode=check_mode)


def report(outcome: BucketOutcome, name: str) -> tuple[str, str]:
    (found,) = [each for each in outcome.reports if each.name == name]
    return found.status, found.detail


def test_everything_on_a_store_that_can_all() -> None:
    store = StoreOfPaper()
    store.there = False
    wish: dict[str, t.Any] = {**dict.fromkeys(ONLY, True), "abort_uploads_after": 1, "expire_noncurrent_after": 1}
    wish |= {"encryption": "AES256", "no_overwrite": True, "object_lock": {"mode": "governance", "days": 1}}
    outcome = ensure(store, **wish)
    assert {each.status for each in outcome.reports} == {"set"}
    assert store.created_with == [True]
    assert store.sids() == ["WorkonPostgresqlBackupTlsOnly", "WorkonPostgresqlBackupNoOverwrite"]
    # From the policy on we are judged by it, and what is locked could not be removed again.
    order = list(dict.fromkeys(setting for setting, _raw in store.writes))
    assert order == ["public_access_block", "versioning", "encryption", "lifecycle", "policy", "object_lock"]
    writes = len(store.writes)
    again = ensure(store, **wish)
    assert {each.status for each in again.reports} == {"in_place"}
    assert len(store.writes) == writes


def test_check_mode_writes_nothing() -> None:
    for there in (True, False):
        store = StoreOfPaper()
        store.there = there
        outcome = ensure(store, check_mode=True, versioning=True, tls_only=True, no_overwrite=True, encryption="AES256")
        assert [each.name for each in outcome.reports if each.status == "would_set"] == ["versioning", "encryption", "tls_only", "no_overwrite"]
        assert (store.writes, store.created_with, store.there) == ([], [], there)


def test_a_statement_that_would_lock_out_everybody_is_taken_back() -> None:
    """A proxy ends TLS, and to the store behind it nobody comes by TLS."""

    class BehindAProxy(StoreOfPaper):
        def may_look(self, key: str) -> bool:
            return not any(f"/{key}" in str(statement["Resource"]) for statement in (self.settings.get("policy") or {}).get("Statement", []))

    for before in (None, {"Version": "2012-10-17", "Statement": [THEIRS]}):
        store = BehindAProxy(policy=before)
        status, detail = report(ensure(store, tls_only=True), "tls_only")
        assert status == "unsupported"
        assert "a proxy may end it" in detail
        assert store.settings["policy"] == before
        # Never for more than the one key.
        assert all("arn:aws:s3:::backups/*" not in str(raw) for _setting, raw in store.writes)


def test_a_condition_that_is_taken_for_always_true_is_taken_back() -> None:
    class Misled(StoreOfPaper):
        def may_write(self, key: str, *, conditional: bool) -> bool:
            return False

    store = Misled()
    status, detail = report(ensure(store, no_overwrite=True), "no_overwrite")
    assert status == "unsupported"
    assert "stop every backup" in detail
    assert store.settings["policy"] is None


def test_a_trial_that_is_stopped_leaves_nothing() -> None:
    class Gone(StoreOfPaper):
        def may_write(self, key: str, *, conditional: bool) -> bool:
            raise StoreError("The connection was lost.")

    store = Gone(policy={"Statement": [THEIRS]})
    with pytest.raises(StoreError, match="connection was lost"):
        ensure(store, no_overwrite=True)
    assert store.sids() == ["Theirs"]


def test_what_was_left_of_a_trial_goes_with_the_next_change() -> None:
    left = {**THEIRS, "Sid": "WorkonPostgresqlBackupTrial"}
    store = StoreOfPaper(policy={"Statement": [THEIRS, left]})
    ensure(store, tls_only=True)
    assert store.sids() == ["Theirs", "WorkonPostgresqlBackupTlsOnly"]


def test_harm_that_cannot_be_undone_is_an_error() -> None:
    class Stubborn(StoreOfPaper):
        def write(self, setting: str, raw: Raw) -> Answer:
            return super().write(setting, raw) if raw is not None else Answer("not_permitted", said="You may not.")

        def may_write(self, key: str, *, conditional: bool) -> bool:
            return False

    with pytest.raises(StoreError, match=r"could not be taken back.*You may not.*by hand"):
        ensure(Stubborn(), no_overwrite=True)


@pytest.mark.parametrize("shown", [None, "aws:kms"])
def test_encryption_that_objects_do_not_show_is_taken_back(shown: str | None) -> None:
    class Forgetful(StoreOfPaper):
        def probe(self) -> dict[str, t.Any]:
            return {"server_side": shown, "kms_key_id": None}

    store = Forgetful()
    status, detail = report(ensure(store, encryption="AES256"), "encryption")
    assert status == "unsupported"
    assert "was taken back" in detail
    assert store.settings["encryption"] is None


def test_what_does_not_read_back_is_not_there() -> None:
    class Polite(StoreOfPaper):
        def write(self, setting: str, raw: Raw) -> Answer:
            self.writes.append((setting, raw))
            return Answer("ok", raw)

    store = Polite()
    outcome = ensure(store, versioning=True, encryption="AES256", tls_only=True)
    assert {name: report(outcome, name)[0] for name in ("versioning", "encryption", "tls_only")} == dict.fromkeys(
        ("versioning", "encryption", "tls_only"), "unsupported"
    )
    # What the store never showed is never deleted: some take that for a deletion of the bucket.
    assert None not in [raw for _setting, raw in store.writes]


def test_rules_of_somebody_that_a_store_spoils_are_an_error() -> None:
    class Careless(StoreOfPaper):
        def write(self, setting: str, raw: Raw) -> Answer:
            return super().write(setting, {**(raw or {}), "Rules": (raw or {})["Rules"][-1:]})

    rule = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 5}}
    with pytest.raises(StoreError, match="other rules or statements of somebody else's") as caught:
        ensure(Careless(lifecycle={"Rules": [rule]}), expire_noncurrent_after=3)
    assert caught.value.details["before"] == {"Rules": [rule]}


def test_a_lock_that_was_required_and_refused_begins_nothing() -> None:
    class NoLocks(StoreOfPaper):
        def create(self, *, lock: bool) -> bool:
            if lock:
                raise StoreError("It does not lock.", store_status=501)
            return super().create(lock=lock)

    wish = {"object_lock": {"mode": "governance", "days": 1}}
    store = NoLocks()
    store.there = False
    with pytest.raises(BackupError, match="does not lock"):
        ensure(store, **wish, required=("object_lock",))
    assert not store.there
    ensure(store, **wish)
    assert store.created_with == [False]


def test_what_is_required_and_missing_is_named_with_its_reason() -> None:
    class Poor(StoreOfPaper):
        def read(self, setting: str) -> Answer:
            if setting == "public_access_block":
                return Answer("unsupported", said="It knows no such thing.")
            return super().read(setting)

    outcome = ensure(Poor(), public_access_block=True, versioning=True, required=("public_access_block",))
    result = bucket_result(outcome, check_mode=False)
    with pytest.raises(VerificationError, match=r"missing: public_access_block\. public_access_block: It knows no such thing\.") as caught:
        require_features(outcome, result)
    assert caught.value.details["changed"] is True
    assert report(outcome, "versioning") == ("set", "")
    require_features(ensure(Poor(), versioning=True, required=("versioning",)), {})
