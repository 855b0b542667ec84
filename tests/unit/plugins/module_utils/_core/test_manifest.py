# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest survives the store byte for byte; anything else is refused with a sentence and never a traceback."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import (
    REASONS,
    ManifestError,
    dump_manifest,
    format_time,
    load_manifest,
    parse_time,
)
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sealed import write_sealed
from ansible_collections.workon.postgresql_backup.tests.unit.facts import KEY, manifest

text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | text, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(text, plain, max_size=4)
fingerprints = st.fixed_dictionaries({"rows": st.integers(0), "content": st.none() | st.integers().map(str)})
manifests = st.builds(
    manifest,
    reason=st.sampled_from(REASONS),
    pinned=st.booleans(),
    labels=st.dictionaries(text, text, max_size=3),
    environment=st.none() | text,
    source=objects,
    client=objects,
    archive=st.fixed_dictionaries({"size": st.integers(0), "sha256": st.text("0123456789abcdef", min_size=64, max_size=64), "version": text}),
    tables=st.dictionaries(text, fingerprints, max_size=4),
    sequences=st.dictionaries(text, objects, max_size=3),
    database=objects,
    prisma=st.none() | objects,
    globals=st.none() | objects,
    roles=st.lists(text, max_size=3),
    omitted=st.lists(st.dictionaries(text, text, max_size=3), max_size=3),
    warnings=st.lists(text, max_size=3),
)
moments = st.datetimes(timezones=st.just(dt.timezone.utc)).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def changed(**changes: t.Any) -> bytes:
    """Return a manifest that was written like this, its checksum included."""
    return write_sealed({**manifest().as_dict(), **changes})


@given(manifests)
def test_what_is_written_is_read_back(written: t.Any) -> None:
    assert load_manifest(dump_manifest(written), KEY) == written


@given(st.one_of(st.binary(), plain.map(lambda data: json.dumps(data).encode()), objects.map(lambda data: changed(**data))))
def test_bytes_from_anywhere_are_a_manifest_or_a_sentence(content: bytes) -> None:
    try:
        read = load_manifest(content, KEY)
    except ManifestError as error:
        assert KEY in error.message
    else:
        assert read.size >= 0


@given(st.sampled_from([field.name for field in dataclasses.fields(manifest())]), plain)
def test_a_field_of_another_shape_never_ends_in_a_traceback(name: str, value: t.Any) -> None:
    try:
        read = load_manifest(changed(**{name: value}), KEY)
    except ManifestError as error:
        assert KEY in error.message
    else:
        assert isinstance(read.size, int)


def test_the_file_can_be_read_by_people_and_says_first_what_it_is() -> None:
    lines = dump_manifest(manifest(labels={"team": "Zürich"})).decode().splitlines()
    assert lines[1:3] == [' "format": "workon.postgresql_backup/manifest",', ' "schema_version": 1,']
    assert '  "team": "Zürich"' in lines


def test_fields_of_a_newer_writer_are_ignored() -> None:
    assert load_manifest(changed(signature="abc"), KEY) == manifest()


def test_a_manifest_copied_to_another_prefix_still_belongs_to_its_archive() -> None:
    assert load_manifest(changed(), f"copied/elsewhere/{KEY}") == manifest()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (dump_manifest(manifest())[:-20], "is not JSON"),
        (b"[]", "was not written by this software"),
        (b"null", "was not written by this software"),
        (b"{}", "was not written by this software"),
        (changed(format="other"), "was not written by this software"),
        (changed(schema_version=2), r"has schema version 2; this software reads up to 1\. Upgrade"),
        (changed(schema_version="1"), "has schema version 1"),
        (changed(schema_version=None), "has schema version None"),
        (changed(tables=[]), "is malformed"),
        (changed(verification=None), "is malformed"),
        (changed(archive={"size": -1, "sha256": "a" * 64}), "records no size and SHA-256"),
        (changed(archive={"size": True, "sha256": "a" * 64}), "records no size and SHA-256"),
        (changed(archive={"size": 1.0, "sha256": "a" * 64}), "records no size and SHA-256"),
        (changed(archive={"size": 1, "sha256": "a" * 63}), "records no size and SHA-256"),
        (changed(archive={"size": 1}), "records no size and SHA-256"),
        (changed(key="other_2026-01-08_103000.dump"), "belongs to other_2026-01-08_103000.dump"),
        (changed(started_at="2026-01-08T10:30:00"), "started_at in the manifest of .* is '2026-01-08T10:30:00', which is not an RFC 3339 time"),
        (changed(finished_at=None), "finished_at in the manifest"),
    ],
)
def test_what_is_no_manifest_of_this_archive_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(ManifestError, match=sentence):
        load_manifest(content, KEY)


