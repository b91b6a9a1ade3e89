"""A training job, carried out: download, run, upload, on a thread of the executor's.

Each step writes its status before it begins, the last one writes the end. Source of the
texts: contract, sections 1.6 and 1.7.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sagestack.aws.document import Document
from sagestack.engine.container import Cause
from sagestack.engine.executor import Control
from sagestack.engine.metrics import MetricCollector
from sagestack.engine.workspace import Workspace
from sagestack.sagemaker.job_record import JobRecord
from sagestack.sagemaker.job_run import (
    INTERNAL_ERROR,
    failure_reason,
    known_reason,
    read_failure,
    volume_full,
)
from sagestack.sagemaker.training_job import warm_pool
from sagestack.sagemaker.training_job.attempt import Attempt, Ended, metrics_of
from sagestack.sagemaker.training_job.layout import hosts_of, volume_size
from sagestack.sagemaker.training_job.outputs import upload_model, upload_output_data
from sagestack.sagemaker.training_job.status import end, fail, start_transition

LOG = logging.getLogger(__name__)


def run_training_job(job: JobRecord, control: Control) -> None:
    """Raises nothing: whatever happens ends in the record."""
    retries = job.read().document.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
    try:
        if job.read().status == "Stopping":
            control.stop()  # asked for before the executor knew the job
        while True:
            try:
                return _run(job, control)
            except Exception as error:
                reason = known_reason(error)
                if reason is not None:
                    return _fail(job, reason)
                LOG.exception("%s", job.arn)
                if retries == 0 or control.stop_requested:
                    return _fail(job, INTERNAL_ERROR)
                retries -= 1
                _advance(job, "Restarting", "Restarting the training job after an internal error")
    except Exception:
        LOG.exception("the end of %s could not be written", job.arn)


def _run(job: JobRecord, control: Control) -> None:
    """Attempts, until one ends otherwise than by an interruption of spot capacity."""
    document = job.read().document
    metrics = metrics_of(job, document)
    budget = _Budget(document)
    workspace = Workspace.create(job.context.instance.directory / "jobs", job.arn)
    try:
        warm_pool.take(job, [workspace.host(host.name) for host in hosts_of(document)])
        while not control.stop_requested:
            attempt = Attempt(job, workspace, metrics)
            begun = time.monotonic()
            ended = attempt.carry_out(control, partial(_advance, job), budget.seconds_left())
            budget.spend(time.monotonic() - begun)
            metrics.publish()
            if ended is None:
                break
            if not control.take_interruption() or control.stop_requested:
                return _finish(job, document, ended, metrics, budget)
            ended.wait_for_logs()
            _advance(job, "Interrupted", "Training job interrupted: spot capacity was taken away")
            workspace.remove()
            if budget.wait_is_over():
                return _end(job, metrics, None, "MaxWaitTimeExceeded", budget)
            _advance(job, "Starting", "Launching requested ML instances")
        _end(job, metrics, None, "Stopped", budget)
    finally:
        workspace.remove()


class _Budget:
    """The time a job may take: MaxRuntimeInSeconds of running, and for spot capacity
    MaxWaitTimeInSeconds of running and waiting."""

    def __init__(self, document: Document) -> None:
        condition = document["StoppingCondition"]
        self._run = float(condition["MaxRuntimeInSeconds"])
        wait = condition.get("MaxWaitTimeInSeconds")
        created: datetime = document["CreationTime"]
        self._deadline = None if wait is None else created.timestamp() + wait
        self.spent = 0.0

    def spend(self, seconds: float) -> None:
        self.spent += seconds

    def seconds_left(self) -> float:
        left = self._run - self.spent
        if self._deadline is not None:
            left = min(left, self._deadline - datetime.now(UTC).timestamp())
        return max(0.1, left)

    def wait_is_over(self) -> bool:
        return self._deadline is not None and datetime.now(UTC).timestamp() >= self._deadline

    def exceeded(self) -> str:
        """The secondary status of a job whose time is over."""
        return "MaxWaitTimeExceeded" if self.wait_is_over() else "MaxRuntimeExceeded"


def _finish(
    job: JobRecord, document: Document, ended: Ended, metrics: MetricCollector, budget: _Budget
) -> None:
    """Upload what the job made and write how it ended, when its log is complete."""
    reason, model_uri = None, None
    try:
        reason = _reason_to_fail(job, document, ended)
        if reason is None:
            if ended.cluster.cause is Cause.EXITED:
                _advance(job, "Uploading", "Uploading generated training model")
            model_uri = upload_model(job.context.aws, document, ended.directories)
            upload_output_data(job.context.aws, document, ended.directories)
    finally:
        ended.wait_for_logs()
    if reason is not None:
        return _fail(job, reason, metrics)
    secondary = {
        Cause.EXITED: "Completed",
        Cause.STOPPED: "Stopped",
        Cause.TIMED_OUT: budget.exceeded(),
    }[ended.cluster.cause]
    left = secondary == "Completed" and warm_pool.leave(job, ended.directories)
    _end(job, metrics, model_uri, secondary, budget, left)
    if left and job.read().status != "Completed":
        warm_pool.end(job.key.name, job.context)


def _reason_to_fail(job: JobRecord, document: Document, ended: Ended) -> str | None:
    """None for a job whose hosts did not fail. What one has left of output data is kept."""
    if ended.input_error is not None:
        return known_reason(ended.input_error) or INTERNAL_ERROR
    if ended.cluster.full:
        return volume_full(volume_size(document))
    if ended.cluster.failed is None:
        return None
    try:
        upload_output_data(job.context.aws, document, ended.directories)
    except Exception:
        LOG.exception("the output data of %s is lost", job.arn)  # its failure matters more
    return _failure_reason(ended, ended.cluster.failed)


MESSAGES = {
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job exceeded MaxWaitTimeInSeconds provided",
}


def _end(
    job: JobRecord,
    metrics: MetricCollector,
    model_uri: str | None,
    secondary: str,
    budget: _Budget,
    pool_left: bool = False,
) -> None:
    def to_end(document: Document) -> None:
        _keep_metrics(document, metrics)
        if model_uri:
            document["ModelArtifacts"] = {"S3ModelArtifacts": model_uri}
        # A stop that was asked for is what the job ends by, also when it came too late.
        last = "Stopped" if document["TrainingJobStatus"] == "Stopping" else secondary
        status = "Completed" if last == "Completed" else "Stopped"
        end(document, status, last, MESSAGES[last], pool_left)
        if document["EnableManagedSpotTraining"]:
            document["BillableTimeInSeconds"] = max(1, int(budget.spent))

    job.change(to_end)


def _fail(job: JobRecord, reason: str, metrics: MetricCollector | None = None) -> None:
    def to_failed(document: Document) -> None:
        if metrics:
            _keep_metrics(document, metrics)
        fail(document, reason)

    job.change(to_failed)


def _keep_metrics(document: Document, metrics: MetricCollector) -> None:
    final = [
        {"MetricName": value.name, "Value": value.value, "Timestamp": value.timestamp}
        for value in metrics.final_values()
    ]
    if final:
        document["FinalMetricDataList"] = final


def _failure_reason(ended: Ended, host: int) -> str:
    directory: Path = ended.directories[host]
    return failure_reason(read_failure(directory), ended.cluster.exits[host].code)


def _advance(job: JobRecord, status: str, message: str, *, begins: bool = False) -> None:
    def edit(document: Document) -> None:
        if document["TrainingJobStatus"] != "InProgress":
            return
        start_transition(document, status, message)
        if begins:
            started = document["SecondaryStatusTransitions"][-1]["StartTime"]
            document.setdefault("TrainingStartTime", started)

    job.change(edit)
