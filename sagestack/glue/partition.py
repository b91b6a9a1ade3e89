"""Partition: one combination of partition values of a table, and where its data lies.

Operations: CreatePartition, GetPartition, GetPartitions, UpdatePartition, DeletePartition.
The batch operations are in partition_batch.py. Not emulated: Lake Formation transactions,
refused.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Query, Record, RecordExists, RecordMissing
from sagestack.context import Context
from sagestack.glue.catalog import PARTITION, children, owner, require_table, stored_descriptor
from sagestack.glue.errors import (
    AlreadyExistsException,
    EntityNotFoundException,
    InvalidInputException,
    InvalidStateException,
)
from sagestack.glue.partition_expression import PartitionFilter, filter_of
from sagestack.glue.service import glue, page, paged, refuse


@glue.operation("CreatePartition")
def create_partition(request: Request, context: Context) -> Response:
    add_partition(table_of(request, context), request["PartitionInput"], context)
    return {}


@glue.operation("GetPartition")
def get_partition(request: Request, context: Context) -> Response:
    table = table_of(request, context)
    record = context.store.get(partition_key(table, request["PartitionValues"]))
    if record is None:
        raise EntityNotFoundException("Cannot find partition.")
    return {"Partition": record.document}


@glue.operation("GetPartitions")
def get_partitions(request: Request, context: Context) -> Response:
    refuse("GetPartitions", request, "TransactionId", "QueryAsOfTime")
    table = table_of(request, context)
    query = Query(
        PARTITION,
        owner(request, context),
        children(table.key.parent, table.key.name),
        limit=request.get("MaxResults", 1000),
        token=request.get("NextToken"),
    )
    if expression := request.get("Expression", "").strip():
        wanted = filter_of(expression, table.document["PartitionKeys"])
        _require_readable(wanted, query, context)
        sql, values = wanted.condition
        query = query.where(f"({sql})", *values)
    if segment := request.get("Segment"):
        number, total = segment["SegmentNumber"], segment["TotalSegments"]
        if number >= total:
            raise InvalidInputException(
                f"SegmentNumber must be less than TotalSegments, and is {number} of {total}."
            )
        query = query.where("id % ? = ?", total, number)
    found = page(context.store, query)
    partitions = [record.document for record in found.records]
    if request.get("ExcludeColumnSchema"):
        partitions = [_without_columns(partition) for partition in partitions]
    return paged("Partitions", partitions, found.token)


@glue.operation("UpdatePartition")
def update_partition(request: Request, context: Context) -> Response:
    table = table_of(request, context)
    replace_partition(table, request["PartitionValueList"], request["PartitionInput"], context)
    return {}


@glue.operation("DeletePartition")
def delete_partition(request: Request, context: Context) -> Response:
    remove_partition(table_of(request, context), request["PartitionValues"], context)
    return {}


def table_of(request: Request, context: Context) -> Record:
    """The table that a request about partitions names. Raises EntityNotFoundException."""
    catalog = owner(request, context)
    return require_table(catalog, request["DatabaseName"], request["TableName"], context)


def add_partition(table: Record, wanted: dict[str, Any], context: Context) -> None:
    """Raises AlreadyExistsException, InvalidInputException."""
    values = wanted.get("Values", [])
    now = datetime.now(UTC)
    record = Record(
        key=partition_key(table, values),
        arn="",
        document=_document(table, wanted, now),
        created=now,
        modified=now,
    )
    try:
        context.store.create(record)
    except RecordExists:
        raise AlreadyExistsException("Partition already exists.") from None


def replace_partition(
    table: Record, values: list[str], wanted: dict[str, Any], context: Context
) -> None:
    """Replace a partition's definition; other values in it move the partition.

    Raises EntityNotFoundException, AlreadyExistsException, InvalidInputException.
    """
    key = partition_key(table, values)
    wanted = {"Values": values, **wanted}
    if wanted["Values"] != values:
        if context.store.get(key) is None:
            raise EntityNotFoundException("Cannot find partition.")
        add_partition(table, wanted, context)
        context.store.delete(key)
        return

    def change(document: Document) -> None:
        created = document["CreationTime"]
        document.clear()
        document.update(_document(table, wanted, created))

    try:
        context.store.update(key, change)
    except RecordMissing:
        raise EntityNotFoundException("Cannot find partition.") from None


def remove_partition(table: Record, values: list[str], context: Context) -> None:
    """Raises EntityNotFoundException, InvalidInputException."""
    if context.store.delete(partition_key(table, values)) is None:
        raise EntityNotFoundException("Cannot find partition.")


def partition_key(table: Record, values: list[str]) -> Key:
    """Raises InvalidInputException unless there is a value for each partition key."""
    if len(values) != len(table.document["PartitionKeys"]):
        raise InvalidInputException(
            "The number of partition keys do not match the number of partition values"
        )
    parent = children(table.key.parent, table.key.name)
    return Key(PARTITION, table.key.account, table.key.region, json.dumps(values), parent)


def _require_readable(wanted: PartitionFilter, query: Query, context: Context) -> None:
    """Raises InvalidStateException where a partition has a value that is not of its key's
    type: whether it is wanted can't be told."""
    for column in wanted.compared:
        first = replace(query, limit=1, token=None).where(column.unreadable)
        for record in context.store.list(first).records:
            value = record.document["Values"][column.index]
            raise InvalidStateException(column.type.complaint.format(value))


def _document(table: Record, wanted: dict[str, Any], created: datetime) -> Document:
    return stored_descriptor(wanted) | {
        "DatabaseName": table.key.parent,
        "TableName": table.key.name,
        "CreationTime": created,
        "CatalogId": table.key.account,
    }


def _without_columns(partition: Document) -> Document:
    descriptor = dict(partition.get("StorageDescriptor", {}))
    descriptor.pop("Columns", None)
    return partition | {"StorageDescriptor": descriptor}
