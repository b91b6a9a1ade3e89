"""Transform jobs as records: described, listed, told of, recovered, refused. Source: contract,
sections 4, 5, 9."""

import re

import pytest

from sagestack.aws.errors import ResourceInUse, ValidationException
from sagestack.context import Context
from sagestack.sagemaker import transform_job
from tests.emulator.endpoints import refused
from tests.emulator.jobs import ACCOUNT, BUCKET, REGION
from tests.emulator.transforms import (
    ECHO,
    TransformJobs,
)
from tests.waiting import wait_until


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
