# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each channel is given: everything that a person needs, nothing that the channel would refuse."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core import notification
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import HttpResponse
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.notification import Contact, Delivery, Message, NotDelivered

CONTACTS = (
    Contact("L1", "On call", "+49 30 1", role="operations"),
    Contact("L2", "Database team", "dba@example.com", after="15 min"),
    Contact("L3", "Head", "+49 30 3", after="at 8:00"),
)
FAILURE = Message("failure", "The backup of workon failed.", "Line one.\nLine two.", {"host": "backup1", "names": ["a", "b"]}, CONTACTS)
URL = "https://hooks.example.com/services/T000/s3cret"


def mail(message: Message = FAILURE, **changes: t.Any) -> notification.Mail:
    options = {
        "host": "mail.example.com",
        "port": None,
        "tls": "starttls",
        "sender": "backup@example.com",
        "recipients": ["ops@example.com"],
        "prefix": "[backup]",
        "username": None,
        "password": None,
    }
    return notification.mail(message, **{**options, **changes})


def refusal(call: t.Callable[[], object]) -> str:
    with pytest.raises(BackupError) as caught:
        call()
    assert "s3cret" not in caught.value.message
    return caught.value.message


def test_the_whole_message() -> None:
    assert FAILURE.whole == (
        'FAILURE: The backup of workon failed.\n\nLine one.\nLine two.\n\nhost: backup1\nnames: ["a", "b"]\n\n'
        "Whom to call:\n"
        "  L1  at once       On call (operations)  +49 30 1\n"
        "  L2  after 15 min  Database team         dba@example.com\n"
        "  L3  at 8:00       Head                  +49 30 3\n"
    )


@pytest.mark.parametrize(("event", "called"), [("failure", True), ("warning", True), ("recovery", False), ("start", False), ("success", False)])
def test_nobody_is_to_be_called_where_all_is_well(event: notification.Event, called: bool) -> None:
    message = Message(event, "x", contacts=CONTACTS)
    assert ("Whom to call" in message.whole) is called
    assert ("Whom to call" in json.dumps(json.loads(notification.slack(message, url=URL).body))) is called
    assert "Whom to call" in message.contacts_text


def test_no_contacts_are_no_heading() -> None:
    assert Message("failure", "x").whole == "FAILURE: x\n"


# Mail


@pytest.mark.parametrize(("tls", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_the_port_is_that_of_the_encryption(tls: str, port: int) -> None:
    assert mail(tls=tls).port == port
    assert mail(tls=tls, port=2525).port == 2525


def test_a_subject_is_one_line_and_not_endless() -> None:
    assert mail().subject == "[backup] FAILURE: The backup of workon failed."
    assert mail(prefix="").subject == "FAILURE: The backup of workon failed."
    hostile = mail(Message("failure", "a\r\nBcc: x@example.com\u2028" + "y" * 500)).subject
    assert hostile.isprintable()
    assert hostile.startswith("[backup] FAILURE: a Bcc: x@example.com yyy")
    assert len(hostile) == 200


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recipients": []}, "mail.to is empty."),
        ({"recipients": ["ops"]}, "mail.to is 'ops', which is no address."),
        ({"recipients": ["a@b\r\nBcc: c@d"]}, "which is no address."),
        ({"sender": "backup"}, "mail.from is 'backup'"),
        ({"username": "x"}, "mail.username and mail.password belong together."),
        ({"password": "s3cret"}, "mail.username and mail.password belong together."),
        ({"username": "x", "password": "s3cret", "tls": "none"}, "mail.password would be sent to mail.example.com for everybody on the way to read."),
    ],
)
def test_what_is_no_mail(changes: dict[str, t.Any], says: str) -> None:
    assert says in refusal(lambda: mail(**changes))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_a_password_may_go_to_this_host(host: str) -> None:
    assert mail(host=host, tls="none", username="x", password="s3cret").password == "s3cret"


# Webhooks


