"""Repeatable split of curated flights into train, validation and test.

Where a flight goes depends on its own key alone: the same flight lands in the same split whatever
else is in the table, in whatever order, on whatever machine. New rows never move old ones.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd

KEY = ["year", "month", "day", "carrier", "flight", "origin"]
LABEL = "late"
SPLITS = ("train", "validation", "test")

# What is known at the gate before departure. Outcomes (dep_time, dep_delay, arr_time, arr_delay,
# air_time, cancelled) are left behind here, so that no later step can see them.
KNOWN_BEFORE_DEPARTURE = [
    "sched_dep_time",
    "sched_arr_time",
    "tailnum",
    "dest",
    "distance",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
    "plane_year",
    "engines",
    "seats",
]
COLUMNS = [*KEY, *KNOWN_BEFORE_DEPARTURE, LABEL]
INTEGERS = ["year", "month", "day", "flight", "sched_dep_time", "sched_arr_time", "distance"]
INTEGERS += ["plane_year", "engines", "seats", LABEL]


def position(frame: pd.DataFrame) -> pd.Series:
    """Each flight's fixed place in [0, 1): the first 52 bits of the SHA-256 of its key."""
    keys = frame[KEY[0]].astype(str)
    for column in KEY[1:]:
        keys = keys + "|" + frame[column].astype(str)
    digests = [int(hashlib.sha256(key.encode("utf-8")).hexdigest()[:13], 16) for key in keys]
    return pd.Series(digests, index=frame.index, dtype="float64") / float(16**13)


def select_months(frame: pd.DataFrame, months: list[str]) -> pd.DataFrame:
    """Rows of the months given as YYYY-MM; every row when none is given.

    ValueError names the months that have no rows: training on less than was asked for is a
    mistake nobody sees.
    """
    if not months:
        return frame
    names = frame["year"].astype(str) + "-" + frame["month"].astype(str).str.zfill(2)
    absent = sorted(set(months) - set(names))
    if absent:
        raise ValueError(
            f"no rows for {', '.join(absent)}; there are {', '.join(sorted(set(names)))}"
        )
    return frame[names.isin(months)]


def split(frame: pd.DataFrame, shares: tuple[float, float, float]) -> dict[str, pd.DataFrame]:
    """Labelled rows by split, each sorted by key, with the columns known before departure.

    `shares` are those of train, validation and test and add up to 1.
    """
    if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares must be 0 or more and add up to 1, got {shares}")
    labelled = frame[frame[LABEL].notna()]
    labelled = labelled.astype({column: "Int64" for column in INTEGERS})
    labelled = labelled.sort_values(KEY, kind="mergesort").reset_index(drop=True)
    where = position(labelled)
    train_end, validation_end = shares[0], shares[0] + shares[1]
    rows = {
        "train": where < train_end,
        "validation": (where >= train_end) & (where < validation_end),
        "test": where >= validation_end,
    }
    return {name: labelled.loc[rows[name], COLUMNS].reset_index(drop=True) for name in SPLITS}


def summarise(splits: dict[str, pd.DataFrame], rows_in: int) -> dict[str, Any]:
    """Row counts and late rates per split; `unlabelled` are flights that never arrived."""
    counts = {
        name: {"rows": len(part), "late_rate": float(part[LABEL].mean()) if len(part) else None}
        for name, part in splits.items()
    }
    labelled = sum(len(part) for part in splits.values())
    return {"rows_in": rows_in, "unlabelled": rows_in - labelled, "splits": counts}
