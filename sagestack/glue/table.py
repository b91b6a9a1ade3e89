"""Table: the schema and place of data, with versions.

Operations: CreateTable, GetTable, GetTables, UpdateTable, DeleteTable, BatchDeleteTable,
GetPartitionIndexes.
Not emulated: Iceberg metadata (OpenTableFormatInput), partition indexes, Lake Formation
transactions, resource links, federated tables, multi-dialect views; all refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sagestack.aws.caller import Caller
from sagestack.aws.document import Document
from sagestack.aws.errors import AwsError
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Query, Record, RecordExists
from sagestack.context import Context
from sagestack.glue.catalog import (
    PARTITION,
    TABLE,
    TABLE_VERSION,
    children,
    creator,
    owner,
    require_database,
    require_table,
    stored_descriptor,
    table_key,
)
from sagestack.glue.errors import (
    AlreadyExistsException,
    ConcurrentModificationException,
    EntityNotFoundException,
    InvalidInputException,
    error_detail,
)
from sagestack.glue.service import glue, page, paged, refuse
from sagestack.glue.table_version import archive, discard_version

OF_OURS = (
    "Name",
    "DatabaseName",
    "CatalogId",
    "CreateTime",
    "CreatedBy",
    "IsRegisteredWithLakeFormation",
    "IsMultiDialectView",
)
"""Members of a table that its TableInput can't change."""


@glue.operation("CreateTable")
def create_table(request: Request, context: Context) -> Response:
    catalog = owner(request, context)
    wanted = _checked("CreateTable", request)
    database = require_database(catalog, request["DatabaseName"], context).key.name
    name = wanted["Name"].lower()
    now = datetime.now(UTC)
    document = stored_descriptor(wanted) | {
        "Name": name,
        "DatabaseName": database,
        "CreateTime": now,
        "UpdateTime": now,
        "CreatedBy": creator(context),
        "IsRegisteredWithLakeFormation": False,
        "IsMultiDialectView": False,
        "CatalogId": catalog.account,
        "VersionId": "0",
    }
    record = Record(
        key=table_key(catalog, database, name),
        arn=catalog.arn("glue", f"table/{database}/{name}"),
        document={"Retention": 0, "PartitionKeys": [], **document},
        created=now,
        modified=now,
    )
    try:
        context.store.create(record)
    except RecordExists:
        raise AlreadyExistsException("Table already exists.") from None
    archive(record, context)
    return {}


@glue.operation("GetTable")
def get_table(request: Request, context: Context) -> Response:
    refuse("GetTable", request, "TransactionId", "QueryAsOfTime")
    catalog = owner(request, context)
    record = require_table(catalog, request["DatabaseName"], request["Name"], context)
    return {"Table": record.document}


@glue.operation("GetTables")
def get_tables(request: Request, context: Context) -> Response:
    refuse("GetTables", request, "TransactionId", "QueryAsOfTime")
    catalog = owner(request, context)
    database = require_database(catalog, request["DatabaseName"], context).key.name
    query = Query(
        TABLE,
        catalog,
        database,
        sort_by="Name",
        limit=request.get("MaxResults", 100),
        token=request.get("NextToken"),
    )
    records, token = _matching(query, request.get("Expression"), context)
    view = _view(request.get("AttributesToGet"))
    return paged("TableList", [view(record.document) for record in records], token)


@glue.operation("GetPartitionIndexes")
def get_partition_indexes(request: Request, context: Context) -> Response:
    """None: a table can't be given any here, so clients that look find what is true."""
    catalog = owner(request, context)
    require_table(catalog, request["DatabaseName"], request["TableName"], context)
    return {"PartitionIndexDescriptorList": []}


