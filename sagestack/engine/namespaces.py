"""Namespaces that a process holds and runs no program in.

Isolated hosts of one job join its network: they reach each other, and nobody else.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from sagestack.engine.child import INIT


@contextlib.contextmanager
def held(*, isolate_network: bool) -> Iterator[int | None]:
    """The pid of a process that holds namespaces, or None where the machine gives none. What
    has joined them keeps them when that process ends."""
    plan = {"isolate_network": isolate_network, "network_of": None}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(INIT), "--hold"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={},
        start_new_session=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(plan).encode() + b"\n")
        yield process.pid if process.stdout.readline() == b"held\n" else None


def can_be_made() -> bool:
    """Whether this machine lets us make a sandbox."""
    with held(isolate_network=False) as holder:
        return holder is not None
