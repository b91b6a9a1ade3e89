"""TrainingJob: a container run to completion over /opt/ml, its model uploaded to S3.

Operations: CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob,
UpdateTrainingJob.
`rules` says what a request may hold, `run` carries the job out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Record
from sagestack.context import Context, Instance
from sagestack.sagemaker import listing
from sagestack.sagemaker.algorithms import metric_definitions
from sagestack.sagemaker.job_operations import (
    begin,
    described,
    end_after_death,
    existing_job,
    new_document,
    request_stop,
)
from sagestack.sagemaker.job_record import TRAINING_JOB, JobRecord
from sagestack.sagemaker.job_rules import refuse_members
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.training_job import warm_pool
from sagestack.sagemaker.training_job.rules import check_request
from sagestack.sagemaker.training_job.run import run_training_job
from sagestack.sagemaker.training_job.status import fail, start_transition

DEFAULT_MAX_RUNTIME = 86_400
"""Seconds. Source: the SDKs' habit; AWS does not say what it does without one."""


@sagemaker.operation("CreateTrainingJob")
def create_training_job(request: Request, context: Context) -> Response:
    check_request(request, context)
    return begin(
        TRAINING_JOB,
        _new_document(request, context),
        request,
        context,
        run_training_job,
        taken="Training job names must be unique within an AWS account and region, and a "
        "training job with this name already exists ({arn})",
    )


@sagemaker.operation("DescribeTrainingJob")
def describe_training_job(request: Request, context: Context) -> Response:
    return described(_existing(request, context))


@sagemaker.operation("ListTrainingJobs")
def list_training_jobs(request: Request, context: Context) -> Response:
    refuse_members(request, "TrainingPlanArnEquals")
    conditions = []
    if status := request.get("WarmPoolStatusEquals"):
        conditions.append(("json_extract(document, '$.WarmPoolStatus.Status') = ?", status))
    page = listing.page(
        context, TRAINING_JOB.kind, request, default_order="Ascending", conditions=conditions
    )
    summaries: list[dict[str, Any]] = [
        listing.pick(
            record.document,
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "TrainingJobStatus",
            "SecondaryStatus",
            "WarmPoolStatus",
        )
        | {"LastModifiedTime": record.modified}
        for record in page.records
    ]
    return listing.response("TrainingJobSummaries", summaries, page)


@sagemaker.operation("StopTrainingJob")
def stop_training_job(request: Request, context: Context) -> Response:
    def note(document: Document) -> None:
        start_transition(document, "Stopping", "Stopping the training job")

    return request_stop(TRAINING_JOB, _existing(request, context), context, note)


@sagemaker.operation("UpdateTrainingJob")
def update_training_job(request: Request, context: Context) -> Response:
    """Change how long the job's warm pool lives."""
    refuse_members(request, "ProfilerConfig", "ProfilerRuleConfigurations", "RemoteDebugConfig")
    record = _existing(request, context)
    seconds = request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds")
    if seconds is None:
        return {"TrainingJobArn": record.arn}
    kept = warm_pool.extend(record.key.name, context, seconds)
    if not kept and record.status != "InProgress":
        raise ValidationException(
            f"The training job {record.key.name} has no warm pool that is available."
        )

    def keep(document: Document) -> None:
        document["ResourceConfig"]["KeepAlivePeriodInSeconds"] = seconds

    JobRecord.of(TRAINING_JOB, record, context).change(keep)
    return {"TrainingJobArn": record.arn}


def interrupt_training_job(name: str, context: Context) -> None:
    """Take spot capacity away from a running job. Raises ValidationException for a job that
    has none, or does not run."""
    record = _existing({"TrainingJobName": name}, context)
    if not record.document["EnableManagedSpotTraining"]:
        raise ValidationException(f"Training job {name} does not run on spot capacity.")
    running = record.document["SecondaryStatus"] == "Training"
    if not running or not context.instance.executor.interrupt(record.arn):
        status = record.document["SecondaryStatus"]
        raise ValidationException(f"Training job {name} has no capacity to lose: it is {status}.")


def recover(instance: Instance) -> None:
    warm_pool.recover(instance)
    end_after_death(TRAINING_JOB, instance, fail)


def _existing(request: Request, context: Context) -> Record:
    name = request["TrainingJobName"]
    return existing_job(TRAINING_JOB, name, context, "Requested resource not found.")


def _algorithm(request: Request, context: Context) -> dict[str, Any]:
    """The specification, with the metrics of the image's algorithm where none are defined."""
    algorithm: dict[str, Any] = request["AlgorithmSpecification"]
    known = metric_definitions(context.instance.images.find(algorithm["TrainingImage"]))
    if algorithm.get("MetricDefinitions") or not known:
        return algorithm
    return algorithm | {"MetricDefinitions": known}


def _new_document(request: Request, context: Context) -> Document:
    now = datetime.now(UTC)
    document = new_document(TRAINING_JOB, request, context, now) | {
        "AlgorithmSpecification": _algorithm(request, context),
        # The SDK v2 reads the key when it attaches to a job; AWS always shows it.
        "OutputDataConfig": {"KmsKeyId": "", **request["OutputDataConfig"]},
        "SecondaryStatus": "Starting",
        "SecondaryStatusTransitions": [],
        "StoppingCondition": {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME}
        | request.get("StoppingCondition", {}),
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": request.get(
            "EnableInterContainerTrafficEncryption", False
        ),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
    }
    if warm_pool.keep_alive(document):
        document["WarmPoolStatus"] = {"Status": "InUse"}
    start_transition(document, "Starting", "Starting the training job", now)
    return document
