# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgresql_backup_notify on real sockets: every channel is tried whatever the others do, what fails is a sentence, and no secret is in any of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.ansible_runner import AnsibleRunner, Outcome
from harness.certificates import Certificate
from harness.ports import free_port
from harness.receivers import HttpReceiver, MailReceiver

TOKEN = "Zebra-Kanary-77token"
CONTACTS = [
    {"level": "L1", "name": "On call", "role": "operations", "reach": "+49 30 1"},
    {"level": "L2", "name": "Database team", "reach": "dba@example.com", "after": "15 min"},
]
FAILURE: dict[str, Any] = {"event": "failure", "summary": "The backup of workon failed.", "text": "pg_dump ended with 1.", "contacts": CONTACTS}
LOOPBACK = {"no_proxy": "127.0.0.1"}


@pytest.fixture
def ansible() -> Iterator[AnsibleRunner]:
    """Runs modules; every run's output is searched for the secret in every URL, header and password."""
    runner = AnsibleRunner([TOKEN])
    yield runner
    runner.stop_all()


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as running:
        yield running


def notify(ansible: AnsibleRunner, *, check: bool = False, environment: dict[str, str] | None = None, **options: Any) -> Outcome:
    return ansible.run("postgresql_backup_notify", check=check, environment_={**LOOPBACK, **(environment or {})}, **{**FAILURE, **options})


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {each["channel"]: each["verdict"] for each in result["channels"]}


def mail_to(server: MailReceiver, **changes: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "backup@example.com", "to": ["ops@example.com"], **changes}


def test_every_channel_gets_the_message(ansible: AnsibleRunner, receiver: HttpReceiver) -> None:
    with MailReceiver() as post:
        url = f"{receiver.url}/{TOKEN}"
        outcome = notify(
            ansible,
            mail=mail_to(post),
            webhook={"url": f"{url}/hook?key={TOKEN}", "method": "PUT", "headers": {"Authorization": f"Bearer {TOKEN}"}},
            slack={"url": f"{url}/slack"},
            ping={"url": f"{url}/ping"},
            details={"host": "backup1"},
        )
    result = outcome.require_success()
    assert result["changed"] is True
    assert verdicts(result) == dict.fromkeys(("mail", "webhook", "slack", "ping"), "sent")
    assert [each["target"] for each in result["channels"]] == [f"ops@example.com through 127.0.0.1:{post.port}", *[receiver.url] * 3]
    assert "L2  after 15 min" in result["contacts_text"]
    (mail,) = post.mails
    assert mail["Subject"] == "[backup] FAILURE: The backup of workon failed."
    assert mail.get_content() == result["text"]
    assert "+49 30 1" in result["text"]
    assert [(each.method, each.path) for each in receiver.received] == [
        ("PUT", f"/{TOKEN}/hook?key={TOKEN}"),
        ("POST", f"/{TOKEN}/slack"),
        ("POST", f"/{TOKEN}/ping/fail"),
    ]
    hook, slack, ping = receiver.received
    assert hook.headers["Authorization"] == f"Bearer {TOKEN}"
    assert json.loads(hook.body)["details"] == {"host": "backup1"}
    assert json.loads(slack.body)["text"] == result["text"]
    assert ping.body.decode() == result["text"]


def test_one_that_fails_keeps_no_other_from_being_told(ansible: AnsibleRunner, receiver: HttpReceiver) -> None:
    dead = free_port()
    outcome = notify(
        ansible,
        mail={"host": "127.0.0.1", "port": dead, "tls": "none", "from": "a@example.com", "to": ["b@example.com"]},
        webhook={"url": f"http://127.0.0.1:{dead}/{TOKEN}"},
        slack={"url": f"no url {TOKEN}"},
        ping={"url": f"{receiver.url}/{TOKEN}"},
        retries=0,
    )
    result = outcome.require_success()
    assert verdicts(result) == {"mail": "failed", "webhook": "failed", "slack": "failed", "ping": "sent"}
    assert result["failed_channels"] == ["mail", "webhook", "slack"]
    assert result["channels"][1]["problem"] == f"http://127.0.0.1:{dead} could not be reached: Connection refused."
    assert "slack has a url with a space" in result["channels"][2]["problem"]
    assert len(result["warnings"]) == 3
    assert len(receiver.received) == 1


def test_required_it_fails_after_all_were_tried(ansible: AnsibleRunner, receiver: HttpReceiver) -> None:
    outcome = notify(ansible, webhook={"url": f"http://127.0.0.1:{free_port()}/{TOKEN}"}, ping={"url": f"{receiver.url}/{TOKEN}"}, retries=0, require=True)
    assert outcome.failed
    assert outcome.message.startswith(f"Sent the failure by ping ({receiver.url}). Not sent by webhook: http://127.0.0.1:")
    assert outcome.result["failed_channels"] == ["webhook"]
    assert outcome.result["changed"] is True
    assert len(receiver.received) == 1


