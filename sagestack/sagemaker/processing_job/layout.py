"""What the platform writes into /opt/ml of a processing job's hosts.

Source: contract, section 2.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sagestack.aws.document import Document
from sagestack.engine.inputs import Channel
from sagestack.engine.workspace import inside

S3_INPUT = (
    "LocalPath",
    "S3Uri",
    "S3DataDistributionType",
    "S3DataType",
    "S3InputMode",
    "S3CompressionType",
)


def hosts_of(document: Document) -> list[str]:
    count: int = document["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    return [f"algo-{number}" for number in range(1, count + 1)]


def outputs_of(document: Document) -> list[dict[str, Any]]:
    """The outputs the platform uploads: all, but for those the program manages itself."""
    return [entry for entry in _outputs(document) if not entry.get("AppManaged")]


def input_channels(document: Document) -> list[Channel]:
    """The inputs the platform brings: all, but for those the program manages itself."""
    return [
        _channel(entry["S3Input"])
        for entry in document.get("ProcessingInputs", ())
        if not entry.get("AppManaged")
    ]


def lay_out(directory: Path, document: Document, arn: str, host: str) -> None:
    for name in ("config", "processing", "output"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for output in outputs_of(document):
        inside(directory, output["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {
        "processingjobconfig": _job_config(document, arn),
        "resourceconfig": {"current_host": host, "hosts": sorted(hosts_of(document))},
    }
    for name, content in files.items():
        (directory / "config" / f"{name}.json").write_text(json.dumps(content))


def _channel(source: dict[str, Any]) -> Channel:
    return Channel(
        path=source["LocalPath"].rstrip("/"),
        uri=source["S3Uri"],
        data_type=source["S3DataType"],
        mode=source.get("S3InputMode", "File"),
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
        gunzip=source.get("S3CompressionType") == "Gzip",
    )


def _job_config(document: Document, arn: str) -> dict[str, Any]:
    application = document["AppSpecification"]
    cluster = document["ProcessingResources"]["ClusterConfig"]
    return {
        "ProcessingJobArn": arn,
        "ProcessingJobName": document["ProcessingJobName"],
        "AppSpecification": {
            member: application.get(member)
            for member in ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
        },
        "Environment": document.get("Environment"),
        "ProcessingInputs": [
            {
                "InputName": entry["InputName"],
                "S3Input": {member: entry["S3Input"].get(member) for member in S3_INPUT}
                | {"S3DownloadMode": "StartOfJob"},
            }
            for entry in document.get("ProcessingInputs", ())
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": entry["OutputName"], "S3Output": entry["S3Output"]}
                for entry in _outputs(document)
            ],
            "KmsKeyId": document.get("ProcessingOutputConfig", {}).get("KmsKeyId"),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                member: cluster.get(member)
                for member in ("InstanceCount", "InstanceType", "VolumeSizeInGB", "VolumeKmsKeyId")
            }
        },
        "RoleArn": document["RoleArn"],
        "StoppingCondition": document["StoppingCondition"],
    }


def _outputs(document: Document) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = document.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return outputs
