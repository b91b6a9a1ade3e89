"""Validation of a request against the service model, before any handler sees it.

Required, enum, pattern, length and range, with the text AWS answers. Each operation is
compiled once into nested functions, as this runs on every call. What the model can't say
(a name that is taken, a bucket that is missing) is the operation's own to check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from sagestack.aws.errors import ValidationException
from sagestack.aws.json_types import java_length, to_java, type_check, wrong_type
from sagestack.aws.patterns import matcher

CODES = {"sagemaker-runtime": "ValidationError", "athena": "InvalidRequestException"}
"""Services that answer bad input with another code than ValidationException."""

NOT_NULL = "Member must not be null"

Path = tuple[Any, ...]
"""A path as pairs, innermost first: `("b", ("a", ()))` is a.b. It is only written out
when something is wrong."""
Errors = list[str]
Check = Callable[[Any, Path, Errors], None]
Constraint = tuple[str, Callable[[Any], bool]]
"""What AWS says is demanded, and whether a value is so."""


def validate(model: OperationModel, request: Mapping[str, Any]) -> None:
    """Check a request. Members that the model does not know are ignored, as AWS does.

    Raises ValidationException, with the service's own code, for what breaks a constraint and
    SerializationException for a member of the wrong JSON type.
    """
    errors: Errors = []
    _operation(model)(request, (), errors)
    if errors:
        count = f"{len(errors)} validation error{'s' if len(errors) > 1 else ''} detected: "
        code = CODES.get(model.service_model.service_name)
        raise ValidationException(count + "; ".join(errors), code=code)


@lru_cache(maxsize=1024)
def _operation(model: OperationModel) -> Check:
    shape = model.input_shape
    if shape is None:
        return lambda value, path, errors: None
    # A payload is bytes for the operation itself to read and measure.
    return _structure(shape, {}, without=shape.serialization.get("payload"))


def _check(shape: Shape, known: dict[str, Check]) -> Check:
    """The check for a shape. `known` holds those that are already made, or being made: a
    shape may contain itself."""
    if shape.name not in known:
        known[shape.name] = lambda value, path, errors: known[shape.name](value, path, errors)
        known[shape.name] = _make(shape, known)
    return known[shape.name]


def _make(shape: Shape, known: dict[str, Check]) -> Check:
    if isinstance(shape, StructureShape):
        return _structure(shape, known)
    if isinstance(shape, ListShape):
        return _list(shape, known)
    if isinstance(shape, MapShape):
        return _map(shape, known)
    return _scalar(shape)


def _structure(shape: StructureShape, known: dict[str, Check], without: str | None = None) -> Check:
    if shape.is_document_type:
        return lambda value, path, errors: None
    required = frozenset(shape.required_members)
    members = [
        (name, name[0].lower() + name[1:], _check(member, known), name in required)
        for name, member in shape.members.items()
        if name != without
    ]
    union = shape.is_tagged_union

    def check(value: Any, path: Path, errors: Errors) -> None:
        if not isinstance(value, Mapping):
            raise wrong_type(value, "map")
        given = 0
        for name, label, member, is_required in members:
            item = value.get(name)
            if item is not None:
                given += 1
                member(item, (label, path), errors)
            elif is_required:
                errors.append(_error(None, (label, path), NOT_NULL))
        if union and given != 1:
            names = ", ".join(name for name, *_ in members)
            errors.append(_error(value, path, f"Member must have exactly one of: [{names}]"))

    return check


def _list(shape: ListShape, known: dict[str, Check]) -> Check:
    constraints = _lengths(shape.metadata)
    elements = _element_constraints(shape.member)
    each = _element(shape.member, known)

    def check(value: Any, path: Path, errors: Errors) -> None:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise wrong_type(value, "list")
        _collect(value, path, errors, constraints)
        for index, item in enumerate(value, 1):
            each(item, ("member", (index, path)), errors)
        _collect_elements(value, value, path, errors, "Member", elements)

    return check


def _map(shape: MapShape, known: dict[str, Check]) -> Check:
    constraints = _lengths(shape.metadata)
    keys = _element_constraints(shape.key)
    values = _element_constraints(shape.value)
    each = _element(shape.value, known)

    def check(value: Any, path: Path, errors: Errors) -> None:
        if not isinstance(value, Mapping):
            raise wrong_type(value, "map")
        _collect(value, path, errors, constraints)
        for key, item in value.items():
            each(item, ("member", (key, path)), errors)
        _collect_elements(value, value.keys(), path, errors, "Map keys", keys)
        _collect_elements(value, value.values(), path, errors, "Map value", values)

    return check


def _element(shape: Shape, known: dict[str, Check]) -> Check:
    """The check for one element of a list or a map. A scalar is only looked at for its type
    here, since AWS blames the list for what is wrong with it."""
    if isinstance(shape, StructureShape | ListShape | MapShape):
        check = _check(shape, known)
    else:
        of_type = type_check(shape)

        def check(value: Any, path: Path, errors: Errors) -> None:
            of_type(value)

    def check_element(value: Any, path: Path, errors: Errors) -> None:
        if value is None:
            errors.append(_error(None, path, NOT_NULL))
        else:
            check(value, path, errors)

    return check_element


def _scalar(shape: Shape) -> Check:
    constraints = _scalar_constraints(shape, shape.metadata)
    of_type = type_check(shape)
    hidden = bool(shape.metadata.get("sensitive"))

    def check(value: Any, path: Path, errors: Errors) -> None:
        of_type(value)
        _collect(value, path, errors, constraints, hidden)

    return check


def _scalar_constraints(shape: Shape, metadata: Mapping[str, Any]) -> list[Constraint]:
    """In the order in which AWS lists them."""
    constraints: list[Constraint] = []
    if values := metadata.get("enum"):
        demand = f"Member must satisfy enum value set: [{', '.join(values)}]"
        constraints.append((demand, frozenset(values).__contains__))
    if shape.type_name in ("string", "blob"):
        constraints += _lengths(metadata)
    elif shape.type_name in ("integer", "long", "float", "double"):
        constraints += _bounds(metadata, "value", float)
    if pattern := metadata.get("pattern"):
        demand = f"Member must satisfy regular expression pattern: {pattern}"
        constraints.append((demand, matcher(pattern)))
    return constraints


def _element_constraints(shape: Shape) -> list[Constraint]:
    """What AWS demands of the scalars in a list or a map, named all at once, with a lower
    bound of 0 where the model has only the upper one. Containers are checked one by one."""
    if isinstance(shape, StructureShape | ListShape | MapShape):
        return []
    bounded = shape.type_name == "string" and "max" in shape.metadata
    return _scalar_constraints(shape, {**({"min": 0} if bounded else {}), **shape.metadata})


def _lengths(metadata: Mapping[str, Any]) -> list[Constraint]:
    return _bounds(metadata, "length", java_length)


def _bounds(
    metadata: Mapping[str, Any], what: str, measure: Callable[[Any], float]
) -> list[Constraint]:
    constraints: list[Constraint] = []
    if (most := metadata.get("max")) is not None:
        demand = f"Member must have {what} less than or equal to {most}"
        constraints.append((demand, lambda value: measure(value) <= most))
    if (least := metadata.get("min")) is not None:
        demand = f"Member must have {what} greater than or equal to {least}"
        constraints.append((demand, lambda value: measure(value) >= least))
    return constraints


def _collect(
    value: Any, path: Path, errors: Errors, constraints: list[Constraint], hidden: bool = False
) -> None:
    for demand, holds in constraints:
        if not holds(value):
            errors.append(_error(value, path, demand, hidden))


def _collect_elements(
    container: Any,
    elements: Iterable[Any],
    path: Path,
    errors: Errors,
    who: str,
    constraints: list[Constraint],
) -> None:
    if all(holds(e) for e in elements if e is not None for _, holds in constraints):
        return
    demands = ", ".join(demand for demand, _ in constraints)
    errors.append(_error(container, path, f"{who} must satisfy constraint: [{demands}]"))


def _error(value: Any, path: Path, demand: str, hidden: bool = False) -> str:
    shown = "" if hidden else " null" if value is None else f" '{to_java(value)}'"
    return f"Value{shown} at '{_dotted(path)}' failed to satisfy constraint: {demand}"


def _dotted(path: Path) -> str:
    parts: list[str] = []
    while path:
        part, path = path
        parts.append(str(part))
    return ".".join(reversed(parts))
