"""The Glue job: what is kept, what is set aside and why, what reaches S3."""

from __future__ import annotations

import io
import json
import sys
import types
from typing import Any

import pandas as pd
import pytest

from tests.unit.scripts import load_script

OPTIONS = {
    "raw_bucket": "raw",
    "raw_prefix": "raw",
    "curated_bucket": "curated",
    "curated_prefix": "flights",
    "quarantine_prefix": "quarantine/flights",
    "database": "lake",
    "table": "flights",
    "max_rejected": "0.5",
}


@pytest.fixture(scope="module")
def job() -> Any:
    return load_script("processing/flights_etl")


@pytest.fixture
def lake(s3: Any, raw_texts: dict[str, str]) -> Any:
    for bucket in ("raw", "curated"):
        s3.create_bucket(Bucket=bucket)
    for name, text in raw_texts.items():
        s3.put_object(Bucket="raw", Key=f"raw/{name}/part.csv", Body=text.encode())
    return s3


def run(job: Any, s3: Any, **options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    written: dict[str, Any] = {}

    def write(frame: pd.DataFrame, **where: str) -> None:
        written.update(frame=frame, **where)

    return job.run({**OPTIONS, **options}, s3, write), written


def read(s3: Any, key: str) -> str:
    return s3.get_object(Bucket="curated", Key=key)["Body"].read().decode()


def flight(**changes: str) -> dict[str, str]:
    row = {
        "year": "2013", "month": "1", "day": "1", "dep_time": "517", "sched_dep_time": "515",
        "dep_delay": "2", "arr_time": "830", "sched_arr_time": "819", "arr_delay": "11",
        "carrier": "UA", "flight": "1545", "tailnum": "N14228", "origin": "EWR", "dest": "IAH",
        "air_time": "227", "distance": "1400", "hour": "5", "minute": "15",
        "time_hour": "2013-01-01T10:00:00Z",
    }  # fmt: skip
    return {**row, **changes}


def check(job: Any, *rows: dict[str, str]) -> Any:
    return job.logic.check(pd.DataFrame(list(rows)), job.logic.FLIGHTS, job.logic.FLIGHT_KEY)


def test_every_real_flight_is_kept_and_joined_once(job: Any, curated: pd.DataFrame) -> None:
    assert len(curated) > 5000
    assert not curated.duplicated(job.logic.FLIGHT_KEY).any()
    assert curated["temp"].notna().mean() > 0.95
    assert curated["seats"].notna().mean() > 0.75
    assert {"plane_year", "plane_type"} <= set(curated.columns)


def test_late_means_more_than_fifteen_minutes_after_schedule(job: Any) -> None:
    rows = [flight(flight=str(n), arr_delay=delay) for n, delay in enumerate(["15", "16", "-3"], 1)]
    table = job.logic.curate(
        check(job, *rows).good, *(_empty(job, name) for name in ("WEATHER", "PLANES"))
    )
    assert table["late"].tolist() == [0, 1, 0]


def test_a_cancelled_flight_stays_but_has_no_label(job: Any) -> None:
    gone = flight(dep_time="NA", dep_delay="NA", arr_time="NA", arr_delay="NA", air_time="NA")
    table = job.logic.curate(
        check(job, gone).good, *(_empty(job, name) for name in ("WEATHER", "PLANES"))
    )
    assert table["late"].isna().all()
    assert table["cancelled"].tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"month": "13"}, "out_of_range_month"),
        ({"distance": "-5"}, "out_of_range_distance"),
        ({"distance": "inf"}, "unparsable_distance"),
        ({"arr_delay": "99999"}, "out_of_range_arr_delay"),
        ({"sched_dep_time": "noon"}, "unparsable_sched_dep_time"),
        ({"sched_dep_time": "515.5"}, "unparsable_sched_dep_time"),
        ({"carrier": "NA"}, "missing_carrier"),
        ({"origin": ""}, "missing_origin"),
        ({"month": "2", "day": "30"}, "no_such_date"),
    ],
)
def test_a_planted_bad_row_is_set_aside_with_its_reason(
    job: Any, changes: dict[str, str], reason: str
) -> None:
    checked = check(job, flight(), flight(flight="2", **changes))
    assert job.logic.count_reasons(checked.bad) == {reason: 1}
    assert len(checked.good) == 1


def test_only_the_second_row_of_a_key_is_set_aside(job: Any) -> None:
    checked = check(job, flight(distance="x"), flight(), flight(dest="MIA"))
    assert checked.good["dest"].tolist() == ["IAH"]
    assert job.logic.count_reasons(checked.bad) == {
        "unparsable_distance": 1,
        "duplicate_key": 1,
    }


