"""Tuning jobs: real trials, their limits and ends, and what the operations say of them."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sagestack.aws.store import Store
from sagestack.context import Context, Instance
from sagestack.engine.images import Image, Images
from sagestack.paths import environments_directory
from sagestack.services import recover
from tests.emulator.jobs import ACCOUNT, REGION, Members
from tests.emulator.tuning import TuningJobs, categories, floats, value_of
from tests.waiting import wait_until

SQUARE = "print('score=%s' % (float(h['x']) - 0.3) ** 2)"
SLEEP = "import time\nprint('score=1', flush=True)\ntime.sleep(60)"
FAIL = "print('score=9'); raise SystemExit(3)"


def status_of(job: Members) -> str:
    status: str = job["HyperParameterTuningJobStatus"]
    return status


def running(tuning: TuningJobs, name: str) -> int:
    count: int = tuning.describe(name)["TrainingJobStatusCounters"]["InProgress"]
    return count


def test_trials_are_training_jobs_tied_to_their_tuning_job(tuning: TuningJobs) -> None:
    name = tuning.create(
        SQUARE, definition={"static": {"epochs": "3"}}, Tags=[{"Key": "team", "Value": "ml"}]
    )
    assert status_of(tuning.end(name)) == "Completed"
    trials = tuning.trials(name)
    assert len(trials) == 3
    for number, trial in enumerate(trials, 1):
        assert re.fullmatch(rf"{name}-{number:03d}-[0-9a-f]{{8}}", trial["TrainingJobName"])
        job = tuning.training.describe(trial["TrainingJobName"])
        assert job["TuningJobArn"] == (
            f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:hyper-parameter-tuning-job/{name}"
        )
        assert job["HyperParameters"] == {
            "sagemaker_program": "script.py",
            "sagemaker_submit_directory": "/opt/ml/input/data/code",
            "epochs": "3",
            "_tuning_objective_metric": "score",
            "x": trial["TunedHyperParameters"]["x"],
        }
        tags = tuning.context.call("sagemaker", "ListTags", {"ResourceArn": job["TrainingJobArn"]})
        assert tags["Tags"] == [{"Key": "team", "Value": "ml"}]


def test_trials_keep_their_checkpoints_apart(tuning: TuningJobs) -> None:
    script = """
        import pathlib
        checkpoints = pathlib.Path("/opt/ml/checkpoints")
        print("score=%s" % len(list(checkpoints.iterdir())))
        (checkpoints / "epoch-1").touch()
    """
    name = tuning.create(
        script,
        definition={"CheckpointConfig": {"S3Uri": "s3://lake/checkpoints"}},
        limits={"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
    )
    tuning.end(name)
    trials = tuning.trials(name)
    assert [value_of(trial) for trial in trials] == [0, 0]
    assert tuning.training.keys("checkpoints/") == [
        f"checkpoints/{trial['TrainingJobName']}/epoch-1" for trial in trials
    ]


@pytest.mark.parametrize(("objective", "best"), [("Minimize", min), ("Maximize", max)])
def test_best_trial_is_that_of_the_objective(tuning: TuningJobs, objective: str, best) -> None:  # type: ignore[no-untyped-def]
    name = tuning.create(SQUARE, objective=objective)
    job = tuning.end(name)
    values = [value_of(trial) for trial in tuning.trials(name)]
    assert len(set(values)) == 3
    found = job["BestTrainingJob"]
    assert value_of(found) == best(values)
    x = float(found["TunedHyperParameters"]["x"])
    assert value_of(found) == pytest.approx((x - 0.3) ** 2)
    assert found["TrainingJobStatus"] == "Completed"
    assert found["ObjectiveStatus"] == "Succeeded"


def test_describe_counts_what_came_of_the_trials(tuning: TuningJobs) -> None:
    job = tuning.run(SQUARE)
    assert job["TrainingJobStatusCounters"] == {
        "Completed": 3,
        "InProgress": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
        "Stopped": 0,
    }
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    assert job["HyperParameterTuningEndTime"] >= job["CreationTime"]
    assert job["ConsumedResources"]["RuntimeInSeconds"] >= 0
    static = job["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["_tuning_objective_metric"] == "score"
    assert "OverallBestTrainingJob" not in job


def test_more_parallel_trials_than_slots_and_two_tuning_jobs_at_once(tuning: TuningJobs) -> None:
    limits = {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 4}
    names = [tuning.create(SQUARE, limits=limits) for _ in range(2)]
    assert [status_of(tuning.end(name)) for name in names] == ["Completed", "Completed"]


def test_no_more_trials_run_at_once_than_allowed(tuning: TuningJobs) -> None:
    name = tuning.create(SQUARE, limits={"MaxParallelTrainingJobs": 1})
    tuning.end(name)
    trials = tuning.trials(name)
    for before, after in itertools.pairwise(trials):
        assert before["TrainingEndTime"] <= after["CreationTime"]


def test_failed_trial_is_counted_and_never_the_best(tuning: TuningJobs) -> None:
    script = f"{SQUARE}\nif h['c'] == 'bad':\n    print('score=99'); raise SystemExit(1)"
    name = tuning.create(
        script,
        ranges=floats(x=("0", "1")) | categories(c=["good", "bad"]),
        limits={"MaxNumberOfTrainingJobs": 4},
        seed=1,
    )
    job = tuning.end(name)
    bad = [t for t in tuning.trials(name) if t["TunedHyperParameters"]["c"] == "bad"]
    assert 0 < len(bad) < 4
    assert status_of(job) == "Completed"
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == len(bad)
    assert job["ObjectiveStatusCounters"] == {
        "Succeeded": 4 - len(bad),
        "Pending": 0,
        "Failed": len(bad),
    }
    assert job["BestTrainingJob"]["TunedHyperParameters"]["c"] == "good"
    assert bad[0]["ObjectiveStatus"] == "Failed"
    assert bad[0]["FailureReason"].startswith("AlgorithmError: ")
    assert "FinalHyperParameterTuningJobObjectiveMetric" not in bad[0]


def test_tuning_job_fails_when_no_trial_succeeds(tuning: TuningJobs) -> None:
    limits = {"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 1}
    job = tuning.run(FAIL, limits=limits)
    assert status_of(job) == "Failed"
    assert job["FailureReason"].startswith("No training job succeeded after 5 attempts. ")
    assert job["TrainingJobStatusCounters"]["NonRetryableError"] == 5
    assert "BestTrainingJob" not in job


def test_tuning_job_fails_when_no_trial_prints_its_objective(tuning: TuningJobs) -> None:
    job = tuning.run("print('nothing to see')")
    assert status_of(job) == "Failed"
    assert job["FailureReason"].startswith(
        "No objective metrics found after running 3 training jobs."
    )
    assert job["TrainingJobStatusCounters"]["Completed"] == 3
    assert job["ObjectiveStatusCounters"]["Failed"] == 3


def test_stop_ends_the_trials_that_run_and_launches_no_more(tuning: TuningJobs) -> None:
    name = tuning.create(SLEEP, limits={"MaxNumberOfTrainingJobs": 9})
    wait_until(lambda: running(tuning, name) == 2)
    tuning.call("StopHyperParameterTuningJob", name)
    assert status_of(tuning.describe(name)) in ("Stopping", "Stopped")
    job = tuning.end(name)
    assert status_of(job) == "Stopped"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 2
    assert {t["TrainingJobStatus"] for t in tuning.trials(name)} == {"Stopped"}


def test_trial_that_a_user_stops_is_evaluated_by_what_it_printed(tuning: TuningJobs) -> None:
    limits = {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
    name = tuning.create(SLEEP, limits=limits)
    wait_until(lambda: running(tuning, name) == 1)
    trial = tuning.trials(name)[0]["TrainingJobName"]
    tuning.training.wait_for_line(trial, "score=1")
    tuning.training.stop(trial)
    job = tuning.end(name)
    assert status_of(job) == "Completed"
    assert job["TrainingJobStatusCounters"]["Stopped"] == 1
    assert value_of(job["BestTrainingJob"]) == 1


def test_target_value_ends_the_tuning_job(tuning: TuningJobs) -> None:
    job = tuning.run(
        SQUARE,
        limits={"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 1},
        criteria={"TargetObjectiveMetricValue": 0.0},
    )
    assert status_of(job) == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 1


def test_stagnation_ends_the_tuning_job(tuning: TuningJobs) -> None:
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    limits = {"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 1}
    job = tuning.run("print('score=1')", limits=limits, criteria=criteria)
    assert status_of(job) == "Completed"
    assert job["TrainingJobStatusCounters"]["Completed"] == 4
    assert job["TuningJobCompletionDetails"] == {"NumberOfTrainingJobsObjectiveNotImproving": 3}


def test_events_tell_of_each_status_after_it_is_stored(
    tuning: TuningJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str, str]] = []
    session = type(tuning.context.aws)

    def put_event(self, source, detail_type, detail, resources) -> None:  # type: ignore[no-untyped-def]
        if "Tuning" in detail_type:
            stored = tuning.describe(detail["HyperParameterTuningJobName"])
            told.append((detail_type, status_of(detail), status_of(stored)))

    monkeypatch.setattr(session, "put_event", put_event)
    tuning.run(SQUARE, limits={"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1})
    wait_until(lambda: len(told) == 2)
    kind = "SageMaker HyperParameter Tuning Job State Change"
    assert [each[:2] for each in told] == [(kind, "InProgress"), (kind, "Completed")]
    assert told[1][2] == "Completed"


def test_server_that_died_ends_its_tuning_jobs_as_failed(
    tuning: TuningJobs, instance: Instance, tmp_path: Path
) -> None:
    name = tuning.create(SLEEP)
    wait_until(lambda: running(tuning, name) == 2)
    # What a later server finds: the records, and nothing that runs.
    with contextlib.closing(sqlite3.connect(instance.store.path)) as records:
        records.execute("VACUUM INTO ?", (str(tmp_path / "left.sqlite"),))
    later = replace(instance, store=Store(tmp_path / "left.sqlite"))
    recover(later)
    job = TuningJobs(later.context(ACCOUNT, REGION)).describe(name)
    later.store.close()
    assert status_of(job) == "Failed"
    assert "server that ran this job was stopped or died" in job["FailureReason"]
    assert job["TrainingJobStatusCounters"]["RetryableError"] == 2
    assert job["TrainingJobStatusCounters"]["InProgress"] == 0
    assert job["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 0, "Failed": 2}


def test_search_that_can_not_run_is_told(instance: Instance, context: Context) -> None:
    here = Image("here", ("sagemaker-scikit-learn",), Path(sys.executable))
    without_optuna = Image("tuner", (), Path(sys.executable))
    broken = replace(instance, images=Images(environments_directory(), [here, without_optuna]))
    tuning = TuningJobs(replace(context, instance=broken))
    job = tuning.run(SQUARE)
    assert status_of(job) == "Failed"
    assert "No module named 'optuna'" in job["FailureReason"]
    assert job["TrainingJobStatusCounters"]["Completed"] == 0
