"""What the benchmarks of jobs share: a LocalStack, training jobs on it, and the same script by
hand.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from sagestack.engine.images import BUILT_IN, Images
from sagestack.paths import environments_directory
from sagestack.server import Server, localstack_environment

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/sagemaker"
BUCKET = "benchmark"
POLL = 0.05
TRAIN = """
import os, sys
import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression

train, model = os.environ["SM_CHANNEL_TRAIN"], os.environ["SM_MODEL_DIR"]
data = pd.read_csv(f"{train}/train.csv")
fitted = LogisticRegression(max_iter=500).fit(data.drop(columns="y"), data["y"])
joblib.dump(fitted, f"{model}/model.joblib")
print("accuracy", fitted.score(data.drop(columns="y"), data["y"]))
"""
NOTHING = "print('nothing to do')"
FIRST_BYTE = """
import os
folder = os.environ["SM_CHANNEL_TRAIN"]
with open(os.path.join(folder, os.listdir(folder)[0]), "rb") as file:
    print(file.read(1))
"""
CODE = {"train": TRAIN, "nothing": NOTHING, "first-byte": FIRST_BYTE}


class Jobs:
    """Training jobs in script mode, as the SDK v2 sends them, on the LocalStack of an endpoint
    or, where that is None, in this process."""

    def __init__(self, endpoint_url: str | None) -> None:
        session = boto3.session.Session("test", "test", region_name="us-east-1")
        self.s3: Any = session.client("s3", endpoint_url=endpoint_url)
        self.sagemaker: Any = session.client("sagemaker", endpoint_url=endpoint_url)
        self.s3.create_bucket(Bucket=BUCKET)
        self._numbers = itertools.count(1)
        for name, script in CODE.items():
            self.s3.put_object(Bucket=BUCKET, Key=f"code/{name}.tar.gz", Body=packed(script))

    def create(self, code: str = "train", mode: str = "File", **request: Any) -> str:
        name = f"job-{next(self._numbers)}"
        channel = request.pop("channel", "data/")
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{channel}"}
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=ROLE,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": mode},
            HyperParameters={
                "sagemaker_program": '"train.py"',
                "sagemaker_submit_directory": f'"s3://{BUCKET}/code/{code}.tar.gz"',
            },
            InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
            ResourceConfig={
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
            **request,
        )
        return name

    def end(self, name: str) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] != "InProgress":
                break
            time.sleep(POLL)
        if job["TrainingJobStatus"] != "Completed":
            raise SystemExit(f"{name}: {job['TrainingJobStatus']}: {job.get('FailureReason')}")
        return job

    def run(self, **request: Any) -> dict[str, Any]:
        return self.end(self.create(**request))


class Local:
    """The same script, run by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.data = directory, directory / "data"
        self.data.mkdir()
        write_sample(self.data / "train.csv")
        (directory / "train.py").write_text(TRAIN)
        sklearn = next(image for image in BUILT_IN if image.name == "sklearn")
        self._python = str(Images(environments_directory()).environment(sklearn).python)

    def run(self) -> None:
        with tempfile.TemporaryDirectory() as model:
            subprocess.run(
                [self._python, str(self.directory / "train.py")],
                env={"PATH": os.environ["PATH"], "SM_CHANNEL_TRAIN": str(self.data)}
                | {"SM_MODEL_DIR": model},
                stdout=subprocess.DEVNULL,
                check=True,
            )


def packed(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(script.encode())
        tar.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()


def write_sample(path: Path) -> None:
    """10,000 rows of ten features and a label."""
    random = np.random.default_rng(0)
    features = random.normal(size=(10_000, 10))
    label = (features[:, :3].sum(axis=1) + random.normal(size=10_000) > 0).astype(int)
    header = ",".join([*(f"x{number}" for number in range(10)), "y"])
    rows = np.column_stack([features, label])
    np.savetxt(path, rows, "%.6g", delimiter=",", header=header, comments="")


@contextmanager
def server() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        running = Server(probe.getsockname()[1])
    process = running.start(localstack_environment(), {})
    try:
        running.wait_until_ready(process)
        yield running
    finally:
        running.stop()
        shutil.rmtree(running.directory)
