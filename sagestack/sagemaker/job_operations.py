"""What the operations on every kind of job share: begin one, find it, stop it, end it after
the server's death."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.errors import ResourceInUse, ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Record, RecordExists
from sagestack.context import Context, Instance
from sagestack.engine.executor import Control
from sagestack.sagemaker.job_record import JobKind, JobRecord
from sagestack.sagemaker.tags import tags_of

SERVER_DIED = (
    "InternalServerError: The server that ran this job was stopped or died before the job "
    "ended. Please try again."
)


def job_key(kind: JobKind, name: str, context: Context) -> Key:
    """Names that differ in case alone are one: an ARN has them in lower case."""
    return Key.of(context.caller, kind.kind, name.lower())


def new_document(kind: JobKind, request: Request, context: Context, now: datetime) -> Document:
    """The request as a job that begins now has it."""
    name = request[kind.name_member].lower()
    return {member: value for member, value in request.items() if member != "Tags"} | {
        kind.arn_member: context.caller.arn("sagemaker", f"{kind.kind}/{name}"),
        kind.status_member: "InProgress",
        "CreationTime": now,
    }


def begin(
    kind: JobKind,
    document: Document,
    request: Request,
    context: Context,
    work: Callable[[JobRecord, Control], None],
    *,
    taken: str,
) -> Response:
    """Store a job and queue its work; the response of its Create operation.

    Raises ResourceInUse with `taken`, in which `{arn}` is the job that has the name.
    """
    now, arn = document["CreationTime"], document[kind.arn_member]
    key = job_key(kind, request[kind.name_member], context)
    record = Record(key, arn, document, "InProgress", created=now, modified=now)
    job = JobRecord.of(kind, record, context)
    try:
        job.create(record, tags_of(request))
    except RecordExists as there:
        raise ResourceInUse(taken.format(arn=there.record.arn)) from None
    context.instance.executor.submit(arn, partial(work, job))
    return {kind.arn_member: arn}


def existing_job(kind: JobKind, name: str, context: Context, missing: str) -> Record:
    """Raises ValidationException with `missing`."""
    record = context.store.get(job_key(kind, name, context))
    if record is None:
        raise ValidationException(missing)
    return record


def request_stop(
    kind: JobKind,
    record: Record,
    context: Context,
    note: Callable[[Document], None] = lambda document: None,
) -> Response:
    """Write that a job is stopping, with what `note` adds, and tell the job.

    Raises ValidationException for one that has ended.
    """

    def to_stopping(document: Document) -> None:
        status = document[kind.status_member]
        if status not in ("InProgress", "Stopping"):
            raise ValidationException(
                f"The request was rejected because the {kind.label} is in status {status}."
            )
        if status == "InProgress":
            document[kind.status_member] = "Stopping"
            note(document)

    JobRecord.of(kind, record, context).change(to_stopping)
    context.instance.executor.stop(record.arn)
    return {}


def end_after_death(
    kind: JobKind, instance: Instance, fail: Callable[[Document, str], None]
) -> None:
    """End the jobs that ran when the server died: nothing of them runs any more."""
    for record in instance.store.every(kind.kind, "InProgress", "Stopping"):
        context = instance.context(record.key.account, record.key.region)
        JobRecord.of(kind, record, context).change(lambda document: fail(document, SERVER_DIED))


def finish(kind: JobKind, document: Document, status: str, reason: str | None = None) -> None:
    """Write a terminal status, its time and its reason into the document of a kind that has
    no secondary status."""
    document[kind.status_member] = status
    document[kind.end_member] = datetime.now(UTC)
    if reason:
        document["FailureReason"] = reason[:1024]


def described(record: Record) -> dict[str, Any]:
    return record.document | {"LastModifiedTime": record.modified}
