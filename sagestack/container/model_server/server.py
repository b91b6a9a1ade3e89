"""The server's life: bind, load, serve, end.

The port is bound before the model is loaded and listened on after, so a client is refused
until the model can answer. Exit codes: 0 or 143 after SIGTERM, PORT_TAKEN, otherwise 1.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from .app import App, Worker
from .handlers import Handlers
from .settings import Settings
from .user_code import import_user_module

Complete = Callable[[ModuleType | None], Any]

LOG = logging.getLogger("model_server")
PORT_TAKEN = 98
IDLE_SECONDS = 3600
"""A connection may be idle for so long. The platform keeps its own for less."""
GRACE_SECONDS = 25
"""For requests in flight at SIGTERM. The platform kills 30 seconds after it."""


def main(complete: Complete = lambda module: module) -> None:
    """`complete` gives the user's module, or none, what an image has beside it."""
    settings = Settings.read()
    logging.basicConfig(
        format="%(asctime)s %(levelname)s - %(name)s - %(message)s",
        level=settings.log_level,
        stream=sys.stderr,
    )
    listener = bind(settings)
    if settings.workers == 1:
        work(settings, listener, complete)
    else:
        supervise(settings, listener, complete)


def bind(settings: Settings) -> socket.socket:
    if settings.socket:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(settings.socket)  # of a server that died
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(settings.socket)
        return listener
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # An answer is written in two parts; without this the second waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind(("127.0.0.1", settings.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        LOG.error("port %s is taken", settings.port)
        sys.exit(PORT_TAKEN)
    return listener


def work(settings: Settings, listener: socket.socket, complete: Complete) -> None:
    """Load the model and serve until SIGTERM."""
    try:
        import uvicorn
    except ModuleNotFoundError:
        LOG.critical("this image has no uvicorn, which serves models: add it to its requirements")
        sys.exit(1)
    try:
        module = complete(import_user_module(settings))
        worker = Worker(Handlers(module, str(settings.model_dir)), settings.timeout)
        worker.load()
    except BaseException:
        # With the user's stdout and stderr in one log, in order.
        sys.stdout.flush()
        LOG.critical("the model could not be loaded\n%s", traceback.format_exc())
        logging.shutdown()
        os._exit(1)
    LOG.info("the model is loaded")
    config: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "lifespan": "off",
        "server_header": False,
        "date_header": False,
        "timeout_keep_alive": IDLE_SECONDS,
        "timeout_graceful_shutdown": GRACE_SECONDS,
    }
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, settings.log_level))
    uvicorn.Server(uvicorn.Config(App(worker, settings), **config)).run(sockets=[listener])


def supervise(settings: Settings, listener: socket.socket, complete: Complete) -> NoReturn:
    """Several worker processes on one socket. When one ends, all do: the platform starts the
    server anew."""
    children: set[int] = set()
    for _ in range(settings.workers):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                work(settings, listener, complete)
            finally:
                os._exit(0)
        children.add(pid)
    listener.close()
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    pid, status = os.wait()
    children.discard(pid)
    if not stopping:
        stop(signal.SIGTERM, None)
        code = os.waitstatus_to_exitcode(status) or 1
    else:
        code = 0
    while children:
        children.discard(os.wait()[0])
    sys.exit(code if code >= 0 else 128 - code)
