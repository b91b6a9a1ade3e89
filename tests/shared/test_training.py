"""Training jobs, on both hosts."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.endpoints import archive
from tests.emulator.jobs import BUCKET, IMAGE, Members, TrainingJobs, channel
from tests.shared.hosts import ClientContext

FIT = """\
import argparse, os
import joblib, numpy
from sklearn.linear_model import LinearRegression

parser = argparse.ArgumentParser()
parser.add_argument("--slope", type=float)
slope = parser.parse_args().slope
x = numpy.loadtxt(os.environ["SM_CHANNEL_TRAIN"] + "/x.csv").reshape(-1, 1)
model = LinearRegression().fit(x, slope * x[:, 0])
print(f"coefficient={model.coef_[0]:.3f};")
joblib.dump(model, os.environ["SM_MODEL_DIR"] + "/model.joblib")
"""


def script_mode(training: TrainingJobs, script: str, **hyperparameters: str) -> Members:
    """A request as the SDKs make it for their script mode, with the code in S3."""
    name = training.new_name()
    code = training.put(f"source/{name}/sourcedir.tar.gz", archive({"train.py": script.encode()}))
    return training.request(
        "",
        TrainingJobName=name,
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": code,
            **hyperparameters,
        },
        InputDataConfig=[channel("train", training.put("data/x.csv", "1\n2\n3\n"))],
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "coefficient", "Regex": "coefficient=(.*?);"}],
        },
    )


def test_code_in_s3_trains_a_model_that_can_be_read_back(training: TrainingJobs) -> None:
    request = script_mode(training, FIT, slope="2.5")
    training.context.call("sagemaker", "CreateTrainingJob", request)
    name = request["TrainingJobName"]
    job = training.end(name, 60)
    assert training.status(job) == "Completed", (job, training.log(name))
    joblib = pytest.importorskip("joblib")
    model = joblib.load(io.BytesIO(training.model(name)["model.joblib"]))
    assert model.coef_[0] == pytest.approx(2.5)
    metric = job["FinalMetricDataList"][0]
    assert (metric["MetricName"], metric["Value"]) == ("coefficient", 2.5)


def test_code_that_is_not_in_s3_ends_the_job_with_a_reason(training: TrainingJobs) -> None:
    request = script_mode(training, FIT)
    missing = f"s3://{BUCKET}/source/nothing.tar.gz"
    request["HyperParameters"]["sagemaker_submit_directory"] = missing
    training.context.call("sagemaker", "CreateTrainingJob", request)
    job = training.end(request["TrainingJobName"], 60)
    assert training.status(job) == "Failed"
    assert f"the code could not be fetched from {missing}" in job["FailureReason"]


def test_code_in_a_channel_may_be_an_archive(training: TrainingJobs) -> None:
    request = script_mode(training, "print('found')")
    code = request["HyperParameters"]["sagemaker_submit_directory"]
    request["InputDataConfig"].append(channel("code", code))
    request["HyperParameters"]["sagemaker_submit_directory"] = (
        "/opt/ml/input/data/code/sourcedir.tar.gz"
    )
    request["EnableNetworkIsolation"] = True
    training.context.call("sagemaker", "CreateTrainingJob", request)
    name = request["TrainingJobName"]
    assert training.status(training.end(name, 60)) == "Completed", training.log(name)
    assert "found" in training.log(name)


def test_log_and_transitions_tell_what_happened(training: TrainingJobs) -> None:
    job = training.run("print('hello')")
    name = job["TrainingJobName"]
    assert "hello" in training.log(name)
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses[0] == "Starting"
    assert statuses[-2:] == ["Uploading", "Completed"]
    assert job["CreationTime"].tzinfo is not None
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"]


def test_failing_script_ends_the_job_with_its_own_words(training: TrainingJobs) -> None:
    job = training.run("open('/opt/ml/output/failure', 'w').write('no luck'); raise SystemExit(3)")
    assert training.status(job) == "Failed"
    assert job["FailureReason"] == "AlgorithmError: no luck, exit code: 3"


def test_missing_input_ends_the_job_before_it_starts(training: TrainingJobs) -> None:
    empty = channel("train", f"s3://{BUCKET}/nothing/here")
    job = training.run("print('ran')", channels=[empty])
    assert training.status(job) == "Failed"
    assert "No S3 objects found under S3 URL" in job["FailureReason"]


def test_stopped_job_keeps_the_model_it_has(training: TrainingJobs) -> None:
    name = training.create(
        """
        import pathlib, signal, sys, time
        def leave(*_):
            pathlib.Path("/opt/ml/model/half").write_text("half")
            sys.exit()
        signal.signal(signal.SIGTERM, leave)
        print("begun", flush=True)
        time.sleep(600)
        """
    )
    training.wait_for_line(name, "begun")
    training.stop(name)
    assert training.status(training.end(name)) == "Stopped"
    assert training.model(name) == {"half": b"half"}


def test_hyperparameters_and_channels_reach_the_script(training: TrainingJobs) -> None:
    data = channel("train", training.put("shared/data.txt", "content"))
    answer = training.answer(
        """
        import json, pathlib
        given = json.loads(pathlib.Path("/opt/ml/input/config/hyperparameters.json").read_text())
        text = pathlib.Path("/opt/ml/input/data/train/data.txt").read_text()
        print(json.dumps([given, text]))
        """,
        HyperParameters={"a": "1", "ünï": "☃"},
        channels=[data],
    )
    assert answer == [{"a": "1", "ünï": "☃"}, "content"]


def test_tags_are_listed_and_changed(training: TrainingJobs, context: ClientContext) -> None:
    name = training.create("pass", Tags=[{"Key": "team", "Value": "one"}])
    arn = training.end(name)["TrainingJobArn"]
    sagemaker = context.client("sagemaker")
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]


def test_jobs_are_listed_by_pages(training: TrainingJobs, context: ClientContext) -> None:
    names = [training.create("pass", TrainingJobName=f"listed-{number}") for number in range(3)]
    for name in names:
        training.end(name)
    pages = context.client("sagemaker").get_paginator("list_training_jobs")
    found = pages.paginate(NameContains="listed-", PaginationConfig={"PageSize": 2})
    listed = [job["TrainingJobName"] for page in found for job in page["TrainingJobSummaries"]]
    assert listed == names


NOT_FOUND = ("ValidationException", 400, "Requested resource not found.")
NOT_A_NAME = ("ValidationException", 400, "failed to satisfy constraint")
NOT_RUN = ("OperationNotSupported", 501, "sagemaker:ListClusters")


@pytest.mark.parametrize(
    ("operation", "request_", "refusal"),
    [
        ("describe_training_job", {"TrainingJobName": "none"}, NOT_FOUND),
        ("describe_training_job", {"TrainingJobName": "a b"}, NOT_A_NAME),
        ("list_clusters", {}, NOT_RUN),
    ],
)
def test_refusal_is_a_client_error(
    context: ClientContext,
    operation: str,
    request_: dict[str, Any],
    refusal: tuple[str, int, str],
) -> None:
    code, status, text = refusal
    with pytest.raises(ClientError) as refused:
        getattr(context.client("sagemaker"), operation)(**request_)
    response = refused.value.response
    assert response["Error"]["Code"] == code
    assert text in response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_name_that_is_taken_is_refused(training: TrainingJobs) -> None:
    name = training.create("pass")
    with pytest.raises(ClientError, match="already exists") as refused:
        training.create("pass", TrainingJobName=name)
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
    assert training.status(training.end(name)) == "Completed"
    assert json.dumps(training.describe(name), default=str)
