"""JobRecord: the one owner of a job's status.

Every change goes the same way: checked against the lifecycle and written to the store in
one transaction, then told to EventBridge, in the order of the changes. Nothing is told that
is not stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.store import Key, Record
from sagestack.context import Context
from sagestack.engine.lifecycle import JOB


@dataclass(frozen=True)
class JobKind:
    """What differs between the kinds of job."""

    kind: str
    name_member: str
    status_member: str
    detail_type: str
    """Of the EventBridge event. Source: contract, section 5."""

    @property
    def label(self) -> str:
        """In AWS's texts: `training job`."""
        return self.kind.replace("-", " ")

    @property
    def arn_member(self) -> str:
        return self.name_member.removesuffix("Name") + "Arn"

    @property
    def end_member(self) -> str:
        """The member with the time of the end: `ProcessingEndTime`."""
        return self.name_member.removesuffix("JobName") + "EndTime"


TRAINING_JOB = JobKind(
    "training-job", "TrainingJobName", "TrainingJobStatus", "SageMaker Training Job State Change"
)
PROCESSING_JOB = JobKind(
    "processing-job",
    "ProcessingJobName",
    "ProcessingJobStatus",
    "SageMaker Processing Job State Change",
)
TRANSFORM_JOB = JobKind(
    "transform-job",
    "TransformJobName",
    "TransformJobStatus",
    "SageMaker Transform Job State Change",
)


@dataclass(frozen=True)
class JobRecord:
    kind: JobKind
    key: Key
    arn: str
    context: Context

    @classmethod
    def of(cls, kind: JobKind, record: Record, context: Context) -> JobRecord:
        return cls(kind, record.key, record.arn, context)

    def read(self) -> Record:
        record = self.context.store.get(self.key)
        assert record is not None, f"{self.arn} is being run, so it is stored"
        return record

    def create(self, record: Record, tags: dict[str, str]) -> None:
        """Store the record of a new job. Raises RecordExists."""
        with self.context.instance.events.in_order:
            self.context.store.create(record, tags)
            self._tell(record)

    def change(self, edit: Callable[[Document], None]) -> Record:
        """Edit the document. A new value of the status member is a move of the lifecycle."""

        def checked(document: Document) -> str:
            before = document[self.kind.status_member]
            edit(document)
            JOB.check(self.arn, before, document[self.kind.status_member])
            status: str = document[self.kind.status_member]
            return status

        with self.context.instance.events.in_order:
            record = self.context.store.update(self.key, checked)
            self._tell(record)
        return record

    def _tell(self, record: Record) -> None:
        self.context.instance.events.put(partial(self._send, record))

    def _send(self, record: Record) -> None:
        detail = event_detail(record, self.context)
        self.context.aws.put_event("aws.sagemaker", self.kind.detail_type, detail, [record.arn])


def event_detail(record: Record, context: Context) -> dict[str, Any]:
    """The Describe-like detail, its times strings of milliseconds since the epoch."""
    detail: dict[str, Any] = _in_milliseconds(
        record.document | {"LastModifiedTime": record.modified}
    )
    detail["Tags"] = context.store.tags(record.arn)
    return detail


def _in_milliseconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return str(int(value.timestamp() * 1000))
    if isinstance(value, dict):
        return {key: _in_milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_milliseconds(item) for item in value]
    return value
