"""The record of a tuning job: what Describe answers, and the edits that keep it right."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.registry import Request
from sagestack.aws.store import Key, Record
from sagestack.context import Context
from sagestack.sagemaker.job_record import JobKind
from sagestack.sagemaker.tuning_job.definition import OBJECTIVE_METRIC, resources

TUNING_JOB = JobKind(
    "hyper-parameter-tuning-job",
    "HyperParameterTuningJobName",
    "HyperParameterTuningJobStatus",
    "SageMaker HyperParameter Tuning Job State Change",
)
KIND = TUNING_JOB.kind


def key_of(name: str, context: Context) -> Key:
    """A name is not case sensitive."""
    return Key.of(context.caller, KIND, name.lower())


def not_found(name: str) -> str:
    return f"Amazon SageMaker can't find a tuning job with the name {name}."


def new_record(request: Request, context: Context) -> Record:
    name = request["HyperParameterTuningJobName"]
    arn = context.caller.arn("sagemaker", f"{KIND}/{name.lower()}")
    now = datetime.now(UTC)
    document = {member: value for member, value in request.items() if member != "Tags"}
    document |= {
        "HyperParameterTuningJobArn": arn,
        "HyperParameterTuningJobStatus": "InProgress",
        "CreationTime": now,
        "TrainingJobStatusCounters": {
            "Completed": 0,
            "InProgress": 0,
            "RetryableError": 0,
            "NonRetryableError": 0,
            "Stopped": 0,
        },
        "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
    }
    _complete(document)
    return Record(key_of(name, context), arn, document, "InProgress", now, now)


def _complete(document: Document) -> None:
    """What AWS adds to a request: the early stopping that holds, the objective that the static
    hyperparameters tell, the resources of a trial. The SDK v2 reads them when it attaches."""
    config = {"TrainingJobEarlyStoppingType": "Off"} | document["HyperParameterTuningJobConfig"]
    document["HyperParameterTuningJobConfig"] = config
    shared = config.get("HyperParameterTuningJobObjective")

    def completed(given: dict[str, Any]) -> dict[str, Any]:
        metric = (given.get("TuningObjective") or shared)["MetricName"]
        static = {**given.get("StaticHyperParameters", {}), OBJECTIVE_METRIC: metric}
        return given | {"StaticHyperParameters": static, "ResourceConfig": resources(given)}

    if "TrainingJobDefinition" in document:
        document["TrainingJobDefinition"] = completed(document["TrainingJobDefinition"])
    else:
        document["TrainingJobDefinitions"] = [
            completed(given) for given in document["TrainingJobDefinitions"]
        ]


def count_launch(document: Document) -> None:
    document["TrainingJobStatusCounters"]["InProgress"] += 1
    document["ObjectiveStatusCounters"]["Pending"] += 1


def count_end(document: Document, summary: dict[str, Any]) -> None:
    statuses, objectives = (
        document["TrainingJobStatusCounters"],
        document["ObjectiveStatusCounters"],
    )
    statuses["InProgress"] -= 1
    objectives["Pending"] -= 1
    statuses[_counter(summary)] += 1
    objectives[summary["ObjectiveStatus"]] += 1


def _counter(summary: dict[str, Any]) -> str:
    status: str = summary["TrainingJobStatus"]
    if status != "Failed":
        return status
    internal = summary.get("FailureReason", "").startswith("InternalServerError")
    return "RetryableError" if internal else "NonRetryableError"


def end(document: Document, status: str, reason: str | None = None) -> None:
    """Write a terminal status and what comes with it."""
    now = datetime.now(UTC)
    document["HyperParameterTuningJobStatus"] = status
    document["HyperParameterTuningEndTime"] = now
    document["ConsumedResources"] = {"RuntimeInSeconds": runtime(document, now)}
    if reason is not None:
        document["FailureReason"] = reason[:1024]


def runtime(document: Document, now: datetime) -> int:
    """Seconds since the tuning job was created."""
    return int((now - document["CreationTime"]).total_seconds())
