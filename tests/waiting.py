"""Waiting in tests: look again until it is so, or fail at a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

INTERVAL = 0.02


def wait_until[T](look: Callable[[], T], seconds: float = 20.0, what: str = "") -> T:
    """The first true answer of `look`. Raises AssertionError when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds:.0f} s: {what or look} (last: {answer})")
        time.sleep(INTERVAL)
