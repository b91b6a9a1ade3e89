"""A record's document, and how it is stored: the members that Describe answers."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]


def encode(document: Document) -> str:
    """JSON with datetimes and bytes marked, so that `decode` gives back what went in."""
    return json.dumps(document, default=_mark, separators=(",", ":"))


def decode(text: str) -> Document:
    document: Document = json.loads(text, object_hook=_unmark)
    return document


def _mark(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$datetime": value.timestamp()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _unmark(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        if "$datetime" in value:
            return datetime.fromtimestamp(value["$datetime"], UTC)
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
    return value
