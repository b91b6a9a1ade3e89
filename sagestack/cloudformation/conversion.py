"""Conversion of template properties into what an operation takes.

A template may write a number or a truth as text and the reverse, and CloudFormation sees
to it that each arrives as the type the service wants. What is no such thing is left as it
is, for the operation to refuse with its own words.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from sagestack.cloudformation.registry import PropertiesInvalid

TRUTHS = {"true": True, "false": False}


def convert(shape: Shape, value: Any, path: str = "#") -> Any:
    """A property as the shape of an operation's member wants it.

    Raises PropertiesInvalid for a nested property that the shape does not have: to drop it
    would be to deploy something else than was asked for.
    """
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {
            name: convert(_member(shape, name, path), item, f"{path}/{name}")
            for name, item in value.items()
            if item is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [convert(shape.member, item, f"{path}/{i}") for i, item in enumerate(value)]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {str(k): convert(shape.value, item, f"{path}/{k}") for k, item in value.items()}
    return _scalar(shape.type_name, value)


def _member(shape: StructureShape, name: str, path: str) -> Shape:
    member: Shape | None = shape.members.get(name)
    if member is None:
        raise PropertiesInvalid(f"{path}: extraneous key [{name}] is not permitted")
    return member


def _scalar(type_name: str, value: Any) -> Any:
    if type_name == "string":
        return _text(value)
    if isinstance(value, str):
        if type_name == "boolean":
            return TRUTHS.get(value.lower(), value)
        if type_name in ("integer", "long", "float", "double"):
            return _number(type_name, value)
    return value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value


def _number(type_name: str, value: str) -> Any:
    try:
        number = float(value)
    except ValueError:
        return value
    return int(number) if type_name in ("integer", "long") and number.is_integer() else number
