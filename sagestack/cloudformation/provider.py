"""Provider: creates, updates and deletes one resource of a stack by its type's operations.

A handler is called again with the step it answered until that is done; what takes time is
never waited for in here. It raises ResourceFailed with the reason the stack shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sagestack.aws.errors import AwsError
from sagestack.cloudformation import tags
from sagestack.cloudformation.mapping import (
    ID,
    converted,
    name_in,
    replaced,
    request_for,
    with_name,
    without_attributes,
)
from sagestack.cloudformation.names import physical_name
from sagestack.cloudformation.registry import Properties, PropertiesInvalid, value_at
from sagestack.cloudformation.types import Call, ResourceType, Status
from sagestack.context import Context


@dataclass(frozen=True)
class Owner:
    """The stack that a resource belongs to, and its place in it."""

    stack_name: str
    logical_id: str
    stack_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """How far a handler came. `model` is the resource: its properties and attributes.
    When it is not `done`, the handler is called again with `model` and `phase`."""

    model: Properties
    done: bool = True
    phase: str = ""


class ResourceFailed(Exception):
    """The resource could not be brought to what was asked. `model` is what there is of it,
    None if nothing was made."""

    def __init__(self, reason: str, model: Properties | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.model = model


class Provider:
    """The handlers of one type, for one resource."""

    def __init__(self, kind: ResourceType, owner: Owner, context: Context) -> None:
        self._kind = kind
        self._owner = owner
        self._context = context

    def create(self, properties: Properties, phase: str = "") -> Step:
        if phase == "created":
            return self._settled(properties, phase)
        model = self._tagged(self._named(self._checked(properties)))
        self._call(self._kind.create, model)
        try:
            return self._settled(self._with_attributes(model), "created")
        except ResourceFailed as failure:
            raise ResourceFailed(failure.reason, failure.model or model) from failure

    def update(self, properties: Properties, deployed: Properties, phase: str = "") -> Step:
        """Change a resource in place. `deployed` is the model of the last step of all."""
        if phase == "updated":
            return self._settled(properties, phase)
        wanted = self._tagged(self._renamed(self._checked(properties), deployed))
        if create_only := replaced(self._kind, deployed, wanted, deployed):
            raise ResourceFailed(
                f"Resource of type '{self._kind.name}' with identifier '{deployed.get(ID)}' cannot "
                f"be updated: create-only properties [{', '.join(create_only)}] cannot be updated"
            )
        model = self._with_attributes(wanted)
        if self._kind.update is not None:
            request = request_for(self._kind, self._kind.update, wanted)
            if request != request_for(self._kind, self._kind.update, deployed):
                self._send(self._kind.update.operation, request)
        self._change_tags(model, deployed)
        return self._settled(model, "updated")

    def delete(self, model: Properties, phase: str = "") -> Step:
        """Delete a resource. One that is gone already is no failure."""
        if self._kind.status is not None:
            described = self._described(model)
            if described is None:
                return Step(model)
            if phase == "deleted" or described[self._kind.status.member] in self._kind.status.busy:
                return Step(model, done=False, phase=phase)
        try:
            self._call(self._kind.delete, model)
        except ResourceFailed as failure:
            if not _means_missing(failure, self._kind):
                raise
            return Step(model)
        return Step(model, done=self._kind.status is None, phase="deleted")

    def read(self, model: Properties) -> Properties | None:
        """The model of what exists, None if nothing does."""
        return None if self._described(model) is None else self._with_attributes(model)

    # What a template says becomes a model

    def _checked(self, properties: Properties) -> Properties:
        properties = without_attributes(self._kind, properties)
        try:
            self._kind.schema.check(properties)
            return converted(self._kind, properties)
        except PropertiesInvalid as error:
            raise ResourceFailed(
                f"Properties validation failed for resource {self._owner.logical_id} "
                f"with message:\n{error}"
            ) from error

    def _named(self, properties: Properties) -> Properties:
        """Properties with a physical name, made up if they give none."""
        name = name_in(self._kind, properties)
        if name is None and self._kind.names:
            owner = self._owner
            name = physical_name(owner.stack_name, owner.logical_id, self._kind.longest_name)
            name = name.lower() if self._kind.lower_case_name else name
        return with_name(self._kind, properties, name)

    def _renamed(self, properties: Properties, deployed: Properties) -> Properties:
        """Properties with the name the resource has, unless they give another."""
        name = name_in(self._kind, properties) or name_in(self._kind, deployed)
        return with_name(self._kind, properties, name)

    def _tagged(self, properties: Properties) -> Properties:
        tagging = self._kind.tagging
        if tagging is not None:
            wanted = tags.merged(self._owner.stack_tags, properties.pop("Tags", None))
            if wanted:
                properties["Tags"] = tags.as_property(wanted, tagging.as_map)
        return properties

    def _change_tags(self, model: Properties, deployed: Properties) -> None:
        tagging = self._kind.tagging
        if tagging is None:
            return
        arn = tagging.arn(model, self._context.caller)
        before, after = (tags.as_mapping(m.get("Tags")) for m in (deployed, model))
        added, removed = tags.changes(before, after)
        if removed:
            self._send(*tagging.remove(arn, removed))
        if added:
            self._send(*tagging.add(arn, added))

    # Operations

    def _call(self, call: Call, properties: Properties) -> dict[str, Any]:
        return self._send(call.operation, request_for(self._kind, call, properties))

    def _send(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._context.call(self._kind.api.service, operation, request)
        except AwsError as error:
            raise ResourceFailed(
                f"{error.message} (Service: {self._kind.api.label}, "
                f"Status Code: {error.status}, Error Code: {error.code})"
            ) from error

    def _described(self, model: Properties) -> dict[str, Any] | None:
        try:
            return self._call(self._kind.read, model)
        except ResourceFailed as failure:
            if _means_missing(failure, self._kind):
                return None
            raise

    def _with_attributes(self, model: Properties) -> Properties:
        described = self._call(self._kind.read, model) if self._kind.attributes else {}
        model = model | {
            name: value_at(described, path) for name, path in self._kind.attributes.items()
        }
        return model | {ID: "|".join(_text(value_at(model, path)) for path in self._kind.ref)}

    def _settled(self, model: Properties, phase: str) -> Step:
        """The step after an operation: done when the resource is where it was to go."""
        status = self._kind.status
        if status is None:
            return Step(model)
        described = self._described(model) or {}
        now = described.get(status.member)
        if now in status.busy:
            return Step(model, done=False, phase=phase)
        if now not in status.good or not _confirmed(status, described, model):
            reason = described.get(status.reason) or f"The resource is {now or 'gone'}."
            actual = {member: described[member] for member in status.confirms if described}
            raise ResourceFailed(reason, model | actual)
        return Step(model)


def _confirmed(status: Status, described: dict[str, Any], model: Properties) -> bool:
    return all(described.get(member) == model.get(member) for member in status.confirms)


def _means_missing(failure: ResourceFailed, kind: ResourceType) -> bool:
    cause = failure.__cause__
    return isinstance(cause, AwsError) and kind.api.is_missing(cause)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
