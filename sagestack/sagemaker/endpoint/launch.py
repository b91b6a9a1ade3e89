"""From a plan to running servers and the route to them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from sagestack.engine.images import ImageBuildError, UnknownImage
from sagestack.engine.logs import LogWriter
from sagestack.engine.programs import ProgramMissing
from sagestack.sagemaker.endpoint.plan import Plan
from sagestack.sagemaker.endpoint.record import EndpointRecord
from sagestack.sagemaker.model_container import IsolationUnsupported, server_plan
from sagestack.serving.artifact import ArtifactMissing
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
    name = variant["VariantName"]
    try:
        return server_plan(
            endpoint.context,
            variant["Container"],
            endpoint.directory / plan["Id"] / name / "kept",
            role_arn=variant["RoleArn"],
            isolated=variant["Isolated"],
            startup_seconds=float(variant["StartupSeconds"]),
        )
    except (ArtifactMissing, ProgramMissing) as error:
        raise DeploymentFailed(str(error)) from None
    except IsolationUnsupported as error:
        raise DeploymentFailed(f"{error} (production variant {name}).") from None
    except (UnknownImage, ImageBuildError) as error:
        raise DeploymentFailed(
            "Please make sure all images included in the model for the production variant "
            f"{name} exist, and that the execution role used to create the model "
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
