"""Training: what SageMaker jobs need to split data, fit a model and measure it.

Owns the processing and the training role, the jobs' code, and the policy of whoever starts jobs.
No job is defined here: at level 0 a person starts them (`mlops`). Uses the curated and model
buckets by name.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.code import ProcessingCode, TrainingCode
from infra.constructs.job_role import JobRole, flatten
from infra.guardrails import acknowledge
from infra.settings import PREFIXES, SKLEARN_ACCOUNTS, Settings


class TrainingStack(Stack):
    """Curated → datasets → models and evaluations."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        key: kms.IKey | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, description="sagestack: training", **kwargs)
        self._settings = settings
        self._key = key

        self._split = ProcessingCode(self, "SplitCode", folder="processing/split")
        self._evaluate = ProcessingCode(self, "EvaluateCode", folder="processing/evaluate")
        self._train = TrainingCode(
            self, "TrainingCode", folders=("training/delay_model", "inference/delay_model")
        )

        self.processing_role = self._processing_role()
        self.training_role = self._training_role()
        launcher = self._launcher()

        CfnOutput(self, "ProcessingRoleArn", value=self.processing_role.role_arn)
        CfnOutput(self, "TrainingRoleArn", value=self.training_role.role_arn)
        CfnOutput(self, "LauncherPolicyArn", value=launcher.managed_policy_arn)
        CfnOutput(self, "SplitCodeUri", value=self._split.s3_object_url)
        CfnOutput(self, "EvaluateCodeUri", value=self._evaluate.s3_object_url)
        CfnOutput(self, "TrainingCodeUri", value=self._train.s3_object_url)
        CfnOutput(self, "SklearnImageUri", value=settings.sklearn_image)

    def _role(self, id_: str, description: str, log_group: str) -> JobRole:
        role = JobRole(
            self, id_, service="sagemaker", description=description, settings=self._settings
        )
        role.use_key(self._key, volumes=True)
        role.write_logs(log_group)
        role.pull_image(SKLEARN_ACCOUNTS[self._settings.region], "sagemaker-scikit-learn")
        return role

    def _processing_role(self) -> JobRole:
        role = self._role(
            "ProcessingRole", "Splits data and measures models", "/aws/sagemaker/ProcessingJobs"
        )
        role.read("curated", PREFIXES.curated, PREFIXES.datasets)
        role.write("curated", PREFIXES.datasets)
        role.read("model", PREFIXES.models)
        role.write("model", PREFIXES.evaluations)
        role.read_code(self._split, self._evaluate)
        role.put_metrics("/aws/sagemaker/ProcessingJobs")
        return role

    def _training_role(self) -> JobRole:
        role = self._role("TrainingRole", "Fits models", "/aws/sagemaker/TrainingJobs")
        role.read("curated", PREFIXES.datasets)
        role.write("model", PREFIXES.models)
        role.read_code(self._train)
        role.put_metrics("/aws/sagemaker/TrainingJobs")
        return role

    def _launcher(self) -> iam.ManagedPolicy:
        """For people who start jobs by hand: this platform's jobs, under its two roles only."""
        jobs = [
            f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{kind}/"
            f"{self._settings.prefix}-*"
            for kind in ("processing-job", "training-job")
        ]
        policy = iam.ManagedPolicy(
            self,
            "Launcher",
            description="Start and watch this platform's SageMaker jobs",
            statements=[
                iam.PolicyStatement(
                    actions=[
                        f"sagemaker:{verb}{kind}Job"
                        for kind in ("Processing", "Training")
                        for verb in ("Create", "Describe", "Stop")
                    ]
                    + ["sagemaker:AddTags"],
                    resources=jobs,
                ),
                iam.PolicyStatement(
                    actions=["iam:PassRole"],
                    resources=[self.processing_role.role_arn, self.training_role.role_arn],
                    conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
                ),
            ],
        )
        for job in jobs:
            finding = f"IAM5[Resource::{flatten(self.resolve(job))}]"
            acknowledge(policy, finding, "every run has a name of its own below the prefix")
        return policy
