# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start Python programs from a Python that has imported their libraries already: every run is still a process of its own.

Half of what a short run of a module takes is importing boto3, Ansible and psycopg2, and the tests run thousands. So a first process imports them once and
forks for each run. The fork has the directory, the environment, the standard streams and the arguments of its run, and imports what it is itself as ever;
only /proc shows the arguments and the environment of the first process. A second process stands by each run to tell how it ended.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_LIBRARIES = ("ansible.module_utils.basic", "boto3", "botocore.httpsession", "botocore.signers", "psycopg2.extras")
_OURS = "ansible_collections.workon.postgresql_backup.plugins.module_utils"
_ENOUGH = 1 << 20


class WarmProcess:
    """A run that was forked, with those of subprocess.Popen's names that are used here."""

    def __init__(self, connection: socket.socket, stdin: IO[str] | None) -> None:
        self._connection = connection
        self.pid: int = _received(connection)["pid"]
        self.stdin = stdin
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status as subprocess has it, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, seconds: float) -> int:
        """Wait for the end."""
        if self.returncode is None:
            # Zero would mean not to wait for what was sent already.
            self._connection.settimeout(max(seconds, 0.001))
            try:
                self.returncode = _received(self._connection)["status"]
            except TimeoutError:
                raise subprocess.TimeoutExpired("a forked Python", seconds) from None
            # Until now nobody else could get its process id.
            self._connection.close()
        return self.returncode

    def kill(self) -> None:
        """End it, and only it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class WarmPython:
    """The first process; ``start`` has it fork."""

    def __init__(self, command: Sequence[str], collections: Path) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
            environment = {**inherited, "PYTHONPATH": str(collections), "LC_ALL": "C.UTF-8"}
            self._process = subprocess.Popen(
                [*command, __file__, str(theirs.fileno())], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._control = ours

    def start(self, program: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: int | IO[str], output: IO[str]) -> WarmProcess:
        """Start ``-m MODULE`` or a program with its arguments."""
        read, write = os.pipe() if stdin == subprocess.PIPE else (None, None)
        request = {"program": list(program), "directory": str(directory), "environment": dict(environment)}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as stack:
            stack.enter_context(theirs)
            given = read if read is not None else stdin if isinstance(stdin, int) else stdin.fileno()
            socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno(), given, output.fileno()])
        if read is not None:
            os.close(read)
        return WarmProcess(ours, None if write is None else os.fdopen(write, "w"))

    def stop(self) -> None:
        """Let the first process end; what was forked goes on."""
        self._control.close()
        self._process.wait(20)


@functools.cache
def warm_python(command: tuple[str, ...], collections: Path) -> WarmPython:
    """Return the first process of this command, started when it is asked for."""
    found = WarmPython(command, collections)
    atexit.register(found.stop)
    return found


def read_botocore_data_once() -> None:
    """Keep in this process what botocore reads of its own files: with every session it would parse megabytes of JSON anew."""
    loaders = importlib.import_module("botocore.loaders")
    read = functools.cache(functools.partial(loaders.JSONFileLoader.load_file, loaders.JSONFileLoader()))
    loaders.JSONFileLoader.load_file = lambda _self, path: read(path)


def _received(connection: socket.socket) -> dict[str, Any]:
    message = connection.recv(_ENOUGH)
    if not message:
        raise RuntimeError("The Python that forks has ended.")
    found: dict[str, Any] = json.loads(message)
    return found


# The first process


def _serve(control: socket.socket) -> Callable[[], object]:
    """Fork for every request; return in the fork, with what it is to run."""
    _import_all()
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(control, _ENOUGH, 3)
        # Those that stood by and are done are waited for, so that what they took counts as ours.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not message:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            return _stand_by(json.loads(message), socket.socket(fileno=descriptors[0]), descriptors[1:])
        for descriptor in descriptors:
            os.close(descriptor)


def _import_all() -> None:
    for name in _LIBRARIES:
        importlib.import_module(name)
    ours = Path(*importlib.import_module(_OURS).__path__)
    for path in sorted(ours.rglob("*.py")):
        importlib.import_module(".".join((_OURS, *path.relative_to(ours).with_suffix("").parts)).removesuffix(".__init__"))
    read_botocore_data_once()
    # The clients of S3 are what needs it.
    session = importlib.import_module("botocore.session").Session()
    session.create_client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    # What is frozen is neither looked at nor copied when a fork collects its garbage.
    gc.collect()
    gc.freeze()


def _stand_by(request: dict[str, Any], connection: socket.socket, streams: list[int]) -> Callable[[], object]:
    """Fork the run and tell how it ends; return in the run."""
    pid = os.fork()
    if pid == 0:
        connection.close()
        return _become(request, streams)
    for stream in streams:
        os.close(stream)
    connection.send(json.dumps({"pid": pid}).encode())
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended
    status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    with contextlib.suppress(OSError):
        connection.send(json.dumps({"status": status}).encode())
        # As long as nobody has heard it, the process id stays taken.
        connection.recv(1)
    os.waitpid(pid, 0)
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> Callable[[], object]:
    stdin, output = streams
    os.dup2(stdin, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for stream in streams:
        os.close(stream)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    first, *rest = request["program"]
    if first == "-m":
        sys.argv = rest
        sys.path[0] = os.getcwd()
        return functools.partial(runpy.run_module, rest[0], run_name="__main__", alter_sys=True)
    sys.argv = [first, *rest]
    sys.path[0] = str(Path(first).parent)
    return functools.partial(runpy.run_path, first, run_name="__main__")


def _end(status: int) -> None:
    """End as Python does, but leave the memory to the kernel: to take everything apart would first copy it, and take as long as many a run."""
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    try:
        _serve(socket.socket(fileno=int(sys.argv[1])))()
    except SystemExit as ending:
        if isinstance(ending.code, int):
            _end(ending.code)
        raise
