"""Transform jobs: objects in, objects out, and how a job ends. Source: contract, section 4."""

import gzip
import json
import re
from collections.abc import Callable

import pytest

from sagestack.aws.errors import ResourceInUse, ValidationException
from sagestack.context import Context
from sagestack.sagemaker import transform_job
from tests.emulator.endpoints import refused
from tests.emulator.jobs import ACCOUNT, BUCKET, REGION
from tests.emulator.transforms import (
    COUNTS,
    CSV_LINES,
    ECHO,
    PARAMETERS,
    SUMS,
    VARIABLES,
    TransformJobs,
)
from tests.waiting import wait_until

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


# Objects and their keys


def test_each_object_below_the_prefix_becomes_one_with_out_behind_its_key(
    transforms: TransformJobs,
) -> None:
    for key in ("in/one.csv", "in/deep/er/two.csv", "in/folder/", "input-of-others"):
        transforms.put(key, f"{key}\n")
    assert transforms.transformed(ECHO, uri=f"s3://{BUCKET}/in/") == {
        "one.csv.out": "in/one.csv\n",
        "deep/er/two.csv.out": "in/deep/er/two.csv\n",
    }


def test_a_prefix_may_be_one_object(transforms: TransformJobs) -> None:
    uri = transforms.put("in/deep/one.csv", "1")
    assert transforms.transformed(ECHO, uri=uri) == {"one.csv.out": "1"}


def test_a_manifest_names_the_objects(transforms: TransformJobs) -> None:
    for name in ("a", "b/c", "d"):
        transforms.put(f"in/{name}", name)
    names = json.dumps([{"prefix": f"s3://{BUCKET}/in/"}, "a", "b/c"])
    manifest = transforms.put("manifest.json", names)
    outputs = transforms.transformed(ECHO, uri=manifest, data_type="ManifestFile")
    assert outputs == {"a.out": "a", "b/c.out": "b/c"}


def test_several_instances_share_the_objects(transforms: TransformJobs) -> None:
    for number in range(5):
        transforms.put(f"in/{number}", str(number))
    job = transforms.run(ECHO, instances=2)
    assert transforms.outputs(job) == {f"{n}.out": str(n) for n in range(5)}
    servers = {name.split("/")[1] for name in transforms.streams(job["TransformJobName"])}
    assert len(servers) == 2


# Records and requests


def test_an_object_is_one_request_when_it_is_not_split(transforms: TransformJobs) -> None:
    assert json.loads(transforms.output("a\nb\n", COUNTS)) == "a\nb\n"


def test_a_request_of_several_records_holds_them_as_they_stand(transforms: TransformJobs) -> None:
    output = transforms.output("a\nb\n\nc", COUNTS, **LINES)
    assert [json.loads(line) for line in output.splitlines()] == ["a\nb\nc"]


def test_a_request_of_one_record_is_the_line_alone(transforms: TransformJobs) -> None:
    output = transforms.output("a\r\n\nb\nc", COUNTS, **LINES, BatchStrategy="SingleRecord")
    assert [json.loads(line) for line in output.splitlines()] == ["a", "b", "c"]


def test_requests_are_filled_up_to_the_largest_payload(transforms: TransformJobs) -> None:
    lines = [str(number) * 400_000 for number in range(5)]
    output = transforms.output("\n".join(lines), COUNTS, **LINES, MaxPayloadInMB=1)
    payloads = [json.loads(line) for line in output.splitlines()]
    assert [len(payload.split()) for payload in payloads] == [2, 2, 1]
    assert "".join(payloads).split() == lines


def test_answers_are_concatenated_when_nothing_else_is_asked(transforms: TransformJobs) -> None:
    source = {"SplitType": "Line"}
    assert transforms.output("a\nb", ECHO, source=source, BatchStrategy="SingleRecord") == "ab"


def test_the_order_of_records_is_kept_with_many_at_once(transforms: TransformJobs) -> None:
    rows = "\n".join(str(number) for number in range(200))
    members = {"BatchStrategy": "SingleRecord", "MaxConcurrentTransforms": 8}
    assert transforms.output(rows, SUMS, **CSV_LINES, **members) == rows + "\n"


