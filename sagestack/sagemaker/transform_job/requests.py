"""Requests: what an instance's model server is sent, so many at once.

A request that gets no answer, or one that tells of the server's failure (5xx), is sent
again as often as InvocationsMaxRetries says. 4xx is the request's fault and final. Source
of the texts: logs of transform jobs that users have quoted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from sagestack.engine.executor import Control
from sagestack.serving.server import STARTUP_SECONDS
from sagestack.serving.transport import Body, Dropped, NotReached, Reply, TimedOut

LONGEST_MESSAGE = 8 * 1024
"""Characters of a server's words that go into the log."""
FIRST_PAUSE = 0.1
"""Seconds before a request is sent again; twice as long before each further time."""


class Stopped(Exception):
    """The job is being stopped."""


class Failure(Exception):
    """An object can't be transformed. The text is for the job's log and may have several
    lines; AWS blames the request or the model, `ClientError` or `AlgorithmError`."""

    def __init__(self, blame: str, text: str) -> None:
        super().__init__(text)
        self.blame, self.text = blame, text


class Server(Protocol):
    """Implemented by serving.server.ModelServer."""

    def invoke(self, body: Body, headers: Mapping[str, str], seconds: float) -> Reply: ...


class Requests:
    def __init__(
        self,
        server: Server,
        control: Control,
        *,
        most: int,
        headers: Mapping[str, str],
        seconds: float,
        retries: int,
    ) -> None:
        self._server, self._control = server, control
        self._headers, self._seconds, self._retries = headers, seconds, retries
        self._slots = threading.Semaphore(most)
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="transform")

    def acquire(self, *, blocking: bool) -> bool:
        """Take a slot, for one `send`. It is given back with `release`, when the answer has
        been used up: so what is in memory is bounded too."""
        return self._slots.acquire(blocking=blocking)

    def release(self) -> None:
        self._slots.release()

    def send(self, body: Callable[[], Body]) -> Future[bytes]:
        """The answer. Its result raises Failure, Stopped."""
        return self._pool.submit(self._send, body)

    def close(self) -> None:
        self._pool.shutdown()

    def _send(self, body: Callable[[], Body]) -> bytes:
        pause = FIRST_PAUSE
        for retries_left in range(self._retries, -1, -1):
            try:
                reply = self._attempt(body)
            except (NotReached, TimedOut, Dropped):
                if self._control.stop_requested:
                    break
                failure = Failure("AlgorithmError", "Unable to get response from algorithm")
            else:
                if 200 <= reply.status < 300:
                    return reply.body
                failure = _refused(reply)
            if failure.blame == "ClientError" or not retries_left:
                raise failure
            if self._control.wait_for_stop(pause):
                break
            pause *= 2
        raise Stopped

    def _attempt(self, body: Callable[[], Body]) -> Reply:
        """Ask the server, and wait for it where it is just being started again: what did not
        reach it was no attempt."""
        deadline = time.monotonic() + STARTUP_SECONDS
        while True:
            if self._control.stop_requested:
                raise Stopped
            try:
                return self._server.invoke(body(), self._headers, self._seconds)
            except NotReached:
                if time.monotonic() > deadline:
                    raise
            self._control.wait_for_stop(0.05)


def _refused(reply: Reply) -> Failure:
    message = reply.body.decode(errors="replace")[:LONGEST_MESSAGE]
    if 400 <= reply.status < 500:
        return Failure("ClientError", f"ClientError: {reply.status}\n\nMessage:\n{message}")
    return Failure(
        "AlgorithmError",
        f"Bad HTTP status received from algorithm: {reply.status}\n\nMessage:\n{message}",
    )
