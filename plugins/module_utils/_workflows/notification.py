# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""Say what happened on every channel, whatever becomes of the others."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.notification import (
    Delivery,
    HttpMessage,
    Mail,
    Message,
    NotDelivered,
    notification_result,
    require_taken,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import http_request
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.smtp import send_mail

# In seconds, before the second attempt; twice as long before each further one.
_FIRST_PAUSE = 1.0


@dataclass(frozen=True)
class Channel:
    """A way to tell people, for some events. ``write`` makes of the message what it carries, and may raise what is wrong with its options."""

    name: str
    events: t.Collection[str]
    write: t.Callable[[Message], Mail | HttpMessage]


@dataclass(frozen=True)
class Patience:
    """How long each attempt may take, how many may follow the first, and what waits for so many seconds between them."""

    timeout: float
    retries: int
    pause: t.Callable[[float], None]


def notify(message: Message, channels: t.Iterable[Channel], patience: Patience, *, check_mode: bool) -> list[Delivery]:
    """Send the message and return what became of it on each channel, in their order. In check mode nothing is sent."""
    return [_deliver(message, channel, patience, check_mode) for channel in channels]


def require_all(message: Message, deliveries: t.Sequence[Delivery]) -> None:
    """Raise the whole outcome as a failure unless every channel took the message."""
    result = notification_result(message, deliveries)
    if result["failed_channels"]:
        raise BackupError(result.pop("msg"), **result)


def _deliver(message: Message, channel: Channel, patience: Patience, check_mode: bool) -> Delivery:
    if message.event not in channel.events:
        return Delivery(channel.name, "skipped", "")
    try:
        written = channel.write(message)
    except BackupError as error:
        # Even this is no reason to leave the others out: somebody has to be told.
        return Delivery(channel.name, "failed", "", problem=error.message)
    if check_mode:
        return Delivery(channel.name, "planned", written.target)
    for attempt in range(1, patience.retries + 2):
        try:
            _send(written, patience.timeout)
        except BackupError as error:
            if attempt > patience.retries or (isinstance(error, NotDelivered) and not error.again):
                return Delivery(channel.name, "failed", written.target, attempt, error.message)
            patience.pause(_FIRST_PAUSE * 2 ** (attempt - 1))
        else:
            return Delivery(channel.name, "sent", written.target, attempt)
    raise AssertionError


def _send(written: Mail | HttpMessage, timeout: float) -> None:
    if isinstance(written, Mail):
        send_mail(written, timeout)
    else:
        answer = http_request.send(written.method, written.url, written.headers, written.body, timeout, shown=written.target)
        require_taken(written, answer)
