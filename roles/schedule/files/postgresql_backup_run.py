# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one scheduled job for one database: ``postgresql-backup-run backup workon``.

It runs the same playbook as a person would, and adds what a schedule needs: one run per database at a time, a time limit, a log, and word of a failure.
What there is to run is in /etc/postgresql-backup/schedule.json, which the role schedule of the collection workon.postgresql_backup writes.

Exit status: 0 done; 75 not run, because another run has the database; 124 the time limit; 78 the schedule cannot be read or lacks the job;
128 + n ended by signal n; anything else is that of ansible-playbook.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import pwd
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import typing as t

SKIPPED = 75
CONFIGURATION = 78
TIME_LIMIT = 124

_WORDS = {"backup": "backup", "retention": "retention", "verify": "restore test", "health": "health check"}
_PR_SET_CHILD_SUBREAPER = 36
# How long the pipe of a run may stay open after its end, and how often processes are looked for.
_LAST_WORDS = 5.0
_LOOK = 0.1
# A process that waits for a disk that is gone does not end even then, and would keep a failure from being told.
_KILLED = 10.0


class Refused(Exception):
    """The job cannot be run as it is written; the message says why."""


class Busy(Exception):
    """Another run has the database; the message says which. ``waited``: all the time that the job may wait."""

    def __init__(self, message: str, waited: bool) -> None:
        super().__init__(message)
        self.waited = waited


class Stopped(Exception):
    """A signal asks for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Log:
    """Lines with the time in UTC, in the log of the database and, unless quiet, on standard output."""

    def __init__(self, path: str, quiet: bool) -> None:
        # Appended, each line by one write: two runs may write at a time.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._quiet = quiet
        self.tail: collections.deque[str] = collections.deque(maxlen=200)

    def say(self, text: str) -> None:
        line = f"[{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}] {text}"
        self.tail.append(line)
        # A full disk must not end a backup that may well succeed.
        with contextlib.suppress(OSError):
            os.write(self._file, f"{line}\n".encode(errors="replace"))
        if not self._quiet:
            with contextlib.suppress(OSError):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()

    def complain(self, text: str) -> None:
        """Say what cron is to mail, too."""
        self.say(f"ERROR: {text}")
        if self._quiet:
            sys.stderr.write(f"{text}\n")


class Job(t.NamedTuple):
    """What to run."""

    kind: str
    database: str
    playbook: str
    variables: dict[str, t.Any]
    time_limit: float
    # None: it only looks, and needs not have the database for itself.
    lock_wait: float | None
    kill_after: float

    @property
    def name(self) -> str:
        return f"{_WORDS.get(self.kind, self.kind)} of {self.database}"


def read_schedule(path: str) -> dict[str, t.Any]:
    """Return the schedule, or say what is wrong with it."""
    try:
        with open(path, encoding="utf-8") as file:
            schedule = json.load(file)
    except OSError as error:
        raise Refused(f"The schedule {path} cannot be read: {error.strerror}. Run the role schedule, and run this as root or as its user.") from None
    except ValueError as error:
        raise Refused(f"The schedule {path} is not JSON: {error}. Run the role schedule again.") from None
    if not isinstance(schedule, dict) or not isinstance(schedule.get("jobs"), dict):
        raise Refused(f"The schedule {path} has no jobs. Run the role schedule again.")
    return schedule


def find_job(schedule: dict[str, t.Any], kind: str, database: str) -> Job:
    """Return a job of the schedule, or say which there are."""
    known = sorted(f"{one} {name}" for one, names in schedule["jobs"].items() for name in names)
    settings = schedule["jobs"].get(kind, {}).get(database)
    if settings is None:
        raise Refused(f"The schedule has no job {kind} {database}. It has: {', '.join(known) or 'none'}.")
    return Job(
        kind=kind,
        database=database,
        playbook=settings["playbook"],
        variables=settings.get("variables", {}),
        time_limit=float(settings["time_limit"]),
        lock_wait=settings["lock_wait"],
        kill_after=float(schedule.get("kill_after", 60)),
    )


def become(user: str) -> None:
    """Go on as the user of the backups where root started this, so that no file is left that the schedule cannot write later."""
    if os.geteuid() != 0 or not user:
        return
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise Refused(f"The user {user} does not exist. Run the role install.") from None
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


@contextlib.contextmanager
def locked(directory: str, job: Job) -> t.Iterator[list[int]]:
    """Hold the locks of the job and of the database; yield them for the run, which holds them too as long as any of its processes lives.

    A run of the same job is skipped at once. One that finds another job of the database under way waits: a long restore test must not cost a backup.
    """
    wanted = [(f"{job.database}.{job.kind}.lock", 0.0)]
    if job.lock_wait is not None:
        wanted.append((f"{job.database}.lock", float(job.lock_wait)))
    with contextlib.ExitStack() as stack:
        held = []
        for name, seconds in wanted:
            file = stack.enter_context(open(os.path.join(directory, name), "a+", encoding="utf-8"))
            if not _lock(file, seconds):
                file.seek(0)
                raise Busy(
                    f"{file.read(200).strip() or 'Another run'} has the database" + (f" since more than {seconds:g} s" if seconds else ""),
                    waited=seconds > 0,
                )
            # Only the name of the holder is lost where the disk is full.
            with contextlib.suppress(OSError):
                os.truncate(file.fileno(), 0)
                os.write(file.fileno(), f"The {job.name} (process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())})".encode())
            held.append(file.fileno())
        yield held


def _lock(file: t.TextIO, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= end:
                return False
            time.sleep(min(1.0, seconds))
        else:
            return True


def run(command: list[str], environment: dict[str, str], locks: list[int], log: Log, time_limit: float, kill_after: float) -> int:
    """Run a command to its end or to the end of its time, its output line by line in the log; return its exit status."""
    end = time.monotonic() + time_limit
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            pass_fds=locks,
            start_new_session=True,
        )
        in_time = _follow(child, log, end)
    except BaseException:
        end_family(kill_after)
        raise
    # What a run leaves behind would go on without a limit, and without its lock once this ends.
    left = end_family(kill_after)
    if not in_time:
        return TIME_LIMIT
    if left:
        log.say(f"Ended {left} processes that the run had left behind.")
    status = child.returncode
    return status if status >= 0 else 128 - status


def _follow(child: subprocess.Popen[bytes], log: Log, end: float) -> bool:
    """Copy what is printed into the log until the child has ended; return whether it did so in time."""
    assert child.stdout
    pipe = child.stdout.fileno()
    os.set_blocking(pipe, False)
    rest, ended = b"", 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            selector.select(1.0 if not ended else _LOOK)
            chunk = _read(pipe)
            *lines, rest = (rest + (chunk or b"")).split(b"\n")
            for line in lines:
                log.say(_text(line))
            if chunk == b"":
                # Everything was said. It may close its output before it ends.
                break
            if not ended and child.poll() is not None:
                ended = time.monotonic()
            if ended and time.monotonic() > ended + _LAST_WORDS:
                break
            if not ended and time.monotonic() >= end:
                return False
    if rest:
        log.say(_text(rest))
    try:
        child.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _read(pipe: int) -> bytes | None:
    """Return what there is; nothing at the end, None where there is nothing yet."""
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return None


def _text(line: bytes) -> str:
    """Return a line without what would make a terminal do something."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", line.decode(errors="replace"))


