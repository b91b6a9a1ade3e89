"""JobRunRecord: the one owner of a job run's state.

Every change goes the same way: checked against the lifecycle and written to the store in
one transaction, then told to EventBridge where AWS does. Nothing is told that is not stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.store import Key, Record, RecordMissing
from sagestack.context import Context
from sagestack.engine.lifecycle import IllegalTransition, Lifecycle

LOG = logging.getLogger(__name__)
JOB = "glue-job"
JOB_RUN = "glue-job-run"
"""A run's parent is its job's name."""

ACTIVE = ("STARTING", "RUNNING", "STOPPING")
_ENDS = frozenset({"SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED"})
JOB_RUN_LIFECYCLE = Lifecycle(
    {
        "STARTING": frozenset({"RUNNING", "STOPPING", "FAILED", "STOPPED"}),
        "RUNNING": frozenset({"STOPPING"}) | _ENDS,
        # A stop can come too late for a run that has just ended.
        "STOPPING": _ENDS,
    }
)


@dataclass(frozen=True)
class End:
    """How a run ended. `seconds` is how long it ran."""

    state: str
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class JobRunRecord:
    key: Key
    arn: str
    context: Context

    @classmethod
    def of(cls, record: Record, context: Context) -> JobRunRecord:
        return cls(record.key, record.arn, context)

    @property
    def stop_requested(self) -> bool:
        """Whether a client asked for a stop; or for the job's deletion, which forgets it."""
        record = self.context.store.get(self.key)
        return record is None or record.status == "STOPPING"

    def begin(self) -> bool:
        """STARTING -> RUNNING. False if a stop was asked for in the meantime."""
        try:
            self._change("RUNNING", lambda document: None)
        except (IllegalTransition, RecordMissing):
            return False
        return True

    def request_stop(self) -> None:
        """Raises IllegalTransition for a run that has ended."""
        self._change("STOPPING", lambda document: None)

    def end(self, how: End) -> None:
        """Record the end. A run that was forgotten has no end to record."""

        def change(document: Document) -> None:
            document["CompletedOn"] = datetime.now(UTC)
            document["ExecutionTime"] = round(how.seconds)
            if how.error:
                document["ErrorMessage"] = how.error

        try:
            record = self._change(how.state, change)
        except RecordMissing:
            return
        self._tell(record.document)

    def _change(self, state: str, edit: Callable[[Document], None]) -> Record:
        def checked(document: Document) -> str:
            JOB_RUN_LIFECYCLE.check(self.arn, document["JobRunState"], state)
            document["JobRunState"] = state
            edit(document)
            return state

        return self.context.store.update(self.key, checked)

    def _tell(self, run: Document) -> None:
        try:
            self.context.aws.put_event("aws.glue", "Glue Job State Change", event_detail(run), [])
        except Exception:
            LOG.exception("the event of %s was not delivered", self.arn)


def event_detail(run: Document) -> dict[str, Any]:
    """The detail of `Glue Job State Change`. Source: the guide's "Automating with EventBridge"."""
    severity, message = {
        "SUCCEEDED": ("INFO", "Job run succeeded"),
        "FAILED": ("ERROR", run.get("ErrorMessage", "")),
        "TIMEOUT": ("WARN", "Job run timed out"),
        "STOPPED": ("INFO", "Job run stopped"),
    }[run["JobRunState"]]
    return {
        "jobName": run["JobName"],
        "severity": severity,
        "state": run["JobRunState"],
        "jobRunId": run["Id"],
        "message": message,
    }
