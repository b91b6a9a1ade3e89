"""What happens to an endpoint, carried out on a thread of its own after the answer.

Each ends in the record: in service, failed, back to what was served before, or gone. When
the instance ends meanwhile the record is left as it is, for `recover` to go on from.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagestack.aws.document import Document
from sagestack.sagemaker.endpoint.launch import DeploymentFailed, bring_up, make_route, scale_out
from sagestack.sagemaker.endpoint.plan import Plan, capture_summary, variant_summaries
from sagestack.sagemaker.endpoint.record import EndpointRecord, cut
from sagestack.serving.fleet import Fleet, in_parallel
from sagestack.serving.route import Route

LOG = logging.getLogger(__name__)
INTERNAL_ERROR = "We encountered an internal error. Please try again."


def create(endpoint: EndpointRecord, plan: Plan) -> None:
    """Also what serves an endpoint again after a restart."""
    servers = endpoint.context.instance.servers
    route = _attempt(endpoint, lambda: bring_up(endpoint, plan))
    if servers.closing:
        return
    if isinstance(route, str):
        servers.release(plan["Id"])
        shutil.rmtree(endpoint.directory, ignore_errors=True)
        endpoint.change(partial(_fail, reason=route))
        return
    servers.publish(endpoint.route_key, route)
    endpoint.change(partial(_in_service, plan=plan, endpoint=endpoint))


def update(endpoint: EndpointRecord, plan: Plan, old: Plan, policy: Document) -> None:
    """Blue/green: the new servers answer before a call goes to them, the old ones end when
    none does any more. `policy` is a BlueGreenUpdatePolicy, or empty."""
    servers = endpoint.context.instance.servers
    begun = time.monotonic()

    def deploy() -> Route:
        route = bring_up(endpoint, plan)
        limit = policy.get("MaximumExecutionTimeoutInSeconds", float("inf"))
        if time.monotonic() - begun > limit:
            servers.retire(route)
            raise DeploymentFailed(
                f"The deployment took longer than MaximumExecutionTimeoutInSeconds ({limit})."
            )
        return route

    route = _attempt(endpoint, deploy)
    if servers.closing:
        return
    if isinstance(route, str):
        servers.release(plan["Id"])
        shutil.rmtree(endpoint.directory / plan["Id"], ignore_errors=True)
        endpoint.change(partial(_roll_back, reason=route))
        return
    before = servers.publish(endpoint.route_key, route)
    if bake := policy.get("TerminationWaitInSeconds", 0):
        endpoint.change(partial(_baking, seconds=bake))
        if servers.wait(bake):
            return
    if before is not None:
        servers.retire(before)
    servers.release(old["Id"])
    endpoint.change(partial(_in_service, plan=plan, endpoint=endpoint))
    # Until now a restart would have served them again.
    shutil.rmtree(endpoint.directory / old["Id"], ignore_errors=True)


def scale(endpoint: EndpointRecord, plan: Plan, old: Plan) -> None:
    """Other weights and counts for the variants that are served."""
    servers = endpoint.context.instance.servers
    route = servers.route(*endpoint.route_key)
    assert route is not None, f"{endpoint.arn} is in service, so it has a route"
    fleets = [variant.fleet for variant in route.variants]
    pairs: list[tuple[Fleet, Document]] = list(zip(fleets, plan["Variants"], strict=True))

    def grow() -> Route:
        in_parallel([partial(scale_out, fleet, variant) for fleet, variant in pairs])
        return make_route(plan, fleets, route.capture)

    new = _attempt(endpoint, grow)
    if servers.closing:
        return
    if isinstance(new, str):
        in_parallel(
            [partial(f.scale_in, v["Count"]) for f, v in zip(fleets, old["Variants"], strict=True)]
        )
        servers.reserve(old["Id"], sum(len(fleet.servers) for fleet in fleets))
        endpoint.change(partial(_roll_back, reason=new))
        return
    servers.publish(endpoint.route_key, new)
    in_parallel([partial(fleet.scale_in, variant["Count"]) for fleet, variant in pairs])
    servers.reserve(plan["Id"], sum(len(fleet.servers) for fleet in fleets))
    endpoint.change(partial(_in_service, plan=plan, endpoint=endpoint))


def delete(endpoint: EndpointRecord, route: Route | None) -> None:
    """The record goes when the processes have ended."""
    servers = endpoint.context.instance.servers
    if route is not None:
        servers.retire(route)
        servers.metrics.flush()
    servers.end(endpoint.arn)
    shutil.rmtree(endpoint.directory, ignore_errors=True)
    for plan in (endpoint.read().get("Deployed"), endpoint.read().get("Deploying")):
        if plan is not None:
            servers.release(plan["Id"])
    endpoint.context.store.delete(endpoint.key)


def _attempt(endpoint: EndpointRecord, deploy: Callable[[], Route]) -> Route | str:
    """The route, or the reason why there is none."""
    try:
        return deploy()
    except DeploymentFailed as error:
        return str(error)
    except Exception:
        if not endpoint.context.instance.servers.closing:
            LOG.exception("%s", endpoint.arn)
        return INTERNAL_ERROR


def _in_service(document: Document, *, plan: Plan, endpoint: EndpointRecord) -> None:
    images = endpoint.context.instance.images
    document["EndpointStatus"] = "InService"
    document["EndpointConfigName"] = plan["EndpointConfigName"]
    document["ProductionVariants"] = variant_summaries(plan, images)
    document["Deployed"] = plan
    _forget(document, "Deploying", "PendingDeploymentSummary", "DataCaptureConfig")
    if capture := capture_summary(plan):
        document["DataCaptureConfig"] = capture


def _fail(document: Document, *, reason: str) -> None:
    document["EndpointStatus"] = "Failed"
    document["FailureReason"] = cut(reason)
    _forget(document, "Deploying", "PendingDeploymentSummary", "ProductionVariants")


def _roll_back(document: Document, *, reason: str) -> None:
    """What was served before still is."""
    document["EndpointStatus"] = "InService"
    document["FailureReason"] = cut(reason)
    _forget(document, "Deploying", "PendingDeploymentSummary")
    undesire(document)


def undesire(document: Document) -> None:
    """Wish for nothing but what there is."""
    for variant in document["ProductionVariants"]:
        variant.pop("VariantStatus", None)
        for member in [m for m in variant if m.startswith("Current")]:
            variant[member.replace("Current", "Desired")] = variant[member]


def _baking(document: Document, *, seconds: int) -> None:
    now = datetime.now(UTC)
    for variant in document["PendingDeploymentSummary"]["ProductionVariants"]:
        count = variant.get("DesiredInstanceCount", 1)
        variant["VariantStatus"] = [
            {
                "Status": "Baking",
                "StatusMessage": f"Baking for {seconds} seconds (TerminationWaitInSeconds) with "
                f"traffic enabled on full capacity of {count} instance(s).",
                "StartTime": now,
            }
        ]


def _forget(document: dict[str, Any], *members: str) -> None:
    for member in members:
        document.pop(member, None)
