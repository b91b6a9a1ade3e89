"""Route: what an endpoint serves now. Never changed, only replaced: a call sees one of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from sagestack.serving.capture import Capture
from sagestack.serving.fleet import Fleet


class NoVariant(Exception):
    """No variant can take the call: the named one is not there, or all weights are 0."""


class Gate:
    """Lets so many calls through at once."""

    def __init__(self, most: int) -> None:
        self._semaphore = threading.BoundedSemaphore(most)

    def enter(self) -> bool:
        return self._semaphore.acquire(blocking=False)

    def leave(self) -> None:
        self._semaphore.release()


@dataclass(frozen=True)
class Variant:
    name: str
    weight: float
    fleet: Fleet
    most_bytes: int
    """In a request's body."""
    gate: Gate | None = None
    """A serverless variant's MaxConcurrency."""


@dataclass(frozen=True)
class Route:
    variants: Sequence[Variant]
    capture: Capture | None = None
    total: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", sum(v.weight for v in self.variants))

    def choose(self, target: str | None = None) -> Variant:
        """The variant that is named, or one by weight. Raises NoVariant."""
        if target is not None:
            for variant in self.variants:
                if variant.name == target:
                    return variant
            raise NoVariant
        if len(self.variants) == 1:
            return self.variants[0]
        mark = random.random() * self.total
        for variant in self.variants:
            mark -= variant.weight
            if mark < 0:
                return variant
        raise NoVariant