def test_a_manifest_of_before_a_field_came_is_still_whole() -> None:
    data = manifest().as_dict()
    del data["defects"], data["adopted"]
    assert load_manifest(write_sealed(data), manifest().key) == manifest()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(manifest()) if field.default is dataclasses.MISSING])
def test_a_missing_field_is_named(name: str) -> None:
    data = manifest().as_dict()
    del data[name]
    with pytest.raises(ManifestError, match=f"lacks {name}\\."):
        load_manifest(write_sealed(data), KEY)


def test_a_manifest_without_a_checksum_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"lacks checksum\."):
        load_manifest(json.dumps(manifest().as_dict()).encode(), KEY)


@pytest.mark.parametrize(
    "changes",
    [{"environment": "production"}, {"reason": "scheduled"}, {"labels": {"team": "other"}}, {"fingerprint": {"method": "none"}}, {"unknown": 1}],
)
def test_a_fact_changed_in_the_store_is_noticed(changes: dict[str, t.Any]) -> None:
    data = {**json.loads(dump_manifest(manifest())), **changes}
    with pytest.raises(ManifestError, match="was changed after it was written"):
        load_manifest(json.dumps(data).encode(), KEY)


def test_printing_a_manifest_another_way_changes_none_of_its_facts() -> None:
    written = manifest(labels={"team": "Zürich", "note": "\U0001f418"}, source={"lag": 1e-05})
    printed = json.dumps(json.loads(dump_manifest(written)), sort_keys=True, indent=4)
    assert load_manifest(printed.encode(), KEY) == written


@pytest.mark.parametrize("written", [manifest(), manifest(environment="staging", labels={"team": "Zürich", "mark": "\x1f"}, source={"lag": 1e-05})])
def test_no_flipped_bit_makes_another_manifest(written: t.Any) -> None:
    content = dump_manifest(written)
    for position in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        with contextlib.suppress(ManifestError):
            # The E of an exponent and the digits of an escape may be large or small letters.
            assert load_manifest(bytes(flipped), KEY) == written


@given(moments)
def test_a_time_is_read_back_to_the_millisecond(moment: dt.datetime) -> None:
    assert parse_time(format_time(moment), "x") == moment


def test_a_time_is_written_in_utc() -> None:
    assert format_time(dt.datetime(2026, 1, 8, 11, 30, 0, 123999, tzinfo=dt.timezone(dt.timedelta(hours=1)))) == "2026-01-08T10:30:00.123Z"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-08T10:30:00Z", "2026-01-08T10:30:00.000Z"),
        ("2026-01-08t10:30:00z", "2026-01-08T10:30:00.000Z"),
        ("2026-01-08 12:30:00+02:00", "2026-01-08T10:30:00.000Z"),
        ("2026-01-08T10:30:00.5Z", "2026-01-08T10:30:00.500Z"),
        ("2026-01-08T10:30:00.123456789Z", "2026-01-08T10:30:00.123Z"),
        (" 2026-01-08T10:30:00Z\n", "2026-01-08T10:30:00.000Z"),
        ("2024-02-29T23:59:59-00:30", "2024-03-01T00:29:59.000Z"),
    ],
)
def test_every_form_of_rfc_3339_is_one_moment(written: str, expected: str) -> None:
    assert format_time(parse_time(written, "restore_point")) == expected


@pytest.mark.parametrize(
    "written",
    [
        "",
        "yesterday",
        "2026-01-08",
        "2026-01-08T10:30:00",
        "2026-01-08T10:30Z",
        "20260108T103000Z",
        "2026-W02-4T10:30:00Z",
        "2026-02-30T10:30:00Z",
        "2026-01-08T25:30:00Z",
        "2026-01-08T10:30:00+25:00",
        "2026-01-08T10:30:00+0100",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "२०२६-01-08T10:30:00Z",
    ],
)
def test_a_time_that_could_mean_another_moment_elsewhere_is_refused(written: str) -> None:
    with pytest.raises(ManifestError, match=r"^restore_point is .*not an RFC 3339 time with an offset\. Write it as"):
        parse_time(written, "restore_point")
