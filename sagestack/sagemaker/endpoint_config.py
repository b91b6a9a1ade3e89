"""EndpointConfig: which models an endpoint serves, on how many servers, at what weights.

Operations: CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs,
DeleteEndpointConfig.
Not emulated, refused with ValidationException: asynchronous inference, shadow variants,
explainers, inference components, instance pools and reservations, core dumps, elastic
inference. KmsKeyId, VolumeSizeInGB, InferenceAmiVersion and the download time limit are
kept, without effect on a single machine. A serverless variant is served by one server.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Record, RecordExists
from sagestack.context import Context
from sagestack.engine.s3_uri import parse_s3_uri
from sagestack.sagemaker import listing
from sagestack.sagemaker.events import tell
from sagestack.sagemaker.job_rules import refuse, refuse_members
from sagestack.sagemaker.model import existing_model
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.tags import tags_of

KIND = "endpoint-config"
ROUTING = ("RANDOM", "LEAST_OUTSTANDING_REQUESTS")


@sagemaker.operation("CreateEndpointConfig")
def create_endpoint_config(request: Request, context: Context) -> Response:
    refuse_members(
        request,
        "AsyncInferenceConfig",
        "ShadowProductionVariants",
        "ExplainerConfig",
        "ExecutionRoleArn",
        "VpcConfig",
        "EnableNetworkIsolation",
        "MetricsConfig",
        "CrossRegionTrafficConfig",
    )
    variants = [_checked_variant(variant) for variant in request["ProductionVariants"]]
    _check_names(variants)
    if capture := request.get("DataCaptureConfig"):
        _check_capture(capture)
    arn = endpoint_config_arn(request["EndpointConfigName"], context)
    if context.store.by_arn(arn):
        raise _taken(arn)
    for variant in variants:
        existing_model(variant["ModelName"], context)
    now = datetime.now(UTC)
    document = {member: value for member, value in request.items() if member != "Tags"}
    document |= {
        "EndpointConfigArn": arn,
        "CreationTime": now,
        "ProductionVariants": variants,
        "EnableNetworkIsolation": False,
    }
    key = Key.of(context.caller, KIND, request["EndpointConfigName"])
    record = Record(key, arn, document, created=now, modified=now)
    try:
        context.store.create(record, tags_of(request))
    except RecordExists:
        raise _taken(arn) from None
    _tell(record, context)
    return {"EndpointConfigArn": arn}


@sagemaker.operation("DescribeEndpointConfig")
def describe_endpoint_config(request: Request, context: Context) -> Response:
    return existing_endpoint_config(request["EndpointConfigName"], context).document


@sagemaker.operation("ListEndpointConfigs")
def list_endpoint_configs(request: Request, context: Context) -> Response:
    page = listing.page(context, KIND, request, default_order="Descending")
    members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
    summaries = [listing.pick(record.document, *members) for record in page.records]
    return listing.response("EndpointConfigs", summaries, page)


@sagemaker.operation("DeleteEndpointConfig")
def delete_endpoint_config(request: Request, context: Context) -> Response:
    """An endpoint that was made with the configuration keeps it, as on AWS."""
    record = existing_endpoint_config(request["EndpointConfigName"], context)
    tags = context.store.tags(record.arn)
    context.store.delete(record.key)
    _tell(record, context, tags)
    return {}


def existing_endpoint_config(name: str, context: Context) -> Record:
    """Raises ValidationException."""
    arn = endpoint_config_arn(name, context)
    record = context.store.by_arn(arn)
    if record is None:
        raise ValidationException(f'Could not find endpoint configuration "{arn}".')
    return record


def endpoint_config_arn(name: str, context: Context) -> str:
    return context.caller.arn("sagemaker", f"endpoint-config/{name.lower()}")


def _taken(arn: str) -> ValidationException:
    return ValidationException(f'Cannot create already existing endpoint configuration "{arn}".')


def _checked_variant(variant: dict[str, Any]) -> dict[str, Any]:
    """The variant with AWS's defaults."""
    name = variant["VariantName"]
    refuse_members(
        variant,
        "InstancePools",
        "VariantInstanceProvisionTimeoutInSeconds",
        "AcceleratorType",
        "CoreDumpConfig",
        "ManagedInstanceScaling",
        "CapacityReservationConfig",
        "AcceleratorPartitionLayouts",
        "EnableSSMAccess",
    )
    if "ModelName" not in variant:
        raise refuse(f"inference components (variant {name} has no ModelName)")
    strategy = variant.get("RoutingConfig", {}).get("RoutingStrategy", "RANDOM")
    if strategy not in ROUTING:
        raise refuse(f"RoutingStrategy {strategy} (variant {name}): it runs {', '.join(ROUTING)}")
    if serverless := variant.get("ServerlessConfig"):
        _check_serverless(name, variant, serverless)
    elif "InstanceType" not in variant or "InitialInstanceCount" not in variant:
        raise ValidationException(
            f"Variant {name} must specify InstanceType and InitialInstanceCount, or "
            "ServerlessConfig."
        )
    return {"InitialVariantWeight": 1.0} | variant


def _check_serverless(name: str, variant: dict[str, Any], config: dict[str, Any]) -> None:
    for member in ("InstanceType", "InitialInstanceCount", "RoutingConfig"):
        if member in variant:
            raise ValidationException(
                f"Variant {name} must not specify {member} together with ServerlessConfig."
            )
    memory = config["MemorySizeInMB"]
    if memory % 1024:
        raise ValidationException(
            f"Invalid MemorySizeInMB {memory} of variant {name}: it must be one of 1024, 2048, "
            "3072, 4096, 5120, 6144."
        )
    if config.get("ProvisionedConcurrency", 1) > config["MaxConcurrency"]:
        raise ValidationException(
            f"ProvisionedConcurrency of variant {name} must not exceed its MaxConcurrency."
        )


def _check_names(variants: list[dict[str, Any]]) -> None:
    names = [variant["VariantName"] for variant in variants]
    if len(names) != len(set(names)):
        raise ValidationException(
            f"Production variant names must be unique within an endpoint configuration: "
            f"{', '.join(names)}"
        )


def _check_capture(capture: dict[str, Any]) -> None:
    try:
        parse_s3_uri(capture["DestinationS3Uri"])
    except ValueError as error:
        raise ValidationException(f"Invalid DestinationS3Uri: {error}") from None


def _tell(record: Record, context: Context, tags: dict[str, str] | None = None) -> None:
    detail = listing.pick(
        record.document, "EndpointConfigName", "EndpointConfigArn", "CreationTime"
    )
    detail["Tags"] = context.store.tags(record.arn) if tags is None else tags
    tell("SageMaker Endpoint Config State Change", detail, record.arn, context)
