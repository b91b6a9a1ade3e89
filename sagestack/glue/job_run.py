"""JobRun: one run of a job, from its start to its end.

Operations: StartJobRun, GetJobRun, GetJobRuns, BatchStopJobRun. Runs that wait for a turn
are STARTING. Not emulated, refused: queuing, session policies, delay notifications.
"""

from __future__ import annotations

from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Query, Record, RecordMissing
from sagestack.context import Context, Instance
from sagestack.engine.lifecycle import IllegalTransition
from sagestack.glue import security_configuration
from sagestack.glue.errors import EntityNotFoundException
from sagestack.glue.job_launch import Job, launch, launching
from sagestack.glue.job_rules import check_arguments, check_capacity, check_timeout
from sagestack.glue.job_run_record import ACTIVE, JOB, JOB_RUN, End, JobRunRecord
from sagestack.glue.service import glue, page, paged, refuse

__all__ = ["JOB", "forget", "recover"]


@glue.operation("StartJobRun")
def start_job_run(request: Request, context: Context) -> Response:
    refuse("StartJobRun", request, "ExecutionRoleSessionPolicy", "JobRunQueuingEnabled")
    refuse("StartJobRun", request.get("NotificationProperty", {}), "NotifyDelayAfter")
    job = context.store.get(Key.of(context.caller, JOB, request["JobName"]))
    if job is None:
        raise EntityNotFoundException("Failed to start job run due to missing metadata")
    check_capacity(request)
    check_arguments(request.get("Arguments"))
    check_timeout(request.get("Timeout"))
    # CreateJob takes the name of one that is not there, as on AWS.
    name = request.get("SecurityConfiguration") or job.document.get("SecurityConfiguration")
    if name:
        security_configuration.require(name, context)
    previous: Document | None = None
    wanted: dict[str, Any] = dict(request)
    if "JobRunId" in request:
        previous = _existing(request["JobName"], request["JobRunId"], context).document
        wanted = {"Arguments": previous["Arguments"], "Timeout": previous["Timeout"]} | wanted
    return {"JobRunId": launch(Job.of(job), wanted, context, previous)}


@glue.operation("GetJobRun")
def get_job_run(request: Request, context: Context) -> Response:
    return {"JobRun": _described(_existing(request["JobName"], request["RunId"], context))}


@glue.operation("GetJobRuns")
def get_job_runs(request: Request, context: Context) -> Response:
    """The newest first."""
    if context.store.get(Key.of(context.caller, JOB, request["JobName"])) is None:
        raise EntityNotFoundException(f"Job with name: {request['JobName']} not found.")
    query = Query(
        JOB_RUN,
        context.caller,
        request["JobName"],
        descending=True,
        limit=request.get("MaxResults", 100),
        token=request.get("NextToken"),
    )
    found = page(context.store, query)
    return paged("JobRuns", [_described(record) for record in found.records], found.token)


@glue.operation("BatchStopJobRun")
def batch_stop_job_run(request: Request, context: Context) -> Response:
    name = request["JobName"]
    stopped, errors = [], []
    for run_id in request["JobRunIds"]:
        entry = {"JobName": name, "JobRunId": run_id}
        error = _stop(name, run_id, context)
        if error:
            errors.append({**entry, "ErrorDetail": error})
        else:
            stopped.append(entry)
    return {"SuccessfulSubmissions": stopped, "Errors": errors}


def forget(job_name: str, context: Context) -> None:
    """Take a job and its runs away, and stop those that run."""
    marks = ", ".join("?" * len(ACTIVE))
    active = Query(JOB_RUN, context.caller, job_name, limit=1000)
    active = active.where(f"status IN ({marks})", *ACTIVE)
    with launching:
        context.store.delete(Key.of(context.caller, JOB, job_name))
        running = [record.arn for record in context.store.list(active).records]
        context.store.delete_children(context.caller, JOB_RUN, job_name)
    for arn in running:
        context.instance.executor.stop(arn)


def recover(instance: Instance) -> None:
    """End the runs that were active when the server died: nothing of them runs any more."""
    for record in instance.store.every(JOB_RUN, *ACTIVE):
        context = instance.context(record.key.account, record.key.region)
        reason = "The server that ran this job run was stopped or died before the run ended."
        JobRunRecord.of(record, context).end(End("FAILED", reason))


def _stop(job_name: str, run_id: str, context: Context) -> dict[str, str] | None:
    """Ask one run to stop; what is wrong if it can't be."""
    record = context.store.get(Key.of(context.caller, JOB_RUN, run_id, job_name))
    try:
        if record is None:
            raise RecordMissing
        JobRunRecord.of(record, context).request_stop()
    except RecordMissing:
        return {
            "ErrorCode": "EntityNotFoundException",
            "ErrorMessage": f"Job run {run_id} of job {job_name} not found.",
        }
    except IllegalTransition:
        return {
            "ErrorCode": "InvalidInputException",
            "ErrorMessage": f"Job run {run_id} has ended and can't be stopped.",
        }
    context.instance.executor.stop(record.arn)
    return None


def _existing(job_name: str, run_id: str, context: Context) -> Record:
    record = context.store.get(Key.of(context.caller, JOB_RUN, run_id, job_name))
    if record is None:
        raise EntityNotFoundException(f"Job run {run_id} of job {job_name} not found.")
    return record


def _described(record: Record) -> Document:
    return {**record.document, "LastModifiedOn": record.modified}
