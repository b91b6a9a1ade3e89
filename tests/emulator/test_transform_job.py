"""Transform jobs: objects in, objects out, and what the container is told. Source: contract,
section 4."""

import gzip
import json
from collections.abc import Callable

import pytest

from tests.emulator.jobs import BUCKET
from tests.emulator.transforms import (
    COUNTS,
    CSV_LINES,
    ECHO,
    PARAMETERS,
    SUMS,
    VARIABLES,
    TransformJobs,
)

LINES = {"source": {"SplitType": "Line"}, "target": {"AssembleWith": "Line"}}


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


# Encryption


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
