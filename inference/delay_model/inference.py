"""Serves the delay model: raw flights in, the probability of arriving late out.

Runs from code/ inside the model artifact. Requests:
  text/csv          with a header naming the columns in any order, or without one in the order of
                    `delay_features.RAW_COLUMNS`: year, month, day, sched_dep_time,
                    sched_arr_time, carrier, origin, dest, distance, temp, dewp, humid, wind_dir,
                    wind_speed, wind_gust, precip, pressure, visib, plane_year, engines, seats
  application/json  one object, a list of objects, or {"instances": [...]}
Columns of weather and plane must be there and may be null (empty or NA in CSV); columns nobody
asked for are ignored. Answers, one per flight and in order:
  application/json  {"predictions": [{"late_probability": 0.31, "late": 1}, ...]}
  text/csv          0.31,1
Anything wrong with a request is a ValueError that names the column and the value.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from typing import Any

import joblib
import pandas as pd

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from delay_features import RAW_COLUMNS, RAW_REQUIRED, RAW_TEXT

JSON = "application/json"
CSV = "text/csv"
NULLS = ("", "NA", "null", "None")


def model_fn(model_dir: str) -> dict[str, Any]:
    """The pipeline and its metadata."""
    with open(os.path.join(model_dir, "metadata.json"), encoding="utf-8") as file:
        metadata = json.load(file)
    return {"pipeline": joblib.load(os.path.join(model_dir, "model.joblib")), "metadata": metadata}


def input_fn(body: Any, content_type: str) -> pd.DataFrame:
    """A request body to raw columns, checked."""
    text = body.decode("utf-8") if isinstance(body, (bytes, bytearray)) else str(body)
    kind = (content_type or "").split(";")[0].strip().lower()
    if kind == JSON:
        frame = _from_json(text)
    elif kind == CSV:
        frame = _from_csv(text)
    else:
        raise ValueError(f"unsupported content type {content_type!r}, use {JSON} or {CSV}")
    return _checked(frame)


def predict_fn(frame: pd.DataFrame, model: dict[str, Any]) -> pd.DataFrame:
    """late_probability in [0, 1] and late, which is 1 from the model's own threshold on."""
    probability = model["pipeline"].predict_proba(frame)[:, 1]
    late = (probability >= model["metadata"]["threshold"]).astype(int)
    return pd.DataFrame({"late_probability": probability, "late": late})


def output_fn(prediction: pd.DataFrame, accept: str) -> tuple[str, str]:
    """(body, content type). Numbers are written in full, so that they read back equal."""
    kinds = [kind.split(";")[0].strip().lower() for kind in (accept or "*/*").split(",")]
    rows = [
        (float(row.late_probability), int(row.late)) for row in prediction.itertuples(index=False)
    ]
    for kind in kinds:
        if kind == CSV:
            return "".join(f"{probability!r},{late}\n" for probability, late in rows), CSV
        if kind in (JSON, "*/*", "application/*"):
            answers = [{"late_probability": chance, "late": late} for chance, late in rows]
            return json.dumps({"predictions": answers}), JSON
    raise ValueError(f"unsupported accept {accept!r}, use {JSON} or {CSV}")


def _from_json(text: str) -> pd.DataFrame:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if isinstance(data, dict):
        data = data.get("instances", [data])
    if not isinstance(data, list) or not data or not all(isinstance(row, dict) for row in data):
        raise ValueError('expected an object, a list of objects, or {"instances": [objects]}')
    for number, row in enumerate(data, start=1):
        _require(RAW_COLUMNS, row, f"flight {number}")
    return pd.DataFrame(
        [[row[column] for column in RAW_COLUMNS] for row in data], columns=RAW_COLUMNS
    )


def _from_csv(text: str) -> pd.DataFrame:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if not rows:
        raise ValueError("the body is empty")
    header = [name.strip() for name in rows[0]]
    if set(header) & set(RAW_COLUMNS):
        _require(RAW_COLUMNS, header, "the header")
        rows = rows[1:]
    else:
        header = RAW_COLUMNS
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"flight {number}: expected {len(header)} values, got {len(row)}")
    return pd.DataFrame(rows, columns=header, dtype=object)[RAW_COLUMNS]


def _require(columns: list[str], present: Any, where: str) -> None:
    missing = [column for column in columns if column not in present]
    if missing:
        raise ValueError(f"{where}: missing columns {', '.join(missing)}")


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        raise ValueError("no flights in the request")
    columns: dict[str, pd.Series] = {}
    for name in RAW_COLUMNS:
        values = frame[name].astype(object)
        values = values.mask(values.isna() | values.isin(NULLS), None)
        if name in RAW_REQUIRED and values.isna().any():
            raise ValueError(f"flight {_first(values.isna())}: {name} must not be empty")
        if name in RAW_TEXT:
            columns[name] = values.astype(str)
            continue
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        wrong = (numbers.isna() & values.notna()) | numbers.isin([float("inf"), float("-inf")])
        if wrong.any():
            number = _first(wrong)
            raise ValueError(
                f"flight {number}: {name} must be a number, got {values[number - 1]!r}"
            )
        columns[name] = numbers
    return pd.DataFrame(columns)


def _first(rows: pd.Series) -> int:
    return int(rows.to_numpy().argmax()) + 1
