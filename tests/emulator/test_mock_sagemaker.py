"""mock_sagemaker: how it is entered, shared, reset and left. What jobs do is in tests/shared."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from sagestack.testing import mock_sagemaker
from sagestack.testing.mock import MockSageMaker
from tests.emulator.jobs import ACCOUNT, REGION, TrainingJobs
from tests.shared.hosts import MockContext
from tests.waiting import wait_until

IMAGES = {"sagemaker-scikit-learn": sys.executable}


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert list(tmp_path.glob("sagestack-*")) == []


def client(service: str = "sagemaker", **settings: Any) -> Any:
    return boto3.client(service, **{"region_name": REGION, **settings})


def jobs() -> TrainingJobs:
    context: Any = MockContext()
    return TrainingJobs(context)


def models() -> list[str]:
    return [model["ModelName"] for model in client().list_models(MaxResults=100)["Models"]]


def create_model(name: str = "a") -> str:
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1"
    role = f"arn:aws:iam::{ACCOUNT}:role/SageMaker"
    container = {"Image": image, "Environment": {"A": "b"}}
    answer = client().create_model(
        ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container
    )
    arn: str = answer["ModelArn"]
    return arn


@mock_sagemaker
def test_decorator_needs_no_parentheses() -> None:
    create_model()
    assert models() == ["a"]


@mock_sagemaker(images=IMAGES)
@mock_aws
@pytest.mark.parametrize("body", ["x"])
def test_decorator_keeps_parameters_and_goes_with_motos(body: str) -> None:
    client("s3").create_bucket(Bucket="bucket")
    assert models() == []


@mock_sagemaker
class TestClass:
    def test_first(self) -> None:
        create_model()
        assert models() == ["a"]

    def test_second(self) -> None:
        assert models() == []


@mock_sagemaker
class TestCaseWithSetUp(unittest.TestCase):
    def setUp(self) -> None:
        create_model()

    def test_set_up_is_within(self) -> None:
        self.assertEqual(models(), ["a"])


@mock_sagemaker(images=IMAGES)
def test_waiter_hears_of_the_end_at_its_first_look() -> None:
    name = jobs().create("import time; time.sleep(0.5)")
    waiter = client().get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"MaxAttempts": 1})


@mock_sagemaker(images=IMAGES)
def test_who_does_not_wait_hears_at_once() -> None:
    name = jobs().create("import time; time.sleep(60)")
    assert client().describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"


def test_coroutine_is_decorated() -> None:
    @mock_sagemaker
    async def work() -> list[str]:
        await asyncio.sleep(0)
        create_model()
        return models()

    assert asyncio.run(work()) == ["a"]


def test_fixture_gives_an_instance(mock_sagemaker: MockSageMaker) -> None:
    create_model()
    mock_sagemaker.reset()
    assert models() == []


def test_nested_mocks_share_one_instance_until_the_last_is_left() -> None:
    with mock_sagemaker():
        with mock_sagemaker():
            create_model()
        assert models() == ["a"]
        with pytest.raises(ValueError, match="outermost"), mock_sagemaker(images=IMAGES):
            pass
        assert models() == ["a"]
    with mock_sagemaker():
        assert models() == []


def test_what_sagestack_refuses_is_not_answered_by_moto() -> None:
    with mock_sagemaker(), pytest.raises(ClientError) as refused:
        client().list_clusters()
    assert refused.value.response["Error"]["Code"] == "OperationNotSupported"


def test_after_it_moto_answers_again() -> None:
    with mock_aws():
        with mock_sagemaker():
            create_model()
        assert models() == []


def test_client_with_an_endpoint_of_its_own_goes_there() -> None:
    with mock_sagemaker(), pytest.raises(EndpointConnectionError):
        client(endpoint_url="http://sagestack.invalid").list_models()


def test_endpoint_of_the_shell_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://sagestack.invalid")
    with mock_sagemaker():
        assert models() == []


def test_accounts_and_regions_are_apart() -> None:
    with mock_sagemaker():
        create_model()
        role = f"arn:aws:iam::{'9' * 12}:role/there"
        there = client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
        other_account = client(
            aws_access_key_id=there["AccessKeyId"],
            aws_secret_access_key=there["SecretAccessKey"],
            aws_session_token=there["SessionToken"],
        )
        assert other_account.list_models()["Models"] == []
        assert client(region_name="eu-west-1").list_models()["Models"] == []


def test_threads_share_it() -> None:
    with mock_sagemaker(), ThreadPoolExecutor(8) as pool:
        names = [f"model-{number}" for number in range(16)]
        list(pool.map(create_model, names))
        assert sorted(models()) == sorted(names)


def test_running_job_is_ended_with_the_mock() -> None:
    others = _children()  # of other tests, such as a LocalStack
    with mock_sagemaker(images=IMAGES):
        training = jobs()
        name = training.create(
            "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
        )
        wait_until(lambda: training.log(name), what="its first line")
        family = _children() - others
        assert family
    running = [pid for pid in family if _is_job(pid)]
    wait_until(lambda: not any(map(psutil.pid_exists, running)), what="the job's end")


def _children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def _is_job(pid: int) -> bool:
    """Warm workers stay; what they forked does not."""
    try:
        return "warm.py" not in " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False


def test_job_that_calls_aws_is_told_that_there_is_none() -> None:
    script = """
        import boto3
        try:
            boto3.client("s3").list_buckets()
        except Exception as error:
            print(error)
    """
    with mock_sagemaker(images=IMAGES):
        training = jobs()
        job = training.run(script)
        assert "jobs-of-mock-sagemaker-reach-no-aws" in training.log(job["TrainingJobName"])[-1]


def test_interpreter_stands_for_a_known_images_packages_alone() -> None:
    from sagestack.testing.mock import _added

    image = next(iter(_added({"sagemaker-xgboost": sys.executable})))
    assert (image.train, image.repositories) == ("xgboost_train.py", ("sagemaker-xgboost",))
    assert image.preload
