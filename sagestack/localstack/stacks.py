"""Plugs sagestack's resource providers and executor into LocalStack's CloudFormation.

Types of SageMaker, Glue and Athena that do not run are refused; LocalStack itself would say
CREATE_COMPLETE and create nothing. Stacks that hold such types roll back when they fail.
Other types and other stacks are LocalStack's own business.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from localstack.services.cloudformation.engine.v2 import change_set_model_executor as engine
from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor
from localstack.services.cloudformation.v2 import provider as service
from localstack.services.cloudformation.v2.entities import ChangeSet

from sagestack.cloudformation.registry import is_ours
from sagestack.localstack.cloudformation import RefusingProvider
from sagestack.localstack.stack_executor import ChangeSetModelExecutor

ROLLBACK = "ROLLBACK"

_on_failure: ContextVar[str] = ContextVar("on_failure", default=ROLLBACK)
"""What the request that is being served wants of a failure: ROLLBACK, DO_NOTHING, DELETE."""


def plug_in() -> None:
    load = ResourceProviderExecutor.try_load_resource_provider

    def load_or_refuse(resource_type: str) -> Any:
        found = load(resource_type)
        return RefusingProvider() if found is None and is_ours(resource_type or "") else found

    ResourceProviderExecutor.try_load_resource_provider = staticmethod(load_or_refuse)
    service.ChangeSetModelExecutor = _executor


def remember_request(request: Any) -> None:
    """Note what a CloudFormation request wants of a failure. The thread that serves the
    request makes the executor."""
    wish = request.get("OnFailure") or ROLLBACK
    _on_failure.set("DO_NOTHING" if request.get("DisableRollback") else wish)


def _executor(change_set: ChangeSet) -> engine.ChangeSetModelExecutor:
    if not _has_ours(change_set):
        return engine.ChangeSetModelExecutor(change_set)
    on_failure = _on_failure.get()
    if on_failure == ROLLBACK:  # CreateChangeSet may have said otherwise
        on_failure = change_set.stack.request_payload.get("OnStackFailure") or ROLLBACK
    return ChangeSetModelExecutor(change_set, on_failure)


def _has_ours(change_set: ChangeSet) -> bool:
    stack = change_set.stack
    templates = (change_set.processed_template, change_set.template, stack.processed_template)
    return any(
        is_ours(str(resource.get("Type", "")))
        for template in templates
        for resource in (template or {}).get("Resources", {}).values()
        if isinstance(resource, dict)
    )