def adopt_orphans() -> None:
    """Become the parent of every process of the run whose own parent ends: Ansible's workers leave its process group, and must not outlive the limit."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_family(kill_after: float) -> int:
    """Ask every process below this one to end, then insist, and wait until they have, if they can; return how many there were."""
    family = descendants()
    count = len(family)
    for pid in family:
        _signal(pid, signal.SIGTERM)
    end = time.monotonic() + kill_after
    while family:
        if time.monotonic() >= end + _KILLED:
            break
        if time.monotonic() >= end:
            for pid in family:
                _signal(pid, signal.SIGKILL)
        time.sleep(_LOOK)
        family = descendants()
    return count


def descendants() -> list[int]:
    """Return the living processes below this one, whatever their process group or session is."""
    with contextlib.suppress(ChildProcessError):
        # Those adopted have nobody else to wait for them. The status of the run itself is known by now, or no longer wanted.
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry))
    found, queue = [], [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def play(schedule: dict[str, t.Any], playbook: str, database: str, variables: dict[str, t.Any], extra: list[str]) -> list[str]:
    """Return the command of a playbook. Nothing in it is secret: those are in the files of the inventory."""
    return [
        schedule["ansible_playbook"],
        f"--inventory={schedule['inventory']}",
        f"--extra-vars={json.dumps({'target': database, **variables})}",
        *extra,
        playbook,
    ]


def tell(schedule: dict[str, t.Any], job: Job, log: Log, sentence: str) -> None:
    """Run the playbook that is there for failures; that it fails, too, is in the log and changes nothing."""
    playbook = schedule.get("on_failure", "")
    if not playbook:
        return
    text = "\n".join(log.tail)
    log.say(f"Telling of the failure by the playbook {playbook}...")
    event = {"event": "failure", "job": job.kind, "database": job.database, "summary": sentence, "text": text}
    try:
        # A file, because the text would be too long for an argument and is nobody else's business; in memory, because a full disk is worth telling, too.
        # Ansible opens extra variables by their resolved name only, so it needs one.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.NamedTemporaryFile("w", suffix=".yml", dir=memory, encoding="utf-8") as file:
            file.write("schedule_event:\n" + "".join(f"  {name}: {_unsafe(value)}\n" for name, value in event.items()))
            file.flush()
            command = play(schedule, playbook, job.database, {}, [f"--extra-vars=@{file.name}"])
            status = run(command, schedule["environment"], [], log, float(schedule.get("hook_time_limit", 300)), 10.0)
    except OSError as error:
        log.complain(f"The playbook {playbook} could not be started: {error.strerror}.")
        return
    if status:
        log.complain(f"The playbook {playbook} ended with exit status {status}, so perhaps nobody was told.")


def _unsafe(text: str) -> str:
    """Return a text as YAML that is no template, whatever it holds: in a log are words of servers, which must not be carried out."""
    return '!unsafe "' + "".join(one if one.isascii() and one.isprintable() and one not in '"\\' else f"\\U{ord(one):08x}" for one in text) + '"'


def carry_out(schedule: dict[str, t.Any], job: Job, log: Log, extra: list[str]) -> int:
    """Run the job under its locks, and tell if it failed."""
    try:
        with locked(schedule["lock_directory"], job) as locks:
            log.say(f"Starting {job.name}...")
            began = time.monotonic()
            command = play(schedule, job.playbook, job.database, job.variables, extra)
            try:
                status = run(command, schedule["environment"], locks, log, job.time_limit, job.kill_after)
                problem = f"ansible-playbook ended with exit status {status} after {time.monotonic() - began:.0f} s"
            except OSError as error:
                status, problem = CONFIGURATION, f"{command[0]} could not be started: {error.strerror}. Run the role install"
            except Stopped as stopped:
                status, problem = 128 + stopped.number, f"it was ended by {signal.Signals(stopped.number).name} after {time.monotonic() - began:.0f} s"
    except Busy as busy:
        sentence = f"Skipped the {job.name}: {busy}."
        if busy.waited:
            # It was due and did not happen. One that meets itself is still happening.
            log.complain(sentence)
            tell(schedule, job, log, sentence)
        else:
            log.say(sentence)
        return SKIPPED
    except OSError as error:
        status, problem = CONFIGURATION, f"its lock cannot be had: {error.strerror}: {error.filename}"
    if status == 0:
        log.say(f"Finished {job.name} in {time.monotonic() - began:.0f} s.")
        return 0
    if status == TIME_LIMIT:
        problem = f"it took longer than {job.time_limit:g} s and was ended"
    sentence = f"The {job.name} failed: {problem}."
    log.complain(sentence)
    tell(schedule, job, log, sentence)
    return status


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="postgresql-backup-run", description="Run one scheduled job for one database.")
    parser.add_argument("--schedule", default="/etc/postgresql-backup/schedule.json", help="what there is to run (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="print failures alone, as cron wants it; the log has everything")
    parser.add_argument("job", help="backup, retention, verify or health")
    parser.add_argument("database", help="the database's name in the inventory")
    parser.add_argument("extra", nargs=argparse.REMAINDER, help="options for ansible-playbook, for example --check")
    chosen = parser.parse_args(arguments)

    def stop(number: int, _frame: object) -> None:
        # One is enough. Programs started from here on would inherit that a signal is ignored, but not this.
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, lambda *_: None)
        raise Stopped(number)

    try:
        schedule = read_schedule(chosen.schedule)
        job = find_job(schedule, chosen.job, chosen.database)
        become(schedule.get("user", ""))
        os.umask(0o027)
        log = Log(os.path.join(schedule["log_directory"], f"{job.database}.log"), chosen.quiet)
        os.makedirs(schedule["lock_directory"], mode=0o750, exist_ok=True)
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return CONFIGURATION
    except OSError as error:
        sys.stderr.write(f"The log or the lock of {chosen.database} cannot be written: {error.strerror}: {error.filename}.\n")
        return CONFIGURATION
    adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        return carry_out(schedule, job, log, [one for one in chosen.extra if one != "--"])
    except Stopped as stopped:
        # While it waited for another run, or told of a failure.
        log.complain(f"The {job.name} was ended by {signal.Signals(stopped.number).name}.")
        return 128 + stopped.number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
