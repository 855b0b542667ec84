# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The Python libraries that are imported where they are used: found, or missing with Ansible's own sentence."""

from __future__ import annotations

import importlib
import typing as t

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

# It comes without types.
_sentence: t.Callable[..., str] = missing_required_lib


def require_library(name: str, reason: str, url: str) -> t.Any:
    """Import a library, or raise the sentence that says which interpreter lacks it.

    It is called once the library is known to be needed: importing boto3 costs a quarter of a second that a run into a directory need not pay.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackupError(_sentence(name, reason=reason, url=url)) from error


def require_psycopg2() -> t.Any:
    """Import psycopg2."""
    return require_library("psycopg2", "to read the database", "https://www.psycopg.org/docs/install.html")


def require_boto3() -> t.Any:
    """Import boto3."""
    return require_library("boto3", "to use an S3 bucket", "https://boto3.amazonaws.com/v1/documentation/api/latest/guide/quickstart.html")
