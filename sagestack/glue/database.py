"""Database: a namespace of tables.

Operations: CreateDatabase, GetDatabase, GetDatabases, UpdateDatabase, DeleteDatabase.
Not emulated: resource links and federated databases, refused; catalog events.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sagestack.aws.caller import Caller
from sagestack.aws.document import Document
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Query, Record, RecordExists, RecordMissing
from sagestack.context import Context
from sagestack.glue.catalog import (
    DATABASE,
    PARTITION,
    TABLE,
    TABLE_VERSION,
    children,
    database_key,
    owner,
    require_database,
)
from sagestack.glue.errors import (
    AlreadyExistsException,
    EntityNotFoundException,
    InvalidInputException,
)
from sagestack.glue.service import glue, page, paged, refuse
from sagestack.glue.tags import checked_tags

DEFAULT_PERMISSIONS = [
    {
        "Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
        "Permissions": ["ALL"],
    }
]
"""What AWS answers when none are given: IAM alone decides."""


@glue.operation("CreateDatabase")
def create_database(request: Request, context: Context) -> Response:
    catalog = owner(request, context)
    wanted = _checked("CreateDatabase", request["DatabaseInput"])
    name = wanted["Name"].lower()
    now = datetime.now(UTC)
    record = Record(
        key=database_key(catalog, name),
        arn=catalog.arn("glue", f"database/{name}"),
        document=_document(wanted, catalog, now),
        created=now,
        modified=now,
    )
    try:
        context.store.create(record, checked_tags(request.get("Tags")))
    except RecordExists:
        raise AlreadyExistsException("Database already exists.") from None
    return {}


@glue.operation("GetDatabase")
def get_database(request: Request, context: Context) -> Response:
    record = require_database(owner(request, context), request["Name"], context)
    return {"Database": record.document}


@glue.operation("GetDatabases")
def get_databases(request: Request, context: Context) -> Response:
    """Those of the catalog. None is shared by another account or by a federated catalog."""
    if request.get("ResourceShareType") in ("FOREIGN", "FEDERATED"):
        return {"DatabaseList": []}
    query = Query(
        DATABASE,
        owner(request, context),
        sort_by="Name",
        limit=request.get("MaxResults", 100),
        token=request.get("NextToken"),
    )
    found = page(context.store, query)
    databases = [_attributes(r.document, request.get("AttributesToGet")) for r in found.records]
    return paged("DatabaseList", databases, found.token)


@glue.operation("UpdateDatabase")
def update_database(request: Request, context: Context) -> Response:
    """Replaces the whole definition; what is not given is gone."""
    catalog = owner(request, context)
    wanted = _checked("UpdateDatabase", request["DatabaseInput"])
    name = request["Name"].lower()
    if wanted["Name"].lower() != name:
        raise InvalidInputException("A database can't be renamed.")

    def change(document: Document) -> None:
        created = document["CreateTime"]
        document.clear()
        document.update(_document(wanted, catalog, created))

    try:
        context.store.update(database_key(catalog, name), change)
    except RecordMissing:
        raise EntityNotFoundException(f"Database {name} not found.") from None
    return {}


@glue.operation("DeleteDatabase")
def delete_database(request: Request, context: Context) -> Response:
    """Takes the tables, and all that is theirs, with it."""
    catalog = owner(request, context)
    name = request["Name"].lower()
    if context.store.delete(database_key(catalog, name)) is None:
        raise EntityNotFoundException(f"Database {name} not found.")
    for table in _tables(catalog, name, context):
        for kind in (PARTITION, TABLE_VERSION):
            context.store.delete_children(catalog, kind, children(name, table))
    context.store.delete_children(catalog, TABLE, name)
    return {}


def _tables(catalog: Caller, database: str, context: Context) -> list[str]:
    names: list[str] = []
    token: str | None = None
    while True:
        query = Query(TABLE, catalog, database, sort_by="Name", limit=1000, token=token)
        found = context.store.list(query)
        names += [record.key.name for record in found.records]
        token = found.token
        if token is None:
            return names


def _checked(operation: str, wanted: dict[str, Any]) -> dict[str, Any]:
    refuse(operation, wanted, "TargetDatabase", "FederatedDatabase")
    return wanted


def _document(wanted: dict[str, Any], catalog: Caller, created: datetime) -> Document:
    return {
        "CreateTableDefaultPermissions": DEFAULT_PERMISSIONS,
        **wanted,
        "Name": wanted["Name"].lower(),
        "CreateTime": created,
        "CatalogId": catalog.account,
    }


def _attributes(document: Document, wanted: list[str] | None) -> Document:
    """All members, or the names alone when that is all that is asked for."""
    return {"Name": document["Name"]} if wanted == ["NAME"] else document
