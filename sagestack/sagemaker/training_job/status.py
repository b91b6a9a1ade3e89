"""SecondaryStatus and its transitions: edits of a training job's document.

One entry a status; its message changes in place; the last has no end until the next comes.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sagestack.aws.document import Document
from sagestack.sagemaker.training_job import warm_pool

TERMINAL = ("Completed", "Failed", "Stopped", "MaxRuntimeExceeded")


def start_transition(
    document: Document, status: str, message: str, now: datetime | None = None
) -> None:
    """Go to a secondary status, or change the message of the one the job is in."""
    now = now or datetime.now(UTC)
    transitions = document["SecondaryStatusTransitions"]
    last = transitions[-1] if transitions else None
    if last is not None and last["Status"] == status:
        last["StatusMessage"] = message
    else:
        if last is not None:
            last.setdefault("EndTime", now)
        transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})
    if status in TERMINAL:
        transitions[-1]["EndTime"] = now
    document["SecondaryStatus"] = status


def end(
    document: Document, status: str, secondary: str, message: str, pool_left: bool = False
) -> None:
    """Write a terminal status, the times that come with it, and what became of a warm pool."""
    now = datetime.now(UTC)
    warm_pool.settle(document, pool_left)
    document["TrainingJobStatus"] = status
    start_transition(document, secondary, message, now)
    document["TrainingEndTime"] = now
    if "TrainingStartTime" in document:
        spent = int((now - document["TrainingStartTime"]).total_seconds())
        document["TrainingTimeInSeconds"] = document["BillableTimeInSeconds"] = max(1, spent)


def fail(document: Document, reason: str) -> None:
    document["FailureReason"] = reason[:1024]
    end(document, "Failed", "Failed", "Training job failed")
