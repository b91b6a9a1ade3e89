"""Raw flights to model features. Travels inside the model artifact, so serving takes raw flights.

The one definition of which columns the model may see: all of them known before departure.
`RAW_COLUMNS` is also the order of a CSV request without a header.
"""

from __future__ import annotations

import pandas as pd

RAW_REQUIRED = [
    "year",
    "month",
    "day",
    "sched_dep_time",  # local HHMM
    "sched_arr_time",  # local HHMM at the destination
    "carrier",
    "origin",
    "dest",
    "distance",  # miles
]
# Observed at the origin in the hour of departure; any may be null.
RAW_WEATHER = [
    "temp",  # degrees Fahrenheit
    "dewp",  # degrees Fahrenheit
    "humid",  # percent
    "wind_dir",  # degrees
    "wind_speed",  # miles per hour
    "wind_gust",  # miles per hour
    "precip",  # inches
    "pressure",  # millibars
    "visib",  # miles
]
# From the aircraft register; any may be null.
RAW_PLANE = ["plane_year", "engines", "seats"]
RAW_COLUMNS = [*RAW_REQUIRED, *RAW_WEATHER, *RAW_PLANE]
RAW_TEXT = ["carrier", "origin", "dest"]

CATEGORICAL = ["carrier", "origin", "dest", "carrier_at_origin"]
NUMERIC = [
    "day_of_week",
    "departure_minute",
    "arrival_minute",
    "distance",
    *RAW_WEATHER,
    "wind_north",
    "plane_age",
    "engines",
    "seats",
]
FEATURES = [*CATEGORICAL, *NUMERIC]


def derive(raw: pd.DataFrame) -> pd.DataFrame:
    """`RAW_COLUMNS` in, `FEATURES` out, same index. Numbers as float64, nulls as NaN."""
    numbers = raw[[column for column in RAW_COLUMNS if column not in RAW_TEXT]].astype("float64")
    dates = pd.to_datetime(numbers[["year", "month", "day"]], errors="coerce")
    features = numbers[["distance", *RAW_WEATHER, "engines", "seats"]].copy()
    for column in RAW_TEXT:
        features[column] = raw[column].astype(str)
    # A cross: the same airline runs a hub at one airport and a handful of flights at another.
    features["carrier_at_origin"] = features["carrier"] + "@" + features["origin"]
    features["day_of_week"] = dates.dt.day_of_week.astype("float64")
    features["departure_minute"] = _minute_of_day(numbers["sched_dep_time"])
    features["arrival_minute"] = _minute_of_day(numbers["sched_arr_time"])
    features["wind_north"] = ((numbers["wind_dir"] + 180) % 360 - 180).abs()
    features["plane_age"] = numbers["year"] - numbers["plane_year"]
    return features[FEATURES]


def _minute_of_day(hhmm: pd.Series) -> pd.Series:
    return (hhmm // 100) * 60 + hhmm % 100
