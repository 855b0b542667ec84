# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client programs as real processes. Where a test needs a certain version, a shell script named pg_dump says it is that version."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.compatibility import Client
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.database_url import HostPort
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.errors import BackupError, ProgramError
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.login import Login
from ansible_collections.workon.postgresql_backup.plugins.module_utils._core.redaction import Redactor
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io import programs
from ansible_collections.workon.postgresql_backup.plugins.module_utils._io.programs import Credentials, Program, find_clients, list_file, with_compressions

SECRET = "s3cr:et\\word"
PATIENCE = 30


def same(text: str) -> str:
    return text


def shell(script: str, **options: t.Any) -> Program:
    return Program(["/bin/sh", "-c", script], **{"redact": same, "stdout": subprocess.PIPE, **options})


def output(program: Program) -> str:
    try:
        text = b"".join(iter(lambda: program.stdout.read(4096), b"")).decode()
        assert program.wait() == 0, program.messages()
        return text
    finally:
        program.close()


def ends(stream: t.IO[bytes]) -> bool:
    """Say whether everyone who holds the other end of a pipe is gone; reading would wait for ever otherwise."""
    while select.select([stream], [], [], PATIENCE)[0]:
        if not os.read(stream.fileno(), 4096):
            return True
    return False


# Running


def test_a_program_reads_and_writes_and_ends_with_its_status() -> None:
    program = shell("cat; exit 3", stdin=subprocess.PIPE)
    program.stdin.write(b"through")
    program.stdin.close()
    assert program.stdout.read() == b"through"
    assert program.wait() == 3
    program.close()


def test_killing_a_program_kills_everything_that_it_started() -> None:
    program = shell("(trap '' TERM; echo started; exec sleep 1000) & wait")
    assert program.stdout.readline() == b"started\n"
    program.kill()
    assert ends(program.stdout)
    assert program.wait() == -signal.SIGTERM
    assert program.failure(-signal.SIGTERM) == "sh was ended by signal 15 (SIGTERM)"
    program.close()


def test_a_program_is_asked_to_end_before_it_is_made_to() -> None:
    program = shell("trap 'echo cancelled; exit 1' TERM; echo started; while :; do read -r line; done", stdin=subprocess.PIPE)
    assert program.stdout.readline() == b"started\n"
    program.kill()
    assert program.stdout.read() == b"cancelled\n"
    assert program.wait() == 1
    program.close()


def test_a_program_that_does_not_end_when_asked_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_SECONDS_TO_END", 0.01)
    program = shell("trap '' TERM; echo started; exec sleep 1000")
    assert program.stdout.readline() == b"started\n"
    program.kill()
    assert program.wait() == -signal.SIGKILL
    program.close()


def test_closing_a_running_program_leaves_nothing_of_it() -> None:
    program = shell("echo $$; exec sleep 1000")
    pid = int(program.stdout.readline())
    program.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_program_is_beyond_the_reach_of_a_terminal_s_signals() -> None:
    program = shell("echo $$; cat", stdin=subprocess.PIPE)
    pid = int(program.stdout.readline())
    assert os.getsid(pid) == pid != os.getsid(0)
    program.close()


def test_killing_what_has_ended_is_harmless() -> None:
    program = shell("exit 0")
    assert program.wait() == 0
    program.kill()
    program.close()
    assert program.wait() == 0


def test_what_a_program_says_is_redacted_and_told_without_its_name() -> None:
    said = f"sh: FATAL: password {SECRET} refused\n\nsh: detail\n"
    program = shell('printf "%s" "$SAID" >&2; exit 1', environment={"SAID": said}, redact=Redactor([SECRET]))
    assert program.wait() == 1
    assert program.messages() == ["FATAL: password ******** refused", "detail"]
    assert program.failure(1) == "sh ended with status 1: FATAL: password ******** refused detail"
    program.close()


def test_a_talkative_program_neither_waits_nor_fills_memory() -> None:
    program = shell(
        "echo first >&2; i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789012345678901234567890123 >&2; i=$((i+1)); done"
    )
    assert program.wait() == 0
    assert program.messages()[0] == "first"
    assert len("".join(program.messages())) <= 64 * 1024
    assert "first 0123" in program.failure(1)
    assert len(program.failure(1)) < 1000
    program.close()


def test_output_that_is_not_text_does_not_hide_the_error() -> None:
    program = shell("printf '\\377\\376 broken\\n' >&2; exit 2")
    assert "broken" in program.failure(program.wait())
    program.close()


