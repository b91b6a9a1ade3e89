"""Launching job runs: the record first, then its turn on the executor, then its retries."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.store import Key, Query, Record
from sagestack.context import Context
from sagestack.engine.executor import Control
from sagestack.glue import python_shell
from sagestack.glue.errors import ConcurrentRunsExceededException, EntityNotFoundException
from sagestack.glue.job_run_record import ACTIVE, JOB, JOB_RUN, End, JobRunRecord

LOG = logging.getLogger(__name__)
LOG_GROUP = "/aws-glue/python-jobs"

launching = threading.Lock()
"""Held to look for a job, count its runs and add one; and to forget a job with its runs."""


@dataclass(frozen=True)
class Job:
    """A job as it was defined when the run was started."""

    name: str
    arn: str
    definition: Document

    @classmethod
    def of(cls, record: Record) -> Job:
        return cls(record.key.name, record.arn, record.document)


def launch(
    job: Job, wanted: Mapping[str, Any], context: Context, previous: Document | None = None
) -> str:
    """Start a run, as a StartJobRun request wants it; its id. `previous` is a run to retry.

    The record is durable before this returns. Raises ConcurrentRunsExceededException, and
    EntityNotFoundException where the job has been deleted.
    """
    with launching:
        if context.store.get(Key.of(context.caller, JOB, job.name)) is None:
            raise EntityNotFoundException("Failed to start job run due to missing metadata")
        most = job.definition["ExecutionProperty"]["MaxConcurrentRuns"]
        if _active_runs(job.name, context, most) >= most:
            raise ConcurrentRunsExceededException(f"Concurrent runs exceeded for {job.name}")
        record = _new_record(job, wanted, context, previous)
        context.store.create(record)
    run = JobRunRecord.of(record, context)

    def work(control: Control) -> None:
        _carry_out(run, job, record.document, control)

    context.instance.executor.submit(record.arn, work)
    return record.key.name


def _carry_out(run: JobRunRecord, job: Job, document: Document, control: Control) -> None:
    if run.stop_requested:
        control.stop()  # asked for before the executor knew the run
    try:
        how = python_shell.execute(run, job.definition, document, control)
    except Exception as error:
        LOG.exception("%s", run.arn)
        how = End("FAILED", f"Internal error: sagestack could not run the job: {error}")
    if how.state == "STOPPED" and not run.stop_requested:
        how = End("FAILED", "The server was shut down while the job ran.", how.seconds)
    run.end(how)
    if how.state == "FAILED" and not control.stop_requested:
        _retry(run, job, document)


def _retry(run: JobRunRecord, job: Job, document: Document) -> None:
    if document["Attempt"] >= job.definition["MaxRetries"]:
        return
    try:
        launch(job, document, run.context, previous=document)
    except ConcurrentRunsExceededException:
        LOG.warning("%s is not retried: the job runs as often as it may", run.arn)
    except EntityNotFoundException:
        LOG.info("%s is not retried: the job was deleted", run.arn)


def _active_runs(job_name: str, context: Context, limit: int) -> int:
    marks = ", ".join("?" * len(ACTIVE))
    query = Query(JOB_RUN, context.caller, job_name, limit=limit)
    return len(context.store.list(query.where(f"status IN ({marks})", *ACTIVE)).records)


def _new_record(
    job: Job, wanted: Mapping[str, Any], context: Context, previous: Document | None
) -> Record:
    now = datetime.now(UTC)
    attempt, run_id = _next_attempt(job, previous, context) if previous else (0, _new_id())
    definition = job.definition
    capacity = wanted.get("MaxCapacity") or wanted.get("AllocatedCapacity")
    capacity = float(capacity or definition["MaxCapacity"])
    security = wanted.get("SecurityConfiguration") or definition.get("SecurityConfiguration")
    document = {
        "Id": run_id,
        "Attempt": attempt,
        "JobName": job.name,
        "JobMode": definition["JobMode"],
        "JobRunState": "STARTING",
        "StartedOn": now,
        "Arguments": merged_arguments(definition, wanted.get("Arguments")),
        "PredecessorRuns": [],
        "ExecutionTime": 0,
        "Timeout": wanted.get("Timeout") or definition["Timeout"],
        "MaxCapacity": capacity,
        "AllocatedCapacity": int(capacity),
        "GlueVersion": definition["GlueVersion"],
        "LogGroupName": _log_group(definition["Role"], security),
    }
    if previous:
        document["PreviousRunId"] = previous["Id"]
    if security:
        document["SecurityConfiguration"] = security
    return Record(
        key=Key.of(context.caller, JOB_RUN, run_id, job.name),
        arn=f"{job.arn}/run/{run_id}",
        document=document,
        status="STARTING",
        created=now,
        modified=now,
    )


def merged_arguments(definition: Document, given: Mapping[str, str] | None) -> dict[str, str]:
    """The job's defaults, over them the run's, over them what can't be overridden."""
    return {
        **definition.get("DefaultArguments", {}),
        **(given or {}),
        **definition.get("NonOverridableArguments", {}),
    }


def _next_attempt(job: Job, previous: Document, context: Context) -> tuple[int, str]:
    """The number and the id of a retry. A run can be retried more than once by its id."""
    for attempt in itertools.count(previous["Attempt"] + 1):
        run_id = f"{_first_id(previous)}_attempt_{attempt}"
        if context.store.get(Key.of(context.caller, JOB_RUN, run_id, job.name)) is None:
            break
    return attempt, run_id


def _new_id() -> str:
    return f"jr_{secrets.token_hex(32)}"


def _first_id(run: Document) -> str:
    return re.sub(r"_attempt_\d+$", "", run["Id"])


def _log_group(role: str, security_configuration: str | None) -> str:
    """Groups of their own for what a security configuration encrypts, as the guide says."""
    if not security_configuration:
        return LOG_GROUP
    return f"{LOG_GROUP}-{role.rsplit('/', 1)[-1]}-{security_configuration}"