@glue.operation("UpdateTable")
def update_table(request: Request, context: Context) -> Response:
    """Replaces the whole definition. The version before stays, unless SkipArchive."""
    catalog = owner(request, context)
    wanted = _checked("UpdateTable", request)
    table = require_table(catalog, request["DatabaseName"], wanted["Name"], context)
    expected = request.get("VersionId")
    before = ""

    def change(document: Document) -> None:
        nonlocal before
        before = document["VersionId"]
        if expected not in (None, before):
            raise ConcurrentModificationException(
                f"Update table failed due to concurrent modifications: version {expected} was "
                f"given, and the table is at version {before}."
            )
        of_ours = {member: document[member] for member in OF_OURS}
        document.clear()
        document.update({"Retention": 0, "PartitionKeys": []} | stored_descriptor(wanted))
        document.update(of_ours)
        document["UpdateTime"] = datetime.now(UTC)
        document["VersionId"] = str(int(before) + 1)

    updated = context.store.update(table.key, change)
    if request.get("SkipArchive"):
        discard_version(table, before, context)
    archive(updated, context)
    return {}


@glue.operation("DeleteTable")
def delete_table(request: Request, context: Context) -> Response:
    refuse("DeleteTable", request, "TransactionId")
    catalog = owner(request, context)
    _delete(catalog, request["DatabaseName"], request["Name"], context)
    return {}


@glue.operation("BatchDeleteTable")
def batch_delete_table(request: Request, context: Context) -> Response:
    refuse("BatchDeleteTable", request, "TransactionId")
    catalog = owner(request, context)
    database = require_database(catalog, request["DatabaseName"], context).key.name
    errors = []
    for name in request["TablesToDelete"]:
        try:
            _delete(catalog, database, name, context)
        except AwsError as error:
            errors.append({"TableName": name, "ErrorDetail": error_detail(error)})
    return {"Errors": errors}


def _delete(catalog: Caller, database: str, name: str, context: Context) -> None:
    if context.store.delete(table_key(catalog, database, name)) is None:
        require_database(catalog, database, context)
        raise EntityNotFoundException
    for kind in (PARTITION, TABLE_VERSION):
        context.store.delete_children(catalog, kind, children(database, name))


def _checked(operation: str, request: Request) -> dict[str, Any]:
    """The TableInput. Raises InvalidInputException for what is not emulated."""
    refuse(
        operation,
        request,
        *("OpenTableFormatInput", "UpdateOpenTableFormatInput"),
        *("PartitionIndexes", "TransactionId", "ViewUpdateAction"),
    )
    wanted: dict[str, Any] | None = request.get("TableInput")
    if wanted is None:
        raise InvalidInputException("TableInput is required.")
    refuse(operation, wanted, "TargetTable", "FederatedTable", "ViewDefinition")
    return wanted


def _matching(
    query: Query, expression: str | None, context: Context
) -> tuple[list[Record], str | None]:
    """A page of the tables whose names match, filled from as many pages as that takes."""
    if not expression:
        found = page(context.store, query)
        return found.records, found.token
    pattern = _name_pattern(expression)
    wanted, records = query.limit, list[Record]()
    while True:
        found = page(context.store, query)
        records += [r for r in found.records if pattern.fullmatch(r.key.name)]
        if found.token is None or len(records) == wanted:
            return records, found.token
        query = replace(query, token=found.token, limit=wanted - len(records))


def _name_pattern(expression: str) -> re.Pattern[str]:
    """The pattern of GetTables: a regular expression, in which, as in Hive's, a `*` that
    follows nothing it could repeat stands for any characters. Source: awswrangler sends
    `prefix*` and `*suffix`, AWS documents a regular expression."""
    try:
        return re.compile(re.sub(r"(?<![.\])])\*", ".*", expression), re.IGNORECASE)
    except re.error:
        raise InvalidInputException(f"Invalid expression: {expression}") from None


def _view(wanted: list[str] | None) -> Callable[[Document], Document]:
    """What GetTables answers of a table: all of it, or the attributes asked for."""
    if not wanted:
        return lambda document: document
    members = {"NAME": "Name", "TABLE_TYPE": "TableType"}
    chosen = [members[name] for name in wanted]
    return lambda document: {m: document[m] for m in chosen if m in document}
