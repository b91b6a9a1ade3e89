"""From a plan to running servers and the route to them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sagestack.engine.container import INIT
from sagestack.engine.images import Environment, ImageBuildError, UnknownImage
from sagestack.engine.logs import LogWriter
from sagestack.engine.programs import ProgramMissing, image_program
from sagestack.sagemaker.endpoint.plan import Plan
from sagestack.sagemaker.endpoint.record import EndpointRecord
from sagestack.serving.artifact import (
    ArtifactMissing,
    fetch,
    lay_out,
    model_uri,
    submit_variables,
)
from sagestack.serving.capture import Capture
from sagestack.serving.fleet import Fleet, in_parallel
from sagestack.serving.route import Gate, Route, Variant
from sagestack.serving.server import ModelServer, ServerFailed, ServerPlan

LOG = logging.getLogger(__name__)
LARGEST_BODY = 6 * 1024**2
LARGEST_SERVERLESS_BODY = 4 * 1024**2
"""Bytes. Source: contract, section 3.3."""


class DeploymentFailed(Exception):
    """The text is the FailureReason. Source: contract, section 3.8."""


def bring_up(endpoint: EndpointRecord, plan: Plan) -> Route:
    """Start all servers of a plan; return when they answer. If one does not, all are ended.

    Raises DeploymentFailed, and ServerStopped when the instance ends meanwhile.
    """
    servers = endpoint.context.instance.servers
    fleets = [
        servers.add(_fleet(endpoint, plan, variant, _prepare(endpoint, plan, variant)))
        for variant in plan["Variants"]
    ]

    def stop() -> None:
        in_parallel([partial(fleet.stop, 0) for fleet in fleets])
        servers.discard(fleets)

    pairs = zip(fleets, plan["Variants"], strict=True)
    in_parallel([partial(scale_out, fleet, variant) for fleet, variant in pairs], on_error=stop)
    capture = None
    config = plan["DataCaptureConfig"]
    if config is not None and config.get("EnableCapture"):
        capture = Capture(endpoint.context.aws, endpoint.name, config)
    return make_route(plan, fleets, capture)


def make_route(plan: Plan, fleets: list[Fleet], capture: Capture | None) -> Route:
    return Route(
        tuple(
            Variant(
                name=variant["VariantName"],
                weight=variant["Weight"],
                fleet=fleet,
                most_bytes=LARGEST_SERVERLESS_BODY if variant["ServerlessConfig"] else LARGEST_BODY,
                gate=Gate(variant["ServerlessConfig"]["MaxConcurrency"])
                if variant["ServerlessConfig"]
                else None,
            )
            for fleet, variant in zip(fleets, plan["Variants"], strict=True)
        ),
        capture,
    )


def scale_out(fleet: Fleet, variant: dict[str, Any]) -> None:
    """Raises DeploymentFailed."""
    try:
        fleet.scale_out(variant["Count"])
    except ServerFailed:
        raise DeploymentFailed(
            f"The primary container for production variant {variant['VariantName']} did not pass "
            "the ping health check. Please check CloudWatch logs for this endpoint."
        ) from None
    except ArtifactMissing as error:
        raise DeploymentFailed(str(error)) from None


def _prepare(endpoint: EndpointRecord, plan: Plan, variant: dict[str, Any]) -> ServerPlan:
    """Build the image, bring the model's files. Raises DeploymentFailed."""
    container, context = variant["Container"], endpoint.context
    kept = endpoint.directory / plan["Id"] / variant["VariantName"] / "kept"
    environment = _environment(endpoint, variant)
    try:
        fetch(context.aws, container, kept)
    except ArtifactMissing as error:
        raise DeploymentFailed(str(error)) from None
    try:
        command = image_program(environment, "serve")
    except ProgramMissing as error:
        raise DeploymentFailed(str(error)) from None
    if variant["Isolated"] and Path(command[-1]).parent != INIT.parent:
        raise DeploymentFailed(
            "sagestack does not support EnableNetworkIsolation with an image that has a serve "
            f"program of its own (production variant {variant['VariantName']})."
        )
    return ServerPlan(
        environment=environment,
        command=command,
        variables={
            **_role_variables(endpoint, variant),
            **container.get("Environment", {}),
            **submit_variables(kept),
        },
        lay_out=partial(lay_out, kept, model_uri(container)),
        startup_seconds=float(variant["StartupSeconds"]),
        isolate_network=variant["Isolated"],
        host_names=(container["ContainerHostname"],) if "ContainerHostname" in container else (),
    )


def _role_variables(endpoint: EndpointRecord, variant: dict[str, Any]) -> dict[str, str]:
    """The role's credentials; none where the network is isolated, as no service can be
    reached. Source: EnableNetworkIsolation."""
    aws = endpoint.context.aws
    role: str | None = variant["RoleArn"]
    if role is None or variant["Isolated"]:
        return {"AWS_REGION": aws.region, "AWS_DEFAULT_REGION": aws.region}
    return aws.role_environment(role, "SageMaker")


def _environment(endpoint: EndpointRecord, variant: dict[str, Any]) -> Environment:
    images = endpoint.context.instance.images
    try:
        return images.environment(images.find(variant["Container"]["Image"]))
    except (UnknownImage, ImageBuildError) as error:
        raise DeploymentFailed(
            "Please make sure all images included in the model for the production variant "
            f"{variant['VariantName']} exist, and that the execution role used to create the model "
            f"has permissions to access them. {error}"
        ) from None


def _fleet(
    endpoint: EndpointRecord, plan: Plan, variant: dict[str, Any], server_plan: ServerPlan
) -> Fleet:
    name = variant["VariantName"]
    parent = endpoint.directory / plan["Id"] / name
    strategy = (variant["RoutingConfig"] or {}).get("RoutingStrategy")
    make: Callable[[], ModelServer] = partial(
        ModelServer,
        server_plan,
        parent,
        partial(_open_log, endpoint, name),
        f"{endpoint.name}/{name}",
    )
    return Fleet(endpoint.arn, make, least_outstanding=strategy == "LEAST_OUTSTANDING_REQUESTS")


def _open_log(endpoint: EndpointRecord, variant: str, instance_id: str) -> LogWriter:
    group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
    return LogWriter(endpoint.context.aws, group, f"{variant}/{instance_id}")
