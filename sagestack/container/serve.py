"""serve: the model server of an image. Started by its path, told everything by variables.

The parts lie in model_server/, beside this file. docs/serving.md lists the variables.
"""

from __future__ import annotations

import importlib
import os
import sys


def main() -> None:
    directory = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, directory)
    server = importlib.import_module("model_server.server")
    # User code must not find the programs that lie here under names such as `init`.
    sys.path[:] = [path for path in sys.path if path != directory]
    server.main()


if __name__ == "__main__":
    main()
