# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets are found in every spelling, and nothing of them is left standing."""

from __future__ import annotations

import base64
import json
import re
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.redaction import MASK, Redactor, secret_forms, url_secrets

SECRET = "p:a/s'w\\o\"r@d %é"

SPELLINGS = {
    "raw": SECRET,
    "percent": quote(SECRET, safe=""),
    "percent with slashes": quote(SECRET),
    "percent in lower case": "p%3aa%2fs%27w%5co%22r%40d%20%25%c3%a9",
    "form": quote_plus(SECRET),
    "encodeURIComponent": "p%3Aa%2Fs'w%5Co%22r%40d%20%25%C3%A9",
    "password file": "p\\:a/s'w\\\\o\"r@d %é",
    "SQL": "p:a/s''w\\o\"r@d %é",
    "SQL with escapes": "p:a/s''w\\\\o\"r@d %é",
    "connection string": "p:a/s\\'w\\\\o\"r@d %é",
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON beyond ASCII": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "repr": repr(SECRET)[1:-1],
    "repr of bytes": repr(SECRET.encode())[2:-1],
    "shlex": shlex.quote(SECRET)[1:-1],
    "shell": "p:a/s'\\''w\\o\"r@d %é",
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 without padding": base64.b64encode(SECRET.encode()).decode().rstrip("="),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_is_a_form_and_is_masked(spelling: str) -> None:
    assert spelling in secret_forms(SECRET)
    assert Redactor([SECRET])(f"FATAL: <{spelling}> refused") == f"FATAL: <{MASK}> refused"


def test_a_secret_given_encoded_is_also_found_decoded() -> None:
    assert Redactor(["s3%40cret%2Fx"])("s3@cret/x s3%40cret%2Fx s3%40cret/x") == f"{MASK} {MASK} {MASK}"


def test_any_mixture_of_escapes_is_masked() -> None:
    assert Redactor(["s3@cret/x"])("a=%73%33%40c%72et%2fx&b=s3%40cret/%78") == f"a={MASK}&b={MASK}"


@pytest.mark.parametrize("short", ["", "a", "ab"])
def test_what_would_mask_ordinary_text_is_left_out(short: str) -> None:
    assert secret_forms(short) == frozenset()
    assert Redactor([short])("a cab, ab") == "a cab, ab"


def test_a_short_decoded_reading_is_left_out_and_the_written_one_is_not() -> None:
    forms = secret_forms("%41%42")
    assert "AB" not in forms
    assert "%41%42" in forms


def test_overlapping_secrets_leave_no_rest() -> None:
    assert Redactor(["xab", "abcy"])("<xabcy>") == f"<{MASK}>"
    assert Redactor(["aaa"])("<aaaa>") == f"<{MASK}>"
    assert Redactor(["secret", "secret-longer"])("<secret-longer> <secret>") == f"<{MASK}> <{MASK}>"
    assert Redactor(["secret"])("<secretsecret>") == f"<{MASK}>"


def test_text_without_a_secret_is_unchanged() -> None:
    text = "pg_dump: error: 100% wrong [x] (y) .* \\"
    assert Redactor(["s3cret.*", "(y"])(text) == text.replace("(y", "(y")
    assert Redactor([])(text) == text


ANY_SECRET = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="*"), min_size=3, max_size=12)


@given(secrets=st.lists(ANY_SECRET, min_size=1, max_size=3), around=st.lists(st.text(max_size=8), min_size=4, max_size=4), data=st.data())
def test_no_form_survives_anywhere(secrets: list[str], around: list[str], data: st.DataObject) -> None:
    text = around[0]
    for secret, noise in zip(secrets, around[1:], strict=False):
        text += data.draw(st.sampled_from(sorted(secret_forms(secret)))) + noise
    redacted = Redactor(secrets)(text)
    assert MASK in redacted
    left = [form for secret in secrets for form in secret_forms(secret) if form in redacted and "*" not in form]
    assert left == []


