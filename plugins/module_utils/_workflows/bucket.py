# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Make a bucket what a backup bucket should be, feature by feature: look, write, read back. Check mode stops before each write.

What a store does not support is a report and not an end: the rest is done, and only then does the run fail if it was required.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket import (
    BucketOutcome,
    BucketWish,
    Feature,
    FeatureReport,
    Raw,
    Status,
    check_new_name,
    check_wish,
    features_of,
    holds_trial,
    open_statements,
    region_refusal,
    same_encryption,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.bucket_policies import key_policies
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, RefusedError, StoreError, VerificationError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.s3_bucket import Answer, S3Bucket

_NO_TLS = (
    "The store is reached by http://, so a policy that demands TLS could lock out whoever comes the same way, its author included. "
    "Set endpoint_url to an https:// address, or tls_only to false."
)
_LOCK_IS_FOR_NEW = "Many stores take Object Lock only when a bucket is created."


def ensure_bucket(wish: BucketWish, bucket: S3Bucket, *, check_mode: bool) -> BucketOutcome:
    """Create the bucket if it is not there, and see to every feature."""
    wish = dataclasses.replace(wish, partition=bucket.partition)
    check_wish(wish)
    policies = key_policies(wish.bucket, wish.prefix, partition=wish.partition, kms_key=wish.kms_key_id)
    there, region = bucket.look()
    refusal = region_refusal(wish.bucket, region, bucket.asked_region)
    if refusal:
        raise RefusedError([refusal])
    created = False
    if not there:
        check_new_name(wish.bucket)
        created = check_mode or _create(wish, bucket)
        region = bucket.region if check_mode else bucket.look()[1]
    work = _Work(bucket, exists=there or not check_mode, check_mode=check_mode)
    reports = tuple(work.see_to(feature) for feature in features_of(wish))
    return BucketOutcome(wish, region, created, reports, policies, tuple(work.final_notes()))


def require_features(outcome: BucketOutcome, result: dict[str, t.Any]) -> None:
    """Fail, with the whole result, if the bucket lacks what was required."""
    if not outcome.failures:
        return
    details = {name: value for name, value in result.items() if name not in ("msg", "warnings")}
    problems = " ".join(f"{report.name}: {report.detail}" for report in outcome.failures)
    names = ", ".join(report.name for report in outcome.failures)
    raise VerificationError(
        f"{result['msg']} What was required is missing: {names}. {problems} Use another store or other keys, or take it out of required.", **details
    )


def _create(wish: BucketWish, bucket: S3Bucket) -> bool:
    if not wish.object_lock:
        return bucket.create(lock=False)
    try:
        return bucket.create(lock=True)
    except StoreError as error:
        # It can come only now, so without it nothing is begun where it was required.
        if error.details.get("store_status") not in (400, 501) or "object_lock" in wish.required:
            raise
        return bucket.create(lock=False)


class _Work:
    """One run over the features of a bucket."""

    def __init__(self, bucket: S3Bucket, *, exists: bool, check_mode: bool) -> None:
        self._bucket, self._exists, self._check_mode = bucket, exists, check_mode

    def see_to(self, feature: Feature) -> FeatureReport:
        answer = self._bucket.read(feature.setting) if self._exists else Answer("ok")
        before = feature.shown(answer.raw) if answer.status == "ok" else None

        def report(status: Status, after: t.Any, detail: str = "") -> FeatureReport:
            return FeatureReport(feature.name, feature.wanted, before, after, status, " ".join(part for part in (detail, feature.remark) if part))

        if answer.status != "ok":
            return report("not_wanted", None) if feature.wanted is None else report(answer.status, None, answer.said)
        if feature.holds(answer.raw):
            return report("not_wanted" if feature.wanted is None else "in_place", before)
        if feature.name == "tls_only" and feature.wanted and not self._bucket.secure:
            return report("unsupported", before, _NO_TLS)
        if self._check_mode:
            late = feature.name == "object_lock" and self._exists and not answer.raw
            return report("would_set", feature.wanted, _LOCK_IS_FOR_NEW if late else "")
        refused = self._try(feature, answer.raw) or self._write(feature, answer.raw)
        if refused:
            return report(t.cast(Status, refused.status), before, refused.said)
        return report("set", feature.wanted)

    def final_notes(self) -> list[str]:
        """Return what else has to be said; a policy of somebody's that lets everybody in is not ours to change."""
        policy = self._bucket.read("policy") if self._exists else Answer("ok")
        public = open_statements(policy.raw)
        warning = f"The bucket's policy lets everybody in ({', '.join(public)}). Nobody but you can say whether that is meant."
        return [*dict.fromkeys(self._bucket.notes), *([warning] if public else [])]

    def _write(self, feature: Feature, before: Raw) -> Answer | None:
        """Write the feature and read it back; return what was in the way."""
        written = self._bucket.write(feature.setting, feature.changed(before))
        if written.status != "ok":
            return written
        found = self._bucket.read_back(feature.setting, feature.holds)
        if found.status != "ok":
            return found
        if not feature.holds(found.raw):
            return Answer("unsupported", said="The store accepted it, and does not show it afterwards.")
        if feature.others(found.raw) != feature.others(before):
            raise StoreError(
                f"After {feature.name} was set, {self._bucket.location} shows other rules or statements of somebody else's than before. "
                "They were sent as they had been read. Compare them with what you expect there.",
                before=before,
                after=found.raw,
            )
        return self._prove_encryption(feature, before) if feature.name == "encryption" else None

    def _prove_encryption(self, feature: Feature, before: Raw) -> Answer | None:
        """Write an object as a backup would: a store may take the wish and then fail at every object, or forget it."""
        try:
            shown = self._bucket.probe()
            if same_encryption(feature.wanted, shown.get("server_side"), shown.get("kms_key_id")):
                return None
            problem = f"The store accepted it, and an object written then shows {shown.get('server_side') or 'no encryption'}."
        except BackupError as error:
            problem = f"The store accepted it, and then could not write an object: {error.message}"
        self._take_back(feature, before)
        return Answer("unsupported", said=f"{problem} The setting was taken back.")

    def _try(self, feature: Feature, before: Raw) -> Answer | None:
        """Try a statement on one key that is nobody's, so that a wrong one locks out nobody; return what is wrong with it."""
        key = self._bucket.trial_key()
        trial = feature.trial(before, key)
        if trial is None:
            return None
        if feature.name == "tls_only" and not self._bucket.may_look(key):
            return Answer("not_permitted", said="These keys may not look at objects, so the statement cannot be tried before it is set.")
        written = self._bucket.write("policy", trial)
        if written.status != "ok":
            return written
        shown = self._bucket.read_back("policy", holds_trial)
        if shown.status != "ok" or not holds_trial(shown.raw):
            return shown if shown.status != "ok" else Answer("unsupported", said="The store accepted a policy, and does not show it afterwards.")
        problem = "The trial was stopped."
        try:
            problem = self._problem_of(feature, key)
        finally:
            # What follows a good trial replaces it.
            if problem:
                self._take_back(feature, before)
        return Answer("unsupported", said=problem) if problem else None

    def _problem_of(self, feature: Feature, key: str) -> str:
        if feature.name == "tls_only":
            if self._bucket.may_look(key):
                return ""
            return "Tried on one key, the store takes requests that come by TLS for others (a proxy may end it), so the statement would lock out everybody."
        if not self._bucket.may_write(key, conditional=True):
            return "Tried on one key, the store refuses also what may be written (it does not know the condition), so the statement would stop every backup."
        if not self._bucket.comes_to_refuse(key):
            return "Tried on one key, the store accepts the statement and does not obey it."
        return ""

    def _take_back(self, feature: Feature, before: Raw) -> None:
        """Give a setting its former value, which the store has shown, and see that it has it."""
        written = self._bucket.write(feature.setting, before)
        found = self._bucket.read_back(feature.setting, lambda raw: not holds_trial(raw) and not _is_set(feature, raw))
        if written.status != "ok" or found.status != "ok" or holds_trial(found.raw) or _is_set(feature, found.raw):
            raise StoreError(
                f"{feature.name} could not be taken back from {self._bucket.location}, where it does harm. {written.said} {found.said} "
                f"Take it away by hand: the bucket's {feature.setting}."
            )


def _is_set(feature: Feature, raw: Raw) -> bool:
    return feature.wanted is not None and feature.holds(raw)
