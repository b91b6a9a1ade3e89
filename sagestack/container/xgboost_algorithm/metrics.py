"""Evaluation metrics: their names, and those that XGBoost does not have itself.

AWS's image adds scikit-learn's. They look at predicted classes, where the objective
predicts probabilities or margins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from sklearn import metrics  # type: ignore[import-untyped]

MAXIMIZED = (
    *("accuracy", "auc", "aucpr", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "map"),
    *("ndcg", "precision", "r2", "recall", "precision_macro", "precision_micro"),
    *("recall_macro", "recall_micro"),
)
MINIMIZED = (
    *("aft-nloglik", "cox-nloglik", "error", "gamma-deviance", "gamma-nloglik"),
    *("interval-regression-accuracy", "logloss", "mae", "mape", "merror", "mlogloss", "mphe"),
    *("mse", "poisson-nloglik", "rmse", "rmsle", "tweedie-nloglik"),
)
EVAL_METRICS = (*MAXIMIZED, *MINIMIZED)

Score = Callable[[Any, Any], float]
ON_CLASSES: dict[str, Score] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "f1": partial(metrics.f1_score, average="macro"),
    "f1_binary": partial(metrics.f1_score, average="binary"),
    "f1_macro": partial(metrics.f1_score, average="macro"),
    "precision": metrics.precision_score,
    "precision_macro": partial(metrics.precision_score, average="macro"),
    "precision_micro": partial(metrics.precision_score, average="micro"),
    "recall": metrics.recall_score,
    "recall_macro": partial(metrics.recall_score, average="macro"),
    "recall_micro": partial(metrics.recall_score, average="micro"),
}
ON_VALUES: dict[str, Score] = {
    "mse": metrics.mean_squared_error,
    "r2": metrics.r2_score,
}


def split(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those that XGBoost has, and those that it is given. The same order on every host."""
    chosen = list(dict.fromkeys(names))
    own = [name for name in chosen if name not in ON_CLASSES and name not in ON_VALUES]
    return own, [name for name in chosen if name not in own]


def custom_metric(
    names: list[str], objective: str
) -> Callable[[Any, Any], list[tuple[str, float]]] | None:
    """What `xgboost.train` takes as custom_metric."""
    if not names:
        return None

    def evaluate(predictions: Any, matrix: Any) -> list[tuple[str, float]]:
        labels = matrix.get_label()
        classes = as_classes(predictions, objective)
        return [
            (name, float(ON_VALUES[name](labels, predictions)))
            if name in ON_VALUES
            else (name, float(ON_CLASSES[name](labels, classes)))
            for name in names
        ]

    return evaluate


def as_classes(predictions: Any, objective: str) -> Any:
    """Predicted classes out of what the objective predicts."""
    if predictions.ndim > 1:
        return np.argmax(predictions, axis=1)
    if objective in ("multi:softmax", "binary:hinge"):
        return predictions
    return (predictions > (0.0 if objective == "binary:logitraw" else 0.5)).astype(int)
