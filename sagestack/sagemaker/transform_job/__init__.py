"""TransformJob: a model's server run over objects in S3, each answered by an object `.out`.

Operations: CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob.
`rules` says what a request may hold, `run` carries the job out on `instance`s; `splitting`
and `data_processing` are what happens to an object on its way there and back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagestack.aws.errors import ResourceInUse, ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Document, Key, Record, RecordExists
from sagestack.context import Context, Instance
from sagestack.sagemaker import listing
from sagestack.sagemaker.job_record import TRANSFORM_JOB, JobRecord
from sagestack.sagemaker.model import existing_model
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.tags import tags_of
from sagestack.sagemaker.transform_job.rules import check_model, check_request
from sagestack.sagemaker.transform_job.run import end, run_transform_job

KIND = TRANSFORM_JOB.kind


@sagemaker.operation("CreateTransformJob")
def create_transform_job(request: Request, context: Context) -> Response:
    """The job runs the model as it is now, also when it is deleted meanwhile."""
    check_request(request)
    model = existing_model(request["ModelName"], context).document
    check_model(model)
    record = _new_record(request, context)
    job = JobRecord.of(TRANSFORM_JOB, record, context)
    try:
        job.create(record, tags_of(request))
    except RecordExists as taken:
        raise ResourceInUse(
            "Job name must be unique within an AWS account and region, and a job with this "
            f"name already exists ({taken.record.arn})"
        ) from None
    context.instance.executor.submit(record.arn, partial(run_transform_job, job, model))
    return {"TransformJobArn": record.arn}


@sagemaker.operation("DescribeTransformJob")
def describe_transform_job(request: Request, context: Context) -> Response:
    return _existing(request, context).document


@sagemaker.operation("ListTransformJobs")
def list_transform_jobs(request: Request, context: Context) -> Response:
    page = listing.page(context, KIND, request, default_order="Descending")
    summaries: list[dict[str, Any]] = [
        listing.pick(
            record.document,
            "TransformJobName",
            "TransformJobArn",
            "CreationTime",
            "TransformEndTime",
            "TransformJobStatus",
            "FailureReason",
        )
        | {"LastModifiedTime": record.modified}
        for record in page.records
    ]
    return listing.response("TransformJobSummaries", summaries, page)


@sagemaker.operation("StopTransformJob")
def stop_transform_job(request: Request, context: Context) -> Response:
    record = _existing(request, context)

    def to_stopping(document: Document) -> None:
        status = document["TransformJobStatus"]
        if status not in ("InProgress", "Stopping"):
            raise ValidationException(
                f"The request was rejected because the transform job is in status {status}."
            )
        document["TransformJobStatus"] = "Stopping"

    JobRecord.of(TRANSFORM_JOB, record, context).change(to_stopping)
    context.instance.executor.stop(record.arn)
    return {}


def recover(instance: Instance) -> None:
    """End the jobs that ran when the server died: nothing of them runs any more."""
    for record in instance.store.every(KIND, "InProgress", "Stopping"):
        context = instance.context(record.key.account, record.key.region)
        JobRecord.of(TRANSFORM_JOB, record, context).change(
            partial(
                end,
                status="Failed",
                reason="InternalServerError: The server that ran this job was stopped or died "
                "before the job ended. Please try again.",
            )
        )


def _existing(request: Request, context: Context) -> Record:
    name = request["TransformJobName"]
    record = context.store.get(_key(name, context))
    if record is None:
        raise ValidationException(f"Could not find requested job with name: {name}")
    return record


def _key(name: str, context: Context) -> Key:
    """Names that differ in case alone are one: an ARN has them in lower case."""
    return Key.of(context.caller, KIND, name.lower())


def _new_record(request: Request, context: Context) -> Record:
    """The document has the defaults that the service model states."""
    name = request["TransformJobName"]
    arn = context.caller.arn("sagemaker", f"transform-job/{name.lower()}")
    now = datetime.now(UTC)
    document = {member: value for member, value in request.items() if member != "Tags"}
    document |= {
        "TransformJobArn": arn,
        "TransformJobStatus": "InProgress",
        "CreationTime": now,
        "TransformInput": {"CompressionType": "None", "SplitType": "None"}
        | request["TransformInput"],
        "TransformOutput": {"AssembleWith": "None"} | request["TransformOutput"],
        "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
        | request.get("DataProcessing", {}),
    }
    return Record(_key(name, context), arn, document, "InProgress", created=now, modified=now)
