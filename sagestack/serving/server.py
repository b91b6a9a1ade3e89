"""ModelServer: one instance of a variant. Its container, its health, its restarts.

A server that ends by itself is started again, at once the first time and then after ever
longer waits. It keeps its directory; nothing is downloaded again.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sagestack.engine.container import Container, Process, start
from sagestack.engine.images import Environment
from sagestack.engine.workspace import remove
from sagestack.serving.transport import Body, NotReached, Reply, Transport, free_port

LOG = logging.getLogger(__name__)
STARTUP_SECONDS = 240.0
"""A server must answer pings after so long. Source: contract, section 3.1."""
GRACE_SECONDS = 30.0
"""Between SIGTERM and SIGKILL. Source: contract, section 3.1."""
PORT_TAKEN = 98
"""How our model server ends when it can't have its port. Its own name for it is the same."""
SOCKET = "serve.sock"
LONGEST_WAIT = 60.0
STEADY_SECONDS = 60.0
"""A server that ran for so long is started again without a wait when it ends."""


class ServerFailed(Exception):
    """The server ended, or did not answer pings in time, before it was ready once."""


class ServerStopped(Exception):
    """The server was stopped before it was ready once."""


@dataclass(frozen=True)
class ServerPlan:
    """What all servers of a variant have in common."""

    environment: Environment
    command: tuple[str, ...]
    variables: Mapping[str, str]
    lay_out: Callable[[Path], None]
    """Fills the directory that becomes /opt/ml."""
    startup_seconds: float = STARTUP_SECONDS
    isolate_network: bool = False
    """Only for our own model server: it is reached by a Unix socket then."""
    host_names: tuple[str, ...] = ()


class Log(Protocol):
    """Where a server's lines go. Implemented by engine.logs.LogWriter."""

    def write(self, line: str) -> None: ...

    def close(self) -> None: ...


class ModelServer:
    def __init__(
        self, plan: ServerPlan, parent: Path, open_log: Callable[[str], Log], name: str
    ) -> None:
        """`open_log` makes the log stream of an instance, given its id."""
        self.id = f"i-{secrets.token_hex(9)[:17]}"
        self.outstanding = 0
        """Calls being answered."""
        self._name = name
        self._plan = plan
        self._directory = parent / self.id
        self._open_log = open_log
        self._log: Log | None = None
        self._process: Process | None = None
        self._transport: Transport | None = None
        self._ready = False
        self._stopping = threading.Event()
        self._lock = threading.Condition(threading.Lock())
        """Held to start a process or a call, and to say that no more may start. Told when the
        last call has been answered."""

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def directory(self) -> Path:
        """What is /opt/ml to the server."""
        return self._directory / "ml"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return once the server answers pings. Raises ServerFailed, ServerStopped, and what
        `lay_out` raises."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._plan.lay_out(self.directory)
        self._log = self._open_log(self.id)
        self._launch()
        threading.Thread(target=self._keep, name=f"server-{self._name}", daemon=True).start()

    def invoke(self, body: Body, headers: Mapping[str, str], seconds: float) -> Reply:
        """Raises NotReached, TimedOut, Dropped."""
        with self._lock:
            transport = self._reachable()
            self.outstanding += 1
        try:
            return transport.invoke(body, headers, seconds)
        finally:
            with self._lock:
                self.outstanding -= 1
                if not self.outstanding:
                    self._lock.notify_all()

    def execution_parameters(self) -> Reply:
        """Raises NotReached, TimedOut, Dropped."""
        return self._reachable().execution_parameters()

    def stop(self, grace: float = GRACE_SECONDS, *, drain: bool = True) -> None:
        """End the server and take its directory away. Calls being answered have `grace`
        seconds to end, and the server is told to end after them; without `drain`, at once."""
        deadline = time.monotonic() + grace
        with self._lock:
            self._stopping.set()
            self._ready = False
            if drain:
                self._lock.wait_for(lambda: not self.outstanding, grace)
            process = self._process
        if process is not None:
            process.stop(max(0.0, deadline - time.monotonic()))
        if self._transport is not None:
            self._transport.close()
        if self._log is not None:
            self._log.close()
        remove(self._directory)

    def _reachable(self) -> Transport:
        transport = self._transport
        if transport is None or not self._ready:
            raise NotReached(f"{self.id} is not ready")
        return transport

    def _launch(self) -> None:
        """One process, from its start to its first answered ping."""
        deadline = time.monotonic() + self._plan.startup_seconds
        while True:
            process, transport = self._begin()
            pause = 0.02
            while not transport.ready():
                if process.wait(pause) is not None:
                    break
                if self._stopping.is_set():
                    raise ServerStopped(self.id)
                if time.monotonic() > deadline:
                    self._say(f"no answer to pings in {self._plan.startup_seconds:g} seconds")
                    process.kill()
                    raise ServerFailed(self.id)
                pause = min(pause * 1.3, 0.5)
            else:
                with self._lock:
                    self._ready = not self._stopping.is_set()
                return
            if self._stopping.is_set():
                raise ServerStopped(self.id)
            code = process.wait()
            if code != PORT_TAKEN:
                self._say_fault()
                self._say(f"the model server ended with exit code {code} before it was ready")
                raise ServerFailed(self.id)

    def _begin(self) -> tuple[Process, Transport]:
        port = free_port()
        variables = {**self._plan.variables, "SAGEMAKER_BIND_TO_PORT": str(port)}
        if self._plan.isolate_network:
            variables["MODEL_SERVER_SOCKET"] = f"/opt/ml/{SOCKET}"
            transport = Transport.unix(self.directory / SOCKET)
        else:
            transport = Transport.tcp(port)
        container = Container(
            environment=self._plan.environment,
            command=self._plan.command,
            variables=variables,
            directory=self.directory,
            host_names=self._plan.host_names,
            read_only_model=True,
            isolate_network=self._plan.isolate_network,
        )
        assert self._log is not None
        with self._lock:
            if self._stopping.is_set():
                raise ServerStopped(self.id)
            self._process = start(container, self._log.write)
            old, self._transport = self._transport, transport
        if old is not None:
            old.close()
        return self._process, transport

    def _keep(self) -> None:
        """Start the server again whenever it ends, until it is stopped."""
        wait = 0.0
        while True:
            assert self._process is not None
            since = time.monotonic()
            code = self._process.wait()
            self._ready = False
            if self._stopping.is_set():
                return
            if time.monotonic() - since > STEADY_SECONDS:
                wait = 0.0
            LOG.warning("%s ended with exit code %s", self._name, code)
            self._say(
                f"the model server ended with exit code {code}; it is started again"
                + (f" in {wait:g} seconds" if wait else "")
            )
            if self._stopping.wait(wait):
                return
            wait = min(max(1.0, wait * 2), LONGEST_WAIT)
            try:
                self._launch()
            except ServerFailed:
                continue
            except ServerStopped:
                return

    def _say_fault(self) -> None:
        """What kept the sandbox from being made, if that is why the server ended."""
        fault = Path(f"{self.directory}.fault")
        if fault.exists():
            self._say(fault.read_text())
            fault.unlink()

    def _say(self, text: str) -> None:
        assert self._log is not None
        self._log.write(f"sagestack: {text}")
