"""Executor: runs each job on a thread of its own, so many at a time, the rest queued.

Owns the threads and the wish to stop. Does not own a job's status: the work it is given
writes that, and ends it whatever happens.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable

LOG = logging.getLogger(__name__)


class Control:
    """How the world reaches a job that is queued or running."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []
        self._interrupt_listener: Callable[[], None] | None = None
        self._interrupted = False

    @property
    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def wait_for_stop(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; True if a stop was asked for."""
        return self._stop.wait(timeout)

    def on_stop(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a stop is asked for, or now if it already was."""
        with self._lock:
            if not self._stop.is_set():
                self._listeners.append(listener)
                return
        listener()

    def stop(self) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            self._stop.set()
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def on_interrupt(self, listener: Callable[[], None]) -> None:
        """Call `listener` at the next interruption. Those of earlier runs are let go."""
        with self._lock:
            self._interrupt_listener = listener

    def interrupt(self) -> None:
        """Take the machine away, as spot capacity is: the job may begin again elsewhere."""
        with self._lock:
            self._interrupted = True
            listener = self._interrupt_listener
        if listener is not None:
            listener()

    def take_interruption(self) -> bool:
        """Whether there was an interruption since this was asked last."""
        with self._lock:
            interrupted, self._interrupted = self._interrupted, False
            return interrupted


Work = Callable[[Control], None]


class Executor:
    """First come, first served. `slots` jobs run at once."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._controls: dict[str, Control] = {}
        self._end_listeners: dict[str, list[Callable[[], None]]] = {}
        self._queue: deque[tuple[str, Work, Control]] = deque()
        self._running = 0
        self._idle = threading.Condition(self._lock)
        self._closed = False

    def submit(self, job: str, work: Work) -> Control:
        """Queue a job under its ARN. `work` is called once, also after a stop was asked
        for, so that it can end the record.

        The ARN may be that of a job whose record is gone, and whose thread has yet to end."""
        control = Control()
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            self._controls[job] = control
            self._queue.append((job, work, control))
        self._start_next()
        return control

    def stop(self, job: str) -> bool:
        """Ask a job to stop; False if it is not here (it ended)."""
        with self._lock:
            control = self._controls.get(job)
        if control is None:
            return False
        control.stop()
        self._start_next()
        return True

    def interrupt(self, job: str) -> bool:
        """Interrupt a job; False if it is not here (it ended)."""
        with self._lock:
            control = self._controls.get(job)
        if control is not None:
            control.interrupt()
        return control is not None

    def when_ended(self, job: str, listener: Callable[[], None]) -> None:
        """Call `listener` once a job has ended, or now if it is not here."""
        with self._lock:
            if job in self._controls:
                self._end_listeners.setdefault(job, []).append(listener)
                return
        listener()

    def running_jobs(self) -> int:
        """How many jobs hold a slot."""
        with self._lock:
            return self._running

    def thread_share(self) -> int:
        """How many threads a job that starts now may use: the cores, shared by the running
        jobs; 0, which is no limit, for a job that runs alone. Teams of threads that outnumber
        the cores spin against each other."""
        running = self.running_jobs()
        return 0 if running < 2 else max(1, (os.cpu_count() or 1) // running)

    def leave(self) -> None:
        """Start nothing more. What is queued is forgotten."""
        with self._lock:
            self._closed = True
            self._queue.clear()

    def close(self, timeout: float) -> bool:
        """Stop everything; True if all work ended within `timeout` seconds."""
        with self._lock:
            self._closed = True
            controls = list(self._controls.values())
        for control in controls:
            control.stop()
        self._start_next()
        with self._idle:
            return self._idle.wait_for(lambda: not self._controls and not self._running, timeout)

    def _start_next(self) -> None:
        while True:
            with self._lock:
                entry = self._take()
                if entry is None:
                    return
                self._running += 1
            name = f"job-{entry[0].rsplit('/', 1)[-1]}"
            threading.Thread(target=self._run, args=entry, name=name, daemon=True).start()

    def _take(self) -> tuple[str, Work, Control] | None:
        """The next job to start. One that was stopped while it waited goes ahead of the
        slots: it only has its record to end."""
        for index, (_, _, control) in enumerate(self._queue):
            if control.stop_requested:
                entry = self._queue[index]
                del self._queue[index]
                return entry
        if self._running < self._slots and self._queue:
            return self._queue.popleft()
        return None

    def _run(self, job: str, work: Work, control: Control) -> None:
        try:
            work(control)
        except SystemExit:
            LOG.info("job %s is left as it is: the server ends", job)
        except Exception:
            LOG.exception("job %s ended with a fault of sagestack's own", job)
        finally:
            with self._idle:
                listeners: list[Callable[[], None]] = []
                if self._controls.get(job) is control:
                    del self._controls[job]
                    listeners = self._end_listeners.pop(job, [])
                self._running -= 1
                self._idle.notify_all()
            self._start_next()
            for listener in listeners:
                listener()
