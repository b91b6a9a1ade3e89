"""What the endpoint accepts, what it answers, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.scripts import load_script


@pytest.fixture(scope="module")
def serving(trained: Path) -> Any:
    """The module as the model server imports it: from the artifact itself."""
    return load_script(str(trained / "model" / "code"), "inference")


@pytest.fixture(scope="module")
def model(serving: Any, trained: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = serving.model_fn(str(trained / "model"))
    return loaded


@pytest.fixture(scope="module")
def rows(serving: Any, splits: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return splits["test"][serving.RAW_COLUMNS].head(20).reset_index(drop=True)


def ask(serving: Any, model: dict[str, Any], body: Any, kind: str, accept: str) -> Any:
    return serving.output_fn(serving.predict_fn(serving.input_fn(body, kind), model), accept)


def chances(serving: Any, model: dict[str, Any], body: Any, kind: str) -> list[float]:
    answer = json.loads(ask(serving, model, body, kind, "application/json")[0])
    return [row["late_probability"] for row in answer["predictions"]]


def as_objects(rows: pd.DataFrame) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = json.loads(rows.to_json(orient="records"))
    return objects


def test_every_form_of_request_gives_the_same_answer(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame, splits: dict[str, pd.DataFrame]
) -> None:
    offline = model["pipeline"].predict_proba(rows)[:, 1].tolist()
    objects = as_objects(rows)
    mixed = rows[rows.columns[::-1]].assign(note="ignored")
    bodies = [
        (rows.to_csv(index=False), "text/csv"),
        (rows.to_csv(index=False, header=False), "text/csv; charset=utf-8"),
        (rows.to_csv(index=False).replace(",,", ",NA,"), "text/csv"),
        (mixed.to_csv(index=False).encode(), "text/csv"),
        (json.dumps(objects), "application/json"),
        (json.dumps({"instances": objects}), "application/json"),
    ]
    for body, kind in bodies:
        assert chances(serving, model, body, kind) == offline


def test_a_single_object_is_one_flight(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame
) -> None:
    body = json.dumps(as_objects(rows)[0])
    assert len(chances(serving, model, body, "application/json")) == 1


def test_one_flight_alone_is_answered_as_among_others(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame
) -> None:
    together = chances(serving, model, rows.to_csv(index=False), "text/csv")
    alone = [
        chances(serving, model, rows.iloc[[n]].to_csv(index=False), "text/csv")[0]
        for n in range(len(rows))
    ]
    assert alone == together


def test_csv_and_json_answers_read_back_equal(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame
) -> None:
    body, kind = ask(serving, model, rows.to_csv(index=False), "text/csv", "text/csv")
    assert kind == "text/csv"
    lines = list(csv.reader(io.StringIO(body)))
    assert [float(line[0]) for line in lines] == chances(
        serving, model, rows.to_csv(index=False), "text/csv"
    )
    assert {line[1] for line in lines} <= {"0", "1"}


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "image/png, application/json"])
def test_json_is_the_default_answer(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame, accept: str
) -> None:
    kind = ask(serving, model, rows.to_csv(index=False), "text/csv", accept)[1]
    assert kind == "application/json"


def test_weather_and_plane_may_be_null(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame
) -> None:
    flight = {
        name: value if name in serving.RAW_REQUIRED else None
        for name, value in as_objects(rows)[0].items()
    }
    assert np.isfinite(chances(serving, model, json.dumps(flight), "application/json")).all()


def test_the_label_follows_the_models_own_threshold(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame
) -> None:
    answers = serving.predict_fn(serving.input_fn(rows.to_csv(index=False), "text/csv"), model)
    threshold = model["metadata"]["threshold"]
    assert answers["late"].tolist() == (answers["late_probability"] >= threshold).tolist()


def test_bad_requests_are_refused_with_the_reason(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame
) -> None:
    flight = as_objects(rows)[0]
    lacking = {name: value for name, value in flight.items() if name != "distance"}
    cases = [
        (json.dumps([flight, lacking]), "application/json", "flight 2: missing columns distance"),
        (
            json.dumps({**flight, "distance": "far"}),
            "application/json",
            "distance must be a number",
        ),
        (json.dumps({**flight, "carrier": None}), "application/json", "carrier must not be empty"),
        (json.dumps({**flight, "month": ""}), "application/json", "month must not be empty"),
        ("{", "application/json", "the body is not JSON"),
        ("[]", "application/json", "expected an object"),
        ("[1]", "application/json", "expected an object"),
        ("", "text/csv", "the body is empty"),
        (",".join(serving.RAW_COLUMNS), "text/csv", "no flights in the request"),
        ("2013,1,1", "text/csv", "flight 1: expected 21 values, got 3"),
        (
            rows.drop(columns="temp").to_csv(index=False),
            "text/csv",
            "the header: missing columns temp",
        ),
        ("x", "application/x-npy", "unsupported content type 'application/x-npy'"),
    ]
    for body, kind, message in cases:
        with pytest.raises(ValueError, match=message):
            ask(serving, model, body, kind, "application/json")


def test_an_answer_nobody_can_write_is_refused(
    serving: Any, model: dict[str, Any], rows: pd.DataFrame
) -> None:
    with pytest.raises(ValueError, match="unsupported accept"):
        ask(serving, model, rows.to_csv(index=False), "text/csv", "image/png")


def test_the_documented_order_of_columns_is_the_real_one(serving: Any) -> None:
    listed = serving.__doc__.split("RAW_COLUMNS`: ")[1].split("application/json")[0]
    assert [name.strip() for name in listed.split(",")] == serving.RAW_COLUMNS
