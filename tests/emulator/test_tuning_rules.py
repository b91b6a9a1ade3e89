"""What CreateHyperParameterTuningJob refuses, with which text, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from sagestack.aws.errors import AwsError
from tests.emulator.jobs import Members, channel
from tests.emulator.tuning import TuningJobs, categories, floats, integers


def refusal(tuning: TuningJobs, request: Members) -> AwsError:
    with pytest.raises(AwsError) as error:
        tuning.submit(request)
    names = tuning.context.call("sagemaker", "ListHyperParameterTuningJobs", {})
    assert names["HyperParameterTuningJobSummaries"] == [], "refused, and stored nevertheless"
    return error.value


def config_of(request: Members) -> Members:
    config: Members = request["HyperParameterTuningJobConfig"]
    return config


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"ranges": floats()}, "at least one hyperparameter range to tune"),
        ({"ranges": floats(x=("2", "1"))}, "MinValue of hyperparameter x"),
        (
            {"definition": {"static": {"x": "1"}}},
            "A hyperparameter can't be both static and tuned. Remove from StaticHyperParameters "
            "or from the parameter ranges: x",
        ),
        (
            {"limits": {"MaxParallelTrainingJobs": 4}},
            "MaxParallelTrainingJobs, [4], must be less than or equal to "
            "MaxNumberOfTrainingJobs, [3].",
        ),
        (
            {"ranges": categories(c=["a", "b", "c"]), "limits": {"MaxNumberOfTrainingJobs": 10}},
            "You don't have enough combinations of hyperparameter ranges. The total number of "
            "hyperparameter combinations for the provided ranges [3.0] must be equal or greater "
            "than the value of MaxNumberOfJobs, [10]. Provide additional ranges.",
        ),
        ({"limits": {"MaxNumberOfTrainingJobs": None}}, "MaxNumberOfTrainingJobs is required"),
        ({"strategy": "Grid"}, "Only categorical parameters are supported"),
        (
            {"strategy": "Grid", "ranges": categories(c=["a", "b"])},
            "MaxNumberOfTrainingJobs, [3], must equal the total number of categorical "
            "combinations, [2]",
        ),
        ({"strategy": "Hyperband"}, "MaxResource is required in HyperbandStrategyConfig"),
        (
            {"strategy": "Hyperband", "early_stopping": "Auto"},
            "TrainingJobEarlyStoppingType must be Off to use the Hyperband strategy",
        ),
        (
            {
                "strategy": "Hyperband",
                "strategy_config": {
                    "HyperbandStrategyConfig": {"MinResource": 9, "MaxResource": 3}
                },
            },
            "MaxResource, [3], must be between MinResource, [9], and 20000.",
        ),
        (
            {"strategy_config": {"HyperbandStrategyConfig": {"MaxResource": 3}}},
            "HyperbandStrategyConfig is supported only for the Hyperband strategy",
        ),
        ({"Autotune": {"Mode": "Enabled"}}, "sagestack does not support Autotune"),
        (
            {"definition": {"HyperParameterTuningResourceConfig": {"InstanceType": "ml.m5.large"}}},
            "either ResourceConfig or HyperParameterTuningResourceConfig, and not both",
        ),
    ],
)
def test_request_is_refused(tuning: TuningJobs, members: Members, text: str) -> None:
    request = tuning.request(**members)
    limits = config_of(request)["ResourceLimits"]
    if limits["MaxNumberOfTrainingJobs"] is None:
        del limits["MaxNumberOfTrainingJobs"]
    error = refusal(tuning, request)
    assert error.code == "ValidationException"
    assert text in error.message


def test_objective_needs_a_metric_definition(tuning: TuningJobs) -> None:
    request = tuning.request()
    config_of(request)["HyperParameterTuningJobObjective"]["MetricName"] = "loss"
    assert refusal(tuning, request).message == (
        "A metric is required for this hyperparameter tuning job objective. Provide a metric in "
        "the metric definitions."
    )


def test_what_no_training_job_may_hold_is_refused_at_once(tuning: TuningJobs) -> None:
    request = tuning.request()
    algorithm = request["TrainingJobDefinition"]["AlgorithmSpecification"]
    algorithm["TrainingImage"] = "123456789012.dkr.ecr.us-east-1.amazonaws.com/unknown:1"
    assert "Cannot find the requested image" in refusal(tuning, request).message


def test_input_without_objects_is_refused_as_aws_does(tuning: TuningJobs) -> None:
    for uri in ("s3://lake/no-such-prefix/", "s3://no-such-bucket-here/data"):
        request = tuning.request(definition={"InputDataConfig": [channel("train", uri)]})
        assert refusal(tuning, request).message.startswith(
            f'No S3 objects found under S3 URL "{uri}" given in input data source.'
        )


def test_one_or_several_definitions_are_needed(tuning: TuningJobs) -> None:
    request = tuning.request()
    both = request | {"TrainingJobDefinitions": [request["TrainingJobDefinition"]]}
    neither = {k: v for k, v in request.items() if k != "TrainingJobDefinition"}
    for wrong in (both, neither):
        assert "either TrainingJobDefinition or TrainingJobDefinitions" in (
            refusal(tuning, wrong).message
        )


def several(tuning: TuningJobs, *changes: Members, **config: Any) -> Members:
    request = tuning.request(**config)
    del request["TrainingJobDefinition"]
    del config_of(request)["ParameterRanges"]
    del config_of(request)["HyperParameterTuningJobObjective"]
    request["TrainingJobDefinitions"] = [
        tuning.definition("print('score=1')")
        | {
            "DefinitionName": f"definition-{number}",
            "TuningObjective": {"Type": "Maximize", "MetricName": "score"},
            "HyperParameterRanges": floats(x=("0", "1")),
        }
        | change
        for number, change in enumerate(changes)
    ]
    return request


def test_several_definitions_need_what_tells_them_apart(tuning: TuningJobs) -> None:
    minimize = {"TuningObjective": {"Type": "Minimize", "MetricName": "score"}}
    for changes, text in (
        ([{}, {"DefinitionName": "definition-0"}], "must have a unique DefinitionName"),
        ([{}, minimize], "must be the same in all TrainingJobDefinitions"),
        ([{}, {"HyperParameterRanges": {}}], "You must specify HyperParameterRanges"),
    ):
        assert text in refusal(tuning, several(tuning, *changes)).message


def test_early_stopping_is_for_a_single_definition(tuning: TuningJobs) -> None:
    request = several(tuning, {}, {}, early_stopping="Auto")
    assert "Early stopping is supported only" in refusal(tuning, request).message


def test_shared_ranges_do_not_go_with_several_definitions(tuning: TuningJobs) -> None:
    request = several(tuning, {}, {})
    config_of(request)["ParameterRanges"] = floats(x=("0", "1"))
    assert "ParameterRanges must not be specified with TrainingJobDefinitions" in (
        refusal(tuning, request).message
    )


def test_longer_name_is_refused_by_the_model(tuning: TuningJobs) -> None:
    request = tuning.request(HyperParameterTuningJobName="x" * 33)
    assert "length less than or equal to 32" in refusal(tuning, request).message


def test_resources_that_v2_of_the_sdk_sends_are_those_of_the_trials(tuning: TuningJobs) -> None:
    request = tuning.request()
    definition = request["TrainingJobDefinition"]
    definition["HyperParameterTuningResourceConfig"] = definition.pop("ResourceConfig")
    name = tuning.submit(request)
    job = tuning.end(name)
    trial = tuning.training.describe(job["BestTrainingJob"]["TrainingJobName"])
    wanted = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    assert trial["ResourceConfig"] == wanted
    assert job["TrainingJobDefinition"]["ResourceConfig"] == wanted
    assert job["TrainingJobDefinition"]["HyperParameterTuningResourceConfig"] == wanted


class TestWarmStart:
    @pytest.fixture
    def parent(self, tuning: TuningJobs) -> Members:
        """The request of a tuning job that has ended."""
        request = tuning.request(
            ranges=floats(x=("0", "1")) | categories(c=["a", "b"]),
            limits={"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
        )
        tuning.end(tuning.submit(request))
        return request

    def child(self, parent: Members, kind: str = "TransferLearning", **changes: Any) -> Members:
        named = {"HyperParameterTuningJobName": parent["HyperParameterTuningJobName"]}
        return {
            **parent,
            "HyperParameterTuningJobName": "child",
            "WarmStartConfig": {"ParentHyperParameterTuningJobs": [named], "WarmStartType": kind},
            **changes,
        }

    def refusal(self, tuning: TuningJobs, request: Members) -> str:
        with pytest.raises(AwsError) as error:
            tuning.submit(request)
        return error.value.message

    def test_parent_has_to_exist(self, tuning: TuningJobs, parent: Members) -> None:
        request = self.child(parent | {"HyperParameterTuningJobName": "nobody"})
        assert "can't find a tuning job with the name nobody" in self.refusal(tuning, request)

    def test_parent_has_to_have_ended(self, tuning: TuningJobs) -> None:
        running = tuning.request("import time; time.sleep(60)")
        name = tuning.submit(running)
        text = self.refusal(tuning, self.child(running))
        assert "must be in a terminal state" in text
        tuning.call("StopHyperParameterTuningJob", name)
        tuning.end(name)

    def test_objective_stays(self, tuning: TuningJobs, parent: Members) -> None:
        config = config_of(parent) | {
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "score"}
        }
        request = self.child(parent, HyperParameterTuningJobConfig=config)
        assert "objective metric must be the same" in self.refusal(tuning, request)

    def test_set_of_hyperparameters_stays(self, tuning: TuningJobs, parent: Members) -> None:
        config = config_of(parent) | {"ParameterRanges": floats(x=("0", "1"))}
        request = self.child(parent, HyperParameterTuningJobConfig=config)
        assert self.refusal(tuning, request) == (
            "The set of tunable plus static HyperParameter names is not the same across current "
            "and parent tuning jobs. Please ensure this set is constant when warm starting. Note "
            "that previously static HyperParameters can be tuned in warm start jobs and vice versa."
        )

    def test_type_of_a_hyperparameter_stays(self, tuning: TuningJobs, parent: Members) -> None:
        ranges = integers(x=("0", "1")) | categories(c=["a", "b"])
        config = config_of(parent) | {"ParameterRanges": ranges}
        request = self.child(parent, HyperParameterTuningJobConfig=config)
        assert "The type of a hyperparameter must not change" in self.refusal(tuning, request)

    def test_identical_data_is_identical(self, tuning: TuningJobs, parent: Members) -> None:
        uri = tuning.training.put("other/data.csv")
        definition = parent["TrainingJobDefinition"]
        changed = definition | {
            "InputDataConfig": [*definition["InputDataConfig"], channel("train", uri)]
        }
        request = self.child(parent, "IdenticalDataAndAlgorithm", TrainingJobDefinition=changed)
        assert "must be the same as those of the parent" in self.refusal(tuning, request)
        tuning.end(tuning.submit(self.child(parent, TrainingJobDefinition=changed)))

    def test_hyperband_knows_no_warm_start(self, tuning: TuningJobs, parent: Members) -> None:
        config = config_of(parent) | {"Strategy": "Hyperband"}
        config |= {"StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 3}}}
        request = self.child(parent, HyperParameterTuningJobConfig=config)
        assert "not supported for the Hyperband strategy" in self.refusal(tuning, request)

    def test_tuned_hyperparameter_may_become_static(
        self, tuning: TuningJobs, parent: Members
    ) -> None:
        static = parent["TrainingJobDefinition"]["StaticHyperParameters"] | {"c": "a"}
        definition = parent["TrainingJobDefinition"] | {"StaticHyperParameters": static}
        config = config_of(parent) | {"ParameterRanges": floats(x=("0", "1"))}
        request = self.child(
            parent, TrainingJobDefinition=definition, HyperParameterTuningJobConfig=config
        )
        assert tuning.end(tuning.submit(request))["HyperParameterTuningJobStatus"] == "Completed"
