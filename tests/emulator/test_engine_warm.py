"""Warm workers: a fork is always ready, and what dies is replaced."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sagestack.engine.warm import WarmWorkers
from tests.emulator.programs import Program
from tests.waiting import wait_until

PYTHON, PRELOAD = Path(sys.executable), ("json",)
SAYS_ITS_PARENTS = "import os; print(open('/proc/1/cmdline').read().split(chr(0))[1])"


@pytest.fixture
def workers() -> Iterator[WarmWorkers]:
    workers = WarmWorkers()
    yield workers
    workers.close()


def spares(workers: WarmWorkers) -> list[psutil.Process]:
    """The forks that wait, once there is one."""
    worker = workers.worker(PYTHON, PRELOAD)
    assert worker is not None
    wait_until(lambda: worker.ready, what="the worker to be ready")
    children = psutil.Process(worker._popen.pid).children
    wait_until(lambda: bool(children()), what="a fork that waits")
    return children()


def run(workers: WarmWorkers, directory: Path) -> list[str]:
    program = Program(directory, SAYS_ITS_PARENTS, workers.worker(PYTHON, PRELOAD))
    ended = program.run()
    assert ended.code == 0, program.lines
    return program.lines


def test_a_fork_that_waits_is_the_next_program(workers: WarmWorkers, tmp_path: Path) -> None:
    (spare,) = spares(workers)
    assert run(workers, tmp_path / "ml")[0].endswith("warm.py")
    wait_until(lambda: not spare.is_running(), what="the fork to have ended with its program")
    assert spares(workers) != [spare]


def test_a_fork_that_was_killed_is_replaced(workers: WarmWorkers, tmp_path: Path) -> None:
    for spare in spares(workers):
        spare.kill()
    assert run(workers, tmp_path / "ml")[0].endswith("warm.py")


def test_a_worker_that_was_killed_is_replaced(workers: WarmWorkers, tmp_path: Path) -> None:
    dead = workers.worker(PYTHON, PRELOAD)
    assert dead is not None
    spares(workers)
    psutil.Process(dead._popen.pid).kill()
    wait_until(lambda: not dead.alive, what="the worker's end")
    run(workers, tmp_path / "first")  # started anew, or forked from a new worker
    spares(workers)
    assert run(workers, tmp_path / "second")[0].endswith("warm.py")


def test_no_fork_outlives_its_worker(workers: WarmWorkers) -> None:
    waiting = spares(workers)
    workers.close()
    wait_until(lambda: not any(fork.is_running() for fork in waiting), what="their end")
