"""Tags: the stack's and the resource's own, on the resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Tags = dict[str, str]


def merged(stack_tags: Mapping[str, str], own: Any) -> Tags:
    """The stack's tags under the resource's own, which come as a list of Key and Value or
    as a mapping."""
    return {**stack_tags, **as_mapping(own)}


def as_mapping(tags: Any) -> Tags:
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags or ()}


def as_property(tags: Tags, as_map: bool) -> Any:
    """In the form the resource's Tags property and its create operation have."""
    return tags if as_map else [{"Key": key, "Value": value} for key, value in tags.items()]


def changes(before: Tags, after: Tags) -> tuple[Tags, list[str]]:
    """The tags to add or to replace, and the keys to remove."""
    added = {key: value for key, value in after.items() if before.get(key) != value}
    return added, [key for key in before if key not in after]
