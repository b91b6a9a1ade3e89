"""TransformJob: a model's server run over objects in S3, each answered by an object `.out`.

Operations: CreateTransformJob, DescribeTransformJob, ListTransformJobs, StopTransformJob.
`rules` says what a request may hold, `run` carries the job out on `instance`s; `splitting`
and `data_processing` are what happens to an object on its way there and back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Record
from sagestack.context import Context, Instance
from sagestack.sagemaker import listing
from sagestack.sagemaker.job_operations import (
    begin,
    end_after_death,
    existing_job,
    finish,
    new_document,
    request_stop,
)
from sagestack.sagemaker.job_record import TRANSFORM_JOB
from sagestack.sagemaker.model import existing_model
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.transform_job.rules import check_model, check_request
from sagestack.sagemaker.transform_job.run import run_transform_job


@sagemaker.operation("CreateTransformJob")
def create_transform_job(request: Request, context: Context) -> Response:
    """The job runs the model as it is now, also when it is deleted meanwhile."""
    check_request(request)
    model = existing_model(request["ModelName"], context).document
    check_model(model)
    return begin(
        TRANSFORM_JOB,
        _new_document(request, context),
        request,
        context,
        partial(run_transform_job, model=model),
        taken="Job name must be unique within an AWS account and region, and a job with this "
        "name already exists ({arn})",
    )


@sagemaker.operation("DescribeTransformJob")
def describe_transform_job(request: Request, context: Context) -> Response:
    return _existing(request, context).document


@sagemaker.operation("ListTransformJobs")
def list_transform_jobs(request: Request, context: Context) -> Response:
    page = listing.page(context, TRANSFORM_JOB.kind, request, default_order="Descending")
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
    return request_stop(TRANSFORM_JOB, _existing(request, context), context)


def recover(instance: Instance) -> None:
    end_after_death(
        TRANSFORM_JOB,
        instance,
        lambda document, reason: finish(TRANSFORM_JOB, document, "Failed", reason),
    )


def _existing(request: Request, context: Context) -> Record:
    name = request["TransformJobName"]
    missing = f"Could not find requested job with name: {name}"
    return existing_job(TRANSFORM_JOB, name, context, missing)


def _new_document(request: Request, context: Context) -> Document:
    """With the defaults that the service model states."""
    return new_document(TRANSFORM_JOB, request, context, datetime.now(UTC)) | {
        "TransformInput": {"CompressionType": "None", "SplitType": "None"}
        | request["TransformInput"],
        "TransformOutput": {"AssembleWith": "None"} | request["TransformOutput"],
        "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
        | request.get("DataProcessing", {}),
    }
