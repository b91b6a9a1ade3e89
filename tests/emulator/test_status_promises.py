"""Who sees a status finds what it promises, however slow the services behind it are."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagestack.boto_host import BotoSession
from sagestack.context import Context
from sagestack.serving.fleet import Fleet
from sagestack.serving.servers import Servers
from tests.emulator.endpoints import Endpoints, constant
from tests.emulator.glue_client import World, job_world
from tests.emulator.jobs import ProcessingJobs, TrainingJobs, s3_output
from tests.emulator.transforms import ECHO, TransformJobs
from tests.emulator.tuning import TuningJobs

SLOW = 0.5
"""Seconds that a slow service takes for a call."""


@pytest.fixture
def slow_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch, "put_log_events")


def slow_down(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    call = getattr(BotoSession, method)

    def slow(*arguments: Any, **keywords: Any) -> Any:
        time.sleep(SLOW)
        return call(*arguments, **keywords)

    monkeypatch.setattr(BotoSession, method, slow)


@pytest.fixture
def glue(aws: None, tmp_path: Path) -> Iterator[World]:
    with job_world(tmp_path) as world:
        yield world


@pytest.mark.parametrize(("script", "status"), [("", "Completed"), ("1 / 0", "Failed")])
def test_log_of_a_training_job_that_has_ended_is_complete(
    training: TrainingJobs, slow_logs: None, script: str, status: str
) -> None:
    job = training.run(f"print('said')\n{script}")
    assert job["TrainingJobStatus"] == status
    assert "said" in training.log(job["TrainingJobName"])


def test_log_of_a_training_job_whose_checkpoints_are_lost_is_complete(
    training: TrainingJobs, slow_logs: None
) -> None:
    script = "print('said'); open('/opt/ml/checkpoints/c', 'w').close()"
    training.s3.create_bucket(Bucket="checkpoints")
    name = training.create(
        f"import pathlib, time; print('waits', flush=True)\n"
        f"while not pathlib.Path('/opt/ml/input/go-on').exists(): time.sleep(0.01)\n{script}",
        CheckpointConfig={"S3Uri": "s3://checkpoints/c"},
    )
    training.wait_for_line(name, "waits")
    training.s3.delete_bucket(Bucket="checkpoints")
    [go_on] = training.context.instance.directory.glob("jobs/*/algo-1/ml/input")
    (go_on / "go-on").touch()
    job = training.end(name)
    assert job["FailureReason"] == "ClientError: S3 bucket does not exist: checkpoints"
    assert training.log(name) == ["waits", "said"]


@pytest.mark.parametrize(("script", "status"), [("", "Completed"), ("1 / 0", "Failed")])
def test_log_of_a_processing_job_that_has_ended_is_complete(
    processing: ProcessingJobs, slow_logs: None, script: str, status: str
) -> None:
    job = processing.run(f"print('said')\n{script}")
    assert job["ProcessingJobStatus"] == status
    assert "said" in processing.log(job["ProcessingJobName"])


def test_outputs_of_a_completed_processing_job_are_in_s3(
    processing: ProcessingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(monkeypatch, "upload")
    outputs = [
        s3_output(mode, f"s3://lake/{mode}", f"/opt/ml/processing/{mode}")
        for mode in ("EndOfJob", "Continuous")
    ]
    outputs[1]["S3Output"]["S3UploadMode"] = "Continuous"
    processing.run(
        """
        for mode in ("EndOfJob", "Continuous"):
            open(f"/opt/ml/processing/{mode}/made", "w").write(mode)
        """,
        outputs=outputs,
    )
    assert processing.get("EndOfJob/made") == b"EndOfJob"
    assert processing.get("Continuous/made") == b"Continuous"


def test_log_of_a_transform_job_that_has_ended_is_complete(
    transforms: TransformJobs, slow_logs: None
) -> None:
    transforms.put("in/a", "x")
    job = transforms.run(ECHO)
    assert transforms.told(job)


def test_log_of_a_job_run_that_has_ended_is_complete(glue: World, slow_logs: None) -> None:
    run = glue.run("print('said')")
    assert (run["JobRunState"], glue.log(run["Id"], "output")) == ("SUCCEEDED", ["said"])


def test_metrics_of_a_completed_training_job_are_in_cloudwatch(
    training: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(monkeypatch, "put_metric_data")
    definitions = {"MetricDefinitions": [{"Name": "score", "Regex": r"score=(\d+)"}]}
    training.run("print('score=1')", algorithm=definitions)
    cloudwatch = training.context.aws.client("cloudwatch")  # type: ignore[attr-defined]
    found = cloudwatch.list_metrics(Namespace="/aws/sagemaker/TrainingJobs")["Metrics"]
    assert [metric["MetricName"] for metric in found] == ["score"]


def test_counters_of_an_ended_tuning_job_tell_of_every_training_job(tuning: TuningJobs) -> None:
    job = tuning.run()
    trials = tuning.trials(job["HyperParameterTuningJobName"])
    assert job["TrainingJobStatusCounters"]["Completed"] == len(trials)
    assert job["TrainingJobStatusCounters"]["InProgress"] == 0
    assert {trial["ObjectiveStatus"] for trial in trials} == {"Succeeded"}


def test_name_of_a_tuning_job_is_free_when_it_is_deleted(
    tuning: TuningJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the thread that ran it is slow to end."""
    coordinators, leave = tuning.context.instance.coordinators, threading.Event()
    submit = coordinators.submit

    def slow_to_end(job: str, work: Any) -> Any:
        return submit(job, lambda control: (work(control), leave.wait(30))[0])

    monkeypatch.setattr(coordinators, "submit", slow_to_end)
    name = tuning.run()["HyperParameterTuningJobName"]
    monkeypatch.undo()
    request = {"HyperParameterTuningJobName": name}
    tuning.context.call("sagemaker", "DeleteHyperParameterTuningJob", request)
    try:
        assert tuning.run(HyperParameterTuningJobName=name)["HyperParameterTuningJobStatus"] == (
            "Completed"
        )
    finally:
        leave.set()


