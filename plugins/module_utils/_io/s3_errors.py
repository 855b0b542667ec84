# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What an S3 server's errors mean, as sentences that name the option to set."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import StoreError

_WRONG_KEYS = "refused the keys. Set access_key and secret_key (and session_token for temporary keys), or profile"
# Some servers answer 404 to an unknown key, so the code decides and not the status.
_HELP_BY_CODE = {
    "InvalidAccessKeyId": _WRONG_KEYS,
    "SignatureDoesNotMatch": _WRONG_KEYS,
    "XAdminUserNotFound": _WRONG_KEYS,
    "InvalidToken": _WRONG_KEYS,
    "ExpiredToken": "says that the temporary keys have expired. Set fresh access_key, secret_key and session_token",
    "NoSuchBucket": "has no such bucket. Create the bucket, or set bucket to its name",
    "InvalidBucketName": "says that this is not a bucket's name. Set bucket to a valid name",
    "AccessDenied": "does not permit this to these keys. Grant them the action on the bucket and prefix",
    "RequestTimeTooSkewed": "says that this host's clock is too far from its own. Correct the clock (NTP)",
    "PermanentRedirect": "keeps this bucket in another region. Set region (or endpoint_url) to it",
    "AuthorizationHeaderMalformed": "expects another region. Set region to the bucket's",
    "kms:KeyNotFound": "has no such key. Set kms_key_id to a key that it has, or leave it out",
    "KMS.NotFoundException": "has no such key. Set kms_key_id to a key that it has, or leave it out",
    "XMinioStorageFull": "is full. Free space in it, or set bucket or endpoint_url to another store",
    "InsufficientStorage": "is full. Free space in it, or set bucket or endpoint_url to another store",
    "QuotaExceeded": "has no quota left. Free space in it, or raise the quota",
    "NotImplemented": "does not support this. Leave the option that asks for it out",
    "SlowDown": "is overloaded and asked to slow down. Try again later, or lower max_concurrency",
}
_HELP_BY_STATUS = {
    403: "does not permit this to these keys. Set access_key and secret_key, or grant them the action on the bucket and prefix",
    404: "does not have it. Check bucket and prefix",
    507: _HELP_BY_CODE["InsufficientStorage"],
}


def code_of(error: BaseException) -> str:
    """Return the S3 error code of a botocore ClientError; HEAD requests have only the status as their code."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def status_of(error: BaseException) -> int:
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)


def _answer(error: BaseException) -> dict[str, t.Any]:
    # A connection that was lost is an error of botocore's too; it has the attribute, and None in it.
    return getattr(error, "response", None) or {}


def is_missing(error: BaseException) -> bool:
    """Say whether the error is about an object or upload that is not there."""
    return code_of(error) in ("NoSuchKey", "404", "NotFound", "NoSuchUpload")


def is_precondition(error: BaseException) -> bool:
    """Say whether a conditional write was refused because the key exists."""
    return code_of(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict")


def is_unsupported(error: BaseException) -> bool:
    return code_of(error) in ("NotImplemented", "501", "InvalidRequest") or status_of(error) == 501


@contextlib.contextmanager
def translated(what: str, location: str) -> t.Iterator[None]:
    """Turn botocore's errors into one sentence: what was attempted, what the store did, what to set."""
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise StoreError(_client_sentence(what, location, error), store_error=code_of(error), store_status=status_of(error)) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise StoreError(
            f"No keys for the store {location} were found. Set access_key and secret_key, or profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
    except exceptions.ProfileNotFound as error:
        raise StoreError(f"profile names a profile that this host's AWS configuration does not have: {error}") from error
    except exceptions.SSLError as error:
        raise StoreError(
            f"The store {location} could not be trusted while trying to {what}: its certificate was not verified. Set ca_bundle to its authority's certificate."
        ) from error
    except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError, exceptions.InvalidEndpointConfigurationError) as error:
        raise StoreError(f"The store {location} could not be reached while trying to {what}. Check endpoint_url and the network between.") from error
    except (exceptions.HTTPClientError, exceptions.ResponseStreamingError, exceptions.IncompleteReadError) as error:
        raise StoreError(
            f"The connection to the store {location} was lost while trying to {what}. Check the store and the network between, and run again."
        ) from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise StoreError(f"The request to {what} could not be made to the store {location}: {error}") from error


def _client_sentence(what: str, location: str, error: BaseException) -> str:
    code, status = code_of(error), status_of(error)
    said = str(_answer(error).get("Error", {}).get("Message", "")).strip().rstrip(".")
    help_text = _HELP_BY_CODE.get(code) or _HELP_BY_STATUS.get(status)
    if help_text is None:
        help_text = "failed. It is the store's own trouble: look at its log, and run again" if status >= 500 else "refused the request"
    answer = " ".join(part for part in (code, str(status) if str(status) != code else "", said) if part)
    return f"Trying to {what}, the store {location} {help_text}. It answered: {answer}."
