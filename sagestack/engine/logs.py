"""LogWriter: a program's lines, sent to CloudWatch Logs while it runs.

A line is handed over in microseconds and sent in batches by a thread of the writer's own,
so that a program that prints 10,000 lines a second is not slowed by the API. The queue is
bounded: a program that outruns it waits, as it would on a full pipe.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time

from sagestack.engine.host import AwsSession, LogEvent

LOG = logging.getLogger(__name__)
MOST_EVENTS = 2_000
MOST_CHARACTERS = 180_000
"""With one more line of the longest, and four bytes a character, a batch stays below
PutLogEvents' limits of 10,000 events and 1 MiB."""
INTERVAL = 0.2
"""Seconds between batches of a program that prints little."""


class LogWriter:
    """Makes the group and the stream at once, as clients look for them before the first line,
    and on its own thread, as the program need not wait for them."""

    def __init__(self, aws: AwsSession, group: str, stream: str) -> None:
        self._aws, self._group, self._stream = aws, group, stream
        self._queue: queue.Queue[LogEvent | None] = queue.Queue(maxsize=50_000)
        self._thread = threading.Thread(target=self._run, name=f"logs-{stream}", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue one line. CloudWatch takes no empty event, so an empty line becomes a blank."""
        self._queue.put(LogEvent(int(time.time() * 1000), line or " "))

    def end(self) -> None:
        """No line comes any more. What is queued is sent meanwhile; `close` waits for it."""
        self._queue.put(None)

    def close(self) -> None:
        """Send what is queued, and end."""
        self.end()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(Exception):
            self._make_stream()  # else the first batch tries again, and tells
        open_ = True
        while open_:
            batch, open_ = self._collect()
            if batch:
                self._send(batch)

    def _make_stream(self) -> None:
        self._aws.create_log_stream(self._group, self._stream)

    def _send(self, batch: list[LogEvent]) -> None:
        """Where it fails, the stream may have been deleted: make it again, and try once more."""
        try:
            self._aws.put_log_events(self._group, self._stream, batch)
        except Exception:
            try:
                self._make_stream()
                self._aws.put_log_events(self._group, self._stream, batch)
            except Exception:
                LOG.exception("%s lines for %s are lost", len(batch), self._stream)

    def _collect(self) -> tuple[list[LogEvent], bool]:
        """The next batch, and whether more may come."""
        first = self._queue.get()
        if first is None:
            return [], False
        batch, size = [first], len(first.message)
        deadline = time.monotonic() + INTERVAL
        while len(batch) < MOST_EVENTS and size < MOST_CHARACTERS:
            try:
                event = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return batch, True
            if event is None:
                return batch, False
            batch.append(event)
            size += len(event.message)
        return batch, True
