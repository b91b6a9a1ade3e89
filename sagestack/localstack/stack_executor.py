"""The executor of stacks that hold resources of sagestack's services, with rollback.

LocalStack 4.14 says ROLLBACK_COMPLETE and leaves what was created, goes on to delete what a
failed update no longer names, and says DELETE_COMPLETE of what could not be deleted, or of a
stack whose creation goes on.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Any, NoReturn

from localstack.aws.api.cloudformation import (
    ChangeAction,
    ExecutionStatus,
    ResourceStatus,
    StackStatus,
)
from localstack.services.cloudformation.engine.v2 import change_set_model_executor as engine
from localstack.services.cloudformation.engine.v2.change_set_model_preproc import (
    DeletionPolicy,
    PreprocProperties,
    PreprocResource,
)
from localstack.services.cloudformation.resource_provider import OperationStatus, ProgressEvent
from localstack.services.cloudformation.v2.entities import ChangeSet, Stack

from sagestack.localstack.resource_executor import Change, ResourceExecutor

LOG = logging.getLogger(__name__)
FAILED = {ResourceStatus.CREATE_FAILED, ResourceStatus.UPDATE_FAILED}


deployments: dict[str, ChangeSetModelExecutor] = {}
"""What creates or updates a stack right now, by the stack's id."""


class Settled(SystemExit):
    """Ends the thread of a deployment: its caller would go on to overwrite the status and
    the template that a failure left the stack with."""


