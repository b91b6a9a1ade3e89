"""VolumeWatch: ends a job that has filled its volume.

The volume is a directory among others on this machine's disk, so nothing stops a program at
its size; it is measured while the program runs.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

INTERVAL = 1.0
"""Seconds between two measurements, or ten times what one takes."""


class VolumeWatch:
    """Calls `on_full` once when what lies at and beside /opt/ml is more than `size` bytes."""

    def __init__(self, directory: Path, size: int, on_full: Callable[[], None]) -> None:
        self._parent, self._size, self._on_full = directory.parent, size, on_full
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="volume", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        pause = INTERVAL
        while not self._closed.wait(pause):
            begun = time.monotonic()
            if used(self._parent) > self._size:
                self._on_full()
                return
            pause = max(INTERVAL, 10 * (time.monotonic() - begun))


def used(directory: Path) -> int:
    """Bytes on the disk below a directory."""
    return sum(status.st_blocks * 512 for status in _statuses(str(directory)))


def _statuses(directory: str) -> Iterator[os.stat_result]:
    rest = [directory]
    while rest:
        # What is gone, closed to us, or deeper than a path is long counts as nothing.
        with contextlib.suppress(OSError), os.scandir(rest.pop()) as entries:
            for entry in entries:
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    rest.append(entry.path)
