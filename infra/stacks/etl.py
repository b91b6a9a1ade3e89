"""ETL: raw CSV to a curated table in the catalog.

Owns the Glue database, the Python-shell job with its script, and the job's role. Uses the raw and
curated buckets by name.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_glue as glue
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.code import GlueScript
from infra.constructs.job_role import JobRole
from infra.constructs.lake import Lake
from infra.guardrails import acknowledge
from infra.settings import GLUE_TABLE, PREFIXES, Settings


class EtlStack(Stack):
    """Raw → curated, and what is wrong with a row → quarantine."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        key: kms.IKey | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, description="sagestack: ETL", **kwargs)
        self._settings = settings
        self._lake = Lake(self, settings)
        self._script = GlueScript(self, "Script", folder="processing/flights_etl")

        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=self.account,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=settings.glue_database,
                description="Flights from New York with weather and planes",
            ),
        )
        job = self._job(role=self._role(key), encryption=self._encryption(key))
        job.add_resource_dependency(database)

        CfnOutput(self, "GlueJobName", value=job.ref)
        CfnOutput(self, "GlueDatabaseName", value=database.ref)
        CfnOutput(self, "GlueTableName", value=GLUE_TABLE)
        CfnOutput(self, "GlueScriptUri", value=self._script.s3_object_url)

    def _role(self, key: kms.IKey | None) -> JobRole:
        role = JobRole(
            self,
            "JobRole",
            service="glue",
            description="Runs the flights ETL",
            settings=self._settings,
        )
        role.read("raw", PREFIXES.raw)
        role.read("curated", PREFIXES.curated)
        # A month that is run again replaces its partition.
        role.write("curated", PREFIXES.curated, PREFIXES.quarantine, replace=True)
        role.read_code(self._script)
        role.use_key(key)
        role.write_logs("/aws-glue/python-jobs/*", encrypted=key is not None)
        role.allow(
            [
                "glue:GetDatabase",
                "glue:GetTable",
                "glue:CreateTable",
                "glue:UpdateTable",
                "glue:GetPartitions",
                "glue:BatchCreatePartition",
                "glue:BatchDeletePartition",
            ],
            [
                self._glue_arn("catalog"),
                self._glue_arn(f"database/{self._settings.glue_database}"),
                self._glue_arn(f"table/{self._settings.glue_database}/{GLUE_TABLE}"),
            ],
            why="the exact table, no more",
        )
        return role

    def _job(
        self, *, role: JobRole, encryption: glue.CfnSecurityConfiguration | None
    ) -> glue.CfnJob:
        settings = self._settings
        job = glue.CfnJob(
            self,
            "Job",
            name=settings.glue_job,
            description="Cleans, joins and labels raw flights",
            role=role.role_arn,
            glue_version="3.0",
            command=glue.CfnJob.JobCommandProperty(
                name="pythonshell",
                python_version="3.9",
                script_location=self._script.s3_object_url,
            ),
            max_capacity=settings.glue_capacity,
            max_retries=0,
            timeout=settings.glue_timeout_minutes,
            execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
            security_configuration=encryption.ref if encryption else None,
            default_arguments={
                "library-set": "analytics",
                "--raw_bucket": self._lake.name("raw"),
                "--raw_prefix": PREFIXES.raw,
                "--curated_bucket": self._lake.name("curated"),
                "--curated_prefix": PREFIXES.curated,
                "--quarantine_prefix": PREFIXES.quarantine,
                "--database": settings.glue_database,
                "--table": GLUE_TABLE,
                "--max_rejected": str(settings.max_rejected),
            },
        )
        if not encryption:
            reason = "this environment encrypts with S3's own keys, chosen by the setting `kms`"
            acknowledge(job, "GL1", reason)
            acknowledge(job, "GL3", reason)
        return job

    def _encryption(self, key: kms.IKey | None) -> glue.CfnSecurityConfiguration | None:
        if key is None:
            return None
        configuration = glue.CfnSecurityConfiguration
        return configuration(
            self,
            "Encryption",
            name=f"{self._settings.prefix}-etl",
            encryption_configuration=configuration.EncryptionConfigurationProperty(
                s3_encryptions=[
                    configuration.S3EncryptionProperty(
                        kms_key_arn=key.key_arn, s3_encryption_mode="SSE-KMS"
                    )
                ],
                cloud_watch_encryption=configuration.CloudWatchEncryptionProperty(
                    cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=key.key_arn
                ),
                job_bookmarks_encryption=configuration.JobBookmarksEncryptionProperty(
                    job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=key.key_arn
                ),
            ),
        )

    def _glue_arn(self, resource: str) -> str:
        return f"arn:{self.partition}:glue:{self.region}:{self.account}:{resource}"
