"""Endpoint: models served by processes that answer InvokeEndpoint.

Operations: CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint,
UpdateEndpointWeightsAndCapacities, DeleteEndpoint.
Not emulated, refused with ValidationException: canary, linear and rolling deployments,
rollback on alarms.

`plan` is what a deployment needs, `launch` makes servers of it, `deploy` carries out what
was asked for, `record` owns the status, `rules` says what a request may hold.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Record, RecordExists
from sagestack.context import Context, Instance
from sagestack.sagemaker import listing
from sagestack.sagemaker.endpoint import deploy
from sagestack.sagemaker.endpoint.plan import (
    Plan,
    desired,
    make_plan,
    pending_summary,
    retain,
    server_count,
)
from sagestack.sagemaker.endpoint.record import (
    KIND,
    EndpointRecord,
    check_idle,
    check_updatable,
    endpoints_directory,
    public,
)
from sagestack.sagemaker.endpoint.rules import (
    deployment_config,
    excluded_properties,
    rescaled,
    reserve,
)
from sagestack.sagemaker.endpoint_config import existing_endpoint_config
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.tags import tags_of

LAUNCHING = "Launching {count} instance(s)."


@sagemaker.operation("CreateEndpoint")
def create_endpoint(request: Request, context: Context) -> Response:
    name = request["EndpointName"]
    config = existing_endpoint_config(request["EndpointConfigName"], context)
    policy = deployment_config(request, None)
    arn = _arn(name, context)
    if context.store.by_arn(arn):
        raise _taken(arn)
    plan = make_plan(config, context)
    now = datetime.now(UTC)
    document: Document = {
        "EndpointName": name,
        "EndpointArn": arn,
        "EndpointConfigName": plan["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "PendingDeploymentSummary": pending_summary(plan, "Creating", LAUNCHING),
        "Deploying": plan,
    }
    if policy:
        document["LastDeploymentConfig"] = policy
    key = Key.of(context.caller, KIND, name)
    record = Record(key, arn, document, "Creating", created=now, modified=now)
    endpoint = EndpointRecord.of(record, context)
    tags = tags_of(request)
    reserve(context, plan, server_count(plan))
    try:
        endpoint.create(record, tags)
    except RecordExists:
        context.instance.servers.release(plan["Id"])
        raise _taken(arn) from None
    context.instance.servers.begin(f"create-{name}", partial(deploy.create, endpoint, plan))
    return {"EndpointArn": arn}


@sagemaker.operation("DescribeEndpoint")
def describe_endpoint(request: Request, context: Context) -> Response:
    return public(_existing(request, context))


@sagemaker.operation("ListEndpoints")
def list_endpoints(request: Request, context: Context) -> Response:
    page = listing.page(context, KIND, request, default_order="Descending")
    members = ("EndpointName", "EndpointArn", "CreationTime", "EndpointStatus")
    summaries: list[dict[str, Any]] = [
        listing.pick(record.document, *members) | {"LastModifiedTime": record.modified}
        for record in page.records
    ]
    return listing.response("Endpoints", summaries, page)


@sagemaker.operation("UpdateEndpoint")
def update_endpoint(request: Request, context: Context) -> Response:
    record = _existing(request, context)
    config = existing_endpoint_config(request["EndpointConfigName"], context)
    check_updatable(record.arn, record.document)
    policy = deployment_config(request, record.document.get("LastDeploymentConfig"))
    old: Plan = record.document["Deployed"]
    plan = make_plan(config, context)
    excluded = excluded_properties(request)
    if request.get("RetainAllVariantProperties"):
        plan = retain(plan, old, excluded)
    reserve(context, plan, server_count(plan))

    def to_updating(document: Document) -> None:
        check_updatable(record.arn, document)
        document["EndpointStatus"] = "Updating"
        document["Deploying"] = plan
        document["PendingDeploymentSummary"] = pending_summary(plan, "Creating", LAUNCHING)
        document.pop("FailureReason", None)
        if policy:
            document["LastDeploymentConfig"] = policy

    endpoint = EndpointRecord.of(record, context)
    try:
        endpoint.change(to_updating)
    except BaseException:
        context.instance.servers.release(plan["Id"])
        raise
    blue_green = (policy or {}).get("BlueGreenUpdatePolicy", {})
    context.instance.servers.begin(
        f"update-{endpoint.name}", partial(deploy.update, endpoint, plan, old, blue_green)
    )
    return {"EndpointArn": record.arn}


@sagemaker.operation("UpdateEndpointWeightsAndCapacities")
def update_weights_and_capacities(request: Request, context: Context) -> Response:
    record = _existing(request, context)
    check_updatable(record.arn, record.document)
    old: Plan = record.document["Deployed"]
    plan = rescaled(old, request)
    reserve(context, plan, max(server_count(plan), server_count(old)))

    def to_updating(document: Document) -> None:
        check_updatable(record.arn, document)
        document["EndpointStatus"] = "Updating"
        document.pop("FailureReason", None)
        for summary, variant in zip(document["ProductionVariants"], plan["Variants"], strict=True):
            summary |= desired(variant)
            if desired(variant) != desired(_named(old, variant["VariantName"])):
                summary["VariantStatus"] = [_updating(variant)]

    endpoint = EndpointRecord.of(record, context)
    endpoint.change(to_updating)
    context.instance.servers.begin(
        f"scale-{endpoint.name}", partial(deploy.scale, endpoint, plan, old)
    )
    return {"EndpointArn": record.arn}


@sagemaker.operation("DeleteEndpoint")
def delete_endpoint(request: Request, context: Context) -> Response:
    """The endpoint answers no more from now on; calls being answered have 30 seconds."""
    record = _existing(request, context)

    def to_deleting(document: Document) -> None:
        check_idle(record.arn, document)
        document["EndpointStatus"] = "Deleting"

    endpoint = EndpointRecord.of(record, context)
    endpoint.change(to_deleting)
    _begin_delete(endpoint)
    return {}


def recover(instance: Instance) -> None:
    """Serve again what was served, go on with what was begun, take away what is left over."""
    known = set()
    for record in instance.store.every(KIND, "InService", "Updating", "SystemUpdating"):
        endpoint = _of(record, instance)
        known.add(endpoint.directory)
        plan: Plan = record.document["Deployed"]
        endpoint.change(partial(_to_system_updating, interrupted=record.status == "Updating"))
        _clear(endpoint, plan)
        instance.servers.claim(plan["Id"], server_count(plan))
        instance.servers.begin(f"recover-{endpoint.name}", partial(deploy.create, endpoint, plan))
    for record in instance.store.every(KIND, "Creating"):
        endpoint = _of(record, instance)
        known.add(endpoint.directory)
        plan = record.document["Deploying"]
        instance.servers.claim(plan["Id"], server_count(plan))
        instance.servers.begin(f"create-{endpoint.name}", partial(deploy.create, endpoint, plan))
    for record in instance.store.every(KIND, "Deleting"):
        _begin_delete(_of(record, instance))
    if endpoints_directory(instance).is_dir():
        for directory in endpoints_directory(instance).iterdir():
            if directory not in known:
                shutil.rmtree(directory, ignore_errors=True)


def _existing(request: Request, context: Context) -> Record:
    arn = _arn(request["EndpointName"], context)
    record = context.store.by_arn(arn)
    if record is None:
        raise ValidationException(f'Could not find endpoint "{arn}".')
    return record


def _arn(name: str, context: Context) -> str:
    return context.caller.arn("sagemaker", f"endpoint/{name.lower()}")


def _taken(arn: str) -> ValidationException:
    return ValidationException(f'Cannot create already existing endpoint "{arn}".')


def _of(record: Record, instance: Instance) -> EndpointRecord:
    context = instance.context(record.key.account, record.key.region)
    return EndpointRecord.of(record, context)


def _begin_delete(endpoint: EndpointRecord) -> None:
    servers = endpoint.context.instance.servers
    route = servers.withdraw(endpoint.route_key)
    servers.begin(f"delete-{endpoint.name}", partial(deploy.delete, endpoint, route))


def _to_system_updating(document: Document, *, interrupted: bool) -> None:
    document["EndpointStatus"] = "SystemUpdating"
    document.pop("Deploying", None)
    document.pop("PendingDeploymentSummary", None)
    deploy.undesire(document)
    if interrupted:
        document["FailureReason"] = (
            "The update did not end before the server that carried it out was stopped or died."
        )


def _clear(endpoint: EndpointRecord, plan: Plan) -> None:
    """Leave of an endpoint's files only the models that it serves."""
    directory = endpoint.directory
    variants = {variant["VariantName"] for variant in plan["Variants"]}
    for other in [*directory.glob("*"), *(directory / plan["Id"]).glob("*/*")]:
        serves = other.name == "kept" and other.parent.name in variants
        if other != directory / plan["Id"] and not serves:
            shutil.rmtree(other, ignore_errors=True)


def _named(plan: Plan, name: str) -> Document:
    variant: Document = next(v for v in plan["Variants"] if v["VariantName"] == name)
    return variant


def _updating(variant: Document) -> Document:
    count = variant["Count"]
    return {
        "Status": "Updating",
        "StatusMessage": f"Scaling out desired instance count to {count}.",
        "StartTime": datetime.now(UTC),
    }