# The engine keeps what it resolved under the name of the executor's class.
class ChangeSetModelExecutor(ResourceExecutor):
    """`on_failure` is ROLLBACK, DO_NOTHING or DELETE, as CreateStack has it."""

    def __init__(self, change_set: ChangeSet, on_failure: str, retained: frozenset[str]) -> None:
        super().__init__(change_set, retained)
        self._on_failure = on_failure
        self._not_undone: list[str] = []
        self._ended = threading.Event()
        if not self._deleting:
            deployments[self._stack.stack_id] = self

    def process(self) -> None:
        if self._deleting:
            super().process()
            return
        try:
            self._deploy()
        finally:
            del deployments[self._stack.stack_id]
            self._ended.set()

    def _deploy(self) -> None:
        creating = self._stack.status == StackStatus.CREATE_IN_PROGRESS
        try:
            super().process()
            self._go_on()
        except Exception as failure:
            if self._stack.status == StackStatus.DELETE_IN_PROGRESS:
                self._settle_deleted()
                raise Settled from failure
            LOG.error("stack %s failed: %s", self._stack.stack_name, failure)
            self._deferred_actions.clear()
            self._change_set.set_execution_status(ExecutionStatus.EXECUTE_FAILED)
            settle = self._settle_created if creating else self._settle_updated
            settle(self._reason(failure, "create" if creating else "update"))
            raise Settled from failure

    def execute(self) -> Any:
        self._stack.status_reason = None
        result = super().execute()
        if self._deleting:
            self._check_deleted()
        else:
            self._take_result(result)
        return result

    def _take_result(self, result: engine.ChangeSetModelExecutorResult) -> None:
        """LocalStack writes some of this after the status, and UpdateStack forgets the processed
        template, by which DeleteStack goes."""
        stack = self._stack
        self._take_template(self._change_set.template, self._change_set.processed_template)
        stack.resolved_resources = result.resources
        stack.resolved_outputs = result.outputs
        stack.resolved_exports = {
            output["ExportName"]: output["OutputValue"]
            for output in result.outputs
            if output.get("ExportName")
        }

    def _settle_created(self, reason: str) -> None:
        stack = self._stack
        if self._on_failure == "DO_NOTHING":
            self._keep_what_was_done()
            stack.set_stack_status(StackStatus.CREATE_FAILED, reason)
            return
        self._take_template(self._change_set.template, self._change_set.processed_template)
        stack.set_stack_status(
            StackStatus.ROLLBACK_IN_PROGRESS, f"{reason.rstrip('.')}. Rollback requested by user."
        )
        stack.resolved_resources = self._undone({})
        if self._not_undone:
            stack.set_stack_status(StackStatus.ROLLBACK_FAILED)
        elif self._on_failure == "DELETE":
            stack.deletion_time = datetime.now(UTC)
            stack.set_stack_status(StackStatus.DELETE_COMPLETE)
        else:
            stack.set_stack_status(StackStatus.ROLLBACK_COMPLETE)

    def _settle_deleted(self) -> None:
        """The stack is to be deleted, which Cancellation completes: undo what was created."""
        self._take_template(self._change_set.template, self._change_set.processed_template)
        self._stack.resolved_resources = self._undone({})

    def wait(self) -> list[str]:
        """Wait for the end of a deployment; answer the resources that could not be undone."""
        self._ended.wait()
        return self._not_undone

    def _settle_updated(self, reason: str) -> None:
        """The stack keeps its template and parameters, and gets its resources back."""
        stack = self._stack
        if self._on_failure == "DO_NOTHING":
            self._keep_what_was_done()
            stack.set_stack_status(StackStatus.UPDATE_FAILED, reason)
            return
        stack.set_stack_status(StackStatus.UPDATE_ROLLBACK_IN_PROGRESS, reason)
        stack.resolved_resources = self._undone(stack.resolved_resources)
        stack.set_stack_status(
            StackStatus.UPDATE_ROLLBACK_FAILED
            if self._not_undone
            else StackStatus.UPDATE_ROLLBACK_COMPLETE
        )

    def _keep_what_was_done(self) -> None:
        """Leave every resource where the failure left it. The stack's template then says what
        is deployed, so that the next update does the rest, and its processed template all that
        may be there, so that a deletion finds it."""
        stack, change_set = self._stack, self._change_set
        done = {n: r for n, r in self.resources.items() if r.get("ResourceStatus") not in FAILED}
        stack.resolved_resources = {**self.resources, **stack.resolved_resources, **done}
        new = {n: r for n, r in change_set.template["Resources"].items() if n in done}
        everything = _resources(change_set.processed_template)
        # Outputs may be of what is not there: those of before hold.
        outputs = (stack.template or {}).get("Outputs", {})
        self._take_template(
            {
                **change_set.template,
                "Resources": _resources(stack.template) | new,
                "Outputs": outputs,
            },
            {
                **change_set.processed_template,
                "Resources": _resources(stack.processed_template) | everything,
                "Outputs": outputs,
            },
        )

    def _take_template(self, template: dict[str, Any], processed: dict[str, Any]) -> None:
        stack, change_set = self._stack, self._change_set
        stack.template, stack.processed_template = template, processed
        stack.template_body = change_set.template_body
        stack.resolved_parameters = change_set.resolved_parameters

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
        _fail_deletion(self._stack, failed)

    def _reason(self, failure: Exception, verb: str) -> str:
        failed = [n for n, r in self.resources.items() if r.get("ResourceStatus") in FAILED]
        if not failed:
            return str(failure)
        return f"The following resource(s) failed to {verb}: [{', '.join(failed)}]."

    # Rollback

    def _undone(self, before: dict[str, Any]) -> dict[str, Any]:
        """Undo what was done, the latest first; answer the resources there are then."""
        self._rolling_back = True
        resources = dict(before)
        for change in reversed(self._changes):
            if change.in_place:
                restored = self._restore(change, resources[change.name])
                resources[change.name] = restored
            elif change.after is not None:
                if not self._remove(change.name, change.after):
                    resources.setdefault(change.name, self.resources[change.name])
                elif change.before is not None:
                    self.resources[change.name] = before[change.name]
                    kind = change.before.resource_type
                    self._tell(ChangeAction.Modify, change.name, kind, OperationStatus.SUCCESS)
        return resources

    def _remove(self, name: str, made: PreprocResource) -> bool:
        """Delete a resource that was made; False if that failed."""
        model = self.resources.get(name, {}).get("Properties")
        if not model:
            return True  # it failed before there was anything
        kind = made.resource_type
        if made.deletion_policy == DeletionPolicy.Retain:
            self._tell_retained(name, kind)
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


class Cancellation:
    """Deletes a stack that is being created or rolled back: has that end, and undo itself."""

    def __init__(self, deployment: ChangeSetModelExecutor, stack: Stack) -> None:
        self._deployment = deployment
        self._stack = stack

    def execute(self) -> None:
        if failed := self._deployment.wait():
            _fail_deletion(self._stack, failed)


def _fail_deletion(stack: Stack, failed: list[str]) -> NoReturn:
    reason = f"The following resource(s) failed to delete: [{', '.join(failed)}]."
    stack.set_stack_status(StackStatus.DELETE_FAILED, reason)
    raise Settled


def _resources(template: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = (template or {}).get("Resources", {})
    return found
