"""run_as_main: a user's script run in this process, as `python script arguments` would.

It saves an interpreter's start, and at the end the time the interpreter takes to tear down
what is thrown away anyway: with pandas and scikit-learn loaded a third of a second.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import runpy
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn


def run_script(script: str, arguments: list[str]) -> int:
    """A script in this process; its exit code, its traceback on stderr."""
    sys.argv = [script, *arguments]
    sys.path[0:0] = [str(Path(script).resolve().parent), *python_path()]
    return call(lambda: runpy.run_path(script, run_name="__main__"), script)


def call(work: Callable[[], Any], script: str) -> int:
    """The exit code that a program has whose work this is."""
    try:
        work()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            return 130
        print_traceback(error, script)
        return 1
    return 0


def print_traceback(error: BaseException, script: str) -> None:
    """As the interpreter would: from the script on, without the frames that lead to it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != script:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace or error.__traceback__)


def finish(code: int) -> NoReturn:
    """The interpreter's own order of ending, without the tearing down."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def python_path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
