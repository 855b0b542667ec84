# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What a backup bucket should be, what it is, and what has to change for it; of rules and policy statements only those that bear our name.

A setting of the bucket itself (versioning, encryption, ...) that is not wanted is left as it is. What bears our name and is not wanted any more goes.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import json
import re
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import naming
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, RefusedError

# How a store keeps a setting, as its API returns it; None where it is not set.
Raw: t.TypeAlias = "dict[str, t.Any] | None"
Setting: t.TypeAlias = t.Literal["public_access_block", "versioning", "encryption", "object_lock", "lifecycle", "policy"]
Status: t.TypeAlias = t.Literal["in_place", "set", "would_set", "unsupported", "not_permitted", "not_wanted"]

# In the order of work. The policy comes late, because from then on it judges us as well. The lock comes after it, or the trials of the policy would be locked.
FEATURES = (
    "public_access_block",
    "versioning",
    "encryption",
    "abort_uploads_after",
    "expire_noncurrent_after",
    "tls_only",
    "no_overwrite",
    "object_lock",
)

_OURS = "workon.postgresql_backup"
_SID = "WorkonPostgresqlBackup"
_TRIAL = f"{_SID}Trial"
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_NAME = re.compile(r"(?![0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
# What boto3 takes: old buckets have names that no new one gets.
_OLD_NAME = re.compile(r"[A-Za-z0-9._-]{3,255}")


@dataclasses.dataclass(frozen=True)
class BucketWish:
    """What is wanted of a bucket, in the words of the module's options; days are None or 0 where no rule is wanted."""

    bucket: str
    prefix: str = ""
    partition: str = "aws"
    public_access_block: bool = True
    versioning: bool = True
    encryption: str | None = None
    kms_key_id: str | None = None
    object_lock: dict[str, t.Any] | None = None
    abort_uploads_after: int = 2
    expire_noncurrent_after: int = 30
    tls_only: bool = True
    no_overwrite: bool = False
    required: tuple[str, ...] = ()


class Feature(abc.ABC):
    """One wish: how it is seen in a setting of the store, and what the setting has to become. ``wanted`` is None where nothing is wished."""

    owned = False
    remark = ""

    def __init__(self, name: str, setting: Setting, wanted: t.Any) -> None:
        self.name, self.setting, self.wanted = name, setting, wanted

    @abc.abstractmethod
    def shown(self, raw: Raw) -> t.Any:
        """Return what the setting says, in the option's words; None where it says nothing."""

    @abc.abstractmethod
    def changed(self, raw: Raw) -> Raw:
        """Return the setting with the wish in it; None when nothing is left of it."""

    def holds(self, raw: Raw) -> bool:
        return self.wanted is None or self.shown(raw) == self.wanted

    def others(self, raw: Raw) -> list[str]:
        """Return what of the setting is somebody else's, comparable."""
        return []

    def trial(self, raw: Raw, key: str) -> Raw:
        """Return the setting with the wish in it for this key alone, which is nobody's; None where there is nothing to try."""
        return None


class _PublicAccessBlock(Feature):
    def shown(self, raw: Raw) -> bool:
        return all((raw or {}).get(block) for block in _BLOCKS)

    def changed(self, raw: Raw) -> Raw:
        return dict.fromkeys(_BLOCKS, True)


class _Versioning(Feature):
    def shown(self, raw: Raw) -> bool:
        return (raw or {}).get("Status") == "Enabled"

    def changed(self, raw: Raw) -> Raw:
        return {"Status": "Enabled"}


class _Encryption(Feature):
    def __init__(self, name: str, algorithm: str | None, key: str | None) -> None:
        super().__init__(name, "encryption", {"algorithm": algorithm, "kms_key_id": key} if algorithm else None)

    def shown(self, raw: Raw) -> t.Any:
        default: dict[str, t.Any] = self._rule(raw).get("ApplyServerSideEncryptionByDefault", {})
        return {"algorithm": default.get("SSEAlgorithm"), "kms_key_id": default.get("KMSMasterKeyID")} if default else None

    def holds(self, raw: Raw) -> bool:
        shown = self.shown(raw)
        return self.wanted is None or (shown is not None and same_encryption(self.wanted, shown["algorithm"], shown["kms_key_id"]))

    def changed(self, raw: Raw) -> Raw:
        default = {"SSEAlgorithm": self.wanted["algorithm"]}
        if self.wanted["kms_key_id"]:
            default["KMSMasterKeyID"] = self.wanted["kms_key_id"]
        # What else the rule says (whether a key of the bucket's own saves calls) stays.
        return {"Rules": [{**self._rule(raw), "ApplyServerSideEncryptionByDefault": default}]}

    def _rule(self, raw: Raw) -> dict[str, t.Any]:
        """Return the rule of a bucket, which has at most one."""
        rules: list[dict[str, t.Any]] = (raw or {}).get("Rules", [])
        return rules[0] if rules else {}


class _ObjectLock(Feature):
    def __init__(self, name: str, wanted: dict[str, t.Any] | None) -> None:
        super().__init__(name, "object_lock", wanted)
        if wanted and wanted["mode"] == "compliance":
            self.remark = "In compliance mode nobody can lift or shorten the lock of an object, the owner of the account included."

    def shown(self, raw: Raw) -> t.Any:
        rule = ((raw or {}).get("Rule") or {}).get("DefaultRetention")
        if not rule:
            return None
        return (
            {"mode": str(rule.get("Mode", "")).lower(), "days": rule["Days"]}
            if rule.get("Days")
            else {"mode": rule["Mode"].lower(), "years": rule.get("Years")}
        )

    def changed(self, raw: Raw) -> Raw:
        return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": self.wanted["mode"].upper(), "Days": self.wanted["days"]}}}


class _Rule(Feature):
    """A lifecycle rule of ours. Only what is below the prefix obeys it: with a prefix the rest of the bucket is for other things."""

    owned = True

    def __init__(self, name: str, prefix: str, days: int, action: t.Callable[[int], dict[str, t.Any]], verb: str) -> None:
        super().__init__(name, "lifecycle", days or None)
        self._id = f"{_OURS} {verb}" + (f" of {prefix}" if prefix else "")
        self._rule = {"ID": self._id, "Status": "Enabled", "Filter": {"Prefix": prefix}, **action(days)}

    def shown(self, raw: Raw) -> t.Any:
        own = self._own(raw)
        if not own or own.get("Status") != "Enabled":
            return None
        found = {**own.get("AbortIncompleteMultipartUpload", {}), **own.get("NoncurrentVersionExpiration", {})}
        return found.get("DaysAfterInitiation", found.get("NoncurrentDays"))

    def holds(self, raw: Raw) -> bool:
        own = self._own(raw)
        return own is None if self.wanted is None else own is not None and _plain_rule(own) == _plain_rule(self._rule)

    def changed(self, raw: Raw) -> Raw:
        rules = [*self._foreign(raw), *([self._rule] if self.wanted else [])]
        # The rest says how small an object must be not to be moved; leaving it out would set it back.
        return {**(raw or {}), "Rules": rules} if rules else None

    def others(self, raw: Raw) -> list[str]:
        return sorted(_plain_rule(rule) for rule in self._foreign(raw))

    def _foreign(self, raw: Raw) -> list[dict[str, t.Any]]:
        return [rule for rule in (raw or {}).get("Rules", ()) if rule.get("ID") != self._id]

    def _own(self, raw: Raw) -> dict[str, t.Any] | None:
        return next((rule for rule in (raw or {}).get("Rules", ()) if rule.get("ID") == self._id), None)


class _Statement(Feature):
    """A statement of ours in the bucket's policy."""

    owned = True

    def __init__(self, name: str, wanted: bool, statement: dict[str, t.Any], resources: list[str], whole: str) -> None:
        super().__init__(name, "policy", wanted or None)
        self._statement, self._whole = {**statement, "Resource": resources}, whole

    def shown(self, raw: Raw) -> t.Any:
        return True if self._own(raw) else None

    def holds(self, raw: Raw) -> bool:
        own = self._own(raw)
        return own is None if self.wanted is None else own is not None and _plain_statement(own) == _plain_statement(self._statement)

    def changed(self, raw: Raw) -> Raw:
        return self._with(raw, [self._statement] if self.wanted else [])

    def others(self, raw: Raw) -> list[str]:
        return sorted(_plain_statement(statement) for statement in self._foreign(raw))

    def trial(self, raw: Raw, key: str) -> Raw:
        return self._with(raw, [{**self._statement, "Sid": _TRIAL, "Resource": [f"{self._whole}/{key}"]}]) if self.wanted else None

    def _with(self, raw: Raw, own: list[dict[str, t.Any]]) -> Raw:
        statements = [*self._foreign(raw), *own]
        return {"Version": "2012-10-17", **(raw or {}), "Statement": statements} if statements else None

    def _foreign(self, raw: Raw) -> list[dict[str, t.Any]]:
        # A trial that was interrupted is ours, too.
        return [statement for statement in statements_of(raw) if statement.get("Sid") not in (self._statement["Sid"], _TRIAL)]

    def _own(self, raw: Raw) -> dict[str, t.Any] | None:
        return next((statement for statement in statements_of(raw) if statement.get("Sid") == self._statement["Sid"]), None)


def features_of(wish: BucketWish) -> list[Feature]:
    """Return every feature, wanted or not, in the order of work."""
    prefix, whole = naming.normalize_prefix(wish.prefix), f"arn:{wish.partition}:s3:::{wish.bucket}"
    deny = {"Effect": "Deny", "Principal": "*"}
    tls = {"Sid": f"{_SID}TlsOnly", **deny, "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    once = {
        "Sid": f"{_SID}NoOverwrite{hashlib.sha256(prefix.encode()).hexdigest()[:8] if prefix else ''}",
        **deny,
        "Action": "s3:PutObject",
        # Beginning an upload and sending its parts know no condition; what makes the object is its completion.
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }
    found: list[Feature] = [
        _PublicAccessBlock("public_access_block", "public_access_block", wish.public_access_block or None),
        _Versioning("versioning", "versioning", wish.versioning or None),
        _Encryption("encryption", wish.encryption, wish.kms_key_id),
        _Rule("abort_uploads_after", prefix, wish.abort_uploads_after, _abort_uploads, "abort unfinished uploads"),
        _Rule("expire_noncurrent_after", prefix, wish.expire_noncurrent_after, _expire_noncurrent, "expire noncurrent versions"),
        _Statement("tls_only", wish.tls_only, tls, [whole, f"{whole}/*"], whole),
        _Statement("no_overwrite", wish.no_overwrite, once, [f"{whole}/{prefix}*"], whole),
        _ObjectLock("object_lock", wish.object_lock),
    ]
    return found


def _abort_uploads(days: int) -> dict[str, t.Any]:
    return {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}


def _expire_noncurrent(days: int) -> dict[str, t.Any]:
    # A delete marker that hides nothing any more goes as well, or listings of versions would grow for ever.
    return {"NoncurrentVersionExpiration": {"NoncurrentDays": days}, "Expiration": {"ExpiredObjectDeleteMarker": True}}


def same_encryption(wanted: t.Mapping[str, t.Any], algorithm: str | None, key: str | None) -> bool:
    """Say whether an encryption is the wanted one; a store may show a key's whole name where its last part was given."""
    return algorithm == wanted["algorithm"] and (not wanted["kms_key_id"] or str(key or "").endswith(wanted["kms_key_id"]))


def check_wish(wish: BucketWish) -> None:
    """Refuse what contradicts itself before anything is asked of the store; all refusals together."""
    refusals = []
    if not _OLD_NAME.fullmatch(wish.bucket):
        refusals.append(_name_refusal(wish.bucket))
    for option, days in (("abort_uploads_after", wish.abort_uploads_after), ("expire_noncurrent_after", wish.expire_noncurrent_after)):
        if days < 0:
            refusals.append(f"{option} is {days}. Set it to a number of days, or to 0 for no rule.")
    if wish.object_lock and wish.object_lock["days"] < 1:
        refusals.append(f"The days of object_lock are {wish.object_lock['days']}. Set them to 1 or more, or leave object_lock out.")
    if wish.kms_key_id and wish.encryption != "aws:kms":
        refusals.append("kms_key_id is set, but a key is used only by encryption aws:kms. Set encryption to aws:kms, or leave kms_key_id out.")
    wanted = {feature.name for feature in features_of(wish) if feature.wanted is not None}
    refusals += [
        f"required names {name}, which is not asked for. Set {name} as well, or take it out of required." for name in wish.required if name not in wanted
    ]
    if refusals:
        raise RefusedError(refusals)


def check_new_name(name: str) -> None:
    """Refuse a name that no new bucket can get."""
    if not _NAME.fullmatch(name) or name.startswith("xn--"):
        raise BackupError(_name_refusal(name))


def _name_refusal(name: str) -> str:
    return (
        f"{name!r} is not a bucket's name: 3 to 63 lower-case letters, digits, dashes and single dots, a letter or digit first and last, and no IP address. "
        "Set bucket to a name of that form."
    )


def region_refusal(bucket: str, found: str | None, wanted: str | None) -> str | None:
    """Return why a bucket is not where it was said to be; None where it is, or where one of the two is not known."""
    if not found or not wanted or wanted == "auto" or found == wanted:
        return None
    return f"The bucket {bucket} is in the region {found}, and region is {wanted}. Buckets do not move. Set region to {found}, or bucket to another name."


def holds_trial(policy: Raw) -> bool:
    """Say whether a trial of ours is in a policy."""
    return any(statement.get("Sid") == _TRIAL for statement in statements_of(policy))


def statements_of(policy: Raw) -> list[dict[str, t.Any]]:
    """Return the statements of a policy, which may be a single one."""
    statements = (policy or {}).get("Statement", [])
    return [statements] if isinstance(statements, dict) else list(statements)


def open_statements(policy: Raw) -> list[str]:
    """Return the statements that let everybody in, by their Sid or their place."""
    return [
        str(statement.get("Sid") or f"number {number}")
        for number, statement in enumerate(statements_of(policy), 1)
        if statement.get("Effect") == "Allow" and not statement.get("Condition") and "*" in _plain_principal(statement.get("Principal")).get("AWS", ())
    ]


def _plain_statement(statement: t.Mapping[str, t.Any]) -> str:
    """Write a statement so that two that mean the same are the same: stores rearrange them."""
    plain = {name: _sorted(value) if name in ("Action", "NotAction", "Resource", "NotResource") else value for name, value in statement.items()}
    for name in ("Principal", "NotPrincipal"):
        if name in plain:
            plain[name] = _plain_principal(plain[name])
    if plain.get("Condition"):
        plain["Condition"] = {operator: {key: _sorted(value) for key, value in tests.items()} for operator, tests in statement["Condition"].items()}
    return json.dumps({name: value for name, value in plain.items() if value not in ({}, "", None)}, sort_keys=True)


def _plain_principal(principal: t.Any) -> dict[str, list[str]]:
    return {"AWS": ["*"]} if principal == "*" else {kind: _sorted(names) for kind, names in (principal or {}).items()}


def _plain_rule(rule: t.Mapping[str, t.Any]) -> str:
    plain = {name: value for name, value in rule.items() if name not in ("Prefix", "Filter")}
    where = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    return json.dumps({**plain, "Filter": where}, sort_keys=True, default=str)


def _sorted(value: t.Any) -> list[str]:
    return sorted({str(one).lower() if isinstance(one, bool) else str(one) for one in (value if isinstance(value, list) else [value])})


@dataclasses.dataclass(frozen=True)
class FeatureReport:
    """What became of one feature; ``wanted``, ``before`` and ``after`` are in the words of its option, None where not known or not there."""

    name: str
    wanted: t.Any
    before: t.Any
    after: t.Any
    status: Status
    detail: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "name"}


@dataclasses.dataclass(frozen=True)
class BucketOutcome:
    """What became of the bucket, or in check mode would; ``created`` is True also where it would be."""

    wish: BucketWish
    region: str | None
    created: bool
    reports: tuple[FeatureReport, ...]
    policies: dict[str, dict[str, t.Any]]
    notes: tuple[str, ...] = ()

    @property
    def lacking(self) -> list[FeatureReport]:
        """Return the wanted features that the bucket does not have."""
        return [report for report in self.reports if report.status in ("unsupported", "not_permitted")]

    @property
    def failures(self) -> list[FeatureReport]:
        return [report for report in self.lacking if report.name in self.wish.required]


def bucket_result(outcome: BucketOutcome, *, check_mode: bool) -> dict[str, t.Any]:
    """Return the outcome as a module's result."""
    changed = outcome.created or any(report.status in ("set", "would_set") for report in outcome.reports)
    warnings = [f"{report.name}: {report.detail}" for report in outcome.lacking if report.name not in outcome.wish.required]
    header = f"bucket {outcome.wish.bucket}"
    before = "" if outcome.created else _features_text({report.name: report.before for report in outcome.reports})
    return {
        "changed": changed,
        "msg": _sentence(outcome, check_mode=check_mode),
        "bucket": {"name": outcome.wish.bucket, "created": outcome.created, "region": outcome.region},
        "features": {report.name: report.as_dict() for report in outcome.reports},
        "policies": outcome.policies,
        "warnings": [*outcome.notes, *warnings],
        "diff": {
            "before_header": header,
            "after_header": header,
            "before": before,
            "after": _features_text({report.name: report.after for report in outcome.reports}),
        },
    }


def _features_text(values: t.Mapping[str, t.Any]) -> str:
    return "".join(f"{name}: {json.dumps(value, sort_keys=True)}\n" for name, value in values.items())


def _sentence(outcome: BucketOutcome, *, check_mode: bool) -> str:
    names = {status: [report.name for report in outcome.reports if report.status == status] for status in t.get_args(Status)}
    would = "would be " if check_mode else "was "
    first = f"The bucket {outcome.wish.bucket} {would}created." if outcome.created else f"The bucket {outcome.wish.bucket} exists."
    parts = [
        ("Would be set" if check_mode else "Set", [*names["set"], *names["would_set"]]),
        ("In place already", names["in_place"]),
        ("Not supported", names["unsupported"]),
        ("Not permitted to these keys", names["not_permitted"]),
    ]
    return " ".join([first, *(f"{what}: {', '.join(which)}." for what, which in parts if which)])
