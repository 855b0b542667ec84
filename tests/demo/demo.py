# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up a real PostgreSQL into a real S3 server with the playbook, then restore the archive without us and compare.

Both servers are private, on free loopback ports, and gone at the end, also after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks import tree
from harness import process
from harness.paths import CHECKOUT
from harness.postgres import PostgresServer
from harness.stores import SeaweedFS, StoreServer

BUCKET = "workon-backups"
DATABASE = "workon"
RESTORED = "workon_restored"
INVENTORY = "examples/inventory"
SCHEMA = Path(__file__).with_name("workon.sql")
# What a shell may hold and the demo must not depend on.
_FOREIGN = ("ANSIBLE_", "AWS_", "BACKUP_", "DATABASE_URL", "PG")


@dataclass(frozen=True)
class Content:
    """What is in a table, by a query that has nothing to do with the collection."""

    rows: int
    checksum: str


def main() -> None:
    process.exit_on_sigterm()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        server, store = PostgresServer(), SeaweedFS()
        # Not entered but pushed: entering one that is interrupted would leave its files.
        stack.push(server)
        stack.push(store)
        heading(f"A private PostgreSQL {server.installation.version} and a private {store.name}, on loopback ports")
        server.start()
        store.start()
        environment = user_environment(server, store, scratch)

        load(server, store)
        back_up(environment)
        backup = look_up(environment)
        archive = download(store, backup["key"], scratch)
        restore(server, archive)
        same = compare(server, backup)
    print(f"\n{'Every row is back' if same else 'NOT THE SAME'}; {time.monotonic() - started:.0f} s in all. The servers and their data are gone.")
    sys.exit(0 if same else 1)


