"""Jobs in few words: made of a Python script, waited for, looked into."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from textwrap import dedent
from typing import Any

from sagestack.context import Context
from tests.waiting import wait_until

ACCOUNT = "123456789012"
REGION = "us-east-1"
BUCKET = "lake"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/SageMaker"
ENDED = ("Completed", "Failed", "Stopped")

Members = dict[str, Any]


class Jobs:
    """What both kinds of job share. `kind` is `Training` or `Processing`."""

    kind: str
    numbers = itertools.count(1)

    def __init__(self, context: Context) -> None:
        self.context = context
        session: Any = context.aws
        self.s3, self.logs = session.client("s3"), session.client("logs")
        if BUCKET not in {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}:
            region = context.caller.region
            place = {} if region == REGION else {"LocationConstraint": region}
            self.s3.create_bucket(
                Bucket=BUCKET, **({"CreateBucketConfiguration": place} if place else {})
            )

    def request(self, script: str, **members: Any) -> Members:
        """The Create request of a job that runs `script`, changed by `members`."""
        raise NotImplementedError

    def create(self, script: str, **members: Any) -> str:
        """Create a job; its name."""
        request = self.request(script, **members)
        self.context.call("sagemaker", f"Create{self.kind}Job", request)
        name: str = request[f"{self.kind}JobName"]
        return name

    def run(self, script: str, **members: Any) -> Members:
        """Create a job and wait for its end; what Describe says then."""
        return self.end(self.create(script, **members))

    def answer(self, script: str, **members: Any) -> Any:
        """Run a job that prints JSON in its last line; the JSON."""
        job = self.run(script, **members)
        log = self.log(job[f"{self.kind}JobName"])
        assert self.status(job) == "Completed", (job.get("FailureReason"), log)
        return json.loads(log[-1])

    def describe(self, name: str) -> Members:
        return self.context.call(
            "sagemaker", f"Describe{self.kind}Job", {f"{self.kind}JobName": name}
        )

    def status(self, job: Members) -> str:
        status: str = job[f"{self.kind}JobStatus"]
        return status

    def end(self, name: str, seconds: float = 20) -> Members:
        """What Describe says once the job has ended."""

        def ended() -> Members | None:
            job = self.describe(name)
            return job if self.status(job) in ENDED else None

        job = wait_until(ended, seconds, f"the end of {name}")
        assert job is not None
        return job

    def stop(self, name: str) -> None:
        self.context.call("sagemaker", f"Stop{self.kind}Job", {f"{self.kind}JobName": name})

    def streams(self, name: str) -> list[str]:
        group = f"/aws/sagemaker/{self.kind}Jobs"
        groups = self.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if not groups:
            return []
        answer = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")
        return [stream["logStreamName"] for stream in answer["logStreams"]]

    def log(self, name: str) -> list[str]:
        """The lines that the job has printed up to now."""
        lines: list[str] = []
        for stream in self.streams(name):
            token: dict[str, str] = {}
            while True:
                page = self.logs.get_log_events(
                    logGroupName=f"/aws/sagemaker/{self.kind}Jobs",
                    logStreamName=stream,
                    startFromHead=True,
                    **token,
                )
                if not page["events"]:
                    break
                lines += [event["message"] for event in page["events"]]
                token = {"nextToken": page["nextForwardToken"]}
        return lines

    def wait_for_line(self, name: str, line: str) -> None:
        wait_until(lambda: line in self.log(name), what=f"{line!r} in the log of {name}")

    def put(self, key: str, body: bytes | str = b"content") -> str:
        """Put an object; its URI."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        answer = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", ())]

    def new_name(self) -> str:
        return f"job-{next(self.numbers)}"


class TrainingJobs(Jobs):
    """The script lies in the channel `code`, as the SDK v3 does it."""

    kind = "Training"

    def request(self, script: str, **members: Any) -> Members:
        name = members.get("TrainingJobName") or self.new_name()
        code = self.put(f"code/{name}/script.py", dedent(script))
        request: Members = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/script.py"],
                **members.pop("algorithm", {}),
            },
            "RoleArn": ROLE,
            "InputDataConfig": [channel("code", code), *members.pop("channels", ())],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        return request | members

    def model(self, name: str) -> dict[str, bytes]:
        """The members of the job's model.tar.gz that are files."""
        return unpacked(self.get(f"out/{name}/output/model.tar.gz"))


class ProcessingJobs(Jobs):
    """The script is an input of its own, as both SDKs do it."""

    kind = "Processing"

    def request(self, script: str, **members: Any) -> Members:
        name = members.get("ProcessingJobName") or self.new_name()
        code = self.put(f"code/{name}/script.py", dedent(script))
        request: Members = {
            "ProcessingJobName": name,
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/script.py"],
                **members.pop("application", {}),
            },
            "RoleArn": ROLE,
            "ProcessingInputs": [
                s3_input("code", code, "/opt/ml/processing/input/code"),
                *members.pop("inputs", ()),
            ],
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": "ml.m5.large",
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 1,
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        if outputs := members.pop("outputs", None):
            request["ProcessingOutputConfig"] = {"Outputs": outputs}
        return request | members


def channel(name: str, uri: str, **members: Any) -> Members:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": uri,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **members}


def s3_input(name: str, uri: str, path: str) -> Members:
    source = {
        "S3Uri": uri,
        "LocalPath": path,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"InputName": name, "S3Input": source}


def s3_output(name: str, uri: str, path: str) -> Members:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"},
    }


def unpacked(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            member.name: file.read()
            for member in tar
            if (file := tar.extractfile(member)) is not None
        }
