"""The handlers a script does not have, against a real model. Source: AWS's containers for
scikit-learn, whose defaults these are."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tests.emulator.model_server import (
    MODEL_FN,
    ROWS,
    Running,
    fitted,
    save,
    serving,
    write_code,
)

JSON, CSV, NPY, NPZ = "application/json", "text/csv", "application/x-npy", "application/x-npz"


@pytest.fixture(scope="module")
def model() -> Any:
    return fitted()


@pytest.fixture(scope="module")
def server(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    base = tmp_path_factory.mktemp("opt-ml")
    save(model, base)
    write_code(base, MODEL_FN)
    with serving(base, SAGEMAKER_PROGRAM="inference.py") as running:
        yield running


def npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def test_json_predictions_are_the_models_own(server: Running, model: Any) -> None:
    assert server.answer(ROWS) == model.predict(np.array(ROWS)).tolist()


def test_csv_in_csv_out(server: Running, model: Any) -> None:
    reply = server.invoke("0.1,0.2,0.3\n2,1,3\n", CSV, CSV)
    assert reply.data.decode().split() == [str(p) for p in model.predict(np.array(ROWS))]
    assert reply.headers["Content-Type"] == CSV


def test_npy_in_npy_out_as_the_v2_sdk_sends_it(server: Running, model: Any) -> None:
    reply = server.invoke(npy(np.array(ROWS)), NPY, NPY)
    assert (np.load(io.BytesIO(reply.data)) == model.predict(np.array(ROWS))).all()


def test_npz_is_a_sparse_matrix(server: Running, model: Any) -> None:
    file = io.BytesIO()
    sparse.save_npz(file, sparse.csr_matrix(np.array(ROWS)))
    reply = server.invoke(file.getvalue(), NPZ, JSON)
    assert json.loads(reply.data) == model.predict(np.array(ROWS)).tolist()


@pytest.mark.parametrize("accept", [None, "*/*"])
def test_any_answer_is_json(server: Running, accept: str | None) -> None:
    assert server.invoke(json.dumps(ROWS), JSON, accept).headers["Content-Type"] == JSON


def test_a_body_without_a_type_is_json(server: Running) -> None:
    assert server.invoke(json.dumps(ROWS)).status == 200


def test_one_csv_row_has_one_dimension_and_scikit_learn_asks_to_reshape_it(
    server: Running,
) -> None:
    reply = server.invoke("0.1,0.2,0.3", CSV)
    assert reply.status == 500
    assert "Expected 2D array, got 1D array instead" in reply.data.decode()


@pytest.mark.parametrize("content_type", ["text/plain", "text/csv; charset=utf-8"])
def test_an_unknown_type_is_415(server: Running, content_type: str) -> None:
    reply = server.invoke("1,2,3", content_type)
    error = json.loads(reply.data)
    assert reply.status == 415
    assert error["error"] == "UnsupportedFormatError"
    assert f"Content type {content_type} is not supported" in error["error-message"]
    assert error["stack-trace"].startswith("Traceback")


def test_an_unknown_answer_is_406(server: Running) -> None:
    reply = server.invoke(json.dumps(ROWS), JSON, "image/png")
    assert (reply.status, json.loads(reply.data)["error"]) == (406, "UnsupportedFormatError")


def test_a_dense_answer_as_npz_is_406(server: Running) -> None:
    assert server.invoke(json.dumps(ROWS), JSON, NPZ).status == 406


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        ("not json", JSON, "Expecting value"),
        ('{"a": 1}', JSON, "float() argument"),
        ("a,b,c\n1,2,3", CSV, "could not convert string to float"),
        (b"\x93NUMPY rubbish", NPY, ""),
        ("[[1, 2]]", JSON, "features"),
        ("", JSON, "Expecting value"),
    ],
)
def test_bad_input_is_500_with_message_and_traceback(
    server: Running, body: str | bytes, content_type: str, words: str
) -> None:
    reply = server.invoke(body, content_type)
    text = reply.data.decode()
    assert reply.status == 500
    message, _, trace = text.partition("Traceback (most recent call last):")
    assert words in message
    assert trace
    assert server.ready()


def test_ping_is_empty_and_200(server: Running) -> None:
    reply = server.get("/ping")
    assert (reply.status, reply.data) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/execution-parameters", 404),
        ("GET", "/models", 404),
        ("GET", "/invocations", 405),
        ("POST", "/ping", 405),
    ],
)
def test_what_is_not_there(server: Running, method: str, path: str, status: int) -> None:
    assert server.get(path, method).status == status


def test_the_default_answer_can_be_set(model: Any, tmp_path: Path) -> None:
    save(model, tmp_path)
    write_code(tmp_path, MODEL_FN)
    with serving(tmp_path, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT=CSV) as server:
        assert server.invoke(json.dumps(ROWS), JSON).headers["Content-Type"] == CSV
