"""Requests and answers as they are after a way over the network.

In one process they are Python values, and nothing would take from them what the wire takes:
a member the service's model does not have, a tuple, a text where a blob is meant. Both are
copied by the model's shapes, as a serialiser and a parser would.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from botocore.model import OperationModel, Shape
from botocore.response import StreamingBody
from botocore.utils import parse_to_aware_datetime

Scalar = Callable[[Shape, Any], Any]


def received(operation: OperationModel, parameters: dict[str, Any]) -> dict[str, Any]:
    """A call's parameters, as the service's parser would hand them over."""
    if operation.input_shape is None:
        return {}
    request: dict[str, Any] = _copy(operation.input_shape, parameters, _received)
    return request


def answered(operation: OperationModel, response: dict[str, Any]) -> dict[str, Any]:
    """An operation's answer, as botocore would parse it."""
    shape = operation.output_shape
    if shape is None:
        return {}
    answer: dict[str, Any] = _copy(shape, response, _answered)
    if operation.has_streaming_output:
        payload = shape.serialization["payload"]
        body = answer.get(payload, b"")
        answer[payload] = StreamingBody(io.BytesIO(body), len(body))
    return answer


def _copy(shape: Any, value: Any, scalar: Scalar) -> Any:
    match shape.type_name:
        case "structure" if not shape.is_document_type:
            return {
                name: _copy(member, value[name], scalar)
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case "list":
            return [_copy(shape.member, item, scalar) for item in value]
        case "map":
            return {key: _copy(shape.value, item, scalar) for key, item in value.items()}
        case _:
            return scalar(shape, value)


def _received(shape: Shape, value: Any) -> Any:
    match shape.type_name:
        case "timestamp":
            return parse_to_aware_datetime(value)
        case "blob":
            return _bytes(value.read() if hasattr(value, "read") else value)
        case "float" | "double":
            return float(value)
        case _:
            return value


def _answered(shape: Shape, value: Any) -> Any:
    match shape.type_name:
        case "timestamp":
            return parse_to_aware_datetime(value).astimezone()
        case "blob":
            return _bytes(value)
        case "float" | "double":
            return float(value)
        case _:
            return value


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
