"""A tuning job, carried out: ask for a combination, train with it, tell what came of it.

Runs on a thread of its own and holds none of the slots its training jobs need. It sleeps
until a trial prints its objective or ends, a stop is asked for, or the time is over.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.errors import AwsError
from sagestack.aws.store import Record
from sagestack.engine.executor import Control
from sagestack.engine.images import ImageBuildError
from sagestack.engine.metrics import MetricValue
from sagestack.sagemaker.job_record import JobRecord
from sagestack.sagemaker.job_run import INTERNAL_ERROR
from sagestack.sagemaker.tags import tag_list
from sagestack.sagemaker.tuning_job import record
from sagestack.sagemaker.tuning_job.definition import Definition, definitions_of
from sagestack.sagemaker.tuning_job.limits import Hyperband, Limits
from sagestack.sagemaker.tuning_job.progress import Progress, Verdict
from sagestack.sagemaker.tuning_job.ranges import combinations
from sagestack.sagemaker.tuning_job.search import IMAGE, Search, SearchFailed, Suggestion, prunes
from sagestack.sagemaker.tuning_job.trials import Summary, add_trial, end_trial, objective_of
from sagestack.sagemaker.tuning_job.warm_start import (
    best_of_parents,
    better,
    compares_with_parents,
    known_trials,
)

LOG = logging.getLogger(__name__)
STOPPED = Verdict("Stopped")


def run_tuning_job(job: JobRecord, control: Control) -> None:
    """Raises nothing: whatever happens ends in the record."""
    try:
        verdict = _carry_out(job, control)
    except ImageBuildError as error:
        verdict = Verdict("Failed", f"InternalServerError: The search can't be built: {error}")
    except Exception:
        LOG.exception("%s", job.arn)
        verdict = Verdict("Failed", INTERNAL_ERROR)

    def edit(document: Document) -> None:
        stopping = document["HyperParameterTuningJobStatus"] == "Stopping"
        last = STOPPED if stopping and verdict.status == "Completed" else verdict
        record.end(document, last.status, last.reason)

    try:
        job.change(edit)
    except Exception:
        LOG.exception("the end of %s could not be written", job.arn)


def _carry_out(job: JobRecord, control: Control) -> Verdict:
    if control.stop_requested or job.read().status == "Stopping":
        return STOPPED
    images = job.context.instance.images
    image = next(image for image in images if image.name == IMAGE)
    with Search(images.environment(image).python) as search:
        return _Tuning(job, search).run(control)


@dataclass
class _Trial:
    """One that runs. `step` counts the values of the objective it has printed."""

    name: str
    arn: str
    study: str
    definition: Definition
    suggestion: Suggestion
    step: int = 0
    pruned: bool = False
    told_to_stop: bool = False


Event = Callable[[], None]


class _Tuning:
    def __init__(self, job: JobRecord, search: Search) -> None:
        self._job, self._search, self._context = job, search, job.context
        self._store = job.context.store
        self._record = job.read()
        document = self._record.document
        self._name: str = document["HyperParameterTuningJobName"]
        self._config: dict[str, Any] = document["HyperParameterTuningJobConfig"]
        # The studies go by the numbers of the definitions: a definition needs no name.
        self._studies = {str(i): each for i, each in enumerate(definitions_of(document))}
        self._launches = dict.fromkeys(self._studies, 0)
        self._maximize = self._studies["0"].maximize
        self._limits = Limits.of(self._config, self._studies.values())
        self._progress = Progress(self._limits, maximize=self._maximize)
        self._tags = tag_list(self._store.tags(job.arn))
        self._trials: dict[str, _Trial] = {}
        self._verdict: Verdict | None = None
        self._inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def run(self, control: Control) -> Verdict:
        control.on_stop(lambda: self._inbox.put(partial(self._end_with, STOPPED)))
        self._guarded(self._begin_search)
        while True:
            self._judge()
            while self._verdict is None and self._progress.may_launch():
                self._guarded(self._launch)
            if not self._trials:
                return self._verdict or self._progress.result()
            with contextlib.suppress(queue.Empty):
                self._guarded(self._inbox.get(timeout=self._seconds_left()))

    def _guarded(self, step: Event) -> None:
        """Take a step. One that fails ends the tuning job, after the trials that run."""
        try:
            step()
        except AwsError as error:
            self._end_with(Verdict("Failed", f"ClientError: {error.message}"))
        except SearchFailed as error:
            self._end_with(Verdict("Failed", f"InternalServerError: The search failed: {error}"))
        except Exception:
            LOG.exception("%s", self._job.arn)
            self._end_with(Verdict("Failed", INTERNAL_ERROR))

    def _judge(self) -> None:
        verdict = self._progress.verdict(self._seconds())
        if verdict is not None:
            self._end_with(verdict)

    def _end_with(self, verdict: Verdict) -> None:
        """Launch no more, stop what runs. The first verdict stays."""
        if self._verdict is None:
            self._verdict = verdict
            for trial in self._trials.values():
                self._stop(trial)

    def _begin_search(self) -> None:
        seed = self._config.get("RandomSeed")
        document = self._record.document
        for number, (study, definition) in enumerate(self._studies.items()):
            own = None if seed is None else (seed + number) % 2**32
            self._search.add_study(study, definition, self._config, own)
            for parameters, value in known_trials(document, definition, self._context):
                self._search.add_known(study, parameters, value)
        best = best_of_parents(document, self._studies["0"], self._context)
        if best is not None:
            self._edit(lambda document: document.update(OverallBestTrainingJob=best))

    def _launch(self) -> None:
        study = self._next_study()
        definition = self._studies[study]
        suggestion = self._search.ask(study)
        number = self._progress.launched + 1
        name = f"{self._name}-{number:03d}-{secrets.token_hex(4)}"
        arn = self._context.caller.arn("sagemaker", f"training-job/{name.lower()}")
        trial = _Trial(name, arn, study, definition, suggestion)
        if prunes(self._config):
            self._context.instance.metric_feed.listen(arn, partial(self._on_printed, trial))
        request = definition.training_request(name, suggestion.parameters)
        self._context.call("sagemaker", "CreateTrainingJob", request | {"Tags": self._tags})
        self._trials[name] = trial
        self._launches[study] += 1
        self._progress.launch()
        training_job, tuned = self._training_job(trial), suggestion.parameters
        add_trial(self._record, training_job, definition, tuned, self._store)
        self._edit(record.count_launch)
        self._context.instance.executor.when_ended(
            arn, lambda: self._inbox.put(partial(self._on_end, trial))
        )

    def _next_study(self) -> str:
        """The definitions take turns; of a grid that is done it is nobody's turn."""
        grid = self._config["Strategy"] == "Grid"
        rest = [
            study
            for study, definition in self._studies.items()
            if not grid or self._launches[study] < combinations(definition.ranges)
        ]
        return min(rest, key=self._launches.__getitem__)

    def _on_printed(self, trial: _Trial, value: MetricValue) -> None:
        """On the thread that reads the trial's output."""
        if value.name == trial.definition.metric:
            self._inbox.put(partial(self._on_value, trial, value.value))

    def _on_value(self, trial: _Trial, value: float) -> None:
        if self._verdict is not None or trial.told_to_stop or not math.isfinite(value):
            return
        trial.step += 1
        if self._is_beyond_its_share(trial):
            return self._stop(trial)
        number = trial.suggestion.trial
        trial.pruned = self._search.report(trial.study, number, trial.step, value)
        if trial.pruned:
            self._stop(trial)

    def _is_beyond_its_share(self, trial: _Trial) -> bool:
        """One that has just as many epochs as it may use is left to save its model."""
        if self._config["Strategy"] != "Hyperband":
            return False
        return trial.step > Hyperband.of(self._config, trial.definition).most

    def _on_end(self, trial: _Trial) -> None:
        del self._trials[trial.name]
        self._context.instance.metric_feed.leave(trial.arn)
        training_job = self._training_job(trial)
        summary = end_trial(self._record.key, training_job, trial.definition, self._store)
        value = objective_of(summary)
        failed = summary["TrainingJobStatus"] == "Failed"
        is_best = self._progress.end(failed=failed, value=value)
        self._edit(partial(self._count_end, summary=summary, is_best=is_best))
        if self._verdict is None:
            number = trial.suggestion.trial
            self._search.tell(trial.study, number, value, pruned=trial.pruned)

    def _count_end(self, document: Document, summary: Summary, is_best: bool) -> None:
        record.count_end(document, summary)
        details = document.setdefault("TuningJobCompletionDetails", {})
        details["NumberOfTrainingJobsObjectiveNotImproving"] = self._progress.not_improving
        if self._progress.converged:
            details.setdefault("ConvergenceDetectedTime", datetime.now(UTC))
        if is_best:
            document["BestTrainingJob"] = summary
            if compares_with_parents(document):
                ours = summary | {"TuningJobName": self._name}
                best = better(document.get("OverallBestTrainingJob"), ours, self._maximize)
                document["OverallBestTrainingJob"] = best

    def _stop(self, trial: _Trial) -> None:
        if not trial.told_to_stop:
            trial.told_to_stop = True
            # It may have ended by itself just now.
            with contextlib.suppress(AwsError):
                request = {"TrainingJobName": trial.name}
                self._context.call("sagemaker", "StopTrainingJob", request)

    def _training_job(self, trial: _Trial) -> Record:
        training_job = self._store.by_arn(trial.arn)
        assert training_job is not None, f"{trial.arn} was launched, so it is stored"
        return training_job

    def _edit(self, edit: Callable[[Document], None]) -> None:
        """Change what is no status: nothing is told of it."""
        self._store.update(self._record.key, edit, touch=False)

    def _seconds(self) -> float:
        return (datetime.now(UTC) - self._record.created).total_seconds()

    def _seconds_left(self) -> float | None:
        """Until the time is over; None where it does not matter."""
        if self._verdict is not None or self._limits.seconds is None:
            return None
        return max(0.0, self._limits.seconds - self._seconds())
