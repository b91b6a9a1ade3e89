"""An execution role whose every grant says why.

No managed policies and no wildcard actions: a role can do what its job does. A resource that ends
in a wildcard is a cdk-nag finding, acknowledged here with the grant's own reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.code import CodeAsset
from infra.constructs.lake import Lake
from infra.guardrails import acknowledge
from infra.settings import BucketRole, Settings


class JobRole(iam.Role):
    """Assumed by one AWS service, for jobs of this account only."""

    def __init__(
        self, scope: Construct, id_: str, *, service: str, description: str, settings: Settings
    ) -> None:
        same_account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        principal = iam.ServicePrincipal(f"{service}.amazonaws.com", conditions=same_account)
        super().__init__(scope, id_, assumed_by=principal, description=description)
        self._lake = Lake(self, settings)
        self._settings = settings

    def allow(
        self,
        actions: Sequence[str],
        resources: Sequence[str],
        *,
        why: str,
        conditions: Mapping[str, Any] | None = None,
    ) -> None:
        """Grant the actions on the resources; `why` is the reason for any wildcard in them."""
        self.add_to_policy(
            iam.PolicyStatement(
                actions=list(actions), resources=list(resources), conditions=conditions
            )
        )
        for resource in resources:
            name = flatten(Stack.of(self).resolve(resource))
            if "*" in name:
                acknowledge(self, f"IAM5[Resource::{name}]", why)

    def read(self, bucket: BucketRole, *prefixes: str) -> None:
        """Read objects below the prefixes."""
        arn = self._lake.arn(bucket)
        self.allow(
            ["s3:GetObject"],
            [f"{arn}/{prefix}/*" for prefix in prefixes],
            why="the job reads every object below its own input prefix",
        )
        self._list(arn, prefixes)

    def write(self, bucket: BucketRole, *prefixes: str, replace: bool = False) -> None:
        """Write objects below the prefixes; `replace` lets the job delete what it replaces."""
        arn = self._lake.arn(bucket)
        actions = ["s3:PutObject", "s3:AbortMultipartUpload"]
        self.allow(
            [*actions, "s3:DeleteObject"] if replace else actions,
            [f"{arn}/{prefix}/*" for prefix in prefixes],
            why="the job names the objects below its own output prefix",
        )
        self._list(arn, prefixes)

    def read_code(self, *assets: CodeAsset) -> None:
        """Read these assets and no others."""
        partition = Stack.of(self).partition
        for asset in assets:
            arn = f"arn:{partition}:s3:::{asset.s3_bucket_name}"
            self.allow(
                ["s3:GetObject"], [f"{arn}/{asset.s3_object_key}"], why="the exact object, no more"
            )
            self._list(arn, [asset.s3_object_key], whole=True)

    def use_key(self, key: kms.IKey | None, *, volumes: bool = False) -> None:
        """Encrypt and decrypt with the lake's key, if it has one; `volumes` adds disks."""
        if key is None:
            return
        self.allow(
            ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
            [key.key_arn],
            why="the exact key, no more",
        )
        if volumes:
            self.allow(
                ["kms:CreateGrant"],
                [key.key_arn],
                why="the exact key, no more",
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            )

    def write_logs(self, group: str, *, encrypted: bool = False) -> None:
        """Write to the log group (or groups, when it ends in `*`) that the service uses."""
        stack = Stack.of(self)
        arn = f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:{group}"
        actions = ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"]
        if encrypted:
            actions.append("AssociateKmsKey")
        self.allow(
            [f"logs:{action}" for action in actions],
            [f"{arn}:*"],
            why="the service names a log stream after each job and host",
        )

    def pull_image(self, account: str, repository: str) -> None:
        """Pull AWS's image; the log-in to the registry has no resource of its own."""
        stack = Stack.of(self)
        arn = f"arn:{stack.partition}:ecr:{stack.region}:{account}:repository/{repository}"
        self.allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [arn],
            why="the exact repository, no more",
        )
        self.allow(
            ["ecr:GetAuthorizationToken"], ["*"], why="IAM knows no resource for this action"
        )

    def put_metrics(self, namespace: str) -> None:
        """Publish metrics in one namespace; IAM has no resource for metrics, only a condition."""
        self.allow(
            ["cloudwatch:PutMetricData"],
            ["*"],
            why="IAM knows no resource for metrics; the namespace is fixed by a condition",
            conditions={"StringEquals": {"cloudwatch:namespace": namespace}},
        )

    def _list(self, arn: str, prefixes: Sequence[str], *, whole: bool = False) -> None:
        names = list(prefixes) if whole else [f"{prefix}/*" for prefix in prefixes]
        patterns = names if whole else [*prefixes, *names]
        self.allow(
            ["s3:ListBucket"],
            [arn],
            why="listing is limited to the prefix by a condition",
            conditions={"StringLike": {"s3:prefix": patterns}},
        )
        self.allow(["s3:GetBucketLocation"], [arn], why="clients ask for the region first")


def flatten(value: Any) -> str:
    """A resolved CloudFormation value as cdk-nag writes it: `arn:aws:s3:::b-<AWS::AccountId>`."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"<{value['Ref']}>"
    if "Fn::GetAtt" in value:
        return f"<{'.'.join(value['Fn::GetAtt'])}>"
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator.join(flatten(part) for part in parts))
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"]).replace("${", "<").replace("}", ">")
    raise TypeError(f"cannot write {value!r} as a finding")
