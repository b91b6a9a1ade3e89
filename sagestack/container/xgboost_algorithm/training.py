"""A training job of the algorithm, from its configuration files to the model.

/opt/ml/input/config/*.json -> /opt/ml/model/xgboost-model
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from . import channels, hyperparameters
from .callbacks import (
    InOrder,
    Report,
    SaveCheckpoint,
    SaveModel,
    end_at_sigterm,
    last_checkpoint,
    save,
)
from .errors import AlgorithmError, ToolkitError, UserError, failure_text, without_stack
from .hosts import NoData, Place, together
from .metrics import MAXIMIZED, custom_metric, split

LOG = logging.getLogger(__name__)
MODEL = "xgboost-model"
USER_FAULTS = (
    "label must be in [0,1] for logistic regression",
    "label must be in [0, num_class)",
    "Target is multiclass but average='binary'",
    "feature_names mismatch",
    "Check failed: preds.size() == info.labels_.size()",
    "the dataset only contains pos or neg samples",
    "base_score must be in (0,1)",
    "PoissonRegression: label must be nonnegative",
    "TweedieRegression: label must be nonnegative",
    "Parameter reg_lambda should be greater equal to 0",
)
"""What XGBoost says of labels and parameters that do not fit: the user's to mend."""


def main(base: Path) -> NoReturn:
    """Train and end with the job's exit code. `base` is /opt/ml, or what stands for it."""
    logging.basicConfig(
        format="[%(asctime)s:%(levelname)s] %(message)s",
        datefmt="%Y-%m-%d:%H:%M:%S",
        level=logging.INFO,
        stream=sys.stdout,
        force=True,
    )
    LOG.info("Running XGBoost Sagemaker in algorithm mode")
    try:
        train(base)
    except ToolkitError as error:
        LOG.error("%s", error)
        fail(base, failure_text(error))
    except Exception as error:
        traceback.print_exc()
        fail(base, f"framework error: \n{type(error).__name__}: {error}")
    sys.exit(0)


def train(base: Path) -> None:
    """Raises ToolkitError."""
    config = base / "input" / "config"
    values = hyperparameters.validate(read(config / "hyperparameters.json"))
    inputs = read(config / "inputdataconfig.json")
    kind = channels.check(inputs)
    weighted = values.pop("csv_weights", 0) == 1
    data = base / "input" / "data"
    matrix = channels.load(data / "train", kind, weighted=weighted)
    validation = None
    if "validation" in inputs:
        validation = channels.load(data / "validation", kind, weighted=weighted)
    missing = missing_data(base, matrix, validation, "validation" in inputs)
    resources = read(config / "resourceconfig.json")
    hosts, current = resources["hosts"], resources["current_host"]
    if len(hosts) == 1 and missing:
        raise UserError(missing)
    if missing:
        LOG.warning("Host %s is not used in distributed training: %s", current, missing)
    try:
        with together(hosts, current, has_data=not missing) as place:
            if place is not None:
                booster = boost(base, values, matrix, validation, place)
                if place.master:
                    save(booster, base / "model" / MODEL)
    except NoData as error:
        raise UserError(str(error)) from error


def missing_data(base: Path, matrix: Any, validation: Any, wants_validation: bool) -> str | None:
    """What this host lacks to take part."""
    data = base / "input" / "data"
    if matrix is None:
        return f"No data in training channel path {data / 'train'}"
    if wants_validation and validation is None:
        return f"No data in validation channel path {data / 'validation'}"
    return None


def boost(base: Path, values: dict[str, Any], matrix: Any, validation: Any, place: Place) -> Any:
    """The trained booster. Raises UserError, AlgorithmError."""
    import xgboost

    LOG.info("Train matrix has %s rows and %s columns", matrix.num_row(), matrix.num_col())
    watched = [(matrix, "train")]
    if validation is not None:
        LOG.info("Validation matrix has %s rows", validation.num_row())
        watched.append((validation, "validation"))
    rounds, metrics = values.pop("num_round"), _metrics(values)
    own, added = split(metrics)
    if own:
        values["eval_metric"] = own
    if "updater" in values:
        values["updater"] = ",".join(values["updater"])
    checkpoint, done = last_checkpoint(checkpoints(base))
    if checkpoint:
        LOG.info("Checkpoint loaded from %s", checkpoint)
        LOG.info("Resuming from iteration %s", done)
    callbacks = _callbacks(base, values, metrics, validation is not None, done, place)
    try:
        return xgboost.train(
            values,
            matrix,
            num_boost_round=rounds - done,
            evals=watched,
            custom_metric=custom_metric(added, values.get("objective", "")),
            callbacks=[InOrder(callbacks)] if rounds > done else [],
            xgb_model=checkpoint,
            verbose_eval=False,
        )
    except Exception as error:
        said = without_stack(error)
        if any(text in said for text in USER_FAULTS):
            raise UserError(said) from error
        raise AlgorithmError(f"XGB train call failed with exception:\n {said}") from error


def _metrics(values: dict[str, Any]) -> list[str]:
    """The evaluation metrics asked for, the tuning objective last: early stopping looks at
    the last one."""
    asked = values.pop("eval_metric", [])
    objective = values.pop("_tuning_objective_metric", None)
    if objective is None:
        return list(asked)
    name = objective.split(":")[1]
    return [*(metric for metric in asked if metric != name), name]


def _callbacks(
    base: Path,
    values: dict[str, Any],
    metrics: list[str],
    validated: bool,
    done: int,
    place: Place,
) -> list[Any]:
    """Takes out of `values` what is not for XGBoost."""
    from xgboost.callback import EarlyStopping

    callbacks: list[Any] = []
    save_on_stop = values.pop("save_model_on_termination", "false") == "true"
    if place.master:
        callbacks.append(Report(done))
        if directory := checkpoints(base):
            callbacks.append(SaveCheckpoint(directory, done))
    if save_on_stop:
        end_at_sigterm(base / "model" / MODEL)
        if place.master:
            callbacks.append(SaveModel(base / "model" / MODEL))
    rounds = values.pop("early_stopping_rounds", None)
    if rounds and not (validated and metrics):
        LOG.warning(
            "early_stopping_rounds has no effect without a validation channel and an eval_metric"
        )
    elif rounds:
        callbacks.append(
            EarlyStopping(
                rounds=rounds,
                data_name="validation",
                metric_name=metrics[-1],
                maximize=metrics[-1].split("@")[0] in MAXIMIZED,
                save_best=place.master,
            )
        )
    return callbacks


def checkpoints(base: Path) -> Path | None:
    """Where checkpoints go, for a job that has them."""
    config = base / "input" / "config" / "checkpointconfig.json"
    if not config.is_file() or not (path := read(config).get("LocalPath")):
        return None
    return base / Path(path).relative_to("/opt/ml") if path.startswith("/opt/ml/") else Path(path)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def fail(base: Path, text: str) -> NoReturn:
    failure = base / "output" / "failure"
    if not failure.exists():
        failure.write_text(text)
    sys.exit(1)
