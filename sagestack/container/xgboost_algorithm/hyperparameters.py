"""The hyperparameters of the algorithm: names, ranges, and what depends on what.

Source: AWS's page "XGBoost hyperparameters", and the image's own validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import UserError
from .metrics import EVAL_METRICS
from .ranges import (
    Interval,
    Kind,
    continuous,
    integer,
    list_of,
    nested_list_of,
    one_of,
    tuple_of,
)

Values = dict[str, Any]

ALIASES = {
    "learning_rate": "eta",
    "min_split_loss": "gamma",
    "reg_lambda": "lambda",
    "reg_alpha": "alpha",
}
MULTI_CLASS = ("multi:softmax", "multi:softprob")
WITH_THRESHOLD = ("error", "ndcg", "map")
"""Evaluation metrics that may be written as `error@0.7`."""
TREE_UPDATERS = (
    *("grow_colmaker", "distcol", "grow_histmaker", "grow_skmaker"),
    *("sync", "refresh", "prune", "grow_quantile_histmaker"),
)
GROWING_UPDATERS = ("grow_colmaker", "distcol", "grow_histmaker", "grow_quantile_histmaker")
LINEAR_UPDATERS = ("shotgun", "coord_descent")
NOT_SUPPORTED = {
    "_kfold": "cross validation",
    "_num_cv_round": "cross validation",
    "use_dask_gpu_training": "training on GPUs",
}


class _EvalMetrics:
    """`rmse`, or `error@0.7` with a threshold."""

    def __contains__(self, metric: str) -> bool:
        if "<function" in metric:
            raise UserError(f"User defined evaluation metric {metric} is not supported yet.")
        if "@" not in metric:
            return metric in EVAL_METRICS
        name, threshold = (part.strip() for part in metric.split("@")[:2])
        if name not in WITH_THRESHOLD:
            raise UserError(
                f"Metric '{metric}' is not supported. Parameter 'eval_metric' with customized "
                "threshold should be one of these options: 'error', 'ndcg', 'map'."
            )
        try:
            float(threshold)
        except ValueError:
            raise UserError(f"Threshold value 't' in '{name}@t' expects float input.") from None
        return True

    def __str__(self) -> str:
        return str(list(EVAL_METRICS))


KINDS: dict[str, Kind] = {
    "num_round": integer(1),
    "csv_weights": integer(0, 1),
    "early_stopping_rounds": integer(1),
    "booster": one_of("gbtree", "gblinear", "dart"),
    "verbosity": integer(0, 3),
    "nthread": integer(1),
    "eta": continuous(0, 1),
    "gamma": continuous(0),
    "max_depth": integer(0),
    "min_child_weight": continuous(0),
    "max_delta_step": continuous(0),
    "subsample": continuous(0, 1, open_low=True),
    "colsample_bytree": continuous(0, 1, open_low=True),
    "colsample_bylevel": continuous(0, 1, open_low=True),
    "colsample_bynode": continuous(0, 1, open_low=True),
    "lambda": continuous(0),
    "alpha": continuous(0),
    "tree_method": one_of("auto", "exact", "approx", "hist", "gpu_hist"),
    "sketch_eps": continuous(0, 1, open_low=True, open_high=True),
    "scale_pos_weight": continuous(0, open_low=True),
    "updater": list_of([*TREE_UPDATERS, *LINEAR_UPDATERS]),
    "dsplit": one_of("row", "col"),
    "refresh_leaf": integer(0, 1),
    "process_type": one_of("default", "update"),
    "grow_policy": one_of("depthwise", "lossguide"),
    "max_leaves": integer(0),
    "max_bin": integer(0),
    "predictor": one_of("auto", "cpu_predictor", "gpu_predictor"),
    "monotone_constraints": tuple_of(-1, 0, 1),
    "interaction_constraints": nested_list_of(Interval(1)),
    "sample_type": one_of("uniform", "weighted"),
    "normalize_type": one_of("tree", "forest"),
    "rate_drop": continuous(0, 1),
    "one_drop": integer(0, 1),
    "skip_drop": continuous(0, 1),
    "lambda_bias": continuous(0, 1),
    "tweedie_variance_power": continuous(1, 2, open_low=True, open_high=True),
    "objective": one_of(
        *("aft_loss_distribution", "binary:logistic", "binary:logitraw", "binary:hinge"),
        *("count:poisson", "multi:softmax", "multi:softprob"),
        *("rank:pairwise", "rank:ndcg", "rank:map"),
        *("reg:linear", "reg:squarederror", "reg:logistic", "reg:gamma", "reg:pseudohubererror"),
        *("reg:squaredlogerror", "reg:absoluteerror", "reg:tweedie"),
        *("survival:aft", "survival:cox"),
    ),
    "num_class": integer(2),
    "base_score": continuous(0),
    "_tuning_objective_metric": one_of(*(f"validation:{name}" for name in EVAL_METRICS)),
    "eval_metric": list_of(_EvalMetrics()),
    "seed": integer(-(2**31), 2**31 - 1, open_low=True, open_high=True),
    "num_parallel_tree": integer(1),
    "save_model_on_termination": one_of("true", "false"),
    "aft_loss_distribution": one_of("normal", "logistic", "extreme"),
    "aft_loss_distribution_scale": continuous(0),
    "deterministic_histogram": one_of("true", "false"),
    "sampling_method": one_of("uniform", "gradient_based"),
    "prob_buffer_row": integer(1, open_low=True),
}


def validate(given: Mapping[str, str]) -> Values:
    """The hyperparameters by their own names, as values. Raises UserError."""
    named = {ALIASES.get(name, name): text for name, text in given.items()}
    if "num_round" not in named:
        raise UserError("Missing required hyperparameter: num_round")
    values = {name: _read(name, text) for name, text in named.items()}
    for name, value in values.items():
        KINDS[name].check(name, value)
    _check_dependencies(values)
    return values


def _read(name: str, text: str) -> Any:
    if what := NOT_SUPPORTED.get(name):
        raise UserError(f"sagestack does not support {what} (hyperparameter {name})")
    if name not in KINDS:
        raise UserError(f"Extraneous hyperparameter found: {name}")
    try:
        return KINDS[name].read(text)
    except ValueError as error:
        raise UserError(f"Hyperparameter {name}: could not parse value", error) from error


def _check_dependencies(values: Values) -> None:
    objective = values.get("objective", "reg:squarederror")
    if objective in MULTI_CLASS and "num_class" not in values:
        raise UserError("Require input for parameter 'num_class' for multi-classification")
    _check_metrics(values.get("eval_metric", []), objective)
    tree_method = values.get("tree_method")
    if "monotone_constraints" in values and tree_method not in ("exact", "hist"):
        raise UserError(
            "monotone_constraints can be used only when the tree_method parameter is set to "
            "either 'exact' or 'hist'."
        )
    if "interaction_constraints" in values and tree_method not in ("exact", "hist", "approx"):
        raise UserError(
            "interaction_constraints can be used only when the tree_method parameter is set to "
            "either 'exact', 'hist' or 'approx'."
        )
    if "updater" in values:
        _check_updaters(values["updater"], values)


def _check_metrics(metrics: list[str], objective: str) -> None:
    if "auc" in metrics and not objective.startswith(("binary:", "rank:")):
        raise UserError("Metric 'auc' can only be applied for classification and ranking problems.")
    if "aft-nloglik" in metrics and objective != "survival:aft":
        raise UserError("Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.")


def _check_updaters(updaters: list[str], values: Values) -> None:
    if values.get("booster") == "gblinear":
        if len(updaters) != 1 or updaters[0] not in LINEAR_UPDATERS:
            raise UserError(
                "Linear updater should be one of these options: "
                + ", ".join(f"'{name}'" for name in LINEAR_UPDATERS)
                + "."
            )
    elif values.get("process_type") == "update":
        if any(name not in ("refresh", "prune") for name in updaters):
            raise UserError(
                "process_type 'update' can only be used with updater 'refresh' and 'prune'"
            )
    elif any(name not in TREE_UPDATERS for name in updaters):
        raise UserError(
            "Tree updater should be selected from these options: "
            + ", ".join(f"'{name}'" for name in TREE_UPDATERS)
            + "."
        )
    elif sum(name in GROWING_UPDATERS for name in updaters) > 1:
        raise UserError(
            "Only one tree grow plugin can be selected. Choose one from the following: "
            + ", ".join(f"'{name}'" for name in GROWING_UPDATERS)
        )
