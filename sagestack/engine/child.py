"""Child: a process that init.py has become, with the pipes to reach it.

Two ways lead to one: started anew, or forked from an image's warm worker (engine/warm.py).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol

INIT = Path(__file__).parent.parent / "container" / "init.py"


class Child(Protocol):
    """`stdin` is its lifeline: the child ends when that closes, which it does when we die,
    however. `stdout` and `stderr` are descriptors to read; without a stderr of its own,
    stdout has both."""

    @property
    def pid(self) -> int: ...

    @property
    def stdin(self) -> IO[bytes]: ...

    @property
    def stdout(self) -> int: ...

    @property
    def stderr(self) -> int | None: ...

    def wait(self, timeout: float | None) -> int | None:
        """The exit code, or None if it still runs after `timeout` seconds; below 0, the signal
        that killed init.py itself."""


class Spawned:
    """A child of ours, started anew."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdin is not None and popen.stdout is not None
        self._popen = popen
        self.pid = popen.pid
        self.stdin: IO[bytes] = popen.stdin
        self.stdout = popen.stdout.fileno()
        self.stderr = popen.stderr.fileno() if popen.stderr else None

    def wait(self, timeout: float | None) -> int | None:
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None


def spawn(*, split_stderr: bool) -> Child:
    """Start init.py. A child of this many-threaded process must not run Python between fork
    and exec, so init.py does the unsharing."""
    popen = subprocess.Popen(
        [sys.executable, "-I", "-S", str(INIT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if split_stderr else subprocess.STDOUT,
        bufsize=0,
        env={},
        start_new_session=True,
        close_fds=True,
    )
    return Spawned(popen)
