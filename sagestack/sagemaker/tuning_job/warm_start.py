"""Warm start: a tuning job that begins with what earlier ones found.

Source: developer guide, automatic-model-tuning-warm-start. Both types learn from the trials
of the parents; IdenticalDataAndAlgorithm also compares its best trial with theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sagestack.aws.errors import ResourceNotFound, ValidationException
from sagestack.aws.registry import Request
from sagestack.aws.store import Record
from sagestack.context import Context
from sagestack.sagemaker.tuning_job.definition import Definition, definitions_of
from sagestack.sagemaker.tuning_job.record import key_of, not_found
from sagestack.sagemaker.tuning_job.trials import Summary, objective_of, trials_of

MOST_CHANGES = 10
"""Of values that are static now and were not, or were others."""
CODE_CHANNELS = ("code", "sm_drivers")
"""Where the SDK v3 sends programs, under another key each time: no data."""
ENDED = ("Completed", "Stopped", "Failed")
STRATEGIES = ("Bayesian", "Random")


def check_warm_start(request: Request, definition: Definition, context: Context) -> None:
    """Raises ValidationException, ResourceNotFound."""
    strategy = request["HyperParameterTuningJobConfig"]["Strategy"]
    if strategy not in STRATEGIES:
        raise ValidationException(f"Warm start is not supported for the {strategy} strategy.")
    for name in _parent_names(request):
        parent = context.store.get(key_of(name, context))
        if parent is None:
            raise ResourceNotFound(not_found(name))
        if parent.status not in ENDED:
            raise ValidationException(
                f"Parent tuning jobs must be in a terminal state (Completed, Stopped, or Failed). "
                f"The tuning job {name} is in status {parent.status}."
            )
        theirs = list(definitions_of(parent.document))
        if len(theirs) > 1:
            raise ValidationException(
                f"The parent tuning job {name} has several training job definitions. Warm start "
                "is supported only for tuning jobs with a single one."
            )
        _check_same_objective(definition, theirs[0], name)
        _check_same_hyperparameters(definition, theirs[0], name)
        if compares_with_parents(request):
            _check_identical(definition, theirs[0], name)


def known_trials(
    document: Mapping[str, Any], definition: Definition, context: Context
) -> Iterator[tuple[dict[str, str], float]]:
    """What the parents found: values for the hyperparameters that are tuned now, static or
    tuned then, and the objective's value."""
    for parent in _parents(document, context):
        (theirs,) = definitions_of(parent.document)
        for trial in trials_of(parent.key, context.store):
            value = objective_of(trial.document)
            if value is not None:
                had = theirs.static | trial.document["TunedHyperParameters"]
                yield {each.name: had[each.name] for each in definition.ranges}, value


def compares_with_parents(document: Mapping[str, Any]) -> bool:
    """Whether there is an OverallBestTrainingJob."""
    kind = document.get("WarmStartConfig", {}).get("WarmStartType")
    return bool(kind == "IdenticalDataAndAlgorithm")


def best_of_parents(
    document: Mapping[str, Any], definition: Definition, context: Context
) -> Summary | None:
    """The parents' best trial, where this tuning job's own is compared with it."""
    if not compares_with_parents(document):
        return None
    best: Summary | None = None
    for parent in _parents(document, context):
        if theirs := parent.document.get("BestTrainingJob"):
            named = theirs | {"TuningJobName": parent.document["HyperParameterTuningJobName"]}
            best = better(best, named, definition.maximize)
    return best


def better(best: Summary | None, other: Summary, maximize: bool) -> Summary:
    """Of two evaluated trials the better one; the first of two that are equal."""
    if best is None:
        return other
    ours, theirs = objective_of(best), objective_of(other)
    assert ours is not None and theirs is not None
    return other if (theirs > ours if maximize else theirs < ours) else best


def _parent_names(document: Mapping[str, Any]) -> list[str]:
    config = document.get("WarmStartConfig", {"ParentHyperParameterTuningJobs": ()})
    parents = config["ParentHyperParameterTuningJobs"]
    if any("HyperParameterTuningJobName" not in parent for parent in parents):
        raise ValidationException(
            "HyperParameterTuningJobName is required in ParentHyperParameterTuningJobs."
        )
    return [parent["HyperParameterTuningJobName"] for parent in parents]


def _parents(document: Mapping[str, Any], context: Context) -> Iterator[Record]:
    """Those that are still there."""
    for name in _parent_names(document):
        if parent := context.store.get(key_of(name, context)):
            yield parent


def _check_same_objective(ours: Definition, theirs: Definition, parent: str) -> None:
    if (ours.metric, ours.maximize) != (theirs.metric, theirs.maximize):
        raise ValidationException(
            f"The objective metric must be the same as that of the parent tuning job {parent}, "
            f"which is {theirs.metric}."
        )


def _check_same_hyperparameters(ours: Definition, theirs: Definition, parent: str) -> None:
    kinds, their_kinds = ({r.name: r.kind for r in d.ranges} for d in (ours, theirs))
    if kinds.keys() | ours.static.keys() != their_kinds.keys() | theirs.static.keys():
        raise ValidationException(
            "The set of tunable plus static HyperParameter names is not the same across current "
            "and parent tuning jobs. Please ensure this set is constant when warm starting. Note "
            "that previously static HyperParameters can be tuned in warm start jobs and vice versa."
        )
    changed = [name for name, kind in kinds.items() if their_kinds.get(name, kind) != kind]
    if changed:
        raise ValidationException(
            "The type of a hyperparameter must not change between parent tuning jobs and the new "
            f"one. These have another type in {parent}: {', '.join(changed)}"
        )
    changes = _changes(ours, theirs)
    if changes > MOST_CHANGES:
        raise ValidationException(
            f"The changes from tunable to static hyperparameters and of static values, [{changes}],"
            f" must not be more than {MOST_CHANGES}. Parent tuning job: {parent}."
        )


def _changes(ours: Definition, theirs: Definition) -> int:
    """A changed static value counts twice, the old and the new; a range that became static
    once, or as often as it had categories."""
    tuned = {each.name: each for each in theirs.ranges}
    count = 0
    for name, value in ours.static.items():
        if name in tuned:
            count += max(1, len(tuned[name].categories))
        elif value != theirs.static[name]:
            count += 2
    return count


def _check_identical(ours: Definition, theirs: Definition, parent: str) -> None:
    def data(definition: Definition) -> dict[str, Any]:
        return {
            channel["ChannelName"]: channel["DataSource"]
            for channel in definition.given.get("InputDataConfig", ())
            if channel["ChannelName"] not in CODE_CHANNELS
        }

    def image(definition: Definition) -> Any:
        return definition.given["AlgorithmSpecification"].get("TrainingImage")

    if data(ours) != data(theirs) or image(ours) != image(theirs):
        raise ValidationException(
            "The input data and the training image must be the same as those of the parent tuning "
            f"job {parent} when WarmStartType is IdenticalDataAndAlgorithm."
        )
