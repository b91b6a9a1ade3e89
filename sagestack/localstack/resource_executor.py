"""How one resource of a stack of ours is changed, referred to and told of.

Mends what LocalStack 4.14's engine does with a single resource: it plans replacement from
the template alone, makes up attributes, and forgets a resource whose predecessor it deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localstack.aws.api.cloudformation import ChangeAction, ResourceStatus, StackStatus
from localstack.services.cloudformation.engine.v2 import change_set_model_executor as engine
from localstack.services.cloudformation.engine.v2.change_set_model import (
    NodeResources,
    Nothing,
    is_nothing,
)
from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    PreprocProperties,
    PreprocResource,
)
from localstack.services.cloudformation.engine.validations import ValidationError
from localstack.services.cloudformation.resource_provider import OperationStatus
from localstack.services.cloudformation.v2.entities import ChangeSet, Stack

from sagestack.cloudformation.mapping import name_in, replaced, same_resource
from sagestack.cloudformation.registry import is_ours, scales_endpoint, value_at
from sagestack.cloudformation.types import SUPPORTED_TYPES, refusal


@dataclass(frozen=True)
class Change:
    """What was done to a resource: made (anew), or updated in place."""

    name: str
    before: PreprocResource | None
    after: PreprocResource | None
    in_place: bool


class Cancelled(Exception):
    """The stack is being deleted while it is created."""


class ResourceExecutor(engine.ChangeSetModelExecutor):  # type: ignore[misc]
    """`retained` are the resources that a deletion of the stack leaves."""

    def __init__(self, change_set: ChangeSet, retained: frozenset[str]) -> None:
        super().__init__(change_set)
        self._retained = retained
        self._stack: Stack = change_set.stack
        self._changes: list[Change] = []
        self._rolling_back = False
        self._deleting = self._stack.status == StackStatus.DELETE_IN_PROGRESS

    def visit_node_resources(self, node_resources: NodeResources) -> None:
        """LocalStack's own passes over a resource whose condition no longer holds, and forgets
        it. It is visited here, and so removed."""
        for node in node_resources.resources:
            condition = node.condition_reference
            wanted = is_nothing(condition) or (
                self._resolve_resource_condition_reference(condition).after is not False
            )
            if wanted or self._is_deployed(node.name):
                self.visit(node)

    def _execute_resource_change(
        self, name: str, before: PreprocResource | Any, after: PreprocResource | Any
    ) -> None:
        self._go_on()
        if not is_nothing(before) and not self._is_deployed(name):
            before = Nothing
        if is_nothing(before) and is_nothing(after):
            return
        if self._deleting and name in self._retained:
            self._tell_retained(name, before.resource_type)
            return
        if is_nothing(before) and self._is_deployed(name):
            self._remove_leftover(name)
        if not is_nothing(after) and scales_endpoint(after.resource_type, _properties(after)):
            action = ChangeAction.Add if is_nothing(before) else ChangeAction.Modify
            reason = refusal(f"{after.resource_type} of an endpoint")
            self._fail(action, name, after.resource_type, reason)
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

    def _go_on(self) -> None:
        """Raises Cancelled if the stack is to be deleted by now."""
        if not self._deleting and self._stack.status == StackStatus.DELETE_IN_PROGRESS:
            raise Cancelled("Resource creation cancelled")

    def _may_replace(self, name: str, before: PreprocResource, after: PreprocResource) -> bool:
        """Decide by the values, which the engine does not have when it plans, whether the
        change makes a new resource; False if that can't be, as it would have the same name."""
        kind = SUPPORTED_TYPES.get(after.resource_type)
        if kind is None:
            return True
        new = _properties(after)
        deployed = self._stack.resolved_resources[name]["Properties"]
        after.requires_replacement = bool(replaced(kind, _properties(before), new, deployed))
        if not after.requires_replacement or not same_resource(kind, new, deployed):
            return True
        self._fail(
            ChangeAction.Modify,
            name,
            after.resource_type,
            "CloudFormation cannot update a stack when a custom-named resource requires "
            f"replacing. Rename {name_in(kind, new)} and update the stack again.",
        )
        return False

    def _fail(self, action: ChangeAction, name: str, resource_type: str, reason: str) -> None:
        verb = engine.EventOperationFromAction[action.value]
        self.resources[name] = engine.ResolvedResource(
            Properties={},
            LogicalResourceId=name,
            Type=resource_type,
            LastUpdatedTimestamp=datetime.now(UTC),
            ResourceStatus=ResourceStatus(f"{verb}_FAILED"),
            ResourceStatusReason=reason,
        )
        self._tell(action, name, resource_type, OperationStatus.FAILED, reason)

    def _remove_leftover(self, name: str) -> None:
        """Delete what an earlier failure that was not rolled back left of a resource."""
        leftover = self._stack.resolved_resources[name]
        self._execute_resource_action(
            action=ChangeAction.Remove,
            logical_resource_id=name,
            resource_type=leftover["Type"],
            before_properties=PreprocProperties(leftover["Properties"]),
            after_properties=None,
            part_of_replacement=True,
        )

    def _is_deployed(self, name: str) -> bool:
        """Whether there is anything of the resource, be it one that failed."""
        resource = self._stack.resolved_resources.get(name, {})
        gone = resource.get("ResourceStatus") == ResourceStatus.DELETE_COMPLETE
        return not gone and ("PhysicalResourceId" in resource or bool(resource.get("Properties")))

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
        if event_status == OperationStatus.FAILED and not reason:
            return  # it was not its turn: what it depends on has failed, and was told of
        verb = special_action or engine.EventOperationFromAction[action.value]
        ending = "COMPLETE" if event_status == OperationStatus.SUCCESS else event_status.name
        states = self._stack.resource_states
        successor = (
            states.get(logical_resource_id)
            if self._cleans_up(action, logical_resource_id)
            else None
        )
        self._stack.set_resource_status(
            logical_resource_id=logical_resource_id,
            physical_resource_id=self._before_resource_physical_id(logical_resource_id)
            if successor
            else self._get_physical_id(logical_resource_id, False),
            resource_type=resource_type,
            status=ResourceStatus(custom_status or f"{verb}_{ending}"),
            resource_status_reason=reason,
        )
        if successor:
            states[logical_resource_id] = successor

    def _cleans_up(self, action: ChangeAction, name: str) -> bool:
        """Whether what is removed is the predecessor of a resource that was replaced."""
        made = any(change.name == name and change.after is not None for change in self._changes)
        return made and action == ChangeAction.Remove and not self._rolling_back

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

    def _tell_retained(self, name: str, resource_type: str) -> None:
        skipped = ResourceStatus.DELETE_SKIPPED
        self._tell(ChangeAction.Remove, name, resource_type, OperationStatus.SUCCESS, None, skipped)

    # References

    def _deployed_property_value_of(
        self, resource_logical_id: str, property_name: str, resolved_resources: dict[str, Any]
    ) -> Any:
        """What GetAtt answers. LocalStack's own makes up a value where there is none."""
        value = super()._deployed_property_value_of(
            resource_logical_id, property_name, resolved_resources
        )
        resource = resolved_resources[resource_logical_id]
        path = property_name.replace(".", "/")
        if not is_ours(resource["Type"]) or value_at(resource["Properties"], path):
            return value
        raise ValidationError(
            f"Template error: resource {resource_logical_id} does not support attribute type "
            f"{property_name} in Fn::GetAtt"
        )


def _properties(resource: PreprocResource) -> dict[str, Any]:
    """The properties of a resource, of which it may have none."""
    return {} if is_nothing(resource.properties) else resource.properties.properties
