# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged archives and manifests are refused before the target is touched, a full disk or a lost store leaves it as it was, and residue is gone.

Hundreds of damages are put before the functions that find, open and verify an archive. That a run of the module then touches nothing is shown of a few.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.manifest import ManifestError, load_manifest
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.sealed import write_sealed
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.directory import DirectoryStore
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.programs import find_clients, with_compressions
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.progress import TimeLimit, silent
from ansible_collections.workon.postgresql_backup.plugins.module_utils._workflows.restore_source import find_source, open_archive, verify_archive
from harness.account import give, private_directory, service_account
from harness.ansible_runner import AnsibleRunner
from harness.faults import FaultyProxy
from harness.postgres import PostgresServer
from system.restoring import Scene, fingerprint, scenes
from system.scenes import MAJORS, MIB, PASSWORD, STORE_SECRET, Bucket, Database, Folder, bulk

COMPRESSIONS = ("gzip", "zstd")
FLIPS = 120

_CONTENT = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO users SELECT g, md5(g::text) FROM generate_series(1, 2000) AS g;
CREATE TABLE missions (id serial PRIMARY KEY, user_id int REFERENCES users);
INSERT INTO missions (user_id) SELECT id FROM users;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
CREATE INDEX ON users (twice(id))
"""


@dataclass(frozen=True)
class Original:
    """A sound backup, and the database that it is of."""

    database: Database
    key: str
    archive: bytes
    manifest: bytes
    client: Client

    def copy(self, folder: Folder, *, archive: bytes | None = None, manifest: bytes | None = None) -> None:
        """Put the backup into a store, damaged as told."""
        folder.write(self.key, self.archive if archive is None else archive)
        folder.write(f"{self.key}.manifest.json", self.manifest if manifest is None else manifest)

    def verify(self, folder: Folder, wanted: str = "latest") -> None:
        """Do what a restore does before it looks at anything else."""
        store = DirectoryStore(str(folder.path))
        source = find_source(wanted, None, store, lambda bucket, directory, prefix: DirectoryStore(str(directory), prefix))
        opened = open_archive(source, self.client.major, [self.client], str)
        verify_archive(source, opened, None, redact=str, limit=TimeLimit(None), progress=silent)


@pytest.fixture(scope="module")
def originals(postgres: Callable[[int], PostgresServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Original]]:
    """One database's backups, one of each compression."""
    database = Database(postgres(MAJORS[-1]), "original_of_damages").create()
    runner = AnsibleRunner([PASSWORD, STORE_SECRET])
    found = {}
    try:
        database.execute(_CONTENT)
        (client,) = find_clients(str(database.server.installation.bin_dir))
        for compression in COMPRESSIONS:
            if compression in with_compressions(client).compressions:
                store = Folder(tmp_path_factory.mktemp(compression))
                scene = Scene(runner, database, store, more={"labels": {"team": "Zürich"}})
                key = scene.back_up(compression=compression)["key"]
                found[compression] = Original(database, key, store.read(key), store.read(f"{key}.manifest.json"), client)
        yield found
    finally:
        database.drop()


@pytest.fixture(params=COMPRESSIONS)
def original(request: pytest.FixtureRequest, originals: dict[str, Original]) -> Original:
    if request.param not in originals:
        pytest.skip(f"The client programs cannot do {request.param}.")
    return originals[request.param]


@pytest.fixture
def make_scene(ansible: AnsibleRunner) -> Iterator[Callable[..., Scene]]:
    with scenes(ansible) as make:
        yield make


def flips(content: bytes, count: int, *, until: int | None = None) -> Iterator[bytes]:
    """Yield copies of the content with one bit flipped, the same ones each time."""
    chosen = random.Random(count).sample(range((until or len(content)) * 8), count)
    for position in chosen:
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        yield bytes(flipped)


def test_the_sound_ones_are_accepted(original: Original, folder: Folder) -> None:
    original.copy(folder)
    original.verify(folder)
    original.verify(folder, str(folder.path / original.key))


