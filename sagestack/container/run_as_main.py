"""run_as_main: a user's script run in this process, as `python script arguments` would.

It saves an interpreter's start, and at the end the time the interpreter takes to tear down
what is thrown away anyway: with pandas and scikit-learn loaded a third of a second.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import os
import sys
import threading
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn


class Ended(NamedTuple):
    code: int
    error: str
    """What it said of the error that ended it, without the traceback."""


def run_script(script: str, arguments: list[str]) -> Ended:
    """A script in this process, its traceback on stderr."""
    path = os.path.abspath(script)
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        print(f"{sys.executable}: can't open file {path!r}: {error}", file=sys.stderr)
        return Ended(2, str(error))
    main = types.ModuleType("__main__")
    vars(main).update(__file__=path, __builtins__=builtins)
    sys.modules["__main__"] = main
    sys.argv = [script, *arguments]
    sys.path[0:0] = [str(Path(path).resolve().parent), *python_path()]
    return call(lambda: exec(compile(source, path, "exec"), vars(main)), path)


def call(work: Callable[[], Any], script: str) -> Ended:
    """How a program ends whose work this is."""
    try:
        work()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return Ended((end.code or 0) & 0xFF, "")
        print(end.code, file=sys.stderr)
        return Ended(1, str(end.code))
    except KeyboardInterrupt:
        return Ended(130, "")
    except BaseException as error:
        print_traceback(error, script)
        return Ended(1, "".join(traceback.format_exception_only(error)).strip())
    return Ended(0, "")


def print_traceback(error: BaseException, script: str) -> None:
    """As the interpreter would: from the script on, without the frames that lead to it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != script:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


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
