"""What a CreateTrainingJob request may hold, beyond the service model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request
from sagestack.context import Context
from sagestack.engine.fast_file import why_unavailable
from sagestack.engine.metrics import BadMetric, MetricDefinition
from sagestack.engine.workspace import inside
from sagestack.sagemaker.job_rules import (
    has_program,
    known_image,
    refuse,
    refuse_members,
    s3_uri,
)
from sagestack.sagemaker.training_job.attempt import checkpoint_path

NOT_SUPPORTED = (
    "DebugRuleConfigurations",
    "MlflowConfig",
    "ModelPackageConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "ServerlessJobConfig",
    "TensorBoardOutputConfig",
)
# Kept and answered by Describe, without effect on a single machine: DebugHookConfig,
# ProfilerConfig, VpcConfig, ExperimentConfig, InfraCheckConfig, SessionChainingConfig,
# EnableInterContainerTrafficEncryption. docs/fidelity.md says so.


MOST_HOSTS = 16
"""Hosts of one job that a single machine is asked to run."""


def check_request(request: Request, context: Context) -> None:
    """Raises ValidationException."""
    refuse_members(request, *NOT_SUPPORTED)
    _check_algorithm(request, context)
    _check_resources(request)
    _check_stopping_condition(request)
    _check_channels(request)
    s3_uri(request["OutputDataConfig"]["S3OutputPath"], "S3OutputPath")
    if checkpoint := request.get("CheckpointConfig"):
        s3_uri(checkpoint["S3Uri"], "S3Uri")
        try:
            inside(Path("/opt/ml"), checkpoint_path(checkpoint))
        except ValueError as error:
            raise refuse(f"this LocalPath of CheckpointConfig: {error}") from None


def _check_algorithm(request: Request, context: Context) -> None:
    algorithm = request.get("AlgorithmSpecification")
    if algorithm is None:
        raise ValidationException("AlgorithmSpecification is required to create a training job.")
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise ValidationException(
            "You must specify either a TrainingImage or an AlgorithmName, and not both."
        )
    if "AlgorithmName" in algorithm:
        raise refuse(f"the algorithm resource {algorithm['AlgorithmName']}")
    refuse_members(algorithm, "TrainingImageConfig")
    image = known_image(algorithm["TrainingImage"], context)
    if not algorithm.get("ContainerEntrypoint"):
        has_program(image, "train")
    for definition in algorithm.get("MetricDefinitions", ()):
        try:
            MetricDefinition.of(definition["Name"], definition["Regex"])
        except BadMetric as error:
            raise ValidationException(str(error)) from None


def _check_resources(request: Request) -> None:
    resources = request.get("ResourceConfig")
    if resources is None:
        raise ValidationException("ResourceConfig is required to create a training job.")
    refuse_members(resources, "TrainingPlanArn")
    groups = resources.get("InstanceGroups")
    if groups:
        if "InstanceType" in resources or "InstanceCount" in resources:
            raise ValidationException(
                "You must specify either InstanceGroups, or InstanceType and InstanceCount, in "
                "ResourceConfig, and not both."
            )
        names = [group["InstanceGroupName"] for group in groups]
        if len(names) != len(set(names)):
            raise ValidationException("Instance group names must be unique.")
        count = sum(group["InstanceCount"] for group in groups)
    elif "InstanceType" not in resources or "InstanceCount" not in resources:
        raise ValidationException(
            "You must specify InstanceType and InstanceCount in ResourceConfig."
        )
    else:
        count = resources["InstanceCount"]
    if not 1 <= count <= MOST_HOSTS:
        raise refuse(f"{count} instances: it runs 1 to {MOST_HOSTS} on one machine")


def _check_stopping_condition(request: Request) -> None:
    condition = request.get("StoppingCondition", {})
    wait = condition.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < condition.get("MaxRuntimeInSeconds", 86_400):
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal "
                "to MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise ValidationException(
            "MaxWaitTimeInSeconds can only be specified when EnableManagedSpotTraining is true"
        )


def _check_channels(request: Request) -> None:
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    groups = {
        group["InstanceGroupName"] for group in request["ResourceConfig"].get("InstanceGroups", ())
    }
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    if len(names) != len(set(names)):
        raise ValidationException("Channel names in InputDataConfig must be unique.")
    for channel in request.get("InputDataConfig", ()):
        _check_channel(channel, channel.get("InputMode") or mode, groups)


def _check_channel(channel: dict[str, Any], mode: str, groups: set[str]) -> None:
    where = f"channel {channel['ChannelName']}"
    if channel["ChannelName"] in (".", ".."):
        raise ValidationException(f"Invalid channel name: {channel['ChannelName']}")
    for member in ("CompressionType", "RecordWrapperType"):
        if channel.get(member, "None") != "None" and mode != "Pipe":
            raise ValidationException(
                f"{member} {channel[member]} is supported in Pipe mode only ({where})."
            )
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise refuse(f"data sources other than S3 ({where})")
    refuse_members(source, "ModelAccessConfig", "HubAccessConfig")
    s3_uri(source["S3Uri"], "S3Uri")
    _check_data_type(source, mode, where)
    if unknown := set(source.get("InstanceGroupNames", ())) - groups:
        raise ValidationException(
            f"InstanceGroupNames names no instance group of the job ({where}): "
            f"{', '.join(sorted(unknown))}"
        )


def _check_data_type(source: dict[str, Any], mode: str, where: str) -> None:
    kind = source["S3DataType"]
    if kind == "Converse":
        raise refuse(f"S3DataType Converse ({where})")
    if kind != "S3Prefix" and mode == "FastFile":
        raise ValidationException(f"FastFile mode supports S3Prefix only ({where}).")
    if mode == "FastFile" and (reason := why_unavailable()):
        raise refuse(f"FastFile mode on this machine: {reason} ({where})")
    if (kind == "AugmentedManifestFile") != bool(source.get("AttributeNames")):
        raise ValidationException(
            f"AttributeNames is required with, and only with, AugmentedManifestFile ({where})."
        )
    if kind == "AugmentedManifestFile" and mode != "Pipe":
        raise ValidationException(
            f"AugmentedManifestFile is supported in Pipe mode only ({where})."
        )
