"""Warm pools: what a completed job leaves to the next one like it."""

from __future__ import annotations

from typing import Any

import pytest

from sagestack.aws.errors import ValidationException
from sagestack.sagemaker.training_job import recover
from tests.emulator.jobs import TrainingJobs
from tests.waiting import wait_until

COUNT = """
import json
from pathlib import Path
path = Path("/opt/ml/sagemaker/warmpoolcache/count")
path.parent.mkdir(parents=True, exist_ok=True)
count = int(path.read_text()) if path.exists() else 0
path.write_text(str(count + 1))
print(json.dumps(count))
"""


def kept(seconds: int, **members: Any) -> dict[str, Any]:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    return {
        "ResourceConfig": resources | {"KeepAlivePeriodInSeconds": seconds},
        **members,
    }


def pool(training: TrainingJobs, name: str, status: str) -> dict[str, Any]:
    """The job's WarmPoolStatus, once it has this status."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = training.describe(name)["WarmPoolStatus"]
        return found if found["Status"] == status else None

    answer = wait_until(look, what=f"{name} to have its pool {status}")
    assert answer is not None
    return answer


def test_next_job_has_the_cache_and_the_first_says_who_took_it(training: TrainingJobs) -> None:
    first = training.run(COUNT, **kept(600))["TrainingJobName"]
    pool(training, first, "Available")
    second = training.run(COUNT, **kept(600))["TrainingJobName"]
    assert training.log(second) == ["1"]
    assert pool(training, first, "Reused")["ReusedByJob"] == second
    pool(training, second, "Available")


@pytest.mark.parametrize(
    "other",
    [
        {"RoleArn": "arn:aws:iam::123456789012:role/Another"},
        {"EnableNetworkIsolation": True},
    ],
)
def test_job_that_is_not_like_it_gets_nothing(training: TrainingJobs, other: Any) -> None:
    first = training.run(COUNT, **kept(600))["TrainingJobName"]
    pool(training, first, "Available")
    second = training.run(COUNT, **kept(600, **other))["TrainingJobName"]
    assert training.log(second) == ["0"]
    pool(training, first, "Available")


def test_pool_is_there_when_the_job_is_seen_completed(training: TrainingJobs) -> None:
    name = training.run(COUNT, **kept(600))["TrainingJobName"]
    assert training.describe(name)["WarmPoolStatus"] == {"Status": "Available"}


def test_job_that_fails_leaves_no_pool(training: TrainingJobs) -> None:
    name = training.run("raise SystemExit(1)", **kept(600))["TrainingJobName"]
    assert training.describe(name)["WarmPoolStatus"] == {"Status": "Terminated"}


def test_pool_ends_when_its_time_is_over(training: TrainingJobs) -> None:
    name = training.run(COUNT, **kept(1))["TrainingJobName"]
    assert pool(training, name, "Terminated")["ResourceRetainedBillableTimeInSeconds"] >= 1


def test_update_ends_a_pool_and_a_pool_that_is_gone_can_not_be_updated(
    training: TrainingJobs,
) -> None:
    name = training.run(COUNT, **kept(600))["TrainingJobName"]
    update = {"TrainingJobName": name, "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}}
    training.context.call("sagemaker", "UpdateTrainingJob", update)
    pool(training, name, "Terminated")
    with pytest.raises(ValidationException, match="no warm pool"):
        training.context.call("sagemaker", "UpdateTrainingJob", update)


def test_list_finds_jobs_by_the_status_of_their_pool(training: TrainingJobs) -> None:
    name = training.run(COUNT, **kept(600))["TrainingJobName"]
    pool(training, name, "Available")
    training.run("")
    answer = training.context.call(
        "sagemaker", "ListTrainingJobs", {"WarmPoolStatusEquals": "Available"}
    )
    assert [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]] == [name]


def test_no_pool_outlives_the_server(training: TrainingJobs) -> None:
    name = training.run(COUNT, **kept(600))["TrainingJobName"]
    pool(training, name, "Available")
    recover(training.context.instance)
    pool(training, name, "Terminated")
