"""Tuning jobs: what the strategies try, when they end a trial, what a warm start knows."""

from __future__ import annotations

import pytest

from tests.emulator.jobs import Members
from tests.emulator.tuning import TuningJobs, categories, floats, integers, value_of

SQUARE = "print('score=%s' % (float(h['x']) - 0.3) ** 2)"
EPOCHS = """
    import time
    for epoch in range(1, 101):
        print("score=%s" % (float(h["quality"]) * epoch), flush=True)
        time.sleep(float(h.get("pause", "0.03")))
"""
SEQUENTIAL = {"MaxNumberOfTrainingJobs": 5, "MaxParallelTrainingJobs": 1}


def test_same_seed_tries_the_same_in_sequence(tuning: TuningJobs) -> None:
    wanted = {
        "strategy": "Bayesian",
        "limits": SEQUENTIAL,
        "objective": "Minimize",
        "ranges": floats(x=("0", "1")) | integers(n=("1", "9")) | categories(c=["a", "b"]),
    }
    names = [tuning.create(SQUARE, **wanted, seed=7) for _ in range(2)]
    for name in names:
        assert tuning.end(name)["HyperParameterTuningJobStatus"] == "Completed"
    first, second = (tuning.tried(name) for name in names)
    assert first == second
    for tried in first:
        assert 0 <= float(tried["x"]) <= 1
        assert tried["n"] in "123456789"
        assert tried["c"] in ("a", "b")


def test_grid_tries_each_combination_once(tuning: TuningJobs) -> None:
    name = tuning.create(
        "print('score=1')",
        strategy="Grid",
        ranges=categories(a=["1", "2"], b=["x", "y", "z"]),
        limits={"MaxNumberOfTrainingJobs": 6},
    )
    assert tuning.end(name)["HyperParameterTuningJobStatus"] == "Completed"
    tried = {(each["a"], each["b"]) for each in tuning.tried(name)}
    assert tried == {(a, b) for a in "12" for b in "xyz"}
    assert len(tuning.tried(name)) == 6


def test_few_combinations_are_all_tried_by_random_search(tuning: TuningJobs) -> None:
    name = tuning.create(
        "print('score=1')",
        ranges=integers(n=("1", "4")),
        limits={"MaxNumberOfTrainingJobs": 4},
    )
    tuning.end(name)
    assert sorted(each["n"] for each in tuning.tried(name)) == ["1", "2", "3", "4"]


def test_early_stopping_ends_a_trial_that_is_worse_than_those_before(tuning: TuningJobs) -> None:
    script = """
        import os, time
        last = "-005-" in os.environ["TRAINING_JOB_NAME"]
        for epoch in range(1, 1001 if last else 6):
            print("score=%s" % (0 if last else epoch), flush=True)
            time.sleep(0.01)
    """
    name = tuning.create(script, early_stopping="Auto", limits=SEQUENTIAL)
    job = tuning.end(name)
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    statuses = [trial["TrainingJobStatus"] for trial in tuning.trials(name)]
    assert statuses == [*["Completed"] * 4, "Stopped"]
    assert job["ObjectiveStatusCounters"]["Succeeded"] == 5


