"""What a request about an endpoint may hold, beyond the service model."""

from __future__ import annotations

from copy import deepcopy

from sagestack.aws.document import Document
from sagestack.aws.errors import ResourceLimitExceeded, ValidationException
from sagestack.aws.registry import Request
from sagestack.context import Context
from sagestack.sagemaker.endpoint.plan import Plan
from sagestack.sagemaker.job_rules import refuse
from sagestack.serving.servers import NoCapacity


def deployment_config(request: Request, last: Document | None) -> Document | None:
    """The DeploymentConfig to follow, if any. Raises ValidationException."""
    config: Document | None = request.get("DeploymentConfig")
    if request.get("RetainDeploymentConfig"):
        if config:
            raise ValidationException(
                "You can't specify DeploymentConfig when RetainDeploymentConfig is true."
            )
        config = last
    if config:
        _check_deployment(config)
    return config


def _check_deployment(config: Document) -> None:
    if "RollingUpdatePolicy" in config:
        raise refuse("rolling deployments (RollingUpdatePolicy): it runs BlueGreenUpdatePolicy")
    if config.get("AutoRollbackConfiguration", {}).get("Alarms"):
        raise refuse("AutoRollbackConfiguration with alarms")
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        return
    kind = policy["TrafficRoutingConfiguration"]["Type"]
    if kind != "ALL_AT_ONCE":
        raise refuse(f"traffic routing {kind}: it runs ALL_AT_ONCE")
    limit = policy.get("MaximumExecutionTimeoutInSeconds")
    if limit is not None and policy.get("TerminationWaitInSeconds", 0) >= limit:
        raise ValidationException(
            "TerminationWaitInSeconds must be less than MaximumExecutionTimeoutInSeconds."
        )


def excluded_properties(request: Request) -> list[str]:
    """Raises ValidationException for exclusions from nothing."""
    excluded = [
        p["VariantPropertyType"] for p in request.get("ExcludeRetainedVariantProperties", ())
    ]
    if excluded and not request.get("RetainAllVariantProperties"):
        raise ValidationException(
            "ExcludeRetainedVariantProperties can be specified only when "
            "RetainAllVariantProperties is true."
        )
    return excluded


def rescaled(plan: Plan, request: Request) -> Plan:
    """The plan with the desired weights and capacities. Raises ValidationException."""
    plan = deepcopy(plan)
    variants = {variant["VariantName"]: variant for variant in plan["Variants"]}
    wishes = request["DesiredWeightsAndCapacities"]
    names = [wish["VariantName"] for wish in wishes]
    for name in names:
        if names.count(name) > 1:
            raise ValidationException(
                f'The variant name "{name}" was non-unique within the request.'
            )
    if unknown := [name for name in names if name not in variants]:
        raise ValidationException(
            f'The variant name(s) "{", ".join(unknown)}" is/are not present within endpoint '
            f'configuration "{plan["EndpointConfigName"]}".'
        )
    for wish in wishes:
        _rescale(variants[wish["VariantName"]], wish)
    return plan


def _rescale(variant: Document, wish: Document) -> None:
    name = variant["VariantName"]
    serverless = variant["ServerlessConfig"]
    if "DesiredWeight" in wish:
        variant["Weight"] = float(wish["DesiredWeight"])
    if "DesiredInstanceCount" in wish:
        if serverless:
            raise ValidationException(
                f"DesiredInstanceCount can't be set for the serverless variant {name}."
            )
        if wish["DesiredInstanceCount"] < 1:
            raise ValidationException(f"DesiredInstanceCount of variant {name} must be at least 1.")
        variant["Count"] = wish["DesiredInstanceCount"]
    if changes := wish.get("ServerlessUpdateConfig"):
        if not serverless:
            raise ValidationException(
                f"ServerlessUpdateConfig can't be set for variant {name}, which is not serverless."
            )
        variant["ServerlessConfig"] = serverless | changes


def reserve(context: Context, plan: Plan, count: int) -> None:
    """Claim room for a plan's servers on this machine. Raises ResourceLimitExceeded."""
    try:
        context.instance.servers.reserve(plan["Id"], count)
    except NoCapacity as full:
        kind = plan["Variants"][0]["InstanceType"]
        raise ResourceLimitExceeded(
            f"The account-level service limit '{kind} for endpoint usage' is {full.limit} "
            f"Instances, with current utilization of {full.running} Instances and a request delta "
            f"of {full.asked} Instances. Please use AWS Service Quotas to request an increase for "
            "this quota. (sagestack runs that many model servers on this machine at once; "
            "SAGESTACK_MAX_MODEL_SERVERS sets another limit.)"
        ) from None
