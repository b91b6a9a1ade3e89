"""XGBoost's defaults: the built-in algorithm's handlers, and what a user's module leaves out.

Without a module of the user's, `xgboost-model` answers as AWS's algorithm does. With one,
bodies become a DMatrix unless it says otherwise. Source: aws/sagemaker-xgboost-container.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import pickle
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]

from .codecs import CSV, JSON, UnsupportedFormat, encode
from .handlers import Reply

LOG = logging.getLogger(__name__)
DEFAULT_ACCEPT = CSV
LARGEST_BODY = 6 * 1024**2
"""Bytes, where MAX_CONTENT_LENGTH says nothing else."""
CSV_TYPES = ("csv", CSV)
LIBSVM_TYPES = ("libsvm", "text/libsvm", "text/x-libsvm")
VOTING = ("multi:softmax", "binary:hinge")
"""Objectives that predict classes, which can't be averaged."""


def complete(module: ModuleType | None) -> Any:
    """The user's module with what it lacks, or the algorithm's handlers where none is named."""
    if module is None or not os.environ.get("SAGEMAKER_PROGRAM"):
        return SimpleNamespace(
            model_fn=load_models,
            transform_fn=answer,
            execution_parameters_fn=execution_parameters,
        )
    if getattr(module, "transform_fn", None) is None:
        for name, default in (("input_fn", read_body), ("predict_fn", predict_one)):
            if getattr(module, name, None) is None:
                setattr(module, name, default)
    return module


def read_body(body: str | bytes, content_type: str) -> Any:
    """The default input_fn beside a user's model_fn. Raises UnsupportedFormat."""
    kind = _media_type(content_type)
    if kind not in READERS or kind in ("csv", "libsvm"):
        raise UnsupportedFormat(content_type)
    return matrix_of(_text(body), kind)


def predict_one(matrix: Any, model: Any) -> Any:
    """The default predict_fn beside a user's model_fn."""
    return model.predict(matrix, validate_features=False)


def load_models(model_dir: str) -> list[Any]:
    """The boosters in the model's files: one, or several that answer together, unless
    SAGEMAKER_INFERENCE_ENSEMBLE is not `true`."""
    if os.environ.get("SAGEMAKER_INFERENCE_OUTPUT"):
        raise ValueError("sagestack does not support SAGEMAKER_INFERENCE_OUTPUT")
    files = [path for path in sorted(Path(model_dir).iterdir()) if path.is_file()]
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise FileNotFoundError("the model's archive holds no file such as xgboost-model")
    if os.environ.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") != "true":
        files = files[:1]
    return [_load(path) for path in files]


def _load(path: Path) -> Any:
    """Saved by `save_model`, or pickled, as images before 1.3 did."""
    import xgboost

    LOG.info("Loading the model from %s", path)
    try:
        with path.open("rb") as file:
            booster = pickle.load(file)
    except Exception as pickle_error:
        booster = xgboost.Booster()
        try:
            booster.load_model(path)
        except Exception as error:
            raise RuntimeError(
                f"Model {path} cannot be loaded:\nPickle load error={pickle_error}"
                f"\nXGB load model error={error}"
            ) from error
    # One request at a time, of few rows: a team of threads costs more than it saves.
    booster.set_param("nthread", 1)
    return booster


def answer(models: list[Any], body: str | bytes, content_type: str, accept: str) -> Reply:
    """The transform_fn of the algorithm. What a client did wrong is an answer too."""
    if not body:
        return Reply(HTTPStatus.NO_CONTENT, b"", accept)
    if len(body) > int(os.environ.get("MAX_CONTENT_LENGTH", LARGEST_BODY)):
        return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
    kind = _media_type(content_type)
    if kind not in READERS:
        text = f"{content_type} is not an accepted ContentType: {', '.join(READERS)}."
        return _refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
    try:
        matrix = matrix_of(_text(body).strip(), kind)
    except Exception as error:
        name = "csv" if kind in CSV_TYPES else "libsvm"
        text = f"Loading {name} data failed with Exception, please ensure data is in {name} format:"
        text += f"\n {type(error)}\n {error}"
        return _refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
    try:
        predictions = predict(models, matrix)
    except Exception as error:
        return _refusal(HTTPStatus.BAD_REQUEST, f"Unable to evaluate payload provided: {error}")
    return _encoded(predictions.tolist(), _media_type(accept))


def predict(models: list[Any], matrix: Any) -> Any:
    """What one booster says; several are averaged, or vote on a class."""
    found = [model.predict(matrix, validate_features=False) for model in models]
    if len(found) == 1:
        return found[0]
    if objective_of(models[0]) in VOTING:
        from scipy import stats

        return stats.mode(found).mode
    return np.mean(found, axis=0)


def objective_of(model: Any) -> str:
    name: str = json.loads(model.save_config())["learner"]["objective"]["name"]
    return name


def execution_parameters() -> dict[str, Any]:
    largest = int(os.environ.get("MAX_CONTENT_LENGTH", LARGEST_BODY))
    return {
        "MaxConcurrentTransforms": os.cpu_count() or 1,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": largest // 1024**2,
    }


def _encoded(predictions: list[Any], accept: str) -> Reply:
    if accept not in (JSON, CSV):
        text = f"Accept type {accept} is not supported. Please use supported accept types: "
        return _refusal(HTTPStatus.NOT_ACCEPTABLE, f"{text}{[JSON, CSV]}.")
    if os.environ.get("SAGEMAKER_BATCH"):
        body = "\n".join(map(str, predictions)) + "\n"
    elif accept == JSON:
        body = json.dumps({"predictions": [{"score": value} for value in predictions]})
    else:
        body = str(encode(predictions, CSV))
    return Reply(HTTPStatus.OK, body.encode(), accept)


def _refusal(status: HTTPStatus, text: str) -> Reply:
    LOG.error("%s", text)
    return Reply(status, text.encode(), "text/plain")


def _media_type(header: str) -> str:
    return header.split(";", 1)[0].strip().lower()


def _text(body: str | bytes) -> str:
    return body if isinstance(body, str) else bytes(body).decode()


def matrix_of(text: str, kind: str) -> Any:
    """A body of one of the READERS' types as a DMatrix."""
    import xgboost

    return xgboost.DMatrix(READERS[kind](text))


def _from_csv(text: str) -> Any:
    """Rows of features, without a label. An empty cell is a missing value."""
    lines = text.splitlines()
    delimiter = _delimiter(lines[0])
    return np.array([[cell or "nan" for cell in line.split(delimiter)] for line in lines], float)


def _delimiter(line: str) -> str:
    try:
        found = csv.Sniffer().sniff(line[:512]).delimiter
    except csv.Error:
        return ","
    return "," if found.isalnum() or found in ".-+" else found


def _from_libsvm(text: str) -> Any:
    """Features by number, from 0 as in training; a label may stand before them."""
    rows, columns, values = [], [], []
    for number, line in enumerate(text.splitlines()):
        for item in line.split():
            column, separator, value = item.partition(":")
            if separator:
                rows.append(number)
                columns.append(int(column))
                values.append(float(value))
    width = max(columns, default=-1) + 1
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(text.splitlines()), width))


READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(CSV_TYPES, _from_csv),
    **dict.fromkeys(LIBSVM_TYPES, _from_libsvm),
}
