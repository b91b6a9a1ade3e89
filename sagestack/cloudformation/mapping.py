"""Mapping: the properties of a resource, between a template, a model and a request.

A model is what a deployed resource is known by: the properties it was made with, its
physical name in every place it has, and its attributes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from botocore.model import StructureShape

from sagestack.aws.registry import service_model
from sagestack.cloudformation.conversion import convert
from sagestack.cloudformation.registry import Properties, value_at
from sagestack.cloudformation.types import Call, ResourceType

ID = "Id"
"""The attribute that holds what Ref answers."""


def without_attributes(kind: ResourceType, model: Properties) -> Properties:
    attributes = {ID, *kind.attributes}
    return {name: value for name, value in model.items() if name not in attributes}


def converted(kind: ResourceType, properties: Properties) -> Properties:
    """A copy of the properties, in the types that the create operation wants.

    Raises PropertiesInvalid.
    """
    members = _members(kind, kind.create)
    return {
        name: convert(members[name], value, f"#/{name}") if name in members else value
        for name, value in respelled(kind, properties).items()
        if value is not None
    }


def respelled(kind: ResourceType, value: Any) -> Any:
    """A copy in which nested properties have the names of the operation's members."""
    if isinstance(value, dict):
        return {kind.spelling.get(name, name): respelled(kind, v) for name, v in value.items()}
    if isinstance(value, list):
        return [respelled(kind, item) for item in value]
    return value


def request_for(kind: ResourceType, call: Call, properties: Properties) -> dict[str, Any]:
    filled = {
        name: convert(member, properties[name], f"#/{name}")
        for name, member in _members(kind, call).items()
        if name in properties
    }
    request = {call.body: filled} if call.body else filled
    return request | {member: value_at(properties, path) for member, path in call.renamed.items()}


def name_in(kind: ResourceType, properties: Properties) -> str | None:
    """The physical name, if the properties give one in any of its places."""
    names = (value_at(properties, path) for path in kind.names)
    return next((name for name in names if name is not None), None)


def with_name(kind: ResourceType, properties: Properties, name: str | None) -> Properties:
    """Put the physical name in all of its places."""
    for path in kind.names if name is not None else ():
        *parents, last = path.split("/")
        target = properties
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = name
    return properties


def replaced(
    kind: ResourceType, before: Properties, after: Properties, deployed: Properties
) -> list[str]:
    """The changed properties that only a new resource can take. See Schema.replaced."""
    old, new = (
        with_name(kind, properties, name_in(kind, properties))
        for properties in (
            converted(kind, without_attributes(kind, before)),
            converted(kind, without_attributes(kind, after)),
        )
    )
    return kind.schema.replaced(old, new, deployed)


def same_resource(kind: ResourceType, properties: Properties, deployed: Properties) -> bool:
    """Whether the properties name the resource that is deployed."""
    name = name_in(kind, properties)
    named = with_name(kind, copy.deepcopy(properties), name)
    return name is not None and (
        request_for(kind, kind.read, named) == request_for(kind, kind.read, deployed)
    )


def _members(kind: ResourceType, call: Call) -> Mapping[str, Any]:
    shape = service_model(kind.api.service).operation_model(call.operation).input_shape
    assert isinstance(shape, StructureShape)
    members: Mapping[str, Any] = shape.members
    return members[call.body].members if call.body else members
