# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use it outside of the collection.
"""One request through the standard library, and its errors as sentences that show no secret of the URL."""

from __future__ import annotations

import http.client
import time
import typing as t
import urllib.error
import urllib.request

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.checks import HttpResponse, shown_url
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.network_errors import network_sentence

MAXIMUM_BODY = 1024 * 1024
_CHUNK = 65536


def get(url: str, headers: t.Iterable[tuple[str, str]], timeout: float) -> HttpResponse:
    """Ask once, and return the answer whatever its status is, within about ``timeout`` seconds.

    A redirect is an answer too. Followed, it could end at a login page that answers 200, and carry secret headers to another host.
    """
    return _ask(urllib.request.Request(url, headers=dict(headers)), timeout, shown_url(url))


def send(method: str, url: str, headers: t.Iterable[tuple[str, str]], body: bytes, timeout: float, *, shown: str) -> HttpResponse:
    """Send a body, once, as ``get`` asks. ``shown`` stands for the URL in sentences, because the path of a webhook is its password."""
    return _ask(urllib.request.Request(url, data=body, headers=dict(headers), method=method), timeout, shown)


def _ask(request: urllib.request.Request, timeout: float, shown: str) -> HttpResponse:
    deadline = time.monotonic() + timeout
    try:
        with _opener().open(request, timeout=timeout) as response:
            return HttpResponse(response.status, _body(response, deadline), response.headers.get("Location"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BackupError(f"{shown} {_sentence(error, timeout)}") from error


def _opener() -> urllib.request.OpenerDirector:
    """Return what knows http and https alone, through the proxies that the environment names."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.UnknownHandler):
        opener.add_handler(handler())
    return opener


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes | None:
    """Return the body, or None where it is longer than MAXIMUM_BODY. The socket's own timeout begins anew with every byte."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK):
        size += len(chunk)
        if size > MAXIMUM_BODY:
            return None
        if time.monotonic() > deadline:
            raise TimeoutError
        chunks.append(chunk)
    return b"".join(chunks)


def _sentence(error: Exception, timeout: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError):
        return network_sentence(cause, timeout)
    if isinstance(cause, http.client.BadStatusLine):
        return "did not answer in HTTP."
    # Not in Python's words, which quote what they complain of: a piece of the URL or a header.
    return "could not be asked: the URL, a header or the answer is malformed, or it is neither http nor https."
