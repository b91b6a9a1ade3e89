"""Security configuration: how a job's data is encrypted. A record: nothing here is encrypted
by it. A job that names one must name one that exists, and logs to groups of its own.

Operations: CreateSecurityConfiguration, GetSecurityConfiguration,
GetSecurityConfigurations, DeleteSecurityConfiguration.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sagestack.aws.document import Document
from sagestack.aws.registry import Fidelity, Request, Response
from sagestack.aws.store import Key, Query, Record, RecordExists
from sagestack.context import Context
from sagestack.glue.errors import AlreadyExistsException, EntityNotFoundException
from sagestack.glue.service import glue, page, paged

KIND = "glue-security-configuration"


@glue.operation("CreateSecurityConfiguration", Fidelity.STORES)
def create_security_configuration(request: Request, context: Context) -> Response:
    name, now = request["Name"], datetime.now(UTC)
    document: Document = {
        "Name": name,
        "CreatedTimeStamp": now,
        "EncryptionConfiguration": request["EncryptionConfiguration"],
    }
    try:
        context.store.create(Record(_key(name, context), arn="", document=document, created=now))
    except RecordExists:
        raise AlreadyExistsException(f"Security configuration {name} already exists.") from None
    return {"Name": name, "CreatedTimestamp": now}


@glue.operation("GetSecurityConfiguration", Fidelity.STORES)
def get_security_configuration(request: Request, context: Context) -> Response:
    return {"SecurityConfiguration": require(request["Name"], context).document}


@glue.operation("GetSecurityConfigurations", Fidelity.STORES)
def get_security_configurations(request: Request, context: Context) -> Response:
    query = Query(
        KIND,
        context.caller,
        sort_by="Name",
        limit=request.get("MaxResults", 100),
        token=request.get("NextToken"),
    )
    found = page(context.store, query)
    return paged("SecurityConfigurations", [r.document for r in found.records], found.token)


@glue.operation("DeleteSecurityConfiguration", Fidelity.STORES)
def delete_security_configuration(request: Request, context: Context) -> Response:
    require(request["Name"], context)
    context.store.delete(_key(request["Name"], context))
    return {}


def require(name: str, context: Context) -> Record:
    """Raises EntityNotFoundException."""
    record = context.store.get(_key(name, context))
    if record is None:
        raise EntityNotFoundException(f"Security configuration {name} not found.")
    return record


def _key(name: str, context: Context) -> Key:
    return Key.of(context.caller, KIND, name)
