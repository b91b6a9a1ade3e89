"""TuningJob: training jobs launched one after the other to find the best hyperparameters.

Operations: CreateHyperParameterTuningJob, DescribeHyperParameterTuningJob,
ListHyperParameterTuningJobs, StopHyperParameterTuningJob, DeleteHyperParameterTuningJob,
ListTrainingJobsForHyperParameterTuningJob.
`rules` says what a request may hold, `run` carries the job out, `search` has Optuna choose.
Not emulated: Autotune. Refused with ValidationException.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.errors import ResourceInUse, ResourceNotFound, ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Record, RecordExists
from sagestack.context import Context, Instance
from sagestack.sagemaker import listing
from sagestack.sagemaker.job_record import JobRecord
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.tags import tags_of
from sagestack.sagemaker.tuning_job import trials
from sagestack.sagemaker.tuning_job.definition import definitions_of
from sagestack.sagemaker.tuning_job.record import (
    KIND,
    TUNING_JOB,
    count_end,
    end,
    key_of,
    new_record,
    not_found,
    runtime,
)
from sagestack.sagemaker.tuning_job.rules import check_request
from sagestack.sagemaker.tuning_job.run import run_tuning_job
from sagestack.sagemaker.tuning_job.warm_start import better

DIED = (
    "InternalServerError: The server that ran this job was stopped or died before the job ended. "
    "Please try again."
)


@sagemaker.operation("CreateHyperParameterTuningJob")
def create_tuning_job(request: Request, context: Context) -> Response:
    check_request(request, context)
    record = new_record(request, context)
    job = JobRecord.of(TUNING_JOB, record, context)
    try:
        job.create(record, tags_of(request))
    except RecordExists as taken:
        raise ResourceInUse(
            "Hyperparameter tuning job names must be unique within an AWS account and region, and "
            f"a hyperparameter tuning job with this name already exists ({taken.record.arn})"
        ) from None
    context.instance.coordinators.submit(record.arn, partial(run_tuning_job, job))
    return {"HyperParameterTuningJobArn": record.arn}


@sagemaker.operation("DescribeHyperParameterTuningJob")
def describe_tuning_job(request: Request, context: Context) -> Response:
    record = _existing(request, context)
    seconds = runtime(record.document, datetime.now(UTC))
    return {
        "ConsumedResources": {"RuntimeInSeconds": seconds},
        **record.document,
        "LastModifiedTime": record.modified,
    }


@sagemaker.operation("ListHyperParameterTuningJobs")
def list_tuning_jobs(request: Request, context: Context) -> Response:
    page = listing.page(context, KIND, request, default_order="Ascending", default_sort="Name")
    summaries: list[dict[str, Any]] = [
        listing.pick(
            record.document,
            "HyperParameterTuningJobName",
            "HyperParameterTuningJobArn",
            "HyperParameterTuningJobStatus",
            "CreationTime",
            "HyperParameterTuningEndTime",
            "TrainingJobStatusCounters",
            "ObjectiveStatusCounters",
        )
        | listing.pick(
            record.document["HyperParameterTuningJobConfig"], "Strategy", "ResourceLimits"
        )
        | {"LastModifiedTime": record.modified}
        for record in page.records
    ]
    return listing.response("HyperParameterTuningJobSummaries", summaries, page)


@sagemaker.operation("ListTrainingJobsForHyperParameterTuningJob")
def list_training_jobs_of_tuning_job(request: Request, context: Context) -> Response:
    return trials.list_trials(_existing(request, context).key, request, context)


@sagemaker.operation("StopHyperParameterTuningJob")
def stop_tuning_job(request: Request, context: Context) -> Response:
    record = _existing(request, context)

    def to_stopping(document: Document) -> None:
        status = document["HyperParameterTuningJobStatus"]
        if status not in ("InProgress", "Stopping"):
            raise ValidationException(
                "The request was rejected because the hyperparameter tuning job is in status "
                f"{status}."
            )
        document["HyperParameterTuningJobStatus"] = "Stopping"

    JobRecord.of(TUNING_JOB, record, context).change(to_stopping)
    context.instance.coordinators.stop(record.arn)
    return {}


@sagemaker.operation("DeleteHyperParameterTuningJob")
def delete_tuning_job(request: Request, context: Context) -> Response:
    """The training jobs stay, as they do on AWS."""
    record = _existing(request, context)
    if record.status in ("InProgress", "Stopping"):
        raise ValidationException(
            "The request was rejected because the hyperparameter tuning job is in status "
            f"{record.status}."
        )
    context.store.delete_children(context.caller, trials.KIND, record.key.name)
    context.store.delete(record.key)
    return {}


def recover(instance: Instance) -> None:
    """End the tuning jobs that ran when the server died, after their training jobs."""
    for record in instance.store.every(KIND, "InProgress", "Stopping"):
        context = instance.context(record.key.account, record.key.region)
        ended = list(_end_trials(record, context))

        def edit(document: Document, ended: list[trials.Summary] = ended) -> None:
            for summary in ended:
                count_end(document, summary)
                if trials.objective_of(summary) is not None:
                    best, maximize = document.get("BestTrainingJob"), _maximizes(document)
                    document["BestTrainingJob"] = better(best, summary, maximize)
            end(document, "Failed", DIED)

        JobRecord.of(TUNING_JOB, record, context).change(edit)


def _end_trials(record: Record, context: Context) -> list[trials.Summary]:
    definitions = {each.name: each for each in definitions_of(record.document)}
    ended = []
    for trial in trials.trials_of(record.key, context.store):
        training_job = trials.training_job_of(trial, context.store)
        if trial.status in trials.RUNNING and training_job is not None:
            definition = definitions[trial.document.get("TrainingJobDefinitionName")]
            ended.append(trials.end_trial(record.key, training_job, definition, context.store))
    return ended


def _maximizes(document: Document) -> bool:
    return next(definitions_of(document)).maximize


def _existing(request: Request, context: Context) -> Record:
    name = request["HyperParameterTuningJobName"]
    record = context.store.get(key_of(name, context))
    if record is None:
        raise ResourceNotFound(not_found(name))
    return record
