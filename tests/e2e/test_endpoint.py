"""Endpoints on a live LocalStack: from a training job's model to an answer, and over a restart."""

from __future__ import annotations

import json
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import training_on
from tests.e2e.live import Live, alive
from tests.emulator.endpoints import archive
from tests.emulator.jobs import IMAGE, ROLE, TrainingJobs
from tests.waiting import wait_until

TRAIN = """
    import joblib, os, pathlib
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[1, 0], [2, 0], [0, 1]], [10, 20, 1])
    joblib.dump(model, "/opt/ml/model/model.joblib")
    code = pathlib.Path("/opt/ml/model/code")
    code.mkdir()
    (code / "inference.py").write_text(
        "import joblib, os\\n"
        "def model_fn(directory):\\n"
        "    return joblib.load(os.path.join(directory, 'model.joblib'))\\n"
    )
"""
LIVELY = b"""
def model_fn(directory): return directory
def transform_fn(model, body, content_type, accept): return body, content_type
"""


class Endpoint:
    """A model behind an endpoint, all three of one name."""

    def __init__(self, training: TrainingJobs, name: str, model: str) -> None:
        self.context, self.name = training.context, name
        container = {"Image": IMAGE, "ModelDataUrl": model}
        variant = {
            "VariantName": "main",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        self.call("CreateModel", ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant])
        self.call("CreateEndpoint", EndpointName=name, EndpointConfigName=name)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.context.call("sagemaker", operation, request)

    def status(self) -> str:
        answer = self.call("DescribeEndpoint", EndpointName=self.name)
        status: str = answer["EndpointStatus"]
        return status

    def wait(self) -> str:
        busy = ("Creating", "Updating", "SystemUpdating")
        wait_until(lambda: self.status() not in busy, 60, f"{self.name} is up")
        return self.status()

    def ask(self, body: str, content_type: str = "application/json") -> str:
        request = {"EndpointName": self.name, "Body": body, "ContentType": content_type}
        answer = self.context.call("sagemaker-runtime", "InvokeEndpoint", request)
        text: str = answer["Body"].read().decode()
        return text


def lively(training: TrainingJobs, name: str) -> Endpoint:
    uri = training.put(f"models/{name}.tar.gz", archive({"code/inference.py": LIVELY}))
    return Endpoint(training, name, uri)


def test_model_of_a_training_job_answers(training: TrainingJobs) -> None:
    job = training.run(TRAIN)
    assert job["TrainingJobStatus"] == "Completed", job
    endpoint = Endpoint(training, "trained", job["ModelArtifacts"]["S3ModelArtifacts"])
    assert endpoint.wait() == "InService"
    assert json.loads(endpoint.ask("[[3, 0], [4, 1]]")) == pytest.approx([30, 41])
    assert json.loads(endpoint.ask("3,0\n4,1\n", "text/csv")) == pytest.approx([30, 41])


def test_deleted_endpoint_is_gone_with_its_processes(training: TrainingJobs, live: Live) -> None:
    endpoint = lively(training, "deleted")
    assert endpoint.wait() == "InService"
    before = set(live.process().children(recursive=True))
    endpoint.call("DeleteEndpoint", EndpointName="deleted")
    waiter = training.context.aws.client("sagemaker").get_waiter("endpoint_deleted")
    waiter.wait(EndpointName="deleted", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    with pytest.raises(ClientError, match="Endpoint deleted of account 000000000000 not found"):
        endpoint.ask("[1]")
    wait_until(lambda: any(not alive(process) for process in before), what="its processes' end")


def test_endpoint_of_a_broken_model_fails_and_says_where_to_look(training: TrainingJobs) -> None:
    broken = {"code/inference.py": b"def model_fn(directory): raise ValueError('broken')"}
    endpoint = Endpoint(training, "broken", training.put("models/b.tar.gz", archive(broken)))
    assert endpoint.wait() == "Failed"
    described = endpoint.call("DescribeEndpoint", EndpointName="broken")
    assert "did not pass the ping health check" in described["FailureReason"]


def test_endpoint_is_served_again_after_the_server_was_killed(another: Live) -> None:
    another.up("--persist")
    endpoint = lively(training_on(another), "kept")
    assert endpoint.wait() == "InService"
    family: list[psutil.Process] = another.process().children(recursive=True)
    another.kill()
    wait_until(lambda: not any(map(alive, family)), what="the end of all it started")
    another.up("--persist")
    endpoint.context = training_on(another).context
    assert endpoint.wait() == "InService"
    assert endpoint.ask("[1, 2]") == "[1, 2]"
