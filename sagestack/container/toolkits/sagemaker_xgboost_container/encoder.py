"""Bodies of requests as a DMatrix."""

from __future__ import annotations

import json
from typing import Any

from sagestack_modules import ours  # type: ignore[import-not-found]

_codecs = ours("model_server.codecs")
_handlers = ours("model_server.xgboost_handlers")


def csv_to_dmatrix(input: str | bytes, dtype: Any = None) -> Any:
    """Rows of features, without a label. A DMatrix holds floats, so `dtype` changes nothing."""
    return _handlers.matrix_of(_text(input), "text/csv")


def libsvm_to_dmatrix(string_like: str | bytes) -> Any:
    """Rows of `index:value`; a label may stand before them."""
    return _handlers.matrix_of(_text(string_like), "text/libsvm")


def decode(obj: str | bytes, content_type: str) -> Any:
    """Raises UnsupportedFormatError."""
    kind = content_type.split(";", 1)[0].strip().lower()
    if kind not in ("text/csv", "text/libsvm", "text/x-libsvm"):
        raise _codecs.UnsupportedFormat(kind)
    return _handlers.matrix_of(_text(obj), kind)


def json_to_jsonlines(json_data: str | dict[str, Any]) -> bytes:
    """The entries of an object's only list, one a line."""
    content = json_data if isinstance(json_data, dict) else json.loads(json_data)
    if len(content) != 1:
        raise ValueError("JSON response is not compatible for conversion to jsonlines.")
    (entries,) = content.values()
    return "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()


def _text(body: str | bytes) -> str:
    return body if isinstance(body, str) else bytes(body).decode()
