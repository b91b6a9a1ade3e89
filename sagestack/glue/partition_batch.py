"""Many partitions in one call: what fails is answered beside what succeeded.

Operations: BatchCreatePartition, BatchGetPartition, BatchUpdatePartition,
BatchDeletePartition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sagestack.aws.errors import AwsError
from sagestack.aws.registry import Request, Response
from sagestack.context import Context
from sagestack.glue.errors import error_detail
from sagestack.glue.partition import (
    add_partition,
    partition_key,
    remove_partition,
    replace_partition,
    table_of,
)
from sagestack.glue.service import glue


@glue.operation("BatchCreatePartition")
def batch_create_partition(request: Request, context: Context) -> Response:
    table = table_of(request, context)
    errors = _each(
        request["PartitionInputList"],
        lambda wanted: add_partition(table, wanted, context),
        lambda wanted: {"PartitionValues": wanted.get("Values", [])},
    )
    return {"Errors": errors}


@glue.operation("BatchGetPartition")
def batch_get_partition(request: Request, context: Context) -> Response:
    """Those that there are; one that is missing is no error."""
    table = table_of(request, context)
    keys = [partition_key(table, entry["Values"]) for entry in request["PartitionsToGet"]]
    records = [record for record in map(context.store.get, keys) if record is not None]
    return {"Partitions": [record.document for record in records], "UnprocessedKeys": []}


@glue.operation("BatchUpdatePartition")
def batch_update_partition(request: Request, context: Context) -> Response:
    table = table_of(request, context)

    def change(entry: dict[str, Any]) -> None:
        replace_partition(table, entry["PartitionValueList"], entry["PartitionInput"], context)

    errors = _each(
        request["Entries"],
        change,
        lambda entry: {"PartitionValueList": entry["PartitionValueList"]},
    )
    return {"Errors": errors}


@glue.operation("BatchDeletePartition")
def batch_delete_partition(request: Request, context: Context) -> Response:
    table = table_of(request, context)
    errors = _each(
        request["PartitionsToDelete"],
        lambda entry: remove_partition(table, entry["Values"], context),
        lambda entry: {"PartitionValues": entry["Values"]},
    )
    return {"Errors": errors}


def _each(
    entries: list[dict[str, Any]],
    act: Callable[[dict[str, Any]], None],
    name: Callable[[dict[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Act on every entry; the errors of those that failed, with what names them."""
    errors = []
    for entry in entries:
        try:
            act(entry)
        except AwsError as error:
            errors.append(name(entry) | {"ErrorDetail": error_detail(error)})
    return errors
