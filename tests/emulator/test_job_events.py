"""EventBridge events of jobs: what they say, their order, and that nothing untold is stored.

Source: contract, section 5.
"""

import json
from typing import Any

import pytest

from sagestack.context import Context
from tests.emulator.jobs import ProcessingJobs, TrainingJobs
from tests.waiting import wait_until

ENDED = ("Completed", "Failed", "Stopped")


class Events:
    """What the jobs of a test tell, as EventBridge would get it."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def put(
        self,
        _session: object,
        source: str,
        detail_type: str,
        detail: dict[str, Any],
        resources: list[str],
    ) -> None:
        event = {
            "source": source,
            "detail-type": detail_type,
            "detail": json.loads(json.dumps(detail)),
            "resources": resources,
        }
        self.told.append(event)

    def until_end(self, status_member: str) -> list[dict[str, Any]]:
        """Every event, once the one of a job's end is there."""
        wait_until(
            lambda: self.told and self.told[-1]["detail"][status_member] in ENDED,
            what="the event of the end",
        )
        return self.told


@pytest.fixture
def events(context: Context, monkeypatch: pytest.MonkeyPatch) -> Events:
    events = Events()
    monkeypatch.setattr(
        type(context.aws), "put_event", lambda session, *event: events.put(session, *event)
    )
    return events


def test_training_job_tells_each_change_in_order(training: TrainingJobs, events: Events) -> None:
    job = training.run("")
    told = events.until_end("TrainingJobStatus")
    assert {event["detail-type"] for event in told} == {"SageMaker Training Job State Change"}
    assert {event["source"] for event in told} == {"aws.sagemaker"}
    assert all(event["resources"] == [job["TrainingJobArn"]] for event in told)
    statuses = [event["detail"]["SecondaryStatus"] for event in told]
    assert list(dict.fromkeys(statuses)) == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    times = [int(event["detail"]["LastModifiedTime"]) for event in told]
    assert times == sorted(times)


def test_detail_is_what_describe_says(training: TrainingJobs, events: Events) -> None:
    job = training.run("", HyperParameters={"a": "1"}, Tags=[{"Key": "team", "Value": "ml"}])
    detail = events.until_end("TrainingJobStatus")[-1]["detail"]
    for member in ("TrainingJobName", "TrainingJobArn", "HyperParameters", "RoleArn"):
        assert detail[member] == job[member]
    assert detail["Tags"] == {"team": "ml"}
    assert detail["CreationTime"] == str(int(job["CreationTime"].timestamp() * 1000))
    transitions = detail["SecondaryStatusTransitions"]
    assert [t["Status"] for t in transitions][-1] == "Completed"
    assert all(t["StartTime"].isdigit() for t in transitions)


def test_failed_job_tells_its_reason(training: TrainingJobs, events: Events) -> None:
    training.run("raise SystemExit(3)")
    detail = events.until_end("TrainingJobStatus")[-1]["detail"]
    assert detail["TrainingJobStatus"] == "Failed"
    assert detail["FailureReason"] == "AlgorithmError: , exit code: 3"


def test_stop_is_told_before_the_end_it_leads_to(training: TrainingJobs, events: Events) -> None:
    name = training.create("import signal; print('begun', flush=True); signal.pause()")
    training.wait_for_line(name, "begun")
    training.stop(name)
    told = [e["detail"]["TrainingJobStatus"] for e in events.until_end("TrainingJobStatus")]
    assert list(dict.fromkeys(told)) == ["InProgress", "Stopping", "Stopped"]


def test_processing_job_tells_its_own_type(processing: ProcessingJobs, events: Events) -> None:
    processing.run("")
    told = events.until_end("ProcessingJobStatus")
    assert {event["detail-type"] for event in told} == {"SageMaker Processing Job State Change"}
    statuses = [event["detail"]["ProcessingJobStatus"] for event in told]
    assert list(dict.fromkeys(statuses)) == ["InProgress", "Completed"]


def test_job_ends_also_where_events_can_not_be_delivered(
    training: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionError("no EventBridge")

    monkeypatch.setattr(type(training.context.aws), "put_event", refuse)
    assert training.status(training.run("")) == "Completed"
