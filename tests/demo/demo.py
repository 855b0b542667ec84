# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up a real PostgreSQL into a real S3 server with the playbook, damage the database, bring it back while a client reads, go back again, and judge it all.

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

from bench.readers import Readers, Seen
from checks import tree
from harness import process
from harness.paths import CACHE, CHECKOUT
from harness.postgres import PostgresServer
from harness.stores import SeaweedFS, StoreServer

BUCKET = "workon-backups"
DATABASE = "workon"
RESTORED = "workon_restored"
INVENTORY = "examples/inventory"
REPORT = CACHE / "demo" / "backups.html"
SCHEMA = Path(__file__).with_name("workon.sql")
# What a tired person does, and the SQL of it.
DAMAGE = {
    "a DELETE with the wrong condition": "DELETE FROM contracts WHERE \"signedAt\" > '2026-03-01'",
    "a migration that went wrong": """
        ALTER TABLE users DROP COLUMN email;
        UPDATE missions SET "dailyRate" = "dailyRate" / 100;
        INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('0', '', '20260301090000_rates_in_euro')""",
    "a table dropped": "DROP TABLE compliance_document",
}
# What the client reads: rows and sums of two damaged tables.
READING = """SELECT format('%s rows, %s; %s rows, %s', c.rows, c.sum, m.rows, m.sum)
FROM (SELECT count(*) AS rows, sum(amount) FROM contracts) AS c, (SELECT count(*) AS rows, sum("dailyRate") FROM missions) AS m"""
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
        tag(environment)
        back_up(environment)
        backup = look_up(environment)
        same = restore_without_us(server, download(store, backup["key"], scratch), backup)
        same = damage_and_restore(server, environment) and same
        play(environment, "playbooks/verify.yml")
        same = judge(environment) and same
    print(f"\n{'Every row came back' if same else 'NOT THE SAME'}; {time.monotonic() - started:.0f} s in all. The servers and their data are gone.")
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
        # Shorter to read; nothing else.
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
        # The client programs of a PostgreSQL that is not installed, and ours before a shell's.
        "PATH": os.pathsep.join([str(server.bin_dir), str(Path(sys.executable).parent), inherited.get("PATH", "")]),
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


def tag(environment: Mapping[str, str]) -> None:
    """Say in the database what it is for: without a tag it would count as production."""
    result = ad_hoc(environment, "pg_environment", "environment=staging")
    print(result["msg"])


def back_up(environment: Mapping[str, str]) -> None:
    """Run the playbook as anybody would."""
    play(environment, "playbooks/backup.yml")


def look_up(environment: Mapping[str, str]) -> dict[str, Any]:
    """List the catalog, reading every stored byte again, and return its newest backup."""
    result = ad_hoc(environment, "pg_backup_info", "verify=decode")
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


def restore_without_us(server: PostgresServer, archive: Path, backup: Mapping[str, Any]) -> bool:
    """Restore the archive with nothing but pg_restore, and compare by plain SQL with the source and with the rows that the manifest proves."""
    execute(server, "postgres", f"CREATE DATABASE {RESTORED}")
    command = ["pg_restore", "--exit-on-error", f"--dbname={RESTORED}", archive.name]
    heading(f"$ {' '.join(command)}    (without us: the archive downloaded by plain boto3)")
    login = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": server.superuser, "PGPASSWORD": server.password}
    with timed() as taken:
        run([server.installation.program(command[0]), *command[1:-1], archive], {**os.environ, **login})
        seconds = taken()
    source, restored = contents(server, DATABASE), contents(server, RESTORED)
    recorded = {name: facts["rows"] for name, facts in backup["tables"].items()} | {"large objects": backup["large_objects"]["count"]}
    same = source == restored and {name: content.rows for name, content in source.items()} == recorded
    print(f"Restored into an empty database in {seconds}; rows and md5 of every table {'equal' if same else 'DIFFER FROM'} the source, rows the manifest.")
    return same


