"""Everything in which environments differ: one typed, frozen object per environment.

The only reader of CDK context (`env`). Names are made here and nowhere else, without random parts,
so that stacks can name each other's resources instead of importing them, and deploy in parallel.
Imports nothing of the CDK: `mlops` reads settings too, and starts in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Stage = Literal["local", "dev", "prod"]
BucketRole = Literal["raw", "curated", "model", "logs"]

PROJECT = "sagestack"

# AWS's accounts for the scikit-learn image; a unit test compares them with the SageMaker SDK.
SKLEARN_ACCOUNTS = {
    "ap-northeast-1": "354813040037",
    "eu-central-1": "492215442770",
    "eu-west-1": "141502667606",
    "us-east-1": "683313688378",
    "us-east-2": "257758044811",
    "us-west-2": "246618743249",
}


class ContextSource(Protocol):
    """What settings need of a construct node."""

    def try_get_context(self, key: str) -> Any:
        """The value of a context key, or None."""


class SettingsError(ValueError):
    """A setting has a value that cannot work."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one environment. Retentions are days, timeouts minutes, capture percent."""

    stage: Stage
    region: str = "us-east-1"
    owner: str = "ml-platform"
    cost_center: str = "ml-1000"
    data_class: str = "public"

    keep_data: bool
    """Buckets and keys survive the deletion of their stack."""
    kms: bool
    """Encrypt with a key of our own instead of S3's, and give Glue a security configuration."""

    raw_retention_days: int
    quarantine_retention_days: int = 90
    noncurrent_retention_days: int = 30
    log_retention_days: int = 90

    glue_capacity: float = 1.0
    glue_timeout_minutes: int = 30
    max_rejected: float = 0.02
    """Largest share of bad rows in a raw table before the ETL job refuses to go on."""

    processing_instance: str = "ml.m5.large"
    training_instance: str = "ml.m5.large"
    endpoint_instance: str = "ml.m5.large"
    endpoint_instances: int = 1
    job_timeout_minutes: int = 60
    volume_gb: int = 30
    capture_percent: int = 100
    """Share of the endpoint's traffic written to S3; 0 turns data capture off."""
    sklearn_version: str = "1.9-0"

    def __post_init__(self) -> None:
        """SettingsError names the setting, the value and what is allowed."""
        ranges: dict[str, tuple[float, float]] = {
            "raw_retention_days": (1, 3650),
            "quarantine_retention_days": (1, 3650),
            "noncurrent_retention_days": (1, 3650),
            "log_retention_days": (1, 3650),
            "glue_timeout_minutes": (1, 2880),
            "max_rejected": (0, 1),
            "endpoint_instances": (1, 20),
            "job_timeout_minutes": (1, 1440),
            "volume_gb": (1, 16384),
            "capture_percent": (0, 100),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(f"{name} is {value}, must be between {low} and {high}")
        if self.glue_capacity not in (0.0625, 1.0):
            raise SettingsError(f"glue_capacity is {self.glue_capacity}, must be 0.0625 or 1.0")
        if self.region not in SKLEARN_ACCOUNTS:
            known = ", ".join(sorted(SKLEARN_ACCOUNTS))
            raise SettingsError(f"region is {self.region}, must be one of {known}")

    @staticmethod
    def of(stage: str) -> Settings:
        """The settings of an environment by name. SettingsError lists the names there are."""
        if stage not in ENVIRONMENTS:
            known = ", ".join(ENVIRONMENTS)
            raise SettingsError(f"unknown environment {stage!r}, must be one of {known}")
        return ENVIRONMENTS[stage]

    @staticmethod
    def from_context(node: ContextSource) -> Settings:
        """The environment named by the context key `env`, `local` when there is none."""
        return Settings.of(node.try_get_context("env") or "local")

    @property
    def prefix(self) -> str:
        """What every name of this environment starts with."""
        return f"{PROJECT}-{self.stage}"

    def stack_name(self, concern: str) -> str:
        """`sagestack-local-data-lake` and so on."""
        return f"{self.prefix}-{concern}"

    def bucket_name(self, role: BucketRole, account: str) -> str:
        """Unique in the world because the account is part of it."""
        return f"{self.prefix}-{role}-{account}-{self.region}"

    @property
    def glue_database(self) -> str:
        """Catalog names may not hold hyphens if SQL is to read them unquoted."""
        return f"{PROJECT}_{self.stage}"

    @property
    def glue_job(self) -> str:
        """The ETL job."""
        return f"{self.prefix}-flights-etl"

    @property
    def endpoint(self) -> str:
        """The endpoint keeps its name while models and configurations behind it are replaced."""
        return f"{self.prefix}-flight-delay"

    @property
    def sklearn_image(self) -> str:
        """AWS's scikit-learn image, for training, processing and serving."""
        host = f"{SKLEARN_ACCOUNTS[self.region]}.dkr.ecr.{self.region}.amazonaws.com"
        return f"{host}/sagemaker-scikit-learn:{self.sklearn_version}-cpu-py3"

    @property
    def tags(self) -> dict[str, str]:
        """On every resource that can carry tags."""
        return {
            "Project": PROJECT,
            "Stage": self.stage,
            "Owner": self.owner,
            "CostCenter": self.cost_center,
            "DataClass": self.data_class,
        }


@dataclass(frozen=True)
class Prefixes:
    """Where in the buckets things lie. A trailing slash is added where it is needed."""

    raw: str = "raw"
    curated: str = "flights"
    quarantine: str = "quarantine/flights"
    datasets: str = "datasets"
    models: str = "models"
    evaluations: str = "evaluations"
    captured: str = "captured"


PREFIXES = Prefixes()
GLUE_TABLE = "flights"

ENVIRONMENTS: dict[str, Settings] = {
    "local": Settings(stage="local", keep_data=False, kms=False, raw_retention_days=30),
    "dev": Settings(stage="dev", keep_data=False, kms=True, raw_retention_days=30),
    "prod": Settings(
        stage="prod",
        keep_data=True,
        kms=True,
        raw_retention_days=400,
        log_retention_days=400,
        endpoint_instances=2,
        capture_percent=20,
    ),
}
