"""EventBridge events of kinds that are no jobs: told after the store was written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sagestack.context import Context


def tell(detail_type: str, detail: Mapping[str, Any], arn: str, context: Context) -> None:
    """Queue an event. One that can't be delivered changes nothing about the resource."""
    send = partial(context.aws.put_event, "aws.sagemaker", detail_type, milliseconds(detail), [arn])
    context.instance.events.put(send)


def milliseconds(value: Any) -> Any:
    """Times as numbers of milliseconds since the epoch, however deep they lie."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000.0)
    if isinstance(value, Mapping):
        return {key: milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [milliseconds(item) for item in value]
    return value
