"""Raw flights, weather and planes to one labelled table: pure functions on text and frames.

Bad rows never disappear: every function that drops rows hands them back with a reason.
Units are those of the source: times are local HHMM integers, delays minutes, distance miles,
temperatures degrees Fahrenheit, wind miles per hour, precipitation inches, pressure millibars,
visibility miles.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

LATE_AFTER_MINUTES = 15
"""A flight is late when it arrives more than this many minutes after its schedule."""

NULLS = ("NA", "")
FLIGHT_KEY = ["year", "month", "day", "carrier", "flight", "origin"]
WEATHER_KEY = ["origin", "year", "month", "day", "hour"]
PLANE_KEY = ["tailnum"]


class Column(NamedTuple):
    """One expected column: `kind` is int, float or text; the bounds are inclusive."""

    name: str
    kind: str
    required: bool = False
    low: float | None = None
    high: float | None = None


_DATE = (
    Column("year", "int", True, 1987, 2100),
    Column("month", "int", True, 1, 12),
    Column("day", "int", True, 1, 31),
)
FLIGHTS = (
    *_DATE,
    Column("dep_time", "int", False, 0, 2400),
    Column("sched_dep_time", "int", True, 0, 2400),
    Column("dep_delay", "int", False, -180, 3000),
    Column("arr_time", "int", False, 0, 2400),
    Column("sched_arr_time", "int", True, 0, 2400),
    Column("arr_delay", "int", False, -180, 3000),
    Column("carrier", "text", True),
    Column("flight", "int", True, 1, 99999),
    Column("tailnum", "text"),
    Column("origin", "text", True),
    Column("dest", "text", True),
    Column("air_time", "int", False, 1, 1500),
    Column("distance", "int", True, 1, 12000),
    Column("hour", "int", True, 0, 24),
    Column("minute", "int", True, 0, 59),
    Column("time_hour", "text"),
)
WEATHER = (
    Column("origin", "text", True),
    *_DATE,
    Column("hour", "int", True, 0, 24),
    Column("temp", "float", False, -80, 140),
    Column("dewp", "float", False, -100, 110),
    Column("humid", "float", False, 0, 100),
    Column("wind_dir", "float", False, 0, 360),
    Column("wind_speed", "float", False, 0, 250),
    Column("wind_gust", "float", False, 0, 250),
    Column("precip", "float", False, 0, 20),
    Column("pressure", "float", False, 850, 1100),
    Column("visib", "float", False, 0, 100),
)
PLANES = (
    Column("tailnum", "text", True),
    Column("year", "int", False, 1900, 2100),
    Column("type", "text"),
    Column("manufacturer", "text"),
    Column("model", "text"),
    Column("engines", "int", False, 1, 12),
    Column("seats", "int", False, 1, 1000),
    Column("engine", "text"),
)
# `year` would collide with the flight's; the rest is renamed with it so that it stays readable.
PLANE_NAMES = {
    "year": "plane_year",
    "type": "plane_type",
    "manufacturer": "plane_manufacturer",
    "model": "plane_model",
    "engine": "plane_engine",
}


class Checked(NamedTuple):
    """`good` typed rows; `bad` the raw text of the others with a `reason` column."""

    good: pd.DataFrame
    bad: pd.DataFrame


def parse_csv(text: str, columns: Sequence[Column]) -> Checked:
    """Text of one CSV file with a header to raw string columns.

    A row with too few or too many fields is bad (`malformed_row`); a file whose header lacks an
    expected column is bad as a whole (`missing_column_<name>`). Columns nobody expects are dropped.
    """
    reader = csv.reader(io.StringIO(text))
    header = next(reader, [])
    rows, malformed = [], []
    for row in reader:
        (rows if len(row) == len(header) else malformed).append(row)
    bad = _raw_lines(malformed, "malformed_row")
    missing = [column.name for column in columns if column.name not in header]
    if missing:
        bad = _stack([bad, _raw_lines(rows, "missing_column_" + missing[0])])
        return Checked(pd.DataFrame(columns=[column.name for column in columns], dtype=object), bad)
    frame = pd.DataFrame(rows, columns=header, dtype=object)
    return Checked(frame[[column.name for column in columns]], bad)


def check(raw: pd.DataFrame, columns: Sequence[Column], key: Sequence[str]) -> Checked:
    """Strings to typed columns; each row that breaks a rule is bad, with the first rule it breaks.

    Rules in order: required value missing, number unparsable, value out of range, no such date,
    key seen before. Nulls stay nulls: integers become Int64, decimals float64.
    """
    raw = raw.reset_index(drop=True)
    reason = pd.Series([None] * len(raw), index=raw.index, dtype=object)
    typed: dict[str, pd.Series] = {}
    for column in columns:
        typed[column.name] = _typed(raw[column.name], column, reason)
    good = pd.DataFrame(typed)
    if {"year", "month", "day"} <= set(key):
        dates = pd.to_datetime(good[["year", "month", "day"]], errors="coerce")
        _blame(reason, dates.isna(), "no_such_date")
    # Only rows that are right so far can be the first of their key.
    repeated = good[reason.isna()].duplicated(list(key)).reindex(raw.index, fill_value=False)
    _blame(reason, repeated, "duplicate_key")
    ok = reason.isna()
    bad = raw[~ok].assign(reason=reason[~ok])
    return Checked(good[ok].reset_index(drop=True), bad.reset_index(drop=True))


def curate(flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Flights joined with the weather at their origin and hour and with their plane, labelled.

    `late` is 1, 0, or null where the flight never arrived (cancelled, diverted). The number of
    rows is that of `flights`: a missing partner gives nulls, and both partners are unique.
    """
    planes = planes.rename(columns=PLANE_NAMES)
    table = flights.merge(weather, on=WEATHER_KEY, how="left", validate="many_to_one")
    table = table.merge(planes, on=PLANE_KEY, how="left", validate="many_to_one")
    table["cancelled"] = table["dep_time"].isna().astype("Int64")
    table["late"] = (table["arr_delay"] > LATE_AFTER_MINUTES).astype("Int64")
    table.loc[table["arr_delay"].isna(), "late"] = pd.NA
    return table.sort_values([*FLIGHT_KEY, "sched_dep_time"]).reset_index(drop=True)


