"""Kinds of hyperparameter: how a value is read, and what it may be.

Source of the texts: sagemaker_algorithm_toolkit, hyperparameter_validation.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .errors import UserError


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`. `open_low` and `open_high` leave out the ends."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        low = "(-inf" if self.low == -math.inf else f"{'(' if self.open_low else '['}{self.low}"
        high = "+inf)" if self.high == math.inf else f"{self.high}{')' if self.open_high else ']'}"
        return f"{low}, {high}"


@dataclass(frozen=True)
class Kind:
    """`read` turns the text into a value and raises ValueError where it can't."""

    read: Callable[[str], Any]
    allowed: Any
    """What `in` is asked of, for the value or for each of its elements."""
    elements: Callable[[Any], Iterable[Any]] | None = None
    """The elements of a value that is a list."""

    def check(self, name: str, value: Any) -> None:
        """Raises UserError."""
        if self.elements is None:
            if value not in self.allowed:
                raise UserError(f"Hyperparameter {name}: {value} is not in {self.allowed}")
        elif any(element not in self.allowed for element in self.elements(value)):
            raise UserError(f"Hyperparameter {name}: value {value} not in range {self.allowed}")


def integer(low: float = -math.inf, high: float = math.inf, **ends: bool) -> Kind:
    return Kind(int, Interval(low, high, **ends))


def continuous(low: float = -math.inf, high: float = math.inf, **ends: bool) -> Kind:
    return Kind(float, Interval(low, high, **ends))


def one_of(*values: str) -> Kind:
    return Kind(str, list(values))


def list_of(allowed: Any) -> Kind:
    """Values separated by commas."""
    return Kind(lambda text: text.split(","), allowed, lambda values: values)


def tuple_of(*values: int) -> Kind:
    """A Python tuple, such as `(1, 0, -1)`."""
    return Kind(_literal, list(values), lambda found: found)


def nested_list_of(interval: Interval) -> Kind:
    """A list of lists, such as `[[1, 2], [3, 4]]`."""
    return Kind(_literal, interval, lambda found: [item for inner in found for item in inner])


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except SyntaxError as error:
        raise ValueError(str(error)) from error
