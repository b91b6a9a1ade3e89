"""The steps of level 0. Each takes what an earlier one made, by name or from the state file.

Every step returns a few facts, in a line each, for the person who ran it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from infra.settings import PREFIXES
from mlops import data, jobs
from mlops.errors import JobFailed, LevelZeroError, LogPlace, NotYet
from mlops.session import Session
from mlops.stack import BASE_CONCERNS, Stacks
from mlops.state import State

Progress = Callable[[str], None]

METRICS = (
    "train_auc",
    "train_log_loss",
    "validation_auc",
    "validation_log_loss",
    "baseline_auc",
    "baseline_log_loss",
)


@dataclass
class Outcome:
    """What a step made: `facts` for a person, `values` for the summary at the end."""

    facts: list[str]
    values: dict[str, Any] = field(default_factory=dict)


class Steps:
    """The steps of one environment."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.stacks = Stacks(session)
        self.state = State(session.file("state.json"))

    def deploy_platform(self, progress: Progress) -> Outcome:
        """Synthesise, bootstrap where needed, deploy all stacks but serving."""
        self.stacks.synthesise(progress)
        self.stacks.bootstrap(progress)
        self.stacks.deploy(BASE_CONCERNS, progress)
        return Outcome([f"stacks {', '.join(BASE_CONCERNS)} are up"])

    def upload(self, progress: Progress, months: Sequence[int]) -> Outcome:
        """Real flights and weather of these months, and the aircraft register, into raw."""
        bucket = self.stacks.output("data-lake", "RawBucketName")
        objects = data.raw_objects(months, PREFIXES.raw)
        s3 = self.session.client("s3")
        for key, text in objects.items():
            progress(key)
            s3.put_object(Bucket=bucket, Key=key, Body=text.encode("utf-8"), ContentType="text/csv")
        self.state.remember(months=",".join(data.month_name(month) for month in sorted(months)))
        rows = sum(text.count("\n") - 1 for text in objects.values())
        return Outcome([f"{len(objects)} files, {rows:,} rows in s3://{bucket}/{PREFIXES.raw}/"])

    def etl(self, progress: Progress) -> Outcome:
        """Raw CSV to the curated table, by the Glue job."""
        job = self.stacks.output("etl", "GlueJobName")
        jobs.run_glue(self.session, job, {}, progress)
        bucket = self.stacks.output("data-lake", "CuratedBucketName")
        report = self._read_json(f"s3://{bucket}/{PREFIXES.quarantine}/report.json")
        self.state.remember(curated=f"s3://{bucket}/{PREFIXES.curated}")
        reasons = {
            f"{table}.{reason}": count
            for table, counts in report["quarantined_by_reason"].items()
            for reason, count in counts.items()
        }
        bad = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none"
        table = f"{self.stacks.output('etl', 'GlueDatabaseName')}.flights"
        return Outcome(
            [
                f"{report['rows_out']:,} flights in table {table}",
                f"set aside: {bad}; s3://{bucket}/{PREFIXES.quarantine}/",
            ]
        )

    def split(self, progress: Progress, months: str | None = None) -> Outcome:
        """Curated flights of these months (YYYY-MM, comma-separated) to train/validation/test."""
        curated = self.state.recall("curated")
        months = self.state.recall("months", months)
        name = jobs.job_name(self.session, "split")
        bucket = self.stacks.output("data-lake", "CuratedBucketName")
        dataset = f"s3://{bucket}/{PREFIXES.datasets}/{name}"
        parts = ("train", "validation", "test", "report")
        request = jobs.processing_request(
            name=name,
            code=self.stacks.output("training", "SplitCodeUri"),
            arguments=["--months", months],
            inputs={"flights": (f"{curated}/", "/opt/ml/processing/input/flights")},
            outputs={
                part: (f"{dataset}/{part}", f"/opt/ml/processing/output/{part}") for part in parts
            },
            **self._processing(),
        )
        jobs.run_processing(self.session, request, progress)
        self.state.remember(dataset=dataset)
        report = self._read_json(f"{dataset}/report/split.json")
        sizes = ", ".join(f"{part['rows']:,} {k}" for k, part in report["splits"].items())
        return Outcome([f"{sizes}; {report['unlabelled']:,} never arrived", dataset])

    def train(
        self,
        progress: Progress,
        dataset: str | None = None,
        hyperparameters: Mapping[str, str] | None = None,
    ) -> Outcome:
        """A model from the dataset's train and validation parts."""
        dataset = self.state.recall("dataset", dataset)
        name = jobs.job_name(self.session, "train")
        bucket = self.stacks.output("data-lake", "ModelBucketName")
        request = jobs.training_request(
            name=name,
            image=self.stacks.output("training", "SklearnImageUri"),
            role=self.stacks.output("training", "TrainingRoleArn"),
            code=self.stacks.output("training", "TrainingCodeUri"),
            dataset=dataset.rstrip("/"),
            output=f"s3://{bucket}/{PREFIXES.models}",
            hyperparameters=hyperparameters or {},
            metrics=METRICS,
            session=self.session,
            key_arn=self.stacks.key_arn(),
        )
        job = jobs.run_training(self.session, request, progress)
        model = str(job["ModelArtifacts"]["S3ModelArtifacts"])
        self.state.remember(training_job=name, model_data=model, dataset=dataset)
        metrics = {
            item["MetricName"]: float(item["Value"]) for item in job.get("FinalMetricDataList", [])
        }
        shown = ", ".join(f"{key} {metrics[key]:.4f}" for key in sorted(metrics) if "auc" in key)
        return Outcome([shown or "no metrics came back", model], {"training": metrics})

    def evaluate(
        self, progress: Progress, model_data: str | None = None, dataset: str | None = None
    ) -> Outcome:
        """The model on the dataset's test part."""
        model_data = self.state.recall("model_data", model_data)
        dataset = self.state.recall("dataset", dataset)
        name = jobs.job_name(self.session, "evaluate")
        bucket = self.stacks.output("data-lake", "ModelBucketName")
        evaluation = f"s3://{bucket}/{PREFIXES.evaluations}/{name}"
        request = jobs.processing_request(
            name=name,
            code=self.stacks.output("training", "EvaluateCodeUri"),
            arguments=[],
            inputs={
                "model": (model_data, "/opt/ml/processing/model"),
                "test": (f"{dataset.rstrip('/')}/test/", "/opt/ml/processing/test"),
            },
            outputs={"evaluation": (evaluation, "/opt/ml/processing/evaluation")},
            **self._processing(),
        )
        jobs.run_processing(self.session, request, progress)
        report = self._read_json(f"{evaluation}/evaluation.json")
        self.state.remember(evaluation=f"{evaluation}/evaluation.json")
        auc = report["binary_classification_metrics"]["auc"]
        baseline = report["heuristic_baseline_metrics"]["auc"]
        return Outcome(
            [
                f"AUC {auc['value']:.4f} ± {auc['standard_deviation']:.4f}, "
                f"by the hour alone {baseline['value']:.4f}, on {report['rows']:,} flights",
                f"{evaluation}/evaluation.json",
            ],
            {"evaluation": report},
        )

    def deploy(self, progress: Progress, model_data: str | None = None) -> Outcome:
        """The model behind the endpoint, by CloudFormation."""
        model_data = self.state.recall("model_data", model_data)
        self._require_object(model_data)
        started = time.time()
        try:
            self.stacks.deploy(["serving"], progress, {"ModelDataUrl": model_data})
        except JobFailed as error:
            endpoint = self.session.settings.endpoint
            error.log = LogPlace(f"/aws/sagemaker/Endpoints/{endpoint}", "AllTraffic/")
            error.sagestack_logs = self.session.sagestack_logs("endpoint", endpoint)
            error.tail += jobs.last_lines(self.session, error.log, since=started)
            raise
        endpoint = self.stacks.output("serving", "EndpointName")
        self.state.remember(endpoint=endpoint, model_data=model_data)
        status = self.session.client("sagemaker").describe_endpoint(EndpointName=endpoint)
        return Outcome([f"{endpoint} is {status['EndpointStatus']}", model_data])

    def _processing(self) -> dict[str, Any]:
        return {
            "image": self.stacks.output("training", "SklearnImageUri"),
            "role": self.stacks.output("training", "ProcessingRoleArn"),
            "session": self.session,
            "key_arn": self.stacks.key_arn(),
        }

    def read(self, uri: str) -> bytes:
        """An object's content by s3:// URI. NotYet when it is not there."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            body = self.session.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
        except ClientError as error:
            raise _missing(uri, error) from error
        content: bytes = body.read()
        return content

    def _read_json(self, uri: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.read(uri))
        return value

    def _require_object(self, uri: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            self.session.client("s3").head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise _missing(uri, error) from error


def _missing(uri: str, error: ClientError) -> LevelZeroError:
    code = error.response["Error"]["Code"]
    if code in ("404", "NoSuchKey", "NoSuchBucket"):
        return NotYet(f"{uri} is not there (LocalStack forgets S3 when it ends)", "run")
    return LevelZeroError(f"cannot read {uri}: {error}")
