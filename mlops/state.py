"""What the last steps made, in a small file, so that the next step can start from it.

Nothing depends on the file being there: every step also takes its input as an option.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlops.errors import NotYet

# What a step leaves behind, and the command that makes it.
MADE_BY = {
    "months": "upload",
    "curated": "etl",
    "dataset": "split",
    "training_job": "train",
    "model_data": "train",
    "evaluation": "evaluate",
    "endpoint": "deploy",
}


class State:
    """Names and S3 URIs by key. Written at every change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = {}
        if path.exists():
            self._values = json.loads(path.read_text(encoding="utf-8"))

    def remember(self, **values: str) -> None:
        """Keep these; ValueError for a key nobody makes."""
        unknown = set(values) - set(MADE_BY)
        if unknown:
            raise ValueError(f"no step makes {', '.join(sorted(unknown))}")
        self._values.update(values)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._values, indent=2, sort_keys=True), encoding="utf-8")

    def recall(self, key: str, given: str | None = None) -> str:
        """`given` if there is one, else what was remembered; NotYet names the missing step."""
        value = given or self._values.get(key)
        if not value:
            raise NotYet(f"no {key.replace('_', ' ')} yet", MADE_BY[key])
        return value

    def forget(self) -> None:
        """Start anew."""
        self._values = {}
        self._path.unlink(missing_ok=True)
