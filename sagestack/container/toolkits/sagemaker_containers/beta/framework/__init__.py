"""What inference scripts import from the toolkit: content types, encoders, responses."""

from __future__ import annotations

from . import content_types, encoders, env, errors, worker

__all__ = ["content_types", "encoders", "env", "errors", "worker"]

ABSENT = (
    *("entry_point", "files", "functions", "logging", "mapping", "modules", "params"),
    *("process", "server", "trainer", "transformer"),
)


class Absent:
    """A module of the toolkit's that scripts import and do not use."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> None:
        raise AttributeError(f"sagestack has no {__name__}.{self._name}.{attribute}")


def __getattr__(name: str) -> Absent:
    if name in ABSENT:
        return Absent(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