def test_servers_of_before_have_ended_when_an_update_is_done(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Fleet.stop

    def slow(fleet: Fleet, grace: float = 30) -> None:
        time.sleep(SLOW)
        stop(fleet, grace)

    monkeypatch.setattr(Fleet, "stop", slow)
    endpoints = Endpoints(context)
    name = endpoints.serve(constant("old"))
    old = endpoints.variants(name)[0].fleet.servers
    config = endpoints.config(endpoints.variant(constant("new")))
    endpoints.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=config)
    assert endpoints.settled(name)["EndpointStatus"] == "InService"
    assert not any(server.ready for server in old)


@pytest.mark.parametrize("operation", ["update", "scale"])
def test_room_for_servers_is_free_when_a_change_is_done(
    context: Context, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    for method in ("release", "reserve"):
        call = getattr(Servers, method)

        def slow(*arguments: Any, call: Any = call) -> None:
            time.sleep(SLOW)
            call(*arguments)

        monkeypatch.setattr(Servers, method, slow)
    endpoints = Endpoints(context)
    context.instance.servers.limit = 3
    name = endpoints.serve(constant("old"), InitialInstanceCount=2 if operation == "scale" else 1)
    if operation == "update":
        config = endpoints.config(endpoints.variant(constant("new"), InitialInstanceCount=2))
        endpoints.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=config)
    else:
        fewer = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 1}]
        endpoints.call(
            "UpdateEndpointWeightsAndCapacities",
            EndpointName=name,
            DesiredWeightsAndCapacities=fewer,
        )
    endpoints.settled(name)
    other = endpoints.config(
        endpoints.variant(constant(1), InitialInstanceCount=1 if operation == "update" else 2)
    )
    assert endpoints.settled(endpoints.create(other))["EndpointStatus"] == "InService"
