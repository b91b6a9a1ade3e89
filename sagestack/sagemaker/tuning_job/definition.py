"""Definition: what one TrainingJobDefinition of a tuning job searches and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sagestack.engine.s3_uri import join_s3_uri
from sagestack.sagemaker.tuning_job.ranges import Range, parse_ranges

OBJECTIVE_METRIC = "_tuning_objective_metric"
"""The hyperparameter that tells an algorithm which metric is tuned. AWS adds it."""
PASSED_ON = (
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "StoppingCondition",
    "VpcConfig",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "RetryStrategy",
    "Environment",
)
"""Members that a trial's CreateTrainingJob has in common with the definition."""


@dataclass(frozen=True)
class Definition:
    name: str | None
    metric: str
    maximize: bool
    ranges: tuple[Range, ...]
    given: dict[str, Any]

    @property
    def static(self) -> dict[str, str]:
        """The hyperparameters that every trial has."""
        return {**self.given.get("StaticHyperParameters", {}), OBJECTIVE_METRIC: self.metric}

    def training_request(self, name: str, tuned: Mapping[str, str]) -> dict[str, Any]:
        """The CreateTrainingJob request of a trial."""
        return {
            "TrainingJobName": name,
            "HyperParameters": {**self.static, **tuned},
            "AlgorithmSpecification": self.given["AlgorithmSpecification"],
            "ResourceConfig": resources(self.given),
            **self._checkpoints(name),
            **{member: self.given[member] for member in PASSED_ON if member in self.given},
        }

    def _checkpoints(self, name: str) -> dict[str, Any]:
        """Below a key of the trial's own: it must not begin where another left off."""
        if "CheckpointConfig" not in self.given:
            return {}
        config = self.given["CheckpointConfig"]
        return {"CheckpointConfig": config | {"S3Uri": join_s3_uri(config["S3Uri"], name)}}


def definitions_given(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """TrainingJobDefinition or TrainingJobDefinitions, as a list."""
    if "TrainingJobDefinition" in request:
        return [request["TrainingJobDefinition"]]
    return list(request.get("TrainingJobDefinitions", ()))


def definitions_of(request: Mapping[str, Any]) -> Iterator[Definition]:
    """The definitions of a request that was checked, or of a tuning job's document.

    A definition's own objective and ranges go before those of the tuning job. Raises
    ValidationException for ranges that can't be searched.
    """
    config = request["HyperParameterTuningJobConfig"]
    for given in definitions_given(request):
        objective = given.get("TuningObjective") or config["HyperParameterTuningJobObjective"]
        ranges = given.get("HyperParameterRanges") or config.get("ParameterRanges") or {}
        yield Definition(
            name=given.get("DefinitionName"),
            metric=objective["MetricName"],
            maximize=objective["Type"] == "Maximize",
            ranges=parse_ranges(ranges),
            given=given,
        )


def resources(given: Mapping[str, Any]) -> dict[str, Any]:
    """ResourceConfig, or what HyperParameterTuningResourceConfig prefers: its first choice
    is always free here."""
    if "HyperParameterTuningResourceConfig" not in given:
        config: dict[str, Any] = given["ResourceConfig"]
        return config
    flexible = dict(given["HyperParameterTuningResourceConfig"])
    flexible.pop("AllocationStrategy", None)
    first, *_ = flexible.pop("InstanceConfigs", None) or [{}]
    return {**flexible, **first}