@pytest.mark.parametrize("name", ["missing", "a folder"])
def test_a_program_that_cannot_be_started_is_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "a folder").mkdir()
    with pytest.raises(ProgramError, match=rf"{name} could not be started: .*\. Set pg_bin_dir"):
        Program([str(tmp_path / name)], redact=same)


def test_without_an_environment_a_program_has_ours_in_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("OURS", "here")
    assert output(shell('echo "$LC_ALL $OURS"')) == "C here\n"


def test_only_the_descriptors_meant_for_it_are_open_in_a_program() -> None:
    meant, other = list_file(["meant"]), list_file(["other"])
    os.set_inheritable(other, True)
    try:
        assert output(shell(f"cat /dev/fd/{meant}; test -e /dev/fd/{other} || echo closed", descriptors=(meant,))) == "meant\nclosed\n"
    finally:
        os.close(meant)
        os.close(other)


def test_a_list_file_has_a_line_each_and_can_be_read_twice() -> None:
    descriptor = list_file(["1; 0 0 SEQUENCE SET a", "2; 0 0 SEQUENCE SET b"])
    try:
        assert output(shell(f"cat /dev/fd/{descriptor} /dev/fd/{descriptor}", descriptors=(descriptor,))).count("SEQUENCE SET a\n2;") == 2
    finally:
        os.close(descriptor)


# Credentials

LOGIN = Login("workon", (HostPort("db", 5433),), "backup", SECRET, (("sslmode", "require"),))


def test_a_child_reads_the_password_from_a_file_of_which_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    credentials = Credentials(LOGIN)
    script = 'stat -L -c "%a %F" "$PGPASSFILE"; cat "$PGPASSFILE"; cat "$PGPASSFILE"'
    line = "*:*:*:*:s3cr\\:et\\\\word\n"
    assert output(shell(script, environment=credentials.environment, descriptors=credentials.descriptors)) == f"600 regular file\n{line}{line}"
    (descriptor,) = credentials.descriptors
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
    credentials.close()
    credentials.close()
    assert credentials.descriptors == ()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_is_not_meant_to_know_the_password_does_not() -> None:
    credentials = Credentials(LOGIN)
    assert output(shell('cat "$PGPASSFILE" 2>/dev/null || echo closed', environment=credentials.environment)) == "closed\n"
    credentials.close()


def test_no_variable_holds_the_password() -> None:
    credentials = Credentials(LOGIN)
    assert "s3cr" not in "".join(credentials.environment.values())
    credentials.close()


def test_the_environment_holds_our_login_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGPASSWORD", "PGSERVICE", "PGHOSTADDR", "PGOPTIONS", "PGPASSFILE", "PGSSLMODE", "PGHOST"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    credentials = Credentials(Login("workon", (HostPort("db", None),)))
    assert {name: value for name, value in credentials.environment.items() if name.startswith("PG")} == {"PGDATABASE": "workon", "PGHOST": "db"}
    assert credentials.environment["LC_ALL"] == "C"
    assert credentials.environment["PATH"] == os.environ["PATH"]
    assert credentials.descriptors == ()
    credentials.close()


def test_a_login_may_name_a_password_file_of_its_own() -> None:
    credentials = Credentials(Login("workon", parameters=(("passfile", "/etc/pgpass"),)))
    assert credentials.environment["PGPASSFILE"] == "/etc/pgpass"
    credentials.close()


def test_a_password_that_no_file_can_express_is_refused() -> None:
    with pytest.raises(BackupError, match="line break"):
        Credentials(Login("workon", password="a\nb"))


# Finding


def fake_client(
    directory: Path, version: str, *, status: int = 0, compressions: str = "gzip lz4 zstd", programs: tuple[str, ...] = ("pg_dump", "pg_restore")
) -> str:
    """Make a directory of shell scripts that pass for client programs of this version; return its path."""
    directory.mkdir(parents=True)
    for name in programs:
        script = directory / name
        script.write_text(
            f"""#!/bin/sh
# FAKE: a stand-in for tests.
case "$1" in
  --version) echo "{name} (PostgreSQL) {version}"; exit {status} ;;
  --compress=*)
    for method in {compressions}; do
      [ "$1" = "--compress=$method" ] && {{ echo 'pg_dump: error: connection to server on socket failed' >&2; exit 1; }}
    done
    echo 'pg_dump: error: invalid compression specification: this build does not support compression with it' >&2; exit 1 ;;
esac
"""
        )
        script.chmod(0o755)
    return str(directory)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose only client programs are those that the test puts into ``versioned/*/bin`` and ``path``."""
    monkeypatch.setattr(programs, "_VERSIONED_DIRECTORIES", (f"{tmp_path}/versioned/*/bin",))
    monkeypatch.setenv("PATH", f"{tmp_path}/path::{tmp_path}/path:{tmp_path}/versioned/16/bin:{tmp_path}/empty")
    return tmp_path


