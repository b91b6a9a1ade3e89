"""The training job a script runs in, as its variables tell it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any


class TrainingEnv(Mapping[str, Any]):
    """The entries of `SM_TRAINING_ENV`, such as `hosts` and `channel_input_dirs`, as attributes
    and as a mapping."""

    def __init__(self) -> None:
        self._facts: dict[str, Any] = json.loads(os.environ["SM_TRAINING_ENV"])

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_facts"][name]
        except KeyError:
            raise AttributeError(
                f"sagestack's environment of a training job has no {name!r}"
            ) from None

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def to_cmd_args(self) -> list[str]:
        """The script's own arguments."""
        arguments: list[str] = json.loads(os.environ["SM_USER_ARGS"])
        return arguments
