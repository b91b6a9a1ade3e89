"""The part of JSONPath that a transform job's filters may use.

`$`, `.name`, `.*`, `['a','b']`, `[0]`, `[1,-1]`, `[1:4]`, `[2:]`, `[:5]`. A slice has its
last index too: `$[1:4]` is columns 2 to 5. Source: developer guide,
batch-transform-data-processing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

STEP = re.compile(
    r"""\.?\[\s*(?:
        (?P<names>'[^']*'(?:\s*,\s*'[^']*')*)
      | (?P<indices>-?\d+(?:\s*,\s*-?\d+)*)
      | (?P<start>-?\d+)?\s*:\s*(?P<end>-?\d+)?
      | (?P<all>\*)
    )\s*\]
    | \.(?P<name>[A-Za-z0-9-]+) | \.(?P<every>\*)""",
    re.VERBOSE,
)
RANGES = re.compile(r"\[[\d\s,:-]*:[\d\s,:-]*\]")


class BadPath(Exception):
    """No path, or one that uses more than this part of JSONPath."""


class MixedRanges(BadPath):
    """Ranges among indices. AWS hears of them only when it comes to the first object."""


class NoMatch(Exception):
    """The value has nothing at the path."""


@dataclass(frozen=True)
class _Names:
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Indices:
    indices: tuple[int, ...]


@dataclass(frozen=True)
class _Slice:
    start: int | None
    end: int | None


class _All:
    pass


_Step = _Names | _Indices | _Slice | _All


class JsonPath:
    def __init__(self, text: str) -> None:
        """Raises BadPath, MixedRanges."""
        self.text = text
        self._steps = tuple(_parse(text))

    @property
    def is_root(self) -> bool:
        return not self._steps

    def select(self, value: Any) -> Any:
        """What is at the path: one value, a list where the path may lead to several, an
        object for several names. Raises NoMatch."""
        found, several = [value], False
        for step in self._steps:
            several = several or not _leads_to_one(step)
            found = [child for parent in found for child in self._children(parent, step)]
        return found if several else found[0]

    def _children(self, value: Any, step: _Step) -> list[Any]:
        match step:
            case _Names(names):
                return [self._members(value, names)]
            case _Indices(indices):
                items = self._items(value)
                return [items[self._position(items, index)] for index in indices]
            case _Slice(start, end):
                items = self._items(value)
                first = 0 if start is None else self._position(items, start)
                last = len(items) - 1 if end is None else self._position(items, end)
                return items[first : last + 1]
            case _:
                return list(value.values()) if isinstance(value, dict) else self._items(value)

    def _members(self, value: Any, names: tuple[str, ...]) -> Any:
        for name in names:
            if not isinstance(value, dict) or name not in value:
                raise NoMatch(f"{self.text}: there is no attribute '{name}'")
        return value[names[0]] if len(names) == 1 else {name: value[name] for name in names}

    def _items(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise NoMatch(f"{self.text}: there is no array")
        return value

    def _position(self, items: list[Any], index: int) -> int:
        position = index + len(items) if index < 0 else index
        if not 0 <= position < len(items):
            raise NoMatch(f"{self.text}: index {index} is out of range, there are {len(items)}")
        return position


def _leads_to_one(step: _Step) -> bool:
    return isinstance(step, _Names) or (isinstance(step, _Indices) and len(step.indices) == 1)


def _parse(text: str) -> Iterator[_Step]:
    if not text.startswith("$"):
        raise BadPath("it must start with $")
    for part in RANGES.findall(text):
        if "," in part or part.count(":") > 1:
            raise MixedRanges(
                f"Invalid JsonPath: {text}: only single range filters of format (eg: [1:5]) are "
                f"supported. Format {part} is not supported"
            )
    position = 1
    while position < len(text):
        match = STEP.match(text, position)
        if match is None:
            raise BadPath(f"it can't be read from {text[position:]!r} on")
        yield _step(match)
        position = match.end()


def _step(match: re.Match[str]) -> _Step:
    if match["names"] is not None:
        return _Names(tuple(re.findall(r"'([^']*)'", match["names"])))
    if match["name"] is not None:
        return _Names((match["name"],))
    if match["indices"] is not None:
        return _Indices(tuple(int(index) for index in match["indices"].split(",")))
    if match["all"] is not None or match["every"] is not None:
        return _All()
    start, end = match["start"], match["end"]
    return _Slice(int(start) if start else None, int(end) if end else None)
