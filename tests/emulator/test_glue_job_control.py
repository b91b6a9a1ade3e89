"""Job runs, really run: stopped, timed out, retried, counted, and left by a server that died."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import sagestack.glue
from sagestack.aws.errors import AwsError
from sagestack.boto_host import BotoSession
from sagestack.engine.executor import Executor
from sagestack.glue import python_shell
from tests.emulator.glue_client import ENDED, World, error_of, job_world
from tests.waiting import wait_until


@pytest.fixture
def glue(tmp_path: Path, aws: None) -> Iterator[World]:
    with job_world(tmp_path) as world:
        yield world


@pytest.fixture
def events(monkeypatch):
    """The events that EventBridge was told of, as (source, detail type, detail)."""
    told = []
    monkeypatch.setattr(
        BotoSession,
        "put_event",
        lambda self, source, detail_type, detail, resources: told.append(
            (source, detail_type, detail)
        ),
    )
    return told


def attempt(glue, number: int) -> dict:
    """The run of this attempt, when it has ended."""

    def ended() -> dict | None:
        newest = glue("GetJobRuns", JobName="etl", MaxResults=1)["JobRuns"][0]
        return newest if newest["Attempt"] == number and newest["JobRunState"] in ENDED else None

    return wait_until(ended, what=f"the end of attempt {number}")


def test_lines_reach_the_log_while_the_script_runs(glue):
    glue.job("import time; print('first'); time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    assert wait_until(lambda: glue.log(run_id, "output")) == ["first"]
    assert glue.read(run_id)["JobRunState"] == "RUNNING"
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id])


def test_a_running_run_is_stopped(glue, events):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    answer = glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id, "jr_gone"])
    assert answer["SuccessfulSubmissions"] == [{"JobName": "etl", "JobRunId": run_id}]
    assert [error["JobRunId"] for error in answer["Errors"]] == ["jr_gone"]
    assert glue.wait(run_id)["JobRunState"] == "STOPPED"
    again = glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id])
    assert again["SuccessfulSubmissions"] == []
    assert "has ended" in again["Errors"][0]["ErrorDetail"]["ErrorMessage"]
    assert [detail["state"] for _, _, detail in events] == ["STOPPED"]


def test_a_queued_run_is_stopped_without_having_run(glue):
    glue.job(
        "import time; print('ran'); time.sleep(60)", ExecutionProperty={"MaxConcurrentRuns": 3}
    )
    running = [glue.start(), glue.start()]
    for run_id in running:
        glue.wait(run_id, "RUNNING")
    queued = glue.start()
    assert glue.read(queued)["JobRunState"] == "STARTING"
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[queued])
    assert glue.wait(queued)["JobRunState"] == "STOPPED"
    assert [glue.read(run_id)["JobRunState"] for run_id in running] == ["RUNNING"] * 2
    glue("BatchStopJobRun", JobName="etl", JobRunIds=running)


def test_a_run_over_its_timeout_ends(glue, events, monkeypatch):
    monkeypatch.setattr(python_shell, "MINUTE", 0.5)
    glue.job("import time; time.sleep(60)", Timeout=100, MaxRetries=1)
    run = glue.wait(glue.start(Timeout=1))
    assert run["JobRunState"] == "TIMEOUT"
    (source, detail_type, detail), *_ = events
    assert (source, detail_type) == ("aws.glue", "Glue Job State Change")
    assert detail == {
        "jobName": "etl",
        "severity": "WARN",
        "state": "TIMEOUT",
        "jobRunId": run["Id"],
        "message": "Job run timed out",
    }


def test_a_job_runs_no_more_often_than_it_may(glue):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    error = error_of(glue.start)
    assert error.code == "ConcurrentRunsExceededException"
    assert error.message == "Concurrent runs exceeded for etl"
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id])
    glue.wait(run_id)
    second = glue.start()
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[second])


def test_starts_at_the_same_time_are_counted_one_by_one(glue):
    glue.job("import time; time.sleep(60)", ExecutionProperty={"MaxConcurrentRuns": 2})

    def start(_) -> str | None:
        try:
            return glue.start()
        except AwsError as error:
            assert error.code == "ConcurrentRunsExceededException"
            return None

    with ThreadPoolExecutor(8) as pool:
        started = [run_id for run_id in pool.map(start, range(8)) if run_id]
    assert len(started) == 2
    glue("BatchStopJobRun", JobName="etl", JobRunIds=started)


def test_a_failed_run_is_retried_as_a_new_run(glue, events):
    run = glue.run("raise ValueError('boom')", {"--a": "1"}, MaxRetries=2)
    last = attempt(glue, 2)
    runs = glue("GetJobRuns", JobName="etl")["JobRuns"]
    first = run["Id"]
    assert [r["Id"] for r in runs] == [f"{first}_attempt_2", f"{first}_attempt_1", first]
    assert [r["Attempt"] for r in runs] == [2, 1, 0]
    assert [r.get("PreviousRunId") for r in runs] == [f"{first}_attempt_1", first, None]
    assert last["Arguments"] == {"--a": "1"}
    details = [detail for _, _, detail in events]
    assert [d["state"] for d in details] == ["FAILED"] * 3
    assert details[0]["severity"] == "ERROR"
    assert details[0]["message"] == "ValueError: boom"


def test_a_run_can_be_retried_by_its_id(glue):
    run = glue.run("import sys; print(sys.argv[-1])", {"--a": "1"})
    again = glue.wait(glue.start(JobRunId=run["Id"]))
    assert again["Id"] == f"{run['Id']}_attempt_1"
    assert again["PreviousRunId"] == run["Id"]
    assert glue.log(again["Id"], "output") == ["1"]


def test_a_run_can_be_retried_more_than_once(glue):
    run = glue.run("")
    attempts = [glue.wait(glue.start(JobRunId=run["Id"]))["Id"] for _ in range(2)]
    assert attempts == [f"{run['Id']}_attempt_1", f"{run['Id']}_attempt_2"]


def test_a_deleted_job_has_no_runs_however_late_they_were_started(glue, monkeypatch):
    glue.job("import time; time.sleep(60)")
    late, deleted = threading.Event(), threading.Event()

    def slow(arguments):
        late.set()
        assert deleted.wait(20)

    monkeypatch.setattr("sagestack.glue.job_run.check_arguments", slow)
    with ThreadPoolExecutor() as pool:
        start = pool.submit(error_of, glue.start)
        assert late.wait(20)
        glue("DeleteJob", JobName="etl")
        deleted.set()
        assert start.result().code == "EntityNotFoundException"
    assert not glue.instance.store.count("glue-job-run")


def test_a_job_can_be_deleted_while_it_runs(glue):
    glue.job("import time; time.sleep(60)", MaxRetries=3)
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    glue("DeleteJob", JobName="etl")
    assert error_of(glue.read, run_id).code == "EntityNotFoundException"
    assert glue.instance.executor.close(20)
    assert not glue.instance.store.count("glue-job-run")


def test_what_ran_when_the_server_died_has_failed(glue):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    reborn = replace(glue.instance, executor=Executor(1))
    sagestack.glue.recover(reborn)
    run = glue.read(run_id)
    assert run["JobRunState"] == "FAILED"
    assert "server that ran this job run was stopped or died" in run["ErrorMessage"]
    assert "CompletedOn" in run


def test_a_shut_down_ends_a_run_as_failed(glue):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    assert glue.instance.executor.close(20)
    run = glue.read(run_id)
    assert (run["JobRunState"], run["ErrorMessage"]) == (
        "FAILED",
        "The server was shut down while the job ran.",
    )
