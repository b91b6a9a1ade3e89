"""What a CreateTrainingJob request may hold, beyond the service model."""

from __future__ import annotations

import re
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.aws.registry import Request
from sagestack.context import Context
from sagestack.sagemaker.job_rules import (
    known_image,
    one_instance,
    refuse,
    refuse_members,
    s3_uri,
)

NOT_SUPPORTED = (
    "CheckpointConfig",
    "DebugRuleConfigurations",
    "EnableManagedSpotTraining",
    "MlflowConfig",
    "ModelPackageConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "RetryStrategy",
    "ServerlessJobConfig",
    "TensorBoardOutputConfig",
)
# Kept and answered by Describe, without effect on a single machine: DebugHookConfig,
# ProfilerConfig, VpcConfig, ExperimentConfig, InfraCheckConfig, SessionChainingConfig,
# EnableInterContainerTrafficEncryption. docs/fidelity.md says so.


def check_request(request: Request, context: Context) -> None:
    """Raises ValidationException."""
    refuse_members(request, *NOT_SUPPORTED)
    _check_algorithm(request, context)
    _check_resources(request)
    _check_channels(request)
    s3_uri(request["OutputDataConfig"]["S3OutputPath"], "S3OutputPath")


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
    known_image(algorithm["TrainingImage"], context)
    for definition in algorithm.get("MetricDefinitions", ()):
        try:
            groups = re.compile(definition["Regex"]).groups
        except re.error as error:
            raise ValidationException(
                f"Invalid regex for metric {definition['Name']}: {error}"
            ) from None
        if groups < 1:
            raise ValidationException(
                f"The regex of metric {definition['Name']} must have a capturing group: "
                f"{definition['Regex']}"
            )


def _check_resources(request: Request) -> None:
    resources = request.get("ResourceConfig")
    if resources is None:
        raise ValidationException("ResourceConfig is required to create a training job.")
    refuse_members(resources, "InstanceGroups", "KeepAlivePeriodInSeconds", "TrainingPlanArn")
    if "InstanceType" not in resources or "InstanceCount" not in resources:
        raise ValidationException(
            "You must specify InstanceType and InstanceCount in ResourceConfig."
        )
    one_instance(resources["InstanceCount"], "training jobs")


def _check_channels(request: Request) -> None:
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    if len(names) != len(set(names)):
        raise ValidationException("Channel names in InputDataConfig must be unique.")
    for channel in request.get("InputDataConfig", ()):
        _check_channel(channel, channel.get("InputMode") or mode)


def _check_channel(channel: dict[str, Any], mode: str) -> None:
    where = f"channel {channel['ChannelName']}"
    if channel["ChannelName"] in (".", ".."):
        raise ValidationException(f"Invalid channel name: {channel['ChannelName']}")
    if mode != "File":
        raise refuse(f"input mode {mode} ({where}): it runs File")
    if channel.get("RecordWrapperType", "None") != "None":
        raise refuse(f"RecordWrapperType {channel['RecordWrapperType']} ({where})")
    if channel.get("CompressionType", "None") != "None":
        raise ValidationException(
            f"CompressionType {channel['CompressionType']} is supported in Pipe mode only "
            f"({where})."
        )
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        raise refuse(f"data sources other than S3 ({where})")
    if source["S3DataType"] != "S3Prefix":
        raise refuse(f"S3DataType {source['S3DataType']} ({where}): it runs S3Prefix")
    s3_uri(source["S3Uri"], "S3Uri")
