"""Plan: everything a deployment needs, as a document.

It holds the models' definitions, not their names: an endpoint outlives the model and the
configuration it was made from. It lies in the endpoint's record, so that the endpoint can
be served again after a restart.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.store import Record
from sagestack.context import Context
from sagestack.engine.images import Image, Images, repository_of
from sagestack.sagemaker.model import container_of, existing_model
from sagestack.serving.server import STARTUP_SECONDS

Plan = dict[str, Any]
SERVERLESS_STARTUP_SECONDS = 180.0
"""Source: contract, section 3.3."""


def make_plan(config: Record, context: Context) -> Plan:
    """Raises ValidationException for a model that was deleted since."""
    document = config.document
    return {
        "Id": secrets.token_hex(4),
        "EndpointConfigName": document["EndpointConfigName"],
        "Variants": [_variant(variant, context) for variant in document["ProductionVariants"]],
        "DataCaptureConfig": document.get("DataCaptureConfig"),
    }


def _variant(variant: Document, context: Context) -> Document:
    model = existing_model(variant["ModelName"], context).document
    serverless = variant.get("ServerlessConfig")
    startup = SERVERLESS_STARTUP_SECONDS if serverless else STARTUP_SECONDS
    routing = variant.get("RoutingConfig")
    return {
        "VariantName": variant["VariantName"],
        "Weight": float(variant["InitialVariantWeight"]),
        "Count": 1 if serverless else variant["InitialInstanceCount"],
        "InstanceType": variant.get("InstanceType", "serverless"),
        "ServerlessConfig": serverless,
        "RoutingConfig": routing,
        "StartupSeconds": variant.get("ContainerStartupHealthCheckTimeoutInSeconds", startup),
        "Container": container_of(model),
        "RoleArn": model.get("ExecutionRoleArn"),
        "Isolated": model["EnableNetworkIsolation"],
    }


def server_count(plan: Plan) -> int:
    return sum(variant["Count"] for variant in plan["Variants"])


def retain(plan: Plan, deployed: Plan, excluded: Iterable[str]) -> Plan:
    """The plan with what the endpoint has now in place of what its configuration says, as
    RetainAllVariantProperties asks."""
    kept = {"DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"} - set(excluded)
    plan = deepcopy(plan)
    now = {variant["VariantName"]: variant for variant in deployed["Variants"]}
    for variant in plan["Variants"]:
        before = now.get(variant["VariantName"])
        if before is None:
            continue
        if "DesiredWeight" in kept:
            variant["Weight"] = before["Weight"]
        if "DesiredInstanceCount" in kept and not (
            variant["ServerlessConfig"] or before["ServerlessConfig"]
        ):
            variant["Count"] = before["Count"]
    if "DataCaptureConfig" in kept:
        plan["DataCaptureConfig"] = deployed["DataCaptureConfig"]
    return plan


def variant_summaries(plan: Plan, images: Images) -> list[Document]:
    """ProductionVariants, as an endpoint in service has them."""
    return [
        _summary(variant, images.find(variant["Container"]["Image"]))
        for variant in plan["Variants"]
    ]


def pending_summary(plan: Plan, status: str, message: str) -> Document:
    """PendingDeploymentSummary. The message has {count} for the variant's servers."""
    now = datetime.now(UTC)
    return {
        "EndpointConfigName": plan["EndpointConfigName"],
        "StartTime": now,
        "ProductionVariants": [
            {
                "VariantName": variant["VariantName"],
                **desired(variant),
                "VariantStatus": [
                    {
                        "Status": status,
                        "StatusMessage": message.format(count=variant["Count"]),
                        "StartTime": now,
                    }
                ],
            }
            for variant in plan["Variants"]
        ],
    }


def desired(variant: Document) -> Document:
    if variant["ServerlessConfig"]:
        return {
            "DesiredWeight": variant["Weight"],
            "DesiredServerlessConfig": variant["ServerlessConfig"],
        }
    return {"DesiredWeight": variant["Weight"], "DesiredInstanceCount": variant["Count"]}


def _summary(variant: Document, image: Image) -> Document:
    is_now = {
        member.replace("Desired", "Current"): value for member, value in desired(variant).items()
    }
    summary = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [_deployed_image(variant["Container"]["Image"], image)],
        **is_now,
        **desired(variant),
    }
    if variant["RoutingConfig"]:
        summary["RoutingConfig"] = variant["RoutingConfig"]
    return summary


def _deployed_image(uri: str, image: Image) -> Document:
    """An image resolves to the digest of what it is made of: its lock file, or the path of an
    interpreter."""
    registry = uri[: uri.rfind("/") + 1]
    made_of = str(image.source).encode()
    if not os.access(image.source, os.X_OK):
        made_of = image.source.read_bytes()
    digest = hashlib.sha256(made_of).hexdigest()
    return {
        "SpecifiedImage": uri,
        "ResolvedImage": f"{registry}{repository_of(uri)}@sha256:{digest}",
        "ResolutionTime": datetime.now(UTC),
    }


def capture_summary(plan: Plan) -> Document | None:
    """DataCaptureConfig, as DescribeEndpoint has it."""
    config = plan["DataCaptureConfig"]
    if config is None:
        return None
    enabled = config.get("EnableCapture", False)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