def test_hyperband_ends_each_trial_by_its_last_resource(tuning: TuningJobs) -> None:
    job = tuning.run(
        EPOCHS,
        strategy="Hyperband",
        strategy_config={"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}},
        ranges=floats(quality=("1", "2")),
        limits={"MaxNumberOfTrainingJobs": 6},
        seed=1,
    )
    assert job["HyperParameterTuningJobStatus"] == "Completed"
    # Nobody gets to print 100 values, and the best had more than those that were ended first.
    assert job["TrainingJobStatusCounters"]["Stopped"] == 6
    epochs = [
        value_of(trial) / float(trial["TunedHyperParameters"]["quality"])
        for trial in tuning.trials(job["HyperParameterTuningJobName"])
    ]
    assert max(epochs) < 100
    assert value_of(job["BestTrainingJob"]) >= 9


@pytest.mark.parametrize(
    ("static", "status"),
    [({"num_epochs": '"3"'}, "Stopped"), ({"epochs": "100", "pause": "0"}, "Completed")],
)
def test_hyperband_tells_the_most_epochs_from_the_hyperparameters(
    tuning: TuningJobs, static: dict[str, str], status: str
) -> None:
    job = tuning.run(
        EPOCHS,
        strategy="Hyperband",
        definition={"static": static},
        ranges=floats(quality=("1", "2")),
        limits={"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
    )
    assert job["TrainingJobStatusCounters"][status] == 1


def test_several_definitions_take_turns_with_their_own_ranges(tuning: TuningJobs) -> None:
    def definition(name: str, metric: str, ranges: Members) -> Members:
        given = tuning.definition(
            f"print('{metric}=%s' % (1 if '{name}' == 'first' else 2))",
            DefinitionName=name,
            TuningObjective={"Type": "Maximize", "MetricName": metric},
            HyperParameterRanges=ranges,
        )
        metrics = [{"Name": metric, "Regex": rf"{metric}=(\S+)"}]
        given["AlgorithmSpecification"] |= {"MetricDefinitions": metrics}
        return given

    request = tuning.request(limits={"MaxNumberOfTrainingJobs": 4})
    del request["TrainingJobDefinition"]
    del request["HyperParameterTuningJobConfig"]["ParameterRanges"]
    del request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    request["TrainingJobDefinitions"] = [
        definition("first", "auc", floats(x=("0", "1"))),
        definition("second", "f1", integers(n=("1", "100"))),
    ]
    name = tuning.submit(request)
    job = tuning.end(name)
    trials = tuning.trials(name)
    assert [trial["TrainingJobDefinitionName"] for trial in trials] == ["first", "second"] * 2
    assert [list(trial["TunedHyperParameters"]) for trial in trials] == [["x"], ["n"]] * 2
    best = job["BestTrainingJob"]
    assert best["TrainingJobDefinitionName"] == "second"
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "Type": "Maximize",
        "MetricName": "f1",
        "Value": 2.0,
    }


def warm_start(kind: str, *parents: str) -> Members:
    named = [{"HyperParameterTuningJobName": parent} for parent in parents]
    return {"ParentHyperParameterTuningJobs": named, "WarmStartType": kind}


def test_warm_start_searches_where_the_parent_found_it_best(tuning: TuningJobs) -> None:
    # As many trials as Bayesian search draws at random where it knows nothing.
    parent = tuning.create(
        SQUARE,
        strategy="Bayesian",
        limits={"MaxNumberOfTrainingJobs": 10},
        objective="Minimize",
        seed=1,
    )
    best = tuning.end(parent)["BestTrainingJob"]
    request = tuning.request(
        strategy="Bayesian",
        limits={"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 1},
        objective="Minimize",
        seed=1,
    )
    # The same data: the definition as Describe has it, with the metric that AWS adds.
    request["TrainingJobDefinition"] = tuning.describe(parent)["TrainingJobDefinition"]

    def warm(name: str, kind: str) -> Members:
        named = {"HyperParameterTuningJobName": name, "WarmStartConfig": warm_start(kind, parent)}
        job = tuning.end(tuning.submit(request | named))
        errors = [abs(float(tried["x"]) - 0.3) for tried in tuning.tried(name)]
        assert sum(errors) / 3 < 0.2, "drawn at random they would be 0.29 off"
        return job

    assert "OverallBestTrainingJob" not in warm("transfer", "TransferLearning")
    job = warm("identical", "IdenticalDataAndAlgorithm")
    winner = min(best, job["BestTrainingJob"], key=value_of)
    overall = job["OverallBestTrainingJob"]
    assert overall["TrainingJobName"] == winner["TrainingJobName"]
    assert overall["TuningJobName"] == (parent if winner is best else "identical")
