"""Job: what to run, as which role, with which arguments.

Operations: CreateJob, GetJob, GetJobs, ListJobs, BatchGetJobs, UpdateJob, DeleteJob.
Python shell jobs (Command.Name pythonshell) run, on the glue-shell image's Python whatever
PythonVersion says. Not emulated, refused: Spark, streaming and Ray jobs, connections, visual
jobs, queuing, maintenance windows, delay notifications. LogUri and SourceControlDetails are
stored and have no effect.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sagestack.aws.document import Document
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Query, Record, RecordExists, RecordMissing
from sagestack.context import Context
from sagestack.glue import job_run
from sagestack.glue.errors import (
    AlreadyExistsException,
    EntityNotFoundException,
    IdempotentParameterMismatchException,
)
from sagestack.glue.job_rules import job_definition
from sagestack.glue.service import glue, page, paged
from sagestack.glue.tags import checked_tags

KIND = job_run.JOB


@glue.operation("CreateJob")
def create_job(request: Request, context: Context) -> Response:
    name = request["Name"]
    definition = job_definition("CreateJob", request)
    now = datetime.now(UTC)
    record = Record(
        key=_key(name, context),
        arn=context.caller.arn("glue", f"job/{name}"),
        document=definition,
        created=now,
        modified=now,
    )
    try:
        context.store.create(record, checked_tags(request.get("Tags")))
    except RecordExists as taken:
        if taken.record.document != definition:
            raise IdempotentParameterMismatchException(
                f"Job with name: {name} already submitted with different configuration"
            ) from None
        raise AlreadyExistsException(f"Job with name: {name} already exists.") from None
    return {"Name": name}


@glue.operation("GetJob")
def get_job(request: Request, context: Context) -> Response:
    record = context.store.get(_key(request["JobName"], context))
    if record is None:
        raise EntityNotFoundException(f"Job with name: {request['JobName']} not found.")
    return {"Job": _described(record)}


@glue.operation("GetJobs")
def get_jobs(request: Request, context: Context) -> Response:
    found = page(context.store, _query(request, context))
    return paged("Jobs", [_described(record) for record in found.records], found.token)


@glue.operation("ListJobs")
def list_jobs(request: Request, context: Context) -> Response:
    query = _query(request, context)
    for key, value in request.get("Tags", {}).items():
        tagged = (
            "EXISTS (SELECT 1 FROM tags WHERE tags.arn = records.arn AND key = ? AND value = ?)"
        )
        query = query.where(tagged, key, value)
    found = page(context.store, query)
    return paged("JobNames", [record.key.name for record in found.records], found.token)


@glue.operation("BatchGetJobs")
def batch_get_jobs(request: Request, context: Context) -> Response:
    found, missing = [], []
    for name in request["JobNames"]:
        record = context.store.get(_key(name, context))
        if record is None:
            missing.append(name)
        else:
            found.append(_described(record))
    return {"Jobs": found, "JobsNotFound": missing}


@glue.operation("UpdateJob")
def update_job(request: Request, context: Context) -> Response:
    """Replaces the whole definition; what is not given gets its default."""
    definition = job_definition("UpdateJob", request["JobUpdate"])

    def change(document: Document) -> None:
        document.clear()
        document.update(definition)

    try:
        context.store.update(_key(request["JobName"], context), change)
    except RecordMissing:
        raise EntityNotFoundException(f"Job with name: {request['JobName']} not found.") from None
    return {"JobName": request["JobName"]}


@glue.operation("DeleteJob")
def delete_job(request: Request, context: Context) -> Response:
    """Stops what the job still runs and forgets its runs. A job that is not there is no error."""
    job_run.forget(request["JobName"], context)
    return {"JobName": request["JobName"]}


def _key(name: str, context: Context) -> Key:
    return Key.of(context.caller, KIND, name)


def _query(request: Request, context: Context) -> Query:
    return Query(
        KIND,
        context.caller,
        sort_by="Name",
        limit=request.get("MaxResults", 100),
        token=request.get("NextToken"),
    )


def _described(record: Record) -> Document:
    return {
        "Name": record.key.name,
        "CreatedOn": record.created,
        "LastModifiedOn": record.modified,
        **record.document,
    }
