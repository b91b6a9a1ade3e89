"""Ranges of hyperparameters: what ParameterRanges asks to search, checked and scaled.

Source: developer guide, automatic-model-tuning-define-ranges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sagestack.aws.errors import ValidationException
from sagestack.sagemaker.job_rules import refuse_members

MOST_RANGES = 30
"""Hyperparameters that one definition may search. Source: HyperParameterRanges."""
ORDERS_OF_MAGNITUDE = 2
"""A positive range that spans as many is searched on a logarithmic scale where the scale is
Auto. AWS does not say how it chooses."""
LARGEST = 2.0**63
"""What the search can count and measure."""
KINDS = {"Continuous": "float", "Integer": "int", "Categorical": "categorical"}
SCALES = {"Linear": "linear", "Logarithmic": "log", "ReverseLogarithmic": "reverse-log"}


@dataclass(frozen=True)
class Range:
    """One hyperparameter: bounds and a scale, or categories."""

    name: str
    kind: str
    low: float = 0
    high: float = 0
    scale: str = "Linear"
    categories: tuple[str, ...] = ()

    @property
    def values(self) -> float:
        """How many values there are to try."""
        if self.kind == "Categorical":
            return len(self.categories)
        if self.kind == "Integer":
            return self.high - self.low + 1
        return 1 if self.low == self.high else math.inf

    def for_search(self) -> dict[str, Any]:
        """As container/tuner.py takes it."""
        if self.kind == "Categorical":
            return {"name": self.name, "type": "categorical", "choices": list(self.categories)}
        return {
            "name": self.name,
            "type": KINDS[self.kind],
            "low": self.low,
            "high": self.high,
            "scale": SCALES[self.scale],
        }


def parse_ranges(given: dict[str, Any]) -> tuple[Range, ...]:
    """The ranges of a ParameterRanges structure. Raises ValidationException."""
    refuse_members(given, "AutoParameters")
    ranges = (
        *(_numeric("Continuous", entry) for entry in given.get("ContinuousParameterRanges", ())),
        *(_numeric("Integer", entry) for entry in given.get("IntegerParameterRanges", ())),
        *(_categorical(entry) for entry in given.get("CategoricalParameterRanges", ())),
    )
    names = [each.name for each in ranges]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValidationException(
            f"Hyperparameter names must be unique in the parameter ranges: {', '.join(twice)}"
        )
    if len(ranges) > MOST_RANGES:
        raise ValidationException(
            f"The number of hyperparameters to search, [{len(ranges)}], exceeds the limit of "
            f"{MOST_RANGES}."
        )
    return ranges


def combinations(ranges: tuple[Range, ...]) -> float:
    """How many combinations of values there are: infinite with a continuous range."""
    return math.prod(each.values for each in ranges)


def _numeric(kind: str, entry: dict[str, Any]) -> Range:
    name = entry["Name"]
    low, high = (_number(kind, name, member, entry[member]) for member in ("MinValue", "MaxValue"))
    if low > high:
        raise ValidationException(
            f"The MinValue of hyperparameter {name}, [{entry['MinValue']}], must be less than or "
            f"equal to its MaxValue, [{entry['MaxValue']}]."
        )
    scale = entry.get("ScalingType", "Auto")
    if scale == "Auto":
        wide = low > 0 and high / low >= 10**ORDERS_OF_MAGNITUDE
        scale = "Logarithmic" if wide else "Linear"
    if scale == "Logarithmic" and low <= 0:
        raise ValidationException(
            f"Logarithmic scaling works only for ranges that have only values greater than 0. "
            f"The MinValue of hyperparameter {name} is [{entry['MinValue']}]."
        )
    if scale == "ReverseLogarithmic":
        _check_reverse(kind, name, low, high)
    return Range(name, kind, low, high, scale)


def _check_reverse(kind: str, name: str, low: float, high: float) -> None:
    if kind != "Continuous":
        raise ValidationException(
            "ReverseLogarithmic scaling is supported only for continuous hyperparameter ranges. "
            f"Hyperparameter {name} has an {kind.lower()} range."
        )
    if low < 0 or high >= 1:
        raise ValidationException(
            "ReverseLogarithmic scaling works only for ranges that are entirely within the range "
            f"0<=x<1.0. Hyperparameter {name} has the range [{low}, {high}]."
        )


def _number(kind: str, name: str, member: str, text: str) -> float:
    try:
        number: float = int(text) if kind == "Integer" else float(text)
    except ValueError:
        number = math.nan
    if not abs(number) < LARGEST:
        wanted = "an integer" if kind == "Integer" else "a number"
        raise ValidationException(
            f"The {member} of hyperparameter {name}, [{text}], is not {wanted}."
        )
    return number


def _categorical(entry: dict[str, Any]) -> Range:
    values = entry["Values"]
    if len(set(values)) != len(values):
        raise ValidationException(
            f"The values of categorical hyperparameter {entry['Name']} must be unique."
        )
    return Range(entry["Name"], "Categorical", categories=tuple(values))