def user_environment(server: PostgresServer, store: StoreServer, scratch: Path) -> dict[str, str]:
    """Return the environment of somebody who has these servers, as the README tells them to set it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {
        **inherited,
        "DATABASE_URL": server.url(DATABASE),
        "BACKUP_S3_BUCKET": BUCKET,
        "BACKUP_S3_ENDPOINT": store.endpoint_url,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "ANSIBLE_COLLECTIONS_PATH": str(tree.linked_tree()),
        "ANSIBLE_HOME": str(scratch / "ansible"),
        # The client programs of a PostgreSQL that is not installed, and ours before a shell's.
        "PATH": os.pathsep.join([str(server.installation.bin_dir), str(Path(sys.executable).parent), inherited.get("PATH", "")]),
    }


def load(server: PostgresServer, store: StoreServer) -> None:
    """Fill the database and create the bucket."""
    with timed() as taken:
        execute(server, "postgres", f"CREATE DATABASE {DATABASE}")
        execute(server, DATABASE, SCHEMA.read_text())
        seconds = taken()
    store.make_bucket(BUCKET)
    ((size,),) = query(server, DATABASE, "SELECT pg_database_size(current_database())")
    found = contents(server, DATABASE)
    large_objects = found.pop("large objects").rows
    rows = sum(content.rows for content in found.values())
    print(f"Loaded the database {DATABASE}: {len(found)} tables with {rows:,} rows, {large_objects} large object, {mebibytes(size)}, in {seconds}.")


def back_up(environment: Mapping[str, str]) -> None:
    """Run the playbook as anybody would."""
    command = ["ansible-playbook", "playbooks/backup.yml", "-i", INVENTORY, "-e", "target=staging"]
    heading("$ " + " ".join(command))
    with timed() as taken:
        run(command, environment)
    print(f"The playbook took {taken()}.")


def look_up(environment: Mapping[str, str]) -> dict[str, Any]:
    """List the catalog, reading every stored byte again, and return its newest backup."""
    command = ["ansible", "staging", "-i", INVENTORY, "-m", "workon.postgresql_backup.pg_backup_info", "-a", "verify=decode"]
    heading("$ " + " ".join(command))
    output = run(command, environment, capture=True)
    result = json.loads(output[output.index("{") :])
    print(f"{result['msg']} Read again to their end:")
    for backup in result["backups"]:
        facts = backup["archive"]
        verdict = "valid" if backup["valid"] else "; ".join(backup["problems"])
        print(f"  {backup['key']}  {verdict}  {mebibytes(facts['size'])} ({facts['compression']})  sha256 {facts['sha256'][:16]}...")
    return dict(result["backups"][0])


def download(store: StoreServer, key: str, scratch: Path) -> Path:
    """Fetch the archive with nothing but boto3."""
    archive = scratch / "workon.dump"
    store.client().download_file(BUCKET, key, str(archive))
    return archive


def restore(server: PostgresServer, archive: Path) -> None:
    """Restore the archive with nothing but pg_restore."""
    execute(server, "postgres", f"CREATE DATABASE {RESTORED}")
    command = ["pg_restore", "--exit-on-error", f"--dbname={RESTORED}", archive.name]
    heading(f"$ {' '.join(command)}    (the archive downloaded by plain boto3)")
    login = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser, "PGPASSWORD": server.password}
    with timed() as taken:
        run([server.installation.program(command[0]), *command[1:-1], archive], {**os.environ, **login})
    print(f"Restored into an empty database in {taken()}.")


def compare(server: PostgresServer, backup: Mapping[str, Any]) -> bool:
    """Compare source and restored database by rows and plain SQL checksums, and both with the rows that the manifest proves."""
    heading("The source against the restored database (rows, md5 by plain SQL) and the manifest (rows)")
    source, restored = contents(server, DATABASE), contents(server, RESTORED)
    recorded = {name: facts["rows"] for name, facts in backup["tables"].items()} | {"large objects": backup["large_objects"]["count"]}
    same = source.keys() == restored.keys() == recorded.keys()
    for name in sorted(source.keys() | restored.keys() | recorded.keys()):
        found = source.get(name, Content(0, "-"))
        equal = found == restored.get(name) and found.rows == recorded.get(name)
        same = same and equal
        print(f"  {name:28} {found.rows:8,} rows  md5 {found.checksum[:16]}...  {'equal' if equal else 'DIFFERENT'}")
    return same


def contents(server: PostgresServer, database: str) -> dict[str, Content]:
    """Return rows and a checksum of every table, and of the large objects, by plain SQL."""
    tables = query(
        server,
        database,
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    lines = {name: f"SELECT md5(t::text) AS line FROM {name} AS t" for (name,) in tables}
    lines["large objects"] = "SELECT oid || md5(lo_get(oid)) AS line FROM pg_largeobject_metadata"
    checksum = "SELECT count(*), coalesce(md5(string_agg(line, '' ORDER BY line)), '-') FROM ({}) AS lines"
    return {name: Content(*query(server, database, checksum.format(line))[0]) for name, line in lines.items()}


def query(server: PostgresServer, database: str, statement: str) -> list[tuple[Any, ...]]:
    """Return all rows of a query."""
    with contextlib.closing(server.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def execute(server: PostgresServer, database: str, statements: str) -> None:
    """Run statements."""
    with contextlib.closing(server.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(statements)


def run(command: Sequence[str | Path], environment: Mapping[str, str], *, capture: bool = False) -> str:
    """Run a program whose failure ends the demo; its output is shown unless it is captured. Nothing of it survives us."""
    child = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE if capture else None, text=True)
    try:
        output, _nothing = child.communicate()
    except BaseException:
        for pid in [*process.descendants(child.pid), child.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        child.wait()
        raise
    if child.returncode:
        sys.exit(f"{output or ''}\n{Path(command[0]).name} failed with status {child.returncode}.")
    return output or ""


@contextlib.contextmanager
def timed() -> Iterator[Any]:
    """Yield what tells the seconds since the beginning."""
    started = time.monotonic()
    yield lambda: f"{time.monotonic() - started:.1f} s"


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
