"""Policy as code: cdk-nag's AwsSolutions rules, and how a finding is acknowledged.

The rules run at every synth; a finding that nobody acknowledged stops it. An acknowledgement names
one finding on one construct in full (`AwsSolutions::AwsSolutions-IAM5[Resource::...]`) and gives a
reason. Wildcards in IAM resources are acknowledged where they are granted, in
`infra.constructs.job_role`; the rest in the stack that owns the construct.
"""

from __future__ import annotations

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct


def enforce(app: App) -> None:
    """Run the AwsSolutions pack over the app at synth."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding on a construct and what is below it, and say why.

    `finding` is the rule as cdk-nag prints it: `S1`, or `IAM5[Resource::arn:aws:s3:::b/*]`.
    """
    full_id = f"AwsSolutions::AwsSolutions-{finding}"
    Validations.of(construct).acknowledge(Acknowledgment(id=full_id, reason=reason))
