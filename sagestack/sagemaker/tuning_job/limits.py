"""Limits: when a tuning job ends, and when its strategy ends a trial."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.sagemaker.tuning_job.definition import Definition
from sagestack.sagemaker.tuning_job.ranges import combinations

EPOCHS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
"""Static hyperparameters that tell MaxResource. Source: HyperbandStrategyConfig."""
MOST_RESOURCE = 20_000


@dataclass(frozen=True)
class Limits:
    """None where a limit is not set."""

    parallel: int
    jobs: int | None = None
    seconds: int | None = None
    target: float | None = None
    not_improving: int | None = None
    on_convergence: bool = False

    @property
    def end(self) -> bool:
        """Whether anything ends the tuning job."""
        return self.on_convergence or any(
            limit is not None
            for limit in (self.jobs, self.seconds, self.target, self.not_improving)
        )

    @classmethod
    def of(cls, config: dict[str, Any], definitions: Iterable[Definition]) -> Limits:
        given = config["ResourceLimits"]
        criteria = config.get("TuningJobCompletionCriteria", {})
        stagnation = criteria.get("BestObjectiveNotImproving", {})
        convergence = criteria.get("ConvergenceDetected", {})
        jobs = given.get("MaxNumberOfTrainingJobs")
        if config["Strategy"] == "Grid":
            jobs = int(sum(combinations(definition.ranges) for definition in definitions))
        return cls(
            parallel=given["MaxParallelTrainingJobs"],
            jobs=jobs,
            seconds=given.get("MaxRuntimeInSeconds"),
            target=criteria.get("TargetObjectiveMetricValue"),
            not_improving=stagnation.get("MaxNumberOfTrainingJobsNotImproving"),
            on_convergence=convergence.get("CompleteOnConvergence") == "Enabled",
        )


@dataclass(frozen=True)
class Hyperband:
    """Resources, such as epochs, that a trial may use: values of the objective it printed."""

    least: int
    most: int

    @classmethod
    def of(cls, config: dict[str, Any], definition: Definition) -> Hyperband:
        """Raises ValidationException where MaxResource is neither given nor can be told."""
        given = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
        least = given.get("MinResource", 1)
        most = given.get("MaxResource") or _epochs(definition.static)
        if most is None:
            raise ValidationException(
                "MaxResource is required in HyperbandStrategyConfig, as it can't be inferred from "
                f"the static hyperparameters {', '.join(EPOCHS)}."
            )
        if not least <= most <= MOST_RESOURCE:
            raise ValidationException(
                f"MaxResource, [{most}], must be between MinResource, [{least}], and "
                f"{MOST_RESOURCE}."
            )
        return cls(least, most)


def _epochs(static: dict[str, str]) -> int | None:
    for name in EPOCHS:
        # SDK v2 sends hyperparameters as JSON.
        text = static.get(name, "").strip('"')
        if text.isdecimal():
            return int(text)
    return None
