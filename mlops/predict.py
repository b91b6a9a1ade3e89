"""Ask the endpoint about real flights of a later month; compare with offline and with the truth.

A request holds raw flights as an airline would know them before departure, with the weather at the
origin in that hour and the plane from the register.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlops import data
from mlops.errors import LevelZeroError

TOLERANCE = 1e-9
LATE_AFTER_MINUTES = 15
FLIGHTS_ASKED = 400
LIBRARIES = ("scikit-learn", "pandas", "numpy")
WEATHER_KEY = ("origin", "year", "month", "day", "hour")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure",
           "visib")  # fmt: skip
PLANE = {"plane_year": "year", "engines": "engines", "seats": "seats"}
OUTCOMES = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")


@dataclass(frozen=True)
class Answer:
    """One flight: what was asked, what the model said, and minutes late in truth (None: never)."""

    flight: Mapping[str, str]
    probability: float
    late: bool
    arr_delay: int | None

    @property
    def was_late(self) -> bool | None:
        """What the label would be; None for a flight that never arrived."""
        return None if self.arr_delay is None else self.arr_delay > LATE_AFTER_MINUTES


def flights_of(month: int, count: int = FLIGHTS_ASKED) -> list[dict[str, str]]:
    """Flights spread evenly over a month, as raw rows with weather and plane; same every time."""
    flights = data.read_rows(data.flights_by_month([month])[month])
    step = max(1, len(flights) // count)
    weather = {
        tuple(row[key] for key in WEATHER_KEY): row
        for row in data.read_rows(data.weather_by_month([month])[month])
    }
    planes = {row["tailnum"]: row for row in data.read_rows(data.planes())}
    rows = []
    for flight in flights[::step][:count]:
        hour = weather.get(tuple(flight[key] for key in WEATHER_KEY), {})
        plane = planes.get(flight["tailnum"], {})
        rows.append(
            {
                **flight,
                **{name: hour.get(name, "NA") for name in WEATHER},
                **{name: plane.get(source, "NA") for name, source in PLANE.items()},
            }
        )
    return rows


def as_csv(flights: Sequence[Mapping[str, str]]) -> str:
    """The request: everything known before departure, and nothing else."""
    names = [name for name in flights[0] if name not in OUTCOMES]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flights)
    return buffer.getvalue()


def ask(runtime: Any, endpoint: str, flights: Sequence[Mapping[str, str]]) -> list[Answer]:
    """One InvokeEndpoint for all flights. LevelZeroError when the endpoint refuses or miscounts."""
    try:
        response = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType="text/csv",
            Accept="application/json",
            Body=as_csv(flights).encode("utf-8"),
        )
    except runtime.exceptions.ModelError as error:
        raise LevelZeroError(f"the model failed: {error}") from error
    return answers_of(flights, json.loads(response["Body"].read()))


def answers_of(flights: Sequence[Mapping[str, str]], body: dict[str, Any]) -> list[Answer]:
    """The serving code's JSON, flight by flight."""
    predictions = body["predictions"]
    if len(predictions) != len(flights):
        raise LevelZeroError(f"{len(predictions)} answers for {len(flights)} flights")
    return [
        Answer(
            flight=flight,
            probability=float(prediction["late_probability"]),
            late=bool(prediction["late"]),
            arr_delay=None if flight["arr_delay"] == "NA" else int(flight["arr_delay"]),
        )
        for flight, prediction in zip(flights, predictions, strict=True)
    ]


def unpack(artifact: bytes, folder: Path) -> Path:
    """A model.tar.gz into a fresh folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def other_versions(model_dir: Path) -> dict[str, tuple[str, str]]:
    """Libraries whose version here is not the model's: name to (model's, here)."""
    metadata = json.loads((model_dir / "metadata.json").read_text(encoding="utf-8"))
    pairs = {name: (metadata["versions"][name], version(name)) for name in LIBRARIES}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def offline(
    model_dir: Path, flights: Sequence[Mapping[str, str]], python: str = sys.executable
) -> list[Answer]:
    """What the artifact answers on this machine, under the given interpreter."""
    script = Path(__file__).with_name("offline.py")
    done = subprocess.run(
        [python, str(script), str(model_dir)],
        input=as_csv(flights),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LevelZeroError(f"the artifact does not answer offline: {last}")
    return answers_of(flights, json.loads(done.stdout))


def compare(answers: Sequence[Answer], model_dir: Path, python: str = sys.executable) -> str:
    """Endpoint against artifact, in a sentence. LevelZeroError when they differ.

    Under this interpreter nothing is compared when its libraries are not those of the model: other
    versions may give other numbers, or fail to load it.
    """
    if python == sys.executable and (others := other_versions(model_dir)):
        said = ", ".join(f"{name} {its} there, {ours} here" for name, (its, ours) in others.items())
        return f"not compared with offline: {said}; give --offline-python"
    again = offline(model_dir, [answer.flight for answer in answers], python)
    difference = largest_difference(answers, again)
    if difference > TOLERANCE:
        raise LevelZeroError(f"endpoint and offline prediction differ by {difference:g}")
    return f"equal to the artifact's offline prediction (largest difference {difference:g})"


def largest_difference(one: Sequence[Answer], other: Sequence[Answer]) -> float:
    """Over all flights, in probability."""
    return max(abs(a.probability - b.probability) for a, b in zip(one, other, strict=True))


def auc(answers: Sequence[Answer]) -> float | None:
    """Chance that a late flight got a higher probability than one on time; None if undefined."""
    late = [a.probability for a in answers if a.was_late]
    on_time = [a.probability for a in answers if a.was_late is False]
    if not late or not on_time:
        return None
    wins = sum((a > b) + 0.5 * (a == b) for a in late for b in on_time)
    return wins / (len(late) * len(on_time))
