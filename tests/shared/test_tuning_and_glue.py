"""Hyperparameter tuning and Glue's Python-shell jobs, on both hosts."""

from __future__ import annotations

from typing import Any

from tests.emulator.glue_client import ENDED
from tests.emulator.jobs import ROLE, TrainingJobs
from tests.emulator.tuning import TuningJobs, value_of
from tests.shared.hosts import ClientContext
from tests.waiting import wait_until


def test_tuning_job_finds_its_best_trial(context: Any) -> None:
    tuning = TuningJobs(context)
    name = tuning.create("print('score=%s' % float(h['x']))")
    job = tuning.end(name, 90)
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    best = max(tuning.trials(name), key=value_of)
    assert job["BestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]


def test_python_shell_job_runs_its_script(context: ClientContext, training: TrainingJobs) -> None:
    glue = context.client("glue")
    script = training.put("glue/etl.py", "print('hello from glue')")
    command = {"Name": "pythonshell", "PythonVersion": "3.9", "ScriptLocation": script}
    glue.create_job(Name="etl", Role=ROLE, Command=command)
    run = glue.start_job_run(JobName="etl")["JobRunId"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = glue.get_job_run(JobName="etl", RunId=run)["JobRun"]
        return found if found["JobRunState"] in ENDED else None

    found = wait_until(ended, 60, "the end of the job run")
    assert found is not None
    assert found["JobRunState"] == "SUCCEEDED", found
