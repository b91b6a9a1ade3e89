"""What happens after each round: a line of the log, a checkpoint, the model so far."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

from xgboost.callback import TrainingCallback

CHECKPOINT = "xgboost-checkpoint"
KEPT = 5
"""Checkpoints of the last rounds that are kept."""


class InOrder(TrainingCallback):  # type: ignore[misc]
    """Callbacks one after the other, all of them after each round. XGBoost itself calls them
    in any order, and none after one that ends the training."""

    def __init__(self, callbacks: list[Any]) -> None:
        super().__init__()
        self._callbacks = callbacks

    def before_training(self, model: Any) -> Any:
        for callback in self._callbacks:
            model = callback.before_training(model)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:
        return any([each.after_iteration(model, epoch, evals_log) for each in self._callbacks])

    def after_training(self, model: Any) -> Any:
        for callback in self._callbacks:
            model = callback.after_training(model)
        return model


class Report(TrainingCallback):  # type: ignore[misc]
    """`[0]<tab>train-rmse:0.48000<tab>validation-rmse:0.47000`; the log has the tab as #011."""

    def __init__(self, first_round: int) -> None:
        super().__init__()
        self._first = first_round

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:
        values = [
            f"{data}-{metric}:{scores[-1]:.5f}"
            for data, metrics in evals_log.items()
            for metric, scores in metrics.items()
        ]
        print("\t".join([f"[{self._first + epoch}]", *values]), flush=True)
        return False


class SaveModel(TrainingCallback):  # type: ignore[misc]
    """The model so far, under its final name, so that a stop leaves one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:
        save(model, self._path)
        return False


class SaveCheckpoint(TrainingCallback):  # type: ignore[misc]
    """One checkpoint a round, the last few kept."""

    def __init__(self, directory: Path, first_round: int) -> None:
        super().__init__()
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._first = directory, first_round

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:
        number = self._first + epoch
        save(model, self._directory / f"{CHECKPOINT}.{number}")
        (self._directory / f"{CHECKPOINT}.{number - KEPT}").unlink(missing_ok=True)
        return False


def last_checkpoint(directory: Path | None) -> tuple[Path | None, int]:
    """The newest checkpoint, and how many rounds it has behind it."""
    if directory is None or not directory.is_dir():
        return None, 0
    numbers = [
        int(found[1])
        for path in directory.iterdir()
        if (found := re.fullmatch(rf"{CHECKPOINT}\.([0-9]+)", path.name))
    ]
    if not numbers:
        return None, 0
    return directory / f"{CHECKPOINT}.{max(numbers)}", max(numbers) + 1


def end_at_sigterm(path: Path) -> None:
    """End well when the job is stopped, with what `save` has finished at `path`."""

    def end(_signal: int, _frame: object) -> None:
        _unfinished(path).unlink(missing_ok=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def save(model: Any, path: Path) -> None:
    """Whole or not at all: a reader never sees a part of it."""
    unfinished = _unfinished(path)
    unfinished.write_bytes(model.save_raw(raw_format="ubj"))
    os.replace(unfinished, path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.sagemaker-ignore")
