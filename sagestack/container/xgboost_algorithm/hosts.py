"""Several hosts that train one model, by XGBoost's own collective communication.

The first host waits for the others at a port of its own, as on AWS, and hears which of
them have data; those train together, and the first of them keeps the model. The hosts of
a job resolve each other's names.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LOG = logging.getLogger(__name__)
PORT = 9099
PATIENCE = 900.0
"""Seconds to wait for all hosts. Source: AWS's image."""


class NoData(Exception):
    """No host has data to train on."""


@dataclass(frozen=True)
class Place:
    """Where this host stands among those that train."""

    master: bool
    """Whether it keeps the model and writes the log's metrics."""


@contextlib.contextmanager
def together(hosts: list[str], current: str, has_data: bool) -> Iterator[Place | None]:
    """Train inside this; None for a host that has no data and is left out. Raises NoData."""
    if len(hosts) == 1:
        yield Place(master=True)
        return
    first = sorted(hosts)[0]
    if current == first:
        with _lead(sorted(hosts), current, has_data) as place:
            yield place
    else:
        with _join(first, current, has_data) as place:
            yield place


@contextlib.contextmanager
def _lead(hosts: list[str], current: str, has_data: bool) -> Iterator[Place | None]:
    from xgboost.tracker import RabitTracker

    address = resolve(current)
    with socket.create_server((address, PORT)) as listener:
        listener.settimeout(PATIENCE)
        others = [_Peer(listener.accept()[0]) for _ in hosts[1:]]
    told = {message["host"]: message["has_data"] for message in (o.read() for o in others)}
    workers = [host for host in hosts if (has_data if host == current else told[host])]
    tracker = RabitTracker(len(workers), address, sortby="task") if len(workers) > 1 else None
    if tracker:
        tracker.start()
    arguments = tracker.worker_args() if tracker else {}
    for other in others:
        other.write({"workers": workers, "arguments": arguments})
    with _taking_part(workers, current, arguments) as place:
        yield place
    if tracker:
        tracker.wait_for(timeout=int(PATIENCE))
        tracker.free()


@contextlib.contextmanager
def _join(first: str, current: str, has_data: bool) -> Iterator[Place | None]:
    peer = _Peer(_connect(resolve(first)))
    peer.write({"host": current, "has_data": has_data})
    answer = peer.read()
    with _taking_part(answer["workers"], current, answer["arguments"]) as place:
        yield place


@contextlib.contextmanager
def _taking_part(
    workers: list[str], current: str, arguments: dict[str, Any]
) -> Iterator[Place | None]:
    if not workers:
        raise NoData("No hosts received training data.")
    if current not in workers:
        yield None
    elif len(workers) == 1:
        yield Place(master=True)
    else:
        from xgboost.collective import CommunicatorContext

        rank = workers.index(current)
        LOG.info("Host %s is worker %s of %s", current, rank, len(workers))
        # Ranks follow the text of the task's name.
        with CommunicatorContext(**arguments, dmlc_task_id=f"{rank:04}"):
            yield Place(master=rank == 0)


class _Peer:
    """One line of JSON each way."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self._file = connection.makefile("rw", encoding="utf-8")

    def write(self, message: dict[str, Any]) -> None:
        self._file.write(json.dumps(message) + "\n")
        self._file.flush()

    def read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise ConnectionError("a host of the job has ended before training began")
        message: dict[str, Any] = json.loads(line)
        return message


def resolve(host: str) -> str:
    """Raises OSError."""
    return socket.gethostbyname(host)


def _connect(address: str) -> socket.socket:
    """The first host may not listen yet: it reads its data first."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((address, PORT), PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
