"""What the environment variables say. The names are those of AWS's toolkits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

JSON = "application/json"
DEFAULT_TIMEOUT = 60.0
"""Seconds that a handler may take. Source: sagemaker-containers."""


@dataclass(frozen=True)
class Settings:
    base: Path
    """/opt/ml, or what stands for it."""
    program: str | None
    """The user's module as SAGEMAKER_PROGRAM names it: `inference.py`."""
    submit_directory: str | None
    """Where the user's code lies: a directory, an archive, or an archive's S3 URI."""
    submit_archive: Path | None
    """A copy of the archive at that S3 URI, brought by the platform."""
    default_accept: str
    workers: int
    timeout: float
    port: int
    socket: str | None
    """A Unix socket to listen on in place of the port."""
    log_level: int
    region: str | None

    @property
    def model_dir(self) -> Path:
        return self.base / "model"

    @property
    def module_name(self) -> str:
        name = self.program or "inference"
        return name.removesuffix(".py")

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Settings:
        """Raises ValueError for a number that is none. An empty variable is as good as none."""
        given = {name: value for name, value in variables.items() if value}
        archive = given.get("MODEL_SERVER_SUBMIT_ARCHIVE")
        timeout = given.get("SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS") or given.get(
            "SAGEMAKER_MODEL_SERVER_TIMEOUT"
        )
        return cls(
            base=Path(given.get("SAGEMAKER_BASE_DIR", "/opt/ml")),
            program=given.get("SAGEMAKER_PROGRAM"),
            submit_directory=given.get("SAGEMAKER_SUBMIT_DIRECTORY"),
            submit_archive=Path(archive) if archive else None,
            default_accept=given.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON),
            workers=int(given.get("SAGEMAKER_MODEL_SERVER_WORKERS", 1)),
            timeout=float(timeout) if timeout else DEFAULT_TIMEOUT,
            port=int(given.get("SAGEMAKER_BIND_TO_PORT", 8080)),
            socket=given.get("MODEL_SERVER_SOCKET"),
            log_level=int(given.get("SAGEMAKER_CONTAINER_LOG_LEVEL", 20)),
            region=given.get("AWS_REGION") or given.get("SAGEMAKER_REGION"),
        )
