# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""One mail through the standard library, and its errors as sentences."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
import typing as t
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.notification import Mail, NotDelivered
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.network_errors import network_sentence

# One exchange may take the timeout; all of them together so many times that.
_WHOLE = 4


def send_mail(mail: Mail, timeout: float) -> None:
    """Send the mail once, or raise why its server did not take it for every recipient."""
    server = f"The mail server {mail.host}:{mail.port}"
    try:
        with _connected(mail, timeout) as connection, _limited(connection, timeout * _WHOLE) as limit:
            try:
                if mail.username is not None and mail.password is not None:
                    connection.login(mail.username, mail.password)
                refused = connection.send_message(_written(mail), mail.sender, mail.recipients)
            except smtplib.SMTPServerDisconnected as error:
                if limit.is_set():
                    raise TimeoutError from error
                raise
    except smtplib.SMTPRecipientsRefused as error:
        raise _refused(server, error.recipients) from error
    except smtplib.SMTPAuthenticationError as error:
        raise NotDelivered(f"{server} refused the login of {mail.username}: {_said(error)}.") from error
    except smtplib.SMTPResponseException as error:
        raise NotDelivered(f"{server} refused the mail: {_said(error)}.", again=400 <= error.smtp_code < 500) from error
    except smtplib.SMTPNotSupportedError as error:
        raise NotDelivered(f"{server} does not offer what was asked for: {str(error).rstrip('.')}. Set mail.tls, mail.username to what it has.") from error
    except smtplib.SMTPServerDisconnected as error:
        # The library says so of a timeout, too.
        cause = error.__context__
        said = network_sentence(cause, timeout) if isinstance(cause, TimeoutError) else "hung up."
        raise NotDelivered(f"{server} {said}", again=True) from error
    except smtplib.SMTPException as error:
        raise NotDelivered(f"{server} did not take the mail: {str(error).rstrip('.')}.") from error
    except OSError as error:
        raise NotDelivered(f"{server} {network_sentence(error, timeout)}", again=not isinstance(error, ssl.SSLCertVerificationError)) from error
    if refused:
        raise _refused(f"{server} took the mail for the others, and", refused)


def _connected(mail: Mail, timeout: float) -> smtplib.SMTP:
    if mail.tls == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=timeout, context=ssl.create_default_context())
    connection = smtplib.SMTP(mail.host, mail.port, timeout=timeout)
    try:
        if mail.tls == "starttls":
            connection.starttls(context=ssl.create_default_context())
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _limited(connection: smtplib.SMTP, seconds: float) -> t.Iterator[threading.Event]:
    """Hang up after so many seconds, and set the event. A socket's own timeout begins anew with every byte."""
    passed = threading.Event()

    def hang_up() -> None:
        passed.set()
        with contextlib.suppress(OSError):
            if connection.sock:
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield passed
    finally:
        timer.cancel()


def _written(mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"] = mail.sender
    message["To"] = ", ".join(mail.recipients)
    message["Subject"] = mail.subject
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2].rstrip(">"))
    # Nobody's holiday notice shall answer.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body.encode(errors="replace").decode())
    return message


def _refused(who: str, recipients: t.Mapping[str, tuple[int, bytes]]) -> NotDelivered:
    each = "; ".join(f"{address}: {code} {_decoded(words)}" for address, (code, words) in recipients.items())
    return NotDelivered(f"{who} refused {each}.", again=all(400 <= code < 500 for code, _words in recipients.values()) and "others" not in who)


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_decoded(error.smtp_error)}"


def _decoded(words: bytes | str) -> str:
    text = words if isinstance(words, str) else words.decode(errors="replace")
    return " ".join(text.split()).rstrip(".")
