"""InvokeEndpoint: what reaches the model, what comes back, which errors a client sees."""

from __future__ import annotations

import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagestack.aws.registry import dispatch
from sagestack.context import Context
from sagestack.sagemaker import invoke_endpoint
from sagestack.serving import batch
from tests.emulator.endpoints import ECHO, WAITS, Endpoints, archive, constant, refused
from tests.emulator.jobs import ACCOUNT, BUCKET, REGION
from tests.waiting import wait_until

HEADERS = """
import json
def model_fn(model_dir): return None
def input_fn(body, content_type, context): return context.get_all_request_header(0)
def predict_fn(headers, model): return headers
def output_fn(headers, accept): return json.dumps(headers), accept
"""


@pytest.fixture
def endpoints(context: Context) -> Endpoints:
    return Endpoints(context)


def test_any_body_comes_back_as_it_was_sent(endpoints: Endpoints) -> None:
    name = endpoints.serve(ECHO)
    for body in (b"", bytes(range(256)), b"x" * (6 * 1024**2)):
        answer = endpoints.invoke(name, body, ContentType="application/x-thing")
        assert answer == {
            "Body": body,
            "ContentType": "application/x-thing",
            "InvokedProductionVariant": "AllTraffic",
        }


def test_a_body_may_be_a_stream(endpoints: Endpoints) -> None:
    name = endpoints.serve(ECHO)
    request: Any = {"EndpointName": name, "Body": io.BytesIO(b"[1]"), "ContentType": "text/x"}
    answer = dispatch("sagemaker-runtime", "InvokeEndpoint", request, endpoints.context)
    assert answer["Body"] == b"[1]"


def test_only_headers_of_the_api_reach_the_model(endpoints: Endpoints) -> None:
    name = endpoints.serve(HEADERS)
    answer = endpoints.invoke(
        name,
        ContentType="text/x",
        Accept="text/y",
        CustomAttributes="trace=7",
        InferenceId="id-1",
        TargetVariant="AllTraffic",
    )
    headers = json.loads(answer["Body"])
    assert answer["ContentType"] == "text/y"
    assert headers["content-type"] == "text/x" and headers["accept"] == "text/y"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=7"
    assert headers["x-amzn-sagemaker-inference-id"] == "id-1"
    assert set(headers) <= {
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-amzn-sagemaker-custom-attributes",
        "x-amzn-sagemaker-inference-id",
    }


def test_what_the_model_raises_is_a_model_error(endpoints: Endpoints) -> None:
    name = endpoints.serve("def model_fn(d): return 0\ndef predict_fn(d, m): return 1 / m\n")
    error = refused(endpoints.invoke, name)
    assert (error.code, error.status) == ("ModelError", 424)
    original = error.members["OriginalMessage"]
    assert error.members["OriginalStatusCode"] == 500
    assert original.startswith("division by zero\nTraceback (most recent call last):")
    group = f"/aws/sagemaker/Endpoints/{name}"
    assert error.members["LogStreamArn"] == f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
    assert error.message == (
        f'Received server error (500) from primary with message "{original}". See '
        f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
        f"#logEventViewer:group={group} in account {ACCOUNT} for more information."
    )


def test_what_the_model_server_refuses_is_a_client_error(endpoints: Endpoints) -> None:
    error = refused(endpoints.invoke, endpoints.serve(constant(1)), ContentType="text/x")
    assert error.message.startswith("Received client error (415) from primary with message")


def test_a_model_that_takes_too_long(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoke_endpoint, "SECONDS", 0.2)
    name = endpoints.serve(
        "import threading\ndef model_fn(d): return threading.Event()\n"
        "def predict_fn(data, event): event.wait(2); return []\n"
    )
    error = refused(endpoints.invoke, name)
    assert error.members["OriginalStatusCode"] == 0
    assert (
        'Received server error (0) from primary with message "Your invocation timed out while '
        "waiting for a response from container primary." in error.message
    )


def test_a_body_that_is_too_large(endpoints: Endpoints) -> None:
    name = endpoints.serve(ECHO)
    error = refused(endpoints.invoke, name, b"x" * (6 * 1024**2 + 1))
    assert (error.code, error.status) == ("ValidationError", 400)
    assert "less than or equal to 6291456" in error.message


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("TargetModel", "is not a multi-model endpoint and does not support target model header"),
        ("TargetContainerHostname", "multi-container"),
        ("EnableExplanations", "explain"),
        ("InferenceComponentName", "inference component"),
        ("SessionId", "sessions"),
    ],
)
def test_what_the_endpoint_does_not_have_is_refused(
    endpoints: Endpoints, member: str, words: str
) -> None:
    error = refused(endpoints.invoke, "any", **{member: "other"})
    assert error.code == "ValidationError"
    assert words in error.message


