"""ProcessingJob: a container run over /opt/ml/processing, its outputs uploaded to S3.

Operations: CreateProcessingJob, DescribeProcessingJob, ListProcessingJobs,
StopProcessingJob. `rules` says what a request may hold, `run` carries the job out.
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
from sagestack.sagemaker.job_record import PROCESSING_JOB, JobRecord
from sagestack.sagemaker.processing_job.rules import check_request
from sagestack.sagemaker.processing_job.run import end, run_processing_job
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.tags import tags_of

KIND = PROCESSING_JOB.kind


@sagemaker.operation("CreateProcessingJob")
def create_processing_job(request: Request, context: Context) -> Response:
    check_request(request, context)
    record = _new_record(request, context)
    job = JobRecord.of(PROCESSING_JOB, record, context)
    try:
        job.create(record, tags_of(request))
    except RecordExists as taken:
        raise ResourceInUse(
            "Job name must be unique within an AWS account and region, and a job with this "
            f"name already exists ({taken.record.arn})"
        ) from None
    context.instance.executor.submit(record.arn, partial(run_processing_job, job))
    return {"ProcessingJobArn": record.arn}


@sagemaker.operation("DescribeProcessingJob")
def describe_processing_job(request: Request, context: Context) -> Response:
    record = _existing(request, context)
    return record.document | {"LastModifiedTime": record.modified}


@sagemaker.operation("ListProcessingJobs")
def list_processing_jobs(request: Request, context: Context) -> Response:
    page = listing.page(context, KIND, request, default_order="Ascending")
    summaries: list[dict[str, Any]] = [
        listing.pick(
            record.document,
            "ProcessingJobName",
            "ProcessingJobArn",
            "CreationTime",
            "ProcessingEndTime",
            "ProcessingJobStatus",
            "FailureReason",
            "ExitMessage",
        )
        | {"LastModifiedTime": record.modified}
        for record in page.records
    ]
    return listing.response("ProcessingJobSummaries", summaries, page)


@sagemaker.operation("StopProcessingJob")
def stop_processing_job(request: Request, context: Context) -> Response:
    record = _existing(request, context)

    def to_stopping(document: Document) -> None:
        status = document["ProcessingJobStatus"]
        if status not in ("InProgress", "Stopping"):
            raise ValidationException(
                f"The request was rejected because the processing job is in status {status}."
            )
        document["ProcessingJobStatus"] = "Stopping"

    JobRecord.of(PROCESSING_JOB, record, context).change(to_stopping)
    context.instance.executor.stop(record.arn)
    return {}


def recover(instance: Instance) -> None:
    """End the jobs that ran when the server died: nothing of them runs any more."""
    for record in instance.store.every(KIND, "InProgress", "Stopping"):
        context = instance.context(record.key.account, record.key.region)
        JobRecord.of(PROCESSING_JOB, record, context).change(
            partial(
                end,
                status="Failed",
                reason="InternalServerError: The server that ran this job was stopped or died "
                "before the job ended. Please try again.",
            )
        )


def _existing(request: Request, context: Context) -> Record:
    name = request["ProcessingJobName"]
    record = context.store.get(_key(name, context))
    if record is None:
        raise ValidationException(f"Could not find requested job with name: {name}")
    return record


def _key(name: str, context: Context) -> Key:
    """Names that differ in case alone are one: an ARN has them in lower case."""
    return Key.of(context.caller, KIND, name.lower())


def _new_record(request: Request, context: Context) -> Record:
    name = request["ProcessingJobName"]
    arn = context.caller.arn("sagemaker", f"processing-job/{name.lower()}")
    now = datetime.now(UTC)
    document = {member: value for member, value in request.items() if member != "Tags"}
    document |= {
        "ProcessingJobArn": arn,
        "ProcessingJobStatus": "InProgress",
        "CreationTime": now,
        "StoppingCondition": request.get("StoppingCondition") or {"MaxRuntimeInSeconds": 86_400},
    }
    return Record(_key(name, context), arn, document, "InProgress", created=now, modified=now)
