"""Leads to the modules that lie beside this folder, which user code does not see."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any


def ours(name: str) -> Any:
    """A module of sagestack's by its name in the container, such as `model_server.codecs`."""
    directory = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, directory)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(directory)
