"""Warm workers: one idle process per image, its libraries imported, that forks for each job.

container/warm.py is the process. It is asked over a socket, and hands back a fork that
behaves as a freshly started init.py does. A job that a fork could not run rightly (see
`can_be_forked`) is started anew, and so is every job while a worker is still importing or
after it died.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from sagestack.engine.child import Child

LOG = logging.getLogger(__name__)
WARM = Path(__file__).parent.parent / "container" / "warm.py"
READ_AT_START = ("LD_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "PYTHON", "MALLOC_", "GOMP_")
"""Variables that the interpreter and its libraries read when they start. PYTHONPATH is one
that a fork can still follow."""
ANSWER_SECONDS = 60.0
"""How long a worker may take to hand over a fork, on a machine that swaps."""


def can_be_forked(command: tuple[str, ...], variables: Mapping[str, str]) -> bool:
    """Whether a fork runs this as a new process would: a Python script by its path, with no
    variable that the worker would have had to know before it started."""
    if len(command) < 2 or not command[1].endswith(".py"):
        return False
    if Path(command[0]).name not in ("python", "python3"):
        return False
    return not any(
        name.startswith(READ_AT_START) and name not in ("PYTHONPATH", "PYTHONUNBUFFERED")
        for name in variables
    )


class Forked:
    """A child of the worker's. Its exit code comes over a pipe; a pipe that closes without
    one means that it was killed."""

    def __init__(self, pid: int, stdin: int, stdout: int, stderr: int | None, report: int) -> None:
        self.pid = pid
        self.stdin: IO[bytes] = os.fdopen(stdin, "wb", buffering=0)
        self._stdout = os.fdopen(stdout, "rb", buffering=0)
        self._stderr = os.fdopen(stderr, "rb", buffering=0) if stderr is not None else None
        self._report = os.fdopen(report, "rb", buffering=0)
        self._code: int | None = None
        self._lock = threading.Lock()

    @property
    def stdout(self) -> int:
        return self._stdout.fileno()

    @property
    def stderr(self) -> int | None:
        return self._stderr.fileno() if self._stderr else None

    def wait(self, timeout: float | None) -> int | None:
        if self._code is None:
            poll = select.poll()  # select() knows no descriptor above 1,023
            poll.register(self._report, select.POLLIN)
            ready = poll.poll(None if timeout is None else timeout * 1000)
            with self._lock:
                if ready and self._code is None:
                    code = self._report.read(1)
                    self._code = code[0] if code else 137
        return self._code


class WarmWorker:
    """One worker. Imports in the background; `fork` gives None until that is done."""

    def __init__(self, python: Path, preload: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._ready = False
        self._control, theirs = socket.socketpair()
        with theirs:
            self._popen = subprocess.Popen(
                [str(python), str(WARM), str(theirs.fileno()), *preload],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={
                    "PATH": "/usr/bin:/bin",
                    "LANG": "C.UTF-8",
                    "PYTHONUNBUFFERED": "1",
                    "OMP_WAIT_POLICY": "PASSIVE",
                },
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        threading.Thread(target=self._await_ready, name="warm-worker", daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def ready(self) -> bool:
        return self._ready

    def fork(self, *, split_stderr: bool) -> Child | None:
        """A fork that waits for its plan, or None where the worker can't give one."""
        if not self._ready:
            return None
        stdin_theirs, stdin = os.pipe()
        stdout, stdout_theirs = os.pipe()
        stderr, stderr_theirs = os.pipe() if split_stderr else (None, os.dup(stdout_theirs))
        report, report_theirs = os.pipe()
        theirs = [stdin_theirs, stdout_theirs, stderr_theirs, report_theirs]
        try:
            with self._lock:
                socket.send_fds(self._control, [b"f"], theirs)
                pid = self._control.recv(4, socket.MSG_WAITALL)
        except OSError:
            pid = b""
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        child = Forked(int.from_bytes(pid), stdin, stdout, stderr, report)
        if len(pid) == 4:
            return child
        LOG.warning("a warm worker has died; the job is started anew")
        self._ready = False
        self._popen.kill()  # so that the next job finds another
        return None

    def close(self) -> None:
        self._ready = False
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(2)

    def _await_ready(self) -> None:
        with contextlib.suppress(OSError):
            ready = self._control.recv(1) == b"r"
            self._control.settimeout(ANSWER_SECONDS)
            self._ready = ready


class WarmWorkers:
    """The workers of an instance, one per interpreter, started when first asked for."""

    def __init__(self) -> None:
        self._workers: dict[Path, WarmWorker] = {}
        self._lock = threading.Lock()

    def worker(self, python: Path, preload: tuple[str, ...]) -> WarmWorker | None:
        """The worker of an interpreter, starting one where there is none or it has died."""
        if not preload:
            return None
        with self._lock:
            worker = self._workers.get(python)
            if worker is None or not worker.alive:
                worker = self._workers[python] = WarmWorker(python, preload)
            return worker

    def close(self) -> None:
        with self._lock:
            for worker in self._workers.values():
                worker.close()
            self._workers.clear()
