"""Search: the studies of one tuning job, in a process of the image `tuner`.

The other side is container/tuner.py, which says what the commands are.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from sagestack.sagemaker.tuning_job.definition import Definition
from sagestack.sagemaker.tuning_job.limits import Hyperband, Limits

PROGRAM = Path(__file__).parents[2] / "container" / "tuner.py"
IMAGE = "tuner"
FEWEST_STARTUP_TRIALS, MOST_STARTUP_TRIALS = 3, 10
"""Bayesian search draws at random for a third of its trials, between these bounds."""


class SearchFailed(Exception):
    """The process ended, or could not carry out a command. The text is its own."""


@dataclass(frozen=True)
class Suggestion:
    """A combination to try, and the number by which the study knows it."""

    trial: int
    parameters: dict[str, str]


class Search:
    """Not for use by several threads. Ends with its `with` block, or when we die."""

    def __init__(self, python: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by __exit__
        self._process = subprocess.Popen(
            [str(python), "-I", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # One thread is enough for what a study computes.
            env={"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def __enter__(self) -> Search:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=5)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def add_study(
        self, name: str, definition: Definition, config: dict[str, Any], seed: int | None
    ) -> None:
        """`config` is the HyperParameterTuningJobConfig."""
        jobs = Limits.of(config, [definition]).jobs or 3 * MOST_STARTUP_TRIALS
        self._command(
            "study",
            name,
            strategy=config["Strategy"],
            direction="maximize" if definition.maximize else "minimize",
            seed=seed,
            startup_trials=min(max(jobs // 3, FEWEST_STARTUP_TRIALS), MOST_STARTUP_TRIALS),
            space=[each.for_search() for each in definition.ranges],
            pruning=_pruning(config, definition),
        )

    def add_known(self, study: str, parameters: Mapping[str, str], value: float) -> bool:
        """Tell of a trial of another tuning job; False where it lies outside the ranges."""
        answer = self._command("known", study, parameters=dict(parameters), value=value)
        return bool(answer["added"])

    def ask(self, study: str) -> Suggestion:
        return Suggestion(**self._command("ask", study))

    def report(self, study: str, trial: int, step: int, value: float) -> bool:
        """Tell an intermediate value; True where the trial is not worth going on with."""
        answer = self._command("report", study, trial=trial, step=step, value=value)
        return bool(answer["prune"])

    def tell(self, study: str, trial: int, value: float | None, *, pruned: bool) -> None:
        """How a trial ended; `value` is None where its objective was not evaluated."""
        self._command("tell", study, trial=trial, value=value, pruned=pruned)

    def _command(self, command: str, study: str, **members: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        line = json.dumps({"command": command, "study": study, **members})
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            said = self._process.stdout.readline()
        except BrokenPipeError:
            said = ""
        if not said:
            raise SearchFailed(self._last_words())
        answer: dict[str, Any] = json.loads(said)
        if "error" in answer:
            raise SearchFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace").strip()
        return f"the search ended with code {code}: {text[-500:]}"


def prunes(config: dict[str, Any]) -> bool:
    """Whether trials may be ended for the values they print while they run."""
    early = config.get("TrainingJobEarlyStoppingType") == "Auto"
    return early or bool(config["Strategy"] == "Hyperband")


def _pruning(config: dict[str, Any], definition: Definition) -> dict[str, Any] | None:
    if not prunes(config):
        return None
    if config["Strategy"] != "Hyperband":
        return {"rule": "median"}
    resource = Hyperband.of(config, definition)
    return {"rule": "hyperband", "min": resource.least, "max": resource.most}