def test_an_archive_with_a_flipped_bit_is_refused(original: Original, folder: Folder) -> None:
    # Some of them in the table of contents, where pg_restore would be told other things without noticing.
    for flipped in (*flips(original.archive, FLIPS), *flips(original.archive, FLIPS // 2, until=3000)):
        original.copy(folder, archive=flipped)
        with pytest.raises(BackupError, match=r"Set backup|Install postgresql-client"):
            original.verify(folder)


@pytest.mark.parametrize("left", [0, 1, 11, 0.1, 0.5, 0.9, -1])
def test_a_truncated_archive_is_refused_with_a_manifest_and_without(original: Original, folder: Folder, left: float) -> None:
    truncated = original.archive[: int(left * len(original.archive)) if isinstance(left, float) else left]
    original.copy(folder, archive=truncated)
    with pytest.raises(BackupError, match="no valid backup"):
        original.verify(folder)
    with pytest.raises(BackupError, match="its manifest records"):
        original.verify(folder, str(folder.path / original.key))
    folder.delete(f"{original.key}.manifest.json")
    with pytest.raises(BackupError, match=r"is damaged|does not begin as one"):
        original.verify(folder, str(folder.path / original.key))


def test_no_flipped_bit_makes_another_manifest(originals: dict[str, Original], folder: Folder) -> None:
    original = originals["gzip"]
    sound = load_manifest(original.manifest, original.key)
    found = collections.Counter[str]()
    for position in range(len(original.manifest) * 8):
        flipped = bytearray(original.manifest)
        flipped[position // 8] ^= 1 << position % 8
        try:
            manifest = load_manifest(bytes(flipped), original.key)
        except ManifestError as error:
            found["not JSON" if "is not JSON" in error.message else "changed" if "was changed" in error.message else "another sentence"] += 1
        else:
            # The E of an exponent may be a large or a small letter.
            assert manifest == sound
            found["the same"] += 1
    assert found["not JSON"] > 1000
    # These would be facts of a backup, other ones than were written.
    assert found["changed"] > 1000
    assert found["the same"] < 10


def test_a_backup_whose_manifest_has_a_flipped_bit_is_refused_however_it_is_named(originals: dict[str, Original], folder: Folder) -> None:
    original = originals["gzip"]
    for flipped in flips(original.manifest, FLIPS):
        original.copy(folder, manifest=flipped)
        for wanted in ("latest", original.key, str(folder.path / original.key)):
            with pytest.raises(BackupError, match=r"is not valid|no valid backup|The manifest (of|beside) "):
                find_source(wanted, None, DirectoryStore(str(folder.path)), lambda bucket, directory, prefix: DirectoryStore(str(directory), prefix))


def _flipped(content: bytes, position: float) -> bytes:
    at = int(position * (len(content) - 1))
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _environment(manifest: bytes) -> bytes:
    return manifest.replace(b'"environment": "staging"', b'"environment": "stagino"')


DAMAGES: dict[str, tuple[Callable[[Original], dict[str, bytes]], str]] = {
    "a bit of the header": (lambda of: {"archive": _flipped(of.archive, 0.0)}, "does not begin as one"),
    "a bit of the contents": (lambda of: {"archive": _flipped(of.archive, 0.1)}, "Nothing was touched"),
    "a bit of the rows": (lambda of: {"archive": _flipped(of.archive, 0.7)}, "Nothing was touched"),
    "the last bit": (lambda of: {"archive": _flipped(of.archive, 1.0)}, "Nothing was touched"),
    "one byte less": (lambda of: {"archive": of.archive[:-1]}, "no valid backup"),
    "half": (lambda of: {"archive": of.archive[: len(of.archive) // 2]}, "no valid backup"),
    "nothing": (lambda of: {"archive": b""}, "no valid backup"),
    "garbage at the end": (lambda of: {"archive": of.archive + b"garbage"}, "no valid backup"),
    "a bit of the manifest": (lambda of: {"manifest": _flipped(of.manifest, 0.5)}, "no valid backup"),
    "a bit of its environment": (lambda of: {"manifest": _environment(of.manifest)}, "no valid backup"),
    "a manifest cut short": (lambda of: {"manifest": of.manifest[:-10]}, "no valid backup"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_refuses_it_and_touches_nothing(
    make_scene: Callable[..., Scene], originals: dict[str, Original], database: Database, folder: Folder, damage: str
) -> None:
    change, sentence = DAMAGES[damage]
    original = originals["gzip" if damage.startswith("one") else list(originals)[-1]]
    original.copy(folder, **change(original))
    database.execute("CREATE TABLE precious AS SELECT 1 AS a")
    scene = make_scene(database, folder, more={"same_database": None}).tag()
    before = scene.look()
    scene.nothing_left(scene.restore(), before, says=(sentence,))


@pytest.mark.parametrize("form", ["plain", "directory", "tar"])
def test_another_format_of_pg_dump_is_refused_and_nothing_touched(
    make_scene: Callable[..., Scene], originals: dict[str, Original], database: Database, folder: Folder, tmp_path: Path, form: str
) -> None:
    server = database.server
    made = tmp_path / "dump"
    command = [originals["gzip"].client.pg_dump, f"--format={form}", f"--file={made}", f"--dbname={server.url(originals['gzip'].database.name)}"]
    subprocess.run(command, check=True)
    database.execute("CREATE TABLE precious AS SELECT 1 AS a")
    scene = make_scene(database, folder, more={"same_database": None}).tag()
    before = scene.look()
    outcome = scene.restore(backup=str(made), name=None)
    scene.nothing_left(outcome, before, says=("There is no archive" if form == "directory" else "This is not an archive in pg_dump's custom format",))


# What belongs to another backup.


@pytest.fixture
def of_another(originals: dict[str, Original], make_database: Callable[..., Database], pg: PostgresServer, ansible: AnsibleRunner, tmp_path: Path) -> Original:
    """A sound backup of another database, with a name and a time of its own."""
    database = make_database(pg)
    database.execute(_CONTENT, "DELETE FROM missions")
    (tmp_path / "other").mkdir()
    store = Folder(tmp_path / "other")
    key = Scene(ansible, database, store).back_up(name="other")["key"]
    return Original(database, key, store.read(key), store.read(f"{key}.manifest.json"), originals["gzip"].client)


def test_the_parts_of_two_backups_are_none(originals: dict[str, Original], of_another: Original, folder: Folder) -> None:
    original = originals["gzip"]
    mixtures: list[tuple[dict[str, bytes], str]] = [
        ({"manifest": of_another.manifest}, "belongs to other_"),
        ({"archive": of_another.archive}, "its manifest records|is not what its manifest records"),
        ({"archive": of_another.archive, "manifest": of_another.manifest}, "belongs to other_"),
        # Of the same size, so that nothing but the hash can tell.
        ({"archive": (of_another.archive * 2)[: len(original.archive)]}, "is damaged|is not what its manifest records"),
    ]
    for parts, sentence in mixtures:
        original.copy(folder, **parts)
        for wanted in (original.key, str(folder.path / original.key)):
            with pytest.raises(BackupError, match=sentence):
                original.verify(folder, wanted)


def test_a_backup_that_was_made_to_look_like_the_database_s_own_is_not(
    make_scene: Callable[..., Scene], originals: dict[str, Original], of_another: Original, database: Database, folder: Folder
) -> None:
    """Whoever seals a manifest anew can say anything, but not with which database a backup has its origin in common."""
    original = originals["gzip"]
    facts = {**json.loads(of_another.manifest), "key": original.key, "name": "app"}
    original.copy(folder, archive=of_another.archive, manifest=write_sealed(facts))
    database.execute("CREATE TABLE precious AS SELECT 1 AS a")
    scene = make_scene(database, folder).tag()
    before = scene.look()
    scene.nothing_left(scene.restore(), before, says=(f"is of another database ({of_another.database.name} at",))


# What was made in the database since the backup.

_RESIDUE = """
CREATE TABLE contracts (id int);
CREATE SCHEMA audit;
CREATE TABLE audit.entries (id int);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE FUNCTION later(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
UPDATE users SET name = 'changed' WHERE id = 1
"""
# Each of them keeps a table of the archive from being dropped, so that COPY would add to its rows or fail.
_BLOCKS = """
CREATE VIEW on_missions AS SELECT * FROM missions;
CREATE TABLE of_users (user_id int REFERENCES users);
INSERT INTO of_users VALUES (1);
INSERT INTO missions (user_id) SELECT id FROM users WHERE id <= 300;
DELETE FROM missions WHERE user_id > 1900
"""


@pytest.mark.parametrize("made_since", [_RESIDUE, _BLOCKS], ids=["residue", "what blocks a drop"])
def test_what_was_made_since_the_backup_is_gone_and_nothing_mixed(
    make_scene: Callable[..., Scene], originals: dict[str, Original], database: Database, folder: Folder, made_since: str
) -> None:
    original = originals["gzip"]
    original.copy(folder)
    database.execute(_CONTENT, made_since)
    scene = make_scene(database, folder, more={"same_database": None}).tag()
    scene.restore().require_success()
    assert content(database) == content(original.database)


def content(database: Database) -> dict[str, Any]:
    """Return what a database holds."""
    return {fact: value for fact, value in fingerprint(database).items() if fact not in ("properties", "comment")}


# A store or a disk that fails in the middle.


@pytest.fixture
def proxied(make_scene: Callable[..., Scene], database: Database, bucket: Bucket) -> Iterator[tuple[Scene, FaultyProxy]]:
    """A database with a backup of 8 MiB in a bucket that is reached through a proxy."""
    database.execute(bulk("big", 8))
    make_scene(database, bucket).back_up(compression="none")
    with FaultyProxy(bucket.server.endpoint_url) as proxy:
        yield make_scene(database, bucket.through(proxy.endpoint_url)).tag(), proxy


# What is asked for, in this order: the manifest, the archive for its contents, the archive to be verified, and where it was not kept, the archive to be loaded.
_VERIFIED, _LOADED = 2, 3


@pytest.mark.parametrize("passed", [0, 4 * MIB])
def test_a_store_that_goes_away_while_the_archive_is_verified(proxied: tuple[Scene, FaultyProxy], passed: int) -> None:
    scene, proxy = proxied
    before = scene.look()
    proxy.vanish_within(passed, method="GET", path=".dump", skip=_VERIFIED)
    scene.nothing_left(scene.restore(), before, says=("The connection to the store", "was lost while trying to read app_"))


@pytest.mark.parametrize("passed", [0, 4 * MIB])
def test_a_store_that_goes_away_while_the_archive_is_loaded(proxied: tuple[Scene, FaultyProxy], make_disk: Callable[[int], Path], passed: int) -> None:
    """Where there is no room to keep it, it is read from the store again while it is loaded."""
    scene, proxy = proxied
    before = scene.look()
    proxy.vanish_within(passed, method="GET", path=".dump", skip=_LOADED)
    outcome = scene.restore(spool_directory=str(make_disk(1)))
    assert "created" in [event["state"] for event in outcome.result["states"]]
    scene.nothing_left(outcome, before, says=("The connection to the store", "was lost while trying to read app_"), wrote=True)


@pytest.fixture
def make_disk() -> Iterator[Callable[[int], Path]]:
    """Make small disks, of so many mebibytes, that the server's account can write to."""
    account = service_account()
    with contextlib.ExitStack() as stack:

        def make(mebibytes: int) -> Path:
            directory = private_directory("disk-", account)
            stack.callback(directory.rmdir)
            command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "none", str(directory)]
            if subprocess.run(command, capture_output=True, check=False).returncode != 0:
                pytest.skip("Only root may mount a disk.")
            stack.callback(subprocess.run, ["umount", "--lazy", str(directory)], check=True)
            give(directory, account)
            return directory

        yield make


def test_a_disk_that_fills_while_the_archive_is_kept_on_it(proxied: tuple[Scene, FaultyProxy], make_disk: Callable[[int], Path]) -> None:
    scene, proxy = proxied
    disk = make_disk(12)
    before = scene.look()
    go_on = threading.Event()
    proxy.hold(go_on, method="GET", path=".dump", skip=_VERIFIED)
    running = scene.start(spool_directory=str(disk))
    proxy.wait_for_request("GET", path=".dump", number=_VERIFIED + 1)
    with contextlib.suppress(OSError), (disk / "somebody's").open("wb", buffering=0) as file:
        while file.write(bytes(MIB)):
            pass
    go_on.set()
    scene.nothing_left(running.finish(), before, says=("could not be kept in", "No space left on device", "set spool_directory"))


@pytest.fixture
def tablespace(pg: PostgresServer, make_disk: Callable[[int], Path]) -> Iterator[str]:
    """A tablespace of 24 MiB; nothing else of the server is on its disk."""
    maintenance = Database(pg, "postgres")
    maintenance.execute(f"CREATE TABLESPACE small LOCATION '{make_disk(24)}'")
    yield "small"
    maintenance.execute("DROP TABLESPACE small")


@pytest.fixture
def on_small_disk(tablespace: str, make_database: Callable[..., Database], pg: PostgresServer) -> Database:
    """A database in that tablespace."""
    return make_database(pg, "", f"TABLESPACE {tablespace}")


def test_a_disk_that_has_no_room_for_a_second_copy(on_small_disk: Database, make_scene: Callable[..., Scene], folder: Folder) -> None:
    """The server does not say how full the disks of tablespaces are, so it comes out in the middle."""
    content = f"SELECT string_agg(decode(md5(g::text), 'hex'), '') FROM generate_series(1, {7 * MIB // 16}) AS g"
    # Until then the files have holes.
    on_small_disk.execute(f"SELECT lo_from_bytea(4711, ({content}))", "CHECKPOINT")
    scene = make_scene(on_small_disk, folder).tag()
    scene.back_up()
    before = scene.look()
    scene.nothing_left(scene.restore(), before, says=("The archive could not be loaded", "No space left on device"), wrote=True)
