"""Batch: items gathered by many threads, sent by one in the background.

To add costs microseconds. What was added is sent every few seconds, sooner when much has
gathered; when sending can't keep up, those who add wait.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)


class Batch[T]:
    def __init__(
        self,
        send: Callable[[list[T]], None],
        *,
        name: str,
        seconds: float,
        most: int,
        most_bytes: int = 1 << 62,
    ) -> None:
        """`send` is called with up to all that has gathered, by one thread at a time."""
        self._send = send
        self._name, self._seconds = name, seconds
        self._most, self._most_bytes = most, most_bytes
        self._items: list[T] = []
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Condition()
        self._sending = threading.Lock()

    def add(self, item: T, size: int = 0) -> None:
        """`size` is in bytes, and counts towards `most_bytes`."""
        with self._lock:
            self._items.append(item)
            self._bytes += size
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            if self._full():
                self._lock.notify_all()
            far_behind = self._full(8) or self._closed
        if far_behind:
            self.flush()

    def flush(self) -> None:
        """Send what was added before; return when it is sent."""
        with self._sending:
            with self._lock:
                items, self._items, self._bytes = self._items, [], 0
            if items:
                try:
                    self._send(items)
                except Exception:
                    LOG.exception("%s: %s items are lost", self._name, len(items))

    def close(self) -> None:
        """Send the rest, and end the thread. What is added later is sent at once."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        self.flush()

    def _full(self, times: int = 1) -> bool:
        return len(self._items) >= self._most * times or self._bytes >= self._most_bytes * times

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                self._lock.wait_for(lambda: self._closed or self._full(), self._seconds)
            self.flush()
