"""Programs in a sandbox of the engine's, without a job around them."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

from sagestack.engine.container import Container, Exit, Process, run, start
from sagestack.engine.executor import Control
from sagestack.engine.images import Environment, Image
from sagestack.engine.warm import WarmWorker

HERE = Image("here", ("here",), Path(sys.executable))


class Program:
    """One Python script and the directory that is its /opt/ml.

    `worker` forks it from an idle process; without one it is a process of its own.
    """

    def __init__(self, directory: Path, script: str, worker: WarmWorker | None = None) -> None:
        self.directory = directory
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.control = Control()
        (directory / "model").mkdir(parents=True, exist_ok=True)
        (directory / "script.py").write_text(dedent(script))
        self._environment = Environment(HERE, Path(sys.executable), worker)

    def container(self, **settings: Any) -> Container:
        return Container(
            **{
                "environment": self._environment,
                "command": (sys.executable, "/opt/ml/script.py"),
                "variables": {},
                "directory": self.directory,
                **settings,
            }
        )

    def start(self, **settings: Any) -> Process:
        return start(self.container(**settings), self.lines.append)

    def run(self, *, max_seconds: float = 30, grace: float = 1, **settings: Any) -> Exit:
        return run(
            self.container(**settings),
            self.control,
            self.lines.append,
            max_seconds=max_seconds,
            grace=grace,
        )

    def begin(self, **settings: Any) -> threading.Thread:
        """Run on a thread."""
        thread = threading.Thread(target=self.run, kwargs=settings)
        thread.start()
        return thread

    def answer(self, **settings: Any) -> Any:
        """Run to a good end; what the last line says in JSON."""
        ended = self.run(**settings)
        assert ended.code == 0, self.lines
        return json.loads(self.lines[-1])
