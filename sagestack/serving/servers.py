"""Servers: everything that serves in one instance. The route table, the capacity, the end.

Owns no status: `sagemaker.endpoint` writes those, on threads that are started here so that
`close` knows of them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from sagestack.serving.fleet import Fleet, in_parallel
from sagestack.serving.metrics import InvocationMetrics
from sagestack.serving.route import Route

LOG = logging.getLogger(__name__)
LIMIT = 16
"""Model servers at once. SAGESTACK_MAX_MODEL_SERVERS sets another."""
CLOSE_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL when the instance ends."""

RouteKey = tuple[str, str, str]
"""Account, region, name of the endpoint in its own case."""


@dataclass(frozen=True)
class NoCapacity(Exception):
    """More model servers were asked for than may run at once."""

    limit: int
    running: int
    asked: int


class Servers:
    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit or int(os.environ.get("SAGESTACK_MAX_MODEL_SERVERS") or LIMIT)
        self.metrics = InvocationMetrics()
        self._routes: dict[RouteKey, Route] = {}
        self._reserved: dict[str, int] = {}
        self._fleets: set[Fleet] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    @property
    def closing(self) -> bool:
        """Whether the instance ends. What fails from now on says nothing about an endpoint."""
        return self._closing.is_set()

    def route(self, account: str, region: str, endpoint: str) -> Route | None:
        """What the endpoint serves now. Costs no I/O and no lock."""
        return self._routes.get((account, region, endpoint))

    def publish(self, key: RouteKey, route: Route) -> Route | None:
        """Let calls go to `route`; answer what they went to before."""
        with self._lock:
            before = self._routes.get(key)
            self._routes[key] = route
        return before

    def withdraw(self, key: RouteKey) -> Route | None:
        with self._lock:
            return self._routes.pop(key, None)

    def reserve(self, deployment: str, count: int) -> None:
        """Claim room for a deployment's servers, in place of what it had. Raises NoCapacity."""
        with self._lock:
            others = sum(n for owner, n in self._reserved.items() if owner != deployment)
            running = others + self._reserved.get(deployment, 0)
            if others + count > self.limit:
                raise NoCapacity(self.limit, running, others + count - running)
            self._reserved[deployment] = count

    def claim(self, deployment: str, count: int) -> None:
        """Room for servers that ran before a restart, whatever the limit is now."""
        with self._lock:
            self._reserved[deployment] = count

    def release(self, deployment: str) -> None:
        with self._lock:
            self._reserved.pop(deployment, None)

    def add(self, fleet: Fleet) -> Fleet:
        """Know of a fleet before it starts, so that `close` ends it."""
        with self._lock:
            self._fleets.add(fleet)
        if self.closing:
            fleet.stop(0)
        return fleet

    def discard(self, fleets: Iterable[Fleet]) -> None:
        """Forget fleets that have ended."""
        with self._lock:
            self._fleets.difference_update(fleets)

    def end(self, owner: str) -> None:
        """End all fleets of an endpoint, also those that a fault of ours has left."""
        with self._lock:
            fleets = [fleet for fleet in self._fleets if fleet.owner == owner]
        in_parallel([fleet.stop for fleet in fleets])
        self.discard(fleets)

    def retire(self, route: Route) -> None:
        """End a route that no call goes to any more; return when its servers have ended."""
        in_parallel([variant.fleet.stop for variant in route.variants])
        if route.capture is not None:
            route.capture.close()
        self.discard(variant.fleet for variant in route.variants)

    def begin(self, name: str, work: Callable[[], None]) -> None:
        """Run `work` on a thread of its own."""

        def run() -> None:
            try:
                work()
            except Exception:
                LOG.exception("%s ended with a fault of sagestack's own", name)
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait, as a deployment that bakes does; True if the instance ends meanwhile."""
        return self._closing.wait(seconds)

    def close(self, grace: float = CLOSE_GRACE) -> None:
        """End every server and send what is captured; takes `grace` seconds and a little."""
        self._closing.set()
        with self._lock:
            fleets, threads = list(self._fleets), list(self._threads)
            routes = list(self._routes.values())
            self._routes.clear()
        in_parallel([partial(fleet.stop, grace) for fleet in fleets])
        in_parallel([route.capture.close for route in routes if route.capture is not None])
        self.metrics.close()
        deadline = time.monotonic() + 2
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
