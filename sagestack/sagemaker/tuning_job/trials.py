"""Trials: the records that tie training jobs to the tuning job that launched them.

A trial's document is its HyperParameterTrainingJobSummary. Until the trial has ended, what
its training job's record says goes before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from sagestack.aws.caller import Caller
from sagestack.aws.document import Document
from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Query, Record, Store
from sagestack.context import Context
from sagestack.sagemaker import listing
from sagestack.sagemaker.tuning_job.definition import Definition

KIND = "tuning-trial"
OBJECTIVE = "FinalHyperParameterTuningJobObjectiveMetric"
LIVE = (
    "TrainingStartTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "FailureReason",
)
"""What a summary has from the training job."""
RUNNING = ("InProgress", "Stopping")

Summary = dict[str, Any]


def add_trial(
    tuning_job: Record,
    training_job: Record,
    definition: Definition,
    tuned: dict[str, str],
    store: Store,
) -> None:
    """Note that a tuning job launched a training job, on both of them."""
    summary: Summary = {
        **({"TrainingJobDefinitionName": definition.name} if definition.name else {}),
        "TrainingJobName": training_job.document["TrainingJobName"],
        "TrainingJobArn": training_job.arn,
        "CreationTime": training_job.created,
        "TrainingJobStatus": "InProgress",
        "TunedHyperParameters": tuned,
        "ObjectiveStatus": "Pending",
    }
    key = _key(tuning_job.key, training_job.key.name)
    store.create(
        Record(key, f"{training_job.arn}#trial", summary, "InProgress", training_job.created)
    )
    store.update(training_job.key, partial(_tie, arn=tuning_job.arn), touch=False)


def _tie(document: Document, arn: str) -> None:
    document["TuningJobArn"] = arn


def end_trial(
    tuning_job: Key, training_job: Record, definition: Definition, store: Store
) -> Summary:
    """Write how a trial ended, as its training job's record has it; the summary."""
    document = training_job.document
    value = final_value(document, definition.metric)

    def edit(summary: Document) -> str:
        summary.update(listing.pick(document, *LIVE))
        # The metrics of a failed training job are not evaluated.
        if value is None or training_job.status == "Failed":
            summary["ObjectiveStatus"] = "Failed"
        else:
            summary["ObjectiveStatus"] = "Succeeded"
            summary[OBJECTIVE] = {
                "Type": "Maximize" if definition.maximize else "Minimize",
                "MetricName": definition.metric,
                "Value": value,
            }
        return training_job.status

    return store.update(_key(tuning_job, training_job.key.name), edit).document


def final_value(document: Document, metric: str) -> float | None:
    """The last value of a metric that a training job printed; None if there is no number."""
    for entry in document.get("FinalMetricDataList", ()):
        if entry["MetricName"] == metric and math.isfinite(entry["Value"]):
            return float(entry["Value"])
    return None


def objective_of(summary: Summary) -> float | None:
    """The value of a trial that was evaluated."""
    value: float | None = summary.get(OBJECTIVE, {}).get("Value")
    return value


def trials_of(tuning_job: Key, store: Store) -> Iterator[Record]:
    """Every trial of a tuning job, in the order they were launched."""
    caller = Caller(tuning_job.account, tuning_job.region)
    query = Query(KIND, caller, parent=tuning_job.name, limit=1000)
    while True:
        page = store.list(query)
        yield from page.records
        if page.token is None:
            return
        query = Query(KIND, caller, parent=tuning_job.name, limit=1000, token=page.token)


def training_job_of(trial: Record, store: Store) -> Record | None:
    return store.by_arn(trial.document["TrainingJobArn"])


def list_trials(tuning_job: Key, request: Request, context: Context) -> Response:
    """The page that ListTrainingJobsForHyperParameterTuningJob asks for.

    Sorted and cut here and not by the store: a running trial's status is its training job's.
    A token names the last trial of a page.
    """
    summaries = [_live(trial, context.store) for trial in trials_of(tuning_job, context.store)]
    if status := request.get("StatusEquals"):
        summaries = [each for each in summaries if each["TrainingJobStatus"] == status]
    by = request.get("SortBy", "Name")
    if by == "FinalObjectiveMetricValue":
        summaries = [each for each in summaries if objective_of(each) is not None]
    sort_keys = {
        "Name": lambda each: each["TrainingJobName"],
        "CreationTime": lambda each: each["CreationTime"],
        "Status": lambda each: each["TrainingJobStatus"],
        "FinalObjectiveMetricValue": objective_of,
    }
    # Sorting is stable, so trials of one status stay in the order they were launched.
    summaries.sort(key=sort_keys[by], reverse=request.get("SortOrder") == "Descending")
    begin = _position(summaries, request.get("NextToken"))
    end = begin + int(request.get("MaxResults", listing.DEFAULT_PAGE))
    answer: Response = {"TrainingJobSummaries": summaries[begin:end]}
    if end < len(summaries):
        answer["NextToken"] = summaries[end - 1]["TrainingJobName"]
    return answer


def _position(summaries: list[Summary], token: str | None) -> int:
    if token is None:
        return 0
    for index, summary in enumerate(summaries):
        if summary["TrainingJobName"] == token:
            return index + 1
    raise ValidationException("The pagination token is invalid.")


def _live(trial: Record, store: Store) -> Summary:
    if trial.status not in RUNNING:
        return trial.document
    training_job = training_job_of(trial, store)
    live = {} if training_job is None else listing.pick(training_job.document, *LIVE)
    return trial.document | live


def _key(tuning_job: Key, training_job: str) -> Key:
    return Key(KIND, tuning_job.account, tuning_job.region, training_job, tuning_job.name)
