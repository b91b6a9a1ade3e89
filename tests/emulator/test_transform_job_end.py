"""How a transform job fails and how it is stopped. Source: contract, section 4."""

import json

import pytest

from tests.emulator.endpoints import refused
from tests.emulator.jobs import BUCKET
from tests.emulator.transforms import (
    COUNTS,
    CSV_LINES,
    ECHO,
    PARAMETERS,
    SUMS,
    TransformJobs,
)

LINES = {"source": {"SplitType": "Line"}, "target": {"AssembleWith": "Line"}}
WAITS = """
import time
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    print("asked", flush=True)
    time.sleep(600)
"""
DIES = """
import os
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    if b"die" in body:
        os._exit(1)
    return body, content_type
"""
FAILS_TWICE = """
import pathlib
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    with pathlib.Path("/tmp/asked").open("a") as file:
        file.write("x")
    times = len(pathlib.Path("/tmp/asked").read_text())
    if times < 3:
        raise ValueError("not yet")
    return str(times), "text/plain"
"""


# Failures


def test_a_bad_record_fails_its_object_and_no_other(transforms: TransformJobs) -> None:
    for name, rows in (("a", "1,2\n"), ("b", "1,2\nx,y\n"), ("c", "3,4\n")):
        transforms.put(f"in/{name}", rows)
    job = transforms.run(SUMS, **CSV_LINES, ModelClientConfig={"InvocationsMaxRetries": 0})
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: See job logs for more information"
    assert transforms.outputs(job) == {"a.out": "3\n", "c.out": "7\n"}
    told = transforms.told(job, "lake/in/b: ")
    assert told[:3] == ["Bad HTTP status received from algorithm: 500", "", "Message:"]
    assert "invalid literal for int()" in told[3]


def test_a_request_that_fails_is_sent_again(transforms: TransformJobs) -> None:
    assert transforms.output("x", FAILS_TWICE) == "3"


def test_a_request_is_sent_again_as_often_as_told(transforms: TransformJobs) -> None:
    client = {"InvocationsMaxRetries": 1}
    reason, _ = transforms.failed("x", FAILS_TWICE, ModelClientConfig=client)
    assert reason == "AlgorithmError: See job logs for more information"


def test_what_the_model_refuses_is_the_clients_error(transforms: TransformJobs) -> None:
    numbers = "def model_fn(model_dir): return 1\ndef predict_fn(data, model): return data\n"
    source = {"ContentType": "image/png"}
    reason, told = transforms.failed("x", numbers, source=source)
    assert reason == "ClientError: See job logs for more information"
    assert told[:3] == ["ClientError: 415", "", "Message:"]


def test_an_answer_that_does_not_come_in_time_fails_the_object(transforms: TransformJobs) -> None:
    client = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    reason, told = transforms.failed("x", WAITS, ModelClientConfig=client)
    assert reason == "AlgorithmError: See job logs for more information"
    assert told == ["Unable to get response from algorithm"]


def test_a_server_that_dies_is_started_again_for_the_next_object(
    transforms: TransformJobs,
) -> None:
    transforms.put("in/1", "die")
    transforms.put("in/2", "live")
    binary = {"ContentType": "application/octet-stream"}
    client = {"InvocationsMaxRetries": 1}  # the second may reach a server that is just dying
    job = transforms.run(DIES, source=binary, ModelClientConfig=client)
    assert transforms.outputs(job) == {"2.out": "live"}
    assert transforms.told(job, "lake/in/1: ") == ["Unable to get response from algorithm"]


@pytest.mark.parametrize(
    ("split_type", "what"), [("Line", "A record of the input"), ("None", "The input")]
)
def test_more_than_the_largest_payload_fails_the_object(
    transforms: TransformJobs, split_type: str, what: str
) -> None:
    content = "1\n" + "x" * 1024**2 + "\n2\n"
    source = {"SplitType": split_type}
    reason, told = transforms.failed(content, ECHO, source=source, MaxPayloadInMB=1)
    assert reason == "ClientError: See job logs for more information"
    assert told == [f"{what} exceeds MaxPayloadInMB (1)"]


def test_input_that_is_not_compressed_as_said_fails_the_object(transforms: TransformJobs) -> None:
    _, told = transforms.failed("plain", ECHO, source={"CompressionType": "Gzip"})
    assert told[0].startswith("Failed to decompress the input: ")


