"""TracebackReader: finds, in a program's stderr, the exception that ended it."""

from __future__ import annotations

import re

_START = re.compile(
    r"""\s*(\+ Exception Group )?Traceback \(most recent call last\):|  File ".*", line"""
)


class TracebackReader:
    """Reads line by line and keeps one: the last line of the last traceback, such as
    `ValueError: boom`. A SyntaxError has no header, but begins with its place."""

    def __init__(self) -> None:
        self.error: str | None = None
        self._inside = False

    def read(self, line: str) -> None:
        if _START.match(line):
            self._inside = True
        elif self._inside and line and not line[0].isspace():
            self.error = line.rstrip()
            self._inside = False