def webhook(message: Message = FAILURE, **changes: t.Any) -> notification.HttpMessage:
    return notification.webhook(message, **{"url": URL, "method": "POST", "headers": {}, "body": None, **changes})


def test_the_documented_document() -> None:
    request = webhook(headers={"Authorization": "Bearer x"})
    assert request.headers == (("Authorization", "Bearer x"), ("Content-Type", "application/json"))
    assert json.loads(request.body) == {
        "source": "workon.postgresql_backup",
        "event": "failure",
        "summary": "The backup of workon failed.",
        "text": "Line one.\nLine two.",
        "details": {"host": "backup1", "names": ["a", "b"]},
        "contacts": [
            {"level": "L1", "name": "On call", "reach": "+49 30 1", "role": "operations", "after": ""},
            {"level": "L2", "name": "Database team", "reach": "dba@example.com", "role": "", "after": "15 min"},
            {"level": "L3", "name": "Head", "reach": "+49 30 3", "role": "", "after": "at 8:00"},
        ],
        "message": FAILURE.whole,
    }


def test_a_body_of_the_user_s() -> None:
    request = webhook(body={"title": "$event: $summary", "labels": ["${event}s", 1, None], "price": "$$5", "$event": True})
    assert json.loads(request.body) == {"title": "failure: The backup of workon failed.", "labels": ["failures", 1, None], "price": "$5", "$event": True}
    text = webhook(body="$message|$details|$contacts|$text")
    assert text.body.decode() == f"{FAILURE.whole}|{FAILURE.details_text}|{FAILURE.contacts_text}|{FAILURE.text}"
    assert text.headers == (("Content-Type", "text/plain; charset=utf-8"),)
    assert webhook(body="x", headers={"content-type": "text/csv"}).headers == (("content-type", "text/csv"),)


@pytest.mark.parametrize("body", ["$nothing", {"a": ["$nothing"]}, "100 $"])
def test_a_placeholder_that_there_is_not(body: t.Any) -> None:
    assert "webhook.body has a placeholder that there is not" in refusal(lambda: webhook(body=body))


@pytest.mark.parametrize("url", ["", "hooks.example.com/s3cret", "file:///s3cret", "https://u:s3cret@example.com/", "https://example.com/s3cret x"])
def test_what_is_no_url(url: str) -> None:
    for call in (
        lambda: webhook(url=url),
        lambda: notification.slack(FAILURE, url=url),
        lambda: notification.ping(FAILURE, url=url, signal=None),
    ):
        assert "has a url" in refusal(call)


def test_a_header_in_two_lines() -> None:
    assert "webhook.headers has a header" in refusal(lambda: webhook(headers={"Authorization": "s3cret\r\nX: y"}))


def test_of_a_url_its_host_alone_is_shown() -> None:
    assert webhook().target == "https://hooks.example.com"
    assert "s3cret" not in repr(notification.notification_result(FAILURE, [Delivery("webhook", "sent", webhook().target, 1)]))


# Slack


def test_slack_gets_a_text_and_blocks() -> None:
    message = Message("warning", "a < b & c > d", "see <!channel>", {"host": "backup1"})
    found = json.loads(notification.slack(message, url=URL).body)
    assert "a &lt; b &amp; c &gt; d" in found["text"]
    assert "<!channel>" not in found["text"]
    assert [block["text"]["text"] for block in found["blocks"] if "text" in block] == ["\U0001f7e1 WARNING: a < b & c > d", "see <!channel>"]
    # Nothing in plain text is a link or a call to everybody.
    assert all(block["text"]["type"] == "plain_text" for block in found["blocks"] if "text" in block)
    assert found["blocks"][-1]["fields"] == [{"type": "plain_text", "text": "host: backup1"}]


