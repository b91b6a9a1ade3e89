"""tuner: the search of a hyperparameter tuning job, on Optuna, asked and told over JSON lines.

Runs under the interpreter of the image `tuner`. Each line on stdin is a command, answered by
one line on stdout. It ends when stdin closes, which it does when the server dies.

    study   study strategy direction seed startup_trials space pruning   {}
    known   study parameters value        {"added": whether the study can learn from it}
    ask     study                         {"trial": number, "parameters": {name: text}}
    report  study trial step value        {"prune": whether to stop the trial}
    tell    study trial value pruned      {}

`space` lists {"name", "type", "low", "high", "scale"} or {"name", "type", "choices"}. `pruning`
is null, {"rule": "median"} or {"rule": "hyperband", "min": n, "max": n}. Values of parameters
are texts on both sides, as hyperparameters are. A command that fails answers {"error": text}.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState, create_trial

REPEATED_ASKS = 50
"""How often another combination is asked for in the place of one that was tried."""
MEDIAN_STARTUP_TRIALS = 3
"""Trials that have to be complete before the median rule ends any."""

Answer = dict[str, Any]


class Parameter:
    """A hyperparameter's distribution, and its values as texts."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.name: str = entry["name"]
        self._low: Any = entry.get("low")
        self._high: Any = entry.get("high")
        self._reverse = entry.get("scale") == "reverse-log"
        self.distribution = self._distribution(entry)

    def text(self, value: Any) -> str:
        if self._reverse:
            # 1 - (1 - x) can miss a bound by a rounding error.
            value = min(max(1.0 - value, self._low), self._high)
        return value if isinstance(value, str) else repr(value)

    def value(self, text: str) -> Any:
        """The value behind a text. Raises ValueError for one outside the distribution."""
        if isinstance(self.distribution, CategoricalDistribution):
            value: Any = text
        elif isinstance(self.distribution, IntDistribution):
            value = int(text)
        else:
            value = 1.0 - float(text) if self._reverse else float(text)
        self.distribution.to_internal_repr(value)
        return value

    def _distribution(self, entry: dict[str, Any]) -> BaseDistribution:
        if entry["type"] == "categorical":
            return CategoricalDistribution(entry["choices"])
        log = entry["scale"] == "log"
        if entry["type"] == "int":
            return IntDistribution(self._low, self._high, log=log)
        if self._reverse:
            return FloatDistribution(1.0 - self._high, 1.0 - self._low, log=True)
        return FloatDistribution(self._low, self._high, log=log)


class Search:
    """One study: a space, a sampler, a pruner and the trials up to now."""

    def __init__(self, command: dict[str, Any]) -> None:
        self._parameters = [Parameter(entry) for entry in command["space"]]
        self._distributions = {each.name: each.distribution for each in self._parameters}
        self._trials: dict[int, Trial] = {}
        self._tried: set[tuple[str, ...]] = set()
        self._study = optuna.create_study(
            # Hyperband draws a trial's bracket from the study's name.
            study_name=command["study"],
            direction=command["direction"],
            sampler=sampler(command),
            pruner=pruner(command["pruning"]),
        )

    def known(self, parameters: dict[str, str], value: float) -> Answer:
        """Learn from a trial of another tuning job, where its values lie in this space."""
        try:
            values = {each.name: each.value(parameters[each.name]) for each in self._parameters}
            trial = create_trial(
                params=values, distributions=dict(self._distributions), value=value
            )
        except (KeyError, ValueError):
            return {"added": False}
        self._study.add_trial(trial)
        self._tried.add(tuple(parameters[each.name] for each in self._parameters))
        return {"added": True}

    def ask(self) -> Answer:
        """The next combination; one that was tried only if no other was found."""
        for _ in range(REPEATED_ASKS):
            trial = self._study.ask(dict(self._distributions))
            texts = {each.name: each.text(trial.params[each.name]) for each in self._parameters}
            if tuple(texts.values()) not in self._tried:
                break
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            trial = self._study.ask(dict(self._distributions))
            texts = {each.name: each.text(trial.params[each.name]) for each in self._parameters}
        self._tried.add(tuple(texts.values()))
        self._trials[trial.number] = trial
        return {"trial": trial.number, "parameters": texts}

    def report(self, trial: int, step: int, value: float) -> Answer:
        self._trials[trial].report(value, step)
        return {"prune": bool(self._trials[trial].should_prune())}

    def tell(self, trial: int, value: float | None, pruned: bool) -> Answer:
        """`value` is None where the objective did not appear."""
        ended = self._trials.pop(trial)
        if value is None:
            self._study.tell(ended, state=TrialState.FAIL)
        elif pruned:
            self._study.tell(ended, state=TrialState.PRUNED)
        else:
            self._study.tell(ended, value)
        return {}


class Grid(GridSampler):  # type: ignore[misc]
    """Its caller counts the combinations; there is no loop of Optuna's to stop at the last."""

    def after_trial(self, *arguments: Any) -> None:
        pass


def sampler(command: dict[str, Any]) -> BaseSampler:
    seed = command["seed"]
    match command["strategy"]:
        case "Grid":
            choices = {entry["name"]: entry["choices"] for entry in command["space"]}
            return Grid(choices, seed=seed)
        case "Bayesian":
            return TPESampler(seed=seed, n_startup_trials=command["startup_trials"])
        case _:
            # Hyperband's own part is to end trials; what it tries is drawn at random.
            return RandomSampler(seed=seed)


def pruner(pruning: dict[str, Any] | None) -> BasePruner:
    if pruning is None:
        return NopPruner()
    if pruning["rule"] == "hyperband":
        return HyperbandPruner(min_resource=pruning["min"], max_resource=pruning["max"])
    return MedianPruner(n_startup_trials=MEDIAN_STARTUP_TRIALS)


def answer(command: dict[str, Any], studies: dict[str, Search]) -> Answer:
    name, study = command.pop("command"), command["study"]
    if name == "study":
        studies[study] = Search(command)
        return {}
    search = studies[command.pop("study")]
    commands: dict[str, Callable[..., Answer]] = {
        "known": search.known,
        "ask": search.ask,
        "report": search.report,
        "tell": search.tell,
    }
    return commands[name](**command)


def main() -> None:
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    studies: dict[str, Search] = {}
    for line in sys.stdin:
        try:
            said = answer(json.loads(line), studies)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
