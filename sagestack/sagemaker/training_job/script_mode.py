"""Script mode: the user's code, brought from S3 before the program starts.

The image's own program would fetch it, which takes the import of boto3 in every job, and an
endpoint, which a job of a test process has not. Network isolation keeps the code away, as on
AWS, where the SDK sends it in a channel instead.
"""

from __future__ import annotations

import json
from pathlib import Path

from sagestack.aws.document import Document
from sagestack.engine.host import AwsSession, NoSuchBucket, NoSuchKey
from sagestack.engine.s3_uri import parse_s3_uri

SUBMIT_DIRECTORY = "sagemaker_submit_directory"
ARCHIVE = Path("input/sourcedir.tar.gz")
"""Below /opt/ml; container/train.py looks there."""


def bring_code(aws: AwsSession, document: Document, directory: Path) -> None:
    """Into /opt/ml of one host. What is not there the program asks S3 for, and its log tells
    how that went."""
    algorithm = document["AlgorithmSpecification"]
    source = submit_directory(document)
    if algorithm.get("ContainerEntrypoint") or document["EnableNetworkIsolation"]:
        return
    if source.startswith("s3://"):
        try:
            aws.download(*parse_s3_uri(source), directory / ARCHIVE)
        except (ValueError, NoSuchBucket, NoSuchKey):
            (directory / ARCHIVE).unlink(missing_ok=True)


def submit_directory(document: Document) -> str:
    """Where the code lies. The SDK v2 sends JSON, v3 plain text."""
    value = document.get("HyperParameters", {}).get(SUBMIT_DIRECTORY) or document.get(
        "Environment", {}
    ).get(SUBMIT_DIRECTORY.upper(), "")
    try:
        return str(json.loads(value))
    except ValueError:
        return str(value)
