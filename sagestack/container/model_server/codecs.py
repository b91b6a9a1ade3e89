"""The content types that the default input_fn and output_fn know.

A content type is compared as it is written: AWS's containers know `text/csv` and not
`text/csv; charset=utf-8`, and so do these. Source: sagemaker-containers, `_encoders.py`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
NPZ = "application/x-npz"
TEXT_TYPES = (JSON, CSV)
"""Bodies of these reach the handlers as str, all others as bytes."""


class UnsupportedFormat(Exception):
    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"Content type {content_type} is not supported by this framework. Please implement "
            "input_fn to deserialize the request data or output_fn to serialize the response."
        )


def decode(body: Any, content_type: str) -> Any:
    """A body as a numpy array, or a scipy sparse matrix for NPZ. Raises UnsupportedFormat."""
    if content_type not in DECODERS:
        raise UnsupportedFormat(content_type)
    return DECODERS[content_type](body)


def encode(value: Any, content_type: str) -> str | bytes:
    """Raises UnsupportedFormat."""
    if content_type not in ENCODERS:
        raise UnsupportedFormat(content_type)
    return ENCODERS[content_type](value)


def _from_json(text: str) -> Any:
    return np.array(json.loads(text))


def _to_json(value: Any) -> str:
    def default(item: Any) -> Any:
        if hasattr(item, "tolist"):
            return item.tolist()
        raise TypeError(f"Object of type {type(item).__name__} is not JSON serializable")

    return json.dumps(value, default=default)


def _from_csv(text: str) -> Any:
    """One row gives one dimension, as on AWS, where scikit-learn then asks to reshape it."""
    rows = list(csv.reader(io.StringIO(text), strict=True))
    return np.array(rows).squeeze()


def _to_csv(value: Any) -> str:
    array = np.array(value)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", strict=True).writerows(array)
    return file.getvalue()


def _from_npy(body: bytes) -> Any:
    # AWS's containers unpickle here, and object arrays need it.
    return np.load(io.BytesIO(body), allow_pickle=True)


def _to_npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def _from_npz(body: bytes) -> Any:
    from scipy import sparse  # type: ignore[import-untyped]

    return sparse.load_npz(io.BytesIO(body))


def _to_npz(value: Any) -> bytes:
    from scipy import sparse

    if not sparse.issparse(value):
        raise UnsupportedFormat(NPZ)
    file = io.BytesIO()
    sparse.save_npz(file, value)
    return file.getvalue()


DECODERS: dict[str, Callable[[Any], Any]] = {
    JSON: _from_json,
    CSV: _from_csv,
    NPY: _from_npy,
    NPZ: _from_npz,
}
ENCODERS: dict[str, Callable[[Any], str | bytes]] = {
    JSON: _to_json,
    CSV: _to_csv,
    NPY: _to_npy,
    NPZ: _to_npz,
}
