"""The search itself: ranges, scales and limits, with no training job."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from sagestack.aws.errors import ValidationException
from sagestack.engine.images import Images
from sagestack.paths import environments_directory
from sagestack.sagemaker.tuning_job.definition import Definition
from sagestack.sagemaker.tuning_job.limits import Limits
from sagestack.sagemaker.tuning_job.progress import Progress
from sagestack.sagemaker.tuning_job.ranges import Range, parse_ranges
from sagestack.sagemaker.tuning_job.search import IMAGE, Search, SearchFailed
from tests.emulator.jobs import Members
from tests.emulator.tuning import categories, floats, integers


@pytest.fixture
def search() -> Iterator[Search]:
    images = Images(environments_directory())
    image = next(image for image in images if image.name == IMAGE)
    with Search(images.environment(image).python) as search:
        yield search


def config(strategy: str = "Random", **members: Any) -> Members:
    limits = {"MaxNumberOfTrainingJobs": 100, "MaxParallelTrainingJobs": 1}
    return {"Strategy": strategy, "ResourceLimits": limits, **members}


def study(search: Search, ranges: Members, strategy: str = "Random", **members: Any) -> Definition:
    definition = Definition(None, "score", True, parse_ranges(ranges), {})
    search.add_study("s", definition, config(strategy, **members), 1)
    return definition


def tried(search: Search, count: int = 200) -> list[float]:
    return [float(search.ask("s").parameters["x"]) for _ in range(count)]


def test_linear_scale_is_even(search: Search) -> None:
    study(search, floats(x=("0.001", "10", "Linear")))
    values = tried(search)
    assert min(values) >= 0.001 and max(values) <= 10
    assert statistics.median(values) == pytest.approx(5, abs=1)


def test_logarithmic_scale_is_even_in_orders_of_magnitude(search: Search) -> None:
    study(search, floats(x=("0.0001", "1", "Logarithmic")))
    values = tried(search)
    assert min(values) >= 0.0001 and max(values) <= 1
    assert 0.003 < statistics.median(values) < 0.03


def test_reverse_logarithmic_scale_is_dense_below_one(search: Search) -> None:
    study(search, floats(x=("0", "0.9999", "ReverseLogarithmic")))
    values = tried(search)
    assert min(values) >= 0 and max(values) <= 0.9999
    assert 0.97 < statistics.median(values) < 0.997


def test_integers_are_whole_and_include_their_bounds(search: Search) -> None:
    study(search, integers(x=("1", "8", "Logarithmic")))
    texts = {search.ask("s").parameters["x"] for _ in range(8)}
    assert texts == {"1", "2", "3", "4", "5", "6", "7", "8"}


def test_range_of_one_value_is_that_value(search: Search) -> None:
    study(search, floats(x=("0.5", "0.5")))
    assert search.ask("s").parameters == {"x": "0.5"}


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [("0.001", "0.1", "Logarithmic"), ("1", "10", "Linear"), ("0", "1000", "Linear")],
)
def test_auto_scale_is_logarithmic_over_orders_of_magnitude(
    low: str, high: str, scale: str
) -> None:
    (parsed,) = parse_ranges(floats(x=(low, high)))
    assert parsed == Range("x", "Continuous", float(low), float(high), scale)


def test_bayesian_search_comes_closer_than_random_search(search: Search) -> None:
    def error(strategy: str) -> float:
        study(search, floats(x=("0", "1"), y=("0", "1")), strategy)
        values = []
        for _ in range(40):
            asked = search.ask("s")
            x, y = (float(asked.parameters[name]) for name in "xy")
            values.append(-((x - 0.3) ** 2) - (y - 0.6) ** 2)
            search.tell("s", asked.trial, values[-1], pruned=False)
        return -statistics.mean(values[-10:])

    assert error("Bayesian") < error("Random") / 3


@pytest.mark.parametrize("strategy", ["Random", "Bayesian", "Hyperband"])
def test_seed_decides_what_is_tried(search: Search, strategy: str) -> None:
    def sequence(seed: int) -> list[dict[str, str]]:
        given = config(strategy, StrategyConfig={"HyperbandStrategyConfig": {"MaxResource": 9}})
        ranges = parse_ranges(floats(x=("0", "1")) | categories(c=["a", "b"]))
        search.add_study("s", Definition(None, "score", True, ranges, {}), given, seed)
        asked = []
        for _ in range(15):
            suggestion = search.ask("s")
            asked.append(suggestion.parameters)
            search.tell("s", suggestion.trial, float(asked[-1]["x"]), pruned=False)
        return asked

    assert sequence(1) == sequence(1) != sequence(2)


def test_known_trial_outside_the_ranges_is_left_out(search: Search) -> None:
    study(search, floats(x=("0", "1")) | integers(n=("1", "3")) | categories(c=["a"]), "Bayesian")
    known = {"x": "0.5", "n": "2", "c": "a"}
    assert search.add_known("s", known, 1.0)
    for other in ({"x": "1.5"}, {"n": "4"}, {"c": "b"}, {"x": "many"}):
        assert not search.add_known("s", known | other, 1.0)


def test_median_rule_needs_trials_to_compare_with(search: Search) -> None:
    study(search, floats(x=("0", "1")), TrainingJobEarlyStoppingType="Auto")
    ended = []
    for value in (1.0, 0.0, 2.0, 0.0, 3.0):
        asked = search.ask("s")
        ended.append(search.report("s", asked.trial, 1, value))
        search.tell("s", asked.trial, value, pruned=ended[-1])
    assert ended == [False, False, False, True, False]


def test_failed_trial_teaches_nothing_and_the_search_goes_on(search: Search) -> None:
    study(search, floats(x=("0", "1")), "Bayesian")
    for _ in range(6):
        search.tell("s", search.ask("s").trial, None, pruned=False)
    assert "x" in search.ask("s").parameters


def test_command_that_fails_is_told_and_leaves_the_search_alive(search: Search) -> None:
    study(search, floats(x=("0", "1")))
    with pytest.raises(SearchFailed, match="KeyError"):
        search.tell("s", 99, 1.0, pruned=False)
    assert search.ask("s").trial == 0


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        (floats(x=("2", "1")), r"The MinValue of hyperparameter x, \[2\], must be less than"),
        (floats(x=("one", "2")), r"The MinValue of hyperparameter x, \[one\], is not a number"),
        (floats(x=("0", "inf")), r"The MaxValue of hyperparameter x, \[inf\], is not a number"),
        (integers(x=("1", "2.5")), r"The MaxValue of hyperparameter x, \[2.5\], is not an integer"),
        (integers(x=("1", "9" * 30)), r"is not an integer"),
        (floats(x=("0", "1", "Logarithmic")), "only for ranges that have only values greater"),
        (integers(x=("-5", "5", "Logarithmic")), "only for ranges that have only values greater"),
        (floats(x=("0", "1", "ReverseLogarithmic")), "entirely within the range 0<=x<1.0"),
        (floats(x=("-0.1", "0.5", "ReverseLogarithmic")), "entirely within the range 0<=x<1.0"),
        (integers(x=("0", "0", "ReverseLogarithmic")), "only for continuous hyperparameter ranges"),
        (floats(x=("0", "1")) | integers(x=("0", "1")), "must be unique in the parameter ranges"),
        (categories(x=["a", "a"]), "values of categorical hyperparameter x must be unique"),
        (floats(**{f"x{i}": ("0", "1") for i in range(31)}), "exceeds the limit of 30"),
        ({"AutoParameters": [{"Name": "x", "ValueHint": "1"}]}, "does not support AutoParameters"),
    ],
)
def test_range_that_can_not_be_searched_is_refused(ranges: Members, text: str) -> None:
    with pytest.raises(ValidationException, match=text):
        parse_ranges(ranges)


def progress(values: list[float | None], *, maximize: bool = True, **limits: Any) -> Progress:
    """After trials with these values, one at a time; None for one that failed."""
    progress = Progress(Limits(parallel=1, **limits), maximize=maximize)
    for value in values:
        progress.launch()
        progress.end(failed=value is None, value=value)
    return progress


def test_time_that_is_over_completes_the_tuning_job() -> None:
    under_way = progress([1.0], seconds=120)
    assert under_way.verdict(119) is None
    verdict = under_way.verdict(120)
    assert verdict is not None and verdict.status == "Completed"


@pytest.mark.parametrize(("maximize", "values"), [(True, [0.5, 0.9]), (False, [0.5, 0.1])])
def test_target_is_reached_in_the_objective_s_direction(
    maximize: bool, values: list[float]
) -> None:
    before, after = (progress(v, maximize=maximize, target=values[1]) for v in (values[:1], values))
    assert before.verdict(0) is None
    assert after.verdict(0) is not None


def test_improvement_is_of_one_percent() -> None:
    assert progress([1.0, 1.005]).not_improving == 1
    assert progress([1.0, 1.005, 1.011]).not_improving == 0
    assert progress([1.0, 0.995], maximize=False).not_improving == 1
    assert progress([1.0, 0.98], maximize=False).not_improving == 0
    assert progress([0.0, 0.0, 1e-9]).not_improving == 0
    assert progress([-1.0, -0.995]).not_improving == 1


def test_failed_trials_do_not_count_as_stagnation() -> None:
    assert progress([1.0, None, None, None], not_improving=3).verdict(0) is None


def test_convergence_ends_the_tuning_job_only_where_it_is_asked_for() -> None:
    values: list[float | None] = [1.0] * 11
    assert progress(values).converged
    assert progress(values).verdict(0) is None
    assert progress(values, on_convergence=True).verdict(0) is not None
    assert progress(values[:-1], on_convergence=True).verdict(0) is None


def test_best_is_the_first_of_equal_trials() -> None:
    under_way = Progress(Limits(parallel=3), maximize=True)
    for _ in range(3):
        under_way.launch()
    ends = [under_way.end(failed=False, value=value) for value in (1.0, 1.0, 2.0)]
    assert ends == [True, False, True]


def test_all_trials_failed_is_told_with_their_number() -> None:
    verdict = progress([None, None]).result()
    assert verdict.status == "Failed"
    assert verdict.reason is not None
    assert verdict.reason.startswith("No training job succeeded after 2 attempts.")
    assert progress([None, None]).verdict(0) is None
    assert progress([None] * 5).verdict(0) is not None
    assert progress([1.0, *[None] * 9]).verdict(0) is None
