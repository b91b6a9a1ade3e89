"""The model server as a process: started by its path over a directory that stands for
/opt/ml, asked over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import urllib3

import sagestack
from sagestack.serving.transport import free_port
from tests.waiting import wait_until

SERVE = Path(sagestack.__file__).parent / "container" / "serve.py"
ROWS = [[0.1, 0.2, 0.3], [2.0, 1.0, 3.0]]
MODEL_FN = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""
CONSTANT = """
def model_fn(model_dir):
    return 42

def predict_fn(data, model):
    return [model]
"""
"""A model that needs no scikit-learn, so its server starts in a moment."""


def fitted() -> Any:
    """A real model, the same one every time."""
    from sklearn.linear_model import LogisticRegression

    x = np.random.default_rng(7).random((80, 3)) * 3
    return LogisticRegression().fit(x, x.sum(axis=1) > 4.5)


def save(model: Any, base: Path) -> None:
    import joblib

    (base / "model").mkdir(parents=True, exist_ok=True)
    joblib.dump(model, base / "model" / "model.joblib")


def write_code(base: Path, script: str, name: str = "inference.py") -> Path:
    directory = base / "model" / "code"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(dedent(script))
    return directory


class Running:
    """A model server, and what it printed."""

    def __init__(self, base: Path, variables: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = urllib3.PoolManager(retries=False)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, str(SERVE)],
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(base),
                "PYTHONUNBUFFERED": "1",
                "SAGEMAKER_BASE_DIR": str(base),
                "SAGEMAKER_BIND_TO_PORT": str(self.port),
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def ready(self) -> bool:
        assert self.process.poll() is None, f"ended with {self.process.returncode}\n{self.log}"
        try:
            return self.get("/ping").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def get(self, path: str, method: str = "GET") -> urllib3.BaseHTTPResponse:
        return self.http.request(method, self.url + path, timeout=10)

    def invoke(
        self, body: bytes | str, content_type: str | None = None, accept: str | None = None
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": content_type, "Accept": accept}
        return self.http.request(
            "POST",
            self.url + "/invocations",
            body=body,
            headers={name: value for name, value in headers.items() if value is not None},
            timeout=20,
        )

    def answer(self, body: Any, **headers: str) -> Any:
        """JSON in, JSON out."""
        reply = self.invoke(json.dumps(body), "application/json", **headers)
        assert reply.status == 200, reply.data.decode()
        return json.loads(reply.data)

    def end(self, seconds: float = 20) -> int:
        """Wait for it to end by itself; its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self.lines.append(line.rstrip("\n"))


@contextmanager
def serving(base: Path, **variables: str) -> Iterator[Running]:
    """A server that answers pings."""
    server = Running(base, variables)
    try:
        wait_until(server.ready, 30, "the server answers pings")
        yield server
    finally:
        server.stop()


def failing(base: Path, **variables: str) -> Running:
    """A server that ends before it answers."""
    server = Running(base, variables)
    try:
        assert server.end(30) != 0, server.log
    finally:
        server.stop()
    return server
