"""How good a delay model is on flights it has not seen: pure functions on arrays and frames.

The report follows SageMaker's model quality statistics: named values with a standard deviation,
here by bootstrap with a fixed seed. What drifts in this data is the base rate rather than the
ranking, so calibration by month is reported beside the area under the curve.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

LABEL = "late"
RESAMPLES = 40
SEGMENTS = ("origin", "carrier")


def evaluate(
    frame: pd.DataFrame, probability: np.ndarray, baseline: np.ndarray, threshold: float
) -> dict[str, Any]:
    """The whole report for a test set.

    `probability` and `baseline` are chances of being late per row of `frame`, shape (rows,).
    ValueError when the set is empty or an answer is not a probability.
    """
    label = frame[LABEL].to_numpy().astype(int)
    for name, values in (("model", probability), ("baseline", baseline)):
        if len(values) != len(label) or not len(label):
            raise ValueError(f"{name}: {len(values)} answers for {len(label)} flights")
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError(f"{name}: an answer is not a probability between 0 and 1")
    months = frame["year"].astype(str) + "-" + frame["month"].astype(str).str.zfill(2)
    return {
        "binary_classification_metrics": with_deviation(label, probability, threshold),
        "heuristic_baseline_metrics": with_deviation(label, baseline, threshold),
        "confusion_matrix": confusion(label, probability >= threshold),
        "threshold": threshold,
        "rows": len(label),
        "calibration_by_month": by_group(months, label, probability),
        "segments": {name: by_group(frame[name], label, probability) for name in SEGMENTS},
    }


def measure(label: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, float]:
    """Scores of one set. Undefined ones take the value that claims least: precision 0, AUC 0.5."""
    called = probability >= threshold
    hits = float(np.sum(called & (label == 1)))
    precision = hits / called.sum() if called.any() else 0.0
    recall = hits / label.sum() if label.any() else 0.0
    both = label.any() and not label.all()
    return {
        "auc": float(roc_auc_score(label, probability)) if both else 0.5,
        "accuracy": float(np.mean(called == (label == 1))),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(2 * precision * recall / (precision + recall)) if hits else 0.0,
        "log_loss": float(log_loss(label, probability, labels=[0, 1])),
        "base_rate": float(label.mean()),
        "mean_probability": float(probability.mean()),
    }


def with_deviation(
    label: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, dict[str, float]]:
    """Each score as {value, standard_deviation}; the same input gives the same numbers."""
    random = np.random.default_rng(0)
    samples = []
    for _ in range(RESAMPLES):
        rows = random.integers(0, len(label), len(label))
        samples.append(measure(label[rows], probability[rows], threshold))
    return {
        name: {
            "value": value,
            "standard_deviation": float(np.std([sample[name] for sample in samples], ddof=1)),
        }
        for name, value in measure(label, probability, threshold).items()
    }


def confusion(label: np.ndarray, called: np.ndarray) -> dict[str, dict[str, int]]:
    """Counts as [actual][called], in SageMaker's form."""
    return {
        str(actual): {
            str(answer): int(np.sum((label == actual) & (called == bool(answer))))
            for answer in (0, 1)
        }
        for actual in (0, 1)
    }


def by_group(
    group: pd.Series, label: np.ndarray, probability: np.ndarray
) -> dict[str, dict[str, float]]:
    """Per value of `group`: rows, what was predicted on average, what happened, their gap, AUC."""
    table = {}
    for name in sorted(group.astype(str).unique()):
        rows = (group.astype(str) == name).to_numpy()
        happened, predicted = label[rows], probability[rows]
        both = happened.any() and not happened.all()
        table[name] = {
            "rows": int(rows.sum()),
            "predicted": float(predicted.mean()),
            "actual": float(happened.mean()),
            "gap": float(predicted.mean() - happened.mean()),
            "auc": float(roc_auc_score(happened, predicted)) if both else 0.5,
        }
    return table


def baseline_probability(baseline: dict[str, Any], frame: pd.DataFrame) -> np.ndarray:
    """The heuristic's answer per row: the late rate of that hour when the model was trained."""
    hours = (frame[baseline["column"]] // 100).astype(int).astype(str)
    return hours.map(baseline["rate_by_hour"]).fillna(baseline["overall"]).to_numpy(dtype=float)
