"""Where the steps run: which environment, which endpoint, whose credentials.

`local` never reaches AWS: without AWS_ENDPOINT_URL it takes LocalStack's usual address, and it uses
LocalStack's dummy credentials whatever a profile says. `dev` and `prod` take what the shell gives.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

from infra.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
LOCAL_ENDPOINT = "http://127.0.0.1:4566"
LOCAL_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
PROFILE_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN")


class Session:
    """Settings and boto3 clients of one environment. Changes this process's environment."""

    def __init__(self, settings: Settings, *, folder: Path | None = None) -> None:
        self.settings = settings
        self.folder = (folder or ROOT / ".demo") / settings.stage
        os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"] = settings.region
        if self.local:
            os.environ.setdefault("AWS_ENDPOINT_URL", LOCAL_ENDPOINT)
            os.environ.update(LOCAL_ENVIRONMENT)
            for name in PROFILE_VARIABLES:
                os.environ.pop(name, None)
        self._boto = boto3.session.Session()

    @property
    def local(self) -> bool:
        """Whether this is LocalStack."""
        return self.settings.stage == "local"

    @property
    def endpoint_url(self) -> str | None:
        """Where the calls go; None for AWS itself."""
        return os.environ.get("AWS_ENDPOINT_URL")

    def sagestack_logs(self, *what: str) -> str | None:
        """The line that shows a log by sagestack's own command; None on AWS."""
        if not self.local:
            return None
        port = (self.endpoint_url or "").rstrip("/").rpartition(":")[2]
        other = f" --port {port}" if port.isdigit() and port != "4566" else ""
        return f"sagestack logs {' '.join(what)}{other}"

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two looks at a job."""
        return 0.2 if self.local else 5.0

    def client(self, service: str) -> Any:
        """A boto3 client, made once."""
        if service not in self._clients:
            make: Any = self._boto.client
            self._clients[service] = make(service)
        return self._clients[service]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @cached_property
    def account(self) -> str:
        """The account that the credentials belong to."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def file(self, name: str) -> Path:
        """A file in this environment's folder, whose parents exist."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
