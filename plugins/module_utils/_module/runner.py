# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What every module does around its work: secrets out of everything it prints, errors into one sentence, signals into a clean end."""

from __future__ import annotations

import datetime as dt
import signal
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.redaction import Redactor, in_every_text, secret_forms


class Secrets:
    """The secrets of one run. Every spelling of each is masked in the result and in what client programs say."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._known: set[str] = set()

    def add(self, *secrets: str | None) -> None:
        """Register secrets as soon as they are known, before anything can fail."""
        for secret in secrets:
            if secret:
                self._known.add(secret)
                self._module.no_log_values.update(secret_forms(secret))

    def redact(self, text: str) -> str:
        return Redactor(self._known)(text)

    def redact_value(self, value: t.Any) -> t.Any:
        """Redact every text in plain data."""
        return in_every_text(value, self.redact)


def run_module(module: AnsibleModule, work: t.Callable[[Secrets], dict[str, t.Any]]) -> None:
    """Do a module's work and end the process: with its result, or with its error as a failed one."""
    secrets = Secrets(module)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # nohup has SIGHUP ignored, and means it.
        if signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, _stop)
    try:
        result = work(secrets)
    except BackupError as error:
        module.fail_json(msg=secrets.redact(error.message), **secrets.redact_value(error.details))
    except (KeyboardInterrupt, _Stopped):
        module.fail_json(msg="The run was stopped from outside, by a signal.")
    except Exception as error:  # noqa: BLE001 (whatever it is, its traceback may hold a secret)
        module.fail_json(
            msg=secrets.redact(f"An error that this software did not expect stopped the run: {error}. Please report it."),
            exception=secrets.redact(traceback.format_exc()),
        )
    else:
        # They have an entry of their own in the result, which Ansible makes.
        for warning in result.pop("warnings", []):
            module.warn(warning)
        module.exit_json(**result)


def utc_now() -> dt.datetime:
    """Return the time for workflows, which read no clock themselves."""
    return dt.datetime.now(dt.timezone.utc)


class _Stopped(BaseException):
    """A signal asked the run to end; it is no Exception, so that nothing swallows it on the way."""


def _stop(_number: int, _frame: object) -> t.NoReturn:
    raise _Stopped
