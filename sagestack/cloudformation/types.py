"""The resource types that run, each with the operations behind it.

A request takes the properties that its operation has members for; `renamed` fills members
of another name. A type is added here, and by a line in pyproject.toml's entry points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sagestack.aws.caller import Caller
from sagestack.aws.errors import AwsError
from sagestack.cloudformation.registry import Properties, Schema, schema_of


@dataclass(frozen=True)
class Call:
    """An operation. `renamed` maps its members to properties; with `body` all other
    properties go into that member."""

    operation: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True)
class Status:
    """How a resource that takes its time is watched."""

    member: str
    busy: frozenset[str]
    good: frozenset[str]
    reason: str
    confirms: tuple[str, ...] = ()
    """Members that equal the property of their name after an update that worked."""


@dataclass(frozen=True)
class Tagging:
    """The operations on the tags of an existing resource, as requests."""

    arn: Callable[[Properties, Caller], str]
    add: Callable[[str, dict[str, str]], tuple[str, dict[str, Any]]]
    remove: Callable[[str, list[str]], tuple[str, dict[str, Any]]]
    as_map: bool
    """Whether Tags is a mapping and not a list of Key and Value."""


@dataclass(frozen=True)
class Api:
    service: str
    label: str
    """As AWS calls the service in the reason of a failure."""
    is_missing: Callable[[AwsError], bool]
    """Whether an error says that the resource does not exist."""


@dataclass(frozen=True)
class ResourceType:
    name: str
    api: Api
    create: Call
    read: Call
    delete: Call
    ref: tuple[str, ...]
    """What Ref answers: these properties, joined by |."""
    update: Call | None = None
    """None where a change of anything but tags makes a new resource."""
    names: tuple[str, ...] = ()
    """Where the physical name stands; empty where the properties identify the resource."""
    longest_name: int = 63
    lower_case_name: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What GetAtt answers beside the properties: a path in the answer of `read`."""
    spelling: Mapping[str, str] = field(default_factory=dict)
    """Nested properties that the operation calls by another name."""
    tagging: Tagging | None = None
    status: Status | None = None

    @property
    def schema(self) -> Schema:
        return schema_of(self.name)


SAGEMAKER = Api("sagemaker", "SageMaker", lambda error: error.message.startswith("Could not find"))
GLUE = Api("glue", "Glue", lambda error: error.code == "EntityNotFoundException")


def _sagemaker_tags(arn_property: str) -> Tagging:
    return Tagging(
        arn=lambda properties, caller: str(properties[arn_property]),
        add=lambda arn, tags: (
            "AddTags",
            {"ResourceArn": arn, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]},
        ),
        remove=lambda arn, keys: ("DeleteTags", {"ResourceArn": arn, "TagKeys": keys}),
        as_map=False,
    )


JOB_TAGS = Tagging(
    arn=lambda properties, caller: caller.arn("glue", f"job/{properties['Name']}"),
    add=lambda arn, tags: ("TagResource", {"ResourceArn": arn, "TagsToAdd": tags}),
    remove=lambda arn, keys: ("UntagResource", {"ResourceArn": arn, "TagsToRemove": keys}),
    as_map=True,
)

MODEL = ResourceType(
    "AWS::SageMaker::Model",
    SAGEMAKER,
    create=Call("CreateModel"),
    read=Call("DescribeModel"),
    delete=Call("DeleteModel"),
    ref=("ModelArn",),
    names=("ModelName",),
    attributes={"ModelArn": "ModelArn"},
    tagging=_sagemaker_tags("ModelArn"),
)

ENDPOINT_CONFIG = ResourceType(
    "AWS::SageMaker::EndpointConfig",
    SAGEMAKER,
    create=Call("CreateEndpointConfig"),
    read=Call("DescribeEndpointConfig"),
    delete=Call("DeleteEndpointConfig"),
    ref=("EndpointConfigArn",),
    names=("EndpointConfigName",),
    attributes={"EndpointConfigArn": "EndpointConfigArn"},
    tagging=_sagemaker_tags("EndpointConfigArn"),
)

ENDPOINT = ResourceType(
    "AWS::SageMaker::Endpoint",
    SAGEMAKER,
    create=Call("CreateEndpoint"),
    read=Call("DescribeEndpoint"),
    update=Call("UpdateEndpoint"),
    delete=Call("DeleteEndpoint"),
    ref=("EndpointArn",),
    names=("EndpointName",),
    attributes={"EndpointArn": "EndpointArn"},
    tagging=_sagemaker_tags("EndpointArn"),
    status=Status(
        "EndpointStatus",
        busy=frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}),
        good=frozenset({"InService"}),
        reason="FailureReason",
        confirms=("EndpointConfigName",),
    ),
)

DATABASE = ResourceType(
    "AWS::Glue::Database",
    GLUE,
    create=Call("CreateDatabase"),
    read=Call("GetDatabase", {"Name": "DatabaseName"}),
    update=Call("UpdateDatabase", {"Name": "DatabaseName"}),
    delete=Call("DeleteDatabase", {"Name": "DatabaseName"}),
    ref=("DatabaseName",),
    names=("DatabaseName", "DatabaseInput/Name"),
    longest_name=255,
    lower_case_name=True,
)

TABLE = ResourceType(
    "AWS::Glue::Table",
    GLUE,
    create=Call("CreateTable"),
    read=Call("GetTable"),
    update=Call("UpdateTable"),
    delete=Call("DeleteTable"),
    ref=("Name",),
    names=("Name", "TableInput/Name"),
    longest_name=255,
    lower_case_name=True,
)

PARTITION = ResourceType(
    "AWS::Glue::Partition",
    GLUE,
    create=Call("CreatePartition"),
    read=Call("GetPartition", {"PartitionValues": "PartitionInput/Values"}),
    update=Call("UpdatePartition", {"PartitionValueList": "PartitionInput/Values"}),
    delete=Call("DeletePartition", {"PartitionValues": "PartitionInput/Values"}),
    ref=("CatalogId", "DatabaseName", "TableName", "PartitionInput/Values"),
)

JOB = ResourceType(
    "AWS::Glue::Job",
    GLUE,
    create=Call("CreateJob"),
    read=Call("GetJob", {"JobName": "Name"}),
    update=Call("UpdateJob", {"JobName": "Name"}, body="JobUpdate"),
    delete=Call("DeleteJob", {"JobName": "Name"}),
    ref=("Name",),
    names=("Name",),
    longest_name=255,
    tagging=JOB_TAGS,
)

SECURITY_CONFIGURATION = ResourceType(
    "AWS::Glue::SecurityConfiguration",
    GLUE,
    create=Call("CreateSecurityConfiguration"),
    read=Call("GetSecurityConfiguration"),
    delete=Call("DeleteSecurityConfiguration"),
    ref=("Name",),
    names=("Name",),
    longest_name=255,
    spelling={"S3Encryptions": "S3Encryption"},
)

SUPPORTED_TYPES = {
    kind.name: kind
    for kind in (
        *(MODEL, ENDPOINT_CONFIG, ENDPOINT),
        *(DATABASE, TABLE, PARTITION, JOB, SECURITY_CONFIGURATION),
    )
}


def refusal(resource_type: str) -> str:
    """What a stack is told about a type of our services that does not run."""
    supported = ", ".join(sorted(SUPPORTED_TYPES))
    return f"{resource_type} is not supported by sagestack. Supported: {supported}."
