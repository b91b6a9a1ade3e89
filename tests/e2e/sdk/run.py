"""Runs the programs of an SDK against a live LocalStack, as a user's shell would."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagestack.engine.images import Image, Images
from sagestack.paths import environments_directory
from tests.e2e.live import Live

HERE = Path(__file__).parent
V2_LOCK = HERE.parents[2] / "requirements" / "sdk-v2.lock"
SECONDS = 240
DOUBLED = "2\n4\n6\n"


@dataclass(frozen=True)
class Outcome:
    """What a scenario came to."""

    log: str
    result: Any
    error: str
    text: str


class SdkRun:
    """All scenarios of `v2` or `v3`, begun at once."""

    def __init__(self, version: str, live: Live, directory: Path) -> None:
        self._directory = directory
        self._output = (directory / "program.log").open("wb")
        self._process = subprocess.Popen(
            [interpreter(version), str(HERE / f"{version}.py"), str(directory)],
            cwd=directory,
            env=live.environment() | variables(live, directory),
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def outcome(self, scenario: str) -> Outcome:
        self._process.wait(SECONDS)
        path = self._directory / f"{scenario}.json"
        assert path.exists(), (self._directory / "program.log").read_text()
        found = json.loads(path.read_text())
        log = (self._directory / f"{scenario}.log").read_text()
        print(log)  # pytest shows it where a test fails
        return Outcome(log, found.get("result"), found.get("error", ""), found.get("text", ""))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()


def interpreter(version: str) -> str:
    """v3 is in the tests' environment; v2's is built on first use."""
    if version == "v3":
        return sys.executable
    images = Images(environments_directory())
    return str(images.environment(Image("sdk-v2", (), V2_LOCK)).python)


def variables(live: Live, directory: Path) -> dict[str, str]:
    """What `sagestack env` says."""
    path = directory / "environment"
    done = live.sagestack("env", "--dotenv", str(path))
    assert done.returncode == 0, done.stderr
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: json.loads(value) for name, _, value in lines}
