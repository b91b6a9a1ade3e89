"""warm: an image's idle process with its heavy libraries imported, that forks for each job.

Most of a short job's time is the import of pandas and scikit-learn; a fork has them at once.

    warm.py CONTROL-DESCRIPTOR MODULE...

One fork is always ready, since a fork of so large a process takes milliseconds. A message on
the control socket brings it three descriptors, which become its stdin, stdout and stderr, and
a fourth on which it reports its exit code. It does what init.py does, with one difference:
its program is a script run in the fork itself.

This process imports and does nothing else: it starts no thread and runs no numerical code,
since a fork of a process that has run an OpenMP region hangs in its own. It never sees a
plan: the fork reads that from its stdin, so no job's credentials stay in memory.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import signal
import socket
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import init  # type: ignore[import-not-found]  # noqa: E402
import run_as_main  # type: ignore[import-not-found]  # noqa: E402
import train  # type: ignore[import-not-found]  # noqa: E402
import xgboost_train  # type: ignore[import-not-found]  # noqa: E402

del sys.path[0]
# A user's script may have modules of these names.
for module in (
    "init",
    "model_server",
    "run_as_main",
    "sandbox",
    "script_environment",
    "train",
    "xgboost_train",
):
    del sys.modules[module]
TRAIN_PROGRAMS = {str(HERE / f"{m.__name__}.py"): m.main for m in (train, xgboost_train)}
"""Those that have the user's script run for them, here in the fork."""


def main(control: socket.socket, modules: list[str]) -> None:
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    control.sendall(b"r")
    while is_open(control):
        taken, told = os.pipe()
        if os.fork() == 0:
            os.close(taken)
            await_job(control, told)
        os.close(told)
        os.read(taken, 1)  # or its end, where the fork was killed
        os.close(taken)


def is_open(control: socket.socket) -> bool:
    try:
        return bool(control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True


def await_job(control: socket.socket, told: int) -> None:
    """Wait, as the one fork that is ready, for a job; then have the next one made."""
    message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
    if not message:
        os._exit(0)
    control.sendall(os.getpid().to_bytes(4))
    control.close()
    os.write(told, b"t")
    os.close(told)
    become(descriptors)


def become(descriptors: list[int]) -> None:
    """Turn this fork into what init.py is. Does not return."""
    *standard, report = descriptors
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.set_inheritable(report, False)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    sys.argv = [str(HERE / "init.py")]
    init.main(execute=run, report=report)


def run(plan: init.Plan) -> None:
    """Run the plan's script as `python script arguments` would, and end as that would."""
    _, script, *arguments = plan["command"]
    os.environ.clear()
    os.environ.update(plan["variables"])
    os.chdir(plan["working_directory"])
    reseed()
    limit_threads(plan["threads"])
    if main := TRAIN_PROGRAMS.get(script):
        ended = run_as_main.call(main, script)
    else:
        ended = run_as_main.run_script(script, arguments)
    run_as_main.finish(ended.code)


def reseed() -> None:
    """Every fork would begin with the same random state."""
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def limit_threads(threads: int) -> None:
    """Share the cores: the libraries read their variables when they were loaded."""
    if threads and (threadpoolctl := sys.modules.get("threadpoolctl")):
        threadpoolctl.threadpool_limits(threads)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        main(channel, sys.argv[2:])
