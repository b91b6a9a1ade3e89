"""SageMaker processing job: a model artifact measured on the test split.

Reads  <base>/model/model.tar.gz and <base>/test/*.csv, where <base> is /opt/ml/processing
Writes <base>/evaluation/evaluation.json
The artifact is asked through its own serving code: what is measured is what will be served.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import logic
import pandas as pd


def unpack(archive: Path, folder: Path) -> None:
    """The archive into the folder. tarfile's error, or ValueError, for a member that leaves it."""
    with tarfile.open(archive, "r:gz") as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
            return
        # Python before 3.9.17 has no filters.
        for member in tar.getmembers():
            target = (folder / member.name).resolve()
            inside = target == folder.resolve() or folder.resolve() in target.parents
            if not inside or not (member.isfile() or member.isdir()):
                raise ValueError(f"{archive.name}: refused member {member.name!r}")
        tar.extractall(folder)


def load_serving_code(model_dir: Path) -> ModuleType:
    """The artifact's own inference module. FileNotFoundError when it has none."""
    path = model_dir / "code" / "inference.py"
    if not path.exists():
        raise FileNotFoundError("the model artifact has no code/inference.py")
    spec = importlib.util.spec_from_file_location("inference", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def predict(model_dir: Path, frame: pd.DataFrame) -> tuple[Any, dict[str, Any]]:
    """Probabilities, shape (rows,), and the artifact's metadata."""
    serving = load_serving_code(model_dir)
    model = serving.model_fn(str(model_dir))
    rows = serving.input_fn(frame.to_csv(index=False), "text/csv")
    answers = serving.predict_fn(rows, model)
    return answers["late_probability"].to_numpy(), model["metadata"]


def main(argv: list[str] | None = None) -> None:
    """Entry point in the container."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=Path("/opt/ml/processing"))
    base = parser.parse_args(argv).base

    paths = sorted((base / "test").rglob("*.csv"))
    if not paths:
        raise FileNotFoundError(f"no CSV files below {base / 'test'}")
    frame = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
    with tempfile.TemporaryDirectory() as folder:
        unpack(base / "model" / "model.tar.gz", Path(folder))
        probability, metadata = predict(Path(folder), frame)

    baseline = logic.baseline_probability(metadata["baseline"], frame)
    report = logic.evaluate(frame, probability, baseline, metadata["threshold"])
    report["model"] = {
        key: metadata.get(key) for key in ("training_job", "train_months", "versions")
    }
    output = base / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, sort_keys=True, allow_nan=False)
    (output / "evaluation.json").write_text(text, encoding="utf-8")
    for name, score in report["binary_classification_metrics"].items():
        print(f"test_{name}={score['value']:.6f};")


if __name__ == "__main__":
    sys.exit(main())
