"""The split job: repeatable, disjoint, complete, and blind to what is known after departure."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.unit.scripts import load_script

KEY = ["year", "month", "day", "carrier", "flight", "origin"]
SHARES = (0.7, 0.15, 0.15)
OUTCOMES = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "cancelled"}


@pytest.fixture(scope="module")
def job() -> Any:
    return load_script("processing/split")


@pytest.fixture
def base(curated: pd.DataFrame, tmp_path: Path) -> Path:
    """A folder tree as the Glue job leaves it."""
    for (year, month), part in curated.groupby(["year", "month"]):
        folder = tmp_path / "input" / "flights" / f"year={year}" / f"month={month}"
        folder.mkdir(parents=True)
        part.drop(columns=["year", "month"]).to_parquet(folder / f"{month}.snappy.parquet")
    return tmp_path


def homes(splits: dict[str, pd.DataFrame]) -> dict[tuple[Any, ...], str]:
    return {
        tuple(row): name for name, part in splits.items() for row in part[KEY].to_numpy().tolist()
    }


def digests(base: Path) -> dict[str, str]:
    return {
        str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((base / "output").rglob("*.*"))
    }


def test_every_labelled_flight_is_in_exactly_one_split(
    splits: dict[str, pd.DataFrame], curated: pd.DataFrame
) -> None:
    labelled = curated[curated["late"].notna()]
    assert sum(len(part) for part in splits.values()) == len(labelled)
    assert homes(splits).keys() == {tuple(row) for row in labelled[KEY].to_numpy().tolist()}


def test_sizes_follow_the_shares(splits: dict[str, pd.DataFrame]) -> None:
    rows = {name: len(part) for name, part in splits.items()}
    total = sum(rows.values())
    assert abs(rows["train"] / total - 0.70) < 0.03
    assert abs(rows["validation"] / total - 0.15) < 0.03


def test_new_rows_and_another_order_move_no_old_row(
    job: Any, splits: dict[str, pd.DataFrame], curated: pd.DataFrame
) -> None:
    later = curated.assign(month=curated["month"] + 6)
    grown = pd.concat([later, curated]).sample(frac=1, random_state=3)
    after = homes(job.logic.split(grown, SHARES))
    before = homes(splits)
    assert len(after) == 2 * len(before)
    assert all(after[flight] == name for flight, name in before.items())


def test_a_known_flight_has_a_known_place(job: Any) -> None:
    # Pinned: a change of this number re-deals every data set there is.
    row = pd.DataFrame([[2013, 1, 1, "UA", 1545, "EWR"]], columns=KEY)
    digest = hashlib.sha256(b"2013|1|1|UA|1545|EWR").hexdigest()
    assert job.logic.position(row)[0] == int(digest[:13], 16) / 16**13


def test_what_is_known_only_later_is_left_behind(splits: dict[str, pd.DataFrame]) -> None:
    for part in splits.values():
        assert not OUTCOMES & set(part.columns)
        assert part["late"].isin([0, 1]).all()


def test_a_rerun_is_byte_identical_whatever_the_files_are_called(job: Any, base: Path) -> None:
    job.main(["--base", str(base)])
    first = digests(base)
    for path in list(base.rglob("*.parquet")):
        path.rename(path.with_name("z" + path.name))
    job.main(["--base", str(base)])
    assert digests(base) == first
    assert len(first) == 4


def test_report_counts_rows_and_late_rates(job: Any, base: Path, curated: pd.DataFrame) -> None:
    job.main(["--base", str(base)])
    report = json.loads((base / "output/report/split.json").read_text())
    counted = sum(part["rows"] for part in report["splits"].values())
    assert report["rows_in"] == len(curated) == counted + report["unlabelled"]
    train = pd.read_csv(base / "output/train/flights.csv")
    assert report["splits"]["train"] == {"rows": len(train), "late_rate": train["late"].mean()}


def test_months_select_rows(job: Any, base: Path) -> None:
    job.main(["--base", str(base), "--months", "2013-02"])
    for name in ("train", "validation", "test"):
        assert set(pd.read_csv(base / f"output/{name}/flights.csv")["month"]) == {2}


def test_a_month_without_rows_is_refused_by_name(job: Any, base: Path) -> None:
    with pytest.raises(ValueError, match="no rows for 2013-07; there are 2013-01, 2013-02"):
        job.main(["--base", str(base), "--months", "2013-01,2013-07"])


def test_no_input_is_refused(job: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no Parquet files"):
        job.main(["--base", str(tmp_path)])


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_must_add_up_to_one(
    job: Any, curated: pd.DataFrame, shares: tuple[float, float, float]
) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        job.logic.split(curated, shares)
