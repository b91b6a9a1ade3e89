"""Data lake: where every other stack reads from and writes to.

Owns the raw, curated, model and log buckets, and the encryption key where the environment has one.
Depends on nothing.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.secure_bucket import SecureBucket
from infra.settings import PREFIXES, Settings


class DataLakeStack(Stack):
    """Buckets raw → curated → model, and logs for the access to all three."""

    def __init__(self, scope: Construct, id_: str, *, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, id_, description="sagestack: data lake", **kwargs)
        self.key = self._key(settings) if settings.kms else None

        # S3 cannot deliver access logs to a bucket with a key of our own.
        self.logs = SecureBucket(self, "Logs", settings=settings, role="logs")
        self.raw = SecureBucket(
            self, "Raw", settings=settings, role="raw", key=self.key, logs_to=self.logs
        )
        self.curated = SecureBucket(
            self, "Curated", settings=settings, role="curated", key=self.key, logs_to=self.logs
        )
        self.model = SecureBucket(
            self, "Model", settings=settings, role="model", key=self.key, logs_to=self.logs
        )

        # Raw files can be fetched again from their source; curated data and models can not.
        self.raw.add_lifecycle_rule(id="raw", expiration=Duration.days(settings.raw_retention_days))
        self.curated.add_lifecycle_rule(
            id="quarantine",
            prefix=f"{PREFIXES.quarantine}/",
            expiration=Duration.days(settings.quarantine_retention_days),
        )
        self.logs.add_lifecycle_rule(
            id="logs", expiration=Duration.days(settings.log_retention_days)
        )

        CfnOutput(self, "RawBucketName", value=self.raw.bucket_name)
        CfnOutput(self, "CuratedBucketName", value=self.curated.bucket_name)
        CfnOutput(self, "ModelBucketName", value=self.model.bucket_name)
        CfnOutput(self, "LogBucketName", value=self.logs.bucket_name)
        if self.key:
            CfnOutput(self, "DataKeyArn", value=self.key.key_arn)

    def _key(self, settings: Settings) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            alias=f"alias/{settings.prefix}-data",
            description="Encrypts the data lake and what jobs write to it",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN if settings.keep_data else RemovalPolicy.DESTROY,
        )
        # Glue's logs are encrypted with it too, and CloudWatch Logs asks the key's own policy.
        groups = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:/aws-glue/*"
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")],
                actions=[
                    "kms:Decrypt",
                    "kms:DescribeKey",
                    "kms:Encrypt",
                    "kms:GenerateDataKey",
                    "kms:GenerateDataKeyWithoutPlaintext",
                    "kms:ReEncryptFrom",
                    "kms:ReEncryptTo",
                ],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
            )
        )
        return key
