"""The image of XGBoost in few words: an instance that has it, jobs, the data they train on.

The instance is one for a whole file of tests: its idle process has xgboost loaded, and jobs
fork from it, as they do on a running server.
"""

from __future__ import annotations

import atexit
import functools
import json
import random
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

import sagestack.services  # noqa: F401  binds the operations
from sagestack.aws.store import Store
from sagestack.boto_host import BotoHost
from sagestack.context import Context, Instance
from sagestack.engine.executor import Executor
from sagestack.engine.images import Environment, Images
from sagestack.paths import environments_directory
from tests.emulator.jobs import ACCOUNT, BUCKET, REGION, ROLE, Members, TrainingJobs, channel
from tests.waiting import wait_until

XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
Rows = list[list[float]]


@contextmanager
def xgboost_instance(directory: Path) -> Iterator[Instance]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION"):
            patch.delenv(name, raising=False)
        instance = Instance(
            directory=directory / "instance",
            store=Store(directory / "records.sqlite"),
            host=BotoHost(None),
            images=Images(environments_directory(), warm=True),
            executor=Executor(2),
            stop_seconds=5.0,
        )
        worker = environment_of(instance).worker
        assert worker is not None
        wait_until(lambda: worker.ready, 60, "the idle process")
        yield instance
        assert instance.executor.close(timeout=30), "jobs outlived the tests"
        instance.events.close(timeout=10)
        instance.servers.close()
        instance.images.close()
        instance.store.close()


def environment_of(instance: Instance) -> Environment:
    return instance.images.environment(instance.images.find(XGBOOST))


def rows(count: int, seed: int = 0) -> Rows:
    """The label is twice the first feature less the second."""
    numbers = random.Random(seed)
    features = [[round(numbers.uniform(0, 10), 2) for _ in range(3)] for _ in range(count)]
    return [[round(2 * x - y, 2), x, y, z] for x, y, z in features]


def as_csv(table: Rows) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in table)


def as_libsvm(table: Rows) -> str:
    return "".join(
        f"{row[0]} " + " ".join(f"{number}:{value}" for number, value in enumerate(row[1:])) + "\n"
        for row in table
    )


class XGBoostJobs(TrainingJobs):
    """Jobs without a program: the image's own algorithm trains."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.train = self.put("data/train/train.csv", as_csv(rows(200)))
        self.validation = self.put("data/validation/validation.csv", as_csv(rows(50, seed=1)))

    @classmethod
    def of(cls, instance: Instance) -> XGBoostJobs:
        return cls(instance.context(ACCOUNT, REGION))

    def begin(
        self,
        hyperparameters: Mapping[str, str] | None = None,
        channels: Mapping[str, str] | None = None,
        content_type: str | None = "text/csv",
        **members: Any,
    ) -> str:
        """Create a job; its name. `channels` are S3 URIs by name."""
        kind = {"ContentType": content_type} if content_type else {}
        request: Members = {
            "TrainingJobName": self.new_name(),
            "AlgorithmSpecification": {
                "TrainingImage": XGBOOST,
                "TrainingInputMode": "File",
                **members.pop("algorithm", {}),
            },
            "RoleArn": ROLE,
            "HyperParameters": {"num_round": "3", **(hyperparameters or {})},
            "InputDataConfig": [
                channel(name, uri, **kind)
                for name, uri in (channels or {"train": self.train}).items()
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": members.pop("hosts", 1),
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        self.context.call("sagemaker", "CreateTrainingJob", request | members)
        name: str = request["TrainingJobName"]
        return name

    def good(self, *arguments: Any, **members: Any) -> Members:
        """What Describe says of a job that has completed."""
        job = self.end(self.begin(*arguments, **members), 60)
        log = self.log(job["TrainingJobName"])
        assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), log)
        return job

    def reason(self, *arguments: Any, **members: Any) -> str:
        """Why a job has failed, without what stands around every text of the algorithm's."""
        job = self.end(self.begin(*arguments, **members), 60)
        assert job["TrainingJobStatus"] == "Failed", job
        text: str = job["FailureReason"]
        before, after = "AlgorithmError: sagemaker_algorithm_toolkit.exceptions.", ", exit code: 1"
        assert text.startswith(before) and text.endswith(after), text
        return text.removeprefix(before).removesuffix(after)

    def metrics(self, job: Members) -> dict[str, float]:
        return {m["MetricName"]: m["Value"] for m in job.get("FinalMetricDataList", ())}

    def predictions(self, job: Members, table: Rows) -> list[float]:
        """What xgboost itself predicts with the job's model, for rows without labels."""
        path = self.context.instance.directory / "xgboost-model"
        path.write_bytes(self.model(job["TrainingJobName"])["xgboost-model"])
        process = predictor(environment_of(self.context.instance).python)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([str(path), table]) + "\n")
        process.stdin.flush()
        found: list[float] = json.loads(process.stdout.readline())
        return found


@functools.cache
def predictor(python: Path) -> subprocess.Popen[str]:
    """A process that loads models and predicts, one line of JSON each; xgboost takes its time
    to import, and the tests' own interpreter has none."""
    script = (
        "import json, sys, numpy, xgboost\n"
        "for line in sys.stdin:\n"
        "    path, rows = json.loads(line)\n"
        "    booster = xgboost.Booster()\n"
        "    booster.load_model(path)\n"
        "    print(json.dumps(booster.predict(xgboost.DMatrix(numpy.array(rows))).tolist()))\n"
    )
    command = [str(python), "-u", "-c", script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)
    return process
