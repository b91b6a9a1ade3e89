"""Tuning jobs in few words: made of a script that prints the objective as `score=…`."""

from __future__ import annotations

import itertools
from textwrap import dedent
from typing import Any

from sagestack.context import Context
from tests.emulator.jobs import BUCKET, ENDED, IMAGE, ROLE, Members, TrainingJobs, channel
from tests.waiting import wait_until

HYPERPARAMETERS = """\
import json
h = json.load(open("/opt/ml/input/config/hyperparameters.json"))
"""


class TuningJobs:
    """A trial's script has its hyperparameters, as texts, in `h`."""

    numbers = itertools.count(1)

    def __init__(self, context: Context) -> None:
        self.context = context
        self.training = TrainingJobs(context)

    def definition(self, script: str, **members: Any) -> Members:
        """A tuning job can't name what its trials run, so `train` of the image does it, in
        script mode: with the code from a channel, as there is no S3 inside a container."""
        number = next(self.numbers)
        code = self.training.put(f"code/{number}/script.py", HYPERPARAMETERS + dedent(script))
        definition: Members = {
            "StaticHyperParameters": {
                "sagemaker_program": "script.py",
                "sagemaker_submit_directory": "/opt/ml/input/data/code",
                **members.pop("static", {}),
            },
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "score", "Regex": r"score=(\S+)"}],
            },
            "RoleArn": ROLE,
            "InputDataConfig": [channel("code", code)],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        return definition | members

    def request(self, script: str = "print('score=1')", **members: Any) -> Members:
        """A CreateHyperParameterTuningJob request.

        `definition` and `limits` change parts; other members in snake case belong to the
        config: `strategy`, `ranges`, `objective`, `early_stopping`, `criteria`, `seed`.
        """
        config: Members = {
            "Strategy": members.pop("strategy", "Random"),
            "HyperParameterTuningJobObjective": {
                "Type": members.pop("objective", "Maximize"),
                "MetricName": "score",
            },
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": 3,
                "MaxParallelTrainingJobs": 2,
                **members.pop("limits", {}),
            },
            "ParameterRanges": members.pop("ranges", None) or floats(x=("0", "1")),
        }
        for name, member in (
            ("early_stopping", "TrainingJobEarlyStoppingType"),
            ("criteria", "TuningJobCompletionCriteria"),
            ("seed", "RandomSeed"),
            ("strategy_config", "StrategyConfig"),
        ):
            if name in members:
                config[member] = members.pop(name)
        request: Members = {
            "HyperParameterTuningJobName": f"tune-{next(self.numbers)}",
            "HyperParameterTuningJobConfig": config,
            "TrainingJobDefinition": self.definition(script, **members.pop("definition", {})),
        }
        return request | members

    def create(self, script: str = "print('score=1')", **members: Any) -> str:
        return self.submit(self.request(script, **members))

    def submit(self, request: Members) -> str:
        """Create a tuning job; its name."""
        self.context.call("sagemaker", "CreateHyperParameterTuningJob", request)
        name: str = request["HyperParameterTuningJobName"]
        return name

    def run(self, script: str = "print('score=1')", **members: Any) -> Members:
        """Create a tuning job and wait for its end; what Describe says then."""
        return self.end(self.create(script, **members))

    def call(self, operation: str, name: str, **members: Any) -> Members:
        request = {"HyperParameterTuningJobName": name, **members}
        return self.context.call("sagemaker", operation, request)

    def describe(self, name: str) -> Members:
        return self.call("DescribeHyperParameterTuningJob", name)

    def end(self, name: str, seconds: float = 30) -> Members:
        """What Describe says once the tuning job has ended."""

        def ended() -> Members | None:
            job = self.describe(name)
            return job if job["HyperParameterTuningJobStatus"] in ENDED else None

        job = wait_until(ended, seconds, f"the end of {name}")
        assert job is not None
        return job

    def trials(self, name: str, **members: Any) -> list[Members]:
        members = {"SortBy": "CreationTime", "MaxResults": 100} | members
        answer = self.call("ListTrainingJobsForHyperParameterTuningJob", name, **members)
        trials: list[Members] = answer["TrainingJobSummaries"]
        return trials

    def tried(self, name: str) -> list[Members]:
        """The hyperparameters of each trial, in the order they were launched."""
        return [trial["TunedHyperParameters"] for trial in self.trials(name)]


def floats(**bounds: tuple[str, ...]) -> Members:
    """Continuous ranges: name=(lowest, highest) or name=(lowest, highest, scale)."""
    return {"ContinuousParameterRanges": [_range(name, *each) for name, each in bounds.items()]}


def integers(**bounds: tuple[str, ...]) -> Members:
    return {"IntegerParameterRanges": [_range(name, *each) for name, each in bounds.items()]}


def categories(**values: list[str]) -> Members:
    return {
        "CategoricalParameterRanges": [
            {"Name": name, "Values": each} for name, each in values.items()
        ]
    }


def _range(name: str, low: str, high: str, scale: str = "Auto") -> Members:
    return {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scale}


def value_of(trial: Members) -> float:
    """The objective of a trial."""
    value: float = trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    return value
