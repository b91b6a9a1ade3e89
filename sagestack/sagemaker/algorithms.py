"""Built-in algorithms: what AWS knows of an image that trains without a user's program.

It reads their metrics without being told how, and says so in DescribeTrainingJob. Source of
the regex: a Describe that a user has published; of the names: the image's own table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagestack.engine.images import Image

XGBOOST_METRICS = (
    *("accuracy", "auc", "aucpr", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "map"),
    *("ndcg", "precision", "r2", "recall", "precision_macro", "precision_micro"),
    *("recall_macro", "recall_micro", "aft-nloglik", "cox-nloglik", "error", "gamma-deviance"),
    *("gamma-nloglik", "interval-regression-accuracy", "logloss", "mae", "mape", "merror"),
    *("mlogloss", "mphe", "mse", "poisson-nloglik", "rmse", "rmsle", "tweedie-nloglik"),
)
XGBOOST_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"


def runs_algorithm(image: Image, request: Mapping[str, Any]) -> bool:
    """Whether a training job or definition runs the image's own algorithm: it has one, and
    no program of the user's is named."""
    if image.algorithm is None or request["AlgorithmSpecification"].get("ContainerEntrypoint"):
        return False
    static = request.get("HyperParameters") or request.get("StaticHyperParameters") or {}
    program = static.get("sagemaker_program")
    return not (program or request.get("Environment", {}).get("SAGEMAKER_PROGRAM"))


def metric_definitions(image: Image) -> list[dict[str, str]]:
    """MetricDefinitions of an image's algorithm; none where it has no algorithm."""
    if image.algorithm != "xgboost":
        return []
    return [
        {
            "Name": f"{channel}:{metric}",
            "Regex": rf".*\[[0-9]+\].*#011{channel}-{metric}:{XGBOOST_NUMBER}.*",
        }
        for metric in XGBOOST_METRICS
        for channel in ("train", "validation")
    ]
