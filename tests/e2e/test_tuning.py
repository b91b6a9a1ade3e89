"""Hyperparameter tuning on a live LocalStack: with boto3, and with the SDK as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.live import Live, alive
from tests.emulator.jobs import IMAGE, Members
from tests.emulator.tuning import TuningJobs, value_of
from tests.waiting import wait_until

TRAIN = """\
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--kind")
a = parser.parse_args()
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w") as file:
    json.dump(vars(a), file)
print(f"acc={1 - abs(a.lr - 0.03)}")
"""
TUNE = """\
import json, os, sys
import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode
from sagemaker.train.tuner import HyperparameterTuner

session = Session()
bucket = session.default_bucket()
boto3.client("s3").put_object(Bucket=bucket, Key="x/data.csv", Body=b"1,2")
trainer = ModelTrainer(
    training_image=os.environ["IMAGE"],
    role=os.environ["SAGEMAKER_ROLE_ARN"],
    sagemaker_session=session,
    source_code=SourceCode(source_dir=".", entry_script=sys.argv[1]),
    compute=Compute(instance_type="ml.m5.large", instance_count=1),
    hyperparameters={"kind": "a"},
)
tuner = HyperparameterTuner(
    model_trainer=trainer,
    objective_metric_name="acc",
    metric_definitions=[{"Name": "acc", "Regex": "acc=([0-9.]+)"}],
    hyperparameter_ranges={
        "lr": ContinuousParameter(0.001, 0.1),
        "kind": CategoricalParameter(["a", "b"]),
    },
    strategy="Bayesian",
    max_jobs=4,
    max_parallel_jobs=2,
)
try:
    data = [InputData(channel_name="train", data_source=f"s3://{bucket}/x/")]
    tuner.tune(inputs=data, job_name=sys.argv[2])
except Exception as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error)}))
else:
    client, name = boto3.client("sagemaker"), tuner.best_training_job()
    best = client.describe_training_job(TrainingJobName=name)
    frame = tuner.analytics().dataframe()
    answer = {
        "status": tuner.describe().hyper_parameter_tuning_job_status,
        "best": best["FinalMetricDataList"][0]["Value"],
        "model": best["ModelArtifacts"]["S3ModelArtifacts"],
        "values": list(frame["FinalObjectiveValue"]),
    }
    print(json.dumps(answer))
"""


@pytest.fixture
def tuning(live: Live) -> TuningJobs:
    return tuning_on(live)


def tuning_on(live: Live) -> TuningJobs:
    context: Any = live.context()
    return TuningJobs(context)


def test_tuning_job_runs_to_its_best_model(tuning: TuningJobs) -> None:
    name = tuning.create("print('score=%s' % float(h['x']))", strategy="Bayesian")
    job = tuning.end(name, 60)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    best = max(tuning.trials(name), key=value_of)
    assert job["BestTrainingJob"]["TrainingJobName"] == best["TrainingJobName"]
    assert f"out/{best['TrainingJobName']}/output/model.tar.gz" in tuning.training.keys("out/")


def test_tuning_job_is_stopped_with_its_trials(tuning: TuningJobs) -> None:
    name = tuning.create("import time\nprint('begun', flush=True)\ntime.sleep(600)")
    wait_until(lambda: tuning.describe(name)["TrainingJobStatusCounters"]["InProgress"] == 2)
    tuning.training.wait_for_line(tuning.trials(name)[0]["TrainingJobName"], "begun")
    tuning.call("StopHyperParameterTuningJob", name)
    assert tuning.end(name)["HyperParameterTuningJobStatus"] == "Stopped"
    assert {trial["TrainingJobStatus"] for trial in tuning.trials(name)} == {"Stopped"}


def test_killed_server_leaves_no_search_and_the_next_tells_of_the_end(another: Live) -> None:
    another.up("--persist")
    tuning = tuning_on(another)
    name = tuning.create("import time; time.sleep(600)")
    wait_until(lambda: tuning.describe(name)["TrainingJobStatusCounters"]["InProgress"] == 2)
    family = another.process().children(recursive=True)
    assert any("tuner.py" in " ".join(process.cmdline()) for process in family)
    another.kill()
    wait_until(lambda: not any(map(alive, family)), what="the end of all it started")
    another.up("--persist")
    job = tuning_on(another).describe(name)
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError: The server that ran this job")
    assert job["TrainingJobStatusCounters"]["RetryableError"] == 2


def tune(live: Live, directory: Path, script: str, job: str) -> Members:
    """Run the SDK's program in a process of its own; what it prints last."""
    (directory / "train.py").write_text(TRAIN)
    (directory / "broken.py").write_text("raise SystemExit('broken')")
    (directory / "tune.py").write_text(TUNE)
    printed = live.sagestack("env", "--dotenv", str(directory / "env"))
    assert printed.returncode == 0, printed.stderr
    lines = (directory / "env").read_text().splitlines()
    variables = {name: json.loads(value) for name, _, value in (x.partition("=") for x in lines)}
    done = subprocess.run(
        [sys.executable, "tune.py", script, job],
        cwd=directory,
        env=live.environment() | variables | {"IMAGE": IMAGE},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: Members = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_sdk_tunes_to_the_best_training_job(live: Live, tmp_path: Path) -> None:
    answer = tune(live, tmp_path, "train.py", "sdk-tunes")
    assert answer["status"] == "Completed"
    assert len(answer["values"]) == 4
    assert answer["best"] == pytest.approx(max(answer["values"]))
    assert answer["model"].endswith("/output/model.tar.gz")


def test_sdk_raises_its_own_exception_with_our_reason(live: Live, tmp_path: Path) -> None:
    answer = tune(live, tmp_path, "broken.py", "sdk-fails")
    assert answer["error"] == "FailedStatusError"
    assert "No training job succeeded after 4 attempts" in answer["text"]
