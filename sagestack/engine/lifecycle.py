"""Lifecycle: which moves between statuses a kind of job makes. Pure state, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class IllegalTransition(Exception):
    """A move the service does not make: a bug of ours, and it says so."""


@dataclass(frozen=True)
class Lifecycle:
    allowed: Mapping[str, frozenset[str]]
    """The statuses each status may go to. One without an entry is terminal."""

    def is_terminal(self, status: str) -> bool:
        return status not in self.allowed

    def check(self, arn: str, current: str, to: str) -> None:
        """Raises IllegalTransition. To stay is no move."""
        if to != current and to not in self.allowed.get(current, ()):
            raise IllegalTransition(f"{arn}: {current} -> {to} is not a move this service makes")


JOB = Lifecycle(
    {
        "InProgress": frozenset({"Stopping", "Completed", "Failed", "Stopped"}),
        # A stop can come too late for a job that has just ended.
        "Stopping": frozenset({"Stopped", "Completed", "Failed"}),
    }
)
"""Training, processing, transform and tuning jobs. InProgress goes to Stopped by itself when
the time limit is reached."""
