# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One mail to a real mail server on this host: what it takes arrives as it was written, what it refuses is a sentence."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.notification import Mail, NotDelivered
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.smtp import send_mail
from harness.certificates import Certificate
from harness.receivers import MailReceiver

MAIL = Mail("127.0.0.1", 0, "none", "Backup <backup@example.com>", ("a@example.com", "b@example.com"), "[backup] FAILURE: Größe", "Grüße\n.\n" + "x" * 2000)


def at(port: int, **changes: t.Any) -> Mail:
    return dataclasses.replace(MAIL, port=port, **changes)


def refusal(mail: Mail, timeout: float = 5) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        send_mail(mail, timeout)
    assert "s3cret" not in caught.value.message
    assert caught.value.message.startswith(f"The mail server 127.0.0.1:{mail.port} ")
    return caught.value


def test_a_mail_arrives_as_it_was_written() -> None:
    with MailReceiver() as server:
        send_mail(at(server.port), 5)
    (mail,) = server.mails
    assert (mail["From"], mail["To"], mail["Subject"]) == ("Backup <backup@example.com>", "a@example.com, b@example.com", MAIL.subject)
    assert mail.get_content().replace("\r\n", "\n") == MAIL.body + "\n"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@example.com>")
    assert mail["Date"]


# The server does not know that it stands behind TLS.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_encrypted_with_a_login(tls: t.Literal["starttls", "tls"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = Certificate.make(tmp_path)
    with MailReceiver(tls, certificate, users={"backup": "s3cret"}) as server:
        mail = at(server.port, tls=tls, username="backup", password="s3cret")
        distrusted = refusal(mail)
        assert "showed a certificate that could not be verified" in distrusted.message
        assert not distrusted.again
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
        send_mail(mail, 5)
        assert "refused the login of backup: 535" in refusal(dataclasses.replace(mail, password="another")).message
    assert len(server.mails) == 1


def test_a_server_that_has_no_encryption() -> None:
    with MailReceiver() as server:
        assert "does not offer what was asked for: STARTTLS" in refusal(at(server.port, tls="starttls")).message
        assert not server.mails


def test_a_server_that_has_no_login() -> None:
    with MailReceiver() as server:
        assert "does not offer what was asked for: SMTP AUTH" in refusal(at(server.port, username="x", password="s3cret")).message


def test_who_refuses_every_recipient() -> None:
    with MailReceiver(refused={"a@example.com": "550 unknown", "b@example.com": "451 later"}) as server:
        error = refusal(at(server.port))
    assert "refused a@example.com: 550 unknown; b@example.com: 451 later." in error.message
    assert not error.again


def test_who_refuses_one_recipient_gets_no_second_mail() -> None:
    with MailReceiver(refused={"a@example.com": "451 later"}) as server:
        error = refusal(at(server.port))
    assert "took the mail for the others, and refused a@example.com: 451 later." in error.message
    assert not error.again
    assert len(server.mails) == 1


@pytest.mark.parametrize(("answer", "again"), [("451 4.3.0 try later", True), ("554 5.7.1 spam", False)])
def test_who_refuses_the_mail(answer: str, again: bool) -> None:
    with MailReceiver(answers=[answer]) as server:
        error = refusal(at(server.port))
    assert f"refused the mail: {answer}." in error.message
    assert error.again is again


def test_nobody_listens() -> None:
    # Bound without listening, so that nobody else can.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = refusal(at(bound.getsockname()[1]))
    assert error.message.endswith(" could not be reached: Connection refused.")
    assert error.again


def _serve(listening: socket.socket, talk: t.Callable[[socket.socket], None]) -> threading.Thread:
    def run() -> None:
        connection, _address = listening.accept()
        with connection:
            talk(connection)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("greeting", [b"", b"220 hello\r\n"])
def test_who_says_nothing(greeting: bytes) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = _serve(listening, lambda connection: (connection.sendall(greeting), over.wait())[0])
        error = refusal(at(listening.getsockname()[1]), 0.3)
        over.set()
        thread.join()
    assert error.message.endswith(" did not answer within 0.3 seconds.")
    assert error.again


def test_who_says_one_letter_at_a_time() -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        while not over.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = _serve(listening, drip)
        before = time.monotonic()
        error = refusal(at(listening.getsockname()[1]), 0.3)
        over.set()
        thread.join()
    assert error.message.endswith(" did not answer within 0.3 seconds.")
    assert time.monotonic() - before < 5


def test_who_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = _serve(listening, lambda connection: connection.sendall(b"220 hello\r\n"))
        error = refusal(at(listening.getsockname()[1]))
        thread.join()
    assert error.again