def found_versions(pg_bin_dir: str | None = None) -> list[str]:
    return [client.version for client in find_clients(pg_bin_dir)]


def test_versioned_directories_come_before_the_path_and_each_counts_once(host: Path) -> None:
    fake_client(host / "path", "17.2 (Debian 17.2-1)")
    fake_client(host / "versioned/16/bin", "16.4")
    fake_client(host / "versioned/15/bin", "15.9")
    assert found_versions() == ["15.9", "16.4", "17.2"]


def test_a_directory_under_two_names_counts_once_under_the_first(host: Path) -> None:
    (host / "path").symlink_to(fake_client(host / "versioned/15/bin", "15.9"))
    assert [client.bin_dir for client in find_clients(None)] == [str(host / "versioned/15/bin")]


def test_a_client_knows_its_version_and_directory(host: Path) -> None:
    directory = fake_client(host / "path", "18beta1")
    assert find_clients(None) == [Client(18, "18beta1", directory)]


@pytest.mark.parametrize("programs", [("pg_dump",), ("pg_restore",)])
def test_half_a_client_is_none(host: Path, programs: tuple[str, ...]) -> None:
    fake_client(host / "path", "17.2", programs=programs)
    assert find_clients(None) == []


def test_a_program_that_is_not_pg_dump_is_no_client(host: Path) -> None:
    directory = Path(fake_client(host / "path", "17.2"))
    (directory / "pg_dump").write_text("#!/bin/sh\n# FAKE: says nothing of PostgreSQL.\necho pg_dump 17.2\n")
    assert find_clients(None) == []
    (directory / "pg_dump").write_bytes(b"\x7fELF")
    assert find_clients(None) == []
    (directory / "pg_dump").chmod(0o644)
    assert find_clients(None) == []


def test_no_client_at_all(host: Path) -> None:
    assert find_clients(None) == []


def test_only_the_given_directory_counts(host: Path) -> None:
    fake_client(host / "path", "17.2")
    assert found_versions(fake_client(host / "mine", "15.9")) == ["15.9"]


def test_a_given_directory_without_client_programs_is_refused(host: Path) -> None:
    fake_client(host / "path", "17.2")
    with pytest.raises(ProgramError, match=r"pg_bin_dir is .*/nowhere, but there is no working pg_dump and pg_restore in it\. Set pg_bin_dir"):
        find_clients(str(host / "nowhere"))


@pytest.mark.parametrize(
    ("version", "offered", "expected"),
    [
        ("16.4", "gzip lz4 zstd", {"none", "gzip", "lz4", "zstd"}),
        ("16.4", "gzip", {"none", "gzip"}),
        ("16.4", "", {"none"}),
        ("15.9", "gzip lz4 zstd", {"none", "gzip"}),
    ],
)
def test_the_build_is_asked_what_it_can_compress(host: Path, version: str, offered: str, expected: set[str]) -> None:
    (client,) = find_clients(fake_client(host / "path", version, compressions=offered))
    assert with_compressions(client).compressions == expected


# The programs of this host

installed = find_clients(None)
needs_client = pytest.mark.skipif(not installed, reason="no PostgreSQL client programs on this host")


@needs_client
def test_the_clients_of_this_host_are_what_they_say() -> None:
    for client in installed:
        assert client.version in output(Program([client.pg_dump, "--version"], redact=same, stdout=subprocess.PIPE))
        assert "pg_restore" in output(Program([client.pg_restore, "--version"], redact=same, stdout=subprocess.PIPE))
        assert {"none", "gzip"} <= with_compressions(client).compressions


@needs_client
def test_a_real_pg_dump_without_a_server_says_why_in_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    credentials = Credentials(Login("workon", (HostPort(str(tmp_path), 5433),), "backup", SECRET))
    program = Program([installed[0].pg_dump, "--no-password"], redact=same, environment=credentials.environment, descriptors=credentials.descriptors)
    status = program.wait()
    program.close()
    credentials.close()
    assert status == 1
    assert program.failure(status).startswith(f'pg_dump ended with status 1: error: connection to server on socket "{tmp_path}/.s.PGSQL.5433" failed')
