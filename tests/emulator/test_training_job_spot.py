"""Checkpoints, spot capacity and retries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sagestack.aws.errors import ValidationException
from sagestack.sagemaker.training_job import interrupt_training_job
from tests.emulator.jobs import TrainingJobs
from tests.waiting import wait_until

CHECKPOINTS = {"CheckpointConfig": {"S3Uri": "s3://lake/checkpoints/"}}
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
}
COUNT = """
import time
from pathlib import Path
path = Path("/opt/ml/checkpoints/step")
step = int(path.read_text()) if path.exists() else 0
print("begins at", step, flush=True)
path.write_text(str(step + 1))
while step == 0:
    time.sleep(0.05)
"""


def checkpoint(training: TrainingJobs) -> str | None:
    keys = training.keys("checkpoints/step")
    return training.get("checkpoints/step").decode() if keys else None


def test_checkpoint_is_in_s3_while_the_job_runs_and_a_new_job_resumes(
    training: TrainingJobs,
) -> None:
    first = training.create(COUNT, **CHECKPOINTS)
    wait_until(lambda: checkpoint(training) == "1", what="the first checkpoint")
    assert training.status(training.describe(first)) == "InProgress"
    training.stop(first)
    assert training.status(training.end(first)) == "Stopped"

    second = training.run(COUNT, **CHECKPOINTS)
    assert training.status(second) == "Completed"
    assert "begins at 1" in training.log(second["TrainingJobName"])
    assert checkpoint(training) == "2"


def test_local_path_of_checkpoints_can_be_another(training: TrainingJobs) -> None:
    config = {"S3Uri": "s3://lake/other", "LocalPath": "/opt/ml/saved/here"}
    job = training.run("open('/opt/ml/saved/here/x', 'w').write('kept')", CheckpointConfig=config)
    assert training.status(job) == "Completed", job.get("FailureReason")
    assert training.get("other/x") == b"kept"


def test_checkpoints_may_begin_anew(training: TrainingJobs) -> None:
    script = """
    import os, shutil
    shutil.rmtree("/opt/ml/checkpoints")
    os.mkdir("/opt/ml/checkpoints")
    open("/opt/ml/checkpoints/x", "w").write("anew")
    """
    training.run(script, **CHECKPOINTS)
    assert training.get("checkpoints/x") == b"anew"


@pytest.mark.parametrize("taken", ["/opt/ml/checkpoints", "/opt/ml/saved"])
def test_link_in_the_place_of_checkpoints_is_not_followed(
    training: TrainingJobs, tmp_path: Path, taken: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/secret").touch()
    script = f"""
    import shutil, os
    shutil.rmtree({taken!r})
    os.symlink({str(tmp_path)!r}, {taken!r})
    """
    path = f"{taken}/here" if taken.endswith("saved") else taken
    config = {"S3Uri": "s3://lake/checkpoints", "LocalPath": path}
    job = training.run(script, CheckpointConfig=config)
    assert "is a link or lies behind one" in job["FailureReason"]
    assert training.keys("checkpoints") == []


def test_interrupted_job_starts_again_from_its_checkpoint(training: TrainingJobs) -> None:
    name = training.create(COUNT, **SPOT, **CHECKPOINTS)
    wait_until(lambda: checkpoint(training) == "1", what="the first checkpoint")
    interrupt_training_job(name, training.context)
    job = training.end(name)
    assert training.status(job) == "Completed"
    statuses = [entry["Status"] for entry in job["SecondaryStatusTransitions"]]
    assert statuses[:4] == ["Starting", "Downloading", "Training", "Interrupted"]
    assert statuses[-1] == "Completed"
    assert training.log(name).count("begins at 0") == 1
    assert "begins at 1" in training.log(name)
    assert job["BillableTimeInSeconds"] <= job["TrainingTimeInSeconds"]


def test_job_without_spot_capacity_has_none_to_lose(training: TrainingJobs) -> None:
    name = training.create(COUNT, **CHECKPOINTS)
    with pytest.raises(ValidationException, match="does not run on spot capacity"):
        interrupt_training_job(name, training.context)
    training.stop(name)
    training.end(name)


@pytest.mark.parametrize(
    "members",
    [
        {"EnableManagedSpotTraining": True},
        {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30},
        },
        {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90}},
    ],
)
def test_wait_time_goes_with_spot_and_is_no_shorter_than_the_run(
    training: TrainingJobs, members: dict[str, Any]
) -> None:
    with pytest.raises(ValidationException, match="MaxWaitTimeInSeconds"):
        training.create("", **members)


def test_fault_of_ours_is_retried_as_often_as_asked(
    training: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sagestack.sagemaker.training_job import run as module

    faults = iter([RuntimeError("a fault"), None])
    carry_out = module.Attempt.carry_out

    def faulty(self: Any, *arguments: Any) -> Any:
        if fault := next(faults):
            raise fault
        return carry_out(self, *arguments)

    monkeypatch.setattr(module.Attempt, "carry_out", faulty)
    job = training.run("", RetryStrategy={"MaximumRetryAttempts": 1})
    assert training.status(job) == "Completed"
    assert "Restarting" in [entry["Status"] for entry in job["SecondaryStatusTransitions"]]
