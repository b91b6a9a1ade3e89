"""Cluster: the containers of one job, one a host, that end together.

Hosts have names that resolve to addresses of the loopback, a different one each, so that
two hosts can listen on the same port. The first host that fails ends the others.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from sagestack.engine.container import Cause, Container, Exit, run
from sagestack.engine.executor import Control
from sagestack.engine.namespaces import held
from sagestack.engine.output import OnLine
from sagestack.engine.volume import VolumeWatch
from sagestack.engine.workspace import regain

FAILED_GRACE_SECONDS = 5.0
"""What hosts get between SIGTERM and SIGKILL when another has failed or a volume is full."""

# Each job takes a block of 127.64.0.0/10. Two servers on a machine begin at different ones.
_blocks = itertools.count(os.getpid())


def host_addresses(names: Sequence[str]) -> dict[str, str]:
    """An address for each host of a job; a job of one host needs none but 127.0.0.1."""
    if len(names) == 1:
        return {names[0]: "127.0.0.1"}
    block = next(_blocks) % (64 * 256)
    return {
        name: f"127.{64 + block // 256}.{block % 256}.{number}"
        for number, name in enumerate(names, 1)
    }


@dataclass(frozen=True)
class ClusterExit:
    """How the hosts ended. `failed` is the index of the one whose failure ended the job,
    `full` says that a host had filled its volume."""

    exits: tuple[Exit, ...]
    failed: int | None
    full: bool

    @property
    def cause(self) -> Cause:
        return next((e.cause for e in self.exits if e.cause is not Cause.EXITED), Cause.EXITED)

    @property
    def seconds(self) -> float:
        return max(exit_.seconds for exit_ in self.exits)


def run_cluster(
    containers: Sequence[Container],
    control: Control,
    on_lines: Sequence[OnLine],
    *,
    max_seconds: float | None,
    grace: float,
    volume: int,
) -> ClusterExit:
    """Run every container to its end, a stop asked for by `control`, `max_seconds`, or until
    a host has filled its volume of so many bytes.

    Raises SandboxError.
    """
    group = _Group(control, grace)
    watches = [VolumeWatch(each.directory, volume, group.fill) for each in containers]
    try:
        with (
            _one_network(containers) as hosts,
            ThreadPoolExecutor(len(hosts), thread_name_prefix="host") as pool,
        ):
            work: Callable[[int], Exit] = partial(
                group.run, containers=hosts, on_lines=on_lines, max_seconds=max_seconds
            )
            exits = tuple(pool.map(work, range(len(hosts))))
    finally:
        for watch in watches:
            watch.close()
    for each in containers:
        regain(each.directory.parent)
    return ClusterExit(exits, group.failed, group.full)


@contextlib.contextmanager
def _one_network(containers: Sequence[Container]) -> Iterator[Sequence[Container]]:
    """Isolated hosts of one job reach each other, and nobody else."""
    if len(containers) == 1 or not containers[0].isolate_network:
        yield containers
        return
    with held(isolate_network=True) as holder:
        yield [replace(container, network_of=holder) for container in containers]


class _Group:
    """The hosts of one run: their common stop, and who failed first."""

    def __init__(self, control: Control, grace: float) -> None:
        self._control = Control()
        self._asked = control
        self._grace = grace
        self._lock = threading.Lock()
        self.failed: int | None = None
        self.full = False
        control.on_stop(self._control.stop)
        control.on_interrupt(self._control.stop)

    def run(
        self,
        number: int,
        containers: Sequence[Container],
        on_lines: Sequence[OnLine],
        max_seconds: float | None,
    ) -> Exit:
        try:
            ended = run(
                containers[number],
                self._control,
                on_lines[number],
                max_seconds=max_seconds,
                grace=self._grace_now,
            )
        except BaseException:
            self._fail(number)
            raise
        if ended.cause is Cause.EXITED and ended.code != 0:
            self._fail(number)
        return ended

    def fill(self) -> None:
        """A host has no room left: end them all."""
        self.full = True
        self._control.stop()

    def _grace_now(self) -> float:
        hopeless = self.full or self.failed is not None
        return min(self._grace, FAILED_GRACE_SECONDS) if hopeless else self._grace

    def _fail(self, number: int) -> None:
        with self._lock:
            if self.failed is None and not self._control.stop_requested:
                self.failed = number
        self._control.stop()
