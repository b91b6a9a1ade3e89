"""xgboost_train: what the image `xgboost` does when it is started to train.

Runs the user's script where one is named, as every framework image does (train.py), and
XGBoost as the built-in algorithm where none is.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    if names_a_script():
        ours("train").main()
    else:
        ours("xgboost_algorithm.training").main(base())


def names_a_script() -> bool:
    config = base() / "input" / "config" / "hyperparameters.json"
    given = json.loads(config.read_text())
    return bool(given.get("sagemaker_program") or os.environ.get("SAGEMAKER_PROGRAM"))


def base() -> Path:
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def ours(name: str) -> Any:
    """A module that lies beside this program. The user's code finds neither our folder nor,
    where it runs in this process, a module of ours under a name such as `train`."""
    directory = str(Path(__file__).resolve().parent)
    sys.path.insert(0, directory)
    module = importlib.import_module(name)
    sys.path[:] = [path for path in sys.path if path != directory]
    return sys.modules.pop(name, module)


if __name__ == "__main__":
    ours("run_as_main").finish(ours("run_as_main").call(main, __file__).code)