@pytest.mark.parametrize("operation", ["InvokeEndpointAsync", "InvokeEndpointWithResponseStream"])
def test_other_ways_to_invoke_are_refused_by_name(endpoints: Endpoints, operation: str) -> None:
    error = refused(endpoints.context.call, "sagemaker-runtime", operation, {})
    assert f"sagemaker-runtime:{operation}" in error.message


def two_variants(endpoints: Endpoints, first: float, second: float) -> str:
    config = endpoints.config(
        endpoints.variant(constant("a"), VariantName="A", InitialVariantWeight=first),
        endpoints.variant(constant("b"), VariantName="B", InitialVariantWeight=second),
    )
    name = endpoints.create(config)
    assert endpoints.settled(name)["EndpointStatus"] == "InService"
    return name


def test_variants_are_chosen_by_weight_or_by_name(endpoints: Endpoints) -> None:
    name = two_variants(endpoints, 3, 1)
    answers = [endpoints.invoke(name) for _ in range(200)]
    share = Counter(answer["InvokedProductionVariant"] for answer in answers)
    assert 120 < share["A"] < 180  # 150, give or take five standard deviations
    assert all(
        json.loads(answer["Body"]) == [answer["InvokedProductionVariant"].lower()]
        for answer in answers
    )
    assert {endpoints.answer(name, TargetVariant="B")[0] for _ in range(5)} == {"b"}
    error = refused(endpoints.invoke, name, TargetVariant="C")
    assert (error.code, error.status) == ("ValidationError", 400)
    assert error.message == f"Variant C of endpoint {name} of account {ACCOUNT} not found."


def test_a_variant_of_no_weight_answers_only_by_name(endpoints: Endpoints) -> None:
    name = two_variants(endpoints, 0, 0)
    assert "no variant with a weight" in refused(endpoints.invoke, name).message
    assert endpoints.answer(name, TargetVariant="A") == ["a"]


def test_many_calls_at_once(endpoints: Endpoints) -> None:
    name = endpoints.serve(ECHO, InitialInstanceCount=2)

    def call(number: int) -> bool:
        body = f"call {number}".encode()
        return bool(endpoints.invoke(name, body)["Body"] == body)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(call, range(400)))


def test_a_serverless_variant(endpoints: Endpoints) -> None:
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    name = endpoints.serve(
        WAITS, InstanceType=None, InitialInstanceCount=None, ServerlessConfig=serverless
    )
    [variant] = endpoints.describe(name)["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == serverless
    assert "CurrentInstanceCount" not in variant
    error = refused(endpoints.invoke, name, b"x" * (4 * 1024**2 + 1))
    assert "less than or equal to 4194304" in error.message
    [server] = endpoints.variants(name)[0].fleet.servers
    with ThreadPoolExecutor() as pool:
        first = pool.submit(endpoints.invoke, name, b"[1]")
        wait_until(lambda: server.outstanding)
        assert refused(endpoints.invoke, name, b"[2]").code == "ThrottlingException"
        (server.directory / "go-on").touch()
        assert first.result()["Body"] == b"[1]"
    assert endpoints.invoke(name, b"[3]")["Body"] == b"[3]"


def test_code_of_the_v2_sdk_lies_beside_the_model(endpoints: Endpoints) -> None:
    source = archive({"predictor.py": constant("from source").encode()})
    endpoints.s3.put_object(Bucket=BUCKET, Key="job/sourcedir.tar.gz", Body=source)
    variables = {
        "SAGEMAKER_PROGRAM": "predictor.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{BUCKET}/job/sourcedir.tar.gz",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_REGION": REGION,
    }
    model = endpoints.model(constant("from model"), container={"Environment": variables})
    assert endpoints.answer(endpoints.serve(model)) == ["from source"]


def test_a_model_sees_its_variables_and_its_role_and_nothing_of_the_server(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "1")
    script = """
import os
def model_fn(model_dir): return None
def predict_fn(data, model): return [dict(os.environ)]
"""
    model = endpoints.model(script, container={"Environment": {"COLOUR": "red"}})
    [seen] = endpoints.answer(endpoints.serve(model))
    assert seen["COLOUR"] == "red"
    assert seen["AWS_REGION"] == REGION
    assert seen["AWS_SESSION_TOKEN"]
    assert "SECRET_OF_THE_SERVER" not in seen


def capturing(percentage: int = 100, modes: tuple[str, ...] = ("Input", "Output")) -> Any:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://{BUCKET}/capture/here/",
        "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
    }


