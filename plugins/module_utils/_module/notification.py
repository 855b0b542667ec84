# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""The options that say whom to tell, and the message and channels that they mean."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import notification
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.notification import DEFAULT_EVENTS, EVENTS, Contact, Message
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.redaction import in_every_text, mask_url_passwords
from ansible_collections.workon.postgresql_backup.plugins.module_utils._module.runner import Secrets
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.notification import Channel


def _events(default: t.Sequence[str]) -> dict[str, t.Any]:
    return {"type": "list", "elements": "str", "choices": list(EVENTS), "default": list(default)}


_CONTACT = {
    "level": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "role": {"type": "str", "default": ""},
    "reach": {"type": "str", "required": True},
    "after": {"type": "str", "default": ""},
}
_MAIL = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int"},
    "tls": {"type": "str", "choices": ["none", "starttls", "tls"], "default": "starttls"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "from": {"type": "str", "required": True},
    "to": {"type": "list", "elements": "str", "required": True},
    "subject_prefix": {"type": "str", "default": "[backup]"},
    "events": _events(DEFAULT_EVENTS),
}
_WEBHOOK = {
    "url": {"type": "str", "required": True, "no_log": True},
    "method": {"type": "str", "choices": ["POST", "PUT"], "default": "POST"},
    "headers": {"type": "dict", "no_log": True, "default": {}},
    "body": {"type": "raw"},
    "events": _events(DEFAULT_EVENTS),
}
_SLACK = {"url": {"type": "str", "required": True, "no_log": True}, "events": _events(DEFAULT_EVENTS)}
_PING = {"url": {"type": "str", "required": True, "no_log": True}, "signal": {"type": "str"}, "events": _events(EVENTS)}

NOTIFY_SPEC: dict[str, dict[str, t.Any]] = {
    "event": {"type": "str", "choices": list(EVENTS), "required": True},
    "summary": {"type": "str", "required": True},
    "text": {"type": "str", "default": ""},
    "details": {"type": "dict", "default": {}},
    "contacts": {"type": "list", "elements": "dict", "options": _CONTACT, "default": []},
    "mail": {"type": "dict", "options": _MAIL},
    "webhook": {"type": "dict", "options": _WEBHOOK},
    "slack": {"type": "dict", "options": _SLACK},
    "ping": {"type": "dict", "options": _PING},
    "timeout": {"type": "int", "default": 10},
    "retries": {"type": "int", "default": 2},
    "require": {"type": "bool", "default": False},
}


def register(params: t.Mapping[str, t.Any], secrets: Secrets) -> None:
    """Register what must be seen nowhere: whole URLs, and what of them is not the host; passwords and headers."""
    for channel in ("webhook", "slack", "ping"):
        url = (params[channel] or {}).get("url")
        if url:
            secrets.add(url, *_secret_parts(url))
    secrets.add((params["mail"] or {}).get("password"))
    # A value such as application/json or 1 stands in other text by chance.
    secrets.add(*(value for value in map(str, ((params["webhook"] or {}).get("headers") or {}).values()) if len(value) >= 8 and "/" not in value))


def message_from(params: t.Mapping[str, t.Any], secrets: Secrets) -> Message:
    """Return the message that the options mean, without any secret that is known, or that a URL in it shows."""
    if params["timeout"] < 1 or not 0 <= params["retries"] <= 10:
        raise BackupError(f"timeout is {params['timeout']} and retries is {params['retries']}. Set timeout to 1 or more seconds, retries to 0 to 10.")
    contacts = tuple(Contact(each["level"], each["name"], each["reach"], each["role"], each["after"]) for each in params["contacts"])
    said = {"summary": params["summary"], "text": params["text"], "details": params["details"]}
    # Passwords of URLs that nobody has registered as well.
    clean = in_every_text(said, lambda text: mask_url_passwords(secrets.redact(text)))
    return Message(params["event"], clean["summary"], clean["text"], clean["details"], contacts)


def channels_from(params: t.Mapping[str, t.Any]) -> list[Channel]:
    """Return the channels that are set, each with how it writes a message. What is wrong with one is raised only there."""
    return [Channel(name, params[name]["events"], _writer(name, params[name])) for name in ("mail", "webhook", "slack", "ping") if params[name]]


def _writer(name: str, options: t.Mapping[str, t.Any]) -> t.Callable[[Message], t.Any]:
    if name == "mail":
        return lambda message: notification.mail(
            message,
            host=options["host"],
            port=options["port"],
            tls=options["tls"],
            sender=options["from"],
            recipients=options["to"],
            prefix=options["subject_prefix"],
            username=options["username"],
            password=options["password"],
        )
    if name == "webhook":
        return lambda message: notification.webhook(
            message, url=options["url"], method=options["method"], headers=options["headers"] or {}, body=options["body"]
        )
    if name == "slack":
        return lambda message: notification.slack(message, url=options["url"])
    return lambda message: notification.ping(message, url=options["url"], signal=options["signal"])


def _secret_parts(url: str) -> t.Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    # Short pieces such as /v1 or /services stand in other text by chance.
    yield from (piece for piece in (*parts.path.split("/"), parts.query) if len(piece) >= 8 and piece.lower() not in ("webhooks", "services"))
