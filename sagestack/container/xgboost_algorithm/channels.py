"""The input channels, and what they hold as a DMatrix.

XGBoost's own reader is used, as in AWS's image: what a file may look like, and what counts
as missing, is the same. A value that is no number counts as missing, so a header becomes a
row without values; the log warns of one.
"""

from __future__ import annotations

import csv
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError, without_stack

LOG = logging.getLogger(__name__)
Config = Mapping[str, str]

CSV, LIBSVM, PARQUET, RECORDIO = "csv", "libsvm", "parquet", "recordio-protobuf"
CONTENT_TYPES = {
    CSV: CSV,
    LIBSVM: LIBSVM,
    PARQUET: PARQUET,
    RECORDIO: RECORDIO,
    "text/csv": CSV,
    "text/libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "application/x-parquet": PARQUET,
    "application/x-recordio-protobuf": RECORDIO,
}
DEFAULT_CONTENT_TYPE = "text/libsvm"
CHANNELS = ("train", "validation", "code")
NO_RECORDIO = "sagestack does not read recordio-protobuf: use csv, libsvm or parquet"
NAMES = {CSV: "CSV", LIBSVM: "LibSVM", PARQUET: "Parquet", RECORDIO: "RecordIO-Protobuf"}
DEEPEST = 3
"""Folders below a channel whose files are read."""


def check(config: Mapping[str, Config]) -> str:
    """The format of the data: csv, libsvm or parquet. Raises UserError.

    Both channels are read as what the train channel says, as on AWS.
    """
    if "train" not in config:
        raise UserError("Missing required channel: train")
    for name, channel in config.items():
        _check_channel(name, {"ContentType": DEFAULT_CONTENT_TYPE} | dict(channel))
    train = config["train"]
    kind = CONTENT_TYPES[train.get("ContentType", DEFAULT_CONTENT_TYPE)]
    if train["TrainingInputMode"] == "Pipe":
        raise UserError(
            f"Pipe mode for {NAMES[kind]} is no longer supported. Please use Fast File mode "
            "(default) instead. Set input_mode='File' in your SageMaker Estimator or TrainingInput."
        )
    if kind == RECORDIO:
        raise UserError(NO_RECORDIO)
    return kind


def _check_channel(name: str, channel: dict[str, str]) -> None:
    if name not in CHANNELS:
        raise UserError(f"Extraneous channel found: {name}")
    kind, mode = channel["ContentType"], channel["TrainingInputMode"]
    if name == "code":
        supported = kind == "text/python" and mode == "File"
    else:
        piped = mode == "Pipe" and CONTENT_TYPES.get(kind) != LIBSVM
        supported = kind in CONTENT_TYPES and (mode != "Pipe" or piped)
    if not supported:
        raise UserError(f"Channel configuration for '{name}' channel is not supported: {channel}")


def size(directory: Path) -> int:
    """Bytes below a channel. Raises UserError for a hidden file."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            if name.startswith("."):
                raise UserError("Hidden file found in the data path! Remove that before training.")
            total += os.path.getsize(os.path.join(folder, name))
    return total


def load(directory: Path, kind: str, *, weighted: bool = False) -> Any:
    """A channel as a DMatrix, None where it holds nothing. Raises UserError.

    `weighted` takes the second column of CSV for the weights of the rows.
    """
    if not size(directory):
        return None
    files = data_files(directory)
    if check_file := CHECKS.get(kind):
        for file in files:
            check_file(file)
    return read(files, kind, weighted=weighted)


def read(files: list[Path], kind: str, *, weighted: bool = False) -> Any:
    """Files of one format as a DMatrix. Raises UserError."""
    matrix = _from_parquet(files) if kind == PARQUET else _from_text(files, kind, weighted)
    if matrix.get_label().size == 0:
        raise UserError("Got input data without labels. Please check the input data set.")
    return matrix


def data_files(directory: Path) -> list[Path]:
    found, left = [], False
    for folder, folders, names in os.walk(directory):
        if len(Path(folder).relative_to(directory).parts) >= DEEPEST - 1:
            left = left or bool(folders)
            folders.clear()
        found += [Path(folder, name) for name in names]
    if left:
        LOG.warning(
            "The depth of folder %s exceed the limit %s. Files in deeper sub dirs won't be "
            "loaded. Please adjust the folder structure accordingly.",
            directory,
            DEEPEST,
        )
    return sorted(path for path in found if path.stat().st_size)


def _from_text(files: list[Path], kind: str, weighted: bool) -> Any:
    import xgboost

    options = f"format={kind}"
    if kind == CSV:
        delimiter = delimiter_of(files[0])
        LOG.info("Determined delimiter of CSV input is '%s'", delimiter)
        options += f"&label_column=0&delimiter={delimiter}"
        options += "&weight_column=1" if weighted else ""
    with tempfile.TemporaryDirectory(prefix="sagemaker-xgboost-") as folder:
        # One folder of plain names: the reader does not descend, and a URI has its own signs.
        for number, file in enumerate(files):
            os.symlink(file, Path(folder, f"{number:06}"))
        try:
            with warnings.catch_warnings(action="ignore"):
                return xgboost.DMatrix(f"{folder}?{options}")
        except Exception as error:
            said = without_stack(error)
            raise UserError(f"Failed to load {kind} data with exception:\n{said}") from error


def _from_parquet(files: list[Path]) -> Any:
    import pandas  # type: ignore[import-untyped]
    import xgboost

    try:
        frames = [pandas.read_parquet(file) for file in files]
        table = pandas.concat(frames, ignore_index=True).to_numpy()
        return xgboost.DMatrix(table[:, 1:], label=table[:, 0])
    except Exception as error:
        raise UserError(f"Failed to load parquet data with exception:\n{error}") from error


def delimiter_of(file: Path) -> str:
    """As the first line shows it. Raises UserError."""
    line = _first_line(file)
    try:
        return csv.Sniffer().sniff(line).delimiter
    except csv.Error as error:
        raise UserError(f"Could not determine delimiter on line {line[:50]}:\n{error}") from error


def _check_csv(file: Path) -> None:
    """Raises UserError for a first line that is not CSV; warns of a header."""
    cells = _first_line(file).strip().split(delimiter_of(file))
    if cells and not any(_is_number(cell) for cell in cells):
        LOG.warning(
            "The first line of %s has no numbers and is read as a row without values: "
            "training data must not have a header.",
            file.name,
        )


def _check_libsvm(file: Path) -> None:
    """Raises UserError unless the lines up to the first with two features are LIBSVM."""
    with file.open(errors="ignore") as lines:
        for line in lines:
            label, *features = line.split()[:3] or [""]
            weighted = label.split(":")
            right = len(weighted) <= 2 and all(_is_number(part) for part in weighted)
            right = right and all(len(feature.split(":")) == 2 for feature in features)
            if not right:
                raise UserError(
                    f"First line '{line[:50]}...' of file '{file.name}' is not 'LIBSVM' format. "
                    "Please ensure the file is in 'LIBSVM' format."
                )
            if len(features) > 1:
                return


CHECKS: dict[str, Callable[[Path], None]] = {CSV: _check_csv, LIBSVM: _check_libsvm}


def _first_line(file: Path) -> str:
    with file.open(errors="ignore") as lines:
        return lines.readline()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
