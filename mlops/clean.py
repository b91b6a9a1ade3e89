"""Empty the buckets, so that the stacks can go.

CloudFormation deletes no bucket with objects in it, and the CDK's way around that is a Lambda
function. Versioned buckets are empty only without old versions and delete markers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from infra.settings import BucketRole, Settings
from mlops.errors import LevelZeroError

BUCKETS: tuple[BucketRole, ...] = ("raw", "curated", "model", "logs")
BATCH = 1000


def empty_buckets(
    s3: Any, settings: Settings, account: str, progress: Callable[[str], None]
) -> int:
    """Delete every version of every object; how many that were.

    LevelZeroError where the settings say that data outlives its stack.
    """
    if settings.keep_data:
        raise LevelZeroError(
            f"the environment {settings.stage} keeps its data, empty its buckets by hand"
        )
    return sum(_empty(s3, settings.bucket_name(role, account), progress) for role in BUCKETS)


def _empty(s3: Any, bucket: str, progress: Callable[[str], None]) -> int:
    deleted = 0
    try:
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": BATCH}
        ):
            found = [
                {"Key": item["Key"], "VersionId": item["VersionId"]}
                for kind in ("Versions", "DeleteMarkers")
                for item in page.get(kind, [])
            ]
            if not found:
                continue
            progress(f"{bucket}: {deleted + len(found)} versions")
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise LevelZeroError(f"cannot delete s3://{bucket}/{first['Key']}: {first['Code']}")
            deleted += len(found)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return deleted
        raise
    return deleted