def test_an_object_without_records_becomes_an_empty_one(transforms: TransformJobs) -> None:
    assert transforms.output("", SUMS, **CSV_LINES) == ""


def test_compressed_input_is_decompressed(transforms: TransformJobs) -> None:
    source = CSV_LINES["source"] | {"CompressionType": "Gzip"}
    members = CSV_LINES | {"source": source}
    assert transforms.output(gzip.compress(b"1,2\n3,4\n"), SUMS, **members) == "3\n7\n"


def test_a_payload_without_limit_is_streamed(transforms: TransformJobs) -> None:
    content = "x" * 7 * 1024**2
    assert transforms.output(content, ECHO, MaxPayloadInMB=0) == content


# What the container is told


def test_the_container_is_told_of_the_request(transforms: TransformJobs) -> None:
    output = transforms.output(
        "[]",
        VARIABLES,
        MaxPayloadInMB=2,
        MaxConcurrentTransforms=3,
        BatchStrategy="MultiRecord",
        Environment={"COLOR": "blue"},
    )
    variables = json.loads(output)
    told = {n: v for n, v in variables.items() if n.startswith("SAGEMAKER_") or n == "COLOR"}
    assert {name: told[name] for name in told if name != "SAGEMAKER_BIND_TO_PORT"} == {
        "COLOR": "blue",
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
    }


def test_what_the_request_leaves_open_the_container_decides(transforms: TransformJobs) -> None:
    transforms.put("in/data", "a\nb")
    job = transforms.run(COUNTS + PARAMETERS, **LINES, MaxPayloadInMB=1)
    assert transforms.outputs(job) == {"data.out": '"a"\n"b"\n'}
    assert transforms.told(job) == [
        "MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=SINGLE_RECORD"
    ]


