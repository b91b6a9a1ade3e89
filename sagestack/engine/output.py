"""A program's output, cut into lines while it runs."""

from __future__ import annotations

import codecs
import logging
import os
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)
LONGEST_LINE = 256 * 1024 - 26
"""Bytes in one CloudWatch Logs event, its overhead taken off."""

OnLine = Callable[[str], None]


def read_lines(descriptor: int, on_line: OnLine) -> threading.Thread:
    """Call `on_line` with each line, on a thread that ends with the stream.

    What is not UTF-8 is replaced, not lost; a line too long for a log event comes in parts.
    """
    thread = threading.Thread(target=_read, args=(descriptor, on_line), daemon=True)
    thread.start()
    return thread


def _read(descriptor: int, on_line: OnLine) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    while chunk := os.read(descriptor, 65536):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            _tell_lines(_parts(line), on_line)
        *parts, rest = _parts(rest)
        _tell_lines(parts, on_line)
    rest += decoder.decode(b"", final=True)
    if rest:
        _tell_lines([rest], on_line)


def _parts(line: str) -> list[str]:
    """A line in parts that a log event can hold; at least one, maybe empty."""
    longest = LONGEST_LINE // 4  # bytes of a character, at most
    return [line[start : start + longest] for start in range(0, len(line) or 1, longest)]


def _tell_lines(lines: list[str], on_line: OnLine) -> None:
    """A fault of the listener's must not keep the program from writing on."""
    for line in lines:
        try:
            on_line(line)
        except Exception:
            LOG.exception("a line of a program's output is lost")
