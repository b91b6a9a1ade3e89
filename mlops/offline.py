"""Answers of a model artifact without an endpoint: `offline.py MODEL_DIR < flights.csv`.

A process of its own, so that the artifact's code is imported as the model server imports it, and
under whichever interpreter has the libraries that the model was made with. Standard library only,
apart from what the artifact itself needs.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path


def main() -> None:
    """Reads CSV from standard input, writes the serving code's JSON answer to standard output."""
    model_dir = Path(sys.argv[1])
    path = model_dir / "code" / "inference.py"
    spec = importlib.util.spec_from_file_location("inference", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot import {path}")
    serving = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serving)
    rows = serving.input_fn(sys.stdin.read(), "text/csv")
    answers = serving.predict_fn(rows, serving.model_fn(str(model_dir)))
    body, _ = serving.output_fn(answers, "application/json")
    json.dump(json.loads(body), sys.stdout)


if __name__ == "__main__":
    main()
