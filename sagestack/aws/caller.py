"""Who makes a call: the account and region every record and ARN belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    account: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """`arn("sagemaker", "training-job/x")` in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def resource_of(arn: str) -> str:
    """The part of an ARN behind the account: `training-job/x`."""
    return arn.split(":", 5)[5]
