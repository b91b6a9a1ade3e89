"""XGBoost and an image of the user's own on a live LocalStack: the requests that the SDKs
send, as they were recorded, and endpoints with the models that come out."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.e2e.live import Live
from tests.emulator.jobs import BUCKET, ROLE, Members, channel
from tests.emulator.xgboost_jobs import XGBOOST, XGBoostJobs
from tests.waiting import wait_until

MY_MODELS = "000000000000.dkr.ecr.us-east-1.amazonaws.com/my-models:latest"
SCRIPT = """
    import os, pandas, xgboost
    data = pandas.read_csv(os.environ["SM_CHANNEL_TRAIN"] + "/train.csv", header=None)
    matrix = xgboost.DMatrix(data.iloc[:, 1:].to_numpy(), data[0])
    booster = xgboost.train({}, matrix, 3, evals=[(matrix, "train")])
    booster.save_model(os.environ["SM_MODEL_DIR"] + "/xgboost-model")
"""
TRAIN = """\
#!/usr/bin/env python
import pathlib
lines = pathlib.Path("/opt/ml/input/data/train/train.csv").read_text().splitlines()
pathlib.Path("/opt/ml/model/count").write_text(str(len(lines)))
"""
SERVE = """
import http.server, os
count = open("/opt/ml/model/count").read().encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def do_POST(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(count)))
        self.end_headers()
        self.wfile.write(count)
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def jobs_on(live: Live) -> XGBoostJobs:
    context: Any = live.context()
    return XGBoostJobs(context)


@pytest.fixture
def jobs(live: Live) -> XGBoostJobs:
    return jobs_on(live)


def serve(jobs: XGBoostJobs, image: str, job: Members) -> str:
    """An endpoint in service with the model of a job; its name."""
    name = f"serves-{job['TrainingJobName']}"
    container = {"Image": image, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    model = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    for operation, request in (
        ("CreateModel", model),
        ("CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": [variant]}),
        ("CreateEndpoint", {"EndpointName": name, "EndpointConfigName": name}),
    ):
        jobs.context.call("sagemaker", operation, request)

    def settled() -> str | None:
        answer = jobs.context.call("sagemaker", "DescribeEndpoint", {"EndpointName": name})
        return None if answer["EndpointStatus"] == "Creating" else answer["EndpointStatus"]

    assert wait_until(settled, 60, f"the endpoint {name}") == "InService"
    return name


def ask(jobs: XGBoostJobs, endpoint: str, body: str) -> str:
    request = {"EndpointName": endpoint, "Body": body, "ContentType": "text/csv"}
    answer = jobs.context.call("sagemaker-runtime", "InvokeEndpoint", request)
    text: str = answer["Body"].read().decode()
    return text


def test_algorithm_as_the_sdk_v3_asks_for_it_trains_and_serves(jobs: XGBoostJobs) -> None:
    """Recorded: ModelTrainer with an image and no source code."""
    train = channel("train", f"s3://{BUCKET}/data/train/", ContentType="text/csv", InputMode="File")
    job = jobs.good(
        HyperParameters={"num_round": "40", "objective": "reg:squarederror"},
        InputDataConfig=[train],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": "GZIP"},
    )
    assert jobs.metrics(job)["train:rmse"] < 1
    low, high = ask(jobs, serve(jobs, XGBOOST, job), "1.0,8.0,3.0\n9.0,1.0,3.0").split()
    assert float(low) == pytest.approx(-6, abs=3)
    assert float(high) == pytest.approx(17, abs=3)


def test_script_as_the_sdk_v2_sends_it_trains(jobs: XGBoostJobs) -> None:
    """Recorded: the XGBoost estimator; its hyperparameters are JSON."""
    script, archive = dedent(SCRIPT).encode(), io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(script)
        tar.addfile(member, io.BytesIO(script))
    source = jobs.put("source/sourcedir.tar.gz", archive.getvalue())
    job = jobs.good(
        content_type=None,
        HyperParameters={
            "sagemaker_submit_directory": json.dumps(source),
            "sagemaker_program": json.dumps("train.py"),
            "sagemaker_container_log_level": "20",
            "sagemaker_job_name": json.dumps("v2xgb"),
            "sagemaker_region": json.dumps("us-east-1"),
        },
        DebugHookConfig={"S3OutputPath": f"s3://{BUCKET}/", "CollectionConfigurations": []},
        ProfilerConfig={"S3OutputPath": f"s3://{BUCKET}/", "DisableProfiler": False},
    )
    assert any(line.startswith("[2]#011train-rmse:") for line in jobs.log(job["TrainingJobName"]))
    assert list(jobs.model(job["TrainingJobName"])) == ["xgboost-model"]


def test_image_that_a_folder_defines_trains_and_serves(another: Live, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "train").write_text(TRAIN)
    (tmp_path / "train").chmod(0o755)
    (tmp_path / "serve.py").write_text(SERVE)
    another.up("--image", f"my-models={tmp_path}")
    jobs = jobs_on(another)
    job = jobs.good(algorithm={"TrainingImage": MY_MODELS})
    assert ask(jobs, serve(jobs, MY_MODELS, job), "") == "200"