def test_a_row_with_the_wrong_number_of_fields_is_set_aside(
    job: Any, raw_texts: dict[str, str]
) -> None:
    header, first, *_ = raw_texts["flights"].splitlines()
    text = "\n".join([header, first, first + ",extra", "2013,1"])
    rows, checked = job.logic.load([text], job.logic.FLIGHTS, job.logic.FLIGHT_KEY)
    assert rows == 3
    assert job.logic.count_reasons(checked.bad) == {"malformed_row": 2}


def test_a_file_that_lost_a_column_is_set_aside_whole(job: Any, raw_texts: dict[str, str]) -> None:
    renamed = raw_texts["flights"].replace("distance", "miles", 1)
    rows, checked = job.logic.load([renamed], job.logic.FLIGHTS, job.logic.FLIGHT_KEY)
    assert job.logic.count_reasons(checked.bad) == {"missing_column_distance": rows}
    assert checked.good.empty


def test_an_extra_column_changes_nothing(job: Any, raw_texts: dict[str, str]) -> None:
    lines = raw_texts["flights"].splitlines()[:50]
    wider = "\n".join([lines[0] + ",gate", *(line + ",A1" for line in lines[1:])])
    one = job.logic.load(["\n".join(lines)], job.logic.FLIGHTS, job.logic.FLIGHT_KEY)[1]
    two = job.logic.load([wider], job.logic.FLIGHTS, job.logic.FLIGHT_KEY)[1]
    pd.testing.assert_frame_equal(one.good, two.good)


def test_no_row_is_lost_between_in_out_and_quarantine(job: Any, lake: Any) -> None:
    report, written = run(job, lake)
    assert report["rows_in"]["flights"] == report["rows_out"] == len(written["frame"])
    assert written["path"] == "s3://curated/flights/"
    assert (written["database"], written["table"]) == ("lake", "flights")


def test_quarantine_holds_the_rows_and_a_report_with_counts(
    job: Any, lake: Any, raw_texts: dict[str, str]
) -> None:
    header = raw_texts["flights"].splitlines()[0]
    bad = [flight(month="13"), flight(month="14"), flight(carrier="NA", flight="9")]
    text = pd.DataFrame(bad)[header.split(",")].to_csv(index=False)
    lake.put_object(Bucket="raw", Key="raw/flights/bad.csv", Body=text.encode())
    run(job, lake)
    report = json.loads(read(lake, "quarantine/flights/report.json"))
    assert report["quarantined_by_reason"]["flights"] == {
        "out_of_range_month": 2,
        "missing_carrier": 1,
    }
    kept = pd.read_csv(io.StringIO(read(lake, "quarantine/flights/flights.csv")))
    assert kept["reason"].tolist() == ["out_of_range_month"] * 2 + ["missing_carrier"]


def test_too_many_bad_rows_fail_the_job_after_the_report_is_written(job: Any, lake: Any) -> None:
    text = "\n".join([",".join(flight()), *[",".join(flight(month="13").values())] * 20])
    lake.put_object(Bucket="raw", Key="raw/flights/bad.csv", Body=text.encode())
    with pytest.raises(ValueError, match=r"20 of \d+ rows of flights are bad"):
        run(job, lake, max_rejected="0.001")
    assert "out_of_range_month" in read(lake, "quarantine/flights/report.json")


def test_an_empty_raw_prefix_is_an_error_that_names_it(job: Any, lake: Any) -> None:
    with pytest.raises(ValueError, match="no flights under s3://raw/elsewhere/flights/"):
        run(job, lake, raw_prefix="elsewhere")


def test_catalog_types_do_not_depend_on_the_values(job: Any, curated: pd.DataFrame) -> None:
    types_ = job.catalog_types(curated)
    assert types_["late"] == types_["plane_year"] == "bigint"
    assert types_["temp"] == "double"
    assert types_["tailnum"] == "string"
    assert job.catalog_types(curated.head(0)) == types_


def test_glue_arguments_reach_the_job(job: Any, lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    utils = types.ModuleType("awsglue.utils")
    utils.getResolvedOptions = lambda argv, names: asked.update(names=names) or dict(OPTIONS)
    monkeypatch.setitem(sys.modules, "awsglue", types.ModuleType("awsglue"))
    monkeypatch.setitem(sys.modules, "awsglue.utils", utils)
    monkeypatch.setattr(job, "write_catalog_table", lambda frame, **where: asked.update(where))
    monkeypatch.setattr("boto3.client", lambda service: lake)
    job.main()
    assert asked["names"] == list(OPTIONS)
    assert asked["table"] == "flights"


def _empty(job: Any, table: str) -> pd.DataFrame:
    columns = getattr(job.logic, table)
    strings = pd.DataFrame(columns=[column.name for column in columns], dtype=object)
    return job.logic.check(strings, columns, ["origin" if table == "WEATHER" else "tailnum"]).good
