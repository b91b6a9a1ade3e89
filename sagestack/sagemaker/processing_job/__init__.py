"""ProcessingJob: a container run over /opt/ml/processing, its outputs uploaded to S3.

Operations: CreateProcessingJob, DescribeProcessingJob, ListProcessingJobs,
StopProcessingJob. `rules` says what a request may hold, `run` carries the job out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Record
from sagestack.context import Context, Instance
from sagestack.sagemaker import listing
from sagestack.sagemaker.job_operations import (
    begin,
    described,
    end_after_death,
    existing_job,
    finish,
    new_document,
    request_stop,
)
from sagestack.sagemaker.job_record import PROCESSING_JOB
from sagestack.sagemaker.processing_job.rules import check_request
from sagestack.sagemaker.processing_job.run import run_processing_job
from sagestack.sagemaker.service import sagemaker

DEFAULT_MAX_RUNTIME = 86_400
"""Seconds. Source: the SDKs' habit; AWS does not say what it does without one."""


@sagemaker.operation("CreateProcessingJob")
def create_processing_job(request: Request, context: Context) -> Response:
    check_request(request, context)
    document = new_document(PROCESSING_JOB, request, context, datetime.now(UTC))
    document.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME})
    return begin(
        PROCESSING_JOB,
        document,
        request,
        context,
        run_processing_job,
        taken="Job name must be unique within an AWS account and region, and a job with this "
        "name already exists ({arn})",
    )


@sagemaker.operation("DescribeProcessingJob")
def describe_processing_job(request: Request, context: Context) -> Response:
    return described(_existing(request, context))


@sagemaker.operation("ListProcessingJobs")
def list_processing_jobs(request: Request, context: Context) -> Response:
    page = listing.page(context, PROCESSING_JOB.kind, request, default_order="Ascending")
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
    return request_stop(PROCESSING_JOB, _existing(request, context), context)


def recover(instance: Instance) -> None:
    end_after_death(
        PROCESSING_JOB,
        instance,
        lambda document, reason: finish(PROCESSING_JOB, document, "Failed", reason),
    )


def _existing(request: Request, context: Context) -> Record:
    name = request["ProcessingJobName"]
    missing = f"Could not find requested job with name: {name}"
    return existing_job(PROCESSING_JOB, name, context, missing)
