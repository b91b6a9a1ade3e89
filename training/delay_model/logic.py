"""Fit and measure the delay model: pure functions on frames and arrays.

The estimator holds its own preprocessing, so that one artifact goes from raw flights to a
probability. The baseline is the rate of late flights at the same scheduled hour: what one would
say without any model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from delay_features import CATEGORICAL, FEATURES, NUMERIC, RAW_COLUMNS, RAW_TEXT, derive
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import brier_score_loss, f1_score, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

LABEL = "late"


def build_pipeline(
    *,
    learning_rate: float = 0.1,
    max_iter: int = 150,
    max_leaf_nodes: int = 31,
    l2_regularization: float = 1.0,
    seed: int = 0,
) -> Pipeline:
    """Raw columns to a probability. Categories never seen in training count as missing."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer(
        [("categorical", encoder, CATEGORICAL), ("numeric", "passthrough", NUMERIC)]
    )
    booster = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        l2_regularization=l2_regularization,
        categorical_features=list(range(len(CATEGORICAL))),
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline(
        [("derive", FunctionTransformer(derive)), ("columns", columns), ("model", booster)]
    )


def features_and_label(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The raw columns the model may see, and the label as 0 and 1.

    ValueError names columns that are missing, and a label that is not 0 or 1.
    """
    missing = [column for column in [*RAW_COLUMNS, LABEL] if column not in frame.columns]
    if missing:
        raise ValueError(f"training data lacks the columns {', '.join(missing)}")
    labels = set(frame[LABEL].unique())
    if not labels <= {0, 1}:
        raise ValueError(f"{LABEL} must be 0 or 1, got {sorted(map(str, labels - {0, 1}))[:5]}")
    return frame[RAW_COLUMNS], frame[LABEL].to_numpy().astype(int)


def fit_baseline(frame: pd.DataFrame) -> dict[str, Any]:
    """Late rate by scheduled hour of departure, with the overall rate for hours never seen."""
    hours = (frame["sched_dep_time"] // 100).astype(int)
    rates = frame[LABEL].astype(float).groupby(hours).mean()
    return {
        "column": "sched_dep_time",
        "rate_by_hour": {str(hour): float(rate) for hour, rate in rates.items()},
        "overall": float(frame[LABEL].mean()),
    }


def predict_baseline(baseline: dict[str, Any], frame: pd.DataFrame) -> np.ndarray:
    """Probability per row, shape (rows,)."""
    hours = (frame[baseline["column"]] // 100).astype(int).astype(str)
    return hours.map(baseline["rate_by_hour"]).fillna(baseline["overall"]).to_numpy(dtype=float)


def measure(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Area under the ROC curve (0.5 where only one class is present), log loss, Brier score."""
    both = len(np.unique(label)) == 2
    return {
        "auc": float(roc_auc_score(label, probability)) if both else 0.5,
        "log_loss": float(log_loss(label, probability, labels=[0, 1])),
        "brier": float(brier_score_loss(label, probability)),
    }


def loss_by_iteration(
    pipeline: Pipeline, raw: pd.DataFrame, label: np.ndarray, every: int
) -> list[tuple[int, float]]:
    """(trees grown, log loss) at every `every`-th iteration: the curve that has to fall."""
    transformed = pipeline[:-1].transform(raw)
    stages = enumerate(pipeline[-1].staged_predict_proba(transformed), start=1)
    return [
        (count, float(log_loss(label, stage[:, 1], labels=[0, 1])))
        for count, stage in stages
        if count % every == 0
    ]


def best_threshold(label: np.ndarray, probability: np.ndarray) -> float:
    """The probability from which to call a flight late: best F1 over a grid of hundredths.

    One flight in four is late and few are likely to be, so 0.5 would call almost none.
    """
    grid = np.arange(0.05, 0.96, 0.01)
    scores = [f1_score(label, probability >= cut, zero_division=0) for cut in grid]
    return round(float(grid[int(np.argmax(scores))]), 2)


def months_of(frame: pd.DataFrame) -> list[str]:
    """Months present, as YYYY-MM."""
    pairs = frame[["year", "month"]].drop_duplicates().astype(int).to_numpy()
    return sorted(f"{year}-{month:02d}" for year, month in pairs)


def describe_features() -> dict[str, list[str]]:
    """What the artifact's metadata says of its inputs."""
    return {"raw_columns": list(RAW_COLUMNS), "text": list(RAW_TEXT), "features": list(FEATURES)}
