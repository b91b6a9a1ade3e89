"""Steps of level 0 against S3 on moto and against answers of SageMaker and Glue."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from click.testing import CliRunner

from infra.settings import Settings
from mlops import jobs, level0, predict, steps
from mlops.clean import empty_buckets
from mlops.errors import JobFailed, LevelZeroError, NotYet
from mlops.session import Session
from mlops.state import State

NAME = re.compile(r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
ACCOUNT = "123456789012"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID",
                 "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):  # fmt: skip
        monkeypatch.setenv(name, "before")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    return Session(Settings.of("local"), folder=tmp_path)


@pytest.fixture
def at_work(session: Session, s3: Any, monkeypatch: pytest.MonkeyPatch) -> steps.Steps:
    """Steps with S3 on moto and stack outputs that need no stack."""
    monkeypatch.setattr(session, "client", lambda service: {"s3": s3}[service])
    work = steps.Steps(session)
    monkeypatch.setattr(work.stacks, "output", lambda concern, key: key.lower())
    return work


def processing(session: Session, key_arn: str | None = None) -> dict[str, Any]:
    return jobs.processing_request(
        name=jobs.job_name(session, "split"),
        image=session.settings.sklearn_image,
        role=f"arn:aws:iam::{ACCOUNT}:role/processing",
        code="s3://assets/abc.zip",
        arguments=["--months", "2013-01"],
        inputs={"flights": ("s3://curated/flights/", "/opt/ml/processing/input/flights")},
        outputs={"train": ("s3://curated/datasets/x/train", "/opt/ml/processing/output/train")},
        session=session,
        key_arn=key_arn,
    )


def training(session: Session, key_arn: str | None = None) -> dict[str, Any]:
    return jobs.training_request(
        name=jobs.job_name(session, "train"),
        image=session.settings.sklearn_image,
        role=f"arn:aws:iam::{ACCOUNT}:role/training",
        code="s3://assets/abc.tar.gz",
        dataset="s3://curated/datasets/x",
        output="s3://model/models",
        hyperparameters={"max_iter": "10"},
        metrics=steps.METRICS,
        session=session,
        key_arn=key_arn,
    )


@pytest.mark.parametrize("key_arn", [None, f"arn:aws:kms:us-east-1:{ACCOUNT}:key/x"])
@pytest.mark.parametrize(
    ("operation", "make"),
    [("CreateProcessingJob", processing), ("CreateTrainingJob", training)],
)
def test_requests_are_what_the_service_model_wants(
    session: Session, operation: str, make: Callable[..., dict[str, Any]], key_arn: str | None
) -> None:
    model = botocore.session.get_session().get_service_model("sagemaker")
    request = make(session, key_arn)
    shape = model.operation_model(operation).input_shape
    assert not ParamValidator().validate(request, shape).has_errors()
    assert ("KmsKeyId" in json.dumps(request)) == (key_arn is not None)


def test_a_processing_job_runs_its_code_where_it_was_put(session: Session) -> None:
    request = processing(session)
    program = request["AppSpecification"]["ContainerEntrypoint"]
    assert program == ["python3", "/opt/ml/processing/input/code/abc.zip"]
    code = request["ProcessingInputs"][0]["S3Input"]
    assert (code["S3Uri"], code["LocalPath"]) == ("s3://assets/abc.zip", jobs.CODE_PATH)


def test_metric_definitions_catch_what_the_training_script_prints(
    session: Session, train_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    base = train_model("--max_iter", "25")
    printed = capsys.readouterr().out
    metrics = json.loads((base / "model/metadata.json").read_text())["metrics"]
    definitions = training(session)["AlgorithmSpecification"]["MetricDefinitions"]
    assert len(definitions) == len(steps.METRICS)
    for definition in definitions:
        part, name = definition["Name"].split(":")
        last = re.findall(definition["Regex"], printed)[-1]
        assert float(last) == pytest.approx(metrics[part][name], abs=1e-6)


def test_job_names_are_valid_and_sorted_by_time(session: Session) -> None:
    names = [jobs.job_name(session, step) for step in ("split", "train", "evaluate")]
    assert all(NAME.match(name) for name in names)
    assert names[0].startswith("sagestack-local-split-2")


def test_local_never_reaches_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "REAL")
    session = Session(Settings.of("local"), folder=tmp_path)
    client = session.client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:4566"
    assert client._request_signer._credentials.access_key == "test"
    monkeypatch.undo()


def test_upload_puts_real_months_into_raw(at_work: steps.Steps, s3: Any) -> None:
    s3.create_bucket(Bucket="rawbucketname")
    outcome = at_work.upload(lambda text: None, [1, 2])
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket="rawbucketname")["Contents"]}
    assert "raw/flights/year=2013/month=02/flights.csv" in keys
    assert len(keys) == 5
    assert "5 files" in outcome.facts[0]
    assert at_work.state.recall("months") == "2013-01,2013-02"


def test_a_step_without_the_one_before_says_which_to_run(at_work: steps.Steps) -> None:
    with pytest.raises(NotYet, match=r"no curated yet: run `python -m mlops\.level0 etl` first"):
        at_work.split(lambda text: None)
    with pytest.raises(NotYet, match="level0 train"):
        at_work.deploy(lambda text: None)


def test_a_model_that_is_not_in_s3_is_not_deployed(at_work: steps.Steps, s3: Any) -> None:
    s3.create_bucket(Bucket="models")
    with pytest.raises(NotYet, match=r"s3://models/x\.tar\.gz is not there"):
        at_work.deploy(lambda text: None, "s3://models/x.tar.gz")


def test_state_outlives_the_process_and_knows_its_keys(tmp_path: Path) -> None:
    State(tmp_path / "state.json").remember(dataset="s3://b/d")
    later = State(tmp_path / "state.json")
    assert later.recall("dataset") == "s3://b/d"
    assert later.recall("dataset", "s3://b/other") == "s3://b/other"
    with pytest.raises(ValueError, match="no step makes colour"):
        later.remember(colour="red")


def test_clean_deletes_every_version_and_marker(s3: Any) -> None:
    settings = Settings.of("local")
    for role in ("raw", "curated", "model", "logs"):
        bucket = settings.bucket_name(role, ACCOUNT)  # type: ignore[arg-type]
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            s3.put_object(Bucket=bucket, Key="a", Body=body)
        s3.delete_object(Bucket=bucket, Key="a")
    assert empty_buckets(s3, settings, ACCOUNT, lambda text: None) == 12
    for role in ("raw", "curated", "model", "logs"):
        s3.delete_bucket(Bucket=settings.bucket_name(role, ACCOUNT))  # type: ignore[arg-type]


def test_clean_of_nothing_is_nothing_and_production_is_refused(s3: Any) -> None:
    assert empty_buckets(s3, Settings.of("local"), ACCOUNT, lambda text: None) == 0
    with pytest.raises(LevelZeroError, match="prod keeps its data"):
        empty_buckets(s3, Settings.of("prod"), ACCOUNT, lambda text: None)


class FailedTraining:
    """SageMaker, Logs and Glue as they answer about a job that failed."""

    def create_training_job(self, **request: Any) -> None: ...

    def describe_training_job(self, **request: Any) -> dict[str, Any]:
        reason = "AlgorithmError: no CSV files in channel, exit code: 1"
        return {"TrainingJobStatus": "Failed", "FailureReason": reason}

    def start_job_run(self, **request: Any) -> dict[str, str]:
        return {"JobRunId": "jr_1"}

    def get_job_run(self, **request: Any) -> dict[str, Any]:
        return {"JobRun": {"JobRunState": "FAILED", "ErrorMessage": "ValueError: no flights"}}

    def describe_log_streams(self, **request: Any) -> dict[str, Any]:
        return {"logStreams": [{"logStreamName": "x/algo-1-1"}]}

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        return {"events": [{"message": "Traceback: the cause", "timestamp": 1}]}


def test_a_failed_job_says_why_and_where_its_log_is(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "client", lambda service: FailedTraining())
    with pytest.raises(JobFailed) as caught:
        jobs.run_training(session, training(session), lambda text: None)
    error = caught.value
    assert "no CSV files in channel" in str(error)
    assert error.tail == ["Traceback: the cause"]
    assert error.log is not None
    lines = error.log.commands(error.sagestack_logs)
    assert lines[0].startswith("sagestack logs training-job sagestack-local-train-")
    assert "/aws/sagemaker/TrainingJobs" in lines[1]


def test_a_failed_step_ends_the_command_with_one_and_shows_reason_and_log(
    monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    monkeypatch.setattr(level0, "Session", lambda settings: session)
    monkeypatch.setattr(session, "client", lambda service: FailedTraining())
    monkeypatch.setattr("mlops.stack.Stacks.output", lambda self, concern, key: key)
    result = CliRunner().invoke(level0.main, ["etl"])
    assert result.exit_code == 1
    assert "ValueError: no flights" in result.output
    assert "Traceback: the cause" in result.output
    assert "sagestack logs glue-job-run jr_1" in result.output
    assert "export AWS_DEFAULT_REGION=us-east-1" in result.output


@pytest.mark.parametrize("value", ["0", "1-13", "x", "3-1"])
def test_months_that_are_none_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level0, "Runner", lambda stage: None)
    result = CliRunner().invoke(level0.main, ["upload", "--months", value])
    assert result.exit_code == 2
    assert value in result.output


def test_offline_prediction_equals_the_pipeline_and_a_difference_is_an_error(
    trained: Path,
) -> None:
    flights = predict.flights_of(4, count=20)
    model_dir = trained / "model"
    answers = predict.offline(model_dir, flights)
    assert "largest difference 0" in predict.compare(answers, model_dir)
    shifted = [predict.Answer(a.flight, a.probability + 1e-6, a.late, a.arr_delay) for a in answers]
    with pytest.raises(LevelZeroError, match="endpoint and offline prediction differ by 1e-06"):
        predict.compare(shifted, model_dir)


def test_other_library_versions_are_said_and_not_compared(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "version", lambda name: "0.1")
    said = predict.compare([], trained / "model")
    assert said.startswith("not compared with offline: scikit-learn ")
    assert "0.1 here" in said


def test_an_artifact_that_does_not_load_says_so(tmp_path: Path) -> None:
    with pytest.raises(LevelZeroError, match="does not answer offline"):
        predict.offline(tmp_path, predict.flights_of(4, count=2))


def test_answers_keep_what_happened() -> None:
    flights = [{"arr_delay": "NA"}, {"arr_delay": "16"}, {"arr_delay": "15"}]
    body = {"predictions": [{"late_probability": p, "late": 1} for p in (0.1, 0.9, 0.2)]}
    answers = predict.answers_of(flights, body)
    assert [answer.was_late for answer in answers] == [None, True, False]
    assert predict.auc(answers) == 1.0
    with pytest.raises(LevelZeroError, match="3 answers for 2 flights"):
        predict.answers_of(flights[:2], body)
