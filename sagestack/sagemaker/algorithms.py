"""Built-in algorithms: what AWS knows of an image that has one.

It reads their metrics without being told how, and says so in DescribeTrainingJob. It goes by
the image: AWS's notebooks tune scripts in it by `validation:rmse` without a definition.
Source of the regex: a Describe that a user has published; of the names: the image's own table.
"""

from __future__ import annotations

from sagestack.engine.images import Image

XGBOOST_METRICS = (
    *("accuracy", "auc", "aucpr", "balanced_accuracy", "f1", "f1_binary", "f1_macro", "map"),
    *("ndcg", "precision", "r2", "recall", "precision_macro", "precision_micro"),
    *("recall_macro", "recall_micro", "aft-nloglik", "cox-nloglik", "error", "gamma-deviance"),
    *("gamma-nloglik", "interval-regression-accuracy", "logloss", "mae", "mape", "merror"),
    *("mlogloss", "mphe", "mse", "poisson-nloglik", "rmse", "rmsle", "tweedie-nloglik"),
)
XGBOOST_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"


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
