"""Plugs sagestack's resource providers and executor into LocalStack's CloudFormation.

Types of SageMaker, Glue and Athena that do not run are refused; LocalStack itself would say
CREATE_COMPLETE and create nothing. Stacks that hold such types roll back when they fail,
and a nested stack is updated. Other types and other stacks are LocalStack's own business.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from localstack.aws.api.cloudformation import StackStatus
from localstack.services.cloudformation.engine.v2 import change_set_model_executor as engine
from localstack.services.cloudformation.engine.validations import ValidationError
from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor
from localstack.services.cloudformation.v2 import provider as service
from localstack.services.cloudformation.v2.entities import ChangeSet, Stack

from sagestack.cloudformation.registry import is_ours, scales_endpoint
from sagestack.localstack import nested_stacks
from sagestack.localstack.cloudformation import RefusingProvider
from sagestack.localstack.stack_executor import Cancellation, ChangeSetModelExecutor, deployments

ROLLBACK = "ROLLBACK"
UPDATING = {
    StackStatus.UPDATE_IN_PROGRESS,
    StackStatus.UPDATE_COMPLETE_CLEANUP_IN_PROGRESS,
    StackStatus.UPDATE_ROLLBACK_IN_PROGRESS,
}
NOT_TO_BE_UPDATED = UPDATING | {
    StackStatus.CREATE_IN_PROGRESS,
    StackStatus.ROLLBACK_IN_PROGRESS,
    StackStatus.ROLLBACK_COMPLETE,
    StackStatus.DELETE_IN_PROGRESS,
}

_on_failure: ContextVar[str] = ContextVar("on_failure", default=ROLLBACK)
"""What the request that is being served wants of a failure: ROLLBACK, DO_NOTHING, DELETE."""
_retained: ContextVar[frozenset[str]] = ContextVar("retained", default=frozenset())
"""The resources that a DeleteStack request wants to keep."""


def plug_in() -> None:
    load = ResourceProviderExecutor.try_load_resource_provider

    def load_or_refuse(resource_type: str) -> Any:
        if resource_type == nested_stacks.NAME:
            return nested_stacks.NestedStackProvider()
        found = load(resource_type)
        return RefusingProvider() if found is None and is_ours(resource_type or "") else found

    ResourceProviderExecutor.try_load_resource_provider = staticmethod(load_or_refuse)
    service.ChangeSetModelExecutor = _executor
    _keep_status_of_stacks()


def _keep_status_of_stacks() -> None:
    """A change set leaves the status of a stack alone. A stack that was rolled back from its
    creation can only be deleted; one that changes can't be updated, nor, while it is updated,
    deleted. LocalStack lets all of it happen."""
    set_status = Stack.set_stack_status

    def set_stack_status(stack: Stack, status: StackStatus, reason: str | None = None) -> None:
        ours = _is_ours(stack.processed_template)
        begins_update = status in (StackStatus.REVIEW_IN_PROGRESS, StackStatus.UPDATE_IN_PROGRESS)
        if begins_update and ours:
            if stack.status in NOT_TO_BE_UPDATED:
                raise ValidationError(
                    f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated."
                )
            if status == StackStatus.REVIEW_IN_PROGRESS:
                return
        if status == StackStatus.DELETE_IN_PROGRESS and stack.status in UPDATING and ours:
            raise ValidationError(
                f"Stack [{stack.stack_id}] cannot be deleted while in status {stack.status}"
            )
        set_status(stack, status, reason)

    Stack.set_stack_status = set_stack_status


def remember_request(request: Any) -> None:
    """Note what a CloudFormation request wants of a failure, and what it wants to keep. The
    thread that serves the request makes the executor."""
    wish = request.get("OnFailure") or ROLLBACK
    _on_failure.set("DO_NOTHING" if request.get("DisableRollback") else wish)
    _retained.set(frozenset(request.get("RetainResources") or ()))


def _executor(change_set: ChangeSet) -> engine.ChangeSetModelExecutor | Cancellation:
    stack = change_set.stack
    deployment = deployments.get(stack.stack_id)
    if deployment is not None and stack.status == StackStatus.DELETE_IN_PROGRESS:
        return Cancellation(deployment, stack)
    if not _has_ours(change_set):
        return engine.ChangeSetModelExecutor(change_set)
    on_failure = _on_failure.get()
    if on_failure == ROLLBACK:  # CreateChangeSet may have said otherwise
        on_failure = stack.request_payload.get("OnStackFailure") or ROLLBACK
    return ChangeSetModelExecutor(change_set, on_failure, _retained.get())


def _has_ours(change_set: ChangeSet) -> bool:
    stack = change_set.stack
    templates = (change_set.processed_template, change_set.template, stack.processed_template)
    return any(map(_is_ours, templates))


def _is_ours(template: dict[str, Any] | None) -> bool:
    """Whether a template holds a resource of our services."""
    return any(
        is_ours(str(resource.get("Type", "")))
        or scales_endpoint(str(resource.get("Type", "")), resource.get("Properties") or {})
        for resource in (template or {}).get("Resources", {}).values()
        if isinstance(resource, dict)
    )
