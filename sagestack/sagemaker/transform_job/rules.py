"""What a CreateTransformJob request may hold, beyond the service model."""

from __future__ import annotations

from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request
from sagestack.sagemaker.job_rules import refuse, s3_uri
from sagestack.sagemaker.model import container_of
from sagestack.sagemaker.transform_job.data_processing import CSV, TYPES, essence
from sagestack.sagemaker.transform_job.json_path import BadPath, JsonPath, MixedRanges

MOST_INSTANCES = 16
"""Instances of one job that a single machine is asked to run."""
MOST_MEBIBYTES = 100
OPERATORS = {CSV: "$[]* ,:-"}
JSON_OPERATORS = "$[]*. ,:-'"


def check_request(request: Request) -> None:
    """Raises ValidationException."""
    _check_source(request["TransformInput"]["DataSource"]["S3DataSource"])
    s3_uri(request["TransformOutput"]["S3OutputPath"], "S3OutputPath")
    count = request["TransformResources"]["InstanceCount"]
    if count > MOST_INSTANCES:
        raise refuse(f"{count} instances: it runs 1 to {MOST_INSTANCES} on one machine")
    _check_payload(request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms"))
    _check_processing(request)
    if capture := request.get("DataCaptureConfig"):
        _check_capture(capture, request)


def check_model(model: Document) -> None:
    """Raises ValidationException, in AWS's words."""
    if container_of(model).get("ModelDataSource"):
        raise ValidationException(
            "SageMaker Batch currently doesn't support Model entity with container definitions "
            "which use ModelDataSource attribute"
        )


def _check_source(source: dict[str, Any]) -> None:
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise ValidationException(
            f"S3DataType {source['S3DataType']} is not supported by transform jobs. Use S3Prefix "
            "or ManifestFile."
        )
    s3_uri(source["S3Uri"], "S3Uri")


def _check_payload(payload: int | None, concurrent: int | None) -> None:
    if payload is not None and payload > MOST_MEBIBYTES:
        raise ValidationException(
            f"MaxPayloadInMB must be at most {MOST_MEBIBYTES}, and is {payload}."
        )
    if payload and concurrent and payload * concurrent > MOST_MEBIBYTES:
        raise ValidationException(
            f"MaxConcurrentTransforms * MaxPayloadInMB must be at most {MOST_MEBIBYTES}, and is "
            f"{concurrent} * {payload}."
        )


def _check_processing(request: Request) -> None:
    wish = request.get("DataProcessing", {})
    source, target = request["TransformInput"], request["TransformOutput"]
    given, answered = essence(source.get("ContentType")), essence(target.get("Accept"))
    split, assemble = source.get("SplitType", "None"), target.get("AssembleWith", "None")
    input_filter, output_filter = wish.get("InputFilter", "$"), wish.get("OutputFilter", "$")
    joins = wish.get("JoinSource") == "Input"
    if input_filter == "$" and output_filter == "$" and not joins:
        return
    if given not in TYPES:
        raise ValidationException(
            f"DataProcessing requires a ContentType of {', '.join(TYPES)}, not {given or 'none'}."
        )
    if split not in ("None", "Line") or (given == CSV and split != "Line"):
        raise ValidationException(f"DataProcessing of {given} does not support SplitType {split}.")
    _check_path("InputFilter", input_filter, given)
    if output_filter == "$" and not joins:
        return
    if answered != given:
        raise ValidationException(
            "DataProcessing requires that ContentType and Accept are the same, and they are "
            f"{given} and {answered or 'none'}."
        )
    if split != assemble:
        raise ValidationException(
            "DataProcessing requires that SplitType and AssembleWith are the same, and they are "
            f"{split} and {assemble}."
        )
    _check_path("OutputFilter", output_filter, answered)


def _check_path(member: str, text: str, content_type: str) -> None:
    """AWS takes letters, digits and these operators, so no underscore."""
    operators = OPERATORS.get(content_type, JSON_OPERATORS)
    letters = content_type != CSV
    for sign in text:
        plain = sign.isascii() and (sign.isdigit() or (letters and sign.isalpha()))
        if not plain and sign not in operators:
            known = ", ".join(f"'{operator}'" for operator in operators)
            raise ValidationException(
                f'Invalid {member}: "{text}". Unexpected "{sign}" in JsonPath. Supported '
                f'operators for "{content_type}" are [{known}]'
            )
    try:
        JsonPath(text)
    except MixedRanges:
        return
    except BadPath as error:
        raise ValidationException(f'Invalid {member}: "{text}": {error}.') from None


def _check_capture(capture: dict[str, Any], request: Request) -> None:
    s3_uri(capture["DestinationS3Uri"], "DestinationS3Uri")
    answered = essence(request["TransformOutput"].get("Accept"))
    if capture.get("GenerateInferenceId") and answered not in TYPES:
        raise ValidationException(
            f"GenerateInferenceId requires an Accept of {', '.join(TYPES)}, not "
            f"{answered or 'none'}."
        )