@pytest.mark.parametrize("text", ["x" * 100_000, "\n".join(["y" * 100] * 2000), "z\n" * 50_000, ""])
def test_slack_gets_no_more_than_it_takes(text: str) -> None:
    found = json.loads(notification.slack(Message("failure", "s" * 5000, text, {str(n): "v" * 5000 for n in range(50)}, CONTACTS), url=URL).body)
    assert len(found["blocks"]) <= 50
    assert len(found["text"]) <= 40_000
    assert all(1 <= len(block["text"]["text"]) <= 3000 for block in found["blocks"] if "text" in block)
    (fields,) = [block["fields"] for block in found["blocks"] if "fields" in block]
    assert len(fields) <= 10
    assert all(len(field["text"]) <= 2000 for field in fields)


# Pings


@pytest.mark.parametrize(
    ("event", "signal", "path"),
    [
        ("start", None, "/ping/1-2/start"),
        ("success", None, "/ping/1-2"),
        ("recovery", None, "/ping/1-2"),
        ("warning", None, "/ping/1-2"),
        ("failure", None, "/ping/1-2/fail"),
        ("failure", "success", "/ping/1-2"),
        ("failure", "0", "/ping/1-2/0"),
        ("success", "255", "/ping/1-2/255"),
        ("success", "log", "/ping/1-2/log"),
    ],
)
@pytest.mark.parametrize(("url", "end"), [("https://hc.example.com/ping/1-2", ""), ("https://hc.example.com/ping/1-2/?rid=7", "?rid=7")])
def test_what_a_ping_signals(event: notification.Event, signal: str | None, path: str, url: str, end: str) -> None:
    assert notification.ping(Message(event, "x"), url=url, signal=signal).url == f"https://hc.example.com{path}{end}"


@pytest.mark.parametrize("signal", ["256", "-1", "ok", "1/2", "\N{SUPERSCRIPT TWO}", "../x"])
def test_what_is_no_signal(signal: str) -> None:
    assert f"ping.signal is {signal}." in refusal(lambda: notification.ping(FAILURE, url=URL, signal=signal))


def test_a_ping_carries_the_first_100_kilobytes() -> None:
    body = notification.ping(Message("failure", "x", "\N{EURO SIGN}" * 50_000), url=URL, signal=None).body
    assert 99_990 < len(body) <= 100_000
    assert body.decode().endswith("\N{EURO SIGN}")


# Answers


@pytest.mark.parametrize(("status", "again"), [(302, False), (400, False), (404, False), (408, True), (429, True), (500, True), (503, True)])
def test_an_answer_that_is_none(status: int, again: bool) -> None:
    with pytest.raises(NotDelivered) as caught:
        notification.require_taken(webhook(), HttpResponse(status, b"no\nway."))
    assert caught.value.again is again
    assert caught.value.message.startswith(f"https://hooks.example.com answered {status}: no way")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_an_answer_that_takes_it(status: int) -> None:
    notification.require_taken(webhook(), HttpResponse(status, None))


def test_a_ping_that_was_not_counted() -> None:
    request = notification.ping(FAILURE, url=URL, signal=None)
    for said in (b"OK (not found)", b"OK (rate limited)"):
        with pytest.raises(NotDelivered, match="so the ping was not counted"):
            notification.require_taken(request, HttpResponse(200, said))
        notification.require_taken(webhook(), HttpResponse(200, said))
    notification.require_taken(request, HttpResponse(200, b"OK"))


def test_the_sentence_of_a_result() -> None:
    deliveries = [Delivery("mail", "sent", "a@b through c:25", 1), Delivery("slack", "failed", "https://x", 3, "It is down."), Delivery("ping", "skipped", "")]
    result = notification.notification_result(FAILURE, deliveries)
    assert result["msg"] == "Sent the failure by mail (a@b through c:25). Not sent by slack: It is down."
    assert (result["changed"], result["failed_channels"]) == (True, ["slack"])
    nothing = notification.notification_result(FAILURE, [Delivery("ping", "skipped", "")])
    assert (nothing["changed"], nothing["msg"]) == (False, "No channel is for the event failure, so nothing was sent.")