def test_an_object_of_the_manifest_that_is_not_there_fails_alone(
    transforms: TransformJobs,
) -> None:
    transforms.put("in/a", "a")
    names = json.dumps([{"prefix": f"s3://{BUCKET}/in/"}, "a", "gone"])
    manifest = transforms.put("manifest.json", names)
    job = transforms.run(ECHO, uri=manifest, data_type="ManifestFile")
    assert (job["TransformJobStatus"], transforms.outputs(job)) == ("Failed", {"a.out": "a"})
    assert transforms.told(job, "lake/in/gone: ") == ["S3 key does not exist: s3://lake/in/gone"]


def test_a_prefix_without_objects_fails_the_job(transforms: TransformJobs) -> None:
    job = transforms.run(ECHO, uri=f"s3://{BUCKET}/nothing/")
    assert job["TransformJobStatus"] == "Failed"
    assert "No S3 objects found under S3 URL 's3://lake/nothing/'" in job["FailureReason"]


@pytest.mark.parametrize("member", ["input", "output"])
def test_a_bucket_that_is_not_there_fails_the_job(transforms: TransformJobs, member: str) -> None:
    transforms.put("in/data")
    members = {"uri": "s3://gone/in"} if member == "input" else {}
    target = {"S3OutputPath": "s3://gone/out"} if member == "output" else {}
    job = transforms.run(ECHO, target=target, **members)
    assert job["FailureReason"].startswith("ClientError: ")
    assert "S3 bucket does not exist: gone" in job["FailureReason"]


def test_a_model_that_can_not_be_loaded_fails_the_job(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    job = transforms.run("def model_fn(model_dir): raise ValueError('this model is broken')\n")
    assert job["FailureReason"] == (
        "AlgorithmError: Model container failed to respond to ping. Please ensure /ping endpoint "
        "is implemented and responds with an HTTP 200 status code"
    )
    assert any("this model is broken" in line for line in transforms.log(job["TransformJobName"]))


def test_a_models_files_that_are_gone_fail_the_job(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    container = {"ModelDataUrl": transforms.put("model.tar.gz")}
    model = transforms.endpoints.model(container=container)
    transforms.s3.delete_object(Bucket=BUCKET, Key="model.tar.gz")
    job = transforms.run("", model=model)
    assert job["FailureReason"].startswith("ClientError: Failed to download model data")


def test_a_model_without_a_network_is_asked_all_the_same(transforms: TransformJobs) -> None:
    transforms.put("in/data", "a\nb")
    model = transforms.endpoints.model(COUNTS + PARAMETERS, EnableNetworkIsolation=True)
    members = LINES | {"MaxPayloadInMB": 0}
    assert transforms.transformed("", model=model, **members) == {"data.out": '"a"\n"b"\n'}


# Stop


def test_a_stopped_job_stores_nothing(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    name = transforms.create(WAITS)
    transforms.wait_for_line(name, "asked")
    transforms.stop(name)
    job = transforms.end(name)
    assert (job["TransformJobStatus"], transforms.outputs(job)) == ("Stopped", {})
    assert "FailureReason" not in job


def test_a_job_is_stopped_while_its_model_is_loaded(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    loads = "print('loads', flush=True)\ndef model_fn(model_dir): __import__('time').sleep(600)\n"
    name = transforms.create(loads)
    transforms.wait_for_line(name, "loads")
    transforms.stop(name)
    assert transforms.end(name)["TransformJobStatus"] == "Stopped"


def test_a_job_that_waits_for_its_turn_is_stopped_at_once(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    names = [transforms.create(WAITS) for _ in range(3)]
    transforms.stop(names[2])
    job = transforms.end(names[2])
    assert job["TransformJobStatus"] == "Stopped"
    assert "TransformStartTime" not in job
    for name in names[:2]:
        transforms.stop(name)
    assert {transforms.end(name)["TransformJobStatus"] for name in names[:2]} == {"Stopped"}


def test_a_job_that_has_ended_can_not_be_stopped(transforms: TransformJobs) -> None:
    job = transforms.run(ECHO, uri=f"s3://{BUCKET}/nothing/")
    error = refused(transforms.stop, job["TransformJobName"])
    assert error.message == (
        "The request was rejected because the transform job is in status Failed."
    )
