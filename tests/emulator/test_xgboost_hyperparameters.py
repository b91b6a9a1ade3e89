"""Hyperparameters of the built-in XGBoost: AWS's ranges, and its texts for what is out of them.

Source: the page "XGBoost hyperparameters" and aws/sagemaker-xgboost-container.
"""

from __future__ import annotations

import pytest

from sagestack.container.xgboost_algorithm.errors import UserError
from sagestack.container.xgboost_algorithm.hyperparameters import validate


def refusal(**given: str) -> str:
    with pytest.raises(UserError) as error:
        validate({"num_round": "10", **given})
    return str(error.value)


def test_values_are_read_as_what_they_are() -> None:
    given = {
        "num_round": "10",
        "eta": "0.2",
        "objective": "multi:softprob",
        "num_class": "3",
        "eval_metric": "mlogloss,merror",
    }
    assert validate(given) == {
        "num_round": 10,
        "eta": 0.2,
        "objective": "multi:softprob",
        "num_class": 3,
        "eval_metric": ["mlogloss", "merror"],
    }


@pytest.mark.parametrize(
    ("alias", "name"),
    [("learning_rate", "eta"), ("min_split_loss", "gamma"), ("reg_lambda", "lambda")],
)
def test_alias_is_the_name_it_stands_for(alias: str, name: str) -> None:
    assert validate({"num_round": "1", alias: "0.5"}) == {"num_round": 1, name: 0.5}


def test_number_of_rounds_is_required() -> None:
    with pytest.raises(UserError, match=r"^Missing required hyperparameter: num_round$"):
        validate({"eta": "0.1"})


def test_unknown_hyperparameter_is_refused() -> None:
    assert refusal(n_estimators="3") == "Extraneous hyperparameter found: n_estimators"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("eta", "2.0", "2.0 is not in [0, 1]"),
        ("num_round", "0", "0 is not in [1, +inf)"),
        ("subsample", "0", "0.0 is not in (0, 1]"),
        ("max_depth", "-1", "-1 is not in [0, +inf)"),
        ("num_class", "1", "1 is not in [2, +inf)"),
        ("tweedie_variance_power", "2", "2.0 is not in (1, 2)"),
        ("booster", "forest", "forest is not in ['gbtree', 'gblinear', 'dart']"),
        ("max_depth", "3.5", "could not parse value (caused by ValueError)"),
        ("eta", "fast", "could not parse value (caused by ValueError)"),
    ],
)
def test_value_out_of_its_range_is_refused_with_the_range(
    name: str, text: str, expected: str
) -> None:
    assert refusal(**{name: text}) == f"Hyperparameter {name}: {expected}"


def test_unknown_objective_is_refused_with_those_there_are() -> None:
    text = refusal(objective="reg:magic")
    assert text.startswith("Hyperparameter objective: reg:magic is not in ['aft_loss_distribution'")


def test_unknown_metric_is_refused_with_the_whole_value() -> None:
    text = refusal(eval_metric="rmse,luck")
    assert text.startswith("Hyperparameter eval_metric: value ['rmse', 'luck'] not in range [")


def test_metric_may_have_a_threshold_where_that_means_something() -> None:
    assert validate({"num_round": "1", "eval_metric": "error@0.7"})["eval_metric"] == ["error@0.7"]
    assert refusal(eval_metric="rmse@0.7").startswith("Metric 'rmse@0.7' is not supported.")
    assert (
        refusal(eval_metric="error@half") == "Threshold value 't' in 'error@t' expects float input."
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"objective": "multi:softmax"},
            "Require input for parameter 'num_class' for multi-classification",
        ),
        (
            {"objective": "reg:squarederror", "eval_metric": "auc"},
            "Metric 'auc' can only be applied for classification and ranking problems.",
        ),
        (
            {"objective": "reg:squarederror", "eval_metric": "aft-nloglik"},
            "Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.",
        ),
        (
            {"monotone_constraints": "(1, 0)"},
            "monotone_constraints can be used only when the tree_method parameter is set to "
            "either 'exact' or 'hist'.",
        ),
        (
            {"process_type": "update", "updater": "grow_histmaker"},
            "process_type 'update' can only be used with updater 'refresh' and 'prune'",
        ),
        (
            {"booster": "gblinear", "updater": "prune"},
            "Linear updater should be one of these options: 'shotgun', 'coord_descent'.",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(given: dict[str, str], expected: str) -> None:
    assert refusal(**given) == expected


def test_cross_validation_is_refused_by_name() -> None:
    assert refusal(_kfold="5") == (
        "sagestack does not support cross validation (hyperparameter _kfold)"
    )
