"""EventBridge events of kinds that are no jobs: told after the store was written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sagestack.context import Context

LOG = logging.getLogger(__name__)


def tell(detail_type: str, detail: Mapping[str, Any], arn: str, context: Context) -> None:
    """Raises nothing: an event that is not delivered changes nothing about the resource."""
    try:
        context.aws.put_event("aws.sagemaker", detail_type, milliseconds(detail), [arn])
    except Exception:
        LOG.exception("the event of %s was not delivered", arn)


def milliseconds(value: Any) -> Any:
    """Times as numbers of milliseconds since the epoch, however deep they lie."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000.0)
    if isinstance(value, Mapping):
        return {key: milliseconds(item) for key, item in value.items()}
    if isinstance(value, list):
        return [milliseconds(item) for item in value]
    return value
