"""Where sagestack keeps what it makes.

    <home>/environments/   locked environments: LocalStack's and the images'; shared
    <home>/instances/      one directory per port: LocalStack's files, log and records

`<home>` is SAGESTACK_HOME, or the user's data directory.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    if setting := os.environ.get("SAGESTACK_HOME"):
        return Path(setting).expanduser().absolute()
    return platformdirs.user_data_path("sagestack")


def environments_directory() -> Path:
    return home() / "environments"


def instance_directory(port: int) -> Path:
    return home() / "instances" / str(port)
