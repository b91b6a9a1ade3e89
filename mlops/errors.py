"""What can go wrong in a step, said so that a person can go on.

LevelZeroError     the message is all there is to say
  NotYet           an earlier step has not been done; says which
  JobFailed        a job, run, stack or endpoint ended badly; says why and where its log is
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class LevelZeroError(Exception):
    """A step cannot go on."""


class NotYet(LevelZeroError):
    """What this step needs is not there yet."""

    def __init__(self, what: str, command: str) -> None:
        super().__init__(f"{what}: run `python -m mlops.level0 {command}` first")


@dataclass(frozen=True)
class LogPlace:
    """A log group and what its streams begin with."""

    group: str
    stream_prefix: str

    def commands(self, sagestack: str | None) -> list[str]:
        """Lines to paste; `sagestack` is the line of sagestack's own command, where it runs."""
        lines = [
            f"aws logs filter-log-events --log-group-name {self.group} "
            f"--log-stream-name-prefix {self.stream_prefix} "
            "--query 'events[].[message]' --output text",
        ]
        tail = f"aws logs tail {self.group} --log-stream-name-prefix {self.stream_prefix}"
        return [sagestack or tail, *lines]


class JobFailed(LevelZeroError):
    """A job ended badly. The job, its log and its inputs are left as they are."""

    def __init__(
        self,
        what: str,
        reason: str,
        *,
        log: LogPlace | None = None,
        sagestack_logs: str | None = None,
        tail: Sequence[str] = (),
    ) -> None:
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason
        self.log = log
        self.sagestack_logs = sagestack_logs
        self.tail = list(tail)
