"""A bucket as this platform wants every bucket: encrypted, versioned, private, TLS only, logged."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import BucketRole, Settings


class SecureBucket(s3.Bucket):
    """One of the lake's buckets.

    Events go to EventBridge. That is set on the L1 resource: the L2's `event_bridge_enabled` and
    `auto_delete_objects` are custom resources run by a Lambda function, which neither a machine
    without Docker nor this platform wants.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        role: BucketRole,
        key: kms.IKey | None = None,
        logs_to: s3.IBucket | None = None,
    ) -> None:
        super().__init__(
            scope,
            id_,
            bucket_name=settings.bucket_name(role, Aws.ACCOUNT_ID),
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            removal_policy=RemovalPolicy.RETAIN if settings.keep_data else RemovalPolicy.DESTROY,
            server_access_logs_bucket=logs_to,
            server_access_logs_prefix=f"{role}/" if logs_to else None,
        )
        self.add_lifecycle_rule(
            id="superseded",
            noncurrent_version_expiration=Duration.days(settings.noncurrent_retention_days),
            abort_incomplete_multipart_upload_after=Duration.days(7),
            expired_object_delete_marker=True,
        )
        resource = self.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )
