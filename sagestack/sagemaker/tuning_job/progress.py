"""Progress: what the trials up to now mean for the rest of a tuning job. Pure state.

Source: developer guide, automatic-model-tuning-progress.
"""

from __future__ import annotations

from dataclasses import dataclass

from sagestack.sagemaker.tuning_job.limits import Limits

ATTEMPTS = 5
"""Trials that may end without any having succeeded. Seen from AWS, as are the texts."""
IMPROVEMENT = 0.01
"""The share by which a trial has to be better for the objective to count as improved."""
CONVERGED_AFTER = 10
"""Trials without improvement after which we call a tuning job converged. AWS tells only that
its own rule looks for improvements of more than 1 %."""


@dataclass(frozen=True)
class Verdict:
    """How a tuning job ends."""

    status: str
    reason: str | None = None


class Progress:
    def __init__(self, limits: Limits, *, maximize: bool) -> None:
        self._limits = limits
        self._maximize = maximize
        self.launched = 0
        self.running = 0
        self.not_improving = 0
        """Evaluated trials since the last that improved the objective by 1 %."""
        self._succeeded = 0
        self._evaluated = 0
        self._best: float | None = None
        self._improved_to: float | None = None

    @property
    def converged(self) -> bool:
        return self.not_improving >= CONVERGED_AFTER

    def may_launch(self) -> bool:
        limit = self._limits.jobs
        return self.running < self._limits.parallel and (limit is None or self.launched < limit)

    def launch(self) -> None:
        self.launched += 1
        self.running += 1

    def end(self, *, failed: bool, value: float | None) -> bool:
        """A trial ended: `failed` is its training job's status, `value` the objective where it
        was evaluated. True where it is the best one."""
        self.running -= 1
        self._succeeded += not failed
        if value is None:
            return False
        self._evaluated += 1
        self._count_improvement(value)
        if self._best is None or self._gain(value, self._best) > 0:
            self._best = value
            return True
        return False

    def verdict(self, seconds: float) -> Verdict | None:
        """What ends the tuning job before its last trial is launched; None to go on."""
        if self._evaluated == 0 and self.launched - self.running >= ATTEMPTS:
            return self.result()
        limits = self._limits
        over = limits.seconds is not None and seconds >= limits.seconds
        stagnates = limits.not_improving is not None and self.not_improving >= limits.not_improving
        converged = limits.on_convergence and self.converged
        if over or stagnates or converged or self._target_is_reached():
            return self.result()
        return None

    def result(self) -> Verdict:
        """How a tuning job ends that has done all it was to do, by what its trials came to."""
        ended = self.launched - self.running
        if self._evaluated or not ended:
            return Verdict("Completed")
        if self._succeeded == 0:
            return Verdict(
                "Failed",
                f"No training job succeeded after {ended} attempts. For additional details, please "
                "take a look at the training job failures by listing training jobs for the "
                "hyperparameter tuning job.",
            )
        return Verdict(
            "Failed",
            f"No objective metrics found after running {ended} training jobs. Please ensure that "
            "the custom algorithm is emitting the objective metric as defined by the regular "
            "expression provided.",
        )

    def _target_is_reached(self) -> bool:
        if self._best is None or self._limits.target is None:
            return False
        return self._gain(self._best, self._limits.target) >= 0

    def _count_improvement(self, value: float) -> None:
        before = self._improved_to
        if before is not None:
            gain = self._gain(value, before)
            if gain <= 0 or gain < IMPROVEMENT * abs(before):
                self.not_improving += 1
                return
        self._improved_to, self.not_improving = value, 0

    def _gain(self, value: float, reference: float) -> float:
        return value - reference if self._maximize else reference - value
