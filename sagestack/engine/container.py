"""Container: one program in a sandbox, in which a directory of the job's is /opt/ml.

`start` begins one and hands back its process; `run` sees it to its end, with the stop and
the time limit that AWS defines: SIGTERM, a grace period, SIGKILL.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from sagestack.engine.child import INIT, Child, spawn
from sagestack.engine.executor import Control
from sagestack.engine.fast_file import Mount
from sagestack.engine.images import Environment
from sagestack.engine.instance_types import Limits
from sagestack.engine.output import OnLine, read_lines
from sagestack.engine.programs import FOLDER
from sagestack.engine.warm import can_be_forked

GRACE_SECONDS = 120.0
"""Between SIGTERM and SIGKILL. Source: StopTrainingJob."""
FAULT = 125
"""The exit code of a sandbox that could not be made, as Docker tells it."""
LOST_SECONDS = 1.0
"""How long to read on when init.py itself was killed. Without namespaces a program can do that,
and what it has started then lives on and may hold its output open."""


class SandboxError(Exception):
    """The sandbox could not be made. The text is the kernel's."""


class ServerLeaves(SystemExit):
    """`leave` was called. Ends the job's thread, and no `except Exception` hears of it."""


_leaving = threading.Event()


@dataclass(frozen=True)
class Container:
    """What to run. Paths in `command`, `environment` and `working_directory` are those the
    program sees; `directory` is where its /opt/ml lies outside."""

    environment: Environment
    command: tuple[str, ...]
    variables: Mapping[str, str]
    directory: Path
    working_directory: str | None = None
    """The image's own where None: /opt/program for one that a folder defines, or /opt/ml."""
    host_names: tuple[str, ...] = ()
    """Names that resolve inside, this container's own first, such as algo-1."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where a name resolves to when not to 127.0.0.1."""
    read_only_model: bool = False
    """Whether /opt/ml/model can't be written, as for an endpoint."""
    threads: int = 0
    """How many threads numerical libraries may use; 0 leaves it to them."""
    limits: Limits = field(default_factory=Limits)
    """What an instance of the job's type would have."""
    isolate_network: bool = False
    """Whether the program has no network but a loopback of its own."""
    network_of: int | None = None
    """The process whose isolated network it has instead of one of its own."""
    mounts: tuple[Mount, ...] = ()
    """File systems to mount below /opt/ml."""
    read_only_paths: tuple[Path, ...] = field(default=())
    """Further files and directories the program may see, at their own paths."""


class Cause(Enum):
    EXITED = "exited"
    STOPPED = "stopped"
    TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Exit:
    """How a program ended. `code` is 128 + n when signal n killed it, as Docker tells it."""

    code: int
    cause: Cause
    seconds: float


