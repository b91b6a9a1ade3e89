"""Shared by the end to end tests: one LocalStack for all of them, jobs on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagestack.paths import environments_directory
from tests.e2e.live import Live
from tests.emulator.jobs import ProcessingJobs, TrainingJobs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A SAGESTACK_HOME with instances of its own and the user's built environments."""
    environments = environments_directory()
    environments.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="sagestack-e2e-"))
    (home / "environments").symlink_to(environments)
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def live(home: Path) -> Iterator[Live]:
    """The LocalStack that most tests share."""
    live = Live(home)
    live.up()
    yield live
    live.down()


@pytest.fixture
def another(home: Path) -> Iterator[Live]:
    """A LocalStack of one test's own, not started yet."""
    live = Live(home)
    yield live
    live.down()


@pytest.fixture
def training(live: Live) -> TrainingJobs:
    return training_on(live)


@pytest.fixture
def processing(live: Live) -> ProcessingJobs:
    context: Any = live.context()
    return ProcessingJobs(context)


def training_on(live: Live, **place: str) -> TrainingJobs:
    context: Any = live.context(**place)
    return TrainingJobs(context)
