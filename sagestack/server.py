"""LocalStack as a process of its own: its environment, start, health and end.

One instance a port. Its directory holds LocalStack's files, its log, and `server.json`,
which names the process so that a later command finds it again.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sagestack.engine.images import IMAGES, Environment, Image, Images
from sagestack.paths import environments_directory, home, instance_directory

LOCALSTACK = Image("localstack", (), IMAGES / "localstack" / "requirements.lock")
START_SECONDS = 90.0
STOP_SECONDS = 10.0


class ServerError(Exception):
    """A server that can't be started or stopped. The text says why and what to do."""


@dataclass(frozen=True)
class Server:
    """An instance of LocalStack with the plugin, running or not."""

    port: int
    host: str = "127.0.0.1"

    @property
    def directory(self) -> Path:
        return instance_directory(self.port)

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def certificate(self) -> Path:
        """Of LocalStack's TLS, for the name localhost."""
        cache = self.directory / "localstack" / "var" / "lib" / "localstack" / "cache"
        return cache / "server.test.pem.crt"

    @property
    def endpoint_url(self) -> str:
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}"

    def process(self) -> psutil.Process | None:
        """The live process of this instance, told from a later one of the same number."""
        try:
            noted = json.loads((self.directory / "server.json").read_text())
            process = psutil.Process(noted["pid"])
            same = abs(process.create_time() - noted["created"]) < 1
            return process if same and _runs(process) else None
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            return None

    def status(self) -> dict[str, Any] | None:
        """What the plugin says of itself, or None while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_sagestack/status", timeout=5) as got:
                answer: dict[str, Any] = json.load(got)
                return answer
        except (OSError, ValueError, urllib.error.URLError):
            return None

    def interrupt(self, name: str, region: str) -> None:
        """Take spot capacity away from a training job. Raises ServerError."""
        request = urllib.request.Request(
            f"{self.endpoint_url}/_sagestack/interrupt",
            data=json.dumps({"name": name, "region": region}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as error:
            raise ServerError(json.load(error)["message"]) from None
        except OSError as error:
            raise ServerError(
                f"sagestack does not answer at {self.endpoint_url}: {error}"
            ) from None

    def start(self, environment: Environment, settings: Mapping[str, str]) -> subprocess.Popen[Any]:
        """Begin the process. `settings` are variables of LocalStack's and sagestack's.

        Raises ServerError where the port is taken.
        """
        self._check_port()
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [str(environment.python), "-m", "localstack.runtime.main"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self._variables(settings),
                start_new_session=True,
            )
        noted = {
            "pid": process.pid,
            "created": psutil.Process(process.pid).create_time(),
            "host": self.host,
        }
        (self.directory / "server.json").write_text(json.dumps(noted))
        return process

    def wait_until_ready(self, process: subprocess.Popen[Any]) -> None:
        """Raises ServerError where the process ends, or does not answer in time."""
        deadline = time.monotonic() + START_SECONDS
        while self.status() is None:
            if process.poll() is not None:
                raise ServerError(
                    f"LocalStack ended with code {process.returncode} before it answered; "
                    f"its log is {self.log}\n{self.last_lines()}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise ServerError(
                    f"LocalStack did not answer within {START_SECONDS:.0f} s; "
                    f"its log is {self.log}\n{self.last_lines()}"
                )
            time.sleep(0.1)

    def stop(self) -> bool:
        """End the process and everything it started; False if it was not running."""
        process = self.process()
        if process is None:
            return False
        family = [process, *process.children(recursive=True)]
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
        _end([process])
        # What the server started ends by itself when the server does; see that it has.
        _end(family)
        (self.directory / "server.json").unlink(missing_ok=True)
        return True

    def last_lines(self, count: int = 15) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        return ""

    def _check_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise ServerError(
                    f"port {self.port} can't be listened on ({error.strerror}): "
                    "end what uses it, or choose another with --port"
                ) from None

    def _variables(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The server's environment. Nothing of the user's AWS settings reaches it."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV", "SAGEMAKER_"))
        }
        return kept | {
            "GATEWAY_LISTEN": f"{self.host}:{self.port}",
            "LOCALSTACK_HOST": f"localhost:{self.port}",
            "FILESYSTEM_ROOT": str(self.directory / "localstack"),
            # Inside a container LocalStack would use directories that all instances share.
            "OVERRIDE_IN_DOCKER": "0",
            "SAGESTACK_HOME": str(home()),
            "PYTHONPATH": str(self._link_plugin()),
            "PYTHONUNBUFFERED": "1",
            # Nothing is fetched and nothing is reported.
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DISABLE_EVENTS": "1",
            "DNS_ADDRESS": "0",
            **settings,
        }

    def _link_plugin(self) -> Path:
        """A directory with this distribution and nothing else, for LocalStack's path.

        LocalStack's environment is shared by every instance and every version of sagestack;
        the links make it see the one that starts it.
        """
        plugin = self.directory / "plugin"
        shutil.rmtree(plugin, ignore_errors=True)
        plugin.mkdir(parents=True)
        metadata = Path(str(importlib.metadata.distribution("sagestack")._path))  # type: ignore[attr-defined]
        for path in (Path(__file__).parent, metadata):
            (plugin / path.name).symlink_to(path)
        return plugin


def _end(processes: list[psutil.Process]) -> None:
    """Give processes STOP_SECONDS to end by themselves, and kill those that have not."""
    deadline = time.monotonic() + STOP_SECONDS
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if _runs(process):
                process.kill()
                process.wait(STOP_SECONDS)


def _runs(process: psutil.Process) -> bool:
    """A zombie has ended; where nobody reaps it, it stays."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def localstack_environment() -> Environment:
    """LocalStack's locked environment, built if it is not there. Raises ImageBuildError."""
    return Images(environments_directory()).environment(LOCALSTACK)


def servers() -> Iterator[Server]:
    """Every instance that has a directory."""
    for path in sorted((home() / "instances").glob("*")):
        if path.name.isdigit():
            yield server_on(int(path.name))


def server_on(port: int) -> Server:
    """The instance of a port, with the host it was started on."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        noted = json.loads((instance_directory(port) / "server.json").read_text())
        return Server(port, noted["host"])
    return Server(port)
