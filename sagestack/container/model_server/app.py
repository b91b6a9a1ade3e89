"""The ASGI application: /ping, /invocations, /execution-parameters.

Handlers run on a thread of their own, one request after the other, so /ping answers while
they work. A handler that exceeds its time ends the process, as gunicorn would: nothing
else can interrupt it, and the platform starts a new one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from .handlers import Handlers, Reply, Request
from .settings import JSON, Settings

LOG = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ANY = "*/*"


class Worker:
    """The one thread that loads the model and runs the handlers."""

    def __init__(self, handlers: Handlers, timeout: float) -> None:
        self.handlers = handlers
        self._timeout = timeout
        self._busy_since: float | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="handlers")

    def load(self) -> None:
        """Raises what the user's functions raise."""
        self._pool.submit(self.handlers.load).result()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    async def run[T](self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._timed, function, *arguments)

    def _timed[T](self, function: Callable[..., T], *arguments: Any) -> T:
        self._busy_since = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self._busy_since = None

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self._timeout / 4))
            since = self._busy_since
            if since is not None and time.monotonic() - since > self._timeout:
                LOG.critical(
                    "a handler runs for more than %g seconds (SAGEMAKER_MODEL_SERVER_TIMEOUT): "
                    "ending this worker",
                    self._timeout,
                )
                logging.shutdown()
                os._exit(1)


class App:
    def __init__(self, worker: Worker, settings: Settings) -> None:
        self._worker = worker
        self._default_accept = settings.default_accept
        self._routes = {
            "/ping": ("GET", self._ping),
            "/invocations": ("POST", self._invoke),
        }
        if worker.handlers.execution_parameters_fn:
            self._routes["/execution-parameters"] = ("GET", self._execution_parameters)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        method, answer = self._routes.get(scope["path"], (None, None))
        if answer is None:
            reply = _plain(HTTPStatus.NOT_FOUND)
        elif scope["method"] != method:
            reply = _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
            reply = await answer(headers, receive)
        await _send(reply, send)

    async def _ping(self, headers: dict[str, str], receive: Receive) -> Reply:
        return Reply(HTTPStatus.OK, b"", JSON)

    async def _invoke(self, headers: dict[str, str], receive: Receive) -> Reply:
        body = await _body(receive)
        if body is None:
            return _plain(HTTPStatus.BAD_REQUEST)
        accept = headers.get("accept", ANY)
        request = Request(
            body=body,
            content_type=headers.get("content-type") or JSON,
            accept=self._default_accept if accept in ("", ANY) else accept,
            headers=headers,
        )
        return await self._worker.run(self._worker.handlers.reply, request)

    async def _execution_parameters(self, headers: dict[str, str], receive: Receive) -> Reply:
        function = self._worker.handlers.execution_parameters_fn
        assert function is not None
        try:
            result = await self._worker.run(function)
        except Exception as error:
            LOG.exception("execution_parameters_fn")
            return Reply(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode(), "text/plain")
        text = result if isinstance(result, str) else json.dumps(result)
        return Reply(HTTPStatus.OK, text.encode(), JSON)


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None if the client went away."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _send(reply: Reply, send: Send) -> None:
    headers = [
        (b"content-type", reply.content_type.encode("latin-1", "replace")),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": int(reply.status), "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _plain(status: HTTPStatus) -> Reply:
    return Reply(status, status.phrase.encode(), "text/plain")
