"""Every test here runs against both hosts: the mock in this process, and a live LocalStack."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sagestack.testing import mock_sagemaker
from tests.e2e.conftest import home, live  # noqa: F401  fixtures
from tests.emulator.endpoints import Endpoints
from tests.emulator.jobs import ProcessingJobs, TrainingJobs
from tests.shared.hosts import ClientContext, MockContext

IMAGES: Mapping[str, str | Path] = {"sagemaker-scikit-learn": sys.executable}


@pytest.fixture(scope="module", params=["mock", pytest.param("localstack", marks=pytest.mark.e2e)])
def context(request: pytest.FixtureRequest) -> Iterator[ClientContext]:
    if request.param == "localstack":
        yield request.getfixturevalue("live").context()
        return
    with mock_sagemaker(images=IMAGES):
        yield MockContext()


@pytest.fixture
def training(context: Any) -> TrainingJobs:
    return TrainingJobs(context)


@pytest.fixture
def processing(context: Any) -> ProcessingJobs:
    return ProcessingJobs(context)


@pytest.fixture
def endpoints(context: Any) -> Endpoints:
    return Endpoints(context)