def test_without_a_wish_of_anyone_the_defaults_hold(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    job = transforms.run(ECHO)
    assert transforms.told(job) == [
        "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"
    ]


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


# Stop, records, events


def test_a_stopped_job_stores_nothing(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    name = transforms.create(WAITS)
    transforms.wait_for_line(name, "asked")
    transforms.stop(name)
    job = transforms.end(name)
    assert (job["TransformJobStatus"], transforms.outputs(job)) == ("Stopped", {})
    assert "FailureReason" not in job


def test_a_job_that_has_ended_can_not_be_stopped(transforms: TransformJobs) -> None:
    job = transforms.run(ECHO, uri=f"s3://{BUCKET}/nothing/")
    error = refused(transforms.stop, job["TransformJobName"])
    assert error.message == (
        "The request was rejected because the transform job is in status Failed."
    )


def test_a_description_has_the_request_the_defaults_and_the_times(
    transforms: TransformJobs,
) -> None:
    transforms.put("in/data")
    request = transforms.request(ECHO, ExperimentConfig={"ExperimentName": "e"})
    arn = transforms.context.call("sagemaker", "CreateTransformJob", request)["TransformJobArn"]
    job = transforms.end(request["TransformJobName"])
    name = request["TransformJobName"]
    assert arn == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job/{name}"
    times = [job.pop(f"{when}Time") for when in ("Creation", "TransformStart", "TransformEnd")]
    assert times == sorted(times)
    assert job == {
        **request,
        "TransformJobArn": arn,
        "TransformJobStatus": "Completed",
        "TransformInput": {
            **request["TransformInput"],
            "CompressionType": "None",
            "SplitType": "None",
        },
        "TransformOutput": {**request["TransformOutput"], "AssembleWith": "None"},
        "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"},
    }


def test_logs_lie_where_the_contract_says(transforms: TransformJobs) -> None:
    transforms.put("in/data")
    name = transforms.run(ECHO)["TransformJobName"]
    server, data = sorted(transforms.streams(name))
    assert re.fullmatch(rf"{name}/i-[0-9a-f]{{17}}-\d{{13}}", server)
    assert data == f"{server}/data-log"


def test_lists_are_filtered_and_begin_with_the_newest(transforms: TransformJobs) -> None:
    uri = f"s3://{BUCKET}/nothing/"
    names = [transforms.run(ECHO, uri=uri)["TransformJobName"] for _ in range(3)]

    def listed(**members: str | int) -> list[str]:
        answer = transforms.context.call("sagemaker", "ListTransformJobs", members)
        return [summary["TransformJobName"] for summary in answer["TransformJobSummaries"]]

    assert listed() == names[::-1]
    assert listed(MaxResults=1, SortBy="Name", SortOrder="Ascending") == names[:1]
    assert listed(StatusEquals="Failed", NameContains=names[1]) == [names[1]]
    assert listed(StatusEquals="Completed") == []


def test_tags_are_kept(transforms: TransformJobs) -> None:
    tags = [{"Key": "team", "Value": "fraud"}]
    job = transforms.run(ECHO, uri=f"s3://{BUCKET}/nothing/", Tags=tags)
    request = {"ResourceArn": job["TransformJobArn"]}
    assert transforms.context.call("sagemaker", "ListTags", request)["Tags"] == tags


def test_changes_are_told_to_eventbridge(
    transforms: TransformJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []

    def put_event(_source: str, kind: str, detail: dict, _resources: list[str]) -> None:
        told.append((kind, detail["TransformJobStatus"]))

    monkeypatch.setattr(transforms.context.aws, "put_event", put_event)
    transforms.run(ECHO, uri=f"s3://{BUCKET}/nothing/")
    kind = "SageMaker Transform Job State Change"
    wait_until(lambda: told == [(kind, "InProgress"), (kind, "Failed")], what=str(told))


def test_a_job_that_ran_when_the_server_died_has_failed(
    transforms: TransformJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_arguments: object) -> None:
        return None

    monkeypatch.setattr(transforms.context.instance.executor, "submit", never)
    name = transforms.create(ECHO)
    transform_job.recover(transforms.context.instance)
    job = transforms.describe(name)
    assert job["TransformJobStatus"] == "Failed"
    assert "stopped or died before the job ended" in job["FailureReason"]


# Requests that are refused


@pytest.mark.parametrize("operation", ["DescribeTransformJob", "StopTransformJob"])
def test_a_job_that_is_not_there(context: Context, operation: str) -> None:
    error = refused(context.call, "sagemaker", operation, {"TransformJobName": "gone"})
    assert isinstance(error, ValidationException)
    assert error.message == "Could not find requested job with name: gone"


def test_a_name_is_taken_once_in_any_case(transforms: TransformJobs) -> None:
    transforms.run(ECHO, TransformJobName="same", uri=f"s3://{BUCKET}/nothing/")
    assert isinstance(refused(transforms.create, ECHO, TransformJobName="Same"), ResourceInUse)


def test_a_model_that_is_not_there(transforms: TransformJobs) -> None:
    error = refused(transforms.create, ECHO, model="gone")
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/gone"
    assert error.message == f'Could not find model "{arn}".'


def test_a_model_of_a_model_data_source(transforms: TransformJobs) -> None:
    transforms.put("model/weights")
    source = {"S3Uri": "s3://lake/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"ModelDataSource": {"S3DataSource": source}}
    model = transforms.endpoints.model(container=container)
    error = refused(transforms.create, ECHO, model=model)
    assert "which use ModelDataSource attribute" in error.message


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB must be at most 100"),
        ({"MaxPayloadInMB": 20, "MaxConcurrentTransforms": 6}, "must be at most 100"),
        ({"data_type": "AugmentedManifestFile"}, "AugmentedManifestFile is not supported"),
        ({"uri": "s3:///x"}, "pattern"),
        ({"instances": 17}, "sagestack does not support 17 instances"),
    ],
)
def test_requests_that_are_refused(transforms: TransformJobs, members: dict, text: str) -> None:
    assert text in refused(transforms.create, ECHO, **members).message


def test_outputs_are_encrypted_with_the_key_that_is_named(
    transforms: TransformJobs, encryption: Callable[[str], str | None]
) -> None:
    transforms.put("in/data")
    job = transforms.run(ECHO, target={"KmsKeyId": "alias/mine"})
    assert encryption(f"out/{job['TransformJobName']}/data.out") == "alias/mine"


@pytest.fixture
def encryption(transforms: TransformJobs) -> Callable[[str], str | None]:
    """The key an object is encrypted with."""
    return lambda key: transforms.s3.head_object(Bucket=BUCKET, Key=key).get("SSEKMSKeyId")