def captured(endpoints: Endpoints) -> tuple[list[str], list[Any]]:
    """Keys, and the lines in all of them."""
    listed = endpoints.s3.list_objects_v2(Bucket=BUCKET, Prefix="capture/")
    keys = [entry["Key"] for entry in listed.get("Contents", ())]
    bodies = [endpoints.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    return keys, [json.loads(line) for body in bodies for line in body.splitlines()]


def test_calls_are_captured_with_their_encodings(endpoints: Endpoints) -> None:
    name = endpoints.create(
        endpoints.config(endpoints.variant(ECHO), DataCaptureConfig=capturing())
    )
    assert endpoints.settled(name)["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/capture/here/",
        "KmsKeyId": "",
    }
    endpoints.invoke(name, b"1,2", ContentType="text/csv", InferenceId="i", CustomAttributes="c")
    endpoints.invoke(name, b'{"a": 1}', ContentType="application/json")
    endpoints.invoke(name, b"\xff\xfe", ContentType="application/x-npy")
    endpoints.invoke(name, b"\xff", ContentType="text/csv")
    endpoints.delete(name)
    keys, lines = captured(endpoints)
    assert all(key.startswith(f"capture/here/{name}/AllTraffic/20") for key in keys)
    assert all(key.endswith(".jsonl") for key in keys)
    assert lines[0]["captureData"] == {
        "endpointInput": {
            "observedContentType": "text/csv",
            "mode": "INPUT",
            "data": "1,2",
            "encoding": "CSV",
        },
        "endpointOutput": {
            "observedContentType": "text/csv",
            "mode": "OUTPUT",
            "data": "1,2",
            "encoding": "CSV",
        },
    }
    assert lines[0]["eventMetadata"]["inferenceId"] == "i"
    assert lines[0]["eventMetadata"]["customAttributes"] == ["c"]
    assert lines[0]["eventVersion"] == "0"
    inputs = [line["captureData"]["endpointInput"] for line in lines]
    assert [i["encoding"] for i in inputs] == ["CSV", "JSON", "BASE64", "BASE64"]
    assert inputs[2]["data"] == "//4="


def test_a_sample_is_captured_of_what_was_asked_for(endpoints: Endpoints) -> None:
    config = endpoints.config(
        endpoints.variant(ECHO), DataCaptureConfig=capturing(50, modes=("Output",))
    )
    name = endpoints.create(config)
    endpoints.settled(name)
    for _ in range(100):
        endpoints.invoke(name)
    endpoints.delete(name)
    _, lines = captured(endpoints)
    assert 20 < len(lines) < 80
    assert all(set(line["captureData"]) == {"endpointOutput"} for line in lines)


def test_a_capture_that_can_not_be_written_does_not_disturb_the_calls(
    endpoints: Endpoints,
) -> None:
    config = capturing() | {"DestinationS3Uri": "s3://no-such-bucket/x"}
    name = endpoints.create(endpoints.config(endpoints.variant(ECHO), DataCaptureConfig=config))
    endpoints.settled(name)
    assert endpoints.invoke(name)["Body"] == b"[0]"
    endpoints.delete(name)


def test_invocations_become_metrics(endpoints: Endpoints) -> None:
    name = endpoints.serve(ECHO.replace("return body", "return 1 / len(body) and body"))
    endpoints.invoke(name, b"[1]")
    endpoints.invoke(name, b"[2]")
    refused(endpoints.invoke, name, b"")
    endpoints.context.instance.servers.metrics.flush()

    def total(metric: str) -> tuple[float, float]:
        [point] = endpoints.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": name},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        return point["Sum"], point["SampleCount"]

    assert total("Invocations")[0] == 3
    assert total("InvocationsPerInstance")[0] == 3
    assert total("Invocation4XXErrors") == (0, 3)
    assert total("Invocation5XXErrors") == (1, 3)
    assert total("InvocationModelErrors") == (1, 3)
    latency, count = total("ModelLatency")
    assert 100 < latency / count < 5e6
    assert total("OverheadLatency")[0] > 0


def test_a_batch_makes_those_wait_who_outrun_it() -> None:
    sent: list[list[int]] = []
    numbers = batch.Batch[int](sent.append, name="numbers", seconds=60, most=2)
    for number in range(40):
        numbers.add(number)
    numbers.close()
    assert [number for part in sent for number in part] == list(range(40))
    numbers.add(40)
    assert sent[-1] == [40]
