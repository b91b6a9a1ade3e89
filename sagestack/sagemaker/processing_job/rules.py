"""What a CreateProcessingJob request may hold, beyond the service model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request
from sagestack.context import Context
from sagestack.engine.workspace import inside
from sagestack.sagemaker.job_rules import (
    known_image,
    refuse,
    refuse_members,
    s3_uri,
)

ROOT = "/opt/ml/processing"
MOST_HOSTS = 16
"""Hosts of one job that a single machine is asked to run."""


def check_request(request: Request, context: Context) -> None:
    """Raises ValidationException."""
    application = request["AppSpecification"]
    known_image(application["ImageUri"], context)
    if not application.get("ContainerEntrypoint"):
        raise refuse(
            "processing jobs without a ContainerEntrypoint: its images have no entrypoint "
            "of their own"
        )
    count = request["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    if count > MOST_HOSTS:
        raise refuse(f"{count} instances: it runs 1 to {MOST_HOSTS} on one machine")
    inputs = request.get("ProcessingInputs", [])
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    _unique("ProcessingInputs", [entry["InputName"] for entry in inputs])
    _unique("Outputs", [entry["OutputName"] for entry in outputs])
    for entry in inputs:
        _check_input(entry)
    for entry in outputs:
        _check_output(entry)


def _check_input(entry: dict[str, Any]) -> None:
    where = f"input {entry['InputName']}"
    refuse_members(entry, "DatasetDefinition")
    source = entry.get("S3Input")
    if source is None:
        raise ValidationException(f"S3Input is required ({where}).")
    s3_uri(source["S3Uri"], "S3Uri")
    if entry.get("AppManaged"):
        return
    if source.get("S3CompressionType", "None") != "None" and source.get("S3InputMode") != "Pipe":
        raise ValidationException(
            f"S3CompressionType {source['S3CompressionType']} is supported in Pipe mode only "
            f"({where})."
        )
    _check_path(source.get("LocalPath"), where)


def _check_output(entry: dict[str, Any]) -> None:
    where = f"output {entry['OutputName']}"
    refuse_members(entry, "FeatureStoreOutput")
    target = entry.get("S3Output")
    if target is None:
        raise ValidationException(f"S3Output is required ({where}).")
    s3_uri(target["S3Uri"], "S3Uri")
    if not entry.get("AppManaged"):
        _check_path(target.get("LocalPath"), where)


def _check_path(path: str | None, where: str) -> None:
    if path is None or not f"{path}/".startswith(f"{ROOT}/"):
        raise ValidationException(f"LocalPath must start with {ROOT} ({where}): {path}")
    try:
        inside(Path("/opt/ml"), path)
    except ValueError as error:
        raise ValidationException(f"Invalid LocalPath ({where}): {error}") from None


def _unique(member: str, names: list[str]) -> None:
    if len(names) != len(set(names)):
        raise ValidationException(f"Names in {member} must be unique.")
