"""The training job: one self-contained artifact, learning that works, and no leak."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.scripts import ROOT, load_script

OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


@pytest.fixture(scope="module")
def logic() -> Any:
    return load_script("training/delay_model", "logic")


def load_pipeline(base: Path) -> Any:
    # The artifact needs its own code beside it, as the model server gives it.
    return load_script("inference/delay_model", "inference", "training/delay_model").model_fn(
        str(base / "model")
    )["pipeline"]


def test_the_artifact_is_complete(trained: Path) -> None:
    files = {str(path.relative_to(trained / "model")) for path in (trained / "model").rglob("*.*")}
    assert {
        "model.joblib",
        "metadata.json",
        "code/inference.py",
        "code/delay_features.py",
    } <= files
    assert (trained / "output/data/report.json").exists()


def test_metadata_says_what_the_model_is(trained: Path) -> None:
    metadata = json.loads((trained / "model/metadata.json").read_text())
    assert metadata["train_months"] == ["2013-01", "2013-02"]
    assert metadata["hyperparameters"]["max_iter"] == 50
    assert metadata["metrics"]["validation"]["auc"] > 0.6
    assert metadata["versions"]["scikit-learn"]
    assert 0 < metadata["threshold"] < 1


def test_metric_lines_match_one_regex_each(
    train_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    train_model("--max_iter", "25")
    out = capsys.readouterr().out
    for name in ("train_auc", "validation_auc", "validation_log_loss", "baseline_auc"):
        values = re.findall(rf"{name}=([0-9.]+);", out)
        assert values, name
        assert 0 <= float(values[-1]) <= 1


def test_the_model_beats_the_heuristic_baseline(trained: Path) -> None:
    metrics = json.loads((trained / "model/metadata.json").read_text())["metrics"]
    assert metrics["validation"]["auc"] > metrics["baseline"]["auc"]
    assert metrics["validation"]["log_loss"] < metrics["baseline"]["log_loss"]


def test_training_converges_and_can_learn_a_few_flights_by_heart(
    logic: Any, splits: dict[str, pd.DataFrame]
) -> None:
    few = splits["train"].groupby("late").head(60)
    raw, label = logic.features_and_label(few)
    pipeline = logic.build_pipeline(learning_rate=0.3, l2_regularization=0.0).fit(raw, label)
    losses = [loss for _, loss in logic.loss_by_iteration(pipeline, raw, label, 25)]
    assert losses == sorted(losses, reverse=True)
    assert logic.measure(label, pipeline.predict_proba(raw)[:, 1])["auc"] > 0.99


def test_the_same_seed_gives_the_same_predictions(
    logic: Any, splits: dict[str, pd.DataFrame]
) -> None:
    raw, label = logic.features_and_label(splits["train"])
    one, two = (
        logic.build_pipeline(max_iter=10, seed=7).fit(raw, label).predict_proba(raw)
        for _ in range(2)
    )
    assert np.array_equal(one, two)


def test_hyperparameters_change_the_model(train_model: Callable[..., Path]) -> None:
    small = train_model("--max_iter", "5")
    assert load_pipeline(small)[-1].n_iter_ == 5
    large = train_model("--max_iter", "10", "--max_leaf_nodes", "4")
    assert load_pipeline(large)[-1].n_iter_ == 10


def test_no_feature_is_known_only_after_departure(logic: Any) -> None:
    names = logic.describe_features()
    used = set(names["raw_columns"]) | set(names["features"])
    assert not used & {*OUTCOMES, "cancelled", "late"}


def test_a_planted_leak_is_not_picked_up(
    train_model: Callable[..., Path], splits: dict[str, pd.DataFrame]
) -> None:
    """Give the outcome away in every outcome column: the model must not get any better."""
    leaking = {
        name: part.assign(**{column: part["late"] * 100 for column in OUTCOMES})
        for name, part in splits.items()
    }
    arguments = ("--max_iter", "10")
    honest = train_model(*arguments)
    planted = train_model(*arguments, train=leaking["train"], validation=leaking["validation"])
    metrics = [
        json.loads((base / "model/metadata.json").read_text())["metrics"]
        for base in (honest, planted)
    ]
    assert metrics[0] == metrics[1]


def test_a_leak_would_be_noticed(logic: Any, splits: dict[str, pd.DataFrame]) -> None:
    """The test above is not blind: the same leak in a column in use gives itself away."""
    leaking = {name: part.assign(seats=part["late"] * 100) for name, part in splits.items()}
    raw, label = logic.features_and_label(leaking["train"])
    held_out, held_out_label = logic.features_and_label(leaking["validation"])
    pipeline = logic.build_pipeline(max_iter=10).fit(raw, label)
    probability = pipeline.predict_proba(held_out)[:, 1]
    assert logic.measure(held_out_label, probability)["auc"] > 0.99


def test_a_category_never_seen_is_answered(logic: Any, splits: dict[str, pd.DataFrame]) -> None:
    raw, label = logic.features_and_label(splits["train"])
    pipeline = logic.build_pipeline(max_iter=5).fit(raw, label)
    strange = raw.head(3).assign(carrier="ZZ", origin="XXX", dest="YYY")
    assert np.isfinite(pipeline.predict_proba(strange)).all()


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e300, np.nan])
def test_extreme_numbers_give_no_nan(
    logic: Any, splits: dict[str, pd.DataFrame], value: float
) -> None:
    raw, label = logic.features_and_label(splits["train"])
    pipeline = logic.build_pipeline(max_iter=5).fit(raw, label)
    numbers = {column: value for column in ("temp", "wind_speed", "distance", "seats")}
    probability = pipeline.predict_proba(
        raw.head(3).astype(dict.fromkeys(numbers, float)).assign(**numbers)
    )
    assert np.isfinite(probability).all()


def test_features_hold_no_infinity_and_the_expected_numbers() -> None:
    features = load_script("training/delay_model", "delay_features")
    flight = [2013, 1, 5, 1830, 2015, "UA", "EWR", "IAH", 1400]
    weather = [39.0, 28.0, 64.0, 350.0, 12.0, None, 0.0, 1012.0, 10.0]
    plane = [1999, 2, 149]
    raw = pd.DataFrame(
        [[*flight, *weather, *plane]],
        columns=features.RAW_COLUMNS,
    )
    row = features.derive(raw).iloc[0]
    assert row["day_of_week"] == 5
    assert row["departure_minute"] == 18 * 60 + 30
    assert row["wind_north"] == 10
    assert row["plane_age"] == 14
    assert row["carrier_at_origin"] == "UA@EWR"
    assert np.isnan(row["wind_gust"])


def test_missing_columns_and_labels_are_named(logic: Any, splits: dict[str, pd.DataFrame]) -> None:
    with pytest.raises(ValueError, match="lacks the columns distance"):
        logic.features_and_label(splits["train"].drop(columns="distance"))
    with pytest.raises(ValueError, match="late must be 0 or 1"):
        logic.features_and_label(splits["train"].assign(late=7))


def test_an_empty_channel_is_named(tmp_path: Path) -> None:
    job = load_script("training/delay_model")
    with pytest.raises(FileNotFoundError, match="no CSV files in channel"):
        job.read_channel(tmp_path)


def test_threshold_of_equal_scores_and_single_class_are_defined(logic: Any) -> None:
    label = np.array([0, 0, 0])
    probability = np.array([0.2, 0.2, 0.2])
    assert 0 < logic.best_threshold(label, probability) < 1
    assert all(np.isfinite(value) for value in logic.measure(label, probability).values())


SCRIPTS = sorted(
    path
    for house in ("processing", "training", "inference")
    for path in ROOT.glob(f"{house}/*/*.py")
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_parse_as_python_3_9(path: Path) -> None:
    """The containers on AWS are older than this repository's Python."""
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_artifact_refers_to_no_code_that_does_not_travel_with_it(trained: Path) -> None:
    pickled = (trained / "model/model.joblib").read_bytes()
    assert b"delay_features" in pickled
    assert b"logic" not in pickled
