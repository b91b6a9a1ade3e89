"""LocalStack's resource providers for the types that sagestack runs, and for those it refuses.

Each supported type is a plugin, found by the entry point of its name. A type of SageMaker,
Glue or Athena that has none is refused by its name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from localstack import config
from localstack.aws.api.cloudformation import StackStatus
from localstack.services.cloudformation.resource_provider import (
    CloudFormationResourceProviderPlugin,
    OperationStatus,
    ProgressEvent,
    ResourceProvider,
    ResourceRequest,
)
from localstack.services.cloudformation.stores import get_cloudformation_store
from localstack.services.cloudformation.v2.entities import Stack

from sagestack.cloudformation import types
from sagestack.cloudformation.mapping import ID
from sagestack.cloudformation.provider import Owner, Provider, ResourceFailed, Step
from sagestack.cloudformation.types import ResourceType, refusal
from sagestack.localstack.runtime import instance

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 0.05
LONGEST_CALL = 1.0
"""Seconds a handler looks on before it gives the deployment its turn; that one sleeps for a
second between calls, after the first five."""

Handler = Callable[[Provider, str], Step]


class SagestackProvider(ResourceProvider):  # type: ignore[misc]
    """The provider of one type, as LocalStack calls it."""

    KIND: ResourceType
    SCHEMA: dict[str, Any]

    def create(self, request: ResourceRequest) -> ProgressEvent:
        event = self._run(request, lambda p, phase: p.create(request.desired_state, phase))
        stack = _stack_of(request)
        deleting = stack is not None and stack.status == StackStatus.DELETE_IN_PROGRESS
        if event.status == OperationStatus.IN_PROGRESS and deleting:
            return _failed("Resource creation cancelled", event.resource_model)
        return event

    def update(self, request: ResourceRequest) -> ProgressEvent:
        before = request.previous_state or {}
        return self._run(request, lambda p, phase: p.update(request.desired_state, before, phase))

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        return self._run(request, lambda p, phase: p.delete(request.desired_state, phase))

    def read(self, request: ResourceRequest) -> ProgressEvent:
        model = self._provider(request).read(request.desired_state)
        if model is None:
            return _failed(f"{self.KIND.name} does not exist", error_code="NotFound")
        return ProgressEvent(OperationStatus.SUCCESS, resource_model=model)

    def _run(self, request: ResourceRequest, handler: Handler) -> ProgressEvent:
        context = request.custom_context
        begun = context.get("begun", time.monotonic())
        try:
            step = _watch(self._provider(request), handler, context.get("phase", ""))
        except ResourceFailed as failure:
            return _failed(failure.reason, failure.model)
        except Exception as error:
            LOG.exception("%s %s", request.action, request.logical_resource_id)
            return _failed(f"Internal failure of sagestack: {error!r}")
        if step.done:
            return ProgressEvent(OperationStatus.SUCCESS, resource_model=step.model)
        if time.monotonic() - begun > config.CFN_PER_RESOURCE_TIMEOUT:
            return _failed(
                f"Exceeded attempts to wait: not done after {config.CFN_PER_RESOURCE_TIMEOUT} "
                "seconds. CFN_PER_RESOURCE_TIMEOUT sets another limit.",
                step.model,
            )
        return ProgressEvent(
            OperationStatus.IN_PROGRESS,
            resource_model=step.model,
            custom_context={"phase": step.phase, "begun": begun},
        )

    def _provider(self, request: ResourceRequest) -> Provider:
        stack = _stack_of(request)
        tags = {tag["Key"]: tag["Value"] for tag in (stack.tags if stack else ())}
        owner = Owner(request.stack_name, request.logical_resource_id, tags)
        return Provider(
            self.KIND, owner, instance().context(request.account_id, request.region_name)
        )


class RefusingProvider(ResourceProvider):  # type: ignore[misc]
    """Fails the stack that wants a type which does not run. LocalStack itself would say
    CREATE_COMPLETE and create nothing."""

    SCHEMA: dict[str, Any] = {"primaryIdentifier": []}  # noqa: RUF012  LocalStack's own form

    def create(self, request: ResourceRequest) -> ProgressEvent:
        return _failed(refusal(request.resource_type))

    update = create

    def delete(self, request: ResourceRequest) -> ProgressEvent:
        return ProgressEvent(OperationStatus.SUCCESS, resource_model={})


def _stack_of(request: ResourceRequest) -> Stack | None:
    store = get_cloudformation_store(request.account_id, request.region_name)
    return store.stacks_v2.get(request.stack_id)


def _watch(provider: Provider, handler: Handler, phase: str) -> Step:
    """Call a handler; call it again for a while if it was called before."""
    step = handler(provider, phase)
    looking_until = time.monotonic() + LONGEST_CALL
    while phase and not step.done and time.monotonic() < looking_until:
        time.sleep(LOOK_SECONDS)
        step = handler(provider, step.phase)
    return step


def _failed(
    reason: str, model: dict[str, Any] | None = None, error_code: str | None = None
) -> ProgressEvent:
    return ProgressEvent(
        OperationStatus.FAILED,
        resource_model=model or {},
        message=reason,
        error_code=error_code,
    )


def _plugin(kind: ResourceType) -> type[CloudFormationResourceProviderPlugin]:
    schema = kind.schema
    provider = type(
        f"{kind.name.replace('::', '')}Provider",
        (SagestackProvider,),
        {
            "KIND": kind,
            "SCHEMA": {
                "typeName": kind.name,
                "primaryIdentifier": [f"/properties/{ID}"],
                "createOnlyProperties": [f"/properties/{path}" for path in schema.create_only],
                "readOnlyProperties": [f"/properties/{path}" for path in schema.read_only],
            },
        },
    )

    class Plugin(CloudFormationResourceProviderPlugin):  # type: ignore[misc]
        name = kind.name
        factory: type[ResourceProvider] | None = None

        def load(self, *args: Any, **kwargs: Any) -> None:
            self.factory = provider

    return Plugin


ModelPlugin = _plugin(types.MODEL)
EndpointConfigPlugin = _plugin(types.ENDPOINT_CONFIG)
EndpointPlugin = _plugin(types.ENDPOINT)
DatabasePlugin = _plugin(types.DATABASE)
TablePlugin = _plugin(types.TABLE)
PartitionPlugin = _plugin(types.PARTITION)
JobPlugin = _plugin(types.JOB)
SecurityPlugin = _plugin(types.SECURITY_CONFIGURATION)
