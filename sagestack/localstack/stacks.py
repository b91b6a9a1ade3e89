"""Stacks with resources of sagestack's services are deployed as AWS does, failures included.

LocalStack 4.14 says ROLLBACK_COMPLETE and leaves what was created, goes on to delete what a
failed update no longer names, and says DELETE_COMPLETE of what could not be deleted. For
these stacks its executor is replaced by one that rolls back. Other stacks are not touched.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localstack.aws.api.cloudformation import (
    ChangeAction,
    ExecutionStatus,
    ResourceStatus,
    StackStatus,
)
from localstack.services.cloudformation.engine.v2 import change_set_model_executor as engine
from localstack.services.cloudformation.engine.v2.change_set_model import Nothing, is_nothing
from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    DeletionPolicy,
    PreprocProperties,
    PreprocResource,
)
from localstack.services.cloudformation.resource_provider import (
    OperationStatus,
    ProgressEvent,
    ResourceProviderExecutor,
)
from localstack.services.cloudformation.v2 import provider as service
from localstack.services.cloudformation.v2.entities import ChangeSet, Stack

from sagestack.cloudformation.mapping import name_in, replaced
from sagestack.cloudformation.registry import is_ours
from sagestack.cloudformation.types import SUPPORTED_TYPES
from sagestack.localstack.cloudformation import RefusingProvider

LOG = logging.getLogger(__name__)
FAILED = {ResourceStatus.CREATE_FAILED, ResourceStatus.UPDATE_FAILED}

_on_failure: ContextVar[str] = ContextVar("on_failure", default="ROLLBACK")
"""What the request that is being served wants: ROLLBACK, DO_NOTHING or DELETE."""


def plug_in() -> None:
    """Refuse types that do not run, deploy stacks of ours with rollback."""
    load = ResourceProviderExecutor.try_load_resource_provider

    def load_or_refuse(resource_type: str) -> Any:
        found = load(resource_type)
        return RefusingProvider() if found is None and is_ours(resource_type or "") else found

    def executor(change_set: ChangeSet) -> engine.ChangeSetModelExecutor:
        kind = ChangeSetModelExecutor if _has_ours(change_set) else engine.ChangeSetModelExecutor
        return kind(change_set)

    ResourceProviderExecutor.try_load_resource_provider = staticmethod(load_or_refuse)
    service.ChangeSetModelExecutor = executor


def remember_request(request: Any) -> None:
    """Note what a CloudFormation request wants of a failure. Executors are made by the
    thread that serves the request."""
    wish = request.get("OnFailure") or request.get("OnStackFailure") or "ROLLBACK"
    _on_failure.set("DO_NOTHING" if request.get("DisableRollback") else wish)


def _has_ours(change_set: ChangeSet) -> bool:
    stack = change_set.stack
    templates = (change_set.processed_template, change_set.template, stack.processed_template)
    return any(
        is_ours(str(resource.get("Type", "")))
        for template in templates
        for resource in (template or {}).get("Resources", {}).values()
        if isinstance(resource, dict)
    )


class Settled(SystemExit):
    """Ends the thread of a deployment: its caller would go on to overwrite the status and
    the template that a failure left the stack with."""


@dataclass(frozen=True)
class Change:
    """What was done to a resource: made (anew), or updated in place."""

    name: str
    before: PreprocResource | None
    after: PreprocResource | None
    in_place: bool


# The engine keeps what it resolved under the name of the executor's class.
class ChangeSetModelExecutor(engine.ChangeSetModelExecutor):  # type: ignore[misc]
    def __init__(self, change_set: ChangeSet) -> None:
        super().__init__(change_set)
        self._stack: Stack = change_set.stack
        self._changes: list[Change] = []
        self._not_undone: list[str] = []
        self._on_failure = _on_failure.get()
        if self._on_failure == "ROLLBACK":
            self._on_failure = self._stack.request_payload.get("OnStackFailure") or "ROLLBACK"

    # The whole stack

    def process(self) -> None:
        creating = self._stack.status == StackStatus.CREATE_IN_PROGRESS
        deleting = self._stack.status == StackStatus.DELETE_IN_PROGRESS
        try:
            super().process()
        except Exception as failure:
            if deleting:
                raise
            LOG.error("stack %s failed: %s", self._stack.stack_name, failure)
            self._deferred_actions.clear()
            self._change_set.set_execution_status(ExecutionStatus.EXECUTE_FAILED)
            settle = self._settle_created if creating else self._settle_updated
            settle(self._reason(failure, "create" if creating else "update"))
            raise Settled from failure

    def execute(self) -> Any:
        deleting = self._stack.status == StackStatus.DELETE_IN_PROGRESS
        result = super().execute()
        if deleting:
            self._check_deleted()
        return result

    def _settle_created(self, reason: str) -> None:
        stack, change_set = self._stack, self._change_set
        stack.template, stack.template_body = change_set.template, change_set.template_body
        stack.processed_template = change_set.processed_template
        stack.resolved_parameters = change_set.resolved_parameters
        if self._on_failure == "DO_NOTHING":
            stack.resolved_resources = self.resources
            stack.set_stack_status(StackStatus.CREATE_FAILED, reason)
            return
        stack.set_stack_status(
            StackStatus.ROLLBACK_IN_PROGRESS, f"{reason} Rollback requested by user."
        )
        stack.resolved_resources = self._undone({})
        if self._not_undone:
            stack.set_stack_status(StackStatus.ROLLBACK_FAILED)
        elif self._on_failure == "DELETE":
            stack.set_stack_status(StackStatus.DELETE_COMPLETE)
            stack.deletion_time = datetime.now(UTC)
        else:
            stack.set_stack_status(StackStatus.ROLLBACK_COMPLETE)

    def _settle_updated(self, reason: str) -> None:
        """The stack keeps its template and parameters, and gets its resources back."""
        stack = self._stack
        if self._on_failure == "DO_NOTHING":
            done = {n: r for n, r in self.resources.items() if r["ResourceStatus"] not in FAILED}
            stack.resolved_resources = {**self.resources, **stack.resolved_resources, **done}
            stack.set_stack_status(StackStatus.UPDATE_FAILED, reason)
            return
        stack.set_stack_status(StackStatus.UPDATE_ROLLBACK_IN_PROGRESS, reason)
        stack.resolved_resources = self._undone(stack.resolved_resources)
        stack.set_stack_status(
            StackStatus.UPDATE_ROLLBACK_FAILED
            if self._not_undone
            else StackStatus.UPDATE_ROLLBACK_COMPLETE
        )

    def _check_deleted(self) -> None:
        """A stack is deleted when its resources are; the others can be tried again."""
        failed = [
            name
            for name, resource in self.resources.items()
            if resource.get("ResourceStatus") == ResourceStatus.DELETE_FAILED
        ]
        if not failed:
            return
        for name, resource in self._stack.resolved_resources.items():
            if name not in failed:
                resource["ResourceStatus"] = ResourceStatus.DELETE_COMPLETE
        reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]. "
        self._stack.set_stack_status(StackStatus.DELETE_FAILED, reason)
        raise Settled

    def _reason(self, failure: Exception, verb: str) -> str:
        failed = [n for n, r in self.resources.items() if r.get("ResourceStatus") in FAILED]
        if not failed:
            return str(failure)
        return f"The following resource(s) failed to {verb}: [{', '.join(failed)}]."

    # One resource

    def _execute_resource_change(
        self, name: str, before: PreprocResource | Any, after: PreprocResource | Any
    ) -> None:
        if not is_nothing(before) and not self._is_deployed(name):
            before = Nothing
        if is_nothing(before) and is_nothing(after):
            return
        both = not is_nothing(before) and not is_nothing(after)
        same_type = both and before.resource_type == after.resource_type
        if (
            same_type
            and is_ours(after.resource_type)
            and not self._may_replace(name, before, after)
        ):
            return
        self._changes.append(
            Change(
                name,
                None if is_nothing(before) else before,
                None if is_nothing(after) else after,
                in_place=same_type and not after.requires_replacement,
            )
        )
        super()._execute_resource_change(name, before, after)

    def _may_replace(self, name: str, before: PreprocResource, after: PreprocResource) -> bool:
        """Decide by the values, which the engine does not have when it plans, whether the
        change makes a new resource; False if that can't be, as it would have the same name."""
        kind = SUPPORTED_TYPES.get(after.resource_type)
        if kind is None:
            return True
        new = _properties(after)
        deployed = self._stack.resolved_resources[name]["Properties"]
        after.requires_replacement = bool(replaced(kind, _properties(before), new, deployed))
        given = name_in(kind, new)
        if not after.requires_replacement or given is None or given != name_in(kind, deployed):
            return True
        self._fail(
            name,
            after.resource_type,
            "CloudFormation cannot update a stack when a custom-named resource requires "
            f"replacing. Rename {given} and update the stack again.",
        )
        return False

    def _fail(self, name: str, resource_type: str, reason: str) -> None:
        self.resources[name] = engine.ResolvedResource(
            Properties={},
            LogicalResourceId=name,
            Type=resource_type,
            LastUpdatedTimestamp=datetime.now(UTC),
            ResourceStatus=ResourceStatus.UPDATE_FAILED,
            ResourceStatusReason=reason,
        )
        self._tell(ChangeAction.Modify, name, resource_type, OperationStatus.FAILED, reason)

    def _is_deployed(self, name: str) -> bool:
        resource = self._stack.resolved_resources.get(name, {})
        gone = resource.get("ResourceStatus") == ResourceStatus.DELETE_COMPLETE
        return "PhysicalResourceId" in resource and not gone

    def _process_event(
        self,
        *,
        action: ChangeAction,
        logical_resource_id: str,
        event_status: OperationStatus,
        resource_type: str,
        special_action: str | None = None,
        reason: str | None = None,
        custom_status: ResourceStatus | str | None = None,
    ) -> None:
        """Tell of a resource. LocalStack's own gives the stack the status of a resource that
        failed, which ends the wait of every client before the rollback has begun."""
        verb = special_action or engine.EventOperationFromAction[action.value]
        ending = "COMPLETE" if event_status == OperationStatus.SUCCESS else event_status.name
        self._stack.set_resource_status(
            logical_resource_id=logical_resource_id,
            physical_resource_id=self._get_physical_id(logical_resource_id, False),
            resource_type=resource_type,
            status=ResourceStatus(custom_status or f"{verb}_{ending}"),
            resource_status_reason=reason,
        )

    def _tell(
        self,
        action: ChangeAction,
        name: str,
        resource_type: str,
        status: OperationStatus,
        reason: str | None = None,
        custom_status: ResourceStatus | None = None,
    ) -> None:
        self._process_event(
            action=action,
            logical_resource_id=name,
            resource_type=resource_type,
            event_status=status,
            reason=reason,
            custom_status=custom_status,
        )

    # Rollback

    def _undone(self, before: dict[str, Any]) -> dict[str, Any]:
        """Undo what was done, the latest first; answer the resources there are then."""
        resources = dict(before)
        for change in reversed(self._changes):
            if change.in_place:
                restored = self._restore(change, resources[change.name])
                resources[change.name] = restored
            elif change.after is not None and not self._remove(change.name, change.after):
                resources.setdefault(change.name, self.resources[change.name])
        return resources

    def _remove(self, name: str, made: PreprocResource) -> bool:
        """Delete a resource that was made; False if that failed."""
        model = self.resources.get(name, {}).get("Properties")
        if not model:
            return True  # it failed before there was anything
        kind = made.resource_type
        if made.deletion_policy == DeletionPolicy.Retain:
            skipped = ResourceStatus.DELETE_SKIPPED
            self._tell(ChangeAction.Remove, name, kind, OperationStatus.SUCCESS, None, skipped)
            return True
        event = self._act(ChangeAction.Remove, name, kind, PreprocProperties(model), None)
        return bool(event.status == OperationStatus.SUCCESS)

    def _restore(self, change: Change, deployed: dict[str, Any]) -> dict[str, Any]:
        """Update a resource back to what it was; answer it as it is then."""
        assert change.before is not None
        now = self.resources[change.name].get("Properties") or deployed["Properties"]
        kind, old = change.before.resource_type, change.before.properties
        event = self._act(ChangeAction.Modify, change.name, kind, PreprocProperties(now), old)
        if event.status != OperationStatus.SUCCESS:
            return deployed
        restored: dict[str, Any] = self.resources[change.name]
        return restored

    def _act(
        self,
        action: ChangeAction,
        name: str,
        kind: str,
        before: PreprocProperties,
        after: PreprocProperties | None,
    ) -> ProgressEvent:
        self._tell(action, name, kind, OperationStatus.IN_PROGRESS)
        event = self._execute_resource_action(
            action=action,
            logical_resource_id=name,
            resource_type=kind,
            before_properties=before,
            after_properties=after,
            part_of_replacement=action == ChangeAction.Remove,
        )
        self._tell(action, name, kind, event.status, event.message)
        if event.status != OperationStatus.SUCCESS:
            self._not_undone.append(name)
        return event


def _properties(resource: PreprocResource) -> dict[str, Any]:
    """The properties of a resource, of which it may have none."""
    return {} if is_nothing(resource.properties) else resource.properties.properties
