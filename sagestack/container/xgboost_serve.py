"""xgboost_serve: the model server of the image `xgboost`.

The server of every image (serve.py), with XGBoost's defaults: see
model_server/xgboost_handlers.py.
"""

from __future__ import annotations

import importlib
import os
import sys


def main() -> None:
    directory = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, directory)
    server = importlib.import_module("model_server.server")
    handlers = importlib.import_module("model_server.xgboost_handlers")
    # User code must not find the programs that lie here under names such as `init`.
    sys.path[:] = [path for path in sys.path if path != directory]
    if not os.environ.get("SAGEMAKER_PROGRAM"):
        os.environ.setdefault("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", handlers.DEFAULT_ACCEPT)
    server.main(handlers.complete)


if __name__ == "__main__":
    main()
