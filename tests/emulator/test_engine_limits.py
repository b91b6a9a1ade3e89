"""What an instance type and a volume allow."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sagestack.engine.instance_types import GIB, Limits, limits_of
from sagestack.engine.volume import used
from tests.emulator.jobs import TrainingJobs


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("ml.m5.large", Limits(2, 8 * GIB)),
        ("ml.c5.xlarge", Limits(4, 8 * GIB)),
        ("ml.r5.2xlarge", Limits(8, 64 * GIB)),
        ("ml.m6i.24xlarge", Limits(96, 384 * GIB)),
        ("ml.t3.medium", Limits(2, 4 * GIB)),
        ("ml.m7i-flex.large", Limits(2, 8 * GIB)),
        ("ml.p4d.24xlarge", Limits()),
        ("ml.g5.xlarge", Limits()),
    ],
)
def test_limits_are_those_of_the_type(name: str, limits: Limits) -> None:
    assert limits_of(name) == limits


def test_memory_past_the_type_is_a_memory_error(training: TrainingJobs) -> None:
    script = """
    import json
    try:
        bytearray(5 * 1024**3)
        print(json.dumps("had it"))
    except MemoryError:
        print(json.dumps("MemoryError"))
    """
    small = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
    assert training.answer(script, ResourceConfig=small) == "MemoryError"


def test_job_sees_no_more_cores_than_its_type_has(training: TrainingJobs) -> None:
    script = "import json, os; print(json.dumps(len(os.sched_getaffinity(0))))"
    cores: int = training.answer(script)
    assert cores == min(2, len(os.sched_getaffinity(0)))


def test_job_that_fills_its_volume_fails_with_the_reason(training: TrainingJobs) -> None:
    script = """
    import time
    with open("/opt/ml/model/full", "wb") as file:
        while True:
            file.write(bytes(64 * 1024**2))
            file.flush()
            if file.tell() > 1100 * 1024**2:
                time.sleep(60)
    """
    job = training.run(script)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: The job has filled its volume of 1 GB")


def test_volume_is_measured_however_deep_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100_000))
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):  # past what recursion allows, and longer than a path may be
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert used(tmp_path) >= 100_000
    shutil.rmtree(tmp_path / "deep")
