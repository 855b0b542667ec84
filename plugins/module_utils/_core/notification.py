# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""What is said when something happened, and how each channel writes it. Everything here has been redacted by whoever hands it in."""

from __future__ import annotations

import json
import string
import typing as t
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import HttpResponse, headers_are_sound, url_problem
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError

Event = t.Literal["failure", "warning", "recovery", "start", "success"]
EVENTS: tuple[Event, ...] = ("failure", "warning", "recovery", "start", "success")
# What wakes people is said in full; that all went well as always is for a ping alone.
DEFAULT_EVENTS: tuple[Event, ...] = ("failure", "warning", "recovery")

# A warning is a success to a ping: the job has run. As a failure it would alarm, and as nothing at all it would, too, after a while.
_SIGNALS: dict[Event, str] = {"failure": "fail", "warning": "success", "recovery": "success", "start": "start", "success": "success"}
# What healthchecks.io keeps of a body, in bytes.
LONGEST_PING = 100_000
# Answers with which it says 200 and has counted nothing.
_PING_NOT_COUNTED = ("OK (not found)", "OK (rate limited)")
# In characters; Slack refuses what is longer.
_SLACK_TEXT, _SLACK_BLOCKS, _SLACK_FIELDS, _SLACK_FIELD = 2900, 10, 10, 1900
_LONGEST_SUBJECT = 200
# Worth another attempt beside every error of the server: it was slow, or has too much to do.
_TRY_AGAIN = (408, 425, 429)

HttpHeaders: t.TypeAlias = "tuple[tuple[str, str], ...]"


class NotDelivered(BackupError):
    """A channel did not take the message; ``again`` says whether it may at another attempt."""

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


@dataclass(frozen=True)
class Contact:
    """One step of the escalation: who, how to reach them, and after how long without an answer."""

    level: str
    name: str
    reach: str
    role: str = ""
    after: str = ""


@dataclass(frozen=True)
class Message:
    """What happened: one sentence, more text, facts by their names, and whom to call."""

    event: Event
    summary: str
    text: str = ""
    details: t.Mapping[str, t.Any] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()

    @property
    def headline(self) -> str:
        return f"{self.event.upper()}: {_in_one_line(self.summary)}"

    @property
    def details_text(self) -> str:
        return "\n".join(f"{name}: {_plain(value)}" for name, value in self.details.items())

    @property
    def contacts_text(self) -> str:
        """Return the escalation as a table, whatever the event is."""
        return contacts_table(self.contacts)

    @property
    def whole(self) -> str:
        """Return everything as plain text. Whom to call is in it where somebody has to be."""
        call = self.contacts_text if self.event in ("failure", "warning") else ""
        parts = (self.headline, self.text.strip(), self.details_text, call)
        return "\n\n".join(part for part in parts if part) + "\n"


@dataclass(frozen=True)
class Mail:
    """A mail, and the server that is to take it."""

    host: str
    port: int
    tls: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    body: str
    username: str | None = None
    password: str | None = None

    @property
    def target(self) -> str:
        return f"{', '.join(self.recipients)} through {self.host}:{self.port}"


@dataclass(frozen=True)
class HttpMessage:
    """A request that carries a message. The whole URL is a secret; ``target`` is what may be shown of it."""

    method: str
    url: str
    headers: HttpHeaders
    body: bytes
    ping: bool = False

    @property
    def target(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True)
class Delivery:
    """What became of a message on one channel. ``verdict`` is sent, failed, planned (check mode) or skipped (not for this event)."""

    channel: str
    verdict: t.Literal["sent", "failed", "planned", "skipped"]
    target: str
    attempts: int = 0
    problem: str | None = None

    def as_dict(self) -> dict[str, t.Any]:
        return asdict(self)


