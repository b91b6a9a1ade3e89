"""Table version: what a table was before each update.

Operations: GetTableVersion, GetTableVersions, DeleteTableVersion, BatchDeleteTableVersion.
The current version is kept as a record as well, so that a list is one query.
"""

from __future__ import annotations

from sagestack.aws.document import Document
from sagestack.aws.errors import AwsError
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Query, Record
from sagestack.context import Context
from sagestack.glue.catalog import TABLE_VERSION, children, owner, require_table
from sagestack.glue.errors import EntityNotFoundException, InvalidInputException, error_detail
from sagestack.glue.service import glue, page, paged


def archive(table: Record, context: Context) -> None:
    """Keep a table as it is now."""
    version = table.document["VersionId"]
    context.store.create(
        Record(key=_key(table, version), arn=f"{table.arn}/{version}", document=table.document)
    )


def discard_version(table: Record, version: str, context: Context) -> bool:
    """Drop a version; False if there is no such one."""
    return context.store.delete(_key(table, version)) is not None


@glue.operation("GetTableVersion")
def get_table_version(request: Request, context: Context) -> Response:
    """The version asked for, or the current one."""
    table = _table(request, context)
    version: str = request.get("VersionId") or table.document["VersionId"]
    record = context.store.get(_key(table, version))
    if record is None:
        raise EntityNotFoundException(f"Version {version} of the table was not found.")
    return {"TableVersion": _described(record.document)}


@glue.operation("GetTableVersions")
def get_table_versions(request: Request, context: Context) -> Response:
    """The newest first."""
    table = _table(request, context)
    key = _key(table, "")
    query = Query(
        TABLE_VERSION,
        owner(request, context),
        key.parent,
        descending=True,
        limit=request.get("MaxResults", 100),
        token=request.get("NextToken"),
    )
    found = page(context.store, query)
    return paged("TableVersions", [_described(r.document) for r in found.records], found.token)


@glue.operation("DeleteTableVersion")
def delete_table_version(request: Request, context: Context) -> Response:
    _delete(_table(request, context), request["VersionId"], context)
    return {}


@glue.operation("BatchDeleteTableVersion")
def batch_delete_table_version(request: Request, context: Context) -> Response:
    table = _table(request, context)
    errors = []
    for version in request["VersionIds"]:
        try:
            _delete(table, version, context)
        except AwsError as error:
            name = table.key.name
            detail = error_detail(error)
            errors.append({"TableName": name, "VersionId": version, "ErrorDetail": detail})
    return {"Errors": errors}


def _delete(table: Record, version: str, context: Context) -> None:
    if version == table.document["VersionId"]:
        raise InvalidInputException("The current version of a table can't be deleted.")
    if not discard_version(table, version, context):
        raise EntityNotFoundException(f"Version {version} of the table was not found.")


def _table(request: Request, context: Context) -> Record:
    catalog = owner(request, context)
    return require_table(catalog, request["DatabaseName"], request["TableName"], context)


def _key(table: Record, version: str) -> Key:
    parent = children(table.key.parent, table.key.name)
    return Key(TABLE_VERSION, table.key.account, table.key.region, version, parent)


def _described(document: Document) -> Document:
    return {"Table": document, "VersionId": document["VersionId"]}
