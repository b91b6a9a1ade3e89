"""Logs of jobs and endpoints, read from CloudWatch Logs for the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

GROUPS = {
    "training-job": "/aws/sagemaker/TrainingJobs",
    "processing-job": "/aws/sagemaker/ProcessingJobs",
    "transform-job": "/aws/sagemaker/TransformJobs",
    "endpoint": "/aws/sagemaker/Endpoints/{name}",
    "glue-job-run": "/aws-glue/python-jobs/output",
}
ENDED = ("Completed", "Failed", "Stopped")


def follow_logs(
    endpoint_url: str, region: str, kind: str, name: str, *, follow: bool
) -> Iterator[str]:
    """Lines of every stream, in order of arrival; with `follow`, until the job has ended."""
    session = boto3.session.Session("test", "test", region_name=region)
    logs = session.client("logs", endpoint_url=endpoint_url)
    sagemaker = session.client("sagemaker", endpoint_url=endpoint_url)
    group = GROUPS[kind].format(name=name)
    prefix = {"endpoint": "", "glue-job-run": name}.get(kind, f"{name}/")
    tokens: dict[str, str] = {}
    while True:
        ended = not follow or _ended(sagemaker, kind, name)
        for stream in _streams(logs, group, prefix):
            yield from _new_events(logs, group, stream, tokens)
        if ended:
            return
        time.sleep(0.5)


def _streams(logs: Any, group: str, prefix: str) -> list[str]:
    arguments = {"logStreamNamePrefix": prefix} if prefix else {}
    try:
        answer = logs.describe_log_streams(logGroupName=group, **arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return []
        raise
    return [stream["logStreamName"] for stream in answer["logStreams"]]


def _new_events(logs: Any, group: str, stream: str, tokens: dict[str, str]) -> Iterator[str]:
    while True:
        arguments = {"nextToken": tokens[stream]} if stream in tokens else {}
        page = logs.get_log_events(
            logGroupName=group, logStreamName=stream, startFromHead=True, **arguments
        )
        for event in page["events"]:
            yield event["message"]
        if not page["events"] or page["nextForwardToken"] == tokens.get(stream):
            return
        tokens[stream] = page["nextForwardToken"]


def _ended(sagemaker: Any, kind: str, name: str) -> bool:
    if kind == "training-job":
        answer = sagemaker.describe_training_job(TrainingJobName=name)
        return answer["TrainingJobStatus"] in ENDED
    if kind == "processing-job":
        answer = sagemaker.describe_processing_job(ProcessingJobName=name)
        return answer["ProcessingJobStatus"] in ENDED
    if kind == "transform-job":
        answer = sagemaker.describe_transform_job(TransformJobName=name)
        return answer["TransformJobStatus"] in ENDED
    return False