def contacts_table(contacts: t.Sequence[Contact]) -> str:
    """Return whom to call and when, in columns, or an empty text."""
    if not contacts:
        return ""
    rows = [
        (each.level, each.after if each.after.startswith("at ") else f"after {each.after}" if each.after else "at once", _person(each), each.reach)
        for each in contacts
    ]
    shown = [[_in_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(3)]
    lines = ["  ".join([*(row[column].ljust(widths[column]) for column in range(3)), row[3]]) for row in shown]
    return "\n".join(["Whom to call:", *(f"  {line}" for line in lines)])


def _person(contact: Contact) -> str:
    return f"{contact.name} ({contact.role})" if contact.role else contact.name


def mail(
    message: Message,
    *,
    host: str,
    port: int | None,
    tls: str,
    sender: str,
    recipients: t.Sequence[str],
    prefix: str,
    username: str | None,
    password: str | None,
) -> Mail:
    """Return the mail, or raise a sentence where it cannot be one."""
    if not recipients:
        raise BackupError("mail.to is empty. Set it to the addresses that the mail is for.")
    for option, address in (("from", sender), *(("to", each) for each in recipients)):
        if "@" not in address or not address.isprintable() or not address.isascii():
            raise BackupError(f"mail.{option} is {address!r}, which is no address. Write it as name@example.com.")
    if (username is None) != (password is None):
        raise BackupError("mail.username and mail.password belong together. Set both, or neither for a server that asks for none.")
    if password is not None and tls == "none" and not _is_this_host(host):
        raise BackupError(f"mail.password would be sent to {host} for everybody on the way to read. Set mail.tls to starttls or tls.")
    subject = _shortened(" ".join(part for part in (_in_one_line(prefix), message.headline) if part), _LONGEST_SUBJECT)
    chosen = port or {"none": 25, "starttls": 587, "tls": 465}[tls]
    return Mail(host, chosen, tls, sender, tuple(recipients), subject, message.whole, username, password)


def webhook(message: Message, *, url: str, method: str, headers: t.Mapping[str, t.Any], body: t.Any) -> HttpMessage:
    """Return the request: with the documented JSON, or with a body of the user's in which placeholders are replaced."""
    _require_url(url, "webhook")
    found = tuple((str(name), str(value)) for name, value in headers.items())
    if not headers_are_sound(found):
        raise BackupError("webhook.headers has a header without a value, or with a character that no header has. Write them as NAME: VALUE, each in one line.")
    content = _document(message) if body is None else _filled(body, _placeholders(message))
    kind, written = ("text/plain; charset=utf-8", content.encode(errors="replace")) if isinstance(content, str) else ("application/json", _json(content))
    if "content-type" not in {name.lower() for name, _value in found}:
        found = (*found, ("Content-Type", kind))
    return HttpMessage(method, url, found, written)


def slack(message: Message, *, url: str) -> HttpMessage:
    """Return what Slack and those like it take: a text for all of them, and blocks for those that have them."""
    _require_url(url, "slack")
    blocks: list[dict[str, t.Any]] = [_section(f"{_MARKS[message.event]} {message.headline}")]
    blocks += [_section(piece) for piece in _pieces(message.text.strip())]
    fields = [{"type": "plain_text", "text": _shortened(f"{name}: {_plain(value)}", _SLACK_FIELD)} for name, value in list(message.details.items())]
    if fields:
        blocks.append({"type": "section", "fields": fields[:_SLACK_FIELDS]})
    if message.contacts and message.event in ("failure", "warning"):
        blocks.append(_section(message.contacts_text))
    return HttpMessage(
        "POST", url, (("Content-Type", "application/json"),), _json({"text": _slack_escaped(_shortened(message.whole, 12_000)), "blocks": blocks})
    )


def ping(message: Message, *, url: str, signal: str | None) -> HttpMessage:
    """Return the ping: the URL, with what is signalled at its end, and the message as its body."""
    _require_url(url, "ping")
    chosen = signal or _SIGNALS[message.event]
    if chosen not in ("start", "success", "fail", "log") and not (chosen.isascii() and chosen.isdecimal() and int(chosen) <= 255):
        raise BackupError(f"ping.signal is {chosen}. Set it to start, success, fail, log, or an exit status from 0 to 255, or leave it out.")
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + ("" if chosen == "success" else f"/{chosen}")
    body = message.whole.encode(errors="replace")[:LONGEST_PING].decode(errors="ignore").encode()
    return HttpMessage("POST", urlunsplit(parts._replace(path=path)), (("Content-Type", "text/plain; charset=utf-8"),), body, ping=True)


def require_taken(request: HttpMessage, response: HttpResponse) -> None:
    """Raise a sentence unless the answer says that the message was taken."""
    said = (response.body or b"")[:200].decode(errors="replace").strip()
    if not 200 <= response.status < 300:
        words = f": {_in_one_line(said)}" if said else ""
        hint = ". It leads elsewhere, and is not followed with a secret" if 300 <= response.status < 400 else ""
        again = response.status >= 500 or response.status in _TRY_AGAIN
        raise NotDelivered(f"{request.target} answered {response.status}{words.rstrip('.')}{hint}.", again=again)
    if request.ping and said in _PING_NOT_COUNTED:
        raise NotDelivered(f"{request.target} answered {said}, so the ping was not counted. Set ping.url to that of a check that exists.")


def notification_result(message: Message, deliveries: t.Sequence[Delivery]) -> dict[str, t.Any]:
    """Return what became of a message as a module's result."""
    return {
        "changed": any(each.verdict in ("sent", "planned") for each in deliveries),
        "msg": _sentence(message, deliveries),
        "channels": [each.as_dict() for each in deliveries],
        "failed_channels": [each.channel for each in deliveries if each.verdict == "failed"],
        "text": message.whole,
        "contacts_text": message.contacts_text,
    }


_MARKS: dict[Event, str] = {
    "failure": "\N{LARGE RED CIRCLE}",
    "warning": "\N{LARGE YELLOW CIRCLE}",
    "recovery": "\N{LARGE GREEN CIRCLE}",
    "start": "",
    "success": "",
}


def _sentence(message: Message, deliveries: t.Sequence[Delivery]) -> str:
    by_verdict = {verdict: [each for each in deliveries if each.verdict == verdict] for verdict in ("sent", "failed", "planned")}
    said = []
    if by_verdict["planned"]:
        said.append(f"Would send the {message.event} by {_named(by_verdict['planned'])}.")
    if by_verdict["sent"]:
        said.append(f"Sent the {message.event} by {_named(by_verdict['sent'])}.")
    said += [f"Not sent by {each.channel}: {each.problem}" for each in by_verdict["failed"]]
    return " ".join(said) or f"No channel is for the event {message.event}, so nothing was sent."


def _named(deliveries: t.Sequence[Delivery]) -> str:
    return ", ".join(f"{each.channel} ({each.target})" for each in deliveries)


def _document(message: Message) -> dict[str, t.Any]:
    return {
        "source": "workon.postgresql_backup",
        "event": message.event,
        "summary": message.summary,
        "text": message.text,
        "details": dict(message.details),
        "contacts": [asdict(each) for each in message.contacts],
        "message": message.whole,
    }


def _placeholders(message: Message) -> dict[str, str]:
    return {
        "event": message.event,
        "summary": message.summary,
        "text": message.text,
        "details": message.details_text,
        "contacts": message.contacts_text,
        "message": message.whole,
    }


def _filled(body: t.Any, values: t.Mapping[str, str]) -> t.Any:
    """Replace the placeholders in every text of plain data."""
    if isinstance(body, str):
        try:
            return string.Template(body).substitute(values)
        except (KeyError, ValueError) as error:
            known = ", ".join(f"${name}" for name in values)
            raise BackupError(f"webhook.body has a placeholder that there is not ({error}). There are {known}; write $$ for a dollar sign.") from error
    if isinstance(body, t.Mapping):
        return {name: _filled(value, values) for name, value in body.items()}
    if isinstance(body, (list, tuple)):
        return [_filled(value, values) for value in body]
    return body


def _require_url(url: str, channel: str) -> None:
    problem = url_problem(url)
    if problem:
        raise BackupError(f"{channel} {problem[0]}. {problem[1]}.")


def _is_this_host(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _section(text: str) -> dict[str, t.Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": _shortened(text.strip(), _SLACK_TEXT)}}


def _pieces(text: str) -> list[str]:
    """Cut a text at its lines into what blocks can hold, and no more than so many."""
    pieces: list[str] = []
    for line in text.splitlines():
        if pieces and len(pieces[-1]) + len(line) < _SLACK_TEXT:
            pieces[-1] += f"\n{line}"
        else:
            pieces.append(line)
    return [piece for piece in pieces if piece.strip()][:_SLACK_BLOCKS]


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(content: t.Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, default=str).encode(errors="replace")


def _plain(value: t.Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _in_one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."