@pytest.mark.parametrize(("answers", "attempts", "verdict"), [([503, 429, 200], 3, "sent"), ([500], 3, "failed"), ([404], 1, "failed"), ([302], 1, "failed")])
def test_what_another_attempt_may_change_is_tried_again(ansible: AnsibleRunner, answers: list[int], attempts: int, verdict: str) -> None:
    with HttpReceiver(*[(status, b"said") for status in answers]) as receiver:
        result = notify(ansible, webhook={"url": f"{receiver.url}/{TOKEN}"}).require_success()
    (found,) = result["channels"]
    assert (found["verdict"], found["attempts"], len(receiver.received)) == (verdict, attempts, attempts)
    # A redirect is not followed: the secret would go along.
    assert {each.path for each in receiver.received} == {f"/{TOKEN}"}


def test_who_says_nothing_is_not_waited_for(ansible: AnsibleRunner) -> None:
    with HttpReceiver((0, b"")) as receiver:
        before = time.monotonic()
        result = notify(ansible, ping={"url": f"{receiver.url}/{TOKEN}"}, timeout=1, retries=1).require_success()
    assert result["channels"][0]["problem"] == f"{receiver.url} did not answer within 1 seconds."
    assert len(receiver.received) == 2
    assert time.monotonic() - before < 20


def test_a_mail_server_that_is_busy_gets_a_second_mail(ansible: AnsibleRunner) -> None:
    with MailReceiver(answers=["451 busy"]) as post:
        result = notify(ansible, mail=mail_to(post)).require_success()
    assert (result["channels"][0]["attempts"], post.attempts, len(post.mails)) == (2, 2, 1)


def test_a_login_over_an_encrypted_connection(ansible: AnsibleRunner, tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    with MailReceiver("starttls", certificate, users={"backup": TOKEN}) as post:
        login = {"username": "backup", "password": TOKEN, "tls": "starttls"}
        trusting = {"SSL_CERT_FILE": str(certificate.path)}
        notify(ansible, mail=mail_to(post, **login), environment=trusting).require_success()
        assert len(post.mails) == 1
        result = notify(ansible, mail=mail_to(post, **login)).require_success()
        assert "showed a certificate that could not be verified" in result["channels"][0]["problem"]


def test_check_mode_says_who_would_be_told(ansible: AnsibleRunner, receiver: HttpReceiver) -> None:
    with MailReceiver() as post:
        outcome = notify(ansible, check=True, mail=mail_to(post), ping={"url": f"{receiver.url}/{TOKEN}"}, slack={"url": f"no url {TOKEN}"})
    result = outcome.require_success()
    assert result["changed"] is True
    assert verdicts(result) == {"mail": "planned", "ping": "planned", "slack": "failed"}
    assert result["msg"].startswith(f"Would send the failure by mail (ops@example.com through 127.0.0.1:{post.port}), ping ({receiver.url}).")
    assert not post.mails
    assert not receiver.received


@pytest.mark.parametrize(
    ("event", "told", "path"),
    [
        ("start", {"ping"}, "/start"),
        ("success", {"ping"}, ""),
        ("warning", {"ping", "slack"}, ""),
        ("recovery", {"ping", "slack"}, ""),
        ("failure", {"ping", "slack"}, "/fail"),
    ],
)
def test_which_events_are_for_whom(ansible: AnsibleRunner, receiver: HttpReceiver, event: str, told: set[str], path: str) -> None:
    url = f"{receiver.url}/{TOKEN}"
    result = notify(ansible, event=event, slack={"url": f"{url}/slack"}, ping={"url": f"{url}/ping"}).require_success()
    assert {channel for channel, verdict in verdicts(result).items() if verdict == "sent"} == told
    assert f"/{TOKEN}/ping{path}" in [each.path for each in receiver.received]


def test_without_a_channel_there_is_still_something_to_print(ansible: AnsibleRunner) -> None:
    result = notify(ansible).require_success()
    assert result["changed"] is False
    assert result["msg"] == "No channel is for the event failure, so nothing was sent."
    assert "Whom to call:" in result["text"]


def test_secrets_are_not_sent_on(ansible: AnsibleRunner, receiver: HttpReceiver) -> None:
    """What a program said may quote a secret; on its way to others it is masked."""
    text = f"could not reach postgresql://app:pa55word@db.example.com/x, tried https://hooks.example.com/{TOKEN}"
    result = notify(
        ansible, text=text, details={"url": text}, slack={"url": f"{receiver.url}/{TOKEN}"}, webhook={"url": f"{receiver.url}/hook"}
    ).require_success()
    assert all(TOKEN.encode() not in each.body and b"pa55word" not in each.body for each in receiver.received)
    assert "postgresql://app:********@db.example.com/x" in result["text"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": 0}, "Set timeout to 1 or more seconds"),
        ({"retries": 11}, "retries to 0 to 10"),
        ({"event": "disaster"}, "value of event must be one of"),
        ({"mail": {"host": "mail.example.com"}}, "missing required arguments"),
    ],
)
def test_what_is_refused(ansible: AnsibleRunner, options: dict[str, Any], says: str) -> None:
    outcome = notify(ansible, **options)
    assert outcome.failed
    assert says in outcome.message
