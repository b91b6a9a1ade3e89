"""Shared by the unit tests: real data, trained models, S3 on moto.

boto3 sessions come from localstack-client: the same session serves a live LocalStack in the end to
end tests. Moto answers at LocalStack's address because it is told of it before it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

ENDPOINT = "http://localhost:4566"
os.environ.setdefault("MOTO_S3_CUSTOM_ENDPOINTS", ENDPOINT)

import localstack_client.session  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
from moto import mock_aws  # noqa: E402

from mlops import data  # noqa: E402
from tests.unit.scripts import ROOT, load_script  # noqa: E402


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """An S3 client on moto, made by localstack-client."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("LOCALSTACK_HOST", raising=False)
    with mock_aws():
        yield localstack_client.session.Session().client("s3")


@pytest.fixture(scope="session")
def raw_texts() -> dict[str, str]:
    """CSV text of flights, weather and planes: the first four days of January and February."""
    texts = {"planes": data.planes()}
    for name, months in (
        ("flights", data.flights_by_month([1, 2])),
        ("weather", data.weather_by_month([1, 2])),
    ):
        header = months[1].splitlines()[0]
        day = header.split(",").index("day")
        lines = [
            line
            for text in months.values()
            for line in text.splitlines()[1:]
            if int(line.split(",")[day]) <= 4
        ]
        texts[name] = "\n".join([header, *lines]) + "\n"
    return texts


@pytest.fixture(scope="session")
def curated(raw_texts: dict[str, str]) -> pd.DataFrame:
    """The real rows of `raw_texts` after cleaning and joining."""
    etl = load_script("processing/flights_etl", "logic")
    flights = etl.load([raw_texts["flights"]], etl.FLIGHTS, etl.FLIGHT_KEY)[1].good
    weather = etl.load([raw_texts["weather"]], etl.WEATHER, etl.WEATHER_KEY)[1].good
    planes = etl.load([raw_texts["planes"]], etl.PLANES, etl.PLANE_KEY)[1].good
    return etl.curate(flights, weather, planes)


@pytest.fixture(scope="session")
def splits(curated: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The curated rows by split."""
    return load_script("processing/split", "logic").split(curated, (0.7, 0.15, 0.15))


@pytest.fixture(scope="session")
def train_model(
    splits: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Runs the training script on a folder tree; returns its /opt/ml."""

    def train(*arguments: str, **frames: pd.DataFrame) -> Path:
        base = tmp_path_factory.mktemp("opt_ml")
        for channel in ("train", "validation"):
            folder = base / "input" / "data" / channel
            folder.mkdir(parents=True)
            frames.get(channel, splits[channel]).to_csv(folder / "flights.csv", index=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SAGEMAKER_BASE_DIR", str(base))
            for name in ("SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR", "SM_CHANNEL_TRAIN"):
                patch.delenv(name, raising=False)
            load_script("training/delay_model").main(
                ["--inference_code", str(ROOT / "inference/delay_model"), *arguments]
            )
        return base

    return train


@pytest.fixture(scope="session")
def trained(train_model: Callable[..., Path]) -> Path:
    """/opt/ml after one short training on real flights."""
    return train_model("--max_iter", "50")
