"""The hosts of a training job and what the platform writes into /opt/ml of each.

Source: contract, section 1.2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagestack.aws.document import Document

DIRECTORIES = ("input/config", "input/data", "model", "output/data", "code", "checkpoints")
CHECKPOINTS = "/opt/ml/checkpoints"
ONE_GROUP = "homogeneousCluster"
"""The instance group of a job that has none."""


@dataclass(frozen=True)
class Host:
    name: str
    """algo-1, algo-2, … across all groups."""
    group: str
    instance_type: str


def hosts_of(document: Document) -> list[Host]:
    """The hosts that ResourceConfig asks for."""
    resources = document["ResourceConfig"]
    groups = resources.get("InstanceGroups") or [
        {
            "InstanceGroupName": ONE_GROUP,
            "InstanceType": resources["InstanceType"],
            "InstanceCount": resources["InstanceCount"],
        }
    ]
    kinds = [
        (group["InstanceGroupName"], group["InstanceType"])
        for group in groups
        for _ in range(group["InstanceCount"])
    ]
    return [Host(f"algo-{number}", *kind) for number, kind in enumerate(kinds, 1)]


def volume_size(document: Document) -> int:
    """Of each host, in GB. Source of the default: the SDKs."""
    size: int = document["ResourceConfig"].get("VolumeSizeInGB", 30)
    return size


def lay_out(directory: Path, document: Document, host: Host, hosts: list[Host]) -> None:
    for name in DIRECTORIES:
        (directory / name).mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {
        "hyperparameters": document.get("HyperParameters", {}),
        "inputdataconfig": {
            channel["ChannelName"]: channel_config(channel, channel_mode(channel, document))
            for channel in channels_of(document, host)
        },
        "resourceconfig": resource_config(host, hosts),
    }
    if checkpoint := document.get("CheckpointConfig"):
        # Source of its shape: aws/sagemaker-xgboost-container, which reads it.
        files["checkpointconfig"] = {"LocalPath": CHECKPOINTS} | checkpoint
    for name, content in files.items():
        (directory / "input/config" / f"{name}.json").write_text(json.dumps(content))


def channels_of(document: Document, host: Host) -> list[dict[str, Any]]:
    """The channels a host gets: all, but for those that name other instance groups."""

    def is_for_host(channel: dict[str, Any]) -> bool:
        groups = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
        return not groups or host.group in groups

    return [channel for channel in document.get("InputDataConfig", ()) if is_for_host(channel)]


def channel_mode(channel: dict[str, Any], document: Document) -> str:
    """File, Pipe or FastFile."""
    mode: str = channel.get("InputMode") or document["AlgorithmSpecification"]["TrainingInputMode"]
    return mode


def channel_config(channel: dict[str, Any], mode: str) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": mode,
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if content_type := channel.get("ContentType"):
        config["ContentType"] = content_type
    return config


def resource_config(host: Host, hosts: list[Host]) -> dict[str, Any]:
    names = sorted(other.name for other in hosts)
    groups = {other.group: other.instance_type for other in hosts}
    return {
        "current_host": host.name,
        "current_instance_type": host.instance_type,
        "current_group_name": host.group,
        "hosts": names,
        "instance_groups": [
            {
                "instance_group_name": group,
                "instance_type": instance_type,
                "hosts": sorted(other.name for other in hosts if other.group == group),
            }
            for group, instance_type in groups.items()
        ],
        "network_interface_name": "lo",
    }
