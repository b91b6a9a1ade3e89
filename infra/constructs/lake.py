"""The data lake as other stacks see it: names and ARNs, without importing anything.

Bucket names are made by the settings, so a stack that only grants access to a bucket need not wait
for the stack that makes it. The one thing that has to be handed over is the encryption key.
"""

from __future__ import annotations

from aws_cdk import Aws, Stack
from constructs import Construct

from infra.settings import BucketRole, Settings


class Lake:
    """Names and ARNs of the lake's buckets as seen from one stack."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        self._partition = Stack.of(scope).partition
        self._settings = settings

    def name(self, role: BucketRole) -> str:
        """The bucket's name."""
        return self._settings.bucket_name(role, Aws.ACCOUNT_ID)

    def arn(self, role: BucketRole) -> str:
        """The bucket's ARN."""
        return f"arn:{self._partition}:s3:::{self.name(role)}"

    def uri(self, role: BucketRole, prefix: str) -> str:
        """`s3://bucket/prefix`, without a trailing slash."""
        return f"s3://{self.name(role)}/{prefix}"
