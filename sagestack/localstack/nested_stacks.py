"""Nested stacks: AWS::CloudFormation::Stack, updated and rolled back with its parent.

LocalStack 4.14 says UPDATE_COMPLETE of one and leaves it as it was. One that fails it leaves
before its rollback has ended, and without a word why it failed.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceRequest,
)
from localstack.services.cloudformation.resource_providers.aws_cloudformation_stack import (
    CloudFormationStackProvider,
)

NAME = "AWS::CloudFormation::Stack"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
BEGUN = {"begun": True}


class NestedStackProvider(CloudFormationStackProvider):  # type: ignore[misc]
    def create(self, request: ResourceRequest) -> ProgressEvent:
        return _watched(request, "created") if request.custom_context else super().create(request)

    def update(self, request: ResourceRequest) -> ProgressEvent:
        if request.custom_context:
            return _watched(request, "updated")
        deployed = request.previous_state
        model = request.desired_state | {
            name: deployed[name] for name in ("Id", "StackName", "Outputs") if name in deployed
        }
        given = {name: model[name] for name in ("NotificationARNs", "Tags") if name in model}
        try:
            request.aws_client_factory.cloudformation.update_stack(
                StackName=model["Id"],
                TemplateURL=model["TemplateURL"],
                Parameters=[
                    {"ParameterKey": name, "ParameterValue": _text(value)}
                    for name, value in model.get("Parameters", {}).items()
                ],
                Capabilities=CAPABILITIES,
                **given,
            )
        except ClientError as error:
            reason = error.response["Error"]["Message"]
            if reason != "No updates are to be performed.":
                return ProgressEvent(OperationStatus.FAILED, resource_model=model, message=reason)
            return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)
        return ProgressEvent(
            OperationStatus.IN_PROGRESS, resource_model=model, custom_context=BEGUN
        )


def _watched(request: ResourceRequest, done: str) -> ProgressEvent:
    """How a nested stack that is being `created` or `updated` stands."""
    model = request.desired_state
    client = request.aws_client_factory.cloudformation
    stack = client.describe_stacks(StackName=model["Id"])["Stacks"][0]
    status: str = stack["StackStatus"]
    if status.endswith("_IN_PROGRESS"):
        return ProgressEvent(
            OperationStatus.IN_PROGRESS, resource_model=model, custom_context=BEGUN
        )
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        outputs = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", ())}
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model | {"Outputs": outputs})
    reason = (
        f"Embedded stack {model['Id']} was not successfully {done}. "
        f"Currently in {status} with reason: {stack.get('StackStatusReason', 'unknown')}"
    )
    return ProgressEvent(OperationStatus.FAILED, resource_model=model, message=reason)


def _text(value: Any) -> str:
    """A parameter's value, as a stack takes it."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
