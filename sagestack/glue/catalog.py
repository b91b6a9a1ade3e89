"""What the kinds of the Data Catalog share: whose catalog, keys, and finding a parent.

Names are lower case, as AWS stores them for Hive. A table's parent is its database; the
parent of a partition or a table version is `<database>\\n<table>`: a name has no newline.
"""

from __future__ import annotations

import re
from typing import Any

from sagestack.aws.caller import Caller
from sagestack.aws.document import Document
from sagestack.aws.registry import Request
from sagestack.aws.store import Key, Record
from sagestack.context import Context
from sagestack.glue.errors import EntityNotFoundException

DATABASE = "glue-database"
TABLE = "glue-table"
TABLE_VERSION = "glue-table-version"
PARTITION = "glue-partition"


def owner(request: Request, context: Context) -> Caller:
    """The account whose catalog is meant, in the caller's region.

    Raises EntityNotFoundException for a CatalogId that is not an account.
    """
    catalog = request.get("CatalogId") or context.caller.account
    if not re.fullmatch(r"\d{12}", catalog):
        raise EntityNotFoundException(f"Catalog {catalog} not found.")
    return Caller(catalog, context.caller.region, context.caller.partition)


def creator(context: Context) -> str:
    """The CreatedBy of a table: who calls is known by account only."""
    return f"arn:{context.caller.partition}:iam::{context.caller.account}:root"


def children(database: str, table: str) -> str:
    """The parent of a table's partitions and versions."""
    return f"{database.lower()}\n{table.lower()}"


def database_key(catalog: Caller, name: str) -> Key:
    return Key.of(catalog, DATABASE, name.lower())


def table_key(catalog: Caller, database: str, name: str) -> Key:
    return Key.of(catalog, TABLE, name.lower(), database.lower())


def require_database(catalog: Caller, name: str, context: Context) -> Record:
    """Raises EntityNotFoundException."""
    record = context.store.get(database_key(catalog, name))
    if record is None:
        raise EntityNotFoundException(f"Database {name.lower()} not found.")
    return record


def require_table(catalog: Caller, database: str, name: str, context: Context) -> Record:
    """Raises EntityNotFoundException, for the database if it is that which is missing."""
    record = context.store.get(table_key(catalog, database, name))
    if record is None:
        require_database(catalog, database, context)
        raise EntityNotFoundException
    return record


def stored_descriptor(document: Document) -> Document:
    """A table or partition with the members of its StorageDescriptor that AWS always answers."""
    descriptor: dict[str, Any] | None = document.get("StorageDescriptor")
    if descriptor is None:
        return document
    always = {
        "Compressed": False,
        "NumberOfBuckets": 0,
        "SortColumns": [],
        "StoredAsSubDirectories": False,
    }
    return document | {"StorageDescriptor": always | descriptor}
