"""Loads a job's script from its folder, as its container would find it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
PLAIN_NAMES = ("main", "logic", "inference")


def load_script(folder: str, name: str = "main", *more: str) -> ModuleType:
    """A module of a job's folder as its container would import it, apart from other jobs'."""
    paths = [str(ROOT / folder), *(str(ROOT / path) for path in more)]
    kept = {key: sys.modules.pop(key) for key in PLAIN_NAMES if key in sys.modules}
    path_before = list(sys.path)
    sys.path[:0] = paths
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = path_before
        for key in PLAIN_NAMES:
            sys.modules.pop(key, None)
        sys.modules.update(kept)