class Process:
    """A started container. Its output is read by threads of its own until it ends."""

    def __init__(self, child: Child, on_line: OnLine, on_error_line: OnLine | None) -> None:
        self._child = child
        self._readers = [read_lines(child.stdout, on_line)]
        if child.stderr is not None and on_error_line is not None:
            self._readers.append(read_lines(child.stderr, on_error_line))
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.wait(0) is None

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, or None if it still runs after `timeout` seconds."""
        code = self._child.wait(timeout)
        if code is None:
            return None
        for reader in self._readers:
            reader.join(LOST_SECONDS if code < 0 else None)
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """SIGTERM to the program and its children. It may take its time to end."""
        self._tell(b"terminate\n")

    def kill(self) -> None:
        """End the program and everything it started, at once."""
        self._tell(b"kill\n")

    def stop(self, grace: float) -> int:
        """SIGTERM, up to `grace` seconds, SIGKILL; the exit code."""
        self.terminate()
        code = self.wait(grace)
        if code is None:
            self.kill()
            code = self.wait()
            assert code is not None
        return code

    def _tell(self, command: bytes) -> None:
        rest = memoryview(command)
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            # It may have ended by now, and need not hear it.
            while rest:
                rest = rest[self._child.stdin.write(rest) :]


def start(container: Container, on_line: OnLine, on_error_line: OnLine | None = None) -> Process:
    """Start a container. Lines of stdout and stderr go to `on_line` in the order they were
    written, or those of stderr to `on_error_line` where that is given."""
    worker = container.environment.worker
    split = on_error_line is not None
    child = None
    if worker is not None and can_be_forked(container.command, container.variables):
        child = worker.fork(split_stderr=split)
    process = Process(child or spawn(split_stderr=split), on_line, on_error_line)
    process._tell(json.dumps(_plan(container)).encode() + b"\n")
    return process


def leave() -> None:
    """This process ends. Every program that `run` runs is killed, and nobody is told how it
    ended: the next start tells what became of its job."""
    _leaving.set()


def run(
    container: Container,
    control: Control,
    on_line: OnLine,
    on_error_line: OnLine | None = None,
    *,
    max_seconds: float | None = None,
    grace: float | Callable[[], float] = GRACE_SECONDS,
) -> Exit:
    """Run a container to its end, to a stop asked for by `control`, or to `max_seconds`.
    `grace` is known when it is needed: what ends the program may decide it.

    Raises SandboxError, ServerLeaves.
    """
    begun = time.monotonic()
    process = start(container, on_line, on_error_line)
    cause = Cause.EXITED
    deadline = None if max_seconds is None else begun + max_seconds
    kill_at: float | None = None
    while True:
        code = process.wait(0.05 if time.monotonic() - begun < 1 else 0.2)
        now = time.monotonic()
        if _leaving.is_set():
            process.kill()
            raise ServerLeaves
        if code is not None:
            fault = Path(f"{container.directory}.fault")
            if code == FAULT and fault.exists():
                raise SandboxError(fault.read_text())
            if control.stop_requested and cause is Cause.EXITED:
                cause = Cause.STOPPED
            return Exit(code, cause, now - begun)
        if kill_at is None and (control.stop_requested or (deadline and now >= deadline)):
            cause = Cause.STOPPED if control.stop_requested else Cause.TIMED_OUT
            process.terminate()
            kill_at = now + (grace() if callable(grace) else grace)
        elif kill_at is not None and now >= kill_at:
            process.kill()


def _plan(container: Container) -> dict[str, object]:
    """What init.py is told, as one line of JSON."""
    environment = container.environment
    return {
        "command": list(container.command),
        "variables": _variables(container),
        "directory": str(container.directory),
        "working_directory": container.working_directory
        or (FOLDER if environment.image.folder else "/opt/ml"),
        "host_names": list(container.host_names),
        "addresses": dict(container.addresses),
        "threads": container.threads,
        "cores": container.limits.cores,
        "memory": container.limits.memory,
        "mounts": [{"path": mount.path, "socket": mount.socket} for mount in container.mounts],
        "read_only_model": container.read_only_model,
        "isolate_network": container.isolate_network,
        "network_of": container.network_of,
        "folders": {FOLDER: str(folder)} if (folder := environment.image.folder) else {},
        "image": str(environment.bin.parent),
        "visible": [
            str(path)
            for path in (
                environment.bin.parent,
                *_interpreter_homes(environment.python),
                INIT.parent,
                *container.read_only_paths,
            )
        ],
    }


def _variables(container: Container) -> dict[str, str]:
    path = f"{container.environment.bin}:/usr/local/bin:/usr/bin:/bin"
    modules = container.environment.image.modules
    python_path = [container.variables.get("PYTHONPATH"), str(modules) if modules else None]
    return {
        "PATH": f"{FOLDER}:{path}" if container.environment.image.folder else path,
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": str(container.environment.bin.parent),
        # Threads of OpenMP that wait by spinning take the cores from each other.
        "OMP_WAIT_POLICY": "PASSIVE",
        **({"OMP_NUM_THREADS": str(container.threads)} if container.threads else {}),
        **container.variables,
        **({"PYTHONPATH": os.pathsep.join(filter(None, python_path))} if modules else {}),
    }


def _interpreter_homes(python: Path) -> list[Path]:
    """The links that lead to an environment's interpreter, and where it is installed."""
    links = []
    while python.is_symlink():
        python = python.parent / os.readlink(python)
        links.append(python)
    return [*links[:-1], python.resolve().parent.parent]
