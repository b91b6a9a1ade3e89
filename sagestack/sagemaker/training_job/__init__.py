"""TrainingJob: a container run to completion over /opt/ml, its model uploaded to S3.

Operations: CreateTrainingJob, DescribeTrainingJob, ListTrainingJobs, StopTrainingJob,
UpdateTrainingJob.
`rules` says what a request may hold, `run` carries the job out.
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
from sagestack.sagemaker.algorithms import metric_definitions, runs_algorithm
from sagestack.sagemaker.job_record import TRAINING_JOB, JobRecord
from sagestack.sagemaker.job_rules import refuse_members
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.tags import tags_of
from sagestack.sagemaker.training_job import warm_pool
from sagestack.sagemaker.training_job.rules import check_request
from sagestack.sagemaker.training_job.run import run_training_job
from sagestack.sagemaker.training_job.status import fail, start_transition

KIND = TRAINING_JOB.kind
DEFAULT_MAX_RUNTIME = 86_400
"""Seconds. Source: the SDKs' habit; AWS does not say what it does without one."""


@sagemaker.operation("CreateTrainingJob")
def create_training_job(request: Request, context: Context) -> Response:
    check_request(request, context)
    record = _new_record(request, context)
    job = JobRecord.of(TRAINING_JOB, record, context)
    try:
        job.create(record, tags_of(request))
    except RecordExists as taken:
        raise ResourceInUse(
            "Training job names must be unique within an AWS account and region, and a "
            f"training job with this name already exists ({taken.record.arn})"
        ) from None
    context.instance.executor.submit(record.arn, partial(run_training_job, job))
    return {"TrainingJobArn": record.arn}


@sagemaker.operation("DescribeTrainingJob")
def describe_training_job(request: Request, context: Context) -> Response:
    record = _existing(request, context)
    return record.document | {"LastModifiedTime": record.modified}


@sagemaker.operation("ListTrainingJobs")
def list_training_jobs(request: Request, context: Context) -> Response:
    refuse_members(request, "TrainingPlanArnEquals")
    conditions = []
    if status := request.get("WarmPoolStatusEquals"):
        conditions.append(("json_extract(document, '$.WarmPoolStatus.Status') = ?", status))
    page = listing.page(context, KIND, request, default_order="Ascending", conditions=conditions)
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
    record = _existing(request, context)

    def to_stopping(document: Document) -> None:
        status = document["TrainingJobStatus"]
        if status not in ("InProgress", "Stopping"):
            raise ValidationException(
                f"The request was rejected because the training job is in status {status}."
            )
        if status == "InProgress":
            document["TrainingJobStatus"] = "Stopping"
            start_transition(document, "Stopping", "Stopping the training job")

    JobRecord.of(TRAINING_JOB, record, context).change(to_stopping)
    context.instance.executor.stop(record.arn)
    return {}


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
    """End the jobs that ran when the server died: nothing of them runs any more."""
    warm_pool.recover(instance)
    for record in instance.store.every(KIND, "InProgress", "Stopping"):
        context = instance.context(record.key.account, record.key.region)
        JobRecord.of(TRAINING_JOB, record, context).change(
            partial(
                fail,
                reason="InternalServerError: The server that ran this job was stopped or died "
                "before the job ended. Please try again.",
            )
        )


def _existing(request: Request, context: Context) -> Record:
    record = context.store.get(_key(request["TrainingJobName"], context))
    if record is None:
        raise ValidationException("Requested resource not found.")
    return record


def _key(name: str, context: Context) -> Key:
    """Names that differ in case alone are one: an ARN has them in lower case."""
    return Key.of(context.caller, KIND, name.lower())


def _algorithm(request: Request, context: Context) -> dict[str, Any]:
    """The specification, with the metrics of a built-in algorithm where none are defined."""
    algorithm: dict[str, Any] = request["AlgorithmSpecification"]
    image = context.instance.images.find(algorithm["TrainingImage"])
    if algorithm.get("MetricDefinitions") or not runs_algorithm(image, request):
        return algorithm
    return algorithm | {"MetricDefinitions": metric_definitions(image)}


def _new_record(request: Request, context: Context) -> Record:
    name = request["TrainingJobName"]
    arn = context.caller.arn("sagemaker", f"training-job/{name.lower()}")
    now = datetime.now(UTC)
    document = {member: value for member, value in request.items() if member != "Tags"}
    document["AlgorithmSpecification"] = _algorithm(request, context)
    # The SDK v2 reads the key when it attaches to a job; AWS always shows it.
    document["OutputDataConfig"] = {"KmsKeyId": "", **request["OutputDataConfig"]}
    document |= {
        "TrainingJobArn": arn,
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Starting",
        "SecondaryStatusTransitions": [],
        "CreationTime": now,
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
    return Record(_key(name, context), arn, document, "InProgress", created=now, modified=now)
