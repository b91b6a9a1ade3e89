"""Fleet: the servers of one variant, as many as it is scaled to.

A call goes to one that is ready, in turn or to the least busy. One that can't be reached
was sent nothing, so the next is tried.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial

from sagestack.serving.server import GRACE_SECONDS, ModelServer, ServerFailed
from sagestack.serving.transport import NotReached, Reply


class Unavailable(Exception):
    """No server of the variant can take a call now."""


class Fleet:
    def __init__(
        self, owner: str, make: Callable[[], ModelServer], *, least_outstanding: bool = False
    ) -> None:
        self.owner = owner
        """The ARN of the endpoint."""
        self._make = make
        self._least_outstanding = least_outstanding
        self._servers: tuple[ModelServer, ...] = ()
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def servers(self) -> tuple[ModelServer, ...]:
        return self._servers

    def scale_out(self, count: int) -> None:
        """Bring it up to `count` servers; return when all answer. If one fails, the new ones
        are ended. Raises ServerFailed, ServerStopped, and what laying out a server raises."""
        new = [self._make() for _ in range(count - len(self._servers))]
        with self._lock:
            if self._stopped:
                raise ServerFailed("the fleet was stopped")
            self._servers = (*self._servers, *new)
        in_parallel([server.start for server in new], on_error=lambda: self._remove(new, 0))

    def scale_in(self, count: int, grace: float = GRACE_SECONDS) -> None:
        """Bring it down to `count` servers, the newest first; return when they have ended."""
        self._remove(self._servers[count:], grace)

    def invoke(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        """Raises Unavailable, TimedOut, Dropped."""
        for server in self._order():
            try:
                return server.invoke(body, headers, seconds)
            except NotReached:
                continue
        raise Unavailable

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """End all of it, also servers that are just being started."""
        with self._lock:
            self._stopped = True
        self._remove(self._servers, grace)

    def _order(self) -> Iterable[ModelServer]:
        ready = [server for server in self._servers if server.ready]
        if len(ready) < 2:
            return ready
        first = next(self._turn) % len(ready)
        ready = ready[first:] + ready[:first]
        if self._least_outstanding:
            ready.sort(key=lambda server: server.outstanding)
        return ready

    def _remove(self, servers: Iterable[ModelServer], grace: float = GRACE_SECONDS) -> None:
        going = set(servers)
        in_parallel([partial(server.stop, grace) for server in going])
        with self._lock:
            self._servers = tuple(s for s in self._servers if s not in going)


def in_parallel(
    calls: list[Callable[[], None]], on_error: Callable[[], None] | None = None
) -> None:
    """Run calls side by side. When the first fails, `on_error` is to end the others. Raises
    that first error, once every call has ended."""
    if not calls:
        return
    with ThreadPoolExecutor(len(calls), thread_name_prefix="serving") as pool:
        futures = [pool.submit(call) for call in calls]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failed = next((future for future in done if future.exception()), None)
        if failed is not None and on_error is not None:
            on_error()
    for future in [failed] if failed else futures:
        future.result()
