"""Files as a DMatrix, read as the built-in algorithm reads its channels."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sagestack_modules import ours  # type: ignore[import-not-found]

_channels = ours("xgboost_algorithm.channels")
_errors = ours("xgboost_algorithm.errors")

LOG = logging.getLogger(__name__)
CSV, LIBSVM, PARQUET = _channels.CSV, _channels.LIBSVM, _channels.PARQUET
RECORDIO_PROTOBUF = _channels.RECORDIO


def get_content_type(content_type_cfg_val: str | None) -> str:
    """`csv`, `libsvm`, `parquet` or `recordio-protobuf`. Raises UserError."""
    if content_type_cfg_val is None:
        return str(LIBSVM)
    kind, *parameters = (part.strip() for part in content_type_cfg_val.lower().split(";"))
    known = _channels.CONTENT_TYPES
    if kind not in known:
        raise _errors.UserError(
            f"{content_type_cfg_val} is not an accepted ContentType: {', '.join(known)}."
        )
    sizes = [
        value for name, _, value in (p.partition("=") for p in parameters) if name == "label_size"
    ]
    if known[kind] == CSV and sizes and sizes[-1] != "1":
        raise _errors.UserError(
            f"{content_type_cfg_val} is not an accepted csv ContentType. "
            "Optional parameter label_size must be equal to 1"
        )
    return str(known[kind])


def get_dmatrix(
    data_path: str | list[str], content_type: str, csv_weights: int = 0, is_pipe: bool = False
) -> Any:
    """The files of one directory, file, or list of them as a DMatrix. Raises UserError.

    `csv_weights` is 1 where the second column of CSV holds the weights of the rows.
    """
    kind = content_type.lower()
    if is_pipe:
        raise _errors.UserError(f"Pipe mode for {kind} is no longer supported.")
    if kind == RECORDIO_PROTOBUF:
        raise _errors.UserError(_channels.NO_RECORDIO)
    files: list[Path] = []
    for path in map(Path, [data_path] if isinstance(data_path, str) else data_path):
        files += [path] if path.is_file() else _channels.data_files(path)
    if not files:
        raise _errors.UserError(f"Failed to load {kind} data: there is none in {data_path}")
    return _channels.read(files, kind, weighted=csv_weights == 1)


def validate_data_file_path(data_path: str, content_type: str) -> None:
    """Raises UserError for a path that is not there, or a first line that is of another
    format."""
    path = Path(data_path)
    if not path.exists():
        raise _errors.UserError(f"{data_path} is not a valid path!")
    if check := _channels.CHECKS.get(get_content_type(content_type)):
        for file in [path] if path.is_file() else _channels.data_files(path):
            check(file)


def get_size(data_path: str, is_pipe: bool = False) -> int:
    """Bytes of a file or below a directory. Raises UserError for a hidden file."""
    path = Path(data_path)
    return path.stat().st_size if path.is_file() else int(_channels.size(path))
