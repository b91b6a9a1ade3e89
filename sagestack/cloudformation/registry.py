"""The CloudFormation registry's schemas of SageMaker, Glue and Athena types.

`registry.json` holds what a provider needs of them, for every type: names of properties,
and the lists of those that are required, that only a new resource can take, and that are
not for the user to set. Paths into a property are written `TableInput/Name`. Source: the
us-east-1 schemas in cfn-lint 1.58.0 (MIT-0), whose files differ from version to version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

Properties = dict[str, Any]
SCALING = "AWS::ApplicationAutoScaling::"
NAMESPACES = ("AWS::SageMaker::", "AWS::Glue::", "AWS::Athena::")


class PropertiesInvalid(Exception):
    """The properties do not fit the type. The text is CloudFormation's."""


@dataclass(frozen=True)
class Schema:
    properties: frozenset[str]
    required: tuple[str, ...]
    create_only: tuple[str, ...]
    read_only: tuple[str, ...]

    def check(self, properties: Mapping[str, Any]) -> None:
        """Raises PropertiesInvalid for a property that is missing or that the type does
        not have."""
        settable = self.properties - set(self.read_only)
        faults = [
            *(f"required key [{p}] not found" for p in self.required if p not in properties),
            *(f"extraneous key [{p}] is not permitted" for p in properties if p not in settable),
        ]
        if faults:
            raise PropertiesInvalid("\n".join(f"#: {fault}" for fault in faults))

    def replaced(self, before: Properties, after: Properties, deployed: Properties) -> list[str]:
        """The changed properties that only a new resource can take.

        `before` and `after` are what the templates say, `deployed` is what is there: a
        generated name that the new template spells out is no change.
        """
        return [
            path
            for path in self.create_only
            if value_at(before, path) != value_at(after, path)
            and value_at(deployed, path) != value_at(after, path)
        ]


def is_ours(resource_type: str) -> bool:
    """Whether a type belongs to a service of sagestack, supported or not."""
    return resource_type.startswith(NAMESPACES)


def scales_endpoint(resource_type: str, properties: Mapping[str, Any]) -> bool:
    """Whether a resource of Application Auto Scaling, which LocalStack does not have, is about
    an endpoint: LocalStack would say that it was created."""
    return resource_type.startswith(SCALING) and properties.get("ServiceNamespace") == "sagemaker"


@cache
def schema_of(resource_type: str) -> Schema:
    """Raises KeyError for a type that the registry does not have."""
    entry = _registry()[resource_type]
    return Schema(
        properties=frozenset(entry["properties"]),
        required=tuple(entry.get("required", ())),
        create_only=tuple(entry.get("createOnlyProperties", ())),
        read_only=tuple(entry.get("readOnlyProperties", ())),
    )


@cache
def registered_types() -> tuple[str, ...]:
    return tuple(_registry())


@cache
def _registry() -> dict[str, dict[str, list[str]]]:
    text = files("sagestack.cloudformation").joinpath("registry.json").read_text("utf-8")
    registry: dict[str, dict[str, list[str]]] = json.loads(text)
    return registry


def value_at(properties: Any, path: str) -> Any:
    """`value_at({"A": {"B": 1}}, "A/B")` is 1; None where there is nothing."""
    for part in path.split("/"):
        if not isinstance(properties, Mapping):
            return None
        properties = properties.get(part)
    return properties
