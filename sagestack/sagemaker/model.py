"""Model: an image, the model's files and variables. A record; endpoints run it.

Operations: CreateModel, DescribeModel, ListModels, DeleteModel.
Not emulated, refused with ValidationException: inference pipelines (more than one
container), MultiModel mode, model packages as a source, additional model data, private
registries, container metrics. VpcConfig is kept, without effect on a single machine.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request, Response
from sagestack.aws.store import Key, Record, RecordExists
from sagestack.context import Context
from sagestack.engine.images import UnknownImage
from sagestack.engine.s3_uri import parse_s3_uri
from sagestack.sagemaker import listing
from sagestack.sagemaker.events import tell
from sagestack.sagemaker.job_rules import refuse, refuse_members
from sagestack.sagemaker.service import sagemaker
from sagestack.sagemaker.tags import tags_of

KIND = "model"


@sagemaker.operation("CreateModel")
def create_model(request: Request, context: Context) -> Response:
    container = _only_container(request)
    _check_container(container, context)
    if mode := request.get("InferenceExecutionConfig", {}).get("Mode"):
        raise refuse(f"InferenceExecutionConfig (Mode {mode}) of a model with one container")
    arn = model_arn(request["ModelName"], context)
    if context.store.by_arn(arn):
        raise _taken(arn)
    _check_data(container, context)
    now = datetime.now(UTC)
    document = {member: value for member, value in request.items() if member != "Tags"}
    document |= {
        "ModelArn": arn,
        "CreationTime": now,
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
    }
    if "PrimaryContainer" in document:
        document["PrimaryContainer"] = {"Mode": "SingleModel"} | container
    else:
        document["Containers"] = [{"Mode": "SingleModel"} | container]
    key = Key.of(context.caller, KIND, request["ModelName"])
    record = Record(key, arn, document, created=now, modified=now)
    try:
        context.store.create(record, tags_of(request))
    except RecordExists:
        raise _taken(arn) from None
    _tell(record, context)
    return {"ModelArn": arn}


@sagemaker.operation("DescribeModel")
def describe_model(request: Request, context: Context) -> Response:
    return existing_model(request["ModelName"], context).document


@sagemaker.operation("ListModels")
def list_models(request: Request, context: Context) -> Response:
    page = listing.page(context, KIND, request, default_order="Descending")
    summaries = [
        listing.pick(record.document, "ModelName", "ModelArn", "CreationTime")
        for record in page.records
    ]
    return listing.response("Models", summaries, page)


@sagemaker.operation("DeleteModel")
def delete_model(request: Request, context: Context) -> Response:
    """An endpoint that serves the model goes on serving it, as on AWS."""
    record = existing_model(request["ModelName"], context)
    tags = context.store.tags(record.arn)
    context.store.delete(record.key)
    _tell(record, context, tags)
    return {}


def existing_model(name: str, context: Context) -> Record:
    """Raises ValidationException."""
    arn = model_arn(name, context)
    record = context.store.by_arn(arn)
    if record is None:
        raise ValidationException(f'Could not find model "{arn}".')
    return record


def model_arn(name: str, context: Context) -> str:
    return context.caller.arn("sagemaker", f"model/{name.lower()}")


def container_of(document: dict[str, Any]) -> dict[str, Any]:
    """The one ContainerDefinition of a model's record."""
    container: dict[str, Any] = document.get("PrimaryContainer") or document["Containers"][0]
    return container


def _taken(arn: str) -> ValidationException:
    return ValidationException(f'Cannot create already existing model "{arn}".')


def _only_container(request: Request) -> dict[str, Any]:
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if primary and several:
        raise ValidationException("You can't specify both PrimaryContainer and Containers.")
    if not primary and not several:
        raise ValidationException("You must specify either PrimaryContainer or Containers.")
    if several and len(several) > 1:
        raise refuse(f"inference pipelines ({len(several)} containers in one model)")
    container: dict[str, Any] = primary or several[0]  # type: ignore[index]
    return container


def _check_container(container: dict[str, Any], context: Context) -> None:
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise refuse("multi-model endpoints (Mode MultiModel)")
    refuse_members(
        container,
        "ModelPackageName",
        "InferenceSpecificationName",
        "MultiModelConfig",
        "AdditionalModelDataSources",
        "ContainerMetricsConfig",
    )
    if container.get("ImageConfig", {}).get("RepositoryAccessMode") == "Vpc":
        raise refuse("private registries (RepositoryAccessMode Vpc)")
    image = container.get("Image")
    if image is None:
        raise ValidationException("You must specify an Image for the container.")
    try:
        context.instance.images.find(image)
    except UnknownImage as error:
        raise ValidationException(f"Requested image {image} not found. {error}") from None


def _check_data(container: dict[str, Any], context: Context) -> None:
    """AWS looks for the model's files when the model is created."""
    url, source = container.get("ModelDataUrl"), container.get("ModelDataSource")
    if url and source:
        raise ValidationException("You can't specify both ModelDataUrl and ModelDataSource.")
    if url:
        _check_object(url, "ModelDataUrl", context)
    elif source and "S3DataSource" in source:
        _check_source(source["S3DataSource"], context)


def _check_source(source: dict[str, Any], context: Context) -> None:
    refuse_members(source, "HubAccessConfig", "ManifestS3Uri", "ETag", "ManifestEtag")
    uri, compression = source["S3Uri"], source["CompressionType"]
    if source["S3DataType"] == "S3Object":
        _check_object(uri, "S3Uri", context)
        return
    if compression != "None":
        raise refuse(f"CompressionType {compression} with S3DataType S3Prefix: use S3Object")
    if not uri.endswith("/"):
        raise ValidationException(
            f'Invalid S3Uri "{uri}": an S3Prefix must end with a forward slash.'
        )
    bucket, prefix = _parsed(uri, "S3Uri")
    if not context.aws.bucket_exists(bucket) or not any(context.aws.list_objects(bucket, prefix)):
        raise ValidationException(f"Could not find model data at {uri}.")


def _check_object(uri: str, member: str, context: Context) -> None:
    bucket, key = _parsed(uri, member)
    found = key and context.aws.bucket_exists(bucket)
    if not found or not any(o.key == key for o in context.aws.list_objects(bucket, key)):
        raise ValidationException(f"Could not find model data at {uri}.")


def _parsed(uri: str, member: str) -> tuple[str, str]:
    try:
        return parse_s3_uri(uri)
    except ValueError as error:
        raise ValidationException(f"Invalid {member}: {error}") from None


def _tell(record: Record, context: Context, tags: dict[str, str] | None = None) -> None:
    detail = listing.pick(record.document, "ModelName", "ModelArn", "CreationTime")
    detail["Tags"] = context.store.tags(record.arn) if tags is None else tags
    tell("SageMaker Model State Change", detail, record.arn, context)
