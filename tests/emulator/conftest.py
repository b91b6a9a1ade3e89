"""Shared by the emulator's tests: an instance in a directory of its own, on moto.

Images of `sagemaker-scikit-learn` are the interpreter that runs the tests: it is there, it
has what the tests need, and nothing has to be built.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto import mock_aws

import sagestack.services  # noqa: F401  binds the operations
from sagestack.aws.store import Store
from sagestack.boto_host import BotoHost
from sagestack.context import Context, Instance
from sagestack.engine.executor import Executor
from sagestack.engine.images import Image, Images
from sagestack.engine.warm import WarmWorker
from sagestack.paths import environments_directory
from tests.emulator.jobs import ACCOUNT, REGION, ProcessingJobs, TrainingJobs
from tests.emulator.programs import Program
from tests.emulator.transforms import TransformJobs
from tests.emulator.tuning import TuningJobs
from tests.waiting import wait_until

SLOTS = 2
STOP_SECONDS = 1.0


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto answers for AWS, whatever the user's settings are."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def instance(tmp_path: Path, aws: None) -> Iterator[Instance]:
    """One emulator with two slots for jobs and a short grace for those that are stopped."""
    here = Image("here", ("sagemaker-scikit-learn",), Path(sys.executable))
    instance = Instance(
        directory=tmp_path / "instance",
        store=Store(tmp_path / "records.sqlite"),
        host=BotoHost(None),
        images=Images(environments_directory(), [here]),
        executor=Executor(SLOTS),
        stop_seconds=STOP_SECONDS,
    )
    yield instance
    # Before moto leaves: what still ran would ask the real AWS.
    assert instance.coordinators.close(timeout=30), "tuning jobs outlived the test"
    assert instance.executor.close(timeout=30), "jobs outlived the test"
    instance.events.close(timeout=10)
    instance.servers.close()
    instance.store.close()


@pytest.fixture
def context(instance: Instance) -> Context:
    return instance.context(ACCOUNT, REGION)


@pytest.fixture
def training(context: Context) -> TrainingJobs:
    return TrainingJobs(context)


@pytest.fixture
def processing(context: Context) -> ProcessingJobs:
    return ProcessingJobs(context)


@pytest.fixture
def tuning(context: Context) -> TuningJobs:
    return TuningJobs(context)


@pytest.fixture
def transforms(context: Context) -> TransformJobs:
    return TransformJobs(context)


@pytest.fixture(scope="session")
def warm_worker() -> Iterator[WarmWorker]:
    worker = WarmWorker(Path(sys.executable), ("json",))
    wait_until(lambda: worker.ready, what="the idle process")
    yield worker
    worker.close()


@pytest.fixture(params=["process", "fork"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Program]:
    """Makes a program from a script."""
    worker = request.getfixturevalue("warm_worker") if request.param == "fork" else None
    return lambda script: Program(tmp_path / "job" / "ml", script, worker)
