"""A live LocalStack, started and looked into by the command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import localstack_client.session
import psutil
from botocore import xform_name

from sagestack.aws.caller import Caller
from tests.waiting import wait_until

BIN = Path(sys.executable).parent
REGION = "us-east-1"
ACCOUNT = "000000000000"


class Live:
    """One instance on a port of its own. `home` is its SAGESTACK_HOME."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.endpoint_url = f"http://127.0.0.1:{self.port}"

    def up(self, *options: str) -> None:
        done = self.sagestack("up", *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        self.sagestack("down")

    def sagestack(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours on this instance."""
        return subprocess.run(
            [str(BIN / "sagestack"), command, *arguments, "--port", str(self.port)],
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=120,
            check=False,
        )

    def aws(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the AWS CLI on this instance."""
        settings = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_PAGER": "",
        }
        return subprocess.run(
            [str(BIN / "aws"), *arguments],
            capture_output=True,
            text=True,
            env=self.environment() | settings,
            timeout=120,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """Ours, without what would lead to another instance."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "SAGEMAKER_", "SAGESTACK_"))
        }
        return kept | {"SAGESTACK_HOME": str(self.home)}

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.sagestack("status", "--json").stdout)
        return answer

    def process(self) -> psutil.Process:
        return psutil.Process(self.status()["pid"])

    def kill(self) -> None:
        """As a machine does that has no memory left."""
        process = self.process()
        process.kill()
        wait_until(lambda: not alive(process), what="the server's end")

    def context(self, region: str = REGION) -> LiveContext:
        return LiveContext(self.port, region)


class LiveContext:
    """What the jobs of tests/emulator/jobs.py ask of a context, answered by LocalStack."""

    def __init__(self, port: int, region: str) -> None:
        self.caller = Caller(ACCOUNT, region)
        self.session = localstack_client.session.Session(
            localstack_host=f"127.0.0.1:{port}", region_name=region
        )

    @property
    def aws(self) -> LiveContext:
        return self

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def call(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.client(service), xform_name(operation))(**request)
        answer.pop("ResponseMetadata")
        return answer


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
