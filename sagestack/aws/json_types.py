"""JSON types: whether a member is of the type its shape asks for, and how Java shows it.

Members arrive as botocore and LocalStack's parser hand them over: a timestamp as a datetime,
a number or a text, a blob as bytes, a text or a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.model import Shape

from sagestack.aws.errors import SerializationException

JAVA_NAMES = {
    "string": "a String",
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
    "timestamp": "a Timestamp",
    "blob": "a Blob",
    "character": "a Character",
}
BITS = {"integer": 32, "long": 64}
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def type_check(shape: Shape) -> Callable[[Any], None]:
    """A function that raises SerializationException for a scalar of another JSON type."""
    name = shape.type_name
    if name in BITS:
        return lambda value: _whole_number(value, name)
    fits = FITS[name]

    def check(value: Any) -> None:
        if not fits(value):
            raise wrong_type(value, name)

    return check


def wrong_type(value: Any, wanted: str) -> SerializationException:
    """The error for a value that is not of the type of a shape."""
    if isinstance(value, Mapping):
        return SerializationException("Start of structure or map found where not expected.")
    if isinstance(value, list | tuple):
        return SerializationException("Start of list found where not expected.")
    if wanted in ("list", "map"):
        return SerializationException(f"Expected {wanted} or null")
    return SerializationException(f"{_token(value)} can not be converted to {JAVA_NAMES[wanted]}")


def to_java(value: Any) -> str:
    """A value as Java's toString writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | bytearray):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={to_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_java, value)) + "]"
    return str(value)


def java_length(value: Any) -> int:
    """How long a text, a list or a map is. Java counts a text's UTF-16 units."""
    if isinstance(value, str) and not value.isascii():
        return len(value.encode("utf-16-le", "surrogatepass")) // 2
    return len(value) if isinstance(value, Mapping | Sequence | bytearray) else 0


def _whole_number(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        raise wrong_type(value, name)
    limit = 1 << (BITS[name] - 1)
    if not -limit <= value < limit:
        kind = "int" if name == "integer" else "long"
        raise SerializationException(
            f"Numeric value ({value}) out of range of {kind} ({-limit} - {limit - 1})"
        )


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value in NOT_FINITE
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime | str | int | float) and not isinstance(value, bool)


def _is_blob(value: Any) -> bool:
    return isinstance(value, bytes | bytearray | str) or hasattr(value, "read")


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


FITS: dict[str, Callable[[Any], bool]] = {
    "string": _is_text,
    "character": _is_text,
    "float": _is_number,
    "double": _is_number,
    "boolean": _is_truth,
    "timestamp": _is_time,
    "blob": _is_blob,
}


def _token(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    if isinstance(value, float):
        return "DECIMAL_VALUE"
    return "STRING_VALUE"
