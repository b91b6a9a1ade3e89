"""EventQueue: events are sent in the order of what they tell of, on a thread of its own.

Who tells does not wait: an event takes milliseconds, and a job has several.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)


class EventQueue:
    """Hold `in_order` from a change to its `put`, so that two changes made at once are told
    in the order they were made."""

    def __init__(self) -> None:
        self.in_order = threading.Lock()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def put(self, send: Callable[[], None]) -> None:
        """Queue an event. One that can't be sent is logged and changes nothing else."""
        self._queue.put(send)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                self._thread.start()

    def close(self, timeout: float) -> None:
        """Send what is queued, for at most `timeout` seconds."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout)

    def _run(self) -> None:
        while (send := self._queue.get()) is not None:
            try:
                send()
            except Exception:
                LOG.exception("an event was not delivered")
