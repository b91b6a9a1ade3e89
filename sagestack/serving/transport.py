"""HTTP to a model server, over connections that are kept.

A call is sent once. urllib3 looks whether a kept connection was closed before it uses it,
so a stale one costs nothing; a call that failed on its way may have been carried out, so
it is never repeated.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import Timeout

CONNECT_SECONDS = 5.0
PING_SECONDS = 2.0
"""Source: contract, section 3.1."""
PARAMETERS_SECONDS = 60.0
KEPT_CONNECTIONS = 64

Body = bytes | Iterable[bytes]


class NotReached(Exception):
    """The server did not take the connection; nothing was sent."""


class TimedOut(Exception):
    """The server did not answer in time."""


class Dropped(Exception):
    """The connection ended before the whole answer came."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str]
    """Names in any case."""


class Transport:
    """Connections to one server. `invoke` may be called from any thread."""

    def __init__(self, pool: urllib3.HTTPConnectionPool) -> None:
        self._pool = pool

    @classmethod
    def tcp(cls, port: int) -> Transport:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=KEPT_CONNECTIONS)
        return cls(pool)

    @classmethod
    def unix(cls, path: Path) -> Transport:
        return cls(_UnixPool(path))

    def ready(self) -> bool:
        """Whether the server answers a ping with 200."""
        timeout = Timeout(PING_SECONDS)
        try:
            reply = self._pool.urlopen("GET", "/ping", timeout=timeout, retries=False)
        except HTTPError:
            return False
        return reply.status == 200

    def invoke(self, body: Body, headers: Mapping[str, str], seconds: float) -> Reply:
        """A body that comes in parts is sent in HTTP's chunked encoding. Raises NotReached,
        TimedOut, Dropped."""
        return self._ask("POST", "/invocations", body, headers, seconds)

    def execution_parameters(self) -> Reply:
        """How the container wants to be sent the requests of a transform job, if it says so.
        Raises NotReached, TimedOut, Dropped."""
        return self._ask("GET", "/execution-parameters", None, {}, PARAMETERS_SECONDS)

    def close(self) -> None:
        self._pool.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: Body | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> Reply:
        timeout = Timeout(connect=CONNECT_SECONDS, read=seconds)
        try:
            reply = self._pool.urlopen(
                method,
                path,
                body=body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                chunked=not isinstance(body, bytes | None),
            )
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise NotReached(str(error)) from error
        except ReadTimeoutError as error:
            raise TimedOut(str(error)) from error
        except HTTPError as error:
            raise Dropped(str(error)) from error
        return Reply(reply.status, reply.data, reply.headers)


class _UnixConnection(HTTPConnection):
    def __init__(self, *arguments: Any, path: Path, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._path = path

    def _new_conn(self) -> socket.socket:
        # The path may be longer than the 107 bytes a socket's address takes.
        directory = os.open(self._path.parent, os.O_PATH)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(f"/proc/self/fd/{directory}/{self._path.name}")
        except OSError as error:
            with contextlib.suppress(OSError):
                connection.close()
            raise NewConnectionError(self, f"{self._path}: {error}") from error
        finally:
            os.close(directory)
        return connection


class _UnixPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _UnixConnection

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", maxsize=KEPT_CONNECTIONS, path=path)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now. A server that finds it taken when it
    comes to bind it ends with PORT_TAKEN, and is started again with another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
