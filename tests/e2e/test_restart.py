"""A server that is killed, and what the next start finds."""

from __future__ import annotations

import psutil
import pytest

from tests.e2e.conftest import training_on
from tests.e2e.live import Live, alive
from tests.emulator.jobs import ProcessingJobs, TrainingJobs
from tests.waiting import wait_until

PAUSE = "import signal; print('begun', flush=True); signal.pause()"
REASON = "InternalServerError: The server that ran this job was stopped or died before the job"


def begun(another: Live, *options: str) -> tuple[TrainingJobs, list[psutil.Process]]:
    """A server with jobs that run; its family, to see it end."""
    another.up(*options)
    training = training_on(another)
    for name in ("running-1", "running-2"):
        training.create(PAUSE, TrainingJobName=name)
    for name in ("running-1", "running-2"):
        training.wait_for_line(name, "begun")
    server = another.process()
    return training, server.children(recursive=True)


def test_killed_server_leaves_no_process(another: Live) -> None:
    _, family = begun(another)
    assert family
    another.kill()
    wait_until(lambda: not any(map(alive, family)), what="the end of all it started")


def test_a_start_begins_clean(another: Live) -> None:
    begun(another)
    another.kill()
    another.up()
    training = training_on(another)
    assert training.context.call("sagemaker", "ListTrainingJobs", {})["TrainingJobSummaries"] == []
    assert training.status(training.run("", TrainingJobName="running-1")) == "Completed"


def test_a_start_on_kept_records_tells_what_became_of_the_jobs(another: Live) -> None:
    another.up("--persist")
    training = training_on(another)
    processing = ProcessingJobs(training.context)
    finished = training.run("print('loss=1;')", TrainingJobName="finished")
    failed = training.run("raise SystemExit(3)", TrainingJobName="failed")
    processed = processing.run("", ProcessingJobName="processed")
    names = ["running-1", "running-2", "queued"]
    for name in names:
        training.create(PAUSE, TrainingJobName=name)
    for name in names[:2]:
        training.wait_for_line(name, "begun")
    another.kill()
    another.up("--persist")
    assert training.describe("finished") == finished
    assert training.describe("failed") == failed
    assert processing.describe("processed") == processed
    for name in names:
        job = training.describe(name)
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
        assert job["FailureReason"].startswith(REASON)
    with pytest.raises(Exception, match="already exists"):
        training_on(another).create("", TrainingJobName="running-1")
    assert another.status()["running"] == 0
