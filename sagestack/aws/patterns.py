"""Patterns: the regular expressions of service models, which are Java's, in Python.

What differs: surrogate pairs, POSIX names (`\\p{Alnum}` is ASCII in Java), `\\z`, and that
`\\w`, `\\d`, `\\s` are ASCII and `.` stops at every line terminator. Unicode categories
such as `\\p{L}` are what the `regex` package is there for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import regex

SURROGATES = r"\uD800\uDC00-\uDBFF\uDFFF"
BEYOND_BMP = r"\U00010000-\U0010FFFF"
NO_LINE_END = r"[^\n\r\x85\u2028\u2029]"
ASCII_CLASSES = {"w": "a-zA-Z0-9_", "d": "0-9", "s": r" \t\n\x0B\f\r"}
POSIX_CLASSES = {"ASCII": r"\x00-\x7F", "Alnum": "a-zA-Z0-9", "Print": r"\x20-\x7E"}
LONGEST_MATCH_SECONDS = 1.0
"""Some patterns backtrack without end on a text that does not match."""


@cache
def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a whole text matches the pattern of a service model."""
    fullmatch = regex.compile(to_python(pattern)).fullmatch

    def matches(text: str) -> bool:
        try:
            return fullmatch(text, timeout=LONGEST_MATCH_SECONDS) is not None
        except TimeoutError:
            return False

    return matches


def to_python(pattern: str) -> str:
    """Rewrite a Java pattern for the `regex` package."""
    pattern = pattern.replace(SURROGATES, BEYOND_BMP)
    out: list[str] = []
    in_class = False
    rest = pattern
    while rest:
        token = _token(rest)
        rest = rest[len(token) :]
        if token in "[]":
            in_class = token == "["
            # A bracket right behind the opening one stands for itself.
            if in_class and rest.startswith(("]", "^]")):
                token, rest = "[" + rest[: rest.index("]")] + r"\]", rest[rest.index("]") + 1 :]
        out.append(_translate(token, in_class))
    return "".join(out)


def _token(text: str) -> str:
    """The first character, or the first escape with what belongs to it."""
    if not text.startswith("\\"):
        return text[0]
    if text.startswith((r"\p{", r"\P{")):
        return text[: text.index("}") + 1]
    return text[:2]


def _translate(token: str, in_class: bool) -> str:
    if token == "." and not in_class:
        return NO_LINE_END
    if token == r"\z":
        return r"\Z"
    body = ASCII_CLASSES.get(token[1:]) if token.startswith("\\") else None
    if token.startswith(r"\p{"):
        body = POSIX_CLASSES.get(token[3:-1])
    if body is None:
        return token
    return body if in_class else f"[{body}]"