def damage_and_restore(server: PostgresServer, environment: Mapping[str, str]) -> bool:
    """Damage the database, bring it back, and go back to the damage, each time with a client that reads all the while."""
    before, whole = contents(server, DATABASE), read(server)
    heading("Damage: " + ", ".join(DAMAGE))
    for statements in DAMAGE.values():
        execute(server, DATABASE, statements)
    damaged, broken = contents(server, DATABASE), read(server)
    print(f"A client that reads all the while saw:  {whole}\nand sees now:                           {broken}")

    with Readers(server.url(DATABASE), READING, old=broken, new=whole) as client:
        play(environment, "playbooks/restore.yml", "-e", "restore_same_database=true")
        (seen,) = client.finish()
    restored = contents(server, DATABASE)
    show(before, damaged, restored)
    print(interruption(seen))

    with Readers(server.url(DATABASE), READING, old=whole, new=broken) as client:
        play(environment, "playbooks/restore.yml", "--tags", "rollback")
        (back,) = client.finish()
    undone = contents(server, DATABASE) == damaged
    print(f"The damaged database is {'back, as it was' if undone else 'NOT AS IT WAS'}. {interruption(back)}")
    return restored == before and undone and not seen.wrong + back.wrong


def judge(environment: Mapping[str, str]) -> bool:
    """Say whether the backups would help tonight, and put everything that is known of them on one page."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    health = ad_hoc(environment, "pg_backup_health", f"name={DATABASE} max_restore_test_age=35d")
    print(health["text"].rstrip())
    report = ad_hoc(environment, "pg_backup_report", f"path={REPORT} keep_within=30d max_restore_test_age=35d")
    print(report["msg"])
    return bool(health["verdict"] == "ok")


def show(before: Mapping[str, Content], damaged: Mapping[str, Content], restored: Mapping[str, Content]) -> None:
    """Print each table's rows and whether its content is that of before."""
    heading("Rows, and whether their md5 (by plain SQL) is that of before the damage")
    print(f"  {'':28} {'before':>8}  {'damaged':>19}  {'restored':>19}")
    for name, content in sorted(before.items()):
        print(f"  {name:28} {content.rows:8,}  {judged(damaged.get(name), content)}  {judged(restored.get(name), content)}")


def judged(found: Content | None, wanted: Content) -> str:
    """Say how what was found of a table differs from what it should be."""
    if found is None:
        return f"{'':8}  {'NO TABLE':>9}"
    return f"{found.rows:8,}  {'equal' if found == wanted else 'DIFFERENT':>9}"


def interruption(seen: Seen) -> str:
    """Say what a client noticed of the exchange."""
    return (
        f"The client connected and read {seen.reads:,} times meanwhile; {seen.failed} failed, {seen.wrong} were wrong. "
        f"The longest it was without an answer is {seen.longest_gap:.2f} s (at other times {seen.longest_wait:.2f} s)."
    )


def read(server: PostgresServer) -> str:
    """Return what the client reads."""
    return str(query(server, DATABASE, READING)[0][0])


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


def play(environment: Mapping[str, str], playbook: str, *arguments: str) -> None:
    """Run a playbook as anybody would."""
    command = ["ansible-playbook", playbook, "-i", INVENTORY, "-e", "target=staging", *arguments]
    heading("$ " + " ".join(command))
    with timed() as taken:
        run(command, environment)
    print(f"The playbook took {taken()}.")


def ad_hoc(environment: Mapping[str, str], module: str, arguments: str) -> dict[str, Any]:
    """Run one module as anybody would, and return its result."""
    command = ["ansible", "staging", "-i", INVENTORY, "-m", f"workon.postgresql_backup.{module}", "-a", arguments]
    heading("$ " + " ".join(command))
    output = run(command, {**environment, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}, capture=True)
    return dict(json.loads(output[output.index("{") :]))


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
