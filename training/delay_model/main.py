"""SageMaker training job: fits the delay model on the train channel, measures it on validation.

Reads  channels `train` and `validation`: CSV files of the split job.
Writes SM_MODEL_DIR: model.joblib, metadata.json and code/ (what serves it), one artifact;
       SM_OUTPUT_DATA_DIR: report.json.
Prints metric lines such as `validation_auc=0.7012;` for the job's metric definitions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import joblib
import logic
import numpy
import pandas
import sklearn

HERE = Path(__file__).resolve().parent
CODE_FILES = ("inference.py", "delay_features.py")
REPORT_EVERY = 25


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Hyperparameters and paths; the paths default to what the container's environment says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning_rate", type=float, default=0.1)
    parser.add_argument("--max_iter", type=int, default=150)
    parser.add_argument("--max_leaf_nodes", type=int, default=31)
    parser.add_argument("--l2_regularization", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=Path, default=_channel("train"))
    parser.add_argument("--validation", type=Path, default=_channel("validation"))
    parser.add_argument("--model_dir", type=Path, default=_place("SM_MODEL_DIR", "model"))
    parser.add_argument(
        "--output_dir", type=Path, default=_place("SM_OUTPUT_DATA_DIR", "output/data")
    )
    parser.add_argument("--inference_code", type=Path, default=HERE)
    return parser.parse_args(argv)


def read_channel(folder: Path) -> pandas.DataFrame:
    """Every CSV file of a channel. FileNotFoundError when there is none."""
    paths = sorted(folder.glob("**/*.csv"))
    if not paths:
        raise FileNotFoundError(f"no CSV files in channel {folder}")
    return pandas.concat([pandas.read_csv(path) for path in paths], ignore_index=True)


def main(argv: list[str] | None = None) -> None:
    """Entry point in the container."""
    arguments = parse_arguments(argv)
    train, validation = read_channel(arguments.train), read_channel(arguments.validation)
    raw, label = logic.features_and_label(train)
    held_out, held_out_label = logic.features_and_label(validation)

    hyperparameters = {
        "learning_rate": arguments.learning_rate,
        "max_iter": arguments.max_iter,
        "max_leaf_nodes": arguments.max_leaf_nodes,
        "l2_regularization": arguments.l2_regularization,
        "seed": arguments.seed,
    }
    pipeline = logic.build_pipeline(**hyperparameters).fit(raw, label)
    for count, loss in logic.loss_by_iteration(pipeline, held_out, held_out_label, REPORT_EVERY):
        print(f"iteration={count}; validation_log_loss={loss:.6f};", flush=True)

    probability = pipeline.predict_proba(held_out)[:, 1]
    baseline = logic.fit_baseline(train)
    metrics = {
        "train": logic.measure(label, pipeline.predict_proba(raw)[:, 1]),
        "validation": logic.measure(held_out_label, probability),
        "baseline": logic.measure(held_out_label, logic.predict_baseline(baseline, held_out)),
    }
    for part, values in metrics.items():
        print(" ".join(f"{part}_{name}={value:.6f};" for name, value in values.items()), flush=True)

    metadata = {
        **logic.describe_features(),
        "threshold": logic.best_threshold(held_out_label, probability),
        "baseline": baseline,
        "metrics": metrics,
        "hyperparameters": hyperparameters,
        "train_months": logic.months_of(train),
        "rows": {"train": len(train), "validation": len(validation)},
        "training_job": os.environ.get("TRAINING_JOB_NAME"),
        "versions": {
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "pandas": pandas.__version__,
            "numpy": numpy.__version__,
        },
    }
    save(arguments, pipeline, metadata)


def save(arguments: argparse.Namespace, pipeline: Any, metadata: dict[str, Any]) -> None:
    """Model, metadata and serving code into the model folder; the report beside it."""
    code = arguments.model_dir / "code"
    code.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, arguments.model_dir / "model.joblib")
    text = json.dumps(metadata, indent=2, sort_keys=True)
    (arguments.model_dir / "metadata.json").write_text(text, encoding="utf-8")
    for name in CODE_FILES:
        source = HERE / name if (HERE / name).exists() else arguments.inference_code / name
        shutil.copyfile(source, code / name)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    (arguments.output_dir / "report.json").write_text(text, encoding="utf-8")


def _base() -> Path:
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def _channel(name: str) -> Path:
    return Path(os.environ.get(f"SM_CHANNEL_{name.upper()}", _base() / "input" / "data" / name))


def _place(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable, _base() / default))


if __name__ == "__main__":
    main()