# --- url_secrets -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://user:s3cret@host.example:5432/database?sslmode=require", {"s3cret", "user:s3cret"}),
        ("postgresql://user:s3%40cret@host.example/database", {"s3%40cret", "s3@cret", "user:s3%40cret", "user:s3@cret"}),
        ("postgresql://host.example/database?user=me&password=s3%40cret", {"s3%40cret", "s3@cret"}),
        ("postgresql://me@host.example/database?sslidentity=/x.p12&sslpassword=s3cret", {"s3cret"}),
        ("postgresql://user:x@host.example/database", {"user:x"}),
        ("postgresql://user@host.example:5432/database?application_name=a@b", set()),
        ("", set()),
    ],
)
def test_of_an_accepted_url_only_the_secrets_are_taken(url: str, secrets: set[str]) -> None:
    assert url_secrets(url) == secrets


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("postgresql://user:pa@ss@127.0.0.1/db", 'could not translate host name "ss@127.0.0.1"'),
        ("postgresql://user:long@pass@127.0.0.1/db", 'could not translate host name "pass@127.0.0.1"'),
        ("postgresql://user:long/pass@host/db", 'invalid integer value "long" for connection option "port"'),
        ("postgresql://user:long/pass@host/db", 'database "pass@host/db" does not exist'),
        ("postgresql://user:long%ZZpass@host/db", 'invalid percent-encoded token: "long%ZZpass"'),
        ("postgresql://user:long#pass@host/db", "user:long"),
        ("postgresql://user:long?pass@host/db", "?pass@host"),
        ("postgresql://user:longpass", 'invalid integer value "longpass"'),
        ("prisma+postgres://accelerate.example/?api_key=longpass", 'missing "=" after "prisma+postgres://accelerate.example/?api_key=longpass"'),
        ("user:longpass@host/db", "longpass"),
        ("postgresql:user:longpass@host/db", "longpass"),
        ("us:long://pass@host", "long or pass"),
        ("host=h user=u password=longpass", "longpass"),
        ("host=h user=u password='longpass'", "longpass"),
        ("postgresql://h/db?password=long&pass", 'missing key/value separator "=" in URI query parameter: "pass"'),
        ("postgresql://h/db?p%61ssword=longpass&%ZZ", "longpass"),
        ("mysql://user:longpass@host/db", "longpass"),
        ("'postgresql://user:long pass@host/db'", "long pass"),
    ],
)
def test_of_a_refused_url_every_piece_of_the_password_is_masked(url: str, printed: str) -> None:
    redacted = Redactor(url_secrets(url))(f"error: {printed}.")
    assert MASK in redacted
    assert not re.search(r"(?<![a-z])(long|pass|longpass|ss@127)(?![a-z])", redacted)


@pytest.mark.parametrize("url", ["postgresql://u:longpass%ZZ@h/d", "postgresql://h/d?password=long&pass"])
def test_what_libpq_says_about_a_refused_url_is_masked(url: str) -> None:
    psycopg2 = pytest.importorskip("psycopg2")
    with pytest.raises(psycopg2.ProgrammingError, match="pass") as caught:
        psycopg2.extensions.parse_dsn(url)
    redacted = Redactor(url_secrets(url))(str(caught.value))
    assert MASK in redacted
    assert not re.search(r"long|pass(?!word)", redacted)


def test_a_refused_url_of_many_marks_does_not_explode() -> None:
    assert len(url_secrets("postgresql://" + "".join(f":{number}@" for number in range(2_000)))) < 5_000


@given(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="'\"*"), min_size=3, max_size=16),
    scheme=st.sampled_from(["postgresql://", "postgres://", "mysql://", ""]),
)
def test_any_unescaped_password_is_masked_whole(password: str, scheme: str) -> None:
    assume(not password.strip(":@/?#&=[],").isdecimal() and len(password.strip("@:")) >= 3)
    url = f"{scheme}user:{password}@host/db"
    assert password not in Redactor(url_secrets(url))(f"connecting to {url} with {password}.")
