"""A start on kept records: what ran is Failed and says why, what had ended is as it was."""

from datetime import UTC, datetime

import pytest

from sagestack.aws.store import Key, Record
from sagestack.context import Context, Instance
from sagestack.services import recover
from tests.emulator.jobs import ACCOUNT, REGION, ProcessingJobs, TrainingJobs

REASON = (
    "InternalServerError: The server that ran this job was stopped or died before the job "
    "ended. Please try again."
)


def leave(context: Context, kind: str, status: str) -> str:
    """The record of a job as a server that died has left it; its name."""
    now = datetime.now(UTC)
    name = f"left-{status.lower()}"
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind.lower()}-job/{name}"
    document = {
        f"{kind}JobName": name,
        f"{kind}JobArn": arn,
        f"{kind}JobStatus": status,
        "CreationTime": now,
    }
    if kind == "Training":
        start = {"Status": "Training", "StartTime": now, "StatusMessage": "Training in progress."}
        document |= {
            "SecondaryStatus": "Training",
            "SecondaryStatusTransitions": [start],
            "TrainingStartTime": now,
        }
    key = Key.of(context.caller, f"{kind.lower()}-job", name)
    context.store.create(Record(key, arn, document, status, created=now, modified=now))
    return name


@pytest.mark.parametrize("status", ["InProgress", "Stopping"])
def test_training_job_that_ran_has_failed(
    training: TrainingJobs, instance: Instance, status: str
) -> None:
    name = leave(training.context, "Training", status)
    recover(instance)
    job = training.describe(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == REASON
    assert job["SecondaryStatusTransitions"][-1]["Status"] == "Failed"
    assert job["TrainingEndTime"] >= job["TrainingStartTime"]


@pytest.mark.parametrize("status", ["InProgress", "Stopping"])
def test_processing_job_that_ran_has_failed(
    processing: ProcessingJobs, instance: Instance, status: str
) -> None:
    name = leave(processing.context, "Processing", status)
    recover(instance)
    job = processing.describe(name)
    assert (job["ProcessingJobStatus"], job["FailureReason"]) == ("Failed", REASON)


def test_jobs_of_every_account_and_region_are_recovered(instance: Instance, aws: None) -> None:
    places = [(ACCOUNT, "eu-west-1"), ("000000000001", REGION)]
    jobs = [TrainingJobs(instance.context(*place)) for place in places]
    names = [leave(job.context, "Training", "InProgress") for job in jobs]
    recover(instance)
    found = [job.describe(name) for job, name in zip(jobs, names, strict=True)]
    assert [job["TrainingJobStatus"] for job in found] == ["Failed", "Failed"]


def test_jobs_that_had_ended_are_as_they_were(
    training: TrainingJobs, processing: ProcessingJobs, instance: Instance
) -> None:
    before = [
        training.run("open('/opt/ml/model/m', 'w')"),
        training.run("raise SystemExit(1)"),
        processing.run(""),
    ]
    recover(instance)
    after = [
        *(training.describe(job["TrainingJobName"]) for job in before[:2]),
        processing.describe(before[2]["ProcessingJobName"]),
    ]
    assert after == before


def test_name_of_a_recovered_job_is_taken(training: TrainingJobs, instance: Instance) -> None:
    name = leave(training.context, "Training", "InProgress")
    recover(instance)
    with pytest.raises(Exception, match="already exists"):
        training.create("", TrainingJobName=name)