def count_reasons(bad: pd.DataFrame) -> dict[str, int]:
    """Rows per reason, largest first."""
    if bad.empty:
        return {}
    return {str(reason): int(rows) for reason, rows in bad["reason"].value_counts().items()}


def to_csv(frame: pd.DataFrame) -> str:
    """The frame as CSV with a header and without an index."""
    return str(frame.to_csv(index=False))


def _typed(raw: pd.Series, column: Column, reason: pd.Series) -> pd.Series:
    empty = raw.isin(NULLS) | raw.isna()
    if column.required:
        _blame(reason, empty, "missing_" + column.name)
    if column.kind == "text":
        return raw.mask(empty, None)
    numbers = pd.to_numeric(raw.mask(empty, None), errors="coerce")
    unparsable = numbers.isna() & ~empty
    if column.kind == "int":
        unparsable |= numbers.notna() & (numbers % 1 != 0)
    _blame(reason, unparsable, "unparsable_" + column.name)
    low = float("-inf") if column.low is None else column.low
    high = float("inf") if column.high is None else column.high
    _blame(reason, numbers.notna() & ~numbers.between(low, high), "out_of_range_" + column.name)
    if column.kind == "float":
        return numbers.astype("float64")
    return numbers.mask(unparsable).astype("Int64")


def _blame(reason: pd.Series, rows: pd.Series, text: str) -> None:
    reason[rows.astype(bool) & reason.isna()] = text


def _raw_lines(rows: list[list[str]], reason: str) -> pd.DataFrame:
    return pd.DataFrame({"raw": [",".join(row) for row in rows], "reason": [reason] * len(rows)})


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=["raw", "reason"], dtype=object)
    return pd.concat(filled, ignore_index=True, sort=False)


def load(
    texts: Sequence[str], columns: Sequence[Column], key: Sequence[str]
) -> tuple[int, Checked]:
    """Every file of one table parsed and checked; returns (rows seen, good and bad rows)."""
    parsed = [parse_csv(text, columns) for text in texts]
    rows = sum(len(part.good) + len(part.bad) for part in parsed)
    names = [column.name for column in columns]
    raw = [part.good for part in parsed if len(part.good)]
    checked = check(
        pd.concat(raw, ignore_index=True) if raw else pd.DataFrame(columns=names, dtype=object),
        columns,
        key,
    )
    return rows, Checked(checked.good, _stack([*(part.bad for part in parsed), checked.bad]))
